/* conn.h — one public connection: what it is subscribed to, how far its reader is, and the one door through which it ends.
 *
 *   protocol (ws.c, sse.c)  what is said: frames, commands, control events
 *        |  ^
 *   conn (here)             subscriptions, catching up, merging, flushing, closing
 *        |  ^
 *   line (line.h)           bytes on a socket
 *
 * A connection's output is, in this order: its outbox (what is its own: welcome, answers, errors, close), then a batch of
 * messages if it is catching up, then the rings of its feeds, merged by arrival. Everything is appended and cut at frame
 * boundaries only; a frame is an SSE block or a WebSocket frame.
 *
 * Subscriptions and catching up. A subscription (struct sub, feed.h) is live, with a cursor in the ring of its feed, or
 * parked: taken up by one catch-up, which asks the hub for batches (CALL_FETCH) until nothing is left behind, then makes its
 * subscriptions live at the ends of their rings as they are when that last answer comes (EXACT.md 13: all that is in the
 * rings then is ≤ `upto`). There are three kinds of catch-up:
 *
 *   NOW      a new subscription without `since`: one fetch without messages, whose answer tells where it begins
 *   RESUME   from the connection's position, all its live subscriptions: how it begins with a Last-Event-ID, and after it fell
 *            out of a ring or was told of a loss. At most one; no ring is read until its last batch has been written
 *   REPLAY   subscribe with `since` on a live connection: marked replay:true (EXACT.md 16); the rings are read meanwhile,
 *            but a batch in hand is always written before them
 *
 * So that numbers never go back (EXACT.md 12): a connection has one batch of messages at a time, under way or in hand; a
 * RESUME is never under way together with another fetch of the same connection; a REPLAY waits while there is a RESUME; and
 * whatever begins while a RESUME is unfinished joins it. Then each answer of a connection reaches at least as far as those
 * before it. A subscription never gets a number ≤ its `after` unmarked, so that what came in a replay, or before it began,
 * is not repeated when the connection catches up.
 *
 * States: OPEN ─conn_close─> CLOSING (last frames leave, input is ignored) ─line gone─> GONE ─last call answered─> freed
 *         OPEN ─line gone─> GONE
 *
 * Lifetime   conn_new by the line when a stream or WebSocket begins; conn_gone by the line when its socket is no more. It is
 *            freed at the end of the turn in which both it is gone and its last call has been answered; nothing is freed
 *            inside a callback.
 * Threading  its edge's thread.
 * Limits     limits.channels subscriptions, limits.patterns of them patterns; limits.commands calls under way (input pauses above), outbox 256 KiB + what is
 *            said at once. While more than that waits and the line takes nothing, input pauses, so what a client asked for
 *            never closes it; what is said all the same does (ERR_SLOW). */
#pragma once
#include "hub/access/access.h"
#include "hub/base/ip.h"
#include "hub/base/list.h"
#include "hub/call.h"
#include "hub/connection_id.h"
#include "transports/edge/sub_set.h"

#include <sys/uio.h>

struct batch;
struct catchup;
struct config;
struct conn;
struct edge;
struct sub;

/* Port: what carries a connection's bytes. line.c for sockets; the simulation has one that takes what it likes. */
struct line_ops {
    /* None of these calls back into the connection before it returns. */
    /* Hands bytes to the socket. Returns how many it took (0 … all, cut anywhere), or -1: it is dead, conn_gone will follow.
     * Never called while bytes given to keep() have not left. */
    ssize_t (*send)(struct conn *conn, const struct iovec *iov, int n);
    /* The rest of what send() cut (a frame, or the whole of the outbox): copied, leaves before anything else.
     * conn_on_writable comes after it has left. Before finish() it may be called again: then the last words of a connection
     * that takes nothing follow what is kept. */
    void (*keep)(struct conn *conn, const void *rest, size_t len);
    /* Call conn_on_writable when the socket takes bytes again. */
    void (*want_writable)(struct conn *conn);
    /* Stop or go on reading. */
    void (*pause)(struct conn *conn, bool paused);
    /* Nothing more will be sent: when what was taken has left, shut down; at the deadline kill. conn_gone follows, never
     * from inside this call. */
    void (*finish)(struct conn *conn, int64_t within_ms);
    /* The client's address. NULL: there are none. */
    struct ip (*address)(const struct conn *conn);
    /* Largest run of bytes per send(), frame-aligned unless one frame is larger; 0: any, as for sockets. The simulation sets one, to cut
     * runs where sockets seldom would. */
    size_t max_run;
};

