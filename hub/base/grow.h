/* grow.h — rings of items that double when they are full.
 *
 * Threading: whoever owns the ring. */
#pragma once
#include <stddef.h>

/* Doubles a ring of `*cap` items (a power of two; 0: none yet, then `least`) of this size, `n` of them in use from `first`
 * on; in the new ring they begin at index 0. NULL: no memory, the old one stays. */
void *grow_ring(void *ring, size_t item, size_t first, size_t n, size_t *cap, size_t least);
