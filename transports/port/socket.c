#include "transports/port/socket.h"

#include "hub/base/buf.h"
#include "hub/base/err.h"
#include "hub/base/reserve.h"
#include "hub/metrics.h"

#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { RECORD_MAX = SSL3_RT_MAX_PLAIN_LENGTH };

struct socket_tls {
    SSL       *ssl;
    struct buf held;             /* a record that OpenSSL has encrypted and the kernel has not taken: to be offered again (SSL_write(3)) */
    bool       stuck;            /* the handshake waits for room to write */
    bool       established;      /* the handshake was done when OpenSSL was called last; it forgets that after an error */
};

static bool must_wait(int number) { return number == EAGAIN || number == EINTR || number == ENOBUFS; }

/* ---- TLS ---- */

static void tls_free(struct socket_tls *tls)
{
    if (!tls)
        return;
    SSL_free(tls->ssl);
    buf_fini(&tls->held);
    free(tls);
}

/* What went wrong, once it is known that nothing was read or written. The queue of errors is per thread and must be empty
 * before the next call, or it would be blamed for this one. */
static int tls_reason(struct socket_tls *tls, int result)
{
    int why = SSL_get_error(tls->ssl, result);
    unsigned long error = ERR_peek_last_error();
    ERR_clear_error();
    tls->stuck = why == SSL_ERROR_WANT_WRITE;
    switch (why) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:  return SOCKET_LATER;
    case SSL_ERROR_ZERO_RETURN: return SOCKET_ENDED;
    default:                    break;
    }
    if (tls->established)
        return SOCKET_BROKEN;
    metric_add(METRIC_tls_failed, 1);
    return ERR_GET_LIB(error) == ERR_LIB_SSL && ERR_GET_REASON(error) == SSL_R_HTTP_REQUEST ? SOCKET_SPEAKS_HTTP : SOCKET_BROKEN;
}

/* To be read from or written to: a handshake that finds no memory ends, who is established does not pay for others (reserve.h). */
static SSL *tls_in_use(struct socket_tls *tls)
{
    tls->established = SSL_is_init_finished(tls->ssl);
    reserve_for_tls(tls->established);
    return tls->ssl;
}

static ssize_t tls_read(struct socket *socket, void *at, size_t n)
{
    int got = SSL_read(tls_in_use(socket->tls), at, n > INT_MAX ? INT_MAX : (int)n);
    if (got > 0)
        return got;
    int reason = tls_reason(socket->tls, got);
    if (reason == SOCKET_SPEAKS_HTTP) {
        tls_free(socket->tls);
        socket->tls = NULL;
    }
    return reason;
}

/* One record: all of it is taken, or it is broken. A copy is kept of what could not leave: SSL_write wants to see it again. */
static int tls_write_record(struct socket_tls *tls, const void *at, size_t n)
{
    int written = SSL_write(tls_in_use(tls), at, (int)n);
    if (written > 0)
        return 0;
    if (tls_reason(tls, written) != SOCKET_LATER)
        return SOCKET_BROKEN;
    buf_add(&tls->held, at, n);
    return tls->held.failed ? SOCKET_BROKEN : 0;
}

/* Where the reader of a gathering stands. */
struct gather {
    const struct iovec *iov;
    int                 n;
    size_t              at;       /* bytes of iov[0] that are behind */
};

/* The next bytes for one record: where they lie if they lie together, else copied to `room`. 0: that was all. */
static size_t next_record(struct gather *g, char room[RECORD_MAX], const char **ret_at)
{
    size_t len = 0;
    *ret_at = room;
    while (g->n > 0 && len < RECORD_MAX) {
        const char *from = (const char *)g->iov->iov_base + g->at;
        size_t left = g->iov->iov_len - g->at, part = left < RECORD_MAX - len ? left : RECORD_MAX - len;
        bool alone = len == 0 && (part == RECORD_MAX || g->n == 1);
        if (alone)
            *ret_at = from;
        else
            memcpy(room + len, from, part);
        len += part;
        g->at += part;
        if (g->at == g->iov->iov_len) {
            g->iov++;
            g->n--;
            g->at = 0;
        }
        if (alone)
            break;
    }
    return len;
}

static ssize_t tls_write(struct socket_tls *tls, const struct iovec *iov, int n)
{
    char room[RECORD_MAX];
    const char *at;
    struct gather g = { iov, n, 0 };
    size_t taken = 0, len;
    while (!tls->held.len && (len = next_record(&g, room, &at)) > 0) {
        if (tls_write_record(tls, at, len))
            return SOCKET_BROKEN;
        taken += len;
    }
    return (ssize_t)taken;
}

/* ---- either ---- */

int socket_open(int fd, struct ssl_ctx_st *context, struct socket *ret_socket)
{
    struct socket_tls *tls = context ? calloc(1, sizeof *tls) : NULL;
    *ret_socket = (struct socket){ .fd = fd, .tls = tls };
    if (!context)
        return 0;
    reserve_for_tls(false);
    if (!tls || !(tls->ssl = SSL_new(context)) || !SSL_set_fd(tls->ssl, fd)) {
        ERR_clear_error();
        tls_free(tls);
        return ERR_MEMORY;
    }
    SSL_set_accept_state(tls->ssl);
    return 0;
}

void socket_close(struct socket *socket)
{
    if (socket->fd < 0)
        return;
    close(socket->fd);
    tls_free(socket->tls);
    *socket = (struct socket){ .fd = -1 };
}

ssize_t socket_read(struct socket *socket, void *at, size_t n)
{
    if (socket->tls)
        return tls_read(socket, at, n);
    ssize_t got = recv(socket->fd, at, n, MSG_DONTWAIT);
    if (got >= 0)
        return got;
    return must_wait(errno) ? SOCKET_LATER : SOCKET_BROKEN;
}

ssize_t socket_write(struct socket *socket, const struct iovec *iov, int n)
{
    if (socket->tls)
        return tls_write(socket->tls, iov, n);
    struct msghdr msg = { .msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)n };
    ssize_t sent = sendmsg(socket->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0)
        return sent;
    return must_wait(errno) ? 0 : SOCKET_BROKEN;
}

ssize_t socket_write_bytes(struct socket *socket, const void *at, size_t n)
{
    struct iovec iov = { (void *)(uintptr_t)at, n };
    return socket_write(socket, &iov, 1);
}

size_t socket_held(const struct socket *socket) { return socket->tls ? socket->tls->held.len : 0; }

bool socket_reads_by_writing(const struct socket *socket)
{
    return socket->tls && socket->tls->stuck && !SSL_is_init_finished(socket->tls->ssl);
}

int socket_flush(struct socket *socket)
{
    struct socket_tls *tls = socket->tls;
    if (!tls || !tls->held.len)
        return 0;
    int written = SSL_write(tls_in_use(tls), tls->held.at, (int)tls->held.len);
    if (written <= 0)
        return tls_reason(tls, written) == SOCKET_LATER ? SOCKET_LATER : SOCKET_BROKEN;
    buf_fini(&tls->held);
    return 0;
}

bool socket_shut(struct socket *socket)
{
    if (socket->tls && SSL_is_init_finished(socket->tls->ssl) && SSL_shutdown(socket->tls->ssl) < 0)
        ERR_clear_error();       /* without room for a close_notify it ends without one */
    return shutdown(socket->fd, SHUT_WR) == 0;
}

bool socket_is_secure(const struct socket *socket) { return socket->tls && SSL_is_init_finished(socket->tls->ssl); }