/* Why a connection ends, and what is told about it. */
struct parting {
    int          err;                 /* for log and metrics; its code and text are what the client is told */
    int          close_code;          /* 4000–4199 instead of that of err; 0: that of err */
    struct slice reason;              /* for people, instead of the text of err; empty: the text of err */
};

/* What a kind of connection says. One const table per kind. All append to the outbox with conn_say. */
struct protocol {
    const char *name;                 /* for logs: "websocket", "sse" */
    int         gauge;                /* METRIC_conns_… */
    uint8_t     format;               /* default enum wire_format (wire.h) */
    uint8_t     replay_format;        /* the format of marked replays */
    bool        fleeting;             /* such connections end as asked all the time: not told by the log */
    /* A catch-up that began subscriptions has its first answer: say gap (if there is one), then ready/subscribed. */
    void (*began)(struct conn *conn, struct catchup *catchup, const struct fetch_call *answer);
    /* A gap later than that: the reader was slower than history (lag.policy skip), or its replay was (catchup->marked). */
    void (*gap)(struct conn *conn, const struct catchup *catchup, const struct fetch_call *answer);
    /* A marked replay has been written completely. */
    void (*replayed)(struct conn *conn, struct catchup *catchup, struct position upto);
    /* A channel was unsubscribed before its catch-up has begun: it will not be named in `began`. */
    void (*withdrawn)(struct conn *conn, const struct catchup *catchup, struct slice channel);
    /* An object of control.h of this type, apart from all else; takes over its memory. */
    void (*tell)(struct conn *conn, const char *type, struct buf *object);
    /* Something is due (heartbeat, ping, missed pongs). Returns seconds until it is due again. To say a position that is
     * fresh, it calls conn_want_head and says it in `position`. */
    int  (*due)(struct conn *conn);
    /* The answer to conn_want_head: conn->position is now as fresh as it can be. Once per conn_want_head, never inside it, and
     * not before the connection has a position. */
    void (*position)(struct conn *conn);
    /* The last words: bye or error, close frame. */
    void (*farewell)(struct conn *conn, const struct parting *parting);
};

/* What only some connections have: a chosen client id, credentials that end (tenure.h). */
struct extra {
    int64_t due_ms;                       /* wall clock: when its credentials are looked at again */
    size_t  place;                        /* in edge->tenures; TENURE_NONE: they do not end */
    char    client[];                     /* "": the connection's own id */
};

enum conn_state { CONN_OPEN, CONN_CLOSING, CONN_GONE };

struct conn {
    struct link            link;          /* in edge->conns or edge->doomed */
    struct link            dirty_link;    /* in edge->dirty_conns */
    struct link            due_link;      /* in a slot of edge->wheel */
    struct edge           *edge;
    const struct protocol *protocol;
    void                  *line;          /* the line's own (struct line *) */
    struct principal      *principal;     /* one reference */
    struct extra          *extra;         /* NULL: it has nothing of this */
    struct sub_set         subs;          /* all of them */
    struct link            pending;       /* live ones whose ring has something for them */
    struct link            catchups;      /* struct catchup, oldest first */
    struct buf            *outbox;        /* whole frames, none of which has left; NULL: empty */
    struct position        position;      /* everything of its live subscriptions up to here has been sent; epoch 0: none yet */
    uint64_t               id;            /* printed as conn_name() */
    uint32_t               due_s;         /* second on the mono clock in which something is due */
    uint32_t               calls;         /* calls under way on its behalf; limits.commands is at most 100,000 */
    uint32_t               since_s;       /* when it began: wall clock */
    /* Not more than four bytes: an idle connection is 184 bytes, and malloc's next step is 200. */
    uint8_t                format     : 3;   /* enum wire_format */
    uint8_t                conn_state : 2;   /* enum conn_state */
    uint8_t                missed     : 2;   /* the protocol's: pings without an answer */
    uint8_t                retry_step : 6;   /* crowd_step of the delay it was told last (conn_retry_ms) */
    bool                   told     : 1;  /* the reader has been told `position`, by an id or a position frame */
    bool                   choked   : 1;  /* waits for conn_on_writable */
    bool                   paused   : 1;  /* input is not read, for whatever reason (conn_mind_input) */
    bool                   held     : 1;  /* one of the reasons: the protocol's (conn_hold) */
    bool                   was_live : 1;  /* has reached the head once (EXACT.md 16) */
    bool                   starved  : 1;  /* a catch-up found no memory: asks again at the next tick */
    bool                   wants_head : 1;   /* waits for protocol->position; due_link is in edge->head_wanted then */
    bool                   finished : 1;  /* line->finish has been called */
    bool                   greeted  : 1;  /* the protocol's: its first words have been said */
    bool                   conflated : 1; /* it has been behind under lag.policy latest: the log knows */
    bool                   dwells   : 1;  /* may be in rooms (dwell.h) */
};

