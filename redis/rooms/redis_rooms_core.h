/* redis_rooms_core.h — the inside of struct redis_rooms, for the modules that make it up: redis_rooms.c (what is asked), redis_room_print.c (answers),
 * redis_seats.c (the members of this node), redis_told.c (what they are told), redis_room_graces.c (who was away for too long; those of dead nodes).
 * Nobody else includes this. */
#pragma once
#include "hub/base/list.h"
#include "hub/base/name.h"
#include "redis/bus/redis_engine.h"
#include "redis/rooms/redis_rooms.h"

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

enum { ROOM_NAME_MAX = 200, SEATS_AT_ONCE = 50 };

enum seat_state { SEAT_LIVE, SEAT_ASKS, SEAT_ASKED };
enum told_by { TOLD_BY_ROOM, TOLD_BY_MEMBER, TOLD_BY_BACKEND };      /* lua/room.lua */

/* What came for a seat before it can be told. */
struct held_word {
    struct link       link;
    uint64_t          number, seq;
    int64_t           came_ms;         /* to its hub, by the server's clock; 0: nobody asks */
    uint8_t           type;
    struct room_text *head, *rest;
};

struct seat {
    UT_hash_handle    hh;              /* by connection and room */
    struct link       in_sitter, in_asking;
    struct sitter    *sitter;
    struct link       held;            /* struct held_word, in order */
    struct room_text *head;            /* `,"room":"r"` */
    uint64_t          number;          /* of the member; 0: there is none (yet, or any more) */
    uint64_t          seq;             /* up to here its edge was sent everything */
    int64_t           ice_again_ms;    /* mono */
    unsigned          joining;         /* joins under way */
    unsigned          n_held;
    uint8_t           state;           /* enum seat_state */
    bool              leaving;         /* likewise, a leave */
    bool              is_full;         /* its edge has too much mail: what comes is left for later */
    bool              is_gone, for_good;      /* its connection has ended; Redis is to know */
    bool              is_unsure;       /* what came of a join nobody knows: if it is in, it is to go again */
    bool              was_back;        /* is_unsure: that join was to bring a member back; it is away then, and has not left */
    bool              is_forbidden;    /* its credentials do not grant it any more: likewise */
    bool              is_lost;         /* its connection is told to close: nothing is told or asked any more */
    bool              says_end;        /* that is being said */
    bool              lacks;           /* there was no room or memory for a word: it is asked for */
    uint8_t           user_len, name_len;
    char              user[USER_NAME_MAX];
    char              key[];           /* connection 8, room */
};

/* The seats of one connection. */
struct sitter {
    UT_hash_handle hh;
    uint64_t       connection;
    struct link    seats;
};

struct redis_rooms {
    struct rooms_port          port;            /* first */
    struct redis_rooms_setup   setup;
    struct redis_part          part;
    struct redis_nodes_watcher watcher;
    struct seat               *seats;           /* table */
    struct sitter             *sitters;         /* table */
    size_t                     n_seats;
    struct link                asking;          /* seats that are to be asked for */
    bool                       asked;           /* some are */
    bool                       counts;          /* when all were asked for, how many there are is compared */
    struct redis_request       sweep;
    bool                       sweeping;
    struct event              *due;             /* when the next one is to leave, if that is soon */
};

static inline struct slice seat_room(const struct seat *seat) { return slice(seat->key + sizeof(uint64_t), seat->name_len); }
static inline uint64_t seat_connection(const struct seat *seat) { return seat->sitter->connection; }
static inline struct slice seat_user(const struct seat *seat) { return slice(seat->user, seat->user_len); }

/* What each of the scripts is called with first (lua/room.lua); the lease is this node's, or another. */
void room_args_under(const struct redis_rooms *rooms, struct redis_args *args, struct slice lease, uint64_t connection, struct slice room);
void room_args(const struct redis_rooms *rooms, struct redis_args *args, uint64_t connection, struct slice room);
int  rooms_script(struct redis_rooms *rooms, struct redis_request *request);
static inline bool rooms_can(const struct redis_rooms *rooms) { return redis_nodes_has_lease(rooms->setup.nodes); }

/* redis_seats.c */
struct seat *seat_find(const struct redis_rooms *rooms, uint64_t connection, struct slice room);
struct seat *seat_need(struct redis_rooms *rooms, uint64_t connection, struct slice room);      /* NULL: no memory */
/* The one room that the connection is in; NULL: none, or several. Those it is leaving do not count. */
struct seat *seat_only(const struct redis_rooms *rooms, uint64_t connection, size_t *ret_n);
void seat_taken(struct redis_rooms *rooms, struct seat *seat, struct slice user, uint64_t number, uint64_t seq);      /* it has a member from now on */
void seat_settle(struct redis_rooms *rooms, struct seat *seat);      /* frees it when nobody sits there or is about to */
void seat_clear(struct seat *seat);                                  /* nobody sits there any more; seat_settle has to follow */
void seat_ended(struct redis_rooms *rooms, struct seat *seat);       /* Redis is to know that its connection has ended, or that it is not in */
void seats_live(struct redis_rooms *rooms);
void seats_tick(struct redis_rooms *rooms);
void seats_rights(struct redis_rooms *rooms, uint64_t connection, const struct principal *principal);
void seats_drop(struct redis_rooms *rooms, uint64_t connection, bool for_good);
void seats_free(struct redis_rooms *rooms);
struct room_text *seat_text_of(struct buf *buf);                     /* what a buf has, which is emptied; NULL: no memory */

/* redis_told.c */
/* To its edge; of `what` the number, the type and the like. False: there is no memory. */
bool seat_tell(struct redis_rooms *rooms, const struct seat *seat, const struct room_say *what, struct room_text *head, struct room_text *rest);
/* An entry of told:R:U (lua/room.lua); false: it is none, or there was no memory. */
bool seat_tell_entry(struct redis_rooms *rooms, struct seat *seat, struct slice bytes, bool replay, uint64_t *ret_seq);
void seat_flush(struct redis_rooms *rooms, struct seat *seat);       /* what came meanwhile is told; may free it */
void seat_forget_held(struct seat *seat);
/* Its connection is closed; what that means for the member Redis says when it is told of the end. */
void seat_lost(struct redis_rooms *rooms, struct seat *seat, int err);
void seat_ask(struct redis_rooms *rooms, struct seat *seat);         /* with the next seats_ask it is asked what it has missed */
void seats_ask(struct redis_rooms *rooms);
void seats_word(struct redis_rooms *rooms, struct slice word);       /* f of lua/room.lua */
void seats_replaced(struct redis_rooms *rooms, struct slice word);   /* x */

/* redis_room_print.c: what a reply says, as the text of the answer; ERR_… */
int  room_joined(struct redis_rooms *rooms, struct room_call *call, const struct redisReply *reply);
int  room_said(struct room_call *call, struct slice room, int err, const struct redisReply *reply);
int  room_shown(struct redis_rooms *rooms, struct room_call *call, const struct redisReply *reply, bool with_members);
int  rooms_listed(struct redis_rooms *rooms, struct room_call *call, const struct redisReply *reply);
int  room_left(struct room_call *call, struct slice room, const struct redisReply *reply);

/* redis_room_graces.c */
void graces_tick(struct redis_rooms *rooms);
void graces_bury(struct redis_rooms *rooms, const char *lease);
int  graces_init(struct redis_rooms *rooms);
void graces_fini(struct redis_rooms *rooms);
