/* core.h — the inside of struct rooms, for the modules that make it up: rooms.c (what is asked, and time), join.c, relay.c, admin.c (what
 * administrators ask), and below them peer.c, room.c and room_print.c.
 *
 * Nobody else includes this. Threading: the hub's. */
#pragma once
#include "hub/base/clock.h"
#include "hub/base/err.h"
#include "hub/base/heap.h"
#include "hub/base/list.h"
#include "hub/base/mail.h"
#include "hub/base/name.h"
#include "hub/config/config.h"
#include "hub/rooms/room_taken.h"
#include "hub/rooms/room_ticket.h"
#include "signaling/backlog.h"
#include "signaling/rooms.h"

/* A table that finds no memory leaves the new one out (hh.tbl is NULL) instead of ending the process. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

/* Every room and every peer is in rooms->timers, those that wait for nothing at the end. */
struct timer {
    int64_t due_ms;            /* mono; INT64_MAX: nothing is due */
    size_t  place;             /* in the heap */
    bool    is_peer;           /* else: of a room */
};

struct rooms {
    const struct config    *config;
    const struct clock     *clock;
    const struct rooms_out *out;
    void                   *self;      /* of out */
    struct room            *table;     /* by name */
    struct peer            *peers;     /* by room and user */
    struct seats           *seats;     /* by address */
    struct heap             timers;
    size_t                  n_rooms;
    size_t                  kept_bytes;      /* of all backlogs */
    uint64_t                next_number;     /* of peers: who has the lower one came first */
};

struct room {
    UT_hash_handle    hh;
    struct timer      timer;           /* ends when it has been empty for long enough */
    struct rooms     *rooms;
    struct room_text *head;            /* `,"room":"r"` */
    struct room_text *metadata;        /* JSON; NULL: none */
    struct link       peers;           /* oldest first */
    size_t            n_peers, n_away;
    int64_t           created_ms;      /* wall */
    bool              has_capacity, has_empty_timeout;      /* else: as its rule says */
    size_t            capacity;
    int64_t           empty_timeout_ms;
    uint8_t           name_len;
    char              name[];
};

enum peer_state { PEER_PRESENT, PEER_AWAY, PEER_GONE };
enum peer_reason { REASON_LEFT, REASON_TIMEOUT, REASON_KICKED, REASON_REPLACED, REASON_DISCONNECTED, REASON_ENDED, REASON_FORBIDDEN };
extern const char *const peer_reasons[];       /* "left", … */

struct peer {
    UT_hash_handle    hh;
    struct timer      timer;           /* away too long; fresh credentials of TURN; what is kept is old */
    struct link       in_room, in_seats;
    struct room      *room;
    struct seats     *seats;           /* PRESENT: of its connection */
    struct room_text *head;            /* `,"room":"r","from":"ann"` */
    struct room_text *info, *shows;    /* JSON, its `info` and `state`; NULL: none */
    struct ticket     ticket;
    struct backlog    backlog;
    struct room_taken taken;           /* numbers of its own */
    int64_t           since_ms;        /* wall */
    int64_t           away_until_ms;   /* mono; AWAY only */
    int64_t           ice_again_ms;    /* mono; INT64_MAX: its credentials do not end */
    uint8_t           state;           /* enum peer_state */
    bool              is_proven;       /* credentials said who it is */
    uint8_t           user_len;
    char              key[];           /* the address of its room, then its user: how it is found */
};

/* The rooms of one connection. */
struct seats {
    UT_hash_handle hh;
    struct peer_address address;
    struct link    peers;
    size_t         n;
};

static inline struct slice room_name(const struct room *room) { return slice(room->name, room->name_len); }
static inline struct slice peer_user(const struct peer *peer) { return slice(peer->key + sizeof(struct room *), peer->user_len); }
static inline int64_t rooms_now_ms(const struct rooms *rooms) { return clock_mono_ms(rooms->clock); }
static inline struct backlog_limits rooms_limits(struct rooms *rooms)
{
    const struct config *config = rooms->config;
    return (struct backlog_limits){ config->rooms_queue, config->rooms_queue_bytes, &rooms->kept_bytes, config->rooms_kept_bytes };
}
#define peers_each(l, following, room) list_each(l, following, &(room)->peers)
#define peer_of(l) link_of(l, struct peer, in_room)

