/* redis_ask.h — a question to all nodes, to all others, or to one; each answers when it can, and who asked is told who did not.
 *
 *   redis_ask ──tell.lua: word──> each node: its answerer of that kind ··· redis_answer ──tell.lua: word──> reply(ask, node, body)
 *                                                                                                            └─ last one, or too late: done(ask)
 *
 * Who is awaited: every node that has a lease (redis_asks_know), and as many as PUBLISH says have heard. Neither is enough: a node whose
 * listener is being dialled has a lease and hears nothing; one that has just come hears and has no lease yet; a listener that hangs
 * half-open is counted for minutes by Redis. So it ends when all that heard have replied, or all with a lease have and strangers had
 * REDIS_ASK_STRANGERS_MS, or REDIS_ASK_MS have passed.
 *
 * Words are small: what is longer than REDIS_ASK_INLINE lies in Redis as a parcel that expires, and the word has its name. A page of
 * connections in words would stand before messages on the listener of who asked, and several of them would reach Redis's
 * client-output-buffer-limit pubsub, which costs the node its listener. Parcels come by the link of commands, one at a time.
 *
 * Nothing is owed to Redis: when it goes away, what is under way ends, and what lies there expires. A question is answered zero times or
 * once; who answers keeps a redis_asker, which is a value, and owes nothing either.
 *
 * Lifetime   redis_asks_new after the bus, redis_asks_free after redis_bus_free. A redis_ask is the asker's and embedded; from redis_ask to
 *            done() it is not touched. answerers are their owners', and outlive it.
 * Threading  the bus's.
 * Limits     REDIS_ASKS_AT_ONCE under way (ERR_BUSY); a body REDIS_ASK_BYTES (ERR_BODY_TOO_LARGE); REDIS_ASK_NODES nodes are told apart. In Redis
 *            a parcel for at most REDIS_PARCEL_MS. */
#pragma once
#include "redis/bus/redis_bus.h"

enum {
    REDIS_ASK_MS = 2000,
    REDIS_ASK_STRANGERS_MS = 250,
    REDIS_PARCEL_MS = 5000,
    REDIS_ASK_INLINE = 4096,
    REDIS_ASK_BYTES = (1 << 20) + (64 << 10),
    REDIS_ASKS_AT_ONCE = 256,
    REDIS_ASK_NODES = 1024,
};

struct event;
struct redis_asks;

/* One who asks. Callbacks come from the loop, never from inside redis_ask. */
struct redis_ask;
struct redis_ask {
    char          kind;            /* of the answerers asked */
    uint64_t      to;              /* a node; 0: all */
    bool          others;          /* all but this one */
    struct slice  body;            /* needed until redis_ask has returned */
    void        (*reply)(struct redis_ask *ask, uint64_t node, struct slice body);      /* each as it comes; `body` during the call */
    void        (*done)(struct redis_ask *ask);
    /* answer, in done() */
    int           err;             /* 0: asked. ERR_OUTCOME_UNKNOWN: Redis went away meanwhile. ERR_REDIS_AWAY, …: nobody was asked */
    unsigned      n_replies;
    unsigned      n_missing;       /* who did not answer in time, or does not know such questions */
    const uint64_t *missing;       /* and which these are, as far as they have leases; valid in done() */
    size_t        n_named;
    /* redis_ask.c */
    struct link   link;
    struct redis_asks *asks;
    uint64_t      number;
    struct event *timer;
    uint64_t     *awaited;         /* those with leases first, n_awaited; then others that replied, up to n_known */
    bool         *replied;
    size_t        n_awaited, n_known;
    int64_t       heard;           /* by how many; -1: not known yet */
    unsigned      n_unable;        /* of those, do not know such questions */
    int64_t       asked_ms;
};

/* Who is to be answered: copied, and good for one answer. */
struct redis_asker { uint64_t node, number; };

struct redis_answerer {
    struct link link;
    char        kind;
    /* To be answered with redis_answer, now or later; never, when there is nothing left that could. */
    void      (*answer)(struct redis_answerer *self, struct redis_asker asker, struct slice body);
};

struct redis_asks *redis_asks_new(struct redis_bus *bus);      /* a part of it; NULL: no memory */
void redis_asks_free(struct redis_asks *asks);                 /* what is under way ends; NULL is fine */
void redis_asks_add(struct redis_asks *asks, struct redis_answerer *answerer);
/* `list` names the nodes that have leases, this one too, at most `most`; how many. Without this all are strangers, and counted. */
void redis_asks_know(struct redis_asks *asks, size_t (*list)(void *arg, uint64_t *ret_nodes, size_t most), void *arg);

/* 0: done() will come. ERR_REDIS_AWAY, ERR_BUSY, ERR_BODY_TOO_LARGE, ERR_MEMORY: it will not. */
int  redis_ask(struct redis_asks *asks, struct redis_ask *ask);
/* done() will not come. */
void redis_ask_cancel(struct redis_ask *ask);
/* Errors are for nobody: who asked will miss the answer. */
void redis_answer(struct redis_asks *asks, struct redis_asker asker, struct slice body);
