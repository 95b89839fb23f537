/* What channels of a pattern have given up: as a look at all of them says, and with how few. */
#include "hub/base/hash.h"
#include "hub/base/name.h"
#include "hub/base/trie.h"
#include "hub/call.h"
#include "hub/config/config.h"
#include "hub/history.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

enum { MANY = 2000, ASKED = 3 };

/* Channels that give up what the test says, by numbers that count up over all of them. */
struct rig {
    struct config       config;
    struct channel_rule off;        /* of channels below `off.`: no history */
    struct channels     channels;
    struct history      history;
    uint64_t            next;
};

static int set_up(void **state)
{
    struct rig *rig = calloc(1, sizeof *rig);
    rig->off = (struct channel_rule){ .pattern = "off.**" };
    rig->config = (struct config){ .rules = &rig->off, .rule_count = 1, .history_size = 1, .history_ttl_ms = 60000, .history_bytes = 1 << 20, .history_max_bytes = 1 << 30 };
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

static uint64_t give_up_at(struct rig *rig, const char *name, uint64_t number)
{
    struct channel *ch = channel_get(&rig->channels, slice_of(name), hash_bytes(slice_of(name)));
    assert_non_null(ch);
    history_give_up(&rig->history, ch, number, 0);
    return number;
}

static uint64_t give_up(struct rig *rig, const char *name) { return give_up_at(rig, name, rig->next++); }

static void give_up_many(struct rig *rig)
{
    char name[16];
    for (unsigned i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "c.%u", i);
        give_up(rig, name);
    }
}

/* `names` ends with NULL; how many channels were looked at. */
static uint64_t ask(struct rig *rig, const char *const *names, uint64_t after, struct fetch_channel *asked)
{
    struct trie wanted = { 0 };
    uint64_t before = rig->history.gave_up.looked;
    size_t n = 0;
    for (; names[n]; n++) {
        asked[n] = (struct fetch_channel){ .name = slice_of(names[n]), .dropped = rig->channels.floor };
        assert_int_equal(trie_add(&wanted, asked[n].name, &asked[n]), 0);
    }
    gave_up_find(&rig->history.gave_up, &wanted, asked, n, after);
    trie_fini(&wanted);
    return rig->history.gave_up.looked - before;
}

#define NAMES(...) ((const char *const[]){ __VA_ARGS__, NULL })

static void the_pieces_of_a_resume_look_at_all_channels_once(void **state)
{
    struct rig *rig = *state;
    struct fetch_channel asked[ASKED];
    uint64_t low = give_up(rig, "n.x");
    give_up_many(rig);
    assert_int_equal(ask(rig, NAMES("n.*"), 0, asked), MANY + 1);
    assert_int_equal(asked[0].dropped, low);
    for (uint64_t after = 1; after < MANY; after += 100)
        assert_int_equal(ask(rig, NAMES("n.*"), after, asked), 0);
    uint64_t high = give_up(rig, "n.y");
    give_up(rig, "c.1");
    assert_int_equal(ask(rig, NAMES("n.*"), 1, asked), 2);      /* those who did since */
    assert_int_equal(asked[0].dropped, high);
    assert_int_equal(ask(rig, NAMES("n.*"), 1, asked), 0);
    assert_int_equal(asked[0].dropped, high);
}

static void a_position_of_a_moment_ago_looks_at_few_and_spoils_nothing_for_older_ones(void **state)
{
    struct rig *rig = *state;
    struct fetch_channel asked[ASKED];
    give_up_many(rig);
    uint64_t now = rig->next - 1;
    assert_int_equal(ask(rig, NAMES("n.*"), now, asked), 0);
    assert_int_equal(ask(rig, NAMES("n.*"), now - 10, asked), MANY);      /* from further back than before: all, once */
    assert_int_equal(ask(rig, NAMES("n.*"), 5, asked), 0);
    give_up_many(rig);
    assert_int_equal(ask(rig, NAMES("n.*"), rig->next - 4, asked), 3);
    assert_int_equal(ask(rig, NAMES("n.*"), 5, asked), MANY);      /* those who did since */
    assert_int_equal(ask(rig, NAMES("n.*"), 5, asked), 0);
}

static void who_wants_what_the_newest_have_given_up_looks_no_further(void **state)
{
    struct rig *rig = *state;
    struct fetch_channel asked[ASKED];
    give_up_many(rig);
    assert_int_equal(ask(rig, NAMES("c.*"), 0, asked), 2);      /* the second says that it is enough */
    assert_int_equal(asked[0].dropped, rig->next - 1);
}

