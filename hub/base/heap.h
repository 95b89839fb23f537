/* heap.h — binary heap of pointers: at[0] is the least by `less`.
 *
 * Room for what is pushed comes from the caller: an array of a known size, or heap_room. Threading: whoever owns it.
 * Lifetime: `at` is the caller's to free, in both cases. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

typedef bool heap_less_fn(const void *a, const void *b);

struct heap {
    void        **at;
    size_t        n, cap;      /* cap: of heap_room; not looked at by others */
    heap_less_fn *less;
    void        (*placed)(void *item, size_t at);      /* where an item is now, for who takes some out from the middle; NULL: nobody */
};

bool  heap_room(struct heap *heap, size_t n);       /* for n items in all, by doubling; false: no memory, nothing has changed */
void  heap_push(struct heap *heap, void *item);     /* at[] has room for one more */
void *heap_pop(struct heap *heap);                  /* the least; NULL: empty */
void  heap_top_changed(struct heap *heap);          /* at[0] got greater */
void  heap_changed(struct heap *heap, size_t at);   /* at[at] got greater or less */
void  heap_remove(struct heap *heap, size_t at);
