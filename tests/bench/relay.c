/* relay.c — what is possible for signaling: a relay that does nothing but epoll, for the frames that the generator sends, in the hub's bytes.
 *
 *   relay         prints "ready public=H:P api=H:P pid=N" (the API is not there: the same port)
 *
 * One thread. A `join` makes a member of a room; an `offer` to a member of the same room goes on with room, sender and number in front, the rest of
 * it as it came. All that is read of a turn of the loop is relayed before anything is sent, and each member is then sent all that waits for it at
 * once. No JSON is parsed, nothing is checked, nothing is kept for who is away. */
#include "mimic.h"
#include "sock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

enum { CONNS_MAX = 70000, IN_BYTES = 256 * 1024, HEAD_BYTES = 200, OUT_LEAST = 16 * 1024 };

struct conn {
    struct sock sock;
    bool        upgraded, dirty, waits;      /* dirty: is in `dirties`; waits: epoll tells when it can be written to */
    char       *part;                        /* the beginning of what is not complete yet; NULL: nothing */
    size_t      part_len;
    long        room, user;                  /* -1: in none */
    uint64_t    seq;                         /* of what it was told */
    char       *out;                         /* what waits; NULL: nothing */
    size_t      out_at, out_len, out_cap;
};

static struct conn *conns[CONNS_MAX], *by_user[CONNS_MAX], *dirties[CONNS_MAX];
static size_t n_dirty;
static int epoll;

static void drop(struct conn *c)
{
    for (size_t i = 0; i < n_dirty; i++)
        if (dirties[i] == c)
            dirties[i--] = dirties[--n_dirty];
    if (c->user >= 0)
        by_user[c->user] = NULL;
    conns[c->sock.fd] = NULL;
    sock_close(&c->sock);
    free(c->part);
    free(c->out);
    free(c);
}

/* ---- out ---- */

static char *out_room(struct conn *c, size_t n)
{
    if (!c->dirty)
        dirties[n_dirty++] = c;
    c->dirty = true;
    if (c->out_cap - c->out_len < n) {
        c->out_cap = 2 * c->out_cap + n + OUT_LEAST;
        c->out = realloc(c->out, c->out_cap);
    }
    return c->out + c->out_len;
}

static void flush_conn(struct conn *c)
{
    while (c->out_at < c->out_len) {
        ssize_t sent = sock_send(&c->sock, c->out + c->out_at, c->out_len - c->out_at);
        if (sent < 0)
            break;
        c->out_at += (size_t)sent;
    }
    bool waits = c->out_at < c->out_len;
    if (!waits)
        c->out_at = c->out_len = 0;
    if (waits != c->waits) {
        struct epoll_event event = { .events = waits ? EPOLLIN | EPOLLOUT : EPOLLIN, .data.fd = c->sock.fd };
        epoll_ctl(epoll, EPOLL_CTL_MOD, c->sock.fd, &event);
        c->waits = waits;
    }
}

static void flush_dirty(void)
{
    while (n_dirty > 0) {
        struct conn *c = dirties[--n_dirty];
        c->dirty = false;
        if (!c->waits)
            flush_conn(c);
    }
}

/* A text frame of `head` and the `n` bytes behind it. */
static void say(struct conn *c, const char *head, size_t head_len, const char *rest, size_t n)
{
    char *out = out_room(c, 10 + head_len + n), *at = out;
    size_t len = head_len + n;
    *at++ = (char)0x81;
    if (len < 126) {
        *at++ = (char)len;
    } else {
        *at++ = 126;
        *at++ = (char)(len >> 8);
        *at++ = (char)len;
    }
    memcpy(at, head, head_len);
    memcpy(at + head_len, rest, n);
    c->out_len += (size_t)(at - out) + len;
}

/* ---- in ---- */

static long number_after(const char *json, size_t len, const char *name)
{
    const char *at = memmem(json, len, name, strlen(name));
    return at ? strtol(at + strlen(name), NULL, 10) : -1;
}

static void take_join(struct conn *c, const char *json, size_t len)
{
    char answer[HEAD_BYTES];
    c->room = number_after(json, len, "\"room\":\"r");
    c->user = number_after(json, len, "\"user_id\":\"u");
    if (c->user < 0 || c->user >= CONNS_MAX)
        exit(1);
    by_user[c->user] = c;
    int n = snprintf(answer, sizeof answer, "{\"type\":\"users-in-room\",\"room\":\"r%06ld\",\"users\":[]}", c->room);
    say(c, answer, (size_t)n, "", 0);
}

