#include "hub/base/hash.h"
#include "hub/config/config.h"
#include "hub/log_index.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

enum { CHANNELS = 4, MESSAGES = 5000 };

struct rig {
    struct channels  channels;
    struct channel  *ch[CHANNELS];
    struct log_index index;
};

static int set_up(void **state)
{
    static const char *const names[CHANNELS] = { "a", "b", "c", "d" };
    struct rig *rig = calloc(1, sizeof *rig);
    channels_init(&rig->channels, config_defaults(), 0);
    for (int i = 0; i < CHANNELS; i++)
        rig->ch[i] = channel_get(&rig->channels, slice_of(names[i]), hash_bytes(slice_of(names[i])));
    *state = rig;
    return 0;
}

static int tear_down(void **state)
{
    struct rig *rig = *state;
    log_index_fini(&rig->index);
    channels_fini(&rig->channels);
    free(rig);
    return 0;
}

static void add(struct rig *rig, int channel, uint64_t seq, int64_t time_ms)
{
    assert_true(log_index_room(&rig->index));
    log_index_add(&rig->index, rig->ch[channel], seq, time_ms);
}

static void give_up(struct rig *rig, int channel, uint64_t seq)
{
    rig->ch[channel]->dropped = seq;
    log_index_gave_up(&rig->index);
}

static void it_finds_by_number_and_by_time(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(log_index_after(&rig->index, 0), 0);
    assert_int_equal(log_index_from(&rig->index, 0), 0);
    assert_null(log_index_oldest(&rig->index));
    add(rig, 0, 10, 100);
    add(rig, 1, 12, 100);
    add(rig, 0, 13, 200);
    assert_int_equal(log_index_after(&rig->index, 9), 0);
    assert_int_equal(log_index_after(&rig->index, 10), 1);
    assert_int_equal(log_index_after(&rig->index, 11), 1);
    assert_int_equal(log_index_after(&rig->index, UINT64_MAX), 3);
    assert_int_equal(log_index_from(&rig->index, 0), 0);
    assert_int_equal(log_index_from(&rig->index, 100), 0);
    assert_int_equal(log_index_from(&rig->index, 101), 2);
    assert_int_equal(log_index_from(&rig->index, 201), 3);
}

static void the_oldest_live_entry_is_found_behind_dead_ones(void **state)
{
    struct rig *rig = *state;
    add(rig, 0, 1, 0);
    add(rig, 1, 2, 0);
    add(rig, 0, 3, 0);
    give_up(rig, 1, 2);
    assert_int_equal(log_index_oldest(&rig->index)->seq, 1);
    assert_int_equal(rig->ch[1]->in_log_index, 1);
    give_up(rig, 0, 1);
    assert_int_equal(log_index_oldest(&rig->index)->seq, 3);
    assert_int_equal(rig->ch[1]->in_log_index, 0);
    assert_int_equal(rig->ch[0]->in_log_index, 1);
}

static void the_dead_are_swept_when_they_are_the_most_and_the_order_stays(void **state)
{
    struct rig *rig = *state;
    add(rig, 0, 1, 0);      /* stays at the front: nothing can be taken off there */
    for (uint64_t seq = 2; seq <= 1000; seq++) {
        add(rig, 1, seq, (int64_t)seq);
        if (seq > 2)
            give_up(rig, 1, seq - 1);
        assert_true(rig->index.n <= 2 * rig->index.n_live + 128);
    }
    assert_int_equal(rig->index.n_live, 2);
    assert_int_equal(rig->index.cap, 128);
    log_index_tidy(&rig->index);
    assert_int_equal(log_index_at(&rig->index, 0)->seq, 1);
    assert_int_equal(log_index_at(&rig->index, rig->index.n - 1)->seq, 1000);
    assert_int_equal(rig->ch[1]->in_log_index, rig->index.n - 1);
}

/* The reference: every message ever, and by channel what was dropped. */
struct reference { uint8_t channel[MESSAGES + 1]; int64_t time_ms[MESSAGES + 1]; };

static bool is_live(const struct rig *rig, const struct reference *ref, uint64_t seq)
{
    return seq > rig->ch[ref->channel[seq]]->dropped;
}

static void assert_walk(const struct rig *rig, const struct reference *ref, uint64_t after, uint64_t last)
{
    uint64_t seq = after;
    for (size_t at = log_index_after(&rig->index, after); at < rig->index.n; at++) {
        const struct log_entry *entry = log_index_at(&rig->index, at);
        if (!log_entry_is_live(entry))
            continue;
        while (++seq < entry->seq)
            assert_false(is_live(rig, ref, seq));
        assert_ptr_equal(entry->channel, rig->ch[ref->channel[seq]]);
        assert_int_equal(entry->time_ms, ref->time_ms[seq]);
    }
    while (++seq <= last)
        assert_false(is_live(rig, ref, seq));
}

static void assert_times(const struct rig *rig, int64_t time_ms)
{
    size_t at = log_index_from(&rig->index, time_ms);
    assert_true(at == 0 || log_index_at(&rig->index, at - 1)->time_ms < time_ms);
    assert_true(at == rig->index.n || log_index_at(&rig->index, at)->time_ms >= time_ms);
}

/* Channels drop their oldest, whichever, as different rules would have them do. */
static void drop_some(struct rig *rig, const struct reference *ref, uint64_t last)
{
    int channel = rand() % CHANNELS;
    uint64_t seq = rig->ch[channel]->dropped;
    for (int n = rand() % 6; n > 0; n--) {
        while (++seq <= last && ref->channel[seq] != channel)
            ;
        if (seq > last)
            return;
        give_up(rig, channel, seq);
    }
}

static void a_walk_meets_every_live_message_once_in_order(void **state)
{
    struct rig *rig = *state;
    struct reference *ref = calloc(1, sizeof *ref);
    int64_t now = 0;
    srand(11);
    for (uint64_t seq = 1; seq <= MESSAGES; seq++) {
        now += rand() % 3;
        ref->channel[seq] = (uint8_t)(rand() % 8 < 5 ? 0 : rand() % CHANNELS);
        ref->time_ms[seq] = now;
        add(rig, ref->channel[seq], seq, now);
        drop_some(rig, ref, seq);
        if (seq % 50 > 0)
            continue;
        log_index_oldest(&rig->index);
        assert_walk(rig, ref, (uint64_t)rand() % seq, seq);
        assert_walk(rig, ref, 0, seq);
        assert_times(rig, rand() % (now + 2));
    }
    free(ref);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(it_finds_by_number_and_by_time),
        TEST(the_oldest_live_entry_is_found_behind_dead_ones),
        TEST(the_dead_are_swept_when_they_are_the_most_and_the_order_stays),
        TEST(a_walk_meets_every_live_message_once_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
