/* redis_dial.c
 *
 *   name ──evdns──> addresses ──> connect ──> (TLS) ──> done
 *                       └── failed: the next one; none is left: done(NULL)
 *
 * evdns may answer before evdns_getaddrinfo has returned, and answers what was cancelled only later, from memory of its own: so an
 * answer is only noted and dealt with in a step of its own, and a dial that is dropped while a name is asked for stays, with nobody
 * waiting (`done` NULL), until that answer has come. */
#include "redis/link/redis_dial.h"

#include <event2/bufferevent_ssl.h>
#include <event2/dns.h>
#include <event2/event.h>
#include <event2/util.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

enum { REDIS_WHY = 200 };

struct redis_dial {
    struct event_base          *base;
    const struct redis_address *address;
    redis_dialed_fn            *done;           /* NULL: dropped */
    void                       *arg;
    struct event               *deadline, *step;
    struct evdns_base          *names;          /* NULL: a unix socket */
    struct evdns_getaddrinfo_request *asked;    /* NULL: answered */
    struct evutil_addrinfo     *addresses;      /* all; NULL: a unix socket, or not known yet */
    struct evutil_addrinfo     *next;           /* to be tried when this one fails */
    struct bufferevent         *bev;            /* of the one being tried */
    char                        why[REDIS_WHY];
};

static void dial_free(struct redis_dial *dial)
{
    if (dial->bev)
        bufferevent_free(dial->bev);
    if (dial->addresses)
        evutil_freeaddrinfo(dial->addresses);
    if (dial->names)
        evdns_base_free(dial->names, 0);
    if (dial->deadline)
        event_free(dial->deadline);
    if (dial->step)
        event_free(dial->step);
    free(dial);
}

void redis_dial_drop(struct redis_dial *dial)
{
    if (!dial)
        return;
    if (!dial->asked) {
        dial_free(dial);
        return;
    }
    dial->done = NULL;
    event_del(dial->deadline);
    evdns_getaddrinfo_cancel(dial->asked);
}

/* With the socket in dial->bev, or with what stands in dial->why. */
static void finish(struct redis_dial *dial, bool connected)
{
    struct bufferevent *bev = connected ? dial->bev : NULL;
    redis_dialed_fn *done = dial->done;
    void *arg = dial->arg;
    char why[REDIS_WHY];
    memcpy(why, dial->why, sizeof why);
    if (bev) {
        bufferevent_setcb(bev, NULL, NULL, NULL, NULL);
        dial->bev = NULL;
    }
    redis_dial_drop(dial);
    if (done)
        done(arg, bev, bev ? NULL : why);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct redis_dial *dial = arg;
    snprintf(dial->why, sizeof dial->why, "%s", dial->asked        ? "the name server does not answer"
                                              : dial->address->tls ? "no answer to the connection, or none to its TLS handshake"
                                                                   : "no answer to the connection");
    finish(dial, false);
}

/* ---- TLS ---- */

static SSL *secure(struct ssl_ctx_st *context, const char *name)
{
    struct in6_addr address;
    bool is_address = evutil_inet_pton(AF_INET, name, &address) == 1 || evutil_inet_pton(AF_INET6, name, &address) == 1;
    SSL *ssl = SSL_new(context);
    bool ok = ssl && (is_address ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1
                                 : SSL_set1_host(ssl, name) == 1 && SSL_set_tlsext_host_name(ssl, name) == 1);
    if (ok) {
        SSL_set_verify(ssl, SSL_VERIFY_PEER, NULL);
        return ssl;
    }
    SSL_free(ssl);
    return NULL;
}

static void note_tls_reason(struct redis_dial *dial, struct bufferevent *bev)
{
    SSL *ssl = bufferevent_openssl_get_ssl(bev);
    long verified = ssl ? SSL_get_verify_result(ssl) : X509_V_OK;
    unsigned long error = bufferevent_get_openssl_error(bev);
    const char *reason = error ? ERR_reason_error_string(error) : NULL;
    if (verified != X509_V_OK)
        snprintf(dial->why, sizeof dial->why, "its certificate is not trusted: %s", X509_verify_cert_error_string(verified));
    else
        snprintf(dial->why, sizeof dial->why, "TLS handshake: %s", reason ? reason : "the server ended it");
    ERR_clear_error();
}

/* ---- one address after the other ---- */

static void try_next(struct redis_dial *dial);

