/* Blocks of messages as rows of the store have them: what goes in comes out, and bytes that anybody may have written are checked. */
#include "tests/unit/store_rig.h"

#include "hub/store/store_block.h"

enum { EPOCH = 42 };

static struct buf block_of(uint64_t from, uint64_t to)
{
    struct buf block = { 0 };
    for (uint64_t seq = from; seq <= to; seq++) {
        struct msg *m = msg_of(seq, seq / 2);
        store_block_add(&block, m);
        msg_unref(m);
    }
    assert_false(block.failed);
    return block;
}

static void what_goes_in_comes_out_in_order(void **state)
{
    struct buf block = block_of(1, 300);
    struct slice rest = buf_slice(&block);
    (void)state;
    for (uint64_t seq = 1; seq <= 300; seq++) {
        struct msg *expected = msg_of(seq, seq / 2), *m = NULL;
        assert_int_equal(store_block_take(&rest, EPOCH, &m), 0);
        assert_same_msg(m, expected);
        assert_true(m->epoch == EPOCH);
        msg_unref(m);
        msg_unref(expected);
    }
    assert_int_equal(rest.len, 0);
    buf_fini(&block);
}

/* In memory of exactly that size, so that a read behind it is seen by AddressSanitizer. */
static int take_from_copy(const char *at, size_t len)
{
    char *copy = malloc(len);
    struct slice block = slice(memcpy(copy, at, len), len);
    struct msg *m = NULL;
    int err = store_block_take(&block, EPOCH, &m);
    if (err)
        assert_true(m == NULL && block.at == copy && block.len == len);
    msg_unref(m);
    free(copy);
    return err;
}

static void a_message_that_is_cut_anywhere_is_none(void **state)
{
    struct buf block = block_of(7, 7);
    (void)state;
    for (size_t len = 1; len < block.len; len++)
        assert_int_equal(take_from_copy(block.at, len), ERR_STORE_OPEN);
    assert_int_equal(take_from_copy(block.at, block.len), 0);
    buf_fini(&block);
}

static void lengths_that_reach_beyond_the_block_are_refused(void **state)
{
    struct buf block = block_of(7, 7);
    (void)state;
    for (size_t at = 24; at < 32; at++) {      /* data_len, kind, and the lengths of names */
        char was = block.at[at];
        block.at[at] = (char)0xff;
        assert_int_equal(take_from_copy(block.at, block.len), ERR_STORE_OPEN);
        block.at[at] = was;
    }
    assert_int_equal(take_from_copy(block.at, block.len), 0);
    buf_fini(&block);
}

static void a_name_that_no_message_can_have_is_refused(void **state)
{
    struct buf block = block_of(7, 7);
    (void)state;
    block.at[32] = ' ';
    assert_int_equal(take_from_copy(block.at, block.len), ERR_STORE_OPEN);
    block.at[29] = 0;      /* no channel */
    assert_int_equal(take_from_copy(block.at, block.len), ERR_STORE_OPEN);
    buf_fini(&block);
}

static void what_a_message_follows_and_its_ttl_come_out_and_must_make_sense(void **state)
{
    struct buf block = { 0 };
    struct msg *m = msg_new(&(struct msg_parts){ .channel = SLICE("a"), .exclude = SLICE("me"), .data = SLICE("1"), .ttl_ms = 7 }), *out = NULL;
    (void)state;
    m->seq = 50;
    m->prev = 40;
    m->passing = 39;
    m->passed_s = UINT32_MAX;
    store_block_add(&block, m);
    struct slice rest = buf_slice(&block);
    assert_int_equal(store_block_take(&rest, EPOCH, &out), 0);
    assert_same_msg(out, m);
    msg_unref(out);
    m->passing = 41;      /* more than there are before it */
    buf_reset(&block);
    store_block_add(&block, m);
    rest = buf_slice(&block);
    assert_int_equal(store_block_take(&rest, EPOCH, &out), ERR_STORE_OPEN);
    msg_unref(m);
    buf_fini(&block);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_goes_in_comes_out_in_order),
        cmocka_unit_test(what_a_message_follows_and_its_ttl_come_out_and_must_make_sense),
        cmocka_unit_test(a_message_that_is_cut_anywhere_is_none),
        cmocka_unit_test(lengths_that_reach_beyond_the_block_are_refused),
        cmocka_unit_test(a_name_that_no_message_can_have_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
