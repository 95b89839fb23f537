/* rooms.h — port: rooms of WebRTC signaling. Edges and the API ask by calls, members are told by letters; what a room is, is known to who implements
 * the port: signaling/ for a hub that stands alone, redis/rooms/ for hubs that share a Redis.
 *
 *   edge: a frame of a client ─> room_call ──mail──> hub ─> rooms->run ─┬─> the same call, answered: `ok`, `users-in-room`, `error`
 *   API:  a request ─────────────────^                                  └─> room_say ──mail──> edge of each member: a frame of its own
 *   edge: a connection has ended ─> room_drop ──mail──> hub ─> rooms->drop;  it has other credentials ─> room_rights ─> rooms->rights
 *
 * Answers and frames for one edge arrive in the order in which they were made, so what a member is told before its own answer happened
 * before it. Payloads are never looked into: a relayed frame is the bytes that its sender sent, without the members that are the hub's
 * (`rest`), behind what the hub says of it (`head`).
 *
 * Lifetime   hub_use_rooms before the first turn; the port outlives the hub's last. A call is its origin's (call.h), also what it points to.
 *            room_say is the edge's to free, room_drop and room_rights the hub's.
 * Threading  calls are made and answered on their origin's thread, run on the hub's. A room_text is immutable, any thread.
 * Limits     what a call carries is bounded by who makes it (rooms.max_signal and its like); mail to an edge by edge.mail_bytes: beyond that
 *            a sender is told that the other one is busy. */
#pragma once
#include "hub/call.h"

struct hub;
struct principal;

/* Bytes that several receivers share. Atomically reference-counted. */
struct room_text {
    atomic_uint refs;
    uint32_t    len;
    char        bytes[];
};
struct room_text *room_text_new(struct slice bytes);             /* NULL: no memory */
struct room_text *room_text_ref(struct room_text *text);         /* NULL is fine */
void              room_text_unref(struct room_text *text);       /* NULL is fine */
static inline struct slice room_text_slice(const struct room_text *text) { return text ? slice(text->bytes, text->len) : slice("", 0); }

enum room_frame {
#define ROOM_RELAYED(name, type, what) ROOM_FRAME_##name,
#define ROOM_FRAME(name, type, what)   ROOM_FRAME_##name,
#include "hub/room_frames.def"
#undef ROOM_RELAYED
#undef ROOM_FRAME
    ROOM_FRAMES
};
const char *room_frame_type(enum room_frame frame);              /* "offer" */

/* ---- asked ---- */

enum room_order {
    /* of a connection */
    ROOM_JOIN,         /* room, user, info, state, resume… -> text: the members of users-in-room */
    ROOM_LEAVE,        /* room? -> text: those of left */
    ROOM_RELAY,        /* frame, room?, to?, n?, rest -> text: those of ok, or what an error names */
    ROOM_STATE,        /* room?, n?, state -> likewise */
    ROOM_KICK,         /* room, to, message -> likewise */
    ROOM_ICE,          /* room? -> text: those of ice-servers */
    /* of the API */
    ROOM_LIST,         /* room (a prefix), after, limit -> text: rooms, with commas; more, upto */
    ROOM_SHOW,         /* room -> text: the room, with its members */
    ROOM_CREATE,       /* room, changes -> text: the room */
    ROOM_CHANGE,       /* room, changes -> text */
    ROOM_REMOVE,       /* room */
    ROOM_EXPEL,        /* room, to, message */
    ROOM_TELL,         /* room, frame, users (none: all), rest -> delivered */
    ROOM_ICE_MAKE,     /* user, ttl_ms -> text: ice_servers and rtc_config */
    ROOM_ORDERS
};

/* Who asks, of a connection: what its credentials say. */
struct room_asker {
    uint64_t connection;     /* 0: the API */
    bool     is_nobody;      /* it has shown no credentials */
    bool     is_proven;      /* they say that it is `user` */
};

/* What an administrator decides about one room; what is not given stays, or is as the rule says. */
struct room_changes {
    bool         has_capacity, has_empty_timeout, has_metadata;
    size_t       capacity;             /* 0: as the rule says */
    int64_t      empty_timeout_ms;     /* -1: likewise */
    struct slice metadata;   /* JSON; empty or null: none */
};