static void only_so_many_patterns_are_remembered_and_those_that_were_asked_for_lately(void **state)
{
    struct rig *rig = *state;
    struct fetch_channel asked[ASKED];
    char name[16];
    give_up_many(rig);
    for (unsigned i = 0; i < GAVE_UP_PATTERNS; i++) {
        snprintf(name, sizeof name, "p%u.*", i);
        assert_int_equal(ask(rig, NAMES(name), 0, asked), MANY);
    }
    assert_int_equal(ask(rig, NAMES("p0.*"), 0, asked), 0);
    assert_int_equal(ask(rig, NAMES("new.*"), 0, asked), MANY);
    assert_int_equal(rig->history.gave_up.n_findings, GAVE_UP_PATTERNS);
    assert_int_equal(ask(rig, NAMES("p0.*"), 0, asked), 0);
    assert_int_equal(ask(rig, NAMES("p1.*"), 0, asked), MANY);
}

static void with_other_rules_it_is_found_out_anew(void **state)
{
    struct rig *rig = *state;
    struct fetch_channel asked[ASKED];
    uint64_t kept = give_up(rig, "off.a.b");
    assert_int_equal(ask(rig, NAMES("off.*.*"), 0, asked), 0);
    assert_int_equal(asked[0].dropped, 0);
    struct config keeping = rig->config;
    keeping.rule_count = 0;
    history_reconfigure(&rig->history, &keeping, 0);
    ask(rig, NAMES("off.*.*"), 0, asked);
    assert_int_equal(asked[0].dropped, kept);
    history_reconfigure(&rig->history, &rig->config, 0);
    ask(rig, NAMES("off.*.*"), 0, asked);
    assert_int_equal(asked[0].dropped, 0);
}

/* ---- beside a look at all of them ---- */

static uint64_t chance = 88172645463325252u;
static unsigned draw(unsigned below)
{
    chance ^= chance << 13;
    chance ^= chance >> 7;
    chance ^= chance << 17;
    return (unsigned)(chance % below);
}

static uint64_t highest(const struct rig *rig, const char *pattern)
{
    uint64_t dropped = rig->channels.floor;
    for (const struct channel *ch = rig->channels.table; ch; ch = ch->hh.next)
        if (rule_keeps(ch->rule) && pattern_matches(slice_of(pattern), channel_name(ch)) && ch->dropped > dropped)
            dropped = ch->dropped;
    return dropped;
}

/* What is at or below the position makes no difference. */
static void compare(struct rig *rig, const char *const *names, uint64_t after)
{
    struct fetch_channel asked[ASKED];
    ask(rig, names, after, asked);
    for (size_t i = 0; names[i]; i++) {
        uint64_t expected = highest(rig, names[i]);
        if (asked[i].dropped > expected || (expected > after && asked[i].dropped != expected))
            fail_msg("%s after %llu: %llu instead of %llu", names[i], (unsigned long long)after, (unsigned long long)asked[i].dropped, (unsigned long long)expected);
    }
}

static void give_up_one_of_many(struct rig *rig)
{
    static const char *const firsts[] = { "a", "b", "off" };
    char name[24];
    snprintf(name, sizeof name, "%s.%u.%u", firsts[draw(3)], draw(4), draw(3));
    if (draw(4) > 0 || rig->next < 20) {
        give_up(rig, name);
        return;
    }
    const struct channel *ch = channel_find(&rig->channels, slice_of(name), hash_bytes(slice_of(name)));
    uint64_t at = rig->next - 1 - draw(15);      /* an old message that has aged: less than others have given up */
    if (!ch || ch->dropped < at)
        give_up_at(rig, name, at);
}

static void forget_some(struct rig *rig, int64_t *now_ms)
{
    *now_ms += 60001;
    channels_forget_quiet(&rig->channels, *now_ms);
}

static void whatever_is_asked_in_whatever_order_it_is_what_a_look_at_all_says(void **state)
{
    static const char *const patterns[] = { "a.*.*", "b.**", "*.1.*", "**", "a.2.*", "off.**", "*.*.2", "none.*" };
    struct rig *rig = *state;
    int64_t now_ms = 0;
    for (unsigned step = 0; step < 20000; step++) {
        unsigned what = draw(100), first = draw(8);
        uint64_t after = draw(3) ? rig->next - 1 - draw(rig->next < 30 ? 1 : 25) : draw((unsigned)rig->next);
        if (what < 50)
            give_up_one_of_many(rig);
        else if (what < 80)
            compare(rig, NAMES(patterns[first]), after);
        else if (what < 99)
            compare(rig, NAMES(patterns[first], patterns[(first + 1 + draw(3)) % 8], patterns[(first + 5) % 8]), after);
        else if (draw(10) == 0)
            forget_some(rig, &now_ms);
    }
}

int main(void)
{
#define ON_RIG(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        ON_RIG(the_pieces_of_a_resume_look_at_all_channels_once),
        ON_RIG(a_position_of_a_moment_ago_looks_at_few_and_spoils_nothing_for_older_ones),
        ON_RIG(who_wants_what_the_newest_have_given_up_looks_no_further),
        ON_RIG(only_so_many_patterns_are_remembered_and_those_that_were_asked_for_lately),
        ON_RIG(with_other_rules_it_is_found_out_anew),
        ON_RIG(whatever_is_asked_in_whatever_order_it_is_what_a_look_at_all_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
