#include "hub/base/heap.h"

static void swap(struct heap *heap, size_t a, size_t b)
{
    void *item = heap->at[a];
    heap->at[a] = heap->at[b];
    heap->at[b] = item;
}

void heap_push(struct heap *heap, void *item)
{
    size_t i = heap->n++;
    heap->at[i] = item;
    while (i > 0 && heap->less(heap->at[i], heap->at[(i - 1) / 2])) {
        swap(heap, i, (i - 1) / 2);
        i = (i - 1) / 2;
    }
}

void heap_top_changed(struct heap *heap)
{
    for (size_t i = 0, least = 0;; i = least) {
        for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < heap->n; child++)
            if (heap->less(heap->at[child], heap->at[least]))
                least = child;
        if (least == i)
            return;
        swap(heap, i, least);
    }
}

void *heap_pop(struct heap *heap)
{
    if (heap->n == 0)
        return NULL;
    void *item = heap->at[0];
    heap->at[0] = heap->at[--heap->n];
    heap_top_changed(heap);
    return item;
}