/* ERR_BAD_ROOM, ERR_ROOM_NEEDED, ERR_NOT_IN_ROOM, ERR_ALREADY_JOINED, ERR_USER_TAKEN, ERR_NO_SUCH_ROOM, ERR_ROOM_FULL, ERR_TOO_MANY_ROOMS,
 * ERR_ROOMS_FULL, ERR_ROOM_EXISTS, ERR_RESUME_FAILED, ERR_PEER_UNAVAILABLE, ERR_PEER_BUSY, ERR_TO_YOURSELF, ERR_MEMORY, ERR_DRAINING;
 * where rooms span hubs ERR_REDIS_AWAY, ERR_REDIS_REFUSED (nothing was done), ERR_OUTCOME_UNKNOWN. */
struct room_call {
    struct call         call;
    enum room_order     order;
    struct room_asker   asker;
    struct slice        room;          /* a valid name; empty: the only one the connection is in */
    struct slice        user;          /* JOIN, ICE_MAKE: a valid name */
    struct slice        to;            /* a user; empty: all others */
    const struct slice *users;         /* TELL */
    size_t              n_users;
    enum room_frame     frame;         /* RELAY, TELL */
    uint64_t            n;             /* the sender's own number; 0: none */
    int64_t             began_us;      /* RELAY: when it came (clock_mono_us) */
    struct room_text   *rest;          /* RELAY, TELL: one reference, the origin's: `,"sdp":…`, the members as sent */
    struct slice        info, state;   /* JOIN: JSON; STATE: state; empty: none */
    struct slice        resume;        /* JOIN: what `you.resume` said; empty: none */
    bool                has_last_seq, fresh;
    uint64_t            last_seq;
    struct slice        message;       /* KICK, EXPEL: for people, UTF-8 */
    struct room_changes changes;       /* CREATE, CHANGE */
    struct slice        after;         /* LIST: names greater than this */
    size_t              limit;         /* LIST: 1 … 1,000 */
    int64_t             ttl_ms;        /* ICE_MAKE; 0: that of the settings */
    /* answer */
    struct buf          text;          /* the origin's to free: `,"room":…`, members of a JSON object; of an error too */
    uint32_t            delivered;     /* TELL: members it is on its way to, or kept for */
    bool                more;          /* LIST */
    char                upto[200];
    uint8_t             upto_len;
};

/* ---- told ---- */

/* LETTER_ROOM_SAY: to one connection. */
struct room_say {
    struct letter     letter;
    uint64_t          connection;
    uint64_t          seq;             /* 0: not part of the sequence */
    uint8_t           frame;           /* enum room_frame */
    bool              replay;          /* told before, to a connection that may not have had it */
    int64_t           began_us;        /* of a frame that is relayed at once; 0: it is none */
    struct room_text *head, *rest;     /* a reference each: `,"room":"r","from":"ann"`, and the frame's own members; rest NULL: none */
};
void room_say_print(const struct room_say *say, struct buf *out);      /* the JSON object */
void room_say_free(struct room_say *say);

/* LETTER_ROOM_CLOSE: this connection is closed with that error: ERR_REPLACED, its client goes on with another one; ERR_ROOM_LOST, where rooms
 * span hubs: what it was to be told is not all there any more. */
struct room_close {
    struct letter letter;
    uint64_t      connection;
    int           err;
};

/* LETTER_ROOM_DROP: a connection that has asked to join has ended. Made when it asks, so that ending needs no memory. */
struct room_drop {
    struct letter letter;
    uint64_t      connection;
    bool          for_good;            /* it shall not come back: an administrator closed it, its credentials were taken back */
};

/* LETTER_ROOM_RIGHTS: a connection that has asked to join has other credentials; it leaves the rooms that these do not grant to join. */
struct room_rights {
    struct letter     letter;
    uint64_t          connection;
    struct principal *principal;       /* a reference */
};

/* ---- the port ---- */

struct rooms_port {
    void (*run)(struct rooms_port *port, struct room_call *call);      /* answered with rooms_answer, once */
    void (*drop)(struct rooms_port *port, uint64_t connection, bool for_good);
    void (*rights)(struct rooms_port *port, uint64_t connection, const struct principal *principal);
};

/* ---- what it asks of the hub; a turn has to follow (spoke.h), or is running ---- */

void hub_use_rooms(struct hub *hub, struct rooms_port *port);
void rooms_answer(struct hub *hub, struct room_call *call, int err);
/* Whether more should be sent to the edge of this connection. */
bool rooms_may_send(const struct hub *hub, uint64_t connection);
void rooms_send(struct hub *hub, struct room_say *say);
void rooms_close(struct hub *hub, struct room_close *close);
