#include "peer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { READ_BYTES = 256 * 1024, OP_TEXT = 1, OP_CLOSE = 8, OP_PING = 9, OP_PONG = 10 };

static bool is_websocket(const struct peer *peer) { return peer->kind == PEER_WS || peer->kind == PEER_WS_PUBLISH || peer->kind == PEER_MEMBER; }

static int send_request(struct peer *peer, const char *path)
{
    char head[1024];
    static const char upgrade[] = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                                  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    int n = snprintf(head, sizeof head, "GET %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n", path, is_websocket(peer) ? upgrade : "");
    return sock_send(&peer->sock, head, (size_t)n) == n ? 0 : -1;
}

static int send_lines_head(struct peer *peer)
{
    static const char head[] = "POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n";
    return sock_send(&peer->sock, head, sizeof head - 1) == sizeof head - 1 ? 0 : -1;
}

int peer_open(struct peer *peer, enum peer_kind kind, const struct sockaddr_in *to, const char *path)
{
    *peer = (struct peer){ .kind = kind, .subscribed = kind == PEER_POST || kind == PEER_POLL };
    if (sock_connect(&peer->sock, to))
        return -1;
    if (kind == PEER_POST || !(kind == PEER_LINES ? send_lines_head(peer) : send_request(peer, path)))
        return 0;
    peer_close(peer);
    return -1;
}

void peer_close(struct peer *peer) { sock_close(&peer->sock); }

static size_t frame_of(char *out, int opcode, const char *payload, size_t len)
{
    static const char mask[4] = { 0x37, (char)0xfa, 0x21, 0x3d };
    size_t head = len < 126 ? 2 : len < 65536 ? 4 : 10;
    out[0] = (char)(0x80 | opcode);
    out[1] = (char)(0x80 | (head == 2 ? len : head == 4 ? 126 : 127));
    for (size_t i = 2; i < head; i++)
        out[i] = (char)(len >> 8 * (head - 1 - i));
    memcpy(out + head, mask, sizeof mask);
    for (size_t i = 0; i < len; i++)
        out[head + 4 + i] = (char)(payload[i] ^ mask[i % 4]);
    return head + 4 + len;
}

size_t peer_frame(char *out, const char *json, size_t len) { return frame_of(out, OP_TEXT, json, len); }

size_t peer_chunk(char *out, size_t len) { return (size_t)sprintf(out, "%zx\r\n", len); }

/* Each take_… looks at complete text and returns how many bytes it used up; 0: not complete. */

static size_t take_head(struct peer *peer, const char *at, size_t len)
{
    const char *end = memmem(at, len, "\r\n\r\n", 4);
    if (!end)
        return 0;
    if (memcmp(at, is_websocket(peer) ? "HTTP/1.1 101" : "HTTP/1.1 200", 12))
        peer->gone = true;
    return (size_t)(end - at) + 4;
}

static size_t take_answer(struct peer *peer, const char *at, size_t len)
{
    const char *end = memmem(at, len, "\r\n\r\n", 4);
    if (!end)
        return 0;
    const char *length = memmem(at, (size_t)(end - at), "ontent-", 7);
    while (length && strncasecmp(length, "ontent-length:", 14))
        length = memmem(length + 7, (size_t)(end - length - 7), "ontent-", 7);
    if (at[9] == '2')
        peer->messages++;
    else
        peer->refused++;
    peer->skip = length ? strtoull(length + 14, NULL, 10) : 0;
    return (size_t)(end - at) + 4;
}

enum { SUBSCRIBER = 1 << PEER_WS, PUBLISHER = 1 << PEER_WS_PUBLISH, MEMBER = 1 << PEER_MEMBER };

/* A frame's payload, at least its first 64 bytes. */
static void take_text(struct peer *peer, const char *at, size_t size)
{
    static const struct { char begin[24]; size_t counter; int whose; } types[] = {
        { "{\"type\":\"message\"", offsetof(struct peer, messages), SUBSCRIBER }, { "{\"type\":\"subscribed\"", offsetof(struct peer, subscribed), SUBSCRIBER },
        { "{\"type\":\"ok\"", offsetof(struct peer, messages), PUBLISHER }, { "{\"type\":\"error\"", offsetof(struct peer, refused), PUBLISHER | MEMBER },
        { "{\"type\":\"welcome\"", offsetof(struct peer, subscribed), PUBLISHER | MEMBER },
        { "{\"type\":\"offer\"", offsetof(struct peer, messages), MEMBER }, { "{\"type\":\"user-joined\"", offsetof(struct peer, told), MEMBER },
        { "{\"type\":\"users-in-room\"", offsetof(struct peer, joined), MEMBER },
        { "{\"type\":\"OPEN\"", offsetof(struct peer, subscribed), MEMBER }, { "{\"type\":\"OFFER\"", offsetof(struct peer, messages), MEMBER },
    };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        size_t len = strlen(types[i].begin);
        if (types[i].whose & 1 << peer->kind && size >= len && !memcmp(at, types[i].begin, len)) {
            ++*(uint64_t *)(void *)((char *)peer + types[i].counter);
            return;
        }
    }
}