static void take_offer(struct conn *c, const char *json, size_t len)
{
    char head[HEAD_BYTES];
    const char *rest = memmem(json, len, ",\"to\":\"u", 8);
    long user = rest ? strtol(rest + 8, NULL, 10) : -1;
    struct conn *to = user >= 0 && user < CONNS_MAX ? by_user[user] : NULL;
    if (!to || to->room != c->room)
        return;
    int n = snprintf(head, sizeof head, "{\"type\":\"offer\",\"room\":\"r%06ld\",\"from\":\"u%06ld\",\"seq\":%lu", c->room, c->user, ++to->seq);
    say(to, head, (size_t)n, rest, (size_t)(json + len - rest));
}

static void unmask(char *at, size_t n, const char mask[4])
{
    char twice[8];
    uint64_t eight, key;
    memcpy(twice, mask, 4);
    memcpy(twice + 4, mask, 4);
    memcpy(&key, twice, 8);
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        memcpy(&eight, at + i, 8);
        eight ^= key;
        memcpy(at + i, &eight, 8);
    }
    for (; i < n; i++)
        at[i] = (char)(at[i] ^ mask[i % 4]);
}

static size_t take_frame(struct conn *c, char *at, size_t len)
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
    char *json = at + head;
    unmask(json, size, json - 4);
    if (size > 16 && !memcmp(json, "{\"type\":\"offer\"", 15))
        take_offer(c, json, size);
    else if (size > 16 && !memcmp(json, "{\"type\":\"join\"", 14))
        take_join(c, json, size);
    return head + size;
}

static size_t take_head(struct conn *c, const char *at, size_t len)
{
    char out[2 * MIMIC_BYTES];
    const char *end = memmem(at, len, "\r\n\r\n", 4);
    if (!end)
        return 0;
    c->upgraded = true;
    size_t n = mimic_begin_ws(out, (struct text){ 0 }, 0);
    memcpy(out_room(c, n), out, n);
    c->out_len += n;
    return (size_t)(end - at) + 4;
}

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
    while (used < have && (took = c->upgraded ? take_frame(c, in + used, have - used) : take_head(c, in + used, have - used)) > 0)
        used += took;
    free(c->part);
    c->part_len = have - used;
    c->part = c->part_len > 0 ? memcpy(malloc(c->part_len), in + used, c->part_len) : NULL;
    return have == sizeof in;
}

/* ---- the loop ---- */

static void watch(struct conn *c)
{
    struct epoll_event event = { .events = EPOLLIN, .data.fd = c->sock.fd };
    epoll_ctl(epoll, EPOLL_CTL_ADD, c->sock.fd, &event);
    conns[c->sock.fd] = c;
}

static struct conn *conn_new(struct sock sock)
{
    struct conn *c = calloc(1, sizeof *c);
    *c = (struct conn){ .sock = sock, .room = -1, .user = -1 };
    watch(c);
    return c;
}

static void accept_all(int fd)
{
    for (struct sock sock; sock_accept(fd, &sock);)
        conn_new(sock);
}

static void turn(const struct conn *listener)
{
    struct epoll_event events[512];
    int n = epoll_wait(epoll, events, 512, -1);
    for (int i = 0; i < n; i++) {
        struct conn *c = conns[events[i].data.fd];
        if (!c)
            continue;
        if (c == listener)
            accept_all(c->sock.fd);
        else if (events[i].events & EPOLLOUT && c->waits)
            flush_conn(c);
        else
            while (read_once(c))
                ;
    }
    flush_dirty();
}

int main(void)
{
    struct sockaddr_in address;
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max < CONNS_MAX ? files.rlim_max : CONNS_MAX;
    setrlimit(RLIMIT_NOFILE, &files);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    struct conn *listener = conn_new((struct sock){ .fd = sock_listen(&address) });
    printf("ready public=127.0.0.1:%d api=127.0.0.1:%d pid=%d\n", ntohs(address.sin_port), ntohs(address.sin_port), (int)getpid());
    fflush(stdout);
    for (;;)
        turn(listener);
}
