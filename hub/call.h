/* call.h — what other threads ask of the hub, and what the hub tells edges. Everything is a letter (base/mail.h).
 *
 * A WebSocket frame and an API request become the same calls. A call is made and owned by the thread that asks (its
 * origin); it is mailed to the hub, which fills in the answer and mails the same memory back; the origin's mail loop
 * then runs call->answered(call), which uses and frees it. The hub always answers, exactly once, even while draining.
 *
 *   origin: call_submit ──letter──> hub: runs it (at once, or later: a publish waits for its engine) ──same letter──> origin: answered()
 *
 * Who may: the origin checks the principal once, before it submits (access.h). The hub trusts what reaches it.
 * Order: letters of one origin run in order; answers and messages to one origin arrive in the order the hub sent them.
 * That order is the ground the resume rules stand on (EXACT.md 13).
 * Lifetime: what `slice` members point to belongs to the origin and lives until the answer. Messages in an answer carry a
 * reference each, which the origin gives back. */
#pragma once
#include "hub/base/mail.h"
#include "hub/deliveries.h"
#include "hub/idempotency.h"
#include "hub/msg.h"
#include "hub/since.h"

enum letter_kind {
    /* calls: to the hub, and back as their own answer */
    CALL_PUBLISH,      /* struct publish_call */
    CALL_FETCH,        /* struct fetch_call */
    CALL_CHANNELS,     /* struct channels_call */
    CALL_WATCH,        /* struct watch_call */
    CALL_UNWATCH,      /* struct watch_call */
    CALL_HEAD,         /* struct head_call */
    CALL_LOSS_SEEN,    /* struct call */
    CALL_RECORD,       /* struct record_call of records.h */
    CALL_ERRAND,       /* struct errand_call of errand.h */
    CALL_LEAVE,        /* struct call: this edge ends when it is answered; no errand comes to it after that */
    CALL_KEYS,         /* struct call */
    CALL_MEMBERS,      /* struct members_call */
    CALL_MATCH,        /* struct match_call */
    CALL_PURGE,        /* struct purge_call */
    CALL_NODES,        /* struct nodes_call */
    CALL_EVENT,        /* struct publish_call */
    CALL_DELIVERIES,   /* struct deliveries_call */
    CALL_WEBHOOK,      /* struct webhook_call of webhook_call.h */
    CALL_ROOM,         /* struct room_call of rooms.h */
    CALL_KINDS,        /* how many there are */
    /* hub to edge, no answer; the edge frees them, but for LETTER_LOST */
    LETTER_MESSAGE,    /* struct message_letter */
    LETTER_LOST,       /* struct letter, the hub's own: not to be freed, nor looked at after CALL_LOSS_SEEN */
    LETTER_DRAIN,      /* struct letter: close every connection (PROTOCOL.md, hub.bye), the edge ends when none is left */
    LETTER_SOCKET,     /* struct socket_letter of transports/accept.h */
    LETTER_STOP,       /* struct letter: end the thread now (drain.timeout has passed) */
    LETTER_CONFIG,     /* struct config_letter: to every peer */
    LETTER_PURGED,     /* struct letter: messages were removed that answers kept for others may have */
    LETTER_MEMBER,     /* struct member_letter: somebody came to a channel, or left it */
    LETTER_ROOM_SAY,   /* struct room_say of rooms.h: a frame for one connection */
    LETTER_ROOM_CLOSE, /* struct room_close of rooms.h: close this connection */
    /* edge to hub, no answer */
    LETTER_JOIN,       /* in struct attendance of presence.h */
    LETTER_LEAVE,      /* likewise; the hub frees the attendance */
    LETTER_ROOM_DROP,  /* struct room_drop of rooms.h; the hub frees it */
    LETTER_ROOM_RIGHTS,/* struct room_rights of rooms.h; likewise */
    /* hub to edge and back */
    LETTER_ERRAND,     /* struct errand_part of errand.h: the hub's */
    /* store to hub */
    LETTER_STORED,     /* struct store_group of store.h */
    LETTER_READ,       /* struct delivery_read of deliveries.h */
    /* the thread behind http_out.h to hub */
    LETTER_HTTP_OUT,   /* struct http_out_request of http_out.h */
};

