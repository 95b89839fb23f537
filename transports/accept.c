#include "transports/accept.h"

#include "hub/base/err.h"
#include "hub/base/hash.h"
#include "hub/base/log.h"
#include "hub/call.h"
#include "hub/config/config.h"
#include "hub/hub.h"
#include "hub/memory.h"
#include "hub/metrics.h"
#include "hub/spoke.h"
#include "transports/door.h"
#include "transports/edge.h"
#include "transports/tunnel.h"

#include <event2/event.h>
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
    SPARE_FILES = 64,            /* descriptors that are not for connections: store, API, logs */
    UNSENT_BYTES = 256 * 1024,
    SWEEP_AT = 1024,             /* addresses kept before those nobody sits at are forgotten */
};

struct address_seats {
    atomic_uint    taken;
    uint8_t        key[16];      /* seats_key */
    UT_hash_handle hh;
};

struct acceptor {
    const struct config   *config;
    struct serving        *serving;
    struct edge          **edges;        /* borrowed */
    size_t                 n_edges;
    atomic_uint           *edge_seats;   /* of n_edges */
    struct address_seats  *addresses;    /* table; empty while addresses are not limited */
    size_t                 sweep_at;
    struct door            door;
    struct event          *send;
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
    size_t for_connections = files.rlim_cur > 2 * SPARE_FILES ? files.rlim_cur - SPARE_FILES : files.rlim_cur / 2;
    return config_public_tls(acceptor->config) ? for_connections / TUNNEL_FILES : for_connections;
}

void seats_key(const struct sockaddr *address, uint8_t ret_key[16])
{
    const struct in6_addr *v6 = &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
    memset(ret_key, 0, 16);
    if (address->sa_family == AF_INET6) {
        memcpy(ret_key, v6, IN6_IS_ADDR_V4MAPPED(v6) ? 16 : 8);
    } else {
        ret_key[10] = ret_key[11] = 0xff;
        memcpy(ret_key + 12, &((const struct sockaddr_in *)(const void *)address)->sin_addr, 4);
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
    seats_key(address, key);
    unsigned hash = (unsigned)hash_bytes(slice((const char *)key, sizeof key));
    HASH_FIND_BYHASHVALUE(hh, acceptor->addresses, key, sizeof key, hash, found);
    if (!found) {
        if (!(found = calloc(1, sizeof *found)))
            return false;
        memcpy(found->key, key, sizeof key);
        HASH_ADD_BYHASHVALUE(hh, acceptor->addresses, key, sizeof found->key, hash, found);
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

/* A vanished peer that says nothing is found by the kernel in about two minutes. What the kernel has not sent yet is bounded:
 * without that a reader that is stuck costs it up to four megabytes, which no limit of ours counts. */
static void prepare_socket(int fd)
{
    int on = 1, idle = 60, every = 15, times = 4, unsent = UNSENT_BYTES;
    setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof unsent);
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
    hub_send(acceptor->serving->hub, acceptor->edges[edge]->peer, &letter->letter);
    event_active(acceptor->send, EV_TIMEOUT, 0);
}

static void on_socket(void *arg, int fd, const struct sockaddr *address, socklen_t len)
{
    struct acceptor *acceptor = arg;
    struct seats seats = { 0 };
    metric_add(METRIC_accepted, 1);
    if (memory_level() == MEMORY_OUT) {
        turn_away(fd, address, len, METRIC_away_memory, "limits.memory");
    } else if (taken_in_all(acceptor) >= most_in_all(acceptor)) {
        turn_away(fd, address, len, METRIC_turned_away, "limits.connections");
    } else if (!take_address(acceptor, address, &seats)) {
        turn_away(fd, address, len, METRIC_turned_away, "limits.connections_per_address");
    } else {
        prepare_socket(fd);
        hand_over(acceptor, fd, seats, address, len);
    }
}

/* All letters of one round of accepts leave together. */
static void on_send(evutil_socket_t fd, short what, void *arg)
{
    struct acceptor *acceptor = arg;
    (void)fd, (void)what;
    acceptor->serving->turn(acceptor->serving);
}

/* ---- life ---- */

void accept_reconfigure(struct acceptor *acceptor, const struct config *config) { acceptor->config = config; }

int accept_new(struct serving *serving, struct edge **edges, size_t n_edges, struct acceptor **ret_acceptor, const char **ret_why)
{
    struct acceptor *acceptor = calloc(1, sizeof *acceptor);
    if (!acceptor)
        return ERR_MEMORY;
    static char why[256];
    *acceptor = (struct acceptor){
        .config = serving->config, .serving = serving, .edges = edges, .n_edges = n_edges, .sweep_at = SWEEP_AT,
        .door = { .name = "public", .on_socket = on_socket, .arg = acceptor },
    };
    acceptor->edge_seats = calloc(n_edges, sizeof *acceptor->edge_seats);
    acceptor->send = event_new(serving->base, -1, 0, on_send, acceptor);
    int err = acceptor->edge_seats && acceptor->send ? 0 : ERR_MEMORY;
    if (!err && (err = door_open(&acceptor->door, serving->base, &serving->config->public_listen, serving->config->dev, why, sizeof why)))
        *ret_why = why;
    if (err) {
        accept_free(acceptor);
        return err;
    }
    door_start(&acceptor->door);
    *ret_acceptor = acceptor;
    return 0;
}

const char *accept_address(const struct acceptor *acceptor) { return acceptor->door.listener.text; }

void accept_stop(struct acceptor *acceptor) { door_close(&acceptor->door); }

void accept_free(struct acceptor *acceptor)
{
    if (!acceptor)
        return;
    accept_stop(acceptor);
    if (acceptor->send)
        event_free(acceptor->send);
    forget_addresses(acceptor, true);
    free(acceptor->edge_seats);
    free(acceptor);
}
