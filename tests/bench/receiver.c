#include "receiver.h"

#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <netinet/tcp.h>
#include <unistd.h>

enum { EVENTS = 256, BACKLOG = 4096, FIRST_ROOM = 4096 };

struct taken {
    int    fd;
    size_t len;
    char   bytes[RECEIVER_REQUEST];
};

static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok";

/* ---- what a request says ---- */

static void *larger(void *at, size_t n, size_t size)
{
    if (!(at = realloc(at, n * size)))
        die("realloc");
    return at;
}

static void note_number(struct receiver *r, uint64_t number)
{
    if (number >= r->n_numbers) {
        uint64_t n = 2 * number + 65536;
        r->numbers = larger(r->numbers, n / 8 + 1, 1);
        memset(r->numbers + r->n_numbers / 8, 0, n / 8 + 1 - r->n_numbers / 8);
        r->n_numbers = n / 8 * 8;
    }
    r->twice += r->numbers[number / 8] >> number % 8 & 1;
    r->numbers[number / 8] |= (uint8_t)(1 << number % 8);
}

static void note_time(struct receiver *r, uint64_t sent_ns)
{
    if (r->n_late == r->cap_late)
        r->late_ns = larger(r->late_ns, r->cap_late = 2 * r->cap_late + 4096, sizeof *r->late_ns);
    r->late_ns[r->n_late++] = now_ns() - sent_ns;
}

static void note_first(struct receiver *r, const char *request, size_t len)
{
    r->first_ns = now_ns();
    r->first_len = len < FIRST_ROOM ? len : FIRST_ROOM;
    r->first = larger(NULL, FIRST_ROOM, 1);
    memcpy(r->first, request, r->first_len);
}

static void take_body(struct receiver *r, const char *body, size_t len)
{
    const char *number = memmem(body, len, "N=", 2), *time = memmem(body, len, "T=", 2);
    if (number)
        note_number(r, strtoull(number + 2, NULL, 10));
    if (time)
        note_time(r, strtoull(time + 2, NULL, 10));
}

/* ---- connections ---- */

static void take_request(struct receiver *r, const struct taken *c, const char *request, size_t head, size_t body)
{
    static const char hang[] = "POST /hang";
    if (!r->first)
        note_first(r, request, head + body);
    if (!memcmp(request, hang, sizeof hang - 1)) {
        r->hanging++;
        return;
    }
    take_body(r, request + head, body);
    r->received++;
    if (send(c->fd, answer, sizeof answer - 1, MSG_NOSIGNAL) != sizeof answer - 1)
        die("an answer could not be sent");
}

/* Of a whole request at `at`: bytes of its head, its body's in *ret_body; 0: it is not whole. */
static size_t measure_request(const char *at, size_t len, size_t *ret_body)
{
    static const char name[] = "content-length:";
    const char *end = memmem(at, len, "\r\n\r\n", 4), *length = end ? strcasestr(at, name) : NULL;
    size_t head = end ? (size_t)(end + 4 - at) : 0;
    *ret_body = length && length < end ? strtoull(length + sizeof name - 1, NULL, 10) : 0;
    return head > 0 && len >= head + *ret_body ? head : 0;
}

static void read_some(struct receiver *r, struct taken *c)
{
    ssize_t n = recv(c->fd, c->bytes + c->len, sizeof c->bytes - 1 - c->len, 0);
    size_t at = 0, body;
    if (n <= 0) {
        close(c->fd);
        free(c);
        return;
    }
    c->len += (size_t)n;
    c->bytes[c->len] = '\0';
    for (size_t head; (head = measure_request(c->bytes + at, c->len - at, &body)) > 0; at += head + body)
        take_request(r, c, c->bytes + at, head, body);
    memmove(c->bytes, c->bytes + at, c->len -= at);
    if (c->len == sizeof c->bytes - 1)
        die_saying("a request is too large for the receiver");
}

static void watch(struct receiver *r, int fd, void *arg)
{
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = arg };
    if (epoll_ctl(r->epoll, EPOLL_CTL_ADD, fd, &event))
        die("epoll_ctl");
}

static void take_connections(struct receiver *r)
{
    int one = 1;
    for (int fd; (fd = accept4(r->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
        struct taken *c = calloc(1, sizeof *c);
        if (!c)
            die("calloc");
        c->fd = fd;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        watch(r, fd, c);
    }
}

void receiver_turn(struct receiver *r)
{
    struct epoll_event events[EVENTS];
    int n = epoll_wait(r->epoll, events, EVENTS, 0);
    for (int i = 0; i < n; i++)
        if (events[i].data.ptr)
            read_some(r, events[i].data.ptr);
        else
            take_connections(r);
}

void receiver_open(struct receiver *r)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof address;
    *r = (struct receiver){ .epoll = epoll_create1(EPOLL_CLOEXEC), .fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0) };
    if (r->epoll < 0 || r->fd < 0 || bind(r->fd, (struct sockaddr *)&address, len) || getsockname(r->fd, (struct sockaddr *)&address, &len))
        die("no port for the receiver");
    r->port = ntohs(address.sin_port);
}

void receiver_listen(struct receiver *r)
{
    if (listen(r->fd, BACKLOG))
        die("listen");
    watch(r, r->fd, NULL);
}

/* ---- how late ---- */

void receiver_forget_times(struct receiver *r) { r->n_late = 0; }

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

double receiver_late_ms(struct receiver *r, double at)
{
    if (r->n_late == 0)
        return 0;
    qsort(r->late_ns, r->n_late, sizeof *r->late_ns, by_value);
    return (double)r->late_ns[(size_t)((double)(r->n_late - 1) * at)] / 1e6;
}
