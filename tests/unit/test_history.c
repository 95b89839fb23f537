#include "hub/base/hash.h"
#include "hub/config/config.h"
#include "hub/history.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

/* A history of its own, with limits that the test sets, and numbers that count up over all channels. */
struct rig {
    struct config   config;
    struct channels channels;
    struct history  history;
    uint64_t        next;
};

static int set_up(void **state)
{
    struct rig *rig = calloc(1, sizeof *rig);
    rig->config = (struct config){ .history_size = 1000, .history_ttl_ms = 60000, .history_bytes = 1 << 20, .history_max_bytes = 1 << 24 };
    config_general_rule(&rig->config);
    rig->next = 1;
    channels_init(&rig->channels, &rig->config, 0);
    history_init(&rig->history, &rig->config, &rig->channels);
    *state = rig;
    return 0;
}

static int tear_down(void **state)
{
    struct rig *rig = *state;
    history_fini(&rig->history);
    channels_fini(&rig->channels);
    free(rig);
    return 0;
}

static struct channel *channel(struct rig *rig, const char *name)
{
    return channel_get(&rig->channels, slice_of(name), hash_bytes(slice_of(name)));
}

static size_t cost(const char *name, size_t len)
{
    return sizeof(struct msg) + strlen(name) + len;
}

static struct channel *keep(struct rig *rig, const char *name, size_t len, int64_t time_ms)
{
    char *data = calloc(1, len + 1);
    struct channel *ch = channel(rig, name);
    struct msg *m = msg_new(&(struct msg_parts){ .channel = slice_of(name), .kind = MSG_TEXT, .data = slice(data, len) });
    m->seq = rig->next++;
    m->time_ms = time_ms;
    ch->last = ch->submitted = m->seq;
    history_keep(&rig->history, ch, m, time_ms);
    msg_unref(m);
    free(data);
    return ch;
}

static void assert_kept(const struct channel *ch, uint64_t first, uint64_t last, uint64_t dropped)
{
    assert_int_equal(ch->n_kept, last - first + 1);
    assert_int_equal(channel_kept(ch, 0)->seq, first);
    assert_int_equal(channel_kept(ch, ch->n_kept - 1)->seq, last);
    assert_int_equal(ch->dropped, dropped);
}

static void a_channel_keeps_its_newest_messages_up_to_history_size(void **state)
{
    struct rig *rig = *state;
    rig->config.history_size = 3;
    config_general_rule(&rig->config);
    struct channel *ch = NULL;
    for (int i = 0; i < 3; i++)
        ch = keep(rig, "a", 1, 0);
    assert_kept(ch, 1, 3, 0);
    for (int i = 0; i < 20; i++)
        ch = keep(rig, "a", 1, 0);
    assert_kept(ch, 21, 23, 20);
    assert_int_equal(rig->history.n_kept, 3);
}

static void dropped_is_a_number_of_the_channel_itself(void **state)
{
    struct rig *rig = *state;
    rig->config.history_size = 1;
    config_general_rule(&rig->config);
    keep(rig, "a", 1, 0);
    for (int i = 0; i < 5; i++)
        keep(rig, "b", 1, 0);
    struct channel *a = keep(rig, "a", 1, 0);
    assert_kept(a, 7, 7, 1);
    assert_kept(channel(rig, "b"), 6, 6, 5);
}

static void a_channel_keeps_at_most_history_bytes(void **state)
{
    struct rig *rig = *state;
    rig->config.history_bytes = 3 * cost("a", 100);
    config_general_rule(&rig->config);
    struct channel *ch = NULL;
    for (int i = 0; i < 3; i++)
        ch = keep(rig, "a", 100, 0);
    assert_kept(ch, 1, 3, 0);
    ch = keep(rig, "a", 101, 0);
    assert_kept(ch, 3, 4, 2);
    assert_int_equal(ch->kept_bytes, cost("a", 100) + cost("a", 101));
}

static void the_newest_message_is_kept_even_if_it_alone_is_over_history_bytes(void **state)
{
    struct rig *rig = *state;
    rig->config.history_bytes = 10;
    config_general_rule(&rig->config);
    keep(rig, "a", 100, 0);
    struct channel *ch = keep(rig, "a", 200, 0);
    assert_kept(ch, 2, 2, 1);
}

static void over_the_total_the_oldest_numbers_of_all_channels_go_first(void **state)
{
    struct rig *rig = *state;
    rig->config.history_max_bytes = 4 * cost("a", 10);
    config_general_rule(&rig->config);
    keep(rig, "a", 10, 0);
    keep(rig, "b", 10, 0);
    keep(rig, "a", 10, 0);
    keep(rig, "b", 10, 0);
    keep(rig, "b", 10, 0);
    assert_kept(channel(rig, "a"), 3, 3, 1);
    assert_int_equal(channel(rig, "b")->n_kept, 3);
    keep(rig, "b", 10, 0);
    assert_int_equal(channel(rig, "b")->n_kept, 3);
    assert_int_equal(channel(rig, "b")->dropped, 2);
    keep(rig, "b", 10, 0);
    assert_int_equal(channel(rig, "a")->n_kept, 0);
    assert_int_equal(channel(rig, "a")->dropped, 3);
    assert_int_equal(rig->history.drained, 3);
    assert_int_equal(history_oldest(&rig->history), 4);
}

