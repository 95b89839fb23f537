/* numbers.h — numbers of messages that a client has read, in the order in which it did, which is theirs.
 *
 * Lifetime   {0} is empty; numbers_fini. Threading: the simulation's thread. */
#pragma once
#include "hub/base/first.h"

#include <stdlib.h>

struct numbers { uint64_t *at; size_t n, cap; };

static inline void numbers_add(struct numbers *numbers, uint64_t number)
{
    if (numbers->n == numbers->cap) {
        numbers->cap = numbers->cap ? 2 * numbers->cap : 64;
        numbers->at = realloc(numbers->at, numbers->cap * sizeof *numbers->at);
        if (!numbers->at)
            abort();
    }
    numbers->at[numbers->n++] = number;
}

static inline bool number_is_from(const void *row, size_t place, int64_t bound) { return ((const uint64_t *)row)[place] >= (uint64_t)bound; }

static inline bool numbers_have(const struct numbers *numbers, uint64_t number)
{
    size_t place = first_that(numbers->n, number_is_from, numbers->at, (int64_t)number);
    return place < numbers->n && numbers->at[place] == number;
}

static inline void numbers_fini(struct numbers *numbers)
{
    free(numbers->at);
    *numbers = (struct numbers){ .at = NULL };
}
