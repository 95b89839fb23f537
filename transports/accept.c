#include "transports/accept.h"

#include "hub/base/err.h"
#include "hub/base/log.h"
#include "hub/call.h"
#include "hub/config.h"
#include "hub/hub.h"
#include "hub/memory.h"
#include "hub/metrics.h"
#include "transports/edge.h"
#include "transports/listen.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>
#define HASH_NONFATAL_OOM 1      /* an address that finds no memory is left out of the table: hh.tbl is NULL */
#include <uthash.h>

enum {
    REST_MS = 100,
    AWAY_MAX = 4096,             /* turned away in one round when there are no more descriptors */
    SPARE_FILES = 64,            /* descriptors that are not for connections: store, API, logs */
    SWEEP_AT = 1024,             /* addresses kept before those nobody sits at are forgotten */
};

struct address_seats {
    atomic_uint    taken;
    uint8_t        key[16];      /* IPv6, or IPv4 mapped into it */
    UT_hash_handle hh;
};

struct acceptor {
    const struct config   *config;
    struct event_base     *base;
    struct hub            *hub;
    struct edge          **edges;        /* borrowed */
    size_t                 n_edges;
    atomic_uint           *edge_seats;   /* of n_edges */
    struct address_seats  *addresses;    /* table; empty while addresses are not limited */
    size_t                 sweep_at;
    struct listener        listener;
    struct evconnlistener *listeners[LISTEN_MAX];
    size_t                 n_listeners;
    struct event          *send, *rest;
    int                    spare;        /* a descriptor to give up at EMFILE, so that who waits can be turned away */
};

void seats_leave(struct seats *seats)
{
    if (seats->edge)
        atomic_fetch_sub_explicit(seats->edge, 1, memory_order_relaxed);
    if (seats->address)
        atomic_fetch_sub_explicit(seats->address, 1, memory_order_release);
    *seats = (struct seats){ 0 };
}

/* ---- limits ---- */

static size_t taken_in_all(const struct acceptor *acceptor)
{
    size_t sum = 0;
    for (size_t i = 0; i < acceptor->n_edges; i++)
        sum += atomic_load_explicit(&acceptor->edge_seats[i], memory_order_relaxed);
    return sum;
}

static size_t most_in_all(const struct acceptor *acceptor)
{
    struct rlimit files;
    if (acceptor->config->limits_connections)
        return acceptor->config->limits_connections;
    if (getrlimit(RLIMIT_NOFILE, &files) || files.rlim_cur == RLIM_INFINITY)
        return SIZE_MAX;
    return files.rlim_cur > 2 * SPARE_FILES ? files.rlim_cur - SPARE_FILES : files.rlim_cur / 2;
}

static void key_of(const struct sockaddr *address, uint8_t key[16])
{
    memset(key, 0, 16);
    if (address->sa_family == AF_INET6) {
        memcpy(key, &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr, 16);
    } else {
        key[10] = key[11] = 0xff;
        memcpy(key + 12, &((const struct sockaddr_in *)(const void *)address)->sin_addr, 4);
    }
}

/* Only this thread takes seats, so an address nobody sits at is nobody's. */
static void forget_addresses(struct acceptor *acceptor, bool all)
{
    struct address_seats *seats, *following;
    HASH_ITER(hh, acceptor->addresses, seats, following)
        if (all || atomic_load_explicit(&seats->taken, memory_order_acquire) == 0) {
            HASH_DEL(acceptor->addresses, seats);
            free(seats);
        }
    acceptor->sweep_at = HASH_COUNT(acceptor->addresses) * 2 > SWEEP_AT ? HASH_COUNT(acceptor->addresses) * 2 : SWEEP_AT;
}

