/* accept.h — the public port: accepts on the hub thread, applies limits before any byte is read, hands each socket to the
 * edge with the fewest connections.
 *
 * Lifetime   accept_new binds before any thread starts, so a port in use is told at once, and clients that connect wait in the
 *            kernel; accept_start lets them in, when the edges run; freed after the hub's loop ended.
 * Threading  hub thread (libevent). Seats are given back by the edges, from their threads.
 * Limits     limits.connections, limits.connections_per_address, accept.per_second (crowd.h). Out of descriptors: door.h. Turning away
 *            costs little, but not nothing: after AWAY_AT_ONCE of them in a tenth of a second the door rests, and who comes waits in the kernel. */
#pragma once
#include "hub/base/mail.h"
#include "transports/port/seats.h"

struct config;
struct crowd;
struct edge;
struct serving;
struct acceptor;

/* LETTER_SOCKET: hub to edge. The edge owns the descriptor and the seats, and frees the letter. */
struct socket_letter {
    struct letter      letter;
    int                fd;
    struct seats       seats;
    struct seat_table *seat_table;    /* borrowed */
    bool               admitted;      /* has passed the gate (crowd_admit); not yet, of a trusted proxy */
    char               peer[64];      /* "192.0.2.1:50000", for logs */
};

/* 0, or ERR_ADDRESS with one sentence in *ret_why (a static buffer). */
int  accept_new(struct serving *serving, struct edge **edges, size_t n_edges, struct crowd *crowd, struct acceptor **ret_acceptor, const char **ret_why);
void accept_start(struct acceptor *acceptor);
const char *accept_address(const struct acceptor *acceptor);     /* "127.0.0.1:8000", the real port */
void accept_reconfigure(struct acceptor *acceptor, const struct config *config);   /* new limits from now on */
void accept_stop(struct acceptor *acceptor);                     /* closes the listeners; connections live on */
void accept_free(struct acceptor *acceptor);                     /* after the edges have ended; NULL is fine */
