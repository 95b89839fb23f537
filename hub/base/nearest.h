/* nearest.h — "did you mean …?": the known word that a mistyped one is closest to.
 *
 * Distance is the number of letters to insert, drop, change or swap with their neighbour (Damerau's, restricted).
 * Threading: pure function. Limits: words over 64 bytes are near nothing. */
#pragma once
#include <stddef.h>

/* One of `words` (the first of several equally near), or NULL when all are further than half of the longer word. */
const char *nearest(const char *word, const char *const *words, size_t count);
