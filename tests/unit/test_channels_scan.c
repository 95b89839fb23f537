/* Going through all channels in pieces while others come and go, and the hub's answer to who matches a pattern. */
#include "hub_rig.h"

#include "hub/channel.h"

enum { MANY = 5000 };

static void name_of(unsigned n, char out[16]) { snprintf(out, 16, "c.%u", n); }

static void add(struct channels *channels, unsigned from, unsigned to)
{
    for (char name[16]; from < to; from++) {
        name_of(from, name);
        assert_non_null(channel_get(channels, slice_of(name), hash_bytes(slice_of(name))));
    }
}

struct census {
    uint8_t met[4 * MANY];      /* how often each was */
    size_t  most, now;          /* in one piece */
};

static void count(void *arg, struct channel *ch)
{
    struct census *census = arg;
    census->met[atoi(ch->name + 2)]++;
    if (++census->now > census->most)
        census->most = census->now;
}

static uint64_t scan(const struct channels *channels, uint64_t cursor, struct census *census)
{
    census->now = 0;
    return channels_scan(channels, cursor, count, census);
}

static void a_scan_meets_everybody_once_in_small_pieces(void **state)
{
    struct channels channels;
    struct census census = { 0 };
    uint64_t cursor = 0;
    (void)state;
    channels_init(&channels, config_defaults(), 0);
    assert_int_equal(channels_scan(&channels, 0, count, &census), 0);
    add(&channels, 0, MANY);
    do
        cursor = scan(&channels, cursor, &census);
    while (cursor);
    for (unsigned n = 0; n < MANY; n++)
        assert_int_equal(census.met[n], 1);
    assert_true(census.most < 100);
    channels_fini(&channels);
}

/* The table doubles several times in the middle of it; some leave. */
static void who_is_there_all_the_time_is_met_once_while_others_come_and_go(void **state)
{
    (void)state;
    for (unsigned begin = 10; begin <= MANY; begin = begin * 3 + 7) {
        struct channels channels;
        struct census census = { 0 };
        uint64_t cursor = 0;
        unsigned added = begin, left = begin / 2;      /* the lower half stays */
        channels_init(&channels, config_defaults(), 0);
        add(&channels, 0, begin);
        do {
            cursor = scan(&channels, cursor, &census);
            unsigned more = added < 3 * begin ? 1 + begin / 20 : 0;
            add(&channels, added, added + more);
            added += more;
            if (left < begin) {
                char name[16];
                name_of(left++, name);
                struct channel *ch = channel_find(&channels, slice_of(name), hash_bytes(slice_of(name)));
                channel_settle(&channels, ch, 0);
                channels_forget_quiet(&channels, INT64_MAX / 2);
            }
        } while (cursor);
        for (unsigned n = 0; n < added; n++)
            assert_in_range(census.met[n], n < begin / 2, 1);
        channels_fini(&channels);
    }
}

static uint64_t ask(struct rig *rig, struct match_call *call, const char *pattern, size_t limit, uint64_t cursor)
{
    *call = (struct match_call){ .pattern = slice_of(pattern), .limit = limit, .cursor = cursor };
    submit(rig, &call->call, CALL_MATCH);
    turn(rig);
    assert_int_equal(call->call.err, 0);
    return call->cursor;
}

/* Each name into the census; how many there were. */
static size_t take_names(struct match_call *call, struct census *census)
{
    size_t n = 0;
    for (size_t at = 0; at < call->names.len; n++) {
        size_t len = (uint8_t)call->names.at[at];
        char name[201] = "";
        memcpy(name, call->names.at + at + 1, len);
        census->met[atoi(name + 2)]++;
        at += 1 + len;
    }
    buf_fini(&call->names);
    return n;
}

static void what_matches_a_pattern_is_found_in_pieces_that_look_at_a_bounded_number_of_channels(void **state)
{
    struct rig *rig = *state;
    struct match_call call;
    struct census census = { 0 };
    size_t pieces = 0;
    rig->config.history_max_bytes = 1 << 30;
    open_plain(rig);
    for (unsigned n = 0; n < 4 * MANY; n++) {
        char name[16];
        name_of(n, name);
        publish_one(rig, n % 4 ? name : "other", "x");
    }
    for (uint64_t cursor = 0; !pieces++ || cursor;) {
        cursor = ask(rig, &call, "c.*", SIZE_MAX, cursor);
        assert_true(take_names(&call, &census) < MATCH_LOOKS + 100);
    }
    for (unsigned n = 0; n < 4 * MANY; n++)
        assert_int_equal(census.met[n], n % 4 > 0);
    assert_true(pieces > 3);
    uint64_t cursor = ask(rig, &call, "c.*", 10, 0);
    assert_true(cursor && take_names(&call, &census) < 100);
    assert_int_equal(ask(rig, &call, "c.7", 10, 0) != 0, true);      /* the piece has no room for all, whatever matches */
    buf_fini(&call.names);
}

static void a_channel_with_a_message_under_way_is_found_and_one_that_has_nothing_left_is_not(void **state)
{
    struct rig *rig = *state;
    struct match_call call;
    struct publish_call first;
    open_hub(rig, true, (struct hub_start){ EPOCH, 1, 100, 0, SLICE("") }, SIZE_MAX);
    publish(rig, &first, "a", "x");
    turn(rig);
    assert_int_equal(first.call.err, UNANSWERED);
    ask(rig, &call, "*", 10, 0);
    assert_true(slice_is(buf_slice(&call.names), SLICE("\1a")));
    buf_fini(&call.names);
    store_answers(rig, ERR_STORE_FAILED);
    assert_int_equal(first.call.err, ERR_STORE_FAILED);
    ask(rig, &call, "*", 10, 0);
    assert_int_equal(call.names.len, 0);
    msg_unref(first.msg);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_scan_meets_everybody_once_in_small_pieces),
        cmocka_unit_test(who_is_there_all_the_time_is_met_once_while_others_come_and_go),
        ON_RIG(what_matches_a_pattern_is_found_in_pieces_that_look_at_a_bounded_number_of_channels),
        ON_RIG(a_channel_with_a_message_under_way_is_found_and_one_that_has_nothing_left_is_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