static void take_ping(struct peer *peer, const char *at, size_t size)
{
    char pong[140];
    if (size > 125 || sock_send(&peer->sock, pong, frame_of(pong, OP_PONG, at, size)) < 0)
        peer->gone = true;
}

static size_t take_frame(struct peer *peer, const char *at, size_t len, peer_data_fn *on_data, void *arg)
{
    size_t head = 2;
    if (len < 2)
        return 0;
    uint64_t size = (unsigned char)at[1] & 127;
    if (size >= 126) {
        head = size == 126 ? 4 : 10;
        if (len < head)
            return 0;
        size = 0;
        for (size_t i = 2; i < head; i++)
            size = size << 8 | (unsigned char)at[i];
    }
    int opcode = at[0] & 15;
    bool whole = len >= head + size;
    if (!whole && (opcode != OP_TEXT || on_data || len < head + 64))
        return 0;
    uint64_t before = peer->messages;
    if (opcode == OP_CLOSE)
        peer->gone = true;
    else if (opcode == OP_PING)
        take_ping(peer, at + head, size);
    else
        take_text(peer, at + head, size);
    if (on_data && peer->messages > before)
        on_data(arg, peer, at + head, size);
    if (!whole)
        peer->skip = head + size - len;
    return whole ? head + size : len;
}

static size_t take_block(struct peer *peer, const char *at, size_t len, peer_data_fn *on_data, void *arg)
{
    const char *end = memmem(at, len, "\n\n", 2);
    if (!end)
        return 0;
    size_t size = (size_t)(end - at) + 2;
    const char *second = memchr(at, '\n', size);
    if (second < end && !memcmp(second, "\ndata: ", 7)) {
        peer->messages++;
        if (on_data)
            on_data(arg, peer, at, size);
    } else if (memmem(at, size, "\nevent: hub.ready\n", 18)) {
        peer->subscribed++;
    } else if (memmem(at, size, "\nevent: hub.bye\n", 16) || memmem(at, size, "\nevent: hub.gap\n", 16)) {
        peer->gone = true;
    }
    return size;
}

/* One line of what a stream of lines is answered: a result, or the head of a chunk, which has whole lines. */
static size_t take_line(struct peer *peer, const char *at, size_t len)
{
    const char *end = memchr(at, '\n', len);
    if (!end)
        return 0;
    size_t size = (size_t)(end - at) + 1;
    if (*at == '{' && memmem(at, size, ",\"status\":201,", 14))
        peer->messages++;
    else if (*at == '{')
        peer->refused++;
    return size;
}

static size_t take(struct peer *peer, const char *at, size_t len, peer_data_fn *on_data, void *arg)
{
    if (peer->kind == PEER_POST)
        return take_answer(peer, at, len);
    if (peer->kind == PEER_POLL)
        peer->gone = true;
    if (!peer->head_taken) {
        size_t used = take_head(peer, at, len);
        peer->head_taken = used > 0;
        peer->subscribed += used > 0 && peer->kind == PEER_LINES;
        return used;
    }
    if (peer->kind == PEER_LINES)
        return take_line(peer, at, len);
    return peer->kind == PEER_SSE ? take_block(peer, at, len, on_data, arg) : take_frame(peer, at, len, on_data, arg);
}

static void consume(struct peer *peer, const char *at, size_t len, peer_data_fn *on_data, void *arg)
{
    while (len > 0 && !peer->gone) {
        size_t used = peer->skip < len ? (size_t)peer->skip : len;
        if (peer->skip == 0)
            used = take(peer, at, len, on_data, arg);
        else
            peer->skip -= used;
        if (used == 0)
            break;
        at += used;
        len -= used;
    }
    if (len >= sizeof peer->part)
        peer->gone = true;
    else
        memmove(peer->part, at, peer->part_len = len);
}

void peer_read(struct peer *peer, peer_data_fn *on_data, void *arg)
{
    static char bytes[sizeof peer->part + READ_BYTES];
    ssize_t n;
    do {
        memcpy(bytes, peer->part, peer->part_len);
        n = sock_recv(&peer->sock, bytes + peer->part_len, READ_BYTES);
        if (n == 0 || (n < 0 && errno != EAGAIN))
            peer->gone = true;
        if (n > 0)
            consume(peer, bytes, peer->part_len + (size_t)n, on_data, arg);
    } while (n == READ_BYTES && !peer->gone);
}
