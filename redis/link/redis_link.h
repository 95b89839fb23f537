/* redis_link.h — a connection to the Redis server that takes writes, which comes back by itself.
 * With Sentinels it asks every REDIS_LOOK_MS whether they still name this one, and leaves it when they do not.
 *
 *   OFF ──open──> FINDING (Sentinel) ──> DIALING ──> GREETING (AUTH, SELECT, name, ROLE) ──> UP
 *                     │                     │            │                                   │
 *                     └────> WAITING <──────┴────────────┴── lost, refused, not a master ────┘
 *                                       └── REDIS_PAUSE_MS … REDIS_PAUSE_MAX_MS, growing, with jitter ──> FINDING or DIALING
 *
 * Two kinds: one of commands and replies, and one that listens (SUBSCRIBE), whose owner is given everything that comes. What was
 * sent and has no reply when the link is lost is answered with NULL: nobody knows whether Redis has done it. Nothing is kept to be
 * sent later: while it is not UP, redis_link_send says ERR_REDIS_AWAY.
 *
 * A server that turns out to be none that takes writes (READONLY: it became a replica; MASTERDOWN; LOADING) is for the owner to
 * see in its replies; redis_link_again leaves it and looks anew.
 *
 * Lifetime   redis_link_new … redis_link_free. Not to be freed inside its callbacks; all else may be done there.
 * Threading  the thread of its loop.
 * Limits     redis_link_send refuses above REDIS_QUEUE_BYTES that the socket has not taken (ERR_BUSY). A command without its reply for
 *            command_ms loses the link. Sockets that die in silence: TCP_USER_TIMEOUT as long, and keepalive. */
#pragma once
#include "redis/link/redis_master.h"
#include "redis/link/redis_wire.h"

enum {
    REDIS_PAUSE_MS = 50,
    REDIS_PAUSE_MAX_MS = 1000,
    REDIS_LOOK_MS = 2000,
    REDIS_QUEUE_BYTES = 64 << 20,
};

enum redis_link_state { REDIS_OFF, REDIS_WAITING, REDIS_FINDING, REDIS_DIALING, REDIS_GREETING, REDIS_UP, REDIS_LINK_STATES };

struct redis_link;

struct redis_link_ops {
    void (*up)(void *owner);                                        /* what is sent from inside goes first */
    void (*down)(void *owner, const char *why);                     /* was UP; everything under way is answered */
    void (*failed)(void *owner, const char *why);                   /* did not come UP; tried again */
    void (*push)(void *owner, const struct redisReply *reply);      /* of a link that listens; NULL: one of commands */
};

struct redis_link_setup {
    struct event_base          *base;
    const struct redis_url     *url;
    struct ssl_ctx_st          *tls;                                /* with url->tls */
    const char                 *sentinel_user, *sentinel_password;  /* NULL: none */
    const char                 *client_name;                        /* what CLIENT LIST shows; no spaces */
    int64_t                     connect_ms, command_ms;
    const struct redis_link_ops *ops;
    void                       *owner;
};

struct redis_link *redis_link_new(const struct redis_link_setup *setup);      /* NULL: no memory */
void redis_link_free(struct redis_link *link);        /* NULL is fine; no callbacks */
void redis_link_open(struct redis_link *link);
/* Leaves this server, as if the connection had been lost for this reason. Nothing when it is not UP. */
void redis_link_again(struct redis_link *link, const char *why);
enum redis_link_state redis_link_state(const struct redis_link *link);
/* As redis_wire_send. Besides ERR_MEMORY: ERR_REDIS_AWAY, ERR_BUSY. */
int  redis_link_send(struct redis_link *link, const struct slice *args, size_t n, redis_reply_fn *on_reply, void *arg);
/* redis_wire_hold, of this connection: the next one is not held. */
void redis_link_hold(struct redis_link *link, bool held);
/* Why it is not UP, one sentence without its end; "" when nothing has been tried yet. */
const char *redis_link_why(const struct redis_link *link);
