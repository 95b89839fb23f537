#include "hub/base/grow.h"

#include <stdlib.h>
#include <string.h>

void *grow_ring(void *ring, size_t item, size_t first, size_t n, size_t *cap, size_t least)
{
    size_t more = *cap ? *cap * 2 : least, head = *cap - first < n ? *cap - first : n;
    char *bigger = malloc(more * item);
    if (!bigger)
        return NULL;
    if (n > 0) {
        memcpy(bigger, (char *)ring + first * item, head * item);
        memcpy(bigger + head * item, ring, (n - head) * item);
    }
    free(ring);
    *cap = more;
    return bigger;
}