/* False: this address has all it may have, or there is no memory to count it. */
static bool take_address(struct acceptor *acceptor, const struct sockaddr *address, struct seats *seats)
{
    uint8_t key[16];
    struct address_seats *found;
    if (!acceptor->config->limits_connections_per_address || address->sa_family == AF_UNIX)
        return true;
    if (HASH_COUNT(acceptor->addresses) >= acceptor->sweep_at)
        forget_addresses(acceptor, false);
    key_of(address, key);
    HASH_FIND(hh, acceptor->addresses, key, sizeof key, found);
    if (!found) {
        if (!(found = calloc(1, sizeof *found)))
            return false;
        memcpy(found->key, key, sizeof key);
        HASH_ADD(hh, acceptor->addresses, key, sizeof found->key, found);
        if (!found->hh.tbl) {
            free(found);
            return false;
        }
    }
    if (atomic_load_explicit(&found->taken, memory_order_relaxed) >= acceptor->config->limits_connections_per_address)
        return false;
    atomic_fetch_add_explicit(&found->taken, 1, memory_order_relaxed);
    seats->address = &found->taken;
    return true;
}

static size_t emptiest_edge(const struct acceptor *acceptor)
{
    size_t best = 0;
    for (size_t i = 1; i < acceptor->n_edges; i++)
        if (atomic_load_explicit(&acceptor->edge_seats[i], memory_order_relaxed) <
            atomic_load_explicit(&acceptor->edge_seats[best], memory_order_relaxed))
            best = i;
    return best;
}

/* ---- accepting ---- */

static void print_peer(char out[64], const struct sockaddr *address, socklen_t len)
{
    char host[NI_MAXHOST], port[NI_MAXSERV];
    if (address->sa_family == AF_UNIX)
        snprintf(out, 64, "unix");
    else if (getnameinfo(address, len, host, sizeof host, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV))
        snprintf(out, 64, "?");
    else
        snprintf(out, 64, address->sa_family == AF_INET6 ? "[%.46s]:%.8s" : "%.46s:%.8s", host, port);
}

static void turn_away(int fd, const struct sockaddr *address, socklen_t len, enum metric reason, const char *why)
{
    char peer[64];
    metric_add(reason, 1);
    if (log_enabled(LOG_DEBUG)) {
        print_peer(peer, address, len);
        log_debug(peer, "turned away: %s", why);
    }
    close(fd);
}

/* A vanished peer that says nothing is found by the kernel in about two minutes. */
static void prepare_socket(int fd)
{
    int on = 1, idle = 60, every = 15, times = 4;
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every, sizeof every);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &times, sizeof times);
}

static void hand_over(struct acceptor *acceptor, int fd, struct seats seats, const struct sockaddr *address, socklen_t len)
{
    struct socket_letter *letter = calloc(1, sizeof *letter);
    size_t edge = emptiest_edge(acceptor);
    if (!letter) {
        seats_leave(&seats);
        turn_away(fd, address, len, METRIC_away_memory, "out of memory");
        return;
    }
    seats.edge = &acceptor->edge_seats[edge];
    atomic_fetch_add_explicit(seats.edge, 1, memory_order_relaxed);
    letter->letter.kind = LETTER_SOCKET;
    letter->fd = fd;
    letter->seats = seats;
    print_peer(letter->peer, address, len);
    hub_send(acceptor->hub, acceptor->edges[edge]->peer, &letter->letter);
    event_active(acceptor->send, EV_TIMEOUT, 0);
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address, int len, void *arg)
{
    struct acceptor *acceptor = arg;
    struct seats seats = { 0 };
    (void)listener;
    metric_add(METRIC_accepted, 1);
    if (memory_level() == MEMORY_OUT) {
        turn_away(fd, address, (socklen_t)len, METRIC_away_memory, "limits.memory");
    } else if (taken_in_all(acceptor) >= most_in_all(acceptor)) {
        turn_away(fd, address, (socklen_t)len, METRIC_turned_away, "limits.connections");
    } else if (!take_address(acceptor, address, &seats)) {
        turn_away(fd, address, (socklen_t)len, METRIC_turned_away, "limits.connections_per_address");
    } else {
        prepare_socket(fd);
        hand_over(acceptor, fd, seats, address, (socklen_t)len);
    }
}

/* All letters of one round of accepts leave together. */
static void on_send(evutil_socket_t fd, short what, void *arg)
{
    struct acceptor *acceptor = arg;
    (void)fd, (void)what;
    hub_turn(acceptor->hub);
}

/* ---- no more descriptors: a listener that goes on trying takes a whole core ---- */

