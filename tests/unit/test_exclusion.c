/* Who is left out by frames: numbers that last as long as a frame names them, also while memory is taken by a ring. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "transports/wire/exclusion.h"
#include "transports/wire/ring.h"

static void a_client_has_a_number_as_long_as_a_frame_names_it(void **state)
{
    (void)state;
    struct exclusions all = { 0 };
    uint32_t ann, again, bob, nobody = 7;
    assert_int_equal(exclusion_take(&all, SLICE(""), &nobody), 0);
    assert_int_equal(nobody, 0);
    assert_true(exclusions_none(&all));
    assert_int_equal(exclusion_take(&all, SLICE("ann"), &ann), 0);
    assert_int_equal(exclusion_take(&all, SLICE("bob"), &bob), 0);
    assert_int_equal(exclusion_take(&all, SLICE("ann"), &again), 0);
    assert_true(ann && bob && ann != bob && ann == again);
    assert_int_equal(exclusion_find(&all, SLICE("ann")), ann);
    assert_int_equal(exclusion_find(&all, SLICE("an")), 0);
    exclusion_give(&all, ann);
    exclusion_give(&all, nobody);
    assert_int_equal(exclusion_find(&all, SLICE("ann")), ann);
    exclusion_give(&all, ann);
    assert_int_equal(exclusion_find(&all, SLICE("ann")), 0);
    exclusion_give(&all, bob);
    assert_true(exclusions_none(&all));
}

static void a_number_that_is_in_use_is_not_given_again(void **state)
{
    (void)state;
    struct exclusions all = { .last = UINT32_MAX - 1 };
    uint32_t first, second, third;
    exclusion_take(&all, SLICE("1"), &first);
    exclusion_take(&all, SLICE("2"), &second);
    assert_int_equal(first, UINT32_MAX);
    assert_int_equal(second, 1);
    all.last = UINT32_MAX - 1;
    exclusion_take(&all, SLICE("3"), &third);
    assert_int_equal(third, 2);
    exclusion_give(&all, first);
    exclusion_give(&all, second);
    exclusion_give(&all, third);
    assert_true(exclusions_none(&all));
}

static void nobody(struct reader *reader) { (void)reader; }

static void a_ring_gives_back_whom_its_frames_leave_out_however_they_go(void **state)
{
    (void)state;
    struct exclusions all = { 0 };
    struct pool pool;
    struct ring ring;
    struct reader reader;
    uint32_t number;
    static char bytes[64 * 1024];
    pool_init(&pool, 32 * 1024, &all);
    ring_init(&ring, &pool);
    reader_init(&reader);
    ring_join(&ring, &reader);
    for (uint64_t i = 1; i <= 10; i++) {
        assert_int_equal(exclusion_take(&all, i % 2 ? SLICE("ann") : SLICE(""), &number), 0);
        ring_append(&ring, 1 << 20, i, i, number, slice(bytes, 10));
    }
    ring_settle(&ring, nobody);
    assert_int_equal(ring.first->n_excluding, 5);
    assert_int_equal(chunk_frame(ring.first, 0)->exclude, exclusion_find(&all, SLICE("ann")));
    assert_true(reader_advance(&reader, ring.last, ring.last->n));
    assert_true(exclusions_none(&all));
    assert_int_equal(exclusion_take(&all, SLICE("bob"), &number), 0);
    assert_int_equal(ring_append(&ring, 1 << 20, 11, 11, number, slice(bytes, sizeof bytes)), 0);      /* finds no room: the ring is lost */
    assert_int_equal(reader.place, READER_FALLEN);
    assert_true(exclusions_none(&all));
    reader_leave(&reader);
    ring_fini(&ring);
    pool_fini(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_client_has_a_number_as_long_as_a_frame_names_it),
        cmocka_unit_test(a_number_that_is_in_use_is_not_given_again),
        cmocka_unit_test(a_ring_gives_back_whom_its_frames_leave_out_however_they_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
