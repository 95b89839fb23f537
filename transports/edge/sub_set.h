/* sub_set.h — the subscriptions of one connection, found by their feed in one step however many there are.
 *
 * Most connections have one: it is kept in place and costs nothing. More are a table with open addressing (linear probing, by
 * the hash of the feed's name), at most three quarters full.
 *
 * Lifetime   embedded, zero-filled is empty; it owns the table, not the subscriptions. Empty again, it owns nothing.
 * Threading  the edge's thread. Limits: limits.channels; 11 to 22 bytes of table per subscription. */
#pragma once
#include <stdint.h>

struct feed;
struct sub;

struct sub_set {
    union {
        struct sub  *only;       /* size 0: the one there is, or NULL */
        struct sub **table;      /* size > 0: NULL is a free place */
    };
    uint32_t n;                  /* subscriptions */
    uint32_t size;               /* of the table, a power of two; 0: none */
};

int         sub_set_add(struct sub_set *set, struct sub *sub);              /* none of its feed is there. 0 or ERR_MEMORY */
void        sub_set_remove(struct sub_set *set, struct sub *sub);           /* it is there; needs no memory */
struct sub *sub_set_find(const struct sub_set *set, const struct feed *feed);
/* The first subscription at or behind *at, in no order; *at moves behind it. NULL: no more. Begin with 0. When the one that was
 * returned is removed, sub_set_again(at) lets the walk go on without missing any. */
struct sub *sub_set_next(const struct sub_set *set, uint32_t *at);
static inline void sub_set_again(uint32_t *at) { --*at; }
