/* roll.h — things in the order of their ids, for lists that are read in pages.
 *
 * An array of pointers: to find is a binary search, to add moves what comes after. Fine for a hundred thousand things that change
 * some times a second.
 *
 * Lifetime   zero-filled is empty; the things are the owner's. Threading: the owner's lock. */
#pragma once
#include "hub/base/buf.h"

enum { ROLL_ID_MAX = 40 };

struct roll_item {                 /* first in what is on a roll */
    char id[ROLL_ID_MAX + 1];
};

struct roll {
    struct roll_item **at;
    size_t             n, cap;
};

int               roll_reserve(struct roll *roll, size_t n);               /* room for so many; 0 or ERR_MEMORY */
struct roll_item *roll_find(const struct roll *roll, struct slice id);     /* borrowed, may be NULL */
struct roll_item *roll_put(struct roll *roll, struct roll_item *item);     /* after roll_reserve. The one it replaces, or NULL */
struct roll_item *roll_take(struct roll *roll, struct slice id);           /* off the roll; NULL: not on it */
size_t            roll_after(const struct roll *roll, struct slice id);    /* the place of the first whose id is greater */
void              roll_fini(struct roll *roll);
