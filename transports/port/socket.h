/* socket.h — one accepted socket, plain or TLS, to be read and written without waiting.
 *
 * TLS (RFC 8446, RFC 5246) is OpenSSL's. The handshake has no state of its own here: the first reads make it, and whoever
 * waits for bytes with a deadline waits for the handshake with the same one. A record that the kernel did not take whole is
 * held here (at most 16 KiB) and leaves before anything else; so what socket_write has taken is gone for the caller, as it
 * is with a plain socket.
 *
 * Lifetime   socket_open takes over the descriptor; socket_close closes it and frees. Copied by assignment when it moves on.
 * Threading  one thread. Errors of OpenSSL are taken off its queue here.
 * Limits     reads of less than SOCKET_READ_MIN bytes may leave decrypted bytes behind that no poll tells of: give at least that. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

struct ssl_ctx_st;
struct socket_tls;

enum { SOCKET_READ_MIN = 16 * 1024 };
enum { SOCKET_ENDED = 0, SOCKET_LATER = -1, SOCKET_BROKEN = -2, SOCKET_SPEAKS_HTTP = -3 };

struct socket {
    int                fd;
    struct socket_tls *tls;      /* NULL: plain */
};

/* With the certificate of `context` (config->tls), or plain when it is NULL. 0; or ERR_MEMORY: the descriptor is the caller's still. */
int     socket_open(int fd, struct ssl_ctx_st *context, struct socket *ret_socket);
void    socket_close(struct socket *socket);
/* > 0 bytes; SOCKET_ENDED: the other side sends no more; SOCKET_LATER; SOCKET_BROKEN; SOCKET_SPEAKS_HTTP: no TLS came but an
 * HTTP request in the clear (the socket is plain from then on, so that it can be told). */
ssize_t socket_read(struct socket *socket, void *at, size_t n);
/* How many bytes were taken, 0 … all, cut anywhere; SOCKET_BROKEN. */
ssize_t socket_write(struct socket *socket, const struct iovec *iov, int n);
ssize_t socket_write_bytes(struct socket *socket, const void *at, size_t n);
/* Bytes that were taken and have not left yet: call socket_flush when the socket is writable. */
size_t  socket_held(const struct socket *socket);
/* A handshake waits for room to write: read again when the socket is writable. */
bool    socket_reads_by_writing(const struct socket *socket);
int     socket_flush(struct socket *socket);     /* 0, SOCKET_LATER or SOCKET_BROKEN */
/* Our side ends (TLS: with a close_notify first, RFC 8446 §6.1); reading goes on. False: it is broken. Nothing may be held. */
bool    socket_shut(struct socket *socket);
/* Encrypted, and the handshake is done. */
bool    socket_is_secure(const struct socket *socket);
