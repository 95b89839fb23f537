#include "transports/accept.h"

#include "hub/access/forwarded.h"
#include "hub/base/clock.h"
#include "hub/base/err.h"
#include "hub/base/log.h"
#include "hub/call.h"
#include "hub/config/config.h"
#include "hub/hub.h"
#include "hub/memory.h"
#include "hub/metrics.h"
#include "hub/spoke.h"
#include "transports/edge/edge.h"
#include "transports/line/tunnel.h"
#include "transports/port/crowd.h"
#include "transports/port/door.h"

#include <event2/event.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    SPARE_FILES = 64,            /* descriptors that are not for connections: store, API, logs */
    UNSENT_BYTES = 256 * 1024,
    AWAY_AT_ONCE = 500,          /* sockets turned away within DOOR_REST_MS before the door rests that long */
};

struct acceptor {
    const struct config   *config;
    struct serving        *serving;
    struct edge          **edges;        /* borrowed */
    size_t                 n_edges;
    atomic_uint           *edge_seats;   /* of n_edges */
    struct seat_table     *seat_table;
    struct crowd          *crowd;        /* borrowed */
    int64_t                away_ms;      /* since when those in `away` are counted */
    int                    away;         /* turned away */
    struct door            door;
    struct event          *send;
};

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

/* METRICS: it has been counted. */
static void turn_away(struct acceptor *acceptor, int fd, const struct sockaddr *address, socklen_t len, enum metric reason, const char *why)
{
    char peer[64];
    if (reason != METRICS)
        metric_add(reason, 1);
    if (log_enabled(LOG_DEBUG)) {
        print_peer(peer, address, len);
        log_debug(peer, "turned away: %s", why);
    }
    door_turn_away(fd);
    int64_t now = clock_mono_ms(acceptor->serving->clock);
    if (now - acceptor->away_ms >= DOOR_REST_MS) {
        acceptor->away_ms = now;
        acceptor->away = 0;
    }
    if (++acceptor->away >= AWAY_AT_ONCE)
        door_rest(&acceptor->door, DOOR_REST_MS);
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

static void hand_over(struct acceptor *acceptor, int fd, struct seats seats, bool admitted, const struct sockaddr *address, socklen_t len)
{
    struct socket_letter *letter = calloc(1, sizeof *letter);
    size_t edge = emptiest_edge(acceptor);
    if (!letter) {
        seats_leave(&seats);
        turn_away(acceptor, fd, address, len, METRIC_away_memory, "out of memory");
        return;
    }
    seats.edge = &acceptor->edge_seats[edge];
    atomic_fetch_add_explicit(seats.edge, 1, memory_order_relaxed);
    letter->letter.kind = LETTER_SOCKET;
    letter->fd = fd;
    letter->seats = seats;
    letter->seat_table = acceptor->seat_table;
    letter->admitted = admitted;
    print_peer(letter->peer, address, len);
    hub_send(acceptor->serving->hub, acceptor->edges[edge]->peer, &letter->letter);
    event_active(acceptor->send, EV_TIMEOUT, 0);
}

/* A proxy brings many clients: whose connection it is, is known and counted when its head has been read (newcomer.c), and the gate is
 * asked then. */
static void on_socket(void *arg, int fd, const struct sockaddr *address, socklen_t len)
{
    struct acceptor *acceptor = arg;
    const struct config *config = acceptor->config;
    struct seats seats = { .ip = ip_of(address) };
    struct proxies proxies = proxies_public(config);
    bool of_proxy = proxies_trust(&proxies, seats.ip);
    metric_add(METRIC_accepted, 1);
    if (memory_level() == MEMORY_OUT) {
        turn_away(acceptor, fd, address, len, METRIC_away_memory, "limits.memory");
    } else if (taken_in_all(acceptor) >= most_in_all(acceptor)) {
        turn_away(acceptor, fd, address, len, METRIC_turned_away, "limits.connections");
    } else if (!of_proxy && !seats_take_address(acceptor->seat_table, config, seats.ip, &seats)) {
        turn_away(acceptor, fd, address, len, METRIC_turned_away, "limits.connections_per_address");
    } else if (!of_proxy && !crowd_admit(acceptor->crowd, config, clock_mono_ms(acceptor->serving->clock))) {
        seats_leave(&seats);
        turn_away(acceptor, fd, address, len, METRICS, "accept.per_second");
    } else {
        prepare_socket(fd);
        hand_over(acceptor, fd, seats, !of_proxy, address, len);
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

int accept_new(struct serving *serving, struct edge **edges, size_t n_edges, struct crowd *crowd, struct acceptor **ret_acceptor, const char **ret_why)
{
    struct acceptor *acceptor = calloc(1, sizeof *acceptor);
    if (!acceptor)
        return ERR_MEMORY;
    static char why[256];
    *acceptor = (struct acceptor){
        .config = serving->config, .serving = serving, .edges = edges, .n_edges = n_edges, .crowd = crowd,
        .door = { .name = "public", .on_socket = on_socket, .arg = acceptor },
    };
    acceptor->edge_seats = calloc(n_edges, sizeof *acceptor->edge_seats);
    acceptor->seat_table = seat_table_new();
    acceptor->send = event_new(serving->base, -1, 0, on_send, acceptor);
    int err = acceptor->edge_seats && acceptor->seat_table && acceptor->send ? 0 : ERR_MEMORY;
    if (!err && (err = door_open(&acceptor->door, serving->base, &serving->config->public_listen, serving->config->dev, why, sizeof why)))
        *ret_why = why;
    if (err) {
        accept_free(acceptor);
        return err;
    }
    *ret_acceptor = acceptor;
    return 0;
}

const char *accept_address(const struct acceptor *acceptor) { return acceptor->door.listener.text; }

void accept_start(struct acceptor *acceptor) { door_start(&acceptor->door); }

void accept_stop(struct acceptor *acceptor) { door_close(&acceptor->door); }

void accept_free(struct acceptor *acceptor)
{
    if (!acceptor)
        return;
    accept_stop(acceptor);
    if (acceptor->send)
        event_free(acceptor->send);
    seat_table_free(acceptor->seat_table);
    free(acceptor->edge_seats);
    free(acceptor);
}
