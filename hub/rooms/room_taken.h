/* room_taken.h — which numbers of its own (`n`) a member's frames were taken under: the highest, and which of those just below it were not.
 *
 * What is refused is not taken, and its sender may not hear of that: the error may be written into a socket that has died. So who comes back
 * is told the numbers that are missing, and may send them once more; a number that was taken never counts again.
 *
 * Zero-filled is: none yet, and 1 is next. Threading: pure functions; lua/room.lua does the same.
 * Limits     TAKEN_WINDOW below the highest; what is lower counts as taken. Who leaves out more than that at once numbers in another way
 *            than by counting, and misses nothing. */
#pragma once
#include "hub/base/buf.h"

enum { TAKEN_WINDOW = 32 };

struct room_taken {
    uint64_t n;                /* the highest */
    uint32_t missing;          /* bit i: n - 1 - i was not taken */
};

/* 0 is no number, and never taken. */
static inline bool taken_is(const struct room_taken *t, uint64_t n)
{
    bool is_missing = t->n - n - 1 < TAKEN_WINDOW && t->missing >> (t->n - n - 1) & 1;
    return n > 0 && n <= t->n && !is_missing;
}

static inline void taken_add(struct room_taken *t, uint64_t n)
{
    uint64_t above = n - t->n;
    if (n == 0)
        return;
    if (n < t->n) {
        t->missing &= ~(t->n - n - 1 < TAKEN_WINDOW ? 1u << (t->n - n - 1) : 0);
        return;
    }
    t->missing = above < TAKEN_WINDOW ? t->missing << above | ((1u << (above - 1)) - 1) : 0;
    t->n = n;
}

/* `[7,9]`, lowest first. */
void taken_print(struct buf *out, const struct room_taken *t);