struct call {
    struct letter letter;                 /* first; letter.kind < CALL_KINDS */
    uint8_t       from;                   /* the origin's number at the hub: hub_add_peer() */
    uint8_t       round;                  /* the hub's (engine.c) */
    int           err;                    /* answer: 0 or ERR_… */
    void        (*answered)(struct call *call);   /* on the origin's thread; owns the call from then on */
    void         *owner;                  /* the origin's own; the hub does not look at it */
};

static inline void call_submit(struct post *to_hub, struct call *call, size_t bytes)
{
    post_put(to_hub, &call->letter, sizeof *call + bytes);
}

enum if_position {
    IF_ANY,           /* whatever the channel has */
    IF_NONE,          /* only if the hub knows of no message of the channel */
    IF_NEWEST,        /* only if the newest submitted message of the channel is this one (EXACT.md 1) */
};

/* Publish: ERR_STORE_FAILED, ERR_BUSY (too much under way; nothing was published), ERR_DRAINING, ERR_POSITION_CHANGED, and of
 * idempotency.h ERR_KEY_IN_USE, ERR_KEY_REUSED; with an engine outside those of engine.h. A replay is answered whatever the condition says: the first one met it. */
struct publish_call {
    struct call call;
    struct msg *msg;              /* one reference, which stays the origin's; answer: seq, epoch, time_ms are set (a replay: to
                                     those of the first, and this message goes nowhere) */
    struct idempotency_key key;   /* of scope, path and key; all zero: none */
    enum if_position       if_position;
    struct position        position;   /* of IF_NEWEST; answer with ERR_POSITION_CHANGED: the newest, seq 0: none is known */
    uint32_t    subscribers;      /* answer: subscriptions on this node that it is on its way to; with a key: when it was taken */
    bool        replayed;         /* answer */
    struct hub_event *event;      /* the hub's, until it is kept */
    bool        is_own;           /* likewise: its own event (hook.h), nobody else is answered */
};

/* Event: as publish, of a message that nobody subscribes to and history does not keep; it is for endpoints only (hub_event.h). The
 * message may have no channel; its event name is the type. Kept also when no endpoint wants it now. */

/* Deliveries that are kept (deliveries.h); `answered` and `owner` of the read are the hub's. ERR_STORE_FAILED, ERR_MEMORY. */
struct deliveries_call {
    struct call          call;
    struct delivery_read read;
};

enum gap_reason {
    GAP_NONE,         /* the worse, the greater */
    GAP_CONFLATED,    /* messages were left out because newer ones of the same channels follow */
    GAP_HISTORY,      /* history has given up messages that came after the position */
    GAP_EPOCH,        /* the position is of another or of no epoch, or from the future */
};

struct fetch_channel {
    struct slice name;            /* a valid channel name or pattern */
    bool         whole;           /* of a call that conflates: all its messages are asked for, as AFTER */
    bool         from_now;        /* of LATEST: nothing of it but what is above whole_after */
    bool         incomplete;      /* answer: the gap concerns this channel */
    bool         resumable;       /* answer: it has history; a pattern: a channel that matches may have */
    bool         loses;           /* answer: it, or a channel that matches, may have none */
    uint64_t     dropped;         /* answer: positions below this number are incomplete for it (EXACT.md 5, 6); what was left out counts too */
    uint64_t     left_out;        /* scratch of fetch.c */
};

/* What is kept of a set of channels after a position, in order of number; the one call behind resume, catching up,
 * the WebSocket `history` command and GET …/messages. The answer is the same on every engine. */
