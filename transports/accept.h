/* accept.h — the public port: accepts on the hub thread, applies limits before any byte is read, hands each socket to the
 * edge with the fewest connections.
 *
 * Lifetime   accept_new binds before any thread starts, so a port in use is told at once; freed after the hub's loop ended.
 * Threading  hub thread (libevent). Seats are given back by the edges, from their threads.
 * Limits     limits.connections, limits.connections_per_address. Out of descriptors: door.h. */
#pragma once
#include "hub/base/mail.h"

struct config;
struct edge;
struct serving;
struct sockaddr;
struct acceptor;

/* What a connection counts in: its edge and, when there is a limit per address, its address. Whoever closes the socket
 * leaves the seats, once. */
struct seats {
    atomic_uint *edge;
    atomic_uint *address;        /* NULL: addresses are not limited */
};
void seats_leave(struct seats *seats);          /* any thread; zeroes them */

/* Who counts as one for limits.connections_per_address: an IPv4 address, also one mapped into IPv6; of IPv6 the network of 64
 * bits, the least that one customer is given (RFC 6177), or the limit would be 2^64 times as high for him. */
void seats_key(const struct sockaddr *address, uint8_t ret_key[16]);

/* LETTER_SOCKET: hub to edge. The edge owns the descriptor and the seats, and frees the letter. */
struct socket_letter {
    struct letter letter;
    int           fd;
    struct seats  seats;
    char          peer[64];      /* "192.0.2.1:50000", for logs */
};

/* 0, or ERR_ADDRESS with one sentence in *ret_why (a static buffer). */
int  accept_new(struct serving *serving, struct edge **edges, size_t n_edges, struct acceptor **ret_acceptor, const char **ret_why);
const char *accept_address(const struct acceptor *acceptor);     /* "127.0.0.1:8000", the real port */
void accept_reconfigure(struct acceptor *acceptor, const struct config *config);   /* new limits from now on */
void accept_stop(struct acceptor *acceptor);                     /* closes the listeners; connections live on */
void accept_free(struct acceptor *acceptor);                     /* after the edges have ended; NULL is fine */
