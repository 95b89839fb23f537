/* Traces of W3C Trace Context: which headers name one, that it goes with its message through the store, and what stands for it where there is none. */
#include "tests/unit/store_rig.h"

#include "hub/store/store_block.h"
#include "hub/trace.h"

#define ID "0af7651916cd43dd8448eb211c80319c"
#define SPAN "b7ad6b7169203331"

static void what_is_a_traceparent_and_what_is_none(void **state)
{
    static const struct { const char *text; int flags; } of[] = {      /* flags -1: it names none */
        { "00-" ID "-" SPAN "-01", 1 }, { "00-" ID "-" SPAN "-00", 0 }, { "00-" ID "-" SPAN "-03", 3 }, { "00-" ID "-" SPAN "-fd", 1 },
        { "cc-" ID "-" SPAN "-01-what-the-future-will-be-like", 1 }, { "01-" ID "-" SPAN "-01", 1 },
        { "", -1 }, { "00", -1 }, { "00-" ID "-" SPAN "-0", -1 }, { "00-" ID "-" SPAN "-01-", -1 }, { "00-" ID "-" SPAN "-01-x", -1 }, { "cc-" ID "-" SPAN "-01.x", -1 },
        { "ff-" ID "-" SPAN "-01", -1 }, { "0g-" ID "-" SPAN "-01", -1 }, { "00-" ID "-" SPAN "-0x", -1 }, { "00-0AF7651916CD43DD8448EB211C80319C-" SPAN "-01", -1 },
        { "00-00000000000000000000000000000000-" SPAN "-01", -1 }, { "00-" ID "-0000000000000000-01", -1 }, { "00-" ID "-" SPAN "\t-1", -1 },
        { "00_" ID "-" SPAN "-01", -1 }, { "00-" ID "_" SPAN "-01", -1 }, { "00-" ID "-" SPAN "_01", -1 }, { " 00-" ID "-" SPAN "-01", -1 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        char trace[TRACE_BYTES], id[TRACE_ID_HEX + 1], *exact = strdup(of[i].text);
        bool named = trace_read(slice(exact, strlen(exact)), trace);
        free(exact);
        if (named != (of[i].flags >= 0))
            fail_msg("%s", of[i].text);
        if (!named)
            continue;
        trace_id_print(trace, id);
        assert_string_equal(id, ID);
        assert_int_equal(trace[16], of[i].flags);
    }
}

static struct msg *message(struct slice trace, uint64_t epoch, uint64_t seq)
{
    struct msg *m = msg_new(&(struct msg_parts){ .channel = SLICE("a"), .exclude = SLICE("me"), .data = SLICE("{\"n\":1}"), .trace = trace });
    m->epoch = epoch;
    m->seq = seq;
    return m;
}

static void a_trace_goes_with_its_message_through_the_store(void **state)
{
    struct buf block = { 0 };
    char trace[TRACE_BYTES], kept[TRACE_BYTES], text[TRACEPARENT_TEXT];
    struct msg *out = NULL;
    (void)state;
    assert_true(trace_read(SLICE("00-" ID "-" SPAN "-00"), trace));
    struct msg *with = message(slice(trace, sizeof trace), 42, 7), *without = message(SLICE(""), 42, 8);
    assert_int_equal(msg_size(with), msg_size(without) + TRACE_BYTES);
    store_block_add(&block, with);
    store_block_add(&block, without);
    struct slice rest = buf_slice(&block);
    assert_int_equal(store_block_take(&rest, 42, &out), 0);
    assert_same_msg(out, with);
    trace_of(out, kept);
    trace_print(kept, 0x1234, text);
    assert_string_equal(text, "00-" ID "-0000000000001234-00");
    msg_unref(out);
    assert_int_equal(store_block_take(&rest, 42, &out), 0);
    assert_true(rest.len == 0 && msg_trace(out).len == 0);
    msg_unref(out);
    for (size_t len = 1; len < block.len; len++) {      /* cut anywhere, in memory of exactly that size */
        char *copy = malloc(len);
        rest = slice(memcpy(copy, block.at, len), len);
        if (!store_block_take(&rest, 42, &out)) {
            assert_true(slice_is(msg_trace(out), slice(trace, sizeof trace)));
            msg_unref(out);
        }
        free(copy);
    }
    msg_unref(with);
    msg_unref(without);
    buf_fini(&block);
}

static void without_one_it_is_the_same_each_time_and_another_for_each_event(void **state)
{
    char traces[64][TRACE_BYTES], again[TRACE_BYTES];
    (void)state;
    for (uint64_t i = 0; i < 64; i++) {
        struct msg *m = message(SLICE(""), 1 + i / 32, 1 + i % 32);
        trace_of(m, traces[i]);
        trace_of(m, again);
        assert_memory_equal(traces[i], again, TRACE_BYTES);
        assert_int_equal(traces[i][16], 1);
        for (uint64_t j = 0; j < i; j++)
            assert_memory_not_equal(traces[i], traces[j], 16);
        msg_unref(m);
    }
}

static void spans_are_never_zero_and_do_not_repeat(void **state)
{
    uint64_t spans = UINT64_C(0) - UINT64_C(0x9e3779b97f4a7c15), before = 0;      /* the first that comes of it would be 0 */
    (void)state;
    for (int i = 0; i < 1000; i++) {
        uint64_t span = trace_next_span(&spans);
        assert_true(span != 0 && span != before);
        before = span;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_a_traceparent_and_what_is_none),
        cmocka_unit_test(a_trace_goes_with_its_message_through_the_store),
        cmocka_unit_test(without_one_it_is_the_same_each_time_and_another_for_each_event),
        cmocka_unit_test(spans_are_never_zero_and_do_not_repeat),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
