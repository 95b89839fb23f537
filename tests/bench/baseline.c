/* baseline.c — what is possible: a server that does nothing but epoll, in the same bytes as the hub.
 *
 *   baseline one|coalescing [CERTIFICATE KEY]     prints "ready public=H:P api=H:P pid=N"; with TLS on both ports when it has a certificate
 *
 * One thread. Subscribers (/ws or /sse) are answered as the hub answers them; each POST, or publish command of a WebSocket, becomes
 * one message in the hub's own form (mimic.h). A channel whose name ends with a number has one subscriber at most, and gets its
 * message by itself. All others are one channel: `one` sends every message by itself to every subscriber; `coalescing` appends it
 * to one shared log and sends each subscriber all it has not got yet, once per turn. Answers to publishes that were read together
 * are sent together, by both. A subscriber given last_event_id gets the last 100 messages (the resume baseline).
 * No JSON is parsed, nothing is checked, nothing is kept safe. */
#include "mimic.h"
#include "sock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { LOG_BYTES = 64 * 1024 * 1024, CONNS_MAX = 70000, KEPT = 100, IN_BYTES = 256 * 1024, OUT_BYTES = 1024 * 1024, CHANNELS = 1024 };
enum form { WS, SSE, FORMS };
enum what { SUB_PORT, PUB_PORT, NEW, SUB, PUB };

struct conn {
    struct sock sock;
    enum what   what;
    enum form   form;
    uint64_t    at;                 /* how far of the log it has got */
    char       *part;               /* the beginning of what is not complete yet; NULL: nothing */
    size_t      part_len;
    long        channel;            /* of a subscriber: the number its channel's name ends with; -1: the channel of all others */
    bool        listens, waits;     /* has a channel; epoll tells when it can be written to */
};

/* All messages in one form, as one growing text of which the last LOG_BYTES are there. */
static struct log {
    char    *bytes;
    uint64_t end;
    uint64_t starts[KEPT];          /* of the newest messages */
} logs[FORMS];

static struct conn *conns[CONNS_MAX];
static struct conn *subs[CONNS_MAX];          /* of the channel of all others */
static size_t n_subs;
static struct conn *by_channel[CHANNELS];     /* the one subscriber of a numbered channel */
static int epoll;
static uint64_t number;
static bool coalescing;

static void drop(struct conn *c)
{
    if (c->what == SUB && c->listens && c->channel >= 0 && by_channel[c->channel] == c)
        by_channel[c->channel] = NULL;
    for (size_t i = 0; c->what == SUB && i < n_subs; i++)
        if (subs[i] == c) {
            subs[i] = subs[--n_subs];
            break;
        }
    conns[c->sock.fd] = NULL;
    sock_close(&c->sock);
    free(c->part);
    free(c);
}

/* ---- messages out ---- */

static void append(struct log *log, const char *bytes, size_t n)
{
    uint64_t at = log->end % LOG_BYTES;
    size_t head = n < LOG_BYTES - at ? n : LOG_BYTES - (size_t)at;
    memcpy(log->bytes + at, bytes, head);
    memcpy(log->bytes, bytes + head, n - head);
    log->end += n;
}

static void flush_sub(struct conn *c)
{
    struct log *log = &logs[c->form];
    while (c->at < log->end) {
        uint64_t at = c->at % LOG_BYTES, n = log->end - c->at;
        if (n > LOG_BYTES - at)
            n = LOG_BYTES - at;
        ssize_t sent = sock_send(&c->sock, log->bytes + at, (size_t)n);
        if (sent < 0)
            break;
        c->at += (uint64_t)sent;
    }
    bool waits = c->at < log->end;
    if (waits != c->waits) {
        struct epoll_event event = { .events = waits ? EPOLLIN | EPOLLOUT : EPOLLIN, .data.fd = c->sock.fd };
        epoll_ctl(epoll, EPOLL_CTL_MOD, c->sock.fd, &event);
        c->waits = waits;
    }
}

static void flush_all(void)
{
    for (size_t i = 0; i < n_subs; i++)
        if (!subs[i]->waits)
            flush_sub(subs[i]);
}

static void say(struct conn *c, const char *bytes, size_t n)
{
    if (sock_send(&c->sock, bytes, n) != (ssize_t)n && errno != EPIPE && errno != ECONNRESET)
        perror("send");
}

