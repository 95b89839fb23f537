/* presence.h — who is in a channel: members, what is known of them, and what is told when they come and go.
 *
 * A member is a user with at least one subscription to the exact channel. Edges report each subscription by an attendance (a block
 * of memory that says whose it is); several of one user are one member, whose info is that of the newest. When the last one has
 * left, the member stays for a grace period: who is back within it has never left, so a page that is reloaded makes no noise.
 *
 *   first attendance ─> PRESENT (told: joined) ─last one leaves─> LEAVING ─grace is over─> gone (told: left)
 *                          ^                                        │
 *                          └──────────────an attendance─────────────┘
 *
 * So joined and left of a user alternate in each channel. An attendance may also ask: its edge is told. It knows nothing of edges
 * but their numbers, and of the hub nothing: what it needs is in struct presence_port.
 *
 * With an engine outside, which several hubs share, that one knows all members, and graces: here are those of this hub only. What
 * changes of one is to be said to the engine (a saying is how it stands, so a newer one makes an older needless, and one said twice
 * does no harm), and the engine tells who came or left, on whatever hub, through presence_tell:
 *
 *   attendance ─> member is unsaid ─presence_unsaid─> engine ─presence_said─> said, or unsaid again
 *                                                       └─ of any hub ─presence_tell─> edges that ask
 *
 * Who has left stays until the engine knows.
 *
 * Attendances are made by the edge, so leaving needs no memory. Both letters, join and then leave, come in that order; the hub has
 * the block from join to leave and frees it then.
 *
 * Lifetime   presence_init, presence_fini (which frees the attendances it has).
 * Threading  the hub's. An attendance: made on the edge; the hub's fields are touched by the hub only, the edge's by the edge only.
 * Limits     one attendance per subscription (limits.channels of each connection); a member costs about 200 bytes, its user and an
 *            attendance of about 200 and the channel's name; info is shared with the connection (presence.max_info). The time of a
 *            page is linear in the members of the channel, the count is not. */
#pragma once
#include "hub/base/heap.h"
#include "hub/base/list.h"
#include "hub/call.h"

#include <uthash.h>

struct hall;
struct member;
struct principal;
struct sub;

struct attendance {
    struct letter     join, leave;    /* LETTER_JOIN, LETTER_LEAVE */
    struct principal *principal;      /* one reference: user and info */
    bool              counts;         /* it has a user, and the channel's rule has presence */
    bool              asks;           /* wants to be told who comes and goes */
    uint8_t           peer;           /* the edge */
    /* the edge's, until it has sent `leave` */
    UT_hash_handle    hh;             /* in edge->attendances, by `sub` */
    struct sub       *sub;
    struct link       ask_link;       /* in feed->askers */
    /* the hub's */
    struct hall      *hall;           /* NULL: there was no memory for it */
    struct member    *member;         /* NULL: it does not count */
    struct link       link;           /* in member->attendances */
    int64_t           came_ms;        /* mono */
    uint64_t          hash;           /* hash_bytes(name) */
    uint8_t           name_len;
    char              name[];         /* the channel */
};

/* NULL: no memory. Takes a reference of its own to the principal. */
struct attendance *attendance_new(struct slice channel, uint64_t hash, struct principal *principal, uint8_t peer);
void               attendance_free(struct attendance *attendance);

struct presence_change {
    struct slice      channel;
    uint64_t          hash;
    struct principal *principal;      /* of the member */
    bool              joined;         /* else: left */
};

/* What presence asks of whoever has it. */
struct presence_port {
    /* How long a member of this channel stays when its last attendance has gone. */
    int64_t (*grace_ms)(void *self, struct slice channel, uint64_t hash);
    /* Somebody on the edge `peer` asks and is to be told. */
    void    (*tell)(void *self, uint8_t peer, const struct presence_change *change);
    /* Once for each change, whoever asks. */
    void    (*changed)(void *self, const struct presence_change *change);
    /* In this channel somebody asks now, or nobody does any more. */
    void    (*asked)(void *self, struct slice channel, uint64_t hash, bool asked);
    /* There is something unsaid, and there was nothing. */
    void    (*unsaid)(void *self);
};

struct presence {
    const struct presence_port *port;
    void          *self;
    struct hall   *halls;             /* table by channel name: those with a member or somebody who asks */
    struct member *members;           /* table by hall and user */
    struct heap    leaving;           /* members whose grace runs, by its end; room for all members */
    size_t         n_members;
    bool           outside;           /* an engine knows the members; set before the first attendance */
    struct link    unsaid;            /* members of whom the engine does not know how they stand, oldest first */
};

void     presence_init(struct presence *presence, const struct presence_port *port, void *self);
void     presence_fini(struct presence *presence);
void     presence_join(struct presence *presence, struct attendance *attendance, int64_t now_ms, int64_t wall_ms);
void     presence_leave(struct presence *presence, struct attendance *attendance, int64_t now_ms);     /* frees it */
void     presence_tick(struct presence *presence, int64_t now_ms);
int64_t  presence_due_ms(const struct presence *presence);      /* mono: when a grace ends; INT64_MAX: none runs */
uint32_t presence_count(const struct presence *presence, struct slice channel, uint64_t hash);
/* Fills in the answer. 0 or ERR_MEMORY. */
int      presence_list(const struct presence *presence, struct members_call *call);

/* ---- beside an engine outside ---- */

/* How a member stands on this hub. Borrowed from it, until the next call. */
struct member_saying {
    struct slice      channel;
    uint64_t          hash;
    struct principal *principal;      /* of the newest attendance */
    uint32_t          connections;    /* 0: it is not here any more */
    int64_t           came_ms;        /* mono: the newest attendance */
};
struct member *presence_unsaid(struct presence *presence, struct member_saying *ret_saying);      /* the oldest; NULL: nothing is unsaid */
void presence_said(struct presence *presence, struct member *member, bool done);           /* each that was given out, once */
void presence_say_again(struct presence *presence);                                        /* the engine knows of nobody any more */
void presence_tell(struct presence *presence, const struct presence_change *change);
