/* rooms.h — all rooms of a hub that stands alone, their members, and what these say to each other. A state machine and nothing else: what is asked
 * comes in, what members are told goes out, time comes from a clock. It knows no threads, no sockets and no nodes, only addresses.
 *
 *   rooms_run(address, call) ─┬─> the answer: 0 or ERR_…, and call->text
 *   rooms_drop(address)       ├─> out->say(address, frame)        to members, in order
 *   rooms_tick                ├─> out->replace(address)           a connection that is not the member's any more
 *                             └─> out->tell(event)                for webhooks
 *
 * A member (struct peer, core.h) is a user in one room. It outlives its connection:
 *
 *                 connection ends                    rooms.grace is over, kicked, …
 *   join ─> PRESENT ─────────────> AWAY ───────────────────────────────────────────> GONE
 *              ^  └─ leave, kicked, replaced ──────────────────────────────────────────^
 *              └──── join with its ticket ──┘
 *
 * What one says to another is numbered for the receiver (backlog.h), so that order holds across connections and nothing comes twice.
 *
 * Lifetime   rooms_new, rooms_free. The config lives until rooms_reconfigure has another one.
 * Threading  the hub's.
 * Limits     rooms.max, rooms.capacity, rooms.per_connection; what is kept of members by rooms.queue and its like. A room costs about 300
 *            bytes, a member 500, and what they said of themselves (rooms.max_info, .max_state). */
#pragma once
#include "hub/hub_event.h"
#include "hub/rooms.h"

struct clock;
struct config;
struct principal;
struct rooms;

struct peer_address {
    uint64_t connection;       /* 0: nobody's */
};

/* What a member is told. The texts are borrowed. */
struct frame {
    enum room_frame   type;
    uint64_t          seq;                 /* 0: none */
    bool              replay;
    struct room_text *head, *rest;
};

/* None of these calls back. */
struct rooms_out {
    bool (*say)(void *self, struct peer_address to, const struct frame *frame);      /* false: no memory, it was not told */
    bool (*may_send)(void *self, struct peer_address to);                            /* false: too much is on its way there */
    void (*replace)(void *self, struct peer_address old);
    void (*tell)(void *self, enum event_type type, struct slice room, struct slice data);
};

struct rooms *rooms_new(const struct config *config, const struct clock *clock, const struct rooms_out *out, void *self);      /* NULL: no memory */
void rooms_free(struct rooms *rooms);                                           /* NULL is fine; nobody is told */
void rooms_reconfigure(struct rooms *rooms, const struct config *config);

/* 0 or ERR_… (rooms.h of the hub); what it answers is in the call. */
int  rooms_run(struct rooms *rooms, struct peer_address from, struct room_call *call);
/* A connection is no more. */
void rooms_drop(struct rooms *rooms, struct peer_address address, bool for_good);
/* It has other credentials: what they do not grant it leaves. */
void rooms_rights(struct rooms *rooms, struct peer_address address, const struct principal *principal);

void    rooms_tick(struct rooms *rooms);
int64_t rooms_due_ms(const struct rooms *rooms);      /* mono: when rooms_tick has something to do; INT64_MAX: nothing waits */
