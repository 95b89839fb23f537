/* load.c — the generator: opens subscribers, publishes, counts, and prints one line of JSON. The options are those of load.h.
 *
 *   load fanout   --kind ws|sse --sub H:P --pub H:P --pid N --n 1000 --window 200 --messages M [--size 128]
 *                 publishes with at most `window` messages not yet received by all. --window 1: one at a time
 *                 --bursts: `window` messages in one send(), the next when all have got these
 *   load latency  --kind … --n 100 --rate 1000 --messages M     time from publish to receipt
 *   load publish  --conns 64 --window W --messages M [--by ws|lines] [--channels C] [--kind ws --subscribed]
 *                 publishes to one channel per connection, or to C in turn; --subscribed: each channel has a subscriber
 *                 --form FORM: the names of channels, here and in `hold`, with %zu for their number; of `hold` also patterns
 *   load hold     --kind … --n N [--channels C]                 holds N connections until standard input ends; says when all are ready
 *                 --kind poll: they wait for a minute at most
 *   load members  --n N --messages M [--conns A] [--users]      N of one channel leave it and come again, beside A who are told
 *   load accept   --kind … --messages N --conns 64 [--token T]  connect, be answered, close
 *   load resume   --kind … --n 10000 --since POSITION --expect 100     all come back at once and read what they missed
 *   load hooks    [--pub H:P --pid N]             webhooks from both ends, led by lines on standard input (hooks.c)
 *   load relay      --n PAIRS --window W --messages M [--peerjs]       offers between the two of each pair, both ways
 *   load relay-late --n PAIRS --rate R --messages M                    the same at a pace: how late they come
 *   load rooms      --n N --channels C            N WebSockets that join rooms of C members when a line on standard input says so
 *
 * --tls: all of it over TLS. CPU time is that of the server's threads over the measured part, so the generator's does not count. */
#include "load.h"

#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>

enum { PATIENCE_MS = 20000, SIZE_AT_MOST = 1500 };      /* a message fits into what a peer keeps of one that is not complete */

void die(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

void die_saying(const char *what)
{
    fprintf(stderr, "load: %s\n", what);
    exit(1);
}

/* ---- what is measured ---- */

uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* The first number of /proc/PID/task/TID/schedstat is user and system time together, in ns; /proc/PID/stat has only ticks. */
static uint64_t cpu_ns(uint64_t pid)
{
    char path[300];
    uint64_t sum = 0, ns;
    struct dirent *entry;
    snprintf(path, sizeof path, "/proc/%lu/task", pid);
    DIR *dir = opendir(path);
    if (!dir)
        die(path);
    while ((entry = readdir(dir))) {
        snprintf(path, sizeof path, "/proc/%lu/task/%s/schedstat", pid, entry->d_name);
        FILE *file = entry->d_name[0] == '.' ? NULL : fopen(path, "r");
        if (file && fscanf(file, "%lu", &ns) == 1)
            sum += ns;
        if (file)
            fclose(file);
    }
    closedir(dir);
    return sum;
}

struct measured measure_begin(const struct load *l)
{
    return (struct measured){ now_ns(), cpu_ns(l->o.pid) };
}

struct measured measure_end(const struct load *l, struct measured began)
{
    return (struct measured){ now_ns() - began.ns, cpu_ns(l->o.pid) - began.cpu_ns };
}

/* ---- the loop ---- */

void load_watch(struct load *l, struct peer *peer)
{
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = peer };
    if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, peer->sock.fd, &event))
        die("epoll_ctl");
}

static void read_peer(struct load *l, struct peer *peer)
{
    bool publishes = peer->kind == PEER_POST || peer->kind == PEER_WS_PUBLISH || peer->kind == PEER_LINES;
    uint64_t counted = peer->messages + peer->refused, subscribed = peer->subscribed, joined = peer->joined, told = peer->told;
    peer_read(peer, publishes ? NULL : l->on_data, l->on_data_arg);
    counted = peer->messages + peer->refused - counted;
    if (publishes)
        l->answered += counted;
    else
        l->received += counted, l->subscribed += peer->subscribed - subscribed;
    l->joined += peer->joined - joined;
    l->told += peer->told - told;
    if (peer->kind == PEER_MEMBER && peer->refused > 0)
        die_saying("a member was refused something");
    if (peer->gone)
        die_saying("a connection ended, or said what is not understood");
}

bool load_pump(struct load *l, int ms)
{
    struct epoll_event events[256];
    int n = epoll_wait(l->epoll, events, 256, ms);
    for (int i = 0; i < n; i++)
        read_peer(l, events[i].data.ptr);
    return n > 0;
}

void load_must_pump(struct load *l, const char *what)
{
    if (!load_pump(l, PATIENCE_MS))
        die_saying(what);
}

/* What polls have begun is told by nobody, so they come no faster than they are let in. */
enum { POLL_REST_MS = 5 };
static const char *const paths[] = { [PEER_WS] = "/ws", [PEER_SSE] = "/sse", [PEER_POLL] = "/poll" };

