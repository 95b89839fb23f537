/* roster.h — the connections of one edge, found by id, and walked in order of id.
 *
 * Ids only grow, so a newcomer is put behind all others and the array is sorted by itself. Who goes leaves a gap with its id in it,
 * so that the array can still be searched; when half of it is gaps they are closed up.
 *
 * Lifetime   embedded, zero-filled is empty; it does not own connections. An index is valid until something is added or removed.
 * Threading  the edge's thread.
 * Limits     8 to 16 bytes per connection while there are more and more; up to 32 while they grow fewer. */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct conn;

struct roster {
    uint64_t *at;            /* a connection's address, which is even; or a gap: its id and a one behind it */
    size_t    n, cap;        /* entries, gaps included */
    size_t    gaps;
};

void         roster_fini(struct roster *roster);
int          roster_add(struct roster *roster, struct conn *conn);      /* its id is greater than all before. 0 or ERR_MEMORY */
void         roster_remove(struct roster *roster, struct conn *conn);   /* it is there; needs no memory */
struct conn *roster_find(const struct roster *roster, uint64_t id);     /* NULL: it is not there */
/* The first connection at or behind *at, which moves behind it; NULL: no more. Begin with 0, or behind an id: roster_after. */
struct conn *roster_next(const struct roster *roster, size_t *at);
size_t       roster_after(const struct roster *roster, uint64_t id);
