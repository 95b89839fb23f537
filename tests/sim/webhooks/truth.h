/* truth.h — the reference: what PROTOCOL.md §8 says of webhooks, written slowly. It hears what the disk commits, sees each attempt where it leaves
 * the hub, hears each answer before the hub does, and fails when anything is sent that must not be, or is not sent that must.
 *
 *   truth.c       parcels (one event for one endpoint): what became of them, and when the next attempt may and must begin
 *   terms.c       endpoints: what was asked of them, breaker, Retry-After, rate, when they are disabled
 *
 * What the hub has not committed it may do again after kill -9; so a parcel stands as its last commit says, and what is under way is beside that.
 *
 * Threading: the simulation's. Lifetime: truth_init … truth_fini, a seed. */
#pragma once
#include "hub/hook.h"
#include "tests/sim/webhooks/sim.h"
#include "webhooks/endpoint.h"

enum { PLAN_MOST = 10, LANES = CHANNELS + 1 };      /* the last lane is of events without a channel */

/* Delays before each attempt. */
struct plan { const char *text; unsigned n; int64_t delay_ms[PLAN_MOST]; };
extern const struct plan plans[];
enum { PLANS = 8 };

/* What an endpoint asks for: members of its document, and the same as bits. */
enum { WISH_MESSAGES = 1, WISH_ORDER_CREATED = 2, WISH_SHOP_CLOSED = 4, WISH_WARNINGS = 8, WISH_TEST = 16, WISH_ALL = 31 };
struct wish { const char *members; unsigned types, channels; /* bits; 0: all */ };
extern const struct wish wishes[];
enum { WISHES = 7 };

/* What its newest record says. */
struct terms {
    const struct plan *plan;
    bool               paused, ordered, blocks;
    enum endpoint_disabled disabled;
    unsigned           rate, concurrency;
};

enum answer_kind { ANSWERED_SUCCESS, ANSWERED_FAILURE, ANSWERED_VOID };
struct answer {
    enum answer_kind kind;
    int              status;               /* 0: none came */
    int64_t          asks_ms;              /* Retry-After of a 429 or 503; 0: none */
};

enum standing { WAITS, BLOCKED, DELIVERED, DEAD, GONE };
enum flight   { ON_GROUND, FLIES, LANDED /* what came of it is not committed yet */ };

struct parcel;
struct party {                             /* an endpoint */
    int                place;              /* in its URL, and in partner.c */
    uint64_t           number;             /* 0: it is not there yet */
    const struct wish *wish;
    bool               there, removed;
    struct terms       now, before;        /* before: until the hub has heard of what is committed */
    bool               changing;
    int64_t            steady_ms;          /* mono: unchanged since */
    unsigned           flying;
    int64_t            asked_until_ms;     /* wall */
    enum { CLOSED, OPEN, HALF_OPEN } breaker;
    unsigned           failures;           /* in a row */
    int64_t            pause_ms, open_until_ms;      /* mono */
    struct parcel     *probe;
    int64_t            pausing_until_ms;   /* mono: an attempt came to nothing by the hub's own fault */
    double             most_tokens, least_tokens;    /* of its rate: what may be left, what must be */
    int64_t            tokens_ms;
    int64_t            failing_ms;         /* wall: the first failure since it last succeeded, or was enabled; 0: there was none */
    int64_t            failing_here_ms;    /* the same, within this life of the hub */
    bool               may_be_gone, may_be_failing;      /* it has answered 410; has only failed for webhooks.disable_after */
    int64_t            must_ms;            /* mono: since then it has to be disabled; 0: it has not */
    unsigned           disablings, disablings_told;
    unsigned           disablings_owed;    /* so many have to be told: somebody listened, and the hub lives on */
    bool               starves;            /* only webhooks.concurrency holds it */
    unsigned           passed;             /* attempts at others that began since then */
    struct parcel     *turn[LANES];        /* ordered: whose turn it is */
    bool               purges, replays_dead, replays_all;      /* somebody has asked for it */
    uint64_t           redelivers;         /* a delivery's number; 0: none */
};

struct parcel {
    uint64_t       number;                 /* of the delivery */
    struct party  *to;
    enum event_type type;
    int            channel;                /* CHANNELS: none */
    bool           in_lane;
    int64_t        time_ms;                /* of the event */
    /* committed */
    enum standing  stands;
    unsigned       tries, logged;          /* since it was new or sent again; of all attempts */
    int64_t        from_ms, until_ms;      /* WAITS: the next attempt begins not before; is due by (wall) */
    int64_t        put_off_ms;             /* its schedule begins with a delay: when it was first seen to be due (wall); 0: it was not */
    /* under way */
    enum flight    flight;
    struct { enum standing stands; unsigned tries; int64_t from_ms, until_ms, at_ms; } next;
    /* for good */
    uint64_t       body;                   /* hash of it; 0: never sent */
    bool           accepted;               /* the partner has said 2xx since it was last sent again */
    unsigned       deaths, deaths_told, deaths_owed, revivals;      /* owed: as of its endpoint */
};

extern struct party parties[ENDPOINTS_EVER];
extern size_t       n_parties;

void truth_init(void);
void truth_fini(void);

/* ---- from the disk, with each commit ---- */
void truth_event(const struct hub_event *event);
void truth_settled(const struct settlement *settled);
void truth_record(struct slice key, struct slice value);      /* value.at NULL: it is removed */
/* The hub has had a turn since. */
void truth_heard(void);

/* ---- from client.c ---- */
/* An endpoint will be made with this place in its URL. */
struct party *truth_party(const struct wish *wish);
/* Who has to be told of this, as things stand: a bit for each place; is_over: dead at once. */
struct expected { uint32_t wanted, over; };
struct expected truth_expect(enum event_type type, unsigned wish, int channel);
void truth_expect_event(const struct msg *m, struct expected expected);      /* the next event with this message */
void truth_forget_event(const struct msg *m);                                  /* it has come to nothing */
bool truth_has_event(uint64_t number);

/* ---- from partner.c ---- */
struct parcel *truth_begins(int place, uint64_t event, struct slice body);
void truth_answers(struct parcel *parcel, struct answer answer);

/* ---- from life.c ---- */
void truth_killed(void);
void truth_stopped(void);
void truth_rest(void);               /* nothing happens without time any more, and all is well: what must have begun has */
void truth_slow(void);               /* the disk is slow: who waits for it may be passed by others */
void truth_compare(void);            /* all that is kept is as it should be */
void truth_told(void);               /* of dead letters and of endpoints that were disabled all was told that had to be */
bool truth_listens(int channel);     /* somebody does, and has for a while, to what the hub tells of such */
bool truth_is_over(void);            /* nothing waits any more */
unsigned truth_sending(void);        /* attempts under way */

/* ---- of the parcels ---- */
size_t         parcels_count(void);
struct parcel *parcels_at(size_t i);

/* ---- terms.c ---- */
void party_begins(struct party *party, struct parcel *parcel);      /* an attempt: it may */
void party_answers(struct party *party, struct parcel *parcel, const struct answer *answer);
bool party_is_held(struct party *party);                            /* by anything of its own: nothing must begin */
void party_restarts(struct party *party);
void party_record(struct party *party, const struct terms *terms);
void party_rest(struct party *party);
bool terms_read(uint64_t number, struct slice record, struct terms *ret_terms, int *ret_place);
