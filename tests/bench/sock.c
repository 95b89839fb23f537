#include "sock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static SSL_CTX *context;          /* NULL: plain */

static void die_of_tls(const char *what)
{
    fprintf(stderr, "%s: ", what);
    ERR_print_errors_fp(stderr);
    exit(1);
}

void sock_use_tls(const char *certificate, const char *key)
{
    context = SSL_CTX_new(certificate ? TLS_server_method() : TLS_client_method());
    if (!context)
        die_of_tls("TLS");
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    if (certificate && (SSL_CTX_use_certificate_chain_file(context, certificate) != 1 ||
                        SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1))
        die_of_tls(certificate);
}

bool sock_uses_tls(void) { return context != NULL; }

struct sockaddr_in sock_address(const char *host_port)
{
    struct sockaddr_in to = { .sin_family = AF_INET };
    char host[64];
    const char *colon = strrchr(host_port, ':');
    if (!colon || (size_t)(colon - host_port) >= sizeof host) {
        fprintf(stderr, "not HOST:PORT: %s\n", host_port);
        exit(2);
    }
    snprintf(host, sizeof host, "%.*s", (int)(colon - host_port), host_port);
    to.sin_port = htons((uint16_t)atoi(colon + 1));
    if (inet_pton(AF_INET, host, &to.sin_addr) != 1 || (ntohl(to.sin_addr.s_addr) >> 24) != 127) {
        fprintf(stderr, "only loopback addresses: %s\n", host_port);
        exit(2);
    }
    return to;
}

int sock_connect(struct sock *sock, const struct sockaddr_in *to)
{
    int one = 1;
    *sock = (struct sock){ .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) };
    if (sock->fd < 0)
        return -1;
    setsockopt(sock->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    bool connected = connect(sock->fd, (const struct sockaddr *)to, sizeof *to) == 0;
    if (connected && context) {
        sock->ssl = SSL_new(context);
        connected = sock->ssl && SSL_set_fd(sock->ssl, sock->fd) && SSL_connect(sock->ssl) == 1;
        if (!connected)
            errno = EPROTO;
    }
    if (!connected) {
        int error = errno;
        sock_close(sock);
        errno = error;
        return -1;
    }
    fcntl(sock->fd, F_SETFL, O_NONBLOCK);
    return 0;
}

int sock_listen(struct sockaddr_in *ret_address)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
    socklen_t len = sizeof *ret_address;
    *ret_address = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)ret_address, len) || listen(fd, 4096) || getsockname(fd, (struct sockaddr *)ret_address, &len)) {
        perror("listen");
        exit(1);
    }
    return fd;
}

bool sock_accept(int listening, struct sock *ret_sock)
{
    int fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return false;
    *ret_sock = (struct sock){ .fd = fd, .ssl = context ? SSL_new(context) : NULL, .shaking = context != NULL };
    if (context && (!ret_sock->ssl || !SSL_set_fd(ret_sock->ssl, fd)))
        die_of_tls("SSL_new");
    return true;
}

void sock_close(struct sock *sock)
{
    SSL_free(sock->ssl);
    if (sock->fd >= 0)
        close(sock->fd);
    *sock = (struct sock){ .fd = -1 };
}

/* What OpenSSL returned, in the terms of send() and recv(). */
static ssize_t tls_result(struct sock *sock, int n)
{
    if (n > 0)
        return n;
    int error = SSL_get_error(sock->ssl, n);
    ERR_clear_error();
    if (error == SSL_ERROR_ZERO_RETURN)
        return 0;
    errno = error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? EAGAIN : ECONNRESET;
    return -1;
}

static int at_most_int(size_t n) { return n < 1 << 30 ? (int)n : 1 << 30; }

ssize_t sock_send(struct sock *sock, const char *bytes, size_t n)
{
    if (!sock->ssl)
        return send(sock->fd, bytes, n, MSG_NOSIGNAL);
    size_t gone = 0;
    ssize_t more = 1;
    while (gone < n && (more = tls_result(sock, SSL_write(sock->ssl, bytes + gone, at_most_int(n - gone)))) > 0)
        gone += (size_t)more;
    return gone > 0 ? (ssize_t)gone : more;
}

ssize_t sock_recv(struct sock *sock, char *bytes, size_t n)
{
    if (!sock->ssl)
        return recv(sock->fd, bytes, n, 0);
    if (sock->shaking) {
        ssize_t shaken = tls_result(sock, SSL_accept(sock->ssl));
        if (shaken <= 0)
            return shaken;
        sock->shaking = false;
    }
    size_t got = 0;
    ssize_t more = 1;
    while (got < n && (more = tls_result(sock, SSL_read(sock->ssl, bytes + got, at_most_int(n - got)))) > 0)
        got += (size_t)more;
    return got > 0 ? (ssize_t)got : more;
}

unsigned long sock_segments_in(const struct sock *sock)
{
    struct tcp_info info = { 0 };
    socklen_t len = sizeof info;
    return getsockopt(sock->fd, IPPROTO_TCP, TCP_INFO, &info, &len) ? 0 : info.tcpi_data_segs_in;
}
