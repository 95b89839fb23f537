/* Messages that end by their own ttl: taken out of the middle of history, no gap, also after a restart. */
#include "hub_rig.h"

#include "hub/channel.h"
#include "hub/history.h"

enum { MSGS = 3000, KEEPERS = 3 };

struct shelf {
    struct config   config;
    struct channels channels;
    struct history  history;
    uint64_t        next;
    struct { int channel; int64_t ends_ms; bool gone; size_t bytes; } msgs[MSGS + 1];
};

static const char *const names[KEEPERS] = { "a", "b", "c" };

static int set_up_shelf(void **state)
{
    struct shelf *shelf = calloc(1, sizeof *shelf);
    shelf->config = (struct config){ .history_size = 400, .history_ttl_ms = 1 << 30, .history_bytes = 1 << 20, .history_max_bytes = 1 << 24 };
    config_general_rule(&shelf->config);
    shelf->next = 1;
    channels_init(&shelf->channels, &shelf->config, 0);
    history_init(&shelf->history, &shelf->config, &shelf->channels);
    *state = shelf;
    return 0;
}

static int tear_down_shelf(void **state)
{
    struct shelf *shelf = *state;
    history_fini(&shelf->history);
    channels_fini(&shelf->channels);
    free(shelf);
    return 0;
}

static struct channel *shelf_channel(struct shelf *shelf, int c)
{
    return channel_get(&shelf->channels, slice_of(names[c]), hash_bytes(slice_of(names[c])));
}

static void put(struct shelf *shelf, int c, int64_t now, int64_t ttl_ms)
{
    struct channel *ch = shelf_channel(shelf, c);
    struct msg *m = msg_new(&(struct msg_parts){ .channel = slice_of(names[c]), .data = SLICE("some bytes"), .ttl_ms = ttl_ms });
    m->seq = shelf->next++;
    m->time_ms = now;
    channel_submit(ch, m);
    ch->last = m->seq;
    shelf->msgs[m->seq].channel = c;
    shelf->msgs[m->seq].bytes = msg_size(m);
    shelf->msgs[m->seq].ends_ms = msg_ends_ms(m);
    history_keep(&shelf->history, ch, m, now);
    msg_unref(m);
}

/* What a flat list would keep: all that have not ended, the newest history_size of them by number given up at the front. */
static void assert_as_a_flat_list(struct shelf *shelf, int64_t now)
{
    size_t all = 0;
    for (int c = 0; c < KEEPERS; c++) {
        struct channel *ch = shelf_channel(shelf, c);
        uint32_t at = 0;
        size_t bytes = 0;
        for (uint64_t seq = 1; seq < shelf->next; seq++) {
            if (shelf->msgs[seq].channel != c || shelf->msgs[seq].ends_ms <= now || seq <= ch->dropped)
                continue;
            assert_true(at < ch->n_kept);
            assert_int_equal(channel_kept(ch, at)->seq, seq);
            assert_true(log_index_has(&shelf->history.index, seq));
            bytes += shelf->msgs[seq].bytes;
            at++;
        }
        assert_int_equal(ch->n_kept, at);
        assert_int_equal(ch->kept_bytes, bytes);
        all += at;
    }
    assert_int_equal(shelf->history.n_kept, all);
    assert_int_equal(shelf->history.index.n_live, all);
}

static void what_ends_is_taken_out_wherever_it_stands(void **state)
{
    struct shelf *shelf = *state;
    int64_t now = 1000;
    srand(11);
    while (shelf->next < MSGS) {
        int c = rand() % 10 < 6 ? 0 : rand() % KEEPERS;
        now += rand() % 100 < 4 ? rand() % 3000 : rand() % 10;
        history_age(&shelf->history, now, now);
        put(shelf, c, now, rand() % 3 == 0 ? 0 : 1 + rand() % (rand() % 8 == 0 ? 100000 : 2000));
        if (shelf->next % 7 == 0)
            assert_as_a_flat_list(shelf, now);
    }
    now += 200000;
    history_age(&shelf->history, now, now);
    assert_as_a_flat_list(shelf, now);
    assert_int_equal(shelf->history.expiry.n_live, 0);
    assert_int_equal(expiry_due_ms(&shelf->history.expiry), INT64_MAX);
}

static void what_ends_is_not_given_up(void **state)
{
    struct shelf *shelf = *state;
    put(shelf, 0, 1000, 0);
    put(shelf, 0, 1000, 500);
    put(shelf, 0, 1000, 0);
    assert_int_equal(history_due_ms(&shelf->history), 1500);
    history_age(&shelf->history, 1499, 0);
    assert_int_equal(shelf_channel(shelf, 0)->n_kept, 3);
    history_age(&shelf->history, 1500, 0);
    assert_int_equal(shelf_channel(shelf, 0)->n_kept, 2);
    assert_int_equal(shelf_channel(shelf, 0)->dropped, 0);
    assert_int_equal(shelf->history.drained, 0);
    put(shelf, 1, 1500, 10);
    history_age(&shelf->history, 1510, 0);
    assert_int_equal(shelf_channel(shelf, 1)->n_kept, 0);
    assert_int_equal(shelf_channel(shelf, 1)->dropped, 0);
    put(shelf, 1, 1000, 10);      /* ended before it was complete */
    assert_int_equal(shelf_channel(shelf, 1)->n_kept, 0);
    assert_int_equal(shelf_channel(shelf, 1)->dropped, 0);
}

