/* load.c — the generator: opens subscribers, publishes, counts, and prints one line of JSON.
 *
 *   load fanout  --kind ws|sse --sub H:P --pub H:P --pid N --n 1000 --window 200 --messages M [--size 128]
 *                publishes with at most `window` messages not yet received by all; server CPU per delivery. --window 1: one at a time
 *   load latency --kind … --n 100 --rate 1000 --messages M      time from publish to receipt, p50 and p99
 *   load publish --pub H:P --pid N --conns 64 --window W --messages M [--sub H:P --kind ws]
 *                publishes to one channel per connection, each with a subscriber if --sub is given
 *   load idle    --kind … --n N           holds N connections until standard input ends; prints when all are ready
 *   load accept  --kind … --messages N --conns 64               connect, be answered, close; per second
 *   load resume  --kind … --n 10000 --since POSITION --expect 100      all come back at once and read what they missed
 *
 * CPU time is that of the server's threads over the measured part, so what the generator costs does not count. */
#include "peer.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

struct options {
    const char    *kind_name, *sub, *pub, *since;
    enum peer_kind kind;
    int            pid;
    size_t         n, conns, window, size, expect;
    uint64_t       messages, rate;
};

struct load {
    struct options     o;
    int                epoll;
    struct peer       *subs, *pubs;
    struct sockaddr_in sub_to, pub_to;
    uint64_t          *latencies;
    size_t             n_latencies;
};

static void die(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void watch(struct load *l, struct peer *peer)
{
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = peer };
    if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, peer->fd, &event))
        die("epoll_ctl");
}

static void on_data(void *arg, struct peer *peer, const char *payload, size_t len)
{
    struct load *l = arg;
    const char *stamp = memmem(payload, len, "T=", 2);
    (void)peer;
    if (stamp && l->n_latencies < l->o.messages * l->o.n)
        l->latencies[l->n_latencies++] = now_ns() - strtoull(stamp + 2, NULL, 10);
}

/* One round of whatever there is to read; false after `ms` without anything. */
static bool pump(struct load *l, int ms)
{
    struct epoll_event events[256];
    int n = epoll_wait(l->epoll, events, 256, ms);
    for (int i = 0; i < n; i++) {
        struct peer *peer = events[i].data.ptr;
        peer_read(peer, l->latencies ? on_data : NULL, l);
        if (peer->gone) {
            errno = ECONNRESET;
            die("a connection ended");
        }
    }
    return n > 0;
}

static uint64_t sum(const struct peer *peers, size_t n)
{
    uint64_t messages = 0;
    for (size_t i = 0; i < n; i++)
        messages += peers[i].messages;
    return messages;
}

static bool all_ready(const struct load *l)
{
    for (size_t i = 0; i < l->o.n; i++)
        if (!l->subs[i].ready)
            return false;
    return true;
}

/* `channel` with %zu in it: one channel each. */
static void open_subs(struct load *l, const char *channel)
{
    const char *path = l->o.kind == PEER_WS ? "/ws" : "/sse";
    l->subs = calloc(l->o.n, sizeof *l->subs);
    for (size_t i = 0; i < l->o.n; i++) {
        char name[100], full[300];
        snprintf(name, sizeof name, "%s%zu", channel, i);
        snprintf(full, sizeof full, "%s?channel=%s%s%s", path, l->o.pub && l->o.conns ? name : channel, l->o.since ? "&last_event_id=" : "",
                 l->o.since ? l->o.since : "");
        if (peer_open(&l->subs[i], l->o.kind, &l->sub_to, full))
            die("connect");
        watch(l, &l->subs[i]);
        if (i % 64 == 63)
            pump(l, 0);
    }
    while (!all_ready(l))
        if (!pump(l, 20000))
            die("not all subscribers became ready");
}

static void send_all(struct load *l, struct peer *peer, const char *at, size_t len)
{
    while (len > 0) {
        ssize_t n = send(peer->fd, at, len, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN)
            die("send");
        if (n < 0)
            pump(l, 1);
        else
            at += n, len -= (size_t)n;
    }
}

static size_t request(const struct load *l, char *out, const char *channel, size_t number, uint64_t stamp)
{
    char body[70000];
    int used = snprintf(body, sizeof body, "T=%lu;", (unsigned long)stamp);
    memset(body + used, 'x', l->o.size > (size_t)used ? l->o.size - (size_t)used : 0);
    size_t size = l->o.size > (size_t)used ? l->o.size : (size_t)used;
    int head = number == SIZE_MAX
        ? sprintf(out, "POST /v1/channels/%s/messages HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n\r\n", channel, size)
        : sprintf(out, "POST /v1/channels/%s%zu/messages HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n\r\n", channel, number, size);
    memcpy(out + head, body, size);
    return (size_t)head + size;
}

