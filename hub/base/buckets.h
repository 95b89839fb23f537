/* buckets.h — token buckets for very many, in memory that does not grow.
 *
 * A bucket is one time: when it will be full again (GCRA, ITU-T I.371, Annex A). Whoever takes tokens moves it on; who would move
 * it further than a whole bucket from now is refused. A bucket that is full again is as if it had never been, so none need be
 * thrown away: its place is taken by the next.
 *
 * The table is made of rows of BUCKET_WAYS; a bucket's id says which row. When a row has nothing full, the one that is nearest to
 * it goes: a flood of strangers costs those little who took little, and never helps the one who took most. Ids are keyed hashes
 * (hash.h), so nobody can choose the row of another.
 *
 * Some buckets may be shared with other processes (buckets_share): whoever takes decides by what is known here, at once, and what was
 * taken is summed up for a report to wherever all of them meet; the answer says how far the bucket is from full there. With one process
 * alone that changes nothing, whatever it takes and however late the reports are: what it took since the last one is two numbers, all
 * costs added up (`spent`) and when a bucket that was full before them would be full again (`own`); a bucket that would have been full at
 * F without them is full at max(F + spent, own), and that is what the other end computes. With several, each may give away what it
 * has not heard of yet: an eighth of the bucket (a report is due then) and what is taken until the answer is back.
 * Who takes less than a 64th of what comes back is not reported.
 *
 * Lifetime   from buckets_new to buckets_free; nothing else is ever allocated.
 * Threading  any thread; a lock for each of BUCKET_LOCKS parts of the table.
 * Limits     24 bytes per bucket, 80 more with buckets_share, of which untouched pages are not resident. */
#pragma once
#include "hub/base/buf.h"

enum {
    BUCKET_WAYS = 8, BUCKET_LOCKS = 64,
    BUCKET_NAME = 32,            /* bytes: what a shared bucket is called everywhere, hex digits */
    BUCKET_PORTION = 8,          /* a report is due when this part of the bucket was taken */
    BUCKET_TRIFLE = 64,          /* less than this part of what comes back meanwhile is not reported */
    BUCKET_GAP_MS = 50,          /* between two reports of one bucket */
    BUCKET_DEBTS = 4,            /* so many buckets may a shared one be from full: what was given away too much is waited for */
};

struct buckets;

struct bucket_ask {
    uint64_t id;
    int64_t  token_ns;           /* time for one token to come back */
    uint64_t burst;              /* tokens in a full bucket; burst * token_ns does not overflow */
    uint64_t tokens;             /* to be taken; more than a burst are a burst */
    bool     only_look;
    const char  *kind;           /* of a shared bucket: it is called by these two everywhere. NULL: it is this process's own */
    struct slice who;
};

struct bucket_answer {
    bool     refused;
    bool     tell;               /* refused, and this bucket was not told of within `tell_ns` */
    uint64_t left;               /* tokens */
    int64_t  full_ns;            /* until it is full again */
    int64_t  wait_ns;            /* refused: until there are as many as were asked for */
};

struct buckets *buckets_new(size_t wanted);            /* rounded up to a power of two; NULL: no memory */
void            buckets_free(struct buckets *buckets); /* NULL is fine */

/* `now_ns` does not go back by much: then a bucket counts as empty at most. */
struct bucket_answer buckets_take(struct buckets *buckets, const struct bucket_ask *ask, int64_t now_ns, int64_t tell_ns);
/* What was taken with the same ask: something else refused it. */
void                 buckets_give_back(struct buckets *buckets, const struct bucket_ask *ask);

/* ---- shared with other processes ---- */

struct bucket_report {
    char     name[BUCKET_NAME];
    int64_t  spent_ns;           /* may be below 0: some was given back */
    int64_t  own_ns;             /* from now; below 0: long ago */
    int64_t  whole_ns;           /* what a whole bucket takes */
    /* for the answer */
    uint64_t id;
    uint32_t place;
    int64_t  at_ns;
};

/* From now on those that have a kind are. `wake` is called on any thread, with a lock held: some reports are due; not again until they were
 * asked for. Before there are threads. 0, or ERR_MEMORY. */
int    buckets_share(struct buckets *buckets, void (*wake)(void *arg), void *arg);
/* Reports that are due; with `all` of whatever was taken since the last ones, which is to be asked for once a second. Each is to be
 * answered: there is no other of that bucket before. Less than `most`: there are no more. */
size_t buckets_report(struct buckets *buckets, bool all, int64_t now_ns, size_t most, struct bucket_report *ret_reports);
/* Some are due that were told less than BUCKET_GAP_MS ago, or are not answered. */
bool   buckets_due(const struct buckets *buckets);
/* What all have taken: the bucket is full in `debt_ns` from the time of the report, in the past when below 0. */
void   buckets_reported(struct buckets *buckets, const struct bucket_report *report, int64_t debt_ns);
/* Nobody knows what became of it. */
void   buckets_unreported(struct buckets *buckets, const struct bucket_report *report);
/* Reports could not be sent for a while: what was taken meanwhile is not told, only how full each bucket is. */
void   buckets_forgive(struct buckets *buckets, int64_t now_ns);
