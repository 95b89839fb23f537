/* model.h — the reference: EXACT.md, written slow and simple, without a look at how the hub does it.
 *
 * It knows every message that got a number: whether it is acknowledged, failed or still under way; whether history has it;
 * what each channel has dropped; who watches. It learns only from what the hub is asked (the letters of a turn, read before
 * the hub runs them), from answers where the rules leave the hub free (a publish may be refused as busy), and from the disk.
 *
 * Two questions have freedom in them. *When* a quiet channel is forgotten (EXACT.md 7 says the earliest moment), and so what
 * `dropped` a channel is reborn with: model_must_gap says where a gap has to be told, model_may_gap where one is allowed.
 *
 * Numbers are of one epoch; a new epoch begins a new list, with what the disk kept. */
#pragma once
#include "hub/call.h"
#include "hub/store.h"
#include "tests/sim/names.h"
#include "tests/sim/rules.h"

#include <stdbool.h>

struct attending;

enum { CLIENTS = 3, PEERS = 8, LETTERS_MAX = 4096 };
enum { UNANSWERED = 1 << 20 };                    /* what call->err is until the hub has answered */

extern const char *const client_names[CLIENTS + 1];   /* chosen client ids; 0: none was chosen */

static inline uint64_t larger(uint64_t a, uint64_t b) { return a > b ? a : b; }

enum fate { UNDER_WAY, DONE, FAILED };

struct model_msg {
    uint64_t             seq;
    uint32_t             tag;                     /* in its payload, never used twice in a seed */
    uint8_t              channel, fate;
    uint8_t              exclude;                 /* the client that does not get it; 0: all of them do */
    bool                 kept;                    /* history has it */
    bool                 row;                     /* it goes to the store */
    size_t               size;                    /* msg_size */
    int64_t              time_ms;
    int64_t              ends_ms;                 /* by its own ttl */
    uint64_t             firm;                    /* at most: the newest before it that was meant to stay, or what had been dropped */
    int64_t              passed_ms;               /* when those between have ended */
    struct publish_call *call;                    /* while UNDER_WAY */
    const struct letter *group;                   /* likewise: what it goes to the store with; NULL: not yet */
};

struct model_channel {
    uint64_t last;                                /* newest DONE */
    uint64_t dropped;                             /* newest DONE that history gave up: what is truly missing */
    uint64_t submitted;                           /* newest that has a number and has not failed, as far as the hub knows; 0: none */
    uint64_t completed;                           /* likewise, newest DONE */
    bool     maybe_forgotten;                     /* with its channel; then it knows of none until one is DONE again */
    uint64_t firm;                                /* newest with a number and without a ttl */
    int64_t  passing_ms;                          /* when those after it have ended */
    uint64_t born;                                /* `dropped` may have begun at up to this */
    bool     known;                               /* has not been forgotten, for certain */
    bool     turned;                              /* its history was turned on or off in this seed */
    bool     watched[PEERS];
    unsigned open;                                /* how many are kept or under way */
    bool     quiet;                               /* nothing kept, watched, or under way */
    int64_t  quiet_ms;
};

/* A letter as it was before the hub ran it. */
struct seen_letter {
    struct letter *letter;
    uint32_t       kind;
    int            err;                           /* LETTER_STORED */
    uint64_t       generation;                    /* LETTER_STORED */
    size_t         n;
    uint64_t      *seqs;                          /* LETTER_STORED: its rows */
    struct attending *attending;                  /* LETTER_JOIN, LETTER_LEAVE (attendance.h) */
    uint8_t        keeping;                       /* and which rules keep, as it told the store; KEEPING_SAME: nothing */
};

/* A purge that waits for the store. */
struct model_purge {
    const struct purge_call *call;
    int                  channel;
    uint64_t             upto;
    const struct letter *group;                   /* as of a message */
};

enum { PURGES_MAX = 64 };

struct model {
    struct sim          *sim;
    uint64_t             epoch, next, head;
    uint64_t             floor;                   /* at most this high is the hub's own floor */
    uint64_t             unkept;                  /* at most so high is what channels without history had and forgot */
    uint8_t              keeping;                 /* which rules keep, one bit each (sim_keeping) */
    uint64_t             since[RULES + 1];        /* and from which number on */
    bool                 keeping_stored;          /* the store knows that */
    int64_t              newest_ms;
    struct model_msg    *msgs;                    /* in order of number */
    size_t               n, cap;
    size_t               unkept_before;           /* none before this index is kept */
    struct model_channel channels[CHANNELS];
    struct model_purge   purges[PURGES_MAX];
    size_t               n_purges;
    struct seen_letter   letters[LETTERS_MAX];
    size_t               n_letters;
    size_t               under_way;
    uint64_t             groups;                  /* how many had been submitted to the store */
    uint64_t             generations_failed;      /* groups of generations below this have failed, also those that are not answered yet */
};

/* A hub begins with this, and with these rows (in order of number; seq, prev, hash, time_ms as stored). */
void model_restart(struct model *model, const struct hub_start *start, struct msg *const *rows, size_t n, bool same_epoch);
void model_fini(struct model *model);
/* Around hub_turn. */
void model_before_turn(struct model *model, struct mailbox *box);
void model_after_turn(struct model *model);
/* Beside hub_reconfigure: sim->config has new rules. */
void model_reload(struct model *model);
/* Beside hub_tick. */
void model_tick(struct model *model);

/* model_fetch.c: fails the seed when the answer is not what the rules allow. */
void model_check_fetch(const struct model *model, const struct fetch_call *fetch);

/* model_answers.c. NULL: no message of this epoch has the number. */
const struct model_msg *model_find(const struct model *model, uint64_t seq);
/* The first DONE message that this name stands for, that is for this client and has not ended by its own ttl, with a number above `after`
 * and at most `upto`, or NULL. */
const struct model_msg *model_next(const struct model *model, int name, int client, uint64_t after, uint64_t upto);
/* The first DONE message of the channel above this number, also one that has ended. */
const struct model_msg *model_follower(const struct model *model, int channel, uint64_t seq);
bool     model_excludes(const struct model_msg *m, int client);
bool     model_is_foreign(const struct model *model, struct position p);
/* Of a channel or pattern (EXACT.md 5, 6): what it has dropped, for certain; what it may have. */
uint64_t model_dropped(const struct model *model, int name);
uint64_t model_dropped_most(const struct model *model, int name);
bool     model_must_gap(const struct model *model, int name, struct position p);
bool     model_may_gap(const struct model *model, int name, struct position p);
bool     model_keeps(const struct model *model, int name);                /* a rule of what it stands for keeps messages */
bool     model_loses(const struct model *model, int name);                /* that of some of it does not */
bool     model_keeps_any(const struct model *model, uint16_t mask);       /* that of one of these names does */
bool     model_turned(const struct model *model, int name);               /* a rule of what it stands for began to, or ended */
uint64_t model_oldest_kept(const struct model *model);                    /* UINT64_MAX: none */
uint64_t model_newest_dropped(const struct model *model);