void load_open_subs(struct load *l, const char *channel, size_t at_once)
{
    l->subs = calloc(l->o.n, sizeof *l->subs);
    for (size_t i = 0; i < l->o.n; i++) {
        char name[100], path[300], user[40] = "";
        snprintf(name, sizeof name, channel, i);
        if (l->o.users)
            snprintf(user, sizeof user, "&user=u%zu", i);
        snprintf(path, sizeof path, "%s?channel=%s%s%s%s%s", paths[l->o.kind], name, l->o.since ? "&last_event_id=" : "", l->o.since ? l->o.since : "",
                 user, l->o.kind == PEER_POLL ? "&timeout=60" : "");
        if (peer_open(&l->subs[i], l->o.kind, &l->sub_to, path))
            die("connect");
        load_watch(l, &l->subs[i]);
        l->subscribed += l->o.kind == PEER_POLL;
        if (l->o.kind == PEER_POLL && i % at_once == 0)
            load_pump(l, POLL_REST_MS);
        while (i + 1 - l->subscribed > at_once)
            load_must_pump(l, "a subscriber did not become ready");
    }
    while (l->subscribed < l->o.n)
        load_must_pump(l, "not all subscribers became ready");
}

/* ---- what to do ---- */

static const struct {
    const char *name;
    int       (*run)(struct load *l);
} modes[] = {
    { "fanout", mode_fanout }, { "latency", mode_latency }, { "publish", mode_publish },
    { "hold", mode_hold },     { "members", mode_members }, { "accept", mode_accept },   { "resume", mode_resume },
    { "hooks", mode_hooks },   { "relay", mode_relay },     { "relay-late", mode_relay_late }, { "rooms", mode_rooms },
};

enum type { NUMBER, TEXT, FLAG };
#define OPTION(name, type) { #name, type, offsetof(struct options, name) }
static const struct {
    const char *name;
    enum type   type;
    size_t      at;
} options[] = {
    { "kind", TEXT, offsetof(struct options, kind_name) },
    OPTION(by, TEXT),       OPTION(sub, TEXT),      OPTION(pub, TEXT),      OPTION(since, TEXT),    OPTION(token, TEXT),    OPTION(form, TEXT),
    OPTION(pid, NUMBER),
    OPTION(n, NUMBER),      OPTION(conns, NUMBER),  OPTION(window, NUMBER), OPTION(size, NUMBER),   OPTION(expect, NUMBER),
    OPTION(channels, NUMBER), OPTION(messages, NUMBER), OPTION(rate, NUMBER), OPTION(subscribed, FLAG), OPTION(bursts, FLAG), OPTION(peerjs, FLAG), OPTION(users, FLAG), OPTION(tls, FLAG),
};
enum { OPTIONS = sizeof options / sizeof *options };

static void take_option(struct options *o, size_t i, const char *value)
{
    void *at = (char *)o + options[i].at;
    if (options[i].type == NUMBER)
        *(uint64_t *)at = strtoull(value, NULL, 10);
    else if (options[i].type == TEXT)
        *(const char **)at = value;
    else
        *(bool *)at = true;
}

static void parse(int argc, char **argv, struct options *o)
{
    struct option longs[OPTIONS + 1] = { 0 };
    for (size_t i = 0; i < OPTIONS; i++)
        longs[i] = (struct option){ options[i].name, options[i].type != FLAG, NULL, (int)i };
    *o = (struct options){ .kind_name = "ws", .by = "http", .form = "b%zu", .size = 128, .window = 1, .conns = 1, .messages = 1000, .rate = 1000 };
    for (int c; (c = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        if (c == '?')
            exit(2);
        take_option(o, (size_t)c, optarg);
    }
    o->kind = !strcmp(o->kind_name, "sse") ? PEER_SSE : !strcmp(o->kind_name, "poll") ? PEER_POLL : PEER_WS;
    if (o->subscribed)
        o->n = o->conns;
    if (o->size > SIZE_AT_MOST)
        o->size = SIZE_AT_MOST;
}

int main(int argc, char **argv)
{
    struct load l = { .epoll = epoll_create1(EPOLL_CLOEXEC) };
    struct rlimit files;
    parse(argc, argv, &l.o);
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    if (l.o.tls)
        sock_use_tls(NULL, NULL);
    if (l.o.sub)
        l.sub_to = sock_address(l.o.sub);
    if (l.o.pub)
        l.pub_to = sock_address(l.o.pub);
    for (size_t i = 0; optind < argc && i < sizeof modes / sizeof *modes; i++)
        if (!strcmp(argv[optind], modes[i].name))
            return modes[i].run(&l);
    fprintf(stderr, "usage: load fanout|latency|publish|hold|members|accept|resume|hooks|relay|relay-late|rooms [options]\n");
    return 2;
}
