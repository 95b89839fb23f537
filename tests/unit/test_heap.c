/* The heap against a plain array: the least comes first whatever was pushed, changed and taken out of the middle. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "hub/base/heap.h"

#include <stdlib.h>

enum { ITEMS = 200, STEPS = 20000 };

struct item { int value; size_t place; bool in; };

static struct item items[ITEMS];
static void       *room[ITEMS];

static bool less(const void *a, const void *b) { return ((const struct item *)a)->value < ((const struct item *)b)->value; }
static void placed(void *item, size_t at)      { ((struct item *)item)->place = at; }

static const struct item *least(void)
{
    const struct item *found = NULL;
    for (int i = 0; i < ITEMS; i++)
        if (items[i].in && (!found || items[i].value < found->value))
            found = &items[i];
    return found;
}

static void check(const struct heap *heap)
{
    size_t n = 0;
    for (int i = 0; i < ITEMS; i++) {
        n += items[i].in;
        if (items[i].in)
            assert_ptr_equal(heap->at[items[i].place], &items[i]);
    }
    assert_int_equal(heap->n, n);
    if (n > 0)
        assert_int_equal(((struct item *)heap->at[0])->value, least()->value);
}

static void whatever_is_pushed_changed_and_removed_the_least_is_on_top(void **state)
{
    struct heap heap = { .at = room, .less = less, .placed = placed };
    (void)state;
    srand(11);
    for (int step = 0; step < STEPS; step++) {
        struct item *item = &items[rand() % ITEMS];
        if (!item->in) {
            item->value = rand() % 50;
            item->in = true;
            heap_push(&heap, item);
        } else if (rand() % 2) {
            item->value = rand() % 50;
            heap_changed(&heap, item->place);
        } else {
            item->in = false;
            heap_remove(&heap, item->place);
        }
        check(&heap);
    }
    for (int last = -1; heap.n > 0; check(&heap)) {
        struct item *item = heap_pop(&heap);
        item->in = false;
        assert_true(item->value >= last);
        last = item->value;
    }
    assert_null(heap_pop(&heap));
}

static void nobody_needs_to_know_where_an_item_is(void **state)
{
    static struct item some[] = { { .value = 3 }, { .value = 1 }, { .value = 2 } };
    struct heap heap = { .at = room, .less = less };
    (void)state;
    for (int i = 0; i < 3; i++)
        heap_push(&heap, &some[i]);
    some[1].value = 5;
    heap_top_changed(&heap);
    assert_ptr_equal(heap_pop(&heap), &some[2]);
    assert_ptr_equal(heap_pop(&heap), &some[0]);
    assert_ptr_equal(heap_pop(&heap), &some[1]);
}

static void room_doubles_and_what_was_in_it_stays(void **state)
{
    struct heap heap = { .less = less };
    (void)state;
    for (int i = 0; i < ITEMS; i++) {
        items[i].value = ITEMS - i;
        assert_true(heap_room(&heap, heap.n + 1));
        assert_true(heap.cap > heap.n);
        heap_push(&heap, &items[i]);
    }
    size_t cap = heap.cap;
    assert_true(cap < 2 * ITEMS + 1 && heap_room(&heap, cap));
    assert_int_equal(heap.cap, cap);
    for (int value = 1; value <= ITEMS; value++)
        assert_int_equal(((struct item *)heap_pop(&heap))->value, value);
    free(heap.at);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_is_pushed_changed_and_removed_the_least_is_on_top),
        cmocka_unit_test(nobody_needs_to_know_where_an_item_is),
        cmocka_unit_test(room_doubles_and_what_was_in_it_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
