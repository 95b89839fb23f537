/* http_front.h — the API's front: its listeners, its thread and loop, and what all its connections share.
 *
 *   one turn:  epoll ─> sockets are read, requests begun and run, answers of the hub come by mail
 *              end of turn ─> each touched connection sends all its finished answers with one send()
 *                          ─> what was closed is freed
 *   when a turn finds few requests, or FRONT_MAIL_CALLS have come together: all calls to the hub leave with one post_flush
 *                          ─> after a burst: a moment's rest
 *
 * Bursts     a turn costs the same for one request as for many: here, in the hub, and most of all in the store's transaction.
 *            Who sends many without waiting for answers sends them one after the other, and a thread that takes each the
 *            moment it comes makes many small turns of them. So after a turn that passed FRONT_BURST_CALLS or more on to the hub
 *            for each connection it read, what comes next has FRONT_REST_US to gather (pipelined publishes: a third of the
 *            transactions, a fifth less CPU). Who waits for each answer is never made to wait, however many they are.
 *
 * Lifetime   http_front_new binds; http_front_start begins the thread; http_front_stop ends and joins it; http_front_free after
 *            the hub has answered or forgotten everything (its last turn).
 * Threading  new, start, address, drain, done, stop, free: the hub thread. Everything else: the API thread.
 * Limits     FRONT_MAIL_BYTES under way to the hub; beyond it connections are not read until answers come back. Out of
 *            descriptors: door.h. */
#pragma once
#include "hub/api/api.h"
#include "hub/base/list.h"
#include "transports/port/door.h"

#include <pthread.h>
#include <stdatomic.h>

struct event;
struct event_base;
struct http_conn;
struct http_request;

enum {
    FRONT_MAIL_BYTES = 16 * 1024 * 1024,
    FRONT_SPARE_REQUESTS = 1024,
    FRONT_READ_BYTES = 64 * 1024,
    FRONT_MAIL_CALLS = 256,
    FRONT_BURST_CALLS = 4,
    FRONT_REST_US = 200,
};
enum front_wish { FRONT_RUN, FRONT_DRAIN, FRONT_STOP };

struct http_front {
    const struct config   *config;
    const struct clock    *clock;
    struct api             api;
    struct mailbox         box;            /* answers of the hub */
    struct post            to_hub;
    struct door            door;
    struct event_base     *base;
    struct event          *mail;
    pthread_t              thread;
    bool                   started, draining;
    bool                   starved;        /* a connection waits for room in the hub's mailbox */
    atomic_int             wish;           /* enum front_wish: what the hub thread wants */
    atomic_bool            ended;          /* the thread's loop has ended */
    unsigned               n_read;         /* connections that were read in this turn */
    int64_t                now_ms;         /* of this turn */
    int64_t                date_s;         /* the second that `date` tells */
    char                   date[40];       /* "Date: …\r\n" */
    uint64_t               next_id;        /* of connections */
    uint64_t               id_seed, id_count;   /* of requests */
    struct link            conns;          /* open ones */
    struct link            touched;        /* those that have something to do at the end of this turn */
    struct link            doomed;         /* closed in this turn */
    struct link            waiting;        /* requests at the hub (struct http_request.waiting_link) */
    struct http_request   *spare;          /* requests to be used again */
    size_t                 n_spare;
    char                  *in;             /* FRONT_READ_BYTES: what was read from one connection, until it has taken it */
    struct buf             out;            /* answers of one connection, before they are sent */
};

/* Binds api.listen. 0, or ERR_ADDRESS, ERR_MEMORY with one sentence in `why`. */
int         http_front_new(const struct config *config, const struct clock *clock, struct authority *authority, struct http_front **ret_front,
                           char *why, size_t why_size);
/* Where calls go, and what the front is called there. Before start. */
void        http_front_connect(struct http_front *front, struct mailbox *hub, uint8_t peer);
struct mailbox *http_front_mailbox(struct http_front *front);
int         http_front_start(struct http_front *front);
const char *http_front_address(const struct http_front *front);
/* Stop accepting; answer what is under way with Connection: close; end when no connection is left. */
void        http_front_drain(struct http_front *front);
bool        http_front_done(const struct http_front *front);      /* the thread has ended, or never began */
void        http_front_stop(struct http_front *front);            /* end now, join */
void        http_front_free(struct http_front *front);            /* NULL is fine */

/* For connections. */
struct http_request *http_front_request(struct http_front *front);        /* a clean one, or NULL: no memory */
void http_front_give_back(struct http_front *front, struct http_request *request);
bool http_front_has_room(struct http_front *front);                      /* false: it will be touched when there is */
struct ssl_ctx_st *http_front_tls(const struct http_front *front);       /* what connections speak TLS with; NULL: in the clear */
void http_front_look_at_clock(struct http_front *front);                 /* each callback begins with it */
void http_front_request_id(struct http_front *front, char out[129]);