struct fetch_call {
    struct call           call;
    struct fetch_channel *channels;   /* no name twice */
    size_t                n_channels;
    enum fetch_from       from;       /* since.h; all but AFTER, and what `conflates`, tell no gap. What is behind a cut answer is asked for
                                         AFTER its `upto`; of LATEST by LATEST after it, with whole_after, above which a gap is told */
    struct position       after;
    uint32_t              count;
    int64_t               time_ms;
    uint64_t              whole_after;
    bool                  patient;    /* while an engine outside (engine.h) is away it waits; else it is ERR_REDIS_AWAY then */
    bool                  by_rule;    /* its `from_now` come from rules: the origin's */
    bool                  conflates;  /* LATEST for a reader that is behind: what is left out is a gap (GAP_CONFLATED); no whole_after */
    size_t                max_bytes;  /* the answer is cut (more = true) before the sum of msg_size passes this; at least one message */
    size_t                max_count;  /* likewise; 0: no limit */
    /* answer */
    enum gap_reason       gap;        /* the channels concerned are marked incomplete */
    struct position       begin;      /* where the stream begins: `after` when that is complete, else just before the
                                         first message that follows (EXACT.md 9) */
    struct position       upto;       /* every completed message of these channels up to here is in the answer (EXACT.md 13) */
    bool                  more;       /* there is more after `upto` */
    struct msg          **msgs;       /* malloc'ed array, one reference each; fetch_answer_fini() gives all back */
    size_t                n_msgs;
};
void fetch_answer_fini(struct fetch_call *fetch);
static inline void fetch_begin(struct fetch_call *fetch, const struct since *since)
{
    fetch->from = since->from;
    fetch->after = since->after;
    fetch->count = since->count;
    fetch->time_ms = since->time_ms;
    fetch->whole_after = since->whole_after;
    fetch->by_rule = since->by_rule;
}

struct channel_info {
    char     name[200];           /* not terminated */
    uint8_t  name_len;
    uint32_t subscribers;
    uint32_t members;             /* 0 also when they are not known */
    uint32_t kept;                /* messages in history */
    size_t   kept_bytes;
    struct position last;         /* newest message; seq 0: none known */
    bool     resumable;
    const struct channel_rule *rule;
};

/* Nodes that did not answer in time, when several were asked: what they have is missing. The first of them are named. */
struct nodes_missing {
    unsigned n, n_named;
    uint64_t named[8];                /* printed as %016llx */
};

/* The channels that have a subscriber or a kept message, by name. With `exact`, that one: ERR_NOT_FOUND if there is none. Over several nodes
 * also ERR_REDIS_AWAY, ERR_BUSY, and a page may have fewer than `limit`, or none, with more behind it. */
struct channels_call {
    struct call          call;
    struct slice         exact;       /* or empty */
    struct slice         prefix;      /* or empty */
    struct slice         after;       /* names greater than this (the cursor), or empty */
    size_t               limit;       /* 1 … 1,000 */
    /* answer */
    struct channel_info *infos;       /* malloc'ed, to be freed by the origin */
    size_t               n_infos;
    bool                 more;
    char                 upto[200];   /* with `more`: names greater than this have not been looked at */
    uint8_t              upto_len;
    struct nodes_missing missing;
};

/* The nodes there are: this one, and those that share an engine with it. ERR_MEMORY. */
struct node_info {
    uint64_t number;                  /* of this start of it; printed as %016llx */
    bool     is_self;
    int64_t  since_ms, age_ms;        /* wall clock, when it started; how long ago it said the rest */
    uint64_t connections, subscriptions, members;
    char     name[80], version[32], public_address[160], api_address[160];
};
enum { NODES_MOST = 1024 };
struct nodes_call {
    struct call       call;
    struct node_info *infos;          /* answer: malloc'ed, to be freed by the origin; at most NODES_MOST */
    size_t            n_infos;
};

/* Some of the channels that have a subscriber or a kept message and match a pattern, in no order. To find all of them one asks on with
 * the cursor of the answer: a call looks at MATCH_LOOKS channels or a few more, whatever there are, so others are served in between. A
 * channel that is there all the time is found once; one that comes or goes meanwhile may be. ERR_MEMORY. */
enum { MATCH_LOOKS = 4096 };
struct match_call {
    struct call  call;
    struct slice pattern;
    size_t       limit;               /* about how many to find at most: channels_scan() goes by the handful */
    uint64_t     cursor;              /* 0 at first; answer: 0 when there are no more */
    char         after[200];          /* goes with the cursor: a directory's (directory.h) */
    uint8_t      after_len;
    struct nodes_missing missing;     /* answer: of this call */
    struct buf   names;               /* answer, the origin's to free: a byte of length and the name, of each */
};