/* The number a channel's name ends with, or -1. */
static long channel_number(struct text name)
{
    size_t i = 0;
    while (i < name.len && (name.at[i] < '0' || name.at[i] > '9'))
        i++;
    return i < name.len ? strtol(name.at + i, NULL, 10) % CHANNELS : -1;
}

static struct mimic_message message_of(struct text channel, struct text data)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (struct mimic_message){ ++number, (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000, channel, data };
}

static void send_to_one(struct conn *c, const struct mimic_message *message)
{
    static char out[IN_BYTES + MIMIC_BYTES];
    say(c, out, c->form == WS ? mimic_message_ws(out, message) : mimic_message_sse(out, message));
}

static void send_to_all(const struct mimic_message *message)
{
    static char out[IN_BYTES + MIMIC_BYTES];
    for (int form = 0; form < FORMS; form++) {
        logs[form].starts[number % KEPT] = logs[form].end;
        append(&logs[form], out, form == WS ? mimic_message_ws(out, message) : mimic_message_sse(out, message));
    }
    if (!coalescing)
        flush_all();
}

/* Gives it to whom it concerns; returns how many those are. */
static size_t publish(const struct mimic_message *message)
{
    long channel = channel_number(message->channel);
    if (channel < 0)
        send_to_all(message);
    else if (by_channel[channel])
        send_to_one(by_channel[channel], message);
    return channel < 0 ? n_subs : by_channel[channel] != NULL;
}

/* ---- what comes in; each take_… returns how many bytes it used up, 0: not complete ---- */

static char out_bytes[OUT_BYTES];       /* answers to what was read together */
static size_t out_len;

static struct text text_until(const char *at, size_t room, const char *ends)
{
    size_t n = 0;
    while (n < room && !strchr(ends, at[n]))
        n++;
    return (struct text){ at, n };
}

static size_t take_subscriber(struct conn *c, const char *at, size_t len)
{
    char out[2 * MIMIC_BYTES];
    const char *end = memmem(at, len, "\r\n\r\n", 4);
    if (!end)
        return 0;
    const char *name = memmem(at, (size_t)(end - at), "channel=", 8);
    struct text channel = name ? text_until(name + 8, (size_t)(end - name) - 8, "& ") : (struct text){ 0 };
    bool resumes = memmem(at, (size_t)(end - at), "last_event_id", 13) != NULL;
    c->what = SUB;
    c->listens = name != NULL;
    c->channel = name ? channel_number(channel) : -1;
    c->form = memmem(at, (size_t)(end - at), "pgrade: websocket", 17) ? WS : SSE;
    c->at = resumes && number >= KEPT ? logs[c->form].starts[(number + 1) % KEPT] : logs[c->form].end;
    if (c->channel >= 0)
        by_channel[c->channel] = c;
    else if (c->listens)
        subs[n_subs++] = c;
    say(c, out, c->form == WS ? mimic_begin_ws(out, channel, number) : mimic_begin_sse(out, channel, number));
    flush_sub(c);
    return (size_t)(end - at) + 4;
}

static size_t take_post(const char *at, size_t len)
{
    char *end = memmem(at, len, "\r\n\r\n", 4), *length = end ? memmem(at, (size_t)(end - at), "ength: ", 7) : NULL;
    size_t body = length ? strtoull(length + 7, NULL, 10) : 0, head = length ? (size_t)(end - at) + 4 : 0;
    if (!length || len < head + body)
        return 0;
    static const char path[] = "POST /v1/channels/";
    struct mimic_message message = message_of(text_until(at + sizeof path - 1, head - sizeof path, "/"), (struct text){ end + 4, body });
    size_t subscribers = publish(&message);
    out_len += mimic_created(out_bytes + out_len, &message, subscribers);
    return head + body;
}

static void take_command(const char *json, size_t len)
{
    const char *channel = memmem(json, len, "\"channel\":\"", 11), *data = memmem(json, len, "\"data\":\"", 8), *ref = memmem(json, len, "\"ref\":", 6);
    if (!channel || !data || !ref)
        return;
    struct mimic_message message = message_of(text_until(channel + 11, (size_t)(json + len - channel) - 11, "\""), (struct text){ data + 8, (size_t)(ref - data) - 10 });
    size_t subscribers = publish(&message);
    out_len += mimic_ok(out_bytes + out_len, &message, text_until(ref + 6, (size_t)(json + len - ref) - 6, ",}"), subscribers);
}

