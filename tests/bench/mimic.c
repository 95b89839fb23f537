#include "mimic.h"

#include <stdio.h>
#include <string.h>

#define EPOCH "abcdefgh"
#define TEXT(text) (int)(text).len, (text).at

/* Puts the header of a text frame before `n` bytes that begin at out + 4; moves them when the header is shorter. */
static size_t framed(char *out, size_t n)
{
    out[0] = (char)0x81;
    if (n < 126) {
        out[1] = (char)n;
        memmove(out + 2, out + 4, n);
        return n + 2;
    }
    out[1] = 126;
    out[2] = (char)(n >> 8);
    out[3] = (char)n;
    return n + 4;
}

size_t mimic_message_ws(char *out, const struct mimic_message *message)
{
    size_t room = message->data.len + MIMIC_BYTES - 4;
    return framed(out, (size_t)snprintf(out + 4, room, "{\"type\":\"message\",\"channel\":\"%.*s\",\"id\":\"" EPOCH ".%lu\",\"data\":\"%.*s\",\"time\":%lu}",
                                        TEXT(message->channel), message->number, TEXT(message->data), message->time_ms));
}

size_t mimic_message_sse(char *out, const struct mimic_message *message)
{
    return (size_t)snprintf(out, message->data.len + MIMIC_BYTES, "id: " EPOCH ".%lu\ndata: %.*s\n\n", message->number, TEXT(message->data));
}

size_t mimic_begin_ws(char *out, struct text channel, uint64_t number)
{
    static const char upgrade[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n"
                                  "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    size_t n = sizeof upgrade - 1;
    memcpy(out, upgrade, n);
    n += framed(out + n, (size_t)sprintf(out + n + 4, "{\"type\":\"welcome\",\"connection\":\"c1\",\"client\":\"c1\",\"user\":null,"
                                                      "\"position\":\"" EPOCH ".%lu\",\"retry_ms\":2000}", number));
    if (channel.at)
        n += framed(out + n, (size_t)sprintf(out + n + 4, "{\"type\":\"subscribed\",\"channel\":\"%.*s\",\"position\":\"" EPOCH ".%lu\","
                                                          "\"recovered\":false,\"resumable\":true}", TEXT(channel), number));
    return n;
}

size_t mimic_begin_sse(char *out, struct text channel, uint64_t number)
{
    return (size_t)sprintf(out, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store, no-transform\r\n"
                                "X-Accel-Buffering: no\r\nX-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n"
                                "Cross-Origin-Resource-Policy: same-origin\r\nVary: Origin\r\n"
                                "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\nConnection: close\r\n\r\nretry: 2000\n\n"
                                "id: " EPOCH ".%lu\nevent: hub.ready\ndata: {\"type\":\"ready\",\"position\":\"" EPOCH ".%lu\",\"connection\":\"c1\","
                                "\"channels\":[{\"channel\":\"%.*s\",\"recovered\":false,\"resumable\":true}]}\n\n", number, number, TEXT(channel));
}

size_t mimic_created(char *out, const struct mimic_message *message, size_t subscribers)
{
    char body[MIMIC_BYTES / 2];
    int n = snprintf(body, sizeof body, "{\"id\":\"" EPOCH ".%lu\",\"channel\":\"%.*s\",\"time\":%lu,\"subscribers\":%zu}\n", message->number,
                     TEXT(message->channel), message->time_ms, subscribers);
    return (size_t)sprintf(out, "HTTP/1.1 201 Created\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
                                "X-Request-Id: 000000000000\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n"
                                "Cross-Origin-Resource-Policy: same-origin\r\nVary: Origin\r\n"
                                "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n\r\n%s", n, body);
}

size_t mimic_ok(char *out, const struct mimic_message *message, struct text ref, size_t subscribers)
{
    return framed(out, (size_t)sprintf(out + 4, "{\"type\":\"ok\",\"ref\":%.*s,\"id\":\"" EPOCH ".%lu\",\"channel\":\"%.*s\",\"time\":%lu,\"subscribers\":%zu}",
                                       TEXT(ref), message->number, TEXT(message->channel), message->time_ms, subscribers));
}