/* Removes what the channel keeps, for good (purge.c): all that was submitted before, or of that what came before a position. A channel
 * without any is fine. ERR_BAD_POSITION (of another epoch, or from the future), ERR_STORE_FAILED (nothing is removed), ERR_DRAINING,
 * ERR_MEMORY. */
struct store_purge {
    struct store_purge *next;         /* of the same group */
    struct slice        channel;
    uint64_t            upto;         /* the newest that goes */
};
struct channel;
struct purge_call {
    struct call        call;
    struct slice       channel;
    uint64_t           hash;          /* hash_bytes(channel) */
    struct position    before;        /* epoch 0: all */
    uint32_t           removed;       /* answer: how many there were */
    struct position    upto;          /* answer: positions below it are told a gap; seq 0: it has never had any */
    /* the hub's */
    struct channel    *found;
    struct store_purge row;
};

/* The members of a channel, by user. ERR_PRESENCE_OFF, ERR_MEMORY. */
struct principal;
struct member_info {
    struct principal *principal;      /* one reference: user, info */
    uint32_t          connections;    /* 0: it has left, and its grace runs */
    int64_t           since_ms;       /* wall clock: when it joined */
};
struct members_call {
    struct call         call;
    struct slice        channel;
    uint64_t            hash;         /* hash_bytes(channel) */
    struct slice        after;        /* users greater than this (the cursor), or empty */
    size_t              limit;        /* 0: count only */
    /* answer */
    struct member_info *infos;        /* malloc'ed; members_answer_fini() gives all back */
    size_t              n_infos;
    uint32_t            count;        /* of all members */
    bool                more;
};
void members_answer_fini(struct members_call *call);

/* Edges: from now on mail me every message of this channel, or of all channels that this pattern matches / no more. After WATCH is
 * answered, all that completes later is mailed (or told as lost), once however many of what the edge watches match. The edge owns
 * the counter; the hub reads it until UNWATCH is answered. */
struct watch_call {
    struct call  call;
    struct slice channel;
    uint64_t     hash;                /* hash_bytes(channel) */
    atomic_uint *subscribers;         /* how many the channel has on this edge, kept by the edge */
    struct position head;             /* answer to WATCH: completed up to here */
};

/* Edges: the highest number with all lower ones completed (EXACT.md 11). ERR_REDIS_AWAY: the engine has never been there yet. */
struct head_call {
    struct call     call;
    struct position head;             /* answer */
};

/* CALL_KEYS: a token has met ERR_KEYS_PENDING (access/authority.h). Answered when its keys have been looked for: 0, what is unknown
 * now is unknown; ERR_KEYS_PENDING, check again, and ask again if you still can wait; ERR_DRAINING. At the latest KEYS_WAIT_MS after
 * it was sent there is no use in waiting. */
enum { KEYS_WAIT_MS = 12 * 1000 };

/* Hub to edge: a completed message of a watched channel. The edge gives the reference back and frees the letter. */
struct message_letter {
    struct letter letter;
    struct msg   *msg;
};

/* Hub to edge: to be told to whoever asked in this channel. The edge gives the reference back and frees the letter. */
struct member_letter {
    struct letter     letter;
    struct principal *principal;
    uint64_t          hash;           /* hash_bytes(channel) */
    bool              joined;         /* else: left */
    uint8_t           channel_len;
    char              channel[];
};

/* Settings were read again (SIGHUP): the receiver uses this snapshot from now on and frees the letter. Snapshots are never
 * freed while the process runs: principals and messages under way still point into older ones. */
struct config;
struct config_letter {
    struct letter        letter;
    const struct config *config;
};

/* LETTER_LOST (EXACT.md 15): the bound of this edge's mail was reached and messages are being dropped. The edge puts every
 * live connection to catching up, and sends CALL_LOSS_SEEN *before* the first of their fetches; when the hub runs that,
 * messages are mailed again. */
