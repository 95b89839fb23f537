/* listener.h — a client: an EventSource or a page with a WebSocket, which stores positions as PROTOCOL.md tells it to, and
 * checks what it reads against the model.
 *
 *   bytes ──> sse_listener.c / ws_listener.c: blocks, frames ──> listener.c: what they mean, and whether it is the truth
 *
 * The heart of it: whenever the hub tells a position, by a message's id or without one, everything acknowledged of the
 * channels subscribed to, after where each began and up to there, must have been read, but for what a gap has excused. */
#pragma once
#include "hub/base/buf.h"
#include "hub/position.h"
#include "tests/sim/attendance.h"
#include "tests/sim/beginning.h"
#include "tests/sim/model.h"
#include "tests/sim/numbers.h"
#include "tests/sim/rights.h"

struct line;
struct sim;

enum listener_kind { READ_SSE, READ_SSE_BARE, READ_WS };

enum part_state {
    PART_OUT,
    PART_ASKED,        /* subscribe is sent; nothing of it may come yet, unless it is had from outside */
    PART_REPLAY,       /* between subscribed and position{channel}: marked messages */
    PART_LIVE,
    PART_LEAVING,      /* unsubscribe is sent */
};

/* One channel or pattern of a connection. */
struct part {
    uint8_t         state;
    bool            of_url, subscribed;
    bool            since;        /* asked with a position */
    bool            future;       /* which was of no or another epoch, or from the future */
    bool            gapped;       /* a gap was told */
    uint64_t        conflated;    /* the head when a gap of reason conflated was told: up to here what has a newer one behind it need not come */
    bool            was_asked;    /* in PART_LEAVING: `subscribed` had not been read; it may or may not come */
    struct position from;         /* that position; in PART_REPLAY what has been read */
    struct beginning beginning;   /* when it was asked without a position; FETCH_NOW: it has begun */
    uint16_t        together;     /* the names in that subscribe */
    uint16_t        came;         /* the channels of which something has come for it */
    uint64_t        head_when_asked, head_when_told;      /* then: around the fetch that told where it begins */
    uint64_t        checked;      /* everything up to here is accounted for */
    uint64_t        excused;      /* a gap was told: what is missing up to here, and gone, is the gap's */
    uint64_t        unkept;       /* what is missing up to here of channels without history is nobody's gap, or a gap was told */
    uint64_t        skipped;      /* a gap was told of what need not be gone: what is missing up to here is the gap's */
    struct told_members members;
    int             ref;          /* of the subscribe */
    int             leave_ref;    /* of the unsubscribe */
    bool            had;          /* in PART_ASKED and PART_LEAVING: it is subscribed to, as far as the client has been told;
                                   * if the command is refused, that remains */
};

/* A command that was said and not answered yet. */
struct await {
    int      ref;
    unsigned answers;             /* how many are to come */
    uint32_t tag;                 /* of a publish */
    bool     bad;                 /* an error is right */
    const char *refusal;          /* the edge had to refuse it, with this code */
};

/* A command that is to be sent. */
enum saying { SAYS_ANYTHING, SAYS_SUBSCRIBE, SAYS_UNSUBSCRIBE };
struct said {
    struct buf text;
    uint8_t    what;              /* enum saying */
    uint16_t   mask;              /* names */
    int        ref;
};

enum { SAY_MAX = 16, AWAIT_MAX = 64 };

struct listener {
    struct sim      *sim;
    int              number;
    enum listener_kind kind;
    uint16_t         wanted;             /* names in its URL, one bit each, and of its credentials */
    uint8_t          client;             /* index in client_names; several have the same */
    uint8_t          person;             /* whose credentials it comes with */
    bool             has_position;
    bool             asks;               /* to be told of the members of the channels of its URL */
    struct position  stored;             /* what it will come back with */
    struct { bool wants; struct position since; } again[NAMES];   /* replays that were cut */
    size_t           appetite;           /* how many bytes it reads at a time; 0: stuck */
    bool             silent;             /* does not answer pings */
    int64_t          come_back_ms;

    /* this connection */
    struct line     *line;               /* NULL: not connected */
    struct position  asked;              /* the position it was opened with */
    uint64_t         head_when_asked;
    uint64_t         head_at_begin;
    struct beginning beginning;          /* without a position */
    bool             resumes, welcomed, begun, ended, closed;
    uint16_t         gapped;             /* names in the gap before ready */
    bool             fallen;             /* it was live and is catching up */
    bool             gap_open;           /* a gap was told and no message has followed */
    struct position  last;               /* last position told; epoch 0: none */
    struct part      parts[NAMES];
    struct numbers   read;               /* the unmarked messages of this connection */
    struct rights    rights;             /* of this connection, as its edge must see them */
    int              next_ref;
    struct buf       in;                 /* bytes not parsed yet */
    struct said      say[SAY_MAX];       /* commands to send, oldest first */
    size_t           n_say;
    struct await     awaits[AWAIT_MAX];
    size_t           n_awaits;
};

void listener_init(struct listener *listener, struct sim *sim, int number, enum listener_kind kind);
void listener_fini(struct listener *listener);
void listener_connect(struct listener *listener);
void listener_cut(struct listener *listener);                  /* the client goes away */
void listener_lost(struct listener *listener);                 /* the hub is gone; some of what it had sent may still arrive */
void listener_read(struct listener *listener);                 /* up to its appetite */
void listener_act(struct listener *listener);                  /* a WebSocket says something */
void listener_speak(struct listener *listener);                /* what it wants to say goes to the hub, if that reads */
const struct await *listener_awaits(const struct listener *listener, int ref);    /* NULL: not asked, or answered */
void listener_answered(struct listener *listener, int ref, unsigned answers);
bool listener_is_quiet(const struct listener *listener);       /* connected, begun, nothing is under way */
void listener_at_rest(struct listener *listener);              /* everything has been sent: it must know everything */

/* What was read, for the two parsers. `mask`: one bit for each name. */
void on_ready(struct listener *listener, struct position p, uint16_t recovered, uint16_t resumable, uint16_t mask);
void on_gap(struct listener *listener, struct position p, enum gap_reason reason, uint16_t mask, bool marked);
enum gap_reason gap_reason_of(const char *text);
void on_message(struct listener *listener, struct position p, int channel, uint32_t tag, bool marked);
void on_expiring(struct listener *listener, const char *expires);
void on_position(struct listener *listener, struct position p);
void on_bye(struct listener *listener, const char *code);
void on_welcome(struct listener *listener, struct position p);
void on_subscribed(struct listener *listener, int ref, int channel, struct position p, bool recovered, bool resumable);
void on_unsubscribed(struct listener *listener, int ref, int channel, const char *code);
void on_replayed(struct listener *listener, int channel, struct position p);
void on_published(struct listener *listener, int ref, struct position p, int channel);
void on_refused(struct listener *listener, int ref, const char *code);

void sse_listener_parse(struct listener *listener);            /* takes whole blocks out of listener->in */
void ws_listener_parse(struct listener *listener);
uint32_t payload_tag(const char *text, size_t len);      /* 0: none */