static void open_pubs(struct load *l, size_t n)
{
    l->pubs = calloc(n, sizeof *l->pubs);
    for (size_t i = 0; i < n; i++) {
        if (peer_open(&l->pubs[i], PEER_POST, &l->pub_to, ""))
            die("connect");
        watch(l, &l->pubs[i]);
    }
}

static int fanout(struct load *l)
{
    static char bytes[80000];
    uint64_t sent = 0, warm = l->o.messages / 10 + 1, began = 0, cpu = 0, before = 0;
    open_subs(l, "bench");
    open_pubs(l, 1);
    while (sum(l->subs, l->o.n) < l->o.messages * l->o.n) {
        uint64_t through = sum(l->subs, l->o.n);
        if (!began && through >= warm * l->o.n) {
            began = now_ns();
            cpu = cpu_ns(l->o.pid);
            before = through;
        }
        while (sent < l->o.messages && sent < through / l->o.n + l->o.window) {
            send_all(l, &l->pubs[0], bytes, request(l, bytes, "bench", SIZE_MAX, 0));
            sent++;
        }
        if (!pump(l, 20000))
            die("messages are missing");
    }
    uint64_t deliveries = sum(l->subs, l->o.n) - before;
    printf("{\"deliveries\":%lu,\"seconds\":%.3f,\"cpu_us_per_delivery\":%.4f,\"deliveries_per_s\":%.0f,\"refused\":%lu}\n", deliveries,
           (double)(now_ns() - began) / 1e9, (double)(cpu_ns(l->o.pid) - cpu) / 1e3 / (double)deliveries,
           (double)deliveries * 1e9 / (double)(now_ns() - began), l->pubs[0].refused);
    return 0;
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static int latency(struct load *l)
{
    static char bytes[80000];
    open_subs(l, "bench");
    open_pubs(l, 1);
    l->latencies = malloc(l->o.messages * l->o.n * sizeof *l->latencies);
    uint64_t began = now_ns(), cpu = cpu_ns(l->o.pid), sent = 0;
    while (l->n_latencies < l->o.messages * l->o.n) {
        uint64_t due = (now_ns() - began) * l->o.rate / 1000000000u;
        for (; sent < l->o.messages && sent < due; sent++)
            send_all(l, &l->pubs[0], bytes, request(l, bytes, "bench", SIZE_MAX, now_ns()));
        if (!pump(l, sent < l->o.messages ? 1 : 20000) && sent == l->o.messages)
            die("messages are missing");
    }
    qsort(l->latencies, l->n_latencies, sizeof *l->latencies, by_value);
    printf("{\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"max_ms\":%.3f,\"cpu_us_per_delivery\":%.3f}\n", (double)l->latencies[l->n_latencies / 2] / 1e6,
           (double)l->latencies[l->n_latencies * 99 / 100] / 1e6, (double)l->latencies[l->n_latencies - 1] / 1e6,
           (double)(cpu_ns(l->o.pid) - cpu) / 1e3 / (double)l->n_latencies);
    return 0;
}

static int publish(struct load *l)
{
    static char bytes[80000];
    uint64_t *sent = calloc(l->o.conns, sizeof *sent), each = l->o.messages / l->o.conns, total = each * l->o.conns;
    if (l->o.sub) {
        l->o.n = l->o.conns;
        open_subs(l, "b");
    }
    open_pubs(l, l->o.conns);
    uint64_t began = now_ns(), cpu = cpu_ns(l->o.pid);
    while (sum(l->pubs, l->o.conns) < total) {
        for (size_t i = 0; i < l->o.conns; i++)
            for (; sent[i] < each && sent[i] < l->pubs[i].messages + l->pubs[i].refused + l->o.window; sent[i]++)
                send_all(l, &l->pubs[i], bytes, request(l, bytes, "b", i, 0));
        if (!pump(l, 20000))
            die("answers are missing");
    }
    uint64_t ns = now_ns() - began;
    printf("{\"publishes\":%lu,\"per_s\":%.0f,\"cpu_us\":%.2f}\n", total, (double)total * 1e9 / (double)ns,
           (double)(cpu_ns(l->o.pid) - cpu) / 1e3 / (double)total);
    free(sent);
    return 0;
}

static int idle(struct load *l)
{
    char c;
    open_subs(l, "idle");
    printf("{\"ready\":%zu}\n", l->o.n);
    fflush(stdout);
    while (read(STDIN_FILENO, &c, 1) > 0)
        pump(l, 0);
    return 0;
}

static int accept_rate(struct load *l)
{
    const char *path = l->o.kind == PEER_WS ? "/ws?channel=bench" : "/sse?channel=bench";
    uint64_t began = now_ns(), cpu = cpu_ns(l->o.pid), done = 0;
    l->subs = calloc(l->o.conns, sizeof *l->subs);
    for (size_t i = 0; i < l->o.conns; i++)
        l->subs[i].fd = -1;
    while (done < l->o.messages) {
        for (size_t i = 0; i < l->o.conns; i++) {
            struct peer *peer = &l->subs[i];
            if (peer->fd >= 0 && !peer->ready)
                continue;
            done += peer->fd >= 0;
            peer_close(peer);
            if (peer_open(peer, l->o.kind, &l->sub_to, path))
                die("connect");
            watch(l, peer);
        }
        if (!pump(l, 20000))
            die("no answer");
    }
    printf("{\"accepts_per_s\":%.0f,\"cpu_us\":%.2f}\n", (double)done * 1e9 / (double)(now_ns() - began),
           (double)(cpu_ns(l->o.pid) - cpu) / 1e3 / (double)done);
    return 0;
}

static int resume(struct load *l)
{
    uint64_t began = now_ns(), cpu = cpu_ns(l->o.pid);
    open_subs(l, "bench");
    while (sum(l->subs, l->o.n) < l->o.expect * l->o.n)
        if (!pump(l, 20000))
            die("messages are missing");
    uint64_t got = sum(l->subs, l->o.n);
    printf("{\"seconds\":%.3f,\"cpu_s\":%.3f,\"messages\":%lu,\"twice\":%lu}\n", (double)(now_ns() - began) / 1e9,
           (double)(cpu_ns(l->o.pid) - cpu) / 1e9, got, got - l->o.expect * l->o.n);
    return got == l->o.expect * l->o.n ? 0 : 1;
}

static const struct {
    const char *name;
    int       (*run)(struct load *l);
} modes[] = {
    { "fanout", fanout }, { "latency", latency }, { "publish", publish }, { "idle", idle }, { "accept", accept_rate }, { "resume", resume },
};

static void parse(int argc, char **argv, struct options *o)
{
    static const struct option longs[] = {
        { "kind", 1, NULL, 'k' }, { "sub", 1, NULL, 's' }, { "pub", 1, NULL, 'p' }, { "pid", 1, NULL, 'i' }, { "n", 1, NULL, 'n' },
        { "conns", 1, NULL, 'c' }, { "window", 1, NULL, 'w' }, { "messages", 1, NULL, 'm' }, { "size", 1, NULL, 'b' },
        { "rate", 1, NULL, 'r' }, { "since", 1, NULL, 'S' }, { "expect", 1, NULL, 'e' }, { NULL, 0, NULL, 0 },
    };
    *o = (struct options){ .kind_name = "ws", .size = 128, .window = 1, .messages = 1000, .rate = 1000 };
    for (int c; (c = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        switch (c) {
        case 'k': o->kind_name = optarg; break;
        case 's': o->sub = optarg; break;
        case 'p': o->pub = optarg; break;
        case 'i': o->pid = atoi(optarg); break;
        case 'n': o->n = strtoull(optarg, NULL, 10); break;
        case 'c': o->conns = strtoull(optarg, NULL, 10); break;
        case 'w': o->window = strtoull(optarg, NULL, 10); break;
        case 'm': o->messages = strtoull(optarg, NULL, 10); break;
        case 'b': o->size = strtoull(optarg, NULL, 10); break;
        case 'r': o->rate = strtoull(optarg, NULL, 10); break;
        case 'S': o->since = optarg; break;
        case 'e': o->expect = strtoull(optarg, NULL, 10); break;
        default: exit(2);
        }
    }
    o->kind = strcmp(o->kind_name, "sse") ? PEER_WS : PEER_SSE;
    if (o->size > 65536)
        o->size = 65536;
}

int main(int argc, char **argv)
{
    struct load l = { .epoll = epoll_create1(EPOLL_CLOEXEC) };
    struct rlimit files;
    parse(argc, argv, &l.o);
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    if (l.o.sub)
        l.sub_to = peer_address(l.o.sub);
    if (l.o.pub)
        l.pub_to = peer_address(l.o.pub);
    for (size_t i = 0; optind < argc && i < sizeof modes / sizeof *modes; i++)
        if (!strcmp(argv[optind], modes[i].name))
            return modes[i].run(&l);
    fprintf(stderr, "usage: load fanout|latency|publish|idle|accept|resume [options]\n");
    return 2;
}