static void on_event(struct bufferevent *bev, short events, void *arg)
{
    struct redis_dial *dial = arg;
    if (events & BEV_EVENT_CONNECTED) {
        int on = 1;
        setsockopt(bufferevent_getfd(bev), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        finish(dial, true);
        return;
    }
    int error = EVUTIL_SOCKET_ERROR();
    if (error)
        snprintf(dial->why, sizeof dial->why, "%s", evutil_socket_error_to_string(error));
    else if (dial->address->tls)
        note_tls_reason(dial, bev);
    else
        snprintf(dial->why, sizeof dial->why, "the connection was closed");
    bufferevent_free(bev);
    dial->bev = NULL;
    try_next(dial);
}

static struct bufferevent *new_socket(const struct redis_dial *dial)
{
    int options = BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS;      /* deferred: none comes from inside a connect */
    if (!dial->address->tls)
        return bufferevent_socket_new(dial->base, -1, options);
    SSL *ssl = secure(dial->address->tls, dial->address->name);
    struct bufferevent *bev = ssl ? bufferevent_openssl_socket_new(dial->base, -1, ssl, BUFFEREVENT_SSL_CONNECTING, options) : NULL;
    if (ssl && !bev)
        SSL_free(ssl);
    return bev;
}

static bool connect_to(struct redis_dial *dial, const struct sockaddr *to, socklen_t len)
{
    if (!(dial->bev = new_socket(dial))) {
        snprintf(dial->why, sizeof dial->why, "no memory for a connection");
        return false;
    }
    bufferevent_setcb(dial->bev, NULL, NULL, on_event, dial);
    if (bufferevent_socket_connect(dial->bev, to, (int)len) == 0)
        return true;
    snprintf(dial->why, sizeof dial->why, "%s", evutil_socket_error_to_string(EVUTIL_SOCKET_ERROR()));
    bufferevent_free(dial->bev);
    dial->bev = NULL;
    return false;
}

static void try_next(struct redis_dial *dial)
{
    while (dial->next) {
        struct evutil_addrinfo *address = dial->next;
        dial->next = address->ai_next;
        if (connect_to(dial, address->ai_addr, address->ai_addrlen))
            return;
    }
    finish(dial, false);
}

static void on_addresses(int error, struct evutil_addrinfo *addresses, void *arg)
{
    struct redis_dial *dial = arg;
    dial->asked = NULL;
    dial->addresses = dial->next = addresses;
    if (error)
        snprintf(dial->why, sizeof dial->why, "its name is not known: %s", evutil_gai_strerror(error));
    event_active(dial->step, EV_TIMEOUT, 0);
}

static void ask_for_addresses(struct redis_dial *dial)
{
    struct evutil_addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_protocol = IPPROTO_TCP, .ai_flags = EVUTIL_AI_ADDRCONFIG };
    char port[8];
    snprintf(port, sizeof port, "%u", dial->address->port);
    /* Without a name server (an empty resolv.conf) addresses and /etc/hosts still do. */
    dial->names = evdns_base_new(dial->base, EVDNS_BASE_INITIALIZE_NAMESERVERS | EVDNS_BASE_DISABLE_WHEN_INACTIVE);
    if (!dial->names)
        dial->names = evdns_base_new(dial->base, EVDNS_BASE_DISABLE_WHEN_INACTIVE);
    if (!dial->names) {
        snprintf(dial->why, sizeof dial->why, "no memory to ask for its name");
        finish(dial, false);
        return;
    }
    struct evdns_getaddrinfo_request *asked = evdns_getaddrinfo(dial->names, dial->address->name, port, &hints, on_addresses, dial);
    if (asked)      /* else it is answered */
        dial->asked = asked;
}

static void connect_unix(struct redis_dial *dial)
{
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    if (strlen(dial->address->unix_path) >= sizeof to.sun_path)
        snprintf(dial->why, sizeof dial->why, "the path of its socket is too long");
    else
        memcpy(to.sun_path, dial->address->unix_path, strlen(dial->address->unix_path) + 1);
    if (dial->why[0] || !connect_to(dial, (struct sockaddr *)&to, sizeof to))
        finish(dial, false);
}

/* Begins, and goes on when the addresses are there. */
static void on_step(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct redis_dial *dial = arg;
    if (!dial->done)
        dial_free(dial);
    else if (dial->address->unix_path)
        connect_unix(dial);
    else if (dial->names)
        try_next(dial);
    else
        ask_for_addresses(dial);
}

struct redis_dial *redis_dial(struct event_base *base, const struct redis_address *address, int64_t timeout_ms, redis_dialed_fn *done, void *arg)
{
    struct redis_dial *dial = calloc(1, sizeof *dial);
    struct timeval timeout = { timeout_ms / 1000, timeout_ms % 1000 * 1000 };
    if (!dial)
        return NULL;
    dial->base = base;
    dial->address = address;
    dial->done = done;
    dial->arg = arg;
    dial->deadline = evtimer_new(base, on_deadline, dial);
    dial->step = evtimer_new(base, on_step, dial);
    if (!dial->deadline || !dial->step || evtimer_add(dial->deadline, &timeout)) {
        dial_free(dial);
        return NULL;
    }
    event_active(dial->step, EV_TIMEOUT, 0);
    return dial;
}
