/* publishers.c — the publishing side of the generator: HTTP requests to the API, lines of one request, or commands over WebSocket. */
#include "load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OUT_BYTES = 4096 };        /* one publish with all around it */

void load_open_pubs(struct load *l, size_t n)
{
    bool by_websocket = !strcmp(l->o.by, "ws");
    enum peer_kind by_http = strcmp(l->o.by, "lines") ? PEER_POST : PEER_LINES;
    l->pubs = calloc(n, sizeof *l->pubs);
    for (size_t i = 0; i < n; i++) {
        struct peer *pub = &l->pubs[i];
        if (by_websocket ? peer_open(pub, PEER_WS_PUBLISH, &l->sub_to, "/ws") : peer_open(pub, by_http, &l->pub_to, ""))
            die("connect");
        load_watch(l, pub);
        while (!pub->subscribed)
            load_must_pump(l, "a publisher was not welcomed");
    }
}

void load_send_all(struct load *l, struct peer *peer, const char *at, size_t len)
{
    while (len > 0) {
        ssize_t n = sock_send(&peer->sock, at, len);
        if (n < 0 && errno != EAGAIN)
            die("send");
        if (n < 0)
            load_pump(l, 1);
        else
            at += n, len -= (size_t)n;
    }
}

static size_t write_request(char *out, const char *channel, const char *payload, size_t size)
{
    int head = snprintf(out, OUT_BYTES, "POST /v1/channels/%s/messages HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\n"
                                        "Content-Length: %zu\r\n\r\n", channel, size);
    memcpy(out + head, payload, size);
    return (size_t)head + size;
}

static size_t write_command(char *out, const char *channel, const char *payload, size_t size)
{
    char json[OUT_BYTES];
    int n = snprintf(json, sizeof json, "{\"type\":\"publish\",\"channel\":\"%s\",\"data\":\"%.*s\",\"ref\":1}", channel, (int)size, payload);
    return peer_frame(out, json, (size_t)n);
}

static size_t write_line(char *out, const char *channel, const char *payload, size_t size)
{
    return (size_t)snprintf(out, OUT_BYTES, "{\"channel\":\"%s\",\"data\":\"%.*s\"}\n", channel, (int)size, payload);
}

/* `out` has OUT_BYTES; the payload begins with `text` and is filled up to o.size. */
static size_t write_publish(const struct load *l, const struct peer *pub, char *out, const char *channel, const char *text)
{
    char payload[OUT_BYTES / 2];
    size_t len = strlen(text), size = l->o.size > len ? l->o.size : len;
    memcpy(payload, text, len);
    memset(payload + len, 'x', size - len);
    return pub->kind == PEER_POST ? write_request(out, channel, payload, size)
        : pub->kind == PEER_LINES ? write_line(out, channel, payload, size) : write_command(out, channel, payload, size);
}

void load_publish(struct load *l, struct peer *pub, const char *channel, const char *text)
{
    char out[OUT_BYTES];
    load_send_all(l, pub, out, write_publish(l, pub, out, channel, text));
}

/* ---- many together ---- */

/* Publishes that go out in one send(); the memory grows to what was needed once. */
static struct {
    char  *at;
    size_t len, cap;
} together;

void load_add_publish(const struct load *l, const struct peer *pub, const char *channel, const char *text)
{
    if (together.cap - together.len < OUT_BYTES) {
        together.cap = 2 * together.cap + OUT_BYTES;
        together.at = realloc(together.at, together.cap);
        if (!together.at)
            die("realloc");
    }
    together.len += write_publish(l, pub, together.at + together.len, channel, text);
}

void load_send_together(struct load *l, struct peer *pub)
{
    size_t len = together.len;
    char chunk[20];
    together.len = 0;
    if (pub->kind == PEER_LINES)
        load_send_all(l, pub, chunk, peer_chunk(chunk, len));
    load_send_all(l, pub, together.at, len);
    if (pub->kind == PEER_LINES)
        load_send_all(l, pub, "\r\n", 2);
}

void load_publish_together(struct load *l, struct peer *pub, const char *channel, size_t n)
{
    for (size_t i = 0; i < n; i++)
        load_add_publish(l, pub, channel, "");
    load_send_together(l, pub);
}

/* All that publisher i may have under way now, of `each` altogether: to o.channels in turn, or to its own channel. */
static void publish_allowed(struct load *l, size_t i, uint64_t each)
{
    struct peer *pub = &l->pubs[i];
    for (char channel[100]; pub->next < each && pub->next < pub->messages + l->o.window; pub->next++) {
        snprintf(channel, sizeof channel, l->o.form, l->o.channels > 0 ? (size_t)((pub->next * l->o.conns + i) % l->o.channels) : i);
        load_add_publish(l, pub, channel, "");
    }
    if (together.len > 0)
        load_send_together(l, pub);
}

int mode_publish(struct load *l)
{
    uint64_t each = l->o.messages / l->o.conns, total = each * l->o.conns;
    if (l->o.n > 0)
        load_open_subs(l, l->o.form, FEW);
    load_open_pubs(l, l->o.conns);
    struct measured began = measure_begin(l);
    while (l->answered < total) {
        for (size_t i = 0; i < l->o.conns; i++) {
            publish_allowed(l, i, each);
            if (l->pubs[i].refused > 0)
                die_saying("a publish was refused");
        }
        load_must_pump(l, "answers are missing");
    }
    struct measured took = measure_end(l, began);
    while (l->o.n > 0 && l->received < total)
        load_must_pump(l, "messages are missing");
    printf("{\"publishes\":%lu,\"per_s\":%.0f,\"cpu_us\":%.3f}\n", total, (double)total * 1e9 / (double)took.ns,
           (double)took.cpu_ns / 1e3 / (double)total);
    return 0;
}