/* A text of what a buf has; NULL: no memory. The buf is emptied. */
struct room_text *text_of(struct buf *buf);

/* room.c */
struct room *room_find(const struct rooms *rooms, struct slice name);
struct room *room_new(struct rooms *rooms, struct slice name);            /* NULL: no memory. Nobody is told yet */
void room_began(struct room *room);
void room_free(struct room *room);
size_t  room_capacity(const struct room *room);
int64_t room_empty_timeout_ms(const struct room *room);
void room_mind_empty(struct room *room);                                  /* from now on nobody may be in it; ends it when that is not to be waited for */
void room_end(struct room *room, const char *reason);                     /* those who are in it leave; frees it */
/* To all but one (NULL: to all): what the room itself has to say. Takes over the text's reference; NULL: there was no memory, and nobody is told. */
void room_announce(struct room *room, const struct peer *not_to, enum room_frame type, struct room_text *rest);
struct peer *room_find_peer(const struct room *room, struct slice user);
void room_event(const struct room *room, enum event_type type, struct buf *members);      /* members: `,"user_id":"ann"`; emptied; NULL: none */

/* peer.c */
struct peer *peer_new(struct room *room, struct slice user);              /* in no table yet; NULL: no memory */
void peer_free(struct peer *peer);                                        /* likewise */
int  peer_enter(struct peer *peer, struct peer_address address);               /* into its room and its connection: 0 or ERR_MEMORY */
int  peer_tell(struct peer *peer, enum room_frame type, struct room_text *head, struct room_text *rest);      /* 0, ERR_PEER_BUSY, ERR_MEMORY */
void peer_go_away(struct peer *peer);
int  peer_come_back(struct peer *peer, struct peer_address address);           /* 0 or ERR_MEMORY */
/* For good: others are told, and so is its own connection (but for REASON_LEFT). Frees it; its room may have ended. */
void peer_leave(struct peer *peer, enum peer_reason reason, struct slice message);
/* The same, of a room that is to stay whatever happens. */
void peer_leave_room(struct peer *peer, enum peer_reason reason, struct slice message);
void peer_arm(struct peer *peer);
void peer_due(struct peer *peer);
struct seats *seats_find(const struct rooms *rooms, struct peer_address address);
struct room_text *peer_left_text(const struct peer *peer, enum peer_reason reason, struct slice message);

/* rooms.c */
void timer_init(struct rooms *rooms, struct timer *timer, bool is_peer);
void timer_fini(struct rooms *rooms, struct timer *timer);
void timer_set(struct rooms *rooms, struct timer *timer, int64_t due_ms);
bool timer_room(struct rooms *rooms);                                     /* for one more */
/* Its member in the room it means; NULL: *ret_err says why. */
struct peer *own_peer(struct rooms *rooms, struct peer_address from, const struct room_call *call, int *ret_err);

/* What is asked: each answers 0 or ERR_…, with the text of the answer in the call. */
int order_join(struct rooms *rooms, struct peer_address from, struct room_call *call);
int order_relay(struct rooms *rooms, struct peer_address from, struct room_call *call);
int order_state(struct rooms *rooms, struct peer_address from, struct room_call *call);
int order_kick(struct rooms *rooms, struct peer_address from, struct room_call *call);
int order_list(struct rooms *rooms, struct peer_address from, struct room_call *call);
int order_show(struct rooms *rooms, struct peer_address from, struct room_call *call);
int order_create(struct rooms *rooms, struct peer_address from, struct room_call *call);
int order_change(struct rooms *rooms, struct peer_address from, struct room_call *call);
int order_remove(struct rooms *rooms, struct peer_address from, struct room_call *call);
int order_expel(struct rooms *rooms, struct peer_address from, struct room_call *call);
int order_tell(struct rooms *rooms, struct peer_address from, struct room_call *call);

/* room_print.c: JSON */
void print_joined(struct buf *out, const struct peer *peer, bool resumed, bool recovered);      /* members of users-in-room */
void print_who(struct buf *out, const struct peer *peer);                 /* `"user_id":…,"info":…,"state":…` */
void print_room(struct buf *out, const struct room *room, bool with_users);
void print_text(struct buf *out, const char *member, const struct room_text *json);      /* `,"info":…`, null without one */
