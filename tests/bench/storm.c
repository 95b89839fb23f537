/* storm.c — thousands of EventSources that come back: a program of its own, `make bench ARGS=--only=storm`.
 *
 *   storm --sub H:P --pub H:P --n 10000 --path '/sse?channel=storm' --rate 5
 *
 * It does what the HTML standard makes an EventSource do: reads retry: and id:, and after a cut, or a connection that did not come about,
 * waits as long as it was told last and connects again with Last-Event-ID. Meanwhile it publishes numbers to the channel `storm` on one
 * keep-alive connection, `rate` a second. That a number is missing, comes twice or out of order, that a gap is told, or that a publish is
 * not accepted ends it with a sentence on standard error.
 *
 * It is led by lines on standard input, each answered by one line of JSON:
 *   ready    when all are connected
 *   away     the hub will be taken away: publishes wait from now on. Counting begins
 *   cut      all will be cut, and the hub stays: likewise, but publishes go on
 *   here     the hub is back: publishes go on, and time counts from here, else from when the last was cut
 *   back     when all are connected again and have everything: what it was like
 *   end      or the end of standard input: it ends
 *
 * Threading: one thread and one epoll. The bytes of a stream are read by the parser of `carillon sub`. */
#define _GNU_SOURCE
#include "clients/cli/sse_parser.h"
#include "sock.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { READ_BYTES = 64 * 1024, EVENTS = 512, BLOCK_MAX = 64 * 1024, DEFAULT_RETRY_MS = 3000, TICK_MS = 2, PATIENCE_MS = 180 * 1000, LATENCIES = 100000 };

enum state { WAITING, CONNECTING, ASKED, OPEN };        /* OPEN: hub.ready has been read */

struct client {
    int               fd;
    enum state        state;
    int64_t           due_ms;          /* WAITING: when it connects */
    uint64_t          next;            /* number it must get next; 0: any */
    uint64_t          head_seen;       /* bytes of "\r\n\r\n" at the end of what was read, while ASKED; 4: the body has begun */
    struct sse_parser parser;
};

static struct {
    const char        *path;
    struct sockaddr_in sub_to, pub_to;
    uint64_t           n, rate;
    int                epoll;
    struct client     *clients;
    uint64_t           open;                  /* clients that are OPEN */
    /* publishing */
    struct sock        pub;                   /* fd -1: not connected */
    bool               hub_away;
    uint64_t           sent, answered;        /* numbers */
    int64_t            began_ms, sent_ns;
    /* since `away` or `cut` */
    int64_t            from_ms;
    uint64_t           cuts, vain, back;      /* connections cut; attempts that came to nothing; hub.readys */
    int64_t            told_most_ms, told_least_ms, last_back_ms;
    uint64_t           in_tenth[10];          /* when they came back, in tenths of the longest delay */
    uint64_t           latency_us[LATENCIES];
    size_t             n_latencies;
} storm = { .path = "/sse?channel=storm", .n = 1000, .rate = 5, .pub.fd = -1 };

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}
static int64_t now_ms(void) { return now_ns() / 1000000; }

_Noreturn static void die(const char *what)
{
    fprintf(stderr, "storm: %s\n", what);
    exit(1);
}

/* ---- an EventSource ---- */

static int64_t retry_ms(const struct client *c) { return c->parser.retry_ms >= 0 ? c->parser.retry_ms : DEFAULT_RETRY_MS; }

static void wait_and_come_back(struct client *c)
{
    if (c->state == OPEN) {
        storm.open--;
        storm.cuts++;
        storm.from_ms = now_ms();
    } else {
        storm.vain++;
    }
    close(c->fd);
    c->fd = -1;
    c->state = WAITING;
    c->due_ms = now_ms() + retry_ms(c);
}

static void watch(struct client *c, int operation, uint32_t events)
{
    struct epoll_event event = { .events = events, .data.ptr = c };
    if (epoll_ctl(storm.epoll, operation, c->fd, &event))
        die("epoll_ctl");
}

static void come(struct client *c)
{
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        die("no descriptor: ulimit -n");
    c->state = CONNECTING;
    c->head_seen = 0;
    if (connect(c->fd, (const struct sockaddr *)&storm.sub_to, sizeof storm.sub_to) && errno != EINPROGRESS)
        wait_and_come_back(c);
    else
        watch(c, EPOLL_CTL_ADD, EPOLLOUT);
}

static void ask(struct client *c)
{
    char head[600];
    struct slice id = buf_slice(&c->parser.last_id);
    int n = snprintf(head, sizeof head, "GET %s HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n%s%.*s%s\r\n", storm.path,
                     id.len ? "Last-Event-ID: " : "", (int)id.len, id.len ? id.at : "", id.len ? "\r\n" : "");
    if (send(c->fd, head, (size_t)n, MSG_NOSIGNAL) != n) {
        wait_and_come_back(c);
        return;
    }
    sse_parser_restart(&c->parser);
    c->state = ASKED;
    watch(c, EPOLL_CTL_MOD, EPOLLIN);
}

