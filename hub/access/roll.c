#include "hub/access/roll.h"

#include "hub/base/err.h"

#include <stdlib.h>

static int compare(struct slice a, struct slice b)
{
    int order = memcmp(a.at, b.at, a.len < b.len ? a.len : b.len);
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

/* The place of the first that is not smaller. */
static size_t place_of(const struct roll *roll, struct slice id)
{
    size_t low = 0, high = roll->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare(slice_of(roll->at[middle]->id), id) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool is_at(const struct roll *roll, size_t place, struct slice id)
{
    return place < roll->n && slice_is(slice_of(roll->at[place]->id), id);
}

int roll_reserve(struct roll *roll, size_t n)
{
    size_t cap = roll->cap ? roll->cap : 16;
    while (cap < n)
        cap *= 2;
    if (cap == roll->cap)
        return 0;
    struct roll_item **at = realloc(roll->at, cap * sizeof *at);
    if (!at)
        return ERR_MEMORY;
    roll->at = at;
    roll->cap = cap;
    return 0;
}

struct roll_item *roll_find(const struct roll *roll, struct slice id)
{
    size_t place = place_of(roll, id);
    return is_at(roll, place, id) ? roll->at[place] : NULL;
}

struct roll_item *roll_put(struct roll *roll, struct roll_item *item)
{
    size_t place = place_of(roll, slice_of(item->id));
    struct roll_item *before = is_at(roll, place, slice_of(item->id)) ? roll->at[place] : NULL;
    if (!before) {
        memmove(roll->at + place + 1, roll->at + place, (roll->n - place) * sizeof *roll->at);
        roll->n++;
    }
    roll->at[place] = item;
    return before;
}

struct roll_item *roll_take(struct roll *roll, struct slice id)
{
    size_t place = place_of(roll, id);
    if (!is_at(roll, place, id))
        return NULL;
    struct roll_item *item = roll->at[place];
    roll->n--;
    memmove(roll->at + place, roll->at + place + 1, (roll->n - place) * sizeof *roll->at);
    return item;
}

size_t roll_after(const struct roll *roll, struct slice id)
{
    size_t place = place_of(roll, id);
    return is_at(roll, place, id) ? place + 1 : place;
}

void roll_fini(struct roll *roll)
{
    free(roll->at);
    *roll = (struct roll){ 0 };
}
