#include "hub/expiry.h"

#include <stdlib.h>

enum { DEAD_LEAST = 64 };      /* fewer are not worth a walk */

static bool ends_before(const void *a, const void *b)
{
    return ((const struct ending *)a)->ends_ms < ((const struct ending *)b)->ends_ms;
}

void expiry_fini(struct expiry *expiry)
{
    for (size_t i = 0; i < expiry->heap.n; i++)
        free(expiry->heap.at[i]);
    free(expiry->heap.at);
}

bool expiry_add(struct expiry *expiry, uint64_t seq, int64_t ends_ms)
{
    struct ending *ending = heap_room(&expiry->heap, expiry->heap.n + 1) ? malloc(sizeof *ending) : NULL;
    if (!ending)
        return false;
    *ending = (struct ending){ .ends_ms = ends_ms, .seq = seq };
    expiry->heap.less = ends_before;
    heap_push(&expiry->heap, ending);
    expiry->n_live++;
    return true;
}

void expiry_gave_up(struct expiry *expiry) { expiry->n_live--; }

void expiry_tidy(struct expiry *expiry, bool (*is_kept)(void *arg, uint64_t seq), void *arg)
{
    struct heap all = expiry->heap;
    if (all.n <= 2 * expiry->n_live + DEAD_LEAST)
        return;
    expiry->heap.n = 0;
    for (size_t i = 0; i < all.n; i++) {
        struct ending *ending = all.at[i];      /* the heap grows behind it, in the same array */
        if (is_kept(arg, ending->seq))
            heap_push(&expiry->heap, ending);
        else
            free(ending);
    }
}

int64_t expiry_due_ms(const struct expiry *expiry)
{
    return expiry->heap.n > 0 ? ((const struct ending *)expiry->heap.at[0])->ends_ms : INT64_MAX;
}

/* Each leaves a free place behind the heap in the same array. */
struct ending **expiry_take_due(struct expiry *expiry, int64_t wall_ms, size_t *ret_n)
{
    size_t n = 0;
    while (expiry_due_ms(expiry) <= wall_ms) {
        struct ending *ending = heap_pop(&expiry->heap);
        expiry->heap.at[expiry->heap.n] = ending;
        n++;
    }
    *ret_n = n;
    return (struct ending **)(void *)(expiry->heap.at + expiry->heap.n);
}
