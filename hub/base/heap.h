/* heap.h — binary heap of pointers in an array of the caller's: at[0] is the least by `less`.
 *
 * Nothing is allocated: the caller provides room for what it pushes. Threading: whoever owns the array. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

typedef bool heap_less_fn(const void *a, const void *b);

struct heap {
    void        **at;
    size_t        n;
    heap_less_fn *less;
    void        (*placed)(void *item, size_t at);      /* where an item is now, for who takes some out from the middle; NULL: nobody */
};

void  heap_push(struct heap *heap, void *item);     /* at[] has room for one more */
void *heap_pop(struct heap *heap);                  /* the least; NULL: empty */
void  heap_top_changed(struct heap *heap);          /* at[0] got greater */
void  heap_changed(struct heap *heap, size_t at);   /* at[at] got greater or less */
void  heap_remove(struct heap *heap, size_t at);