static size_t take_frame(char *at, size_t len)
{
    if (len < 2)
        return 0;
    size_t size = (unsigned char)at[1] & 127, head = size == 126 ? 8 : 6;
    if (size == 127 || len < head)
        return 0;
    if (size == 126)
        size = (size_t)(unsigned char)at[2] << 8 | (unsigned char)at[3];
    if (len < head + size)
        return 0;
    for (size_t i = 0; i < size; i++)
        at[head + i] = (char)(at[head + i] ^ at[head - 4 + i % 4]);
    if ((at[0] & 15) == 1)
        take_command(at + head, size);
    return head + size;
}

static size_t take(struct conn *c, char *at, size_t len)
{
    if (OUT_BYTES - out_len < 2 * MIMIC_BYTES) {
        say(c, out_bytes, out_len);
        out_len = 0;
    }
    return c->what == NEW ? take_subscriber(c, at, len) : c->what == PUB ? take_post(at, len) : c->form == WS ? take_frame(at, len) : len;
}

/* Reads once and takes what is complete; false when there is nothing more to read, or the connection is no more. */
static bool read_once(struct conn *c)
{
    static char in[IN_BYTES];
    size_t have = c->part_len, used = 0, took;
    if (have > 0)
        memcpy(in, c->part, have);
    ssize_t n = sock_recv(&c->sock, in + have, sizeof in - have);
    if (n == 0 || (n < 0 && errno != EAGAIN))
        drop(c);
    if (n <= 0)
        return false;
    have += (size_t)n;
    while (used < have && (took = take(c, in + used, have - used)) > 0)
        used += took;
    free(c->part);
    c->part_len = have - used;
    c->part = c->part_len > 0 ? memcpy(malloc(c->part_len), in + used, c->part_len) : NULL;
    return have == sizeof in;
}

static void readable(struct conn *c)
{
    int fd = c->sock.fd;
    while (read_once(c))
        ;
    if (conns[fd] && out_len > 0)
        say(c, out_bytes, out_len);
    out_len = 0;
}

/* ---- the loop ---- */

static void add(struct sock sock, enum what what)
{
    struct epoll_event event = { .events = EPOLLIN, .data.fd = sock.fd };
    struct conn *c = conns[sock.fd] = calloc(1, sizeof *c);
    *c = (struct conn){ .sock = sock, .what = what };
    epoll_ctl(epoll, EPOLL_CTL_ADD, sock.fd, &event);
}

static void accept_all(int fd, enum what what)
{
    for (struct sock sock; sock_accept(fd, &sock);)
        add(sock, what);
}

static void turn(void)
{
    struct epoll_event events[512];
    int n = epoll_wait(epoll, events, 512, -1);
    for (int i = 0; i < n; i++) {
        struct conn *c = conns[events[i].data.fd];
        if (!c)
            continue;
        if (c->what == SUB_PORT)
            accept_all(c->sock.fd, NEW);
        else if (c->what == PUB_PORT)
            accept_all(c->sock.fd, PUB);
        else if (events[i].events & EPOLLOUT && c->waits)
            flush_sub(c);
        else
            readable(c);
    }
    if (coalescing)
        flush_all();
}

int main(int argc, char **argv)
{
    struct sockaddr_in sub, pub;
    struct rlimit files;
    coalescing = argc > 1 && !strcmp(argv[1], "coalescing");
    if (argc > 3)
        sock_use_tls(argv[2], argv[3]);
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max < CONNS_MAX ? files.rlim_max : CONNS_MAX;
    setrlimit(RLIMIT_NOFILE, &files);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    for (int form = 0; form < FORMS; form++)
        logs[form].bytes = malloc(LOG_BYTES);
    add((struct sock){ .fd = sock_listen(&sub) }, SUB_PORT);
    add((struct sock){ .fd = sock_listen(&pub) }, PUB_PORT);
    printf("ready public=127.0.0.1:%d api=127.0.0.1:%d pid=%d\n", ntohs(sub.sin_port), ntohs(pub.sin_port), (int)getpid());
    fflush(stdout);
    for (;;)
        turn();
}