static void a_message_that_alone_is_over_the_total_is_given_up_at_once(void **state)
{
    struct rig *rig = *state;
    rig->config.history_max_bytes = 100;
    config_general_rule(&rig->config);
    struct channel *ch = keep(rig, "a", 1000, 0);
    assert_int_equal(ch->n_kept, 0);
    assert_int_equal(ch->dropped, 1);
    assert_int_equal(rig->history.bytes, 0);
}

static void messages_older_than_history_ttl_go(void **state)
{
    struct rig *rig = *state;
    keep(rig, "a", 1, 1000);
    keep(rig, "b", 1, 2000);
    keep(rig, "a", 1, 3000);
    assert_int_equal(history_due_ms(&rig->history), 61000);
    history_age(&rig->history, 60999, 0);
    assert_int_equal(rig->history.n_kept, 3);
    history_age(&rig->history, 61000, 0);
    assert_kept(channel(rig, "a"), 3, 3, 1);
    assert_int_equal(channel(rig, "b")->n_kept, 1);
    history_age(&rig->history, 1000000, 0);
    assert_int_equal(rig->history.n_kept, 0);
    assert_int_equal(channel(rig, "a")->dropped, 3);
    assert_int_equal(channel(rig, "b")->dropped, 2);
    assert_int_equal(history_due_ms(&rig->history), INT64_MAX);
    assert_int_equal(history_oldest(&rig->history), UINT64_MAX);
}

static void a_shorter_ttl_ages_what_is_kept_already(void **state)
{
    struct rig *rig = *state;
    for (int i = 0; i < 20; i++)
        keep(rig, (const char *[]){ "a", "b", "c" }[i % 3], 1, 1000 * i);
    struct config shorter = rig->config;
    shorter.history_ttl_ms = 5000;
    config_general_rule(&shorter);
    history_reconfigure(&rig->history, &shorter, 0);
    assert_int_equal(history_due_ms(&rig->history), 5000);
    history_age(&rig->history, 20000, 0);
    assert_int_equal(rig->history.n_kept, 4);
    assert_int_equal(history_oldest(&rig->history), 17);
    history_reconfigure(&rig->history, &rig->config, 0);
    assert_int_equal(history_due_ms(&rig->history), 76000);
}

static void without_history_every_message_is_given_up_at_once(void **state)
{
    struct rig *rig = *state;
    for (int off = 0; off < 3; off++) {
        rig->config.history_size = off == 0 ? 0 : 100;
        rig->config.history_ttl_ms = off == 1 ? 0 : 60000;
        rig->config.history_bytes = off == 2 ? 0 : 1 << 20;
        config_general_rule(&rig->config);
        assert_false(rule_keeps(&rig->config.general_rule));
        uint64_t seq = rig->next;
        struct channel *ch = keep(rig, "a", 1, 0);
        assert_int_equal(ch->n_kept, 0);
        assert_int_equal(ch->dropped, seq);
        assert_int_equal(rig->history.n_kept, 0);
    }
}

static void a_channel_is_forgotten_one_ttl_after_its_last_message_went_and_raises_the_floor(void **state)
{
    struct rig *rig = *state;
    keep(rig, "a", 1, 0);
    keep(rig, "b", 1, 0);
    keep(rig, "c", 1, 50000);
    history_age(&rig->history, 60000, 1000);
    assert_int_equal(channels_due_ms(&rig->channels), 61000);
    channels_forget_quiet(&rig->channels, 60999);
    assert_int_equal(rig->channels.count, 3);
    assert_int_equal(rig->channels.floor, 0);
    channels_forget_quiet(&rig->channels, 61000);
    assert_int_equal(rig->channels.count, 1);
    assert_int_equal(rig->channels.floor, 2);
    assert_int_equal(channel(rig, "a")->dropped, 2);     /* reborn: nothing is known of what it had before */
}

static void a_channel_that_gets_a_message_in_time_is_not_forgotten(void **state)
{
    struct rig *rig = *state;
    keep(rig, "a", 1, 0);
    history_age(&rig->history, 60000, 0);
    keep(rig, "a", 1, 60000);
    channel_settle(&rig->channels, channel(rig, "a"), 0);
    channels_forget_quiet(&rig->channels, 10000000);
    assert_int_equal(rig->channels.count, 1);
    assert_kept(channel(rig, "a"), 2, 2, 1);
}

/* The reference: a flat list of all that was ever kept; whatever the rules say goes is marked as gone. */
enum { MODEL_CHANNELS = 5, MODEL_MSGS = 3000 };

