#include "hub/base/heap.h"

#include <stdlib.h>

enum { CAP_LEAST = 16 };

bool heap_room(struct heap *heap, size_t n)
{
    size_t cap = heap->cap ? heap->cap : CAP_LEAST;
    if (n <= heap->cap)
        return true;
    while (cap < n)
        cap *= 2;
    void **bigger = realloc(heap->at, cap * sizeof *bigger);
    if (!bigger)
        return false;
    heap->at = bigger;
    heap->cap = cap;
    return true;
}

static void put(struct heap *heap, size_t at, void *item)
{
    heap->at[at] = item;
    if (heap->placed)
        heap->placed(item, at);
}

static void rise(struct heap *heap, size_t at, void *item)
{
    while (at > 0 && heap->less(item, heap->at[(at - 1) / 2])) {
        put(heap, at, heap->at[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    put(heap, at, item);
}

static void sink(struct heap *heap, size_t at, void *item)
{
    for (size_t child; (child = 2 * at + 1) < heap->n; at = child) {
        if (child + 1 < heap->n && heap->less(heap->at[child + 1], heap->at[child]))
            child++;
        if (!heap->less(heap->at[child], item))
            break;
        put(heap, at, heap->at[child]);
    }
    put(heap, at, item);
}

void heap_push(struct heap *heap, void *item) { rise(heap, heap->n++, item); }

void heap_changed(struct heap *heap, size_t at)
{
    void *item = heap->at[at];
    if (at > 0 && heap->less(item, heap->at[(at - 1) / 2]))
        rise(heap, at, item);
    else
        sink(heap, at, item);
}

void heap_top_changed(struct heap *heap) { sink(heap, 0, heap->at[0]); }

void heap_remove(struct heap *heap, size_t at)
{
    void *last = heap->at[--heap->n];
    if (at == heap->n)
        return;
    heap->at[at] = last;
    heap_changed(heap, at);
}

void *heap_pop(struct heap *heap)
{
    if (heap->n == 0)
        return NULL;
    void *item = heap->at[0];
    heap_remove(heap, 0);
    return item;
}
