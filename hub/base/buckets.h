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
 * Lifetime   from buckets_new to buckets_free; nothing else is ever allocated.
 * Threading  any thread; a lock for each of BUCKET_LOCKS parts of the table.
 * Limits     24 bytes per bucket, of which untouched pages are not resident. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { BUCKET_WAYS = 8, BUCKET_LOCKS = 64 };

struct buckets;

struct bucket_ask {
    uint64_t id;
    int64_t  token_ns;           /* time for one token to come back */
    uint64_t burst;              /* tokens in a full bucket; burst * token_ns does not overflow */
    uint64_t tokens;             /* to be taken; more than a burst are a burst */
    bool     only_look;
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
