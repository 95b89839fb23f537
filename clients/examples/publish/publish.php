#!/usr/bin/env php
<?php
// publish.php CHANNEL DATA [KEY]: publishes once, whatever happens on the way. PHP 7.4 or newer, no extension.
//
//   publish.php orders '{"id":42,"total":9.90}' order-42
//
// DATA is any JSON value and arrives byte for byte. KEY names what is published (an order's number, say): the hub publishes it once, however often
// it is sent. CARILLON_URL is where the API is, CARILLON_KEY the key, CARILLON_PATIENCE how many seconds to go on trying.
// Prints the message's id. Status 0: published; 1: refused, or nobody answered in time; 2: not called like this.

/** [status, Retry-After, document] of the answer; status 0: there was none, or not all of it. */
function send(string $url, array $headers, string $body): array
{
    $options = ['method' => 'POST', 'header' => $headers, 'content' => $body, 'timeout' => 10, 'ignore_errors' => true, 'protocol_version' => 1.1];
    error_clear_last();
    $stream = @fopen($url, 'r', false, stream_context_create(['http' => $options]));
    $head = $stream ? stream_get_meta_data($stream)['wrapper_data'] : [];
    $answer = $stream ? json_decode(stream_get_contents($stream), true) : null;
    $status = preg_match('~^HTTP/\S+ (\d+)~', $head[0] ?? '', $found) ? (int) $found[1] : 0;
    if (!$status || ($status == 201 && !isset($answer['id'])))
        return [0, null, ['code' => 'no answer', 'detail' => "$url: " . (error_get_last()['message'] ?? 'cut')]];
    return [$status, preg_match('~^Retry-After: *(\d+)~mi', implode("\n", $head), $found) ? (float) $found[1] : null, $answer ?? []];
}

function may_retry(int $status, array $problem): bool
{
    return in_array($status, [0, 408, 429]) || $status >= 500 || ($problem['code'] ?? '') === 'idempotency_in_progress';
}

/** The answer, with the message's id. $data is JSON text. */
function publish(string $channel, string $data, ?string $key = null): array
{
    $url = (getenv('CARILLON_URL') ?: 'http://localhost:8001') . '/v1/channels/' . rawurlencode($channel) . '/messages';
    $headers = ['Content-Type: application/json', 'Connection: close', 'Idempotency-Key: ' . ($key ?? bin2hex(random_bytes(16)))];
    if (getenv('CARILLON_KEY'))
        $headers[] = 'Authorization: Bearer ' . getenv('CARILLON_KEY');
    $end = microtime(true) + (float) (getenv('CARILLON_PATIENCE') ?: 60);
    for ($pause = 0.5; ; $pause = min($pause * 2, 30)) {
        [$status, $retry_after, $answer] = send($url, $headers, "{\"data\":$data}");
        if ($status == 201)
            return $answer;
        $problem = ($answer['code'] ?? $status) . ': ' . ($answer['detail'] ?? '');
        if (!may_retry($status, $answer))
            throw new RuntimeException($problem);
        $wait = ($retry_after ?? $pause) + mt_rand() / mt_getrandmax() * $pause;
        if (microtime(true) + $wait > $end)
            throw new RuntimeException("given up: $problem");
        usleep((int) ($wait * 1e6));
    }
}

if ($argc < 3 || $argc > 4) {
    fwrite(STDERR, "usage: publish.php CHANNEL DATA [KEY]\n");
    exit(2);
}
try {
    echo publish(...array_slice($argv, 1))['id'], "\n";
} catch (RuntimeException $error) {
    fwrite(STDERR, $error->getMessage() . "\n");
    exit(1);
}
