/* baseline.c — what is possible: a server that does nothing but epoll, in the same bytes as the hub.
 *
 *   baseline one|coalescing     prints "ready sub=H:P pub=H:P pid=N"
 *
 * One thread. Subscribers (/ws or /sse, whatever the channel) are answered as the hub answers them; each POST becomes one
 * message in the hub's own form. `one` sends every message by itself to every subscriber; `coalescing` appends it to one
 * shared log and sends each subscriber all it has not got yet, once per turn. A subscriber given last_event_id gets the
 * last 100 messages (the resume baseline). No JSON is parsed, nothing is checked, nothing is kept safe. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { LOG_BYTES = 64 * 1024 * 1024, CONNS_MAX = 70000, KEPT = 100, IN_BYTES = 64 * 1024, IN_SMALL = 1024, CHANNELS = 1024 };
enum form { WS, SSE, FORMS };
enum what { SUB_PORT, PUB_PORT, NEW, SUB, PUB };

struct conn {
    int       fd;
    enum what what;
    enum form form;
    uint64_t  at;                 /* how far of the log it has got */
    char     *in;                 /* IN_BYTES for publishers, who pipeline; IN_SMALL for others */
    size_t    in_len, in_cap;
    long      channel;            /* the number its channel's name ends with; -1: none */
    bool      waits;
};

/* All messages in one form, as one growing text of which the last LOG_BYTES are there. */
static struct log {
    char    *bytes;
    uint64_t end;
    uint64_t starts[KEPT];        /* of the newest messages */
} logs[FORMS];

static struct conn *conns[CONNS_MAX];
static struct conn *subs[CONNS_MAX];
static size_t n_subs;
static struct conn *by_channel[CHANNELS];     /* of channels that end with a number: one subscriber each */
static int epoll;
static uint64_t number;
static bool coalescing;

static void append(struct log *log, const char *bytes, size_t n)
{
    uint64_t at = log->end % LOG_BYTES;
    size_t head = n < LOG_BYTES - at ? n : LOG_BYTES - (size_t)at;
    memcpy(log->bytes + at, bytes, head);
    memcpy(log->bytes, bytes + head, n - head);
    log->end += n;
}

static void drop(struct conn *c)
{
    for (size_t i = 0; c->what == SUB && i < n_subs; i++)
        if (subs[i] == c) {
            subs[i] = subs[--n_subs];
            break;
        }
    if (c->what == SUB && c->channel >= 0)
        by_channel[c->channel] = NULL;
    close(c->fd);
    conns[c->fd] = NULL;
    free(c->in);
    free(c);
}

static void flush_sub(struct conn *c)
{
    struct log *log = &logs[c->form];
    while (c->at < log->end) {
        uint64_t at = c->at % LOG_BYTES, n = log->end - c->at;
        if (n > LOG_BYTES - at)
            n = LOG_BYTES - at;
        ssize_t sent = send(c->fd, log->bytes + at, (size_t)n, MSG_NOSIGNAL);
        if (sent < 0)
            break;
        c->at += (uint64_t)sent;
    }
    bool waits = c->at < log->end;
    if (waits != c->waits) {
        struct epoll_event event = { .events = waits ? EPOLLIN | EPOLLOUT : EPOLLIN, .data.fd = c->fd };
        epoll_ctl(epoll, EPOLL_CTL_MOD, c->fd, &event);
        c->waits = waits;
    }
}

static void flush_all(void)
{
    for (size_t i = 0; i < n_subs; i++)
        if (!subs[i]->waits)
            flush_sub(subs[i]);
}

/* One message to the one subscriber of a numbered channel: its own send. */
static void message_to(struct conn *c, const char *bytes, size_t n)
{
    if (c && send(c->fd, bytes, n, MSG_NOSIGNAL) < 0)
        perror("send");
}

static void message(const char *data, size_t len, long channel)
{
    static char object[80000], out[80100];
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    number++;
    int n = snprintf(object, sizeof object, "{\"type\":\"message\",\"channel\":\"bench\",\"id\":\"abcdefgh.%lu\",\"data\":\"%.*s\",\"time\":%lu}",
                     number, (int)len, data, (unsigned long)t.tv_sec * 1000 + (unsigned long)t.tv_nsec / 1000000);
    unsigned char header[4] = { 0x81, 126, (unsigned char)(n >> 8), (unsigned char)n };
    if (channel >= 0) {
        memcpy(out, header, 4);
        memcpy(out + 4, object, (size_t)n);
        message_to(by_channel[channel], out, (size_t)n + 4);
        return;
    }
    for (int form = 0; form < FORMS; form++)
        logs[form].starts[number % KEPT] = logs[form].end;
    if (n < 126) {
        header[1] = (unsigned char)n;
        append(&logs[WS], (char *)header, 2);
    } else {
        append(&logs[WS], (char *)header, 4);
    }
    append(&logs[WS], object, (size_t)n);
    n = snprintf(out, sizeof out, "id: abcdefgh.%lu\ndata: %.*s\n\n", number, (int)len, data);
    append(&logs[SSE], out, (size_t)n);
    if (!coalescing)
        flush_all();
}

static void say(struct conn *c, const char *text, size_t n)
{
    if (send(c->fd, text, n, MSG_NOSIGNAL) != (ssize_t)n)
        perror("send");
}

