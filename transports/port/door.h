/* door.h — where sockets come in: the listeners of one port on a libevent loop, and what happens when no more can come in.
 *
 * At EMFILE and ENFILE a listener stays readable, so a loop that goes on accepting takes a whole core, while those who wait are
 * left hanging. Instead the door keeps a spare descriptor: it is given up, one who waits is accepted with it and closed at once,
 * and it is opened again, until nobody waits; then the listeners rest for a moment. Who is connected is served on, and the first
 * descriptor that comes free lets the next one in.
 *
 *   OPEN ─accept fails─> turn away who waits ─> RESTING ─100 ms─> OPEN
 *   OPEN ─DOOR_ROUND have come at once, or door_rest()─> RESTING ─0 ms, or as asked for─> OPEN
 *
 * However many come, the loop is busy with them for DOOR_ROUND sockets at a time: what else waits for it has its turn in between.
 *
 * It is logged once, and again only when it had been well for DOOR_QUIET_MS. carillon_connections_refused_total{reason="files"}
 * counts the sockets.
 *
 * Lifetime   embedded; door_open binds, nobody comes in before door_start; door_close closes the listeners, twice is fine.
 *            What came in lives on.
 * Threading  that of its loop, or before it runs.
 * Limits     one spare descriptor, AWAY_MAX sockets turned away in one round. */
#pragma once
#include "transports/port/listen.h"

#include <stdint.h>
#include <sys/socket.h>

struct address;
struct event;
struct event_base;
struct evconnlistener;

enum { DOOR_ROUND = 64, DOOR_REST_MS = 100, DOOR_QUIET_MS = 10000 };

/* The descriptor is the receiver's; it does not block. */
typedef void door_socket_fn(void *arg, int fd, const struct sockaddr *address, socklen_t len);

struct door {
    const char            *name;                  /* for logs: "public", "api" */
    door_socket_fn        *on_socket;
    void                  *arg;
    struct listener        listener;
    struct evconnlistener *listeners[LISTEN_MAX];
    struct event          *rest;
    int                    spare;                 /* -1: given up */
    int                    round;                 /* sockets taken since it has rested */
    int64_t                failed_ms;             /* when accepting failed last, on the mono clock; 0: never */
};

/* `door` is zero but for name, on_socket and arg. 0, or ERR_ADDRESS, ERR_MEMORY with one sentence in `why`. */
int  door_open(struct door *door, struct event_base *base, const struct address *address, bool dev, char *why, size_t why_size);
void door_start(struct door *door);
/* Takes nobody in for so long; who comes waits in the kernel's queue. Inside on_socket too. */
void door_rest(struct door *door, int ms);
void door_close(struct door *door);
/* Closes a socket of which nothing has been read, by a reset: a client that has not sent its request yet must not take the end for that
 * of a connection it may still write to (the fetch of Node 20 waits for ever then), and nothing of it is left in the kernel. */
void door_turn_away(int fd);
