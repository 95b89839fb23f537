/* sock.h — one TCP connection of the benchmark, plain or TLS, read and written in the same way.
 *
 * The generator and the baselines share it, so that both sides of a TLS row use OpenSSL in the same, plainest way: SSL_write of what
 * is pending, SSL_read of what is there. Nothing is verified: the certificate is made for the run, and what is measured is bytes.
 * Lifetime: embedded; sock_close. Threading: one thread. */
#pragma once
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct ssl_st;

struct sock {
    int            fd;            /* -1: closed */
    struct ssl_st *ssl;           /* NULL: plain */
    bool           shaking;       /* TLS only: accepted, and the handshake is not over */
};

/* Once per process, before any other call. A server gives a PEM certificate and key; a client gives NULL. Exits when it cannot. */
void sock_use_tls(const char *certificate, const char *key);
bool sock_uses_tls(void);

/* "HOST:PORT" of 127.0.0.0/8; exits on anything else, so that a mistake never loads a foreign machine. */
struct sockaddr_in sock_address(const char *host_port);

/* Connects, and shakes hands if sock_use_tls() was called. Blocks until then; non-blocking afterwards. -1: errno. */
int  sock_connect(struct sock *sock, const struct sockaddr_in *to);
/* A listening socket on a free port of 127.0.0.1, non-blocking; *ret_address has the port. Exits when it cannot. */
int  sock_listen(struct sockaddr_in *ret_address);
/* One connection that waits at a listening socket; false when there is none. Its handshake is done by sock_recv(). */
bool sock_accept(int listening, struct sock *ret_sock);
void sock_close(struct sock *sock);

/* Like send() and recv() on a non-blocking socket: -1 with errno EAGAIN when it has to wait, 0 from sock_recv() at the end.
 * sock_recv() takes all there is, from as many TLS records as there are; a TLS connection may hold more that epoll does not see, so a
 * buffer that was filled is followed by another read. */
ssize_t sock_send(struct sock *sock, const char *bytes, size_t n);
ssize_t sock_recv(struct sock *sock, char *bytes, size_t n);

/* Segments with data that this side has received so far (TCP_INFO). Loopback cuts nothing below 64 KiB, so this is the number
 * of send() calls of the other side, counted without asking it. */
unsigned long sock_segments_in(const struct sock *sock);