/* Protocol callbacks may say and close, but not subscribe or unsubscribe. */

/* Takes over `principal`. `client` may be empty. NULL: no memory (principal is given back). */
struct conn *conn_new(struct edge *edge, const struct protocol *protocol, void *line, struct principal *principal, struct slice client);
void conn_gone(struct conn *conn);             /* by the line: the socket is no more; `line` is not used again */
void conn_on_writable(struct conn *conn);      /* by the line */
/* The one exit door. The reason is what log, metric and client see. Closing twice is fine: the first reason stays. */
void conn_close(struct conn *conn, int err);
void conn_close_for(struct conn *conn, const struct parting *parting);

/* Complete frames for this connection only, in order, before any message that is not sent yet. */
void        conn_say(struct conn *conn, const void *frames, size_t n);
/* Forms one frame in place: append to the buf, then conn_say_end. Never NULL (a failed buf closes at conn_say_end). */
struct buf *conn_say_begin(struct conn *conn);
void        conn_say_end(struct conn *conn);

/* May these channels and patterns be subscribed to by who has `subs` already, as far as their form and number go? 0,
 * ERR_TOO_MANY_CHANNELS, ERR_TOO_MANY_PATTERNS, and what pattern_check says. A name that is there twice is counted twice. */
int subscriptions_check(const struct config *config, const struct slice *names, size_t n, const struct sub_set *subs);

/* Subscribes to all of `names`, channels and patterns, or to none. Later protocol->began is called once, with `tag` in the catch-up.
 *   FETCH_NOW                          from now, but with the newest message of each channel whose rule says `last`: then like any other
 *   any other                          unmarked: only for the first subscription of a connection that has no position yet
 *   the same with `marked`             replay:true until complete, then live (EXACT.md 16)
 * `tag` (may be NULL) is malloc'ed and belongs to the catch-up from success on: it frees it.
 * 0; what subscriptions_check says, ERR_ALREADY_SUBSCRIBED, ERR_MEMORY, ERR_FORBIDDEN/ERR_UNAUTHENTICATED (principal):
 * then nothing has changed. */
int conn_subscribe(struct conn *conn, const struct slice *names, size_t n, const struct since *since, bool marked, void *tag);
/* Those of `names`, which are valid, that it is not subscribed to, from now on: not the client wants them, so no grant of its is asked
 * for. 0, ERR_TOO_MANY_CHANNELS, ERR_TOO_MANY_PATTERNS, ERR_MEMORY: then nothing has changed. `given`: they stay whatever its credentials say later. */
int conn_assign(struct conn *conn, const struct slice *names, size_t n, bool given);
/* The subscriptions of `names` that there are: to be told who joins and leaves (attend.h). May it: 0, ERR_NO_PATTERN, ERR_FORBIDDEN,
 * ERR_UNAUTHENTICATED;
 * do it: 0 or ERR_MEMORY, then some ask and it should be closed. */
int conn_may_ask(const struct conn *conn, const struct slice *names, size_t n);
int conn_ask(struct conn *conn, const struct slice *names, size_t n);
int conn_unsubscribe(struct conn *conn, struct slice name);        /* 0 or ERR_NOT_SUBSCRIBED */
bool conn_is_subscribed(const struct conn *conn, struct slice name);

/* A call on behalf of the connection (publish, history). call->answered must end with conn_call_done(), and must look at
 * conn->conn_state before it says anything. ERR_FORBIDDEN/ERR_UNAUTHENTICATED (nothing submitted); input pauses at limits.commands. */