/* When it came back, in tenths of the longest delay that anybody was told. */
static void count_back(int64_t now)
{
    int64_t after = now - storm.from_ms;
    size_t tenth = storm.told_most_ms > 0 ? (size_t)(after * 10 / storm.told_most_ms) : 9;
    storm.in_tenth[tenth < 9 ? tenth : 9]++;
    storm.last_back_ms = now;
    storm.back++;
}

static void take_number(struct client *c, struct slice data)
{
    uint64_t number = 0;
    for (size_t i = 0; i < data.len && data.at[i] >= '0' && data.at[i] <= '9'; i++)
        number = number * 10 + (uint64_t)(data.at[i] - '0');
    if (c->next && number != c->next)
        die("a message is missing, came twice or out of order");
    c->next = number + 1;
}

static int on_event(void *arg, const struct sse_event *event)
{
    struct client *c = arg;
    if (slice_is(event->type, SLICE("message"))) {
        take_number(c, event->data);
    } else if (slice_is(event->type, SLICE("hub.ready"))) {
        c->state = OPEN;
        storm.open++;
        count_back(now_ms());
    } else if (slice_is(event->type, SLICE("hub.gap"))) {
        die("a gap was told");
    }
    return 0;
}

/* The body begins behind the head; chunks are not used. */
static size_t skip_head(struct client *c, const char *bytes, size_t n)
{
    size_t i = 0;
    for (; i < n && c->head_seen < 4; i++)
        c->head_seen = bytes[i] == "\r\n\r\n"[c->head_seen] ? c->head_seen + 1 : bytes[i] == '\r';
    return i;
}

static void read_client(struct client *c)
{
    static char bytes[READ_BYTES];
    ssize_t n = recv(c->fd, bytes, sizeof bytes, 0);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        wait_and_come_back(c);
        return;
    }
    size_t body = skip_head(c, bytes, (size_t)n);
    if (sse_parser_feed(&c->parser, bytes + body, (size_t)n - body))
        die("what a stream says is not understood");
}

static void on_client(struct client *c, uint32_t events)
{
    int error = 0;
    socklen_t len = sizeof error;
    if (c->state != CONNECTING) {
        read_client(c);
        return;
    }
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len);
    if (error || (events & EPOLLERR))
        wait_and_come_back(c);
    else
        ask(c);
}

static void come_who_are_due(int64_t now)
{
    for (uint64_t i = 0; i < storm.n; i++)
        if (storm.clients[i].state == WAITING && storm.clients[i].due_ms <= now)
            come(&storm.clients[i]);
}

/* ---- publishing ---- */

static void publish(void)
{
    char request[300], body[32];
    int len = snprintf(body, sizeof body, "%lu", storm.sent + 1);
    int n = snprintf(request, sizeof request, "POST /v1/channels/storm/messages HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\n"
                                              "Content-Length: %d\r\n\r\n%s", len, body);
    if (storm.pub.fd < 0) {
        struct epoll_event event = { .events = EPOLLIN, .data.ptr = &storm.pub };
        if (sock_connect(&storm.pub, &storm.pub_to) || epoll_ctl(storm.epoll, EPOLL_CTL_ADD, storm.pub.fd, &event))
            die("the API cannot be reached");
    }
    if (sock_send(&storm.pub, request, (size_t)n) != n)
        die("a publish could not be sent");
    storm.sent++;
    storm.sent_ns = now_ns();
}

/* One at a time, so an answer comes in one piece. */
static void read_answer(void)
{
    char bytes[2048];
    ssize_t n = sock_recv(&storm.pub, bytes, sizeof bytes);
    if (n <= 0 && storm.hub_away) {
        sock_close(&storm.pub);
        return;
    }
    if (n < 12 || memcmp(bytes, "HTTP/1.1 201", 12))
        die("a publish failed");
    storm.answered++;
    if (storm.n_latencies < LATENCIES)
        storm.latency_us[storm.n_latencies++] = (uint64_t)(now_ns() - storm.sent_ns) / 1000;
}

static void publish_what_is_due(int64_t now)
{
    if (!storm.hub_away && storm.sent == storm.answered && now - storm.began_ms >= (int64_t)(storm.sent * 1000 / storm.rate))
        publish();
}

/* ---- being led ---- */

static void pump(int wait_ms)
{
    struct epoll_event events[EVENTS];
    int n = epoll_wait(storm.epoll, events, EVENTS, wait_ms);
    for (int i = 0; i < n; i++) {
        if (events[i].data.ptr == &storm.pub)
            read_answer();
        else
            on_client(events[i].data.ptr, events[i].events);
    }
    int64_t now = now_ms();
    if (storm.open < storm.n)
        come_who_are_due(now);
    publish_what_is_due(now);
}

static bool is_settled(void) { return storm.open == storm.n && storm.sent == storm.answered; }

/* Until all are connected and nothing is under way. `caught_up`: and have every number. */
static void settle(bool caught_up)
{
    int64_t began = now_ms();
    for (;;) {
        bool missing = false;
        for (uint64_t i = 0; caught_up && is_settled() && i < storm.n && !missing; i++)
            missing = storm.clients[i].next <= storm.sent;
        if (is_settled() && !missing)
            return;
        if (now_ms() - began > PATIENCE_MS)
            die("not all came back");
        pump(TICK_MS);
    }
}

