#include "transports/edge/sub_set.h"

#include "hub/base/err.h"
#include "transports/edge/feed.h"

#include <stdlib.h>

enum { SIZE_MIN = 4 };

/* ---- the table ---- */

static uint32_t home(const struct sub *sub, uint32_t size) { return (uint32_t)sub->feed->hash & (size - 1); }

static void put(struct sub **table, uint32_t size, struct sub *sub)
{
    uint32_t at = home(sub, size);
    while (table[at])
        at = (at + 1) & (size - 1);
    table[at] = sub;
}

static int resize(struct sub_set *set, uint32_t size)
{
    struct sub **table = calloc(size, sizeof *table);
    uint32_t at = 0;
    if (!table)
        return ERR_MEMORY;
    for (struct sub *sub; (sub = sub_set_next(set, &at));)
        put(table, size, sub);
    if (set->size)
        free(set->table);
    set->table = table;
    set->size = size;
    return 0;
}

/* Where the subscription to this feed is, or the free place where the search ended. */
static uint32_t place_of(const struct sub_set *set, const struct feed *feed)
{
    uint32_t at = (uint32_t)feed->hash & (set->size - 1);
    while (set->table[at] && set->table[at]->feed != feed)
        at = (at + 1) & (set->size - 1);
    return at;
}

/* Those behind the free place move up if they may stand there, so that no search ends too early. */
static void close_gap(struct sub_set *set, uint32_t gap)
{
    uint32_t mask = set->size - 1;
    for (uint32_t at = (gap + 1) & mask; set->table[at]; at = (at + 1) & mask) {
        uint32_t from_home = (at - home(set->table[at], set->size)) & mask;
        if (from_home < ((at - gap) & mask))
            continue;
        set->table[gap] = set->table[at];
        set->table[at] = NULL;
        gap = at;
    }
}

/* ---- the set ---- */

int sub_set_add(struct sub_set *set, struct sub *sub)
{
    if (set->n == 0) {
        set->only = sub;
        set->n = 1;
        return 0;
    }
    uint32_t size = set->size ? set->size : SIZE_MIN;
    while ((set->n + 1) > size / 4 * 3)
        size *= 2;
    if (size != set->size && resize(set, size))
        return ERR_MEMORY;
    put(set->table, set->size, sub);
    set->n++;
    return 0;
}

void sub_set_remove(struct sub_set *set, struct sub *sub)
{
    set->n--;
    if (set->size) {
        uint32_t at = place_of(set, sub->feed);
        set->table[at] = NULL;
        close_gap(set, at);
        if (set->n > 0)
            return;
        free(set->table);
    }
    *set = (struct sub_set){ 0 };
}

struct sub *sub_set_find(const struct sub_set *set, const struct feed *feed)
{
    if (set->size)
        return set->table[place_of(set, feed)];
    return set->only && set->only->feed == feed ? set->only : NULL;
}

struct sub *sub_set_next(const struct sub_set *set, uint32_t *at)
{
    if (set->size == 0)
        return *at == 0 && set->only ? (++*at, set->only) : NULL;
    while (*at < set->size)
        if (set->table[(*at)++])
            return set->table[*at - 1];
    return NULL;
}