int  conn_call(struct conn *conn, struct call *call, size_t bytes, enum access_op op, struct slice channel);
/* The same, where no grant is asked for. */
void conn_submit(struct conn *conn, struct call *call, size_t bytes);
void conn_call_done(struct conn *conn);
/* Input is not read until it is released, whatever else: for what must come first, or what is large. */
void conn_hold(struct conn *conn, bool held);
/* Much of its own waits and its line takes nothing. Whatever is said now closes it (ERR_SLOW). */
bool conn_is_stuck(const struct conn *conn);

void         conn_move_to(struct conn *conn, struct position p);   /* its position, but never back */
void         conn_dirty(struct conn *conn);                         /* it is looked at when the turn ends (nothing is sent before) */
void         conn_due_in(struct conn *conn, int seconds);          /* (re)arms protocol->due; 0: never */
/* Asks for protocol->position once the hub's head is known anew: at most a second or so later, at once while this edge knows
 * none at all. The edge asks the hub at most once a second, for all that want it. */
void         conn_want_head(struct conn *conn);
/* Everything has been sent, nothing is being caught up: its position may move to the head (EXACT.md 11). */
bool         conn_at_end(const struct conn *conn);
/* How long it shall stay away when it is cut (crowd.h): to be told now, at the beginning, at the end, and whenever what it was told is old. */
int64_t      conn_retry_ms(struct conn *conn);
bool         conn_retry_is_old(const struct conn *conn);
size_t       conn_name(const struct conn *conn, char out[CONNECTION_TEXT]);     /* connection_print: for logs, and as default client id */
struct slice conn_client(const struct conn *conn, char scratch[CONNECTION_TEXT]);

enum catchup_kind { CATCHUP_NOW, CATCHUP_RESUME, CATCHUP_REPLAY };
enum catchup_stage {
    CATCHUP_WANTS,       /* nothing in hand: asks as soon as it may */
    CATCHUP_ASKING,      /* a fetch is under way */
    CATCHUP_WRITING,     /* a batch is in hand, more is to be asked for */
    CATCHUP_LAST,        /* the last batch is in hand; its subscriptions are live, behind the batch */
};

/* One set of subscriptions that begins, resumes or catches up. Protocols read kind, marked and tag in their callbacks. */
struct catchup {
    struct link     link;         /* in conn->catchups */
    struct link     wait_link;    /* in batch->waiters while asking */
    struct conn    *conn;
    struct link     subs;         /* struct sub, by catchup_link, in the order of the subscribe */
    struct since    since;        /* where the next fetch begins; .after, while a batch is in hand: what is behind it */
    struct batch   *batch;        /* asked for, or being written; or NULL */
    void           *tag;          /* the protocol's (the ref of a subscribe frame); freed with the catch-up */
    int64_t         debt;         /* of a RESUME: bytes it is behind, less what its feeds have seen (catchup_lag) */
    uint32_t        batch_at;     /* index of the next frame of the batch */
    uint8_t         kind;         /* enum catchup_kind */
    uint8_t         stage;        /* enum catchup_stage */
    bool            marked;       /* its messages say replay:true (kind REPLAY) */
    bool            probe;        /* asks only whether history still has what it needs: its line takes nothing */
    bool            begun;        /* protocol->began has been called, or needs not be: its subscriptions had been live */
    bool            conflates;    /* lag.policy latest: asks for the newest messages only, until it has been told all there are */
};
/* The channel names of a catch-up, in the order of the subscribe: calls each(arg, name). */
void catchup_each_channel(const struct catchup *cu, void (*each)(void *arg, struct slice channel), void *arg);

/* ---- for the edge's own modules, not for protocols and lines ---- */
struct extra *extra_new(struct slice client);  /* NULL: no memory */
void conn_leave(struct conn *conn);            /* out of all feeds and catch-ups; not inside a callback */
void conn_free(struct conn *conn);             /* gone, and no call under way */
/* As which number frames that are not for it name it (exclusion.h); 0: there are none. */
uint32_t conn_exclusion(const struct conn *conn);
void conn_drop_outbox(struct conn *conn);
void conn_mind_input(struct conn *conn);       /* input is read while nothing is against it */
void conn_on_head(struct conn *conn);          /* the head it wanted has come */