static void open_spare(struct acceptor *acceptor)
{
    if (acceptor->spare < 0)
        acceptor->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* Those who wait are told at once instead of being left hanging, as far as the spare descriptor goes. */
static void turn_away_waiting(struct acceptor *acceptor, int listening)
{
    for (int i = 0; i < AWAY_MAX && acceptor->spare >= 0; i++) {
        close(acceptor->spare);
        int fd = accept(listening, NULL, NULL);
        if (fd >= 0) {
            close(fd);
            metric_add(METRIC_away_files, 1);
        }
        acceptor->spare = -1;
        open_spare(acceptor);
        if (fd < 0)
            return;
    }
}

static void on_accept_error(struct evconnlistener *listener, void *arg)
{
    struct acceptor *acceptor = arg;
    struct timeval rest = { 0, REST_MS * 1000 };
    int error = errno;
    log_warn("public", "cannot accept: %s; resting for %d ms", strerror(error), REST_MS);
    if (error == EMFILE || error == ENFILE)
        turn_away_waiting(acceptor, evconnlistener_get_fd(listener));
    for (size_t i = 0; i < acceptor->n_listeners; i++)
        evconnlistener_disable(acceptor->listeners[i]);
    event_add(acceptor->rest, &rest);
}

static void on_rested(evutil_socket_t fd, short what, void *arg)
{
    struct acceptor *acceptor = arg;
    (void)fd, (void)what;
    open_spare(acceptor);
    for (size_t i = 0; i < acceptor->n_listeners; i++)
        evconnlistener_enable(acceptor->listeners[i]);
}

/* ---- life ---- */

static int listen_with(struct acceptor *acceptor, int fd)
{
    struct evconnlistener *listener = evconnlistener_new(acceptor->base, on_accept, acceptor, LEV_OPT_CLOSE_ON_EXEC, 0, fd);
    if (!listener)
        return ERR_MEMORY;
    evconnlistener_set_error_cb(listener, on_accept_error);
    acceptor->listeners[acceptor->n_listeners++] = listener;
    return 0;
}

static int open_listeners(struct acceptor *acceptor, const char **ret_why)
{
    static char why[256];
    int err = listen_open(&acceptor->config->public_listen, acceptor->config->dev, &acceptor->listener, why, sizeof why);
    if (err) {
        *ret_why = why;
        return err;
    }
    for (int i = 0; i < acceptor->listener.n && !err; i++)
        err = listen_with(acceptor, acceptor->listener.fds[i]);
    return err;
}

void accept_reconfigure(struct acceptor *acceptor, const struct config *config) { acceptor->config = config; }

int accept_new(const struct config *config, struct event_base *base, struct hub *hub, struct edge **edges, size_t n_edges,
               struct acceptor **ret_acceptor, const char **ret_why)
{
    struct acceptor *acceptor = calloc(1, sizeof *acceptor);
    if (!acceptor)
        return ERR_MEMORY;
    *acceptor = (struct acceptor){ .config = config, .base = base, .hub = hub, .edges = edges, .n_edges = n_edges, .spare = -1, .sweep_at = SWEEP_AT };
    acceptor->edge_seats = calloc(n_edges, sizeof *acceptor->edge_seats);
    acceptor->send = event_new(base, -1, 0, on_send, acceptor);
    acceptor->rest = event_new(base, -1, 0, on_rested, acceptor);
    int err = acceptor->edge_seats && acceptor->send && acceptor->rest ? open_listeners(acceptor, ret_why) : ERR_MEMORY;
    if (err) {
        accept_free(acceptor);
        return err;
    }
    open_spare(acceptor);
    *ret_acceptor = acceptor;
    return 0;
}

const char *accept_address(const struct acceptor *acceptor) { return acceptor->listener.text; }

void accept_stop(struct acceptor *acceptor)
{
    while (acceptor->n_listeners)
        evconnlistener_free(acceptor->listeners[--acceptor->n_listeners]);
    listen_close(&acceptor->listener);
    event_del(acceptor->rest);
}

void accept_free(struct acceptor *acceptor)
{
    if (!acceptor)
        return;
    if (acceptor->rest)
        accept_stop(acceptor);
    if (acceptor->send)
        event_free(acceptor->send);
    if (acceptor->rest)
        event_free(acceptor->rest);
    if (acceptor->spare >= 0)
        close(acceptor->spare);
    forget_addresses(acceptor, true);
    free(acceptor->edge_seats);
    free(acceptor);
}