static void begin_counting(bool hub_away)
{
    storm.hub_away = hub_away;
    while (storm.sent > storm.answered)
        pump(TICK_MS);
    storm.from_ms = now_ms();
    storm.cuts = storm.vain = storm.back = 0;
    storm.n_latencies = 0;
    storm.told_least_ms = INT64_MAX;
    storm.told_most_ms = 0;
    memset(storm.in_tenth, 0, sizeof storm.in_tenth);
    for (uint64_t i = 0; i < storm.n; i++) {
        int64_t told = retry_ms(&storm.clients[i]);
        storm.told_least_ms = told < storm.told_least_ms ? told : storm.told_least_ms;
        storm.told_most_ms = told > storm.told_most_ms ? told : storm.told_most_ms;
    }
}

/* A drain tells everybody anew. */
static void be_here(void)
{
    for (uint64_t i = 0; i < storm.n; i++) {
        int64_t told = retry_ms(&storm.clients[i]);
        storm.told_most_ms = told > storm.told_most_ms ? told : storm.told_most_ms;
    }
    storm.hub_away = false;
    sock_close(&storm.pub);
    storm.from_ms = now_ms();
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void tell_back(void)
{
    size_t n = storm.n_latencies;
    uint64_t most = 0;
    for (int i = 0; i < 10; i++)
        most = storm.in_tenth[i] > most ? storm.in_tenth[i] : most;
    qsort(storm.latency_us, n, sizeof *storm.latency_us, by_value);
    printf("{\"cut\":%lu,\"in_vain\":%lu,\"back\":%lu,\"told_least_s\":%.3f,\"told_most_s\":%.3f,\"seconds\":%.3f,\"busiest_tenth\":%lu,"
           "\"publishes\":%zu,\"publish_p50_ms\":%.3f,\"publish_max_ms\":%.3f}\n", storm.cuts, storm.vain, storm.back,
           (double)storm.told_least_ms / 1e3, (double)storm.told_most_ms / 1e3, (double)(storm.last_back_ms - storm.from_ms) / 1e3, most,
           n, n ? (double)storm.latency_us[n / 2] / 1e3 : 0, n ? (double)storm.latency_us[n - 1] / 1e3 : 0);
}

static void obey(const char *line)
{
    if (!strncmp(line, "ready", 5))
        settle(false), printf("{}\n");
    else if (!strncmp(line, "away", 4))
        begin_counting(true), printf("{}\n");
    else if (!strncmp(line, "cut", 3))
        begin_counting(false), printf("{}\n");
    else if (!strncmp(line, "here", 4))
        be_here(), printf("{}\n");
    else if (!strncmp(line, "back", 4))
        settle(true), tell_back();
    else
        exit(0);
    fflush(stdout);
}

/* While nobody says anything it goes on. */
static void serve(void)
{
    char line[32] = "";
    struct epoll_event event = { .events = EPOLLIN }, one;
    int stdin_epoll = epoll_create1(EPOLL_CLOEXEC);
    epoll_ctl(stdin_epoll, EPOLL_CTL_ADD, STDIN_FILENO, &event);
    for (;;) {
        pump(TICK_MS);
        if (epoll_wait(stdin_epoll, &one, 1, 0) <= 0)
            continue;
        ssize_t n = read(STDIN_FILENO, line, sizeof line - 1);
        if (n <= 0)
            return;
        line[n] = '\0';
        obey(line);
    }
}

static void parse(int argc, char **argv)
{
    static const struct option longs[] = { { "sub", 1, NULL, 's' }, { "pub", 1, NULL, 'p' }, { "n", 1, NULL, 'n' }, { "path", 1, NULL, 'P' },
                                           { "rate", 1, NULL, 'r' }, { 0 } };
    for (int c; (c = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        if (c == 's')
            storm.sub_to = sock_address(optarg);
        else if (c == 'p')
            storm.pub_to = sock_address(optarg);
        else if (c == 'n')
            storm.n = strtoull(optarg, NULL, 10);
        else if (c == 'P')
            storm.path = optarg;
        else if (c == 'r')
            storm.rate = strtoull(optarg, NULL, 10);
        else
            exit(2);
    }
}

int main(int argc, char **argv)
{
    struct rlimit files;
    parse(argc, argv);
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    storm.epoll = epoll_create1(EPOLL_CLOEXEC);
    storm.clients = calloc(storm.n, sizeof *storm.clients);
    storm.began_ms = now_ms();
    for (uint64_t i = 0; i < storm.n; i++) {
        storm.clients[i] = (struct client){ .fd = -1, .state = WAITING, .due_ms = INT64_MAX };
        sse_parser_init(&storm.clients[i].parser, BLOCK_MAX, on_event, &storm.clients[i]);
    }
    for (uint64_t i = 0; i < storm.n; i++) {
        come(&storm.clients[i]);
        if (i % 64 == 63)
            pump(0);
    }
    serve();
    return 0;
}
