#include "hub/position.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

static void what_is_printed_is_read_back(void **state)
{
    (void)state;
    static const uint64_t seqs[] = { 0, 1, 9, 10, 1842, UINT64_MAX - 1, UINT64_MAX };
    for (int round = 0; round < 1000; round++) {
        struct position p = { epoch_new(), seqs[round % 7] };
        char text[POSITION_TEXT];
        size_t len = position_print(text, p);
        assert_int_equal(len, strlen(text));
        struct position q = position_parse(slice(text, len));
        assert_true(p.epoch == q.epoch && p.seq == q.seq);
    }
}

static void the_text_is_eight_letters_a_dot_and_a_number(void **state)
{
    (void)state;
    char text[POSITION_TEXT];
    position_print(text, (struct position){ 1, 1842 });
    assert_string_equal(text, "aaaaaaab.1842");
    position_print(text, (struct position){ ((uint64_t)1 << 40) - 1, 0 });
    assert_string_equal(text, "77777777.0");
}

static void nonsense_is_a_position_of_no_epoch(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "", ".", "0", "12345", "k3q7x2ab", "k3q7x2ab.", "k3q7x2ab.x", "k3q7x2ab.1x", "k3q7x2ab.-1", "k3q7x2ab.+1", "k3q7x2ab. 1", "K3Q7X2AB.1",
        "k3q7x2a.1", "k3q7x2abc.1", "k3q7x2a1.1", "k3q7x2a8.1", "k3q7x2ab.18446744073709551616", "k3q7x2ab.1.1", "aaaaaaaa.1", "k3q7x2ab,1",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct position p = position_parse(slice_of(bad[i]));
        if (p.epoch != 0 || p.seq != 0)
            fail_msg("read: %s", bad[i]);
    }
}

static void epochs_are_random_and_never_zero(void **state)
{
    (void)state;
    uint64_t first = epoch_new();
    int same = 0;
    for (int i = 0; i < 100; i++) {
        uint64_t epoch = epoch_new();
        assert_true(epoch != 0 && epoch >> 40 == 0);
        same += epoch == first;
    }
    assert_int_equal(same, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_printed_is_read_back),
        cmocka_unit_test(the_text_is_eight_letters_a_dot_and_a_number),
        cmocka_unit_test(nonsense_is_a_position_of_no_epoch),
        cmocka_unit_test(epochs_are_random_and_never_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
