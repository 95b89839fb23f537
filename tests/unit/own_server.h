/* own_server.h — another server, for tests of requests that go out: a thread for each connection that does what the path says.
 *
 * A connection is read up to the end of one head; then its act runs with what has come, and may say and hear more. When the act
 * returns true the next request is waited for on the same connection, else it is closed.
 *
 * Lifetime   server_start … server_stop, which waits until all who visit have left: end the clients before. */
#pragma once
#ifndef _GNU_SOURCE
#define _GNU_SOURCE     /* memmem */
#endif
#include "tests/unit/own_certificate.h"

#include <netinet/in.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { VISITS_MAX = 512, HEAD_MAX = 4096 };

struct visit;
struct act { const char *path; bool (*act)(struct visit *v); };

struct server {
    int         listener, port;
    SSL_CTX    *tls;                /* NULL: in the clear */
    const struct act *acts;         /* the last one has no path */
    pthread_t   thread, visits[VISITS_MAX];
    size_t      n_visits;           /* connections; to be read after server_stop */
    atomic_int  n_heads;            /* requests seen */
};

struct visit {
    struct server *server;
    int            fd;
    SSL           *ssl;
    char           in[HEAD_MAX + 1];      /* from the request's first byte on */
    size_t         in_len;
};

static inline bool say(struct visit *v, const char *bytes, size_t n)
{
    if (v->ssl)
        return SSL_write(v->ssl, bytes, (int)n) > 0;
    return send(v->fd, bytes, n, MSG_NOSIGNAL) == (ssize_t)n;
}
static inline bool say_str(struct visit *v, const char *text) { return say(v, text, strlen(text)); }

static inline bool hear(struct visit *v)
{
    ssize_t n = v->ssl ? SSL_read(v->ssl, v->in + v->in_len, (int)(HEAD_MAX - v->in_len)) : recv(v->fd, v->in + v->in_len, HEAD_MAX - v->in_len, 0);
    if (n <= 0)
        return false;
    v->in_len += (size_t)n;
    v->in[v->in_len] = '\0';
    return true;
}

/* Says nothing more, until the client has left. */
static inline bool hold(struct visit *v)
{
    do
        v->in_len = 0;
    while (hear(v));
    return false;
}

/* The body has come too, and the request is gone from `in`; false: the client has left. */
static inline bool hear_body(struct visit *v)
{
    const char *end = strstr(v->in, "\r\n\r\n"), *length = strcasestr(v->in, "content-length:");
    size_t all = end ? (size_t)(end + 4 - v->in) + (length && length < end ? strtoul(length + 15, NULL, 10) : 0) : 0;
    while (v->in_len < all)
        if (all > HEAD_MAX || !hear(v))
            return false;
    v->in_len -= all;
    memmove(v->in, v->in + all, v->in_len);
    v->in[v->in_len] = '\0';
    return true;
}

static inline bool act(struct visit *v)
{
    char path[64] = "";
    if (sscanf(v->in, "%*s %63s", path) != 1)
        return false;
    atomic_fetch_add(&v->server->n_heads, 1);
    for (const struct act *a = v->server->acts; a->path; a++)
        if (!strcmp(path, a->path))
            return a->act(v);
    return false;
}

static inline void *run_visit(void *arg)
{
    struct visit *v = arg;
    bool open = true;
    if (v->server->tls) {
        v->ssl = SSL_new(v->server->tls);
        SSL_set_fd(v->ssl, v->fd);
        open = SSL_accept(v->ssl) > 0;
    }
    while (open) {
        while (open && !strstr(v->in, "\r\n\r\n"))
            open = hear(v);
        open = open && act(v);
    }
    SSL_free(v->ssl);
    close(v->fd);
    free(v);
    return NULL;
}

static inline void *run_server(void *arg)
{
    struct server *s = arg;
    for (int fd; (fd = accept(s->listener, NULL, NULL)) >= 0 && s->n_visits < VISITS_MAX;) {
        struct visit *v = calloc(1, sizeof *v);
        v->server = s;
        v->fd = fd;
        pthread_create(&s->visits[s->n_visits++], NULL, run_visit, v);
    }
    return NULL;
}

static inline void server_start(struct server *s, const struct own_certificate *own, const struct act *acts)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t len = sizeof address;
    *s = (struct server){ .listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), .acts = acts };
    assert_int_equal(bind(s->listener, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(s->listener, 512), 0);
    getsockname(s->listener, (struct sockaddr *)&address, &len);
    s->port = ntohs(address.sin_port);
    if (own) {
        s->tls = SSL_CTX_new(TLS_server_method());
        SSL_CTX_use_certificate(s->tls, own->certificate);
        SSL_CTX_use_PrivateKey(s->tls, own->key);
    }
    pthread_create(&s->thread, NULL, run_server, s);
}

static inline void server_stop(struct server *s)
{
    shutdown(s->listener, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    close(s->listener);
    for (size_t i = 0; i < s->n_visits; i++)
        pthread_join(s->visits[i], NULL);
    SSL_CTX_free(s->tls);
}
