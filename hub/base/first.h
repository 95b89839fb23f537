/* first.h — the first place of an ordered row from which on all are enough: a binary search.
 *
 * Threading  whoever owns the row. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Is what stands at this place enough? Then all behind it is. */
typedef bool first_enough_fn(const void *row, size_t place, int64_t bound);

/* Of places 0 … n - 1; n: none is. Inline, so that the compiler sees what `enough` looks at. */
static inline size_t first_that(size_t n, first_enough_fn *enough, const void *row, int64_t bound)
{
    size_t low = 0, high = n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (enough(row, middle, bound))
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}