static void entries_of_messages_that_history_gave_up_do_not_pile_up(void **state)
{
    struct shelf *shelf = *state;
    shelf->config.history_size = 5;
    config_general_rule(&shelf->config);
    for (int i = 0; i < 2000; i++) {
        put(shelf, 0, 1000, 100000000);
        history_age(&shelf->history, 1000, 0);
    }
    assert_int_equal(shelf->history.expiry.n_live, 5);
    assert_true(shelf->history.expiry.heap.n < 200);
}

/* ---- at the hub ---- */

static struct msg *row(const char *channel, uint64_t seq, uint64_t prev, int64_t time_ms, int64_t ttl_ms)
{
    struct msg *m = msg_new(&(struct msg_parts){ .channel = slice_of(channel), .data = SLICE("1"), .ttl_ms = ttl_ms });
    m->epoch = EPOCH;
    m->seq = seq;
    m->prev = prev;
    m->time_ms = time_ms;
    return m;
}

static void restore(struct rig *rig, struct msg *m)
{
    assert_int_equal(hub_restore(rig->hub, m), 0);
    msg_unref(m);
}

/* Is a position after this number complete for the channel? */
static bool complete_after(struct rig *rig, const char *channel, uint64_t seq, size_t wanted)
{
    struct fetch_channel asked = { .name = slice_of(channel) };
    struct fetch_call fetch = { .channels = &asked, .n_channels = 1, .from = FETCH_AFTER, .after = { EPOCH, seq }, .max_bytes = 1 << 20 };
    fetch.call.letter.kind = CALL_FETCH;
    fetch.call.from = rig->api;
    call_submit(&rig->to_hub, &fetch.call, 0);
    turn(rig);
    size_t n = fetch.n_msgs;
    fetch_answer_fini(&fetch);
    assert_int_equal(n, wanted);
    return fetch.gap == GAP_NONE;
}

static void after_a_restart_what_has_ended_is_neither_there_nor_a_gap(void **state)
{
    struct rig *rig = *state;
    open_hub(rig, true, (struct hub_start){ EPOCH, 100, 100, 0, SLICE("") }, SIZE_MAX);
    restore(rig, row("a", 10, 4, rig->wall_ms - 5000, 0));
    restore(rig, row("a", 20, 10, rig->wall_ms - 5000, 1000));
    restore(rig, row("a", 30, 20, rig->wall_ms - 5000, 0));
    assert_true(complete_after(rig, "a", 10, 1));
    assert_true(complete_after(rig, "a", 4, 2));
    assert_false(complete_after(rig, "a", 3, 2));
}

/* The rows of what has ended may be gone; the next row tells how far back the newest lies that was to stay. */
static void a_row_behind_messages_that_ended_tells_what_was_dropped_before_them(void **state)
{
    struct rig *rig = *state;
    open_hub(rig, true, (struct hub_start){ EPOCH, 100, 100, 0, SLICE("") }, SIZE_MAX);
    struct msg *ended = row("a", 30, 20, rig->wall_ms - 5000, 0), *runs = row("b", 31, 20, rig->wall_ms - 5000, 0);
    ended->passing = runs->passing = 8;      /* 12 was meant to stay */
    ended->passed_s = 5;
    runs->passed_s = 6;
    restore(rig, ended);
    restore(rig, runs);
    assert_true(complete_after(rig, "a", 12, 1));
    assert_false(complete_after(rig, "a", 11, 1));
    assert_false(complete_after(rig, "b", 19, 1));      /* one of them may have been dropped before its time */
    assert_true(complete_after(rig, "b", 20, 1));
}

static void numbers_that_follow_passing_ones_know_how_far_back_the_last_firm_one_is(void **state)
{
    struct shelf *shelf = *state;
    struct channel *ch = shelf_channel(shelf, 0);
    static const struct { int64_t ttl_ms; uint64_t prev; uint32_t passing, passed_s; } steps[] = {
        { 0, 0, 0, 0 }, { 3000, 1, 0, 0 }, { 500, 2, 1, 3 }, { 0, 3, 2, 3 }, { 0, 4, 0, 0 }, { 1, 5, 0, 0 }, { INT64_MAX, 6, 1, 1 }, { 1, 7, 0, 0 },
    };
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        struct msg *m = row("a", i + 1, 0, 1000, steps[i].ttl_ms);
        channel_follow(ch, m);
        channel_submit(ch, m);
        assert_int_equal(m->prev, steps[i].prev);
        assert_int_equal(m->passing, steps[i].passing);
        assert_int_equal(m->passed_s, steps[i].passed_s);
        msg_unref(m);
    }
}

#define ON_SHELF(test) cmocka_unit_test_setup_teardown(test, set_up_shelf, tear_down_shelf)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_SHELF(what_ends_is_taken_out_wherever_it_stands),
        ON_SHELF(what_ends_is_not_given_up),
        ON_SHELF(entries_of_messages_that_history_gave_up_do_not_pile_up),
        ON_SHELF(numbers_that_follow_passing_ones_know_how_far_back_the_last_firm_one_is),
        ON_RIG(after_a_restart_what_has_ended_is_neither_there_nor_a_gap),
        ON_RIG(a_row_behind_messages_that_ended_tells_what_was_dropped_before_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