struct reference {
    struct { uint8_t channel; bool gone; size_t bytes; int64_t time_ms; } msgs[MODEL_MSGS + 1];    /* by number */
    uint64_t n;
};

static uint64_t reference_count(const struct reference *ref, int channel_or_all, size_t *ret_bytes, uint64_t *ret_oldest)
{
    uint64_t n = 0;
    *ret_bytes = 0;
    *ret_oldest = 0;
    for (uint64_t i = ref->n; i > 0; i--)
        if (!ref->msgs[i].gone && (channel_or_all < 0 || ref->msgs[i].channel == channel_or_all)) {
            n++;
            *ret_bytes += ref->msgs[i].bytes;
            *ret_oldest = i;
        }
    return n;
}

static void reference_limits(struct reference *ref, const struct config *config, int ch)
{
    size_t bytes;
    uint64_t oldest, n;
    while ((n = reference_count(ref, ch, &bytes, &oldest)) > 1 && (n > config->history_size || bytes > config->history_bytes))
        ref->msgs[oldest].gone = true;
    while (reference_count(ref, -1, &bytes, &oldest) > 0 && bytes > config->history_max_bytes)
        ref->msgs[oldest].gone = true;
}

static void assert_as_reference(struct rig *rig, const struct reference *ref, const char *const *names)
{
    size_t bytes;
    uint64_t oldest;
    for (int c = 0; c < MODEL_CHANNELS; c++) {
        struct channel *ch = channel_find(&rig->channels, slice_of(names[c]), hash_bytes(slice_of(names[c])));
        uint64_t n = reference_count(ref, c, &bytes, &oldest), dropped = 0, at = 0;
        if (!ch)
            continue;
        assert_int_equal(ch->n_kept, n);
        assert_int_equal(ch->kept_bytes, bytes);
        for (uint64_t i = 1; i <= ref->n; i++)
            if (ref->msgs[i].channel == c && ref->msgs[i].gone)
                dropped = i;
            else if (ref->msgs[i].channel == c)
                assert_int_equal(channel_kept(ch, (uint32_t)at++)->seq, i);
        assert_int_equal(ch->dropped, dropped);
        assert_int_equal(channel_first_after(ch, dropped), 0);
    }
    uint64_t n = reference_count(ref, -1, &bytes, &oldest);
    assert_int_equal(rig->history.n_kept, n);
    assert_int_equal(rig->history.bytes, bytes);
    assert_int_equal(history_oldest(&rig->history), n ? oldest : UINT64_MAX);
}

static void under_random_messages_and_ages_it_keeps_what_a_flat_list_would(void **state)
{
    struct rig *rig = *state;
    static const char *const names[MODEL_CHANNELS] = { "a", "b", "c", "d", "e" };
    struct reference *ref = calloc(1, sizeof *ref);
    int64_t now = 0;
    srand(7);
    rig->config = (struct config){ .history_size = 40, .history_ttl_ms = 3000, .history_bytes = 6000, .history_max_bytes = 20000 };
    config_general_rule(&rig->config);
    history_reconfigure(&rig->history, &rig->config, 0);
    while (ref->n < MODEL_MSGS) {
        now += rand() % 100 < 3 ? rand() % 2000 : rand() % 20;
        int c = rand() % 10 < 6 ? 0 : rand() % MODEL_CHANNELS;
        size_t len = (size_t)(rand() % 50 == 0 ? 7000 : rand() % 400);
        for (uint64_t i = 1; i <= ref->n; i++)
            if (ref->msgs[i].time_ms + rig->config.history_ttl_ms <= now)
                ref->msgs[i].gone = true;
        history_age(&rig->history, now, now);
        ref->n++;
        ref->msgs[ref->n].channel = (uint8_t)c;
        ref->msgs[ref->n].bytes = cost(names[c], len);
        ref->msgs[ref->n].time_ms = now;
        keep(rig, names[c], len, now);
        reference_limits(ref, &rig->config, c);
        assert_as_reference(rig, ref, names);
    }
    free(ref);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_channel_keeps_its_newest_messages_up_to_history_size),
        TEST(dropped_is_a_number_of_the_channel_itself),
        TEST(a_channel_keeps_at_most_history_bytes),
        TEST(the_newest_message_is_kept_even_if_it_alone_is_over_history_bytes),
        TEST(over_the_total_the_oldest_numbers_of_all_channels_go_first),
        TEST(a_message_that_alone_is_over_the_total_is_given_up_at_once),
        TEST(messages_older_than_history_ttl_go),
        TEST(a_shorter_ttl_ages_what_is_kept_already),
        TEST(without_history_every_message_is_given_up_at_once),
        TEST(a_channel_is_forgotten_one_ttl_after_its_last_message_went_and_raises_the_floor),
        TEST(a_channel_that_gets_a_message_in_time_is_not_forgotten),
        TEST(under_random_messages_and_ages_it_keeps_what_a_flat_list_would),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