static void say_ws(struct conn *c, const char *text)
{
    char out[300];
    size_t n = strlen(text), head = n < 126 ? 2 : 4;
    out[0] = (char)0x81;
    out[1] = (char)(n < 126 ? n : 126);
    if (n >= 126) {
        out[2] = (char)(n >> 8);
        out[3] = (char)n;
    }
    memcpy(out + head, text, n);
    say(c, out, head + n);
}

/* The number that follows the last letter of a channel's name, or -1. */
static long channel_number(const char *after_name_begins)
{
    while (*after_name_begins >= 'a' && *after_name_begins <= 'z')
        after_name_begins++;
    return *after_name_begins >= '0' && *after_name_begins <= '9' ? strtol(after_name_begins, NULL, 10) % CHANNELS : -1;
}

static void subscribe(struct conn *c, bool resumes)
{
    static const char upgrade[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                  "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    static const char stream[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n\r\nretry: 2000\n\n"
                                 "id: abcdefgh.0\nevent: hub.ready\ndata: {\"type\":\"ready\",\"position\":\"abcdefgh.0\",\"connection\":\"c1\","
                                 "\"channels\":[{\"channel\":\"bench\",\"recovered\":false,\"resumable\":true}]}\n\n";
    const char *name = memmem(c->in, c->in_len, "channel=", 8);
    c->what = SUB;
    c->channel = name ? channel_number(name + 8) : -1;
    c->form = memmem(c->in, c->in_len, "pgrade: websocket", 17) ? WS : SSE;
    struct log *log = &logs[c->form];
    c->at = resumes && number >= KEPT ? log->starts[(number + 1) % KEPT] : log->end;
    if (c->channel >= 0)
        by_channel[c->channel] = c;
    else
        subs[n_subs++] = c;
    if (c->form == WS) {
        say(c, upgrade, sizeof upgrade - 1);
        say_ws(c, "{\"type\":\"welcome\",\"connection\":\"c1\",\"client\":\"c1\",\"user\":null,\"position\":\"abcdefgh.0\"}");
        say_ws(c, "{\"type\":\"subscribed\",\"channel\":\"bench\",\"position\":\"abcdefgh.0\",\"recovered\":false,\"resumable\":true}");
    } else {
        say(c, stream, sizeof stream - 1);
    }
    c->in_len = 0;
    flush_sub(c);
}

/* Every complete POST in what has come; answers together. */
static void publishes(struct conn *c)
{
    static char out[1 << 18];
    size_t out_len = 0, used = 0;
    for (;;) {
        char *at = c->in + used, *end = memmem(at, c->in_len - used, "\r\n\r\n", 4), *length;
        if (!end || !(length = memmem(at, (size_t)(end - at), "ength: ", 7)))
            break;
        size_t body = strtoull(length + 7, NULL, 10), whole = (size_t)(end - at) + 4 + body;
        if (c->in_len - used < whole)
            break;
        message(end + 4, body, channel_number(at + sizeof "POST /v1/channels/" - 1));
        char answer[120];
        int n = snprintf(answer, sizeof answer, "{\"id\":\"abcdefgh.%lu\",\"channel\":\"bench\",\"time\":1700000000000,\"subscribers\":%zu}", number, n_subs);
        out_len += (size_t)sprintf(out + out_len, "HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", n, answer);
        used += whole;
    }
    memmove(c->in, c->in + used, c->in_len -= used);
    if (out_len > 0)
        say(c, out, out_len);
}

static void readable(struct conn *c)
{
    ssize_t n = recv(c->fd, c->in + c->in_len, c->in_cap - c->in_len, 0);
    if (n == 0 || (n < 0 && errno != EAGAIN)) {
        drop(c);
        return;
    }
    if (n < 0)
        return;
    c->in_len += (size_t)n;
    if (c->what == PUB)
        publishes(c);
    else if (c->what == NEW && memmem(c->in, c->in_len, "\r\n\r\n", 4))
        subscribe(c, memmem(c->in, c->in_len, "last_event_id", 13) != NULL);
    else if (c->what == SUB)
        c->in_len = 0;
}

static int listening(struct sockaddr_in *address)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
    socklen_t len = sizeof *address;
    *address = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)address, len) || listen(fd, 4096) || getsockname(fd, (struct sockaddr *)address, &len)) {
        perror("listen");
        exit(1);
    }
    return fd;
}

static void add(int fd, enum what what)
{
    struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };
    conns[fd] = calloc(1, sizeof *conns[fd]);
    conns[fd]->fd = fd;
    conns[fd]->what = what;
    conns[fd]->in_cap = what == PUB ? IN_BYTES : IN_SMALL;
    conns[fd]->in = malloc(conns[fd]->in_cap);
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

static void accept_all(int fd, enum what what)
{
    for (int client; (client = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;)
        add(client, what);
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
            accept_all(c->fd, NEW);
        else if (c->what == PUB_PORT)
            accept_all(c->fd, PUB);
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
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max < CONNS_MAX ? files.rlim_max : CONNS_MAX;
    setrlimit(RLIMIT_NOFILE, &files);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    for (int form = 0; form < FORMS; form++)
        logs[form].bytes = malloc(LOG_BYTES);
    add(listening(&sub), SUB_PORT);
    add(listening(&pub), PUB_PORT);
    printf("ready public=127.0.0.1:%d api=127.0.0.1:%d pid=%d\n", ntohs(sub.sin_port), ntohs(pub.sin_port), (int)getpid());
    fflush(stdout);
    for (;;)
        turn();
}
