/* chains.h — a hash table of things that carry their own links, in which nothing can fail once there is room.
 *
 * For tables that are changed in two steps: first all is prepared that could fail (chains_reserve), then the change is made, which
 * must not fail any more (hub/records.h). uthash allocates while it adds.
 *
 * Lifetime   zero-filled is empty; chains_fini frees the table, not what is in it. Threading: the owner's lock. */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct chain_link {
    struct chain_link *next;
    uint64_t           hash;
};

struct chains {
    struct chain_link **heads;
    size_t              n_heads;       /* a power of two, or 0 */
    size_t              n;
};

int  chains_reserve(struct chains *chains, size_t n);      /* room for so many; 0 or ERR_MEMORY */
void chains_add(struct chains *chains, struct chain_link *link, uint64_t hash);      /* after chains_reserve */
void chains_remove(struct chains *chains, struct chain_link *link);
/* Those with this hash, one after the other; NULL: no more. */
struct chain_link *chains_first(const struct chains *chains, uint64_t hash);
struct chain_link *chains_next(const struct chain_link *link);
void chains_fini(struct chains *chains);
