/* The trie against pattern_matches over a plain array: whatever was added and removed, at random and a hundred thousand at once. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

/* Memory that can be short: of the trie and of its table. -1: there is as much as it wants. */
static long allocations_left = -1;
static void *scarce_calloc(size_t n, size_t size)
{
    if (allocations_left == 0)
        return NULL;
    allocations_left -= allocations_left > 0;
    return calloc(n, size);
}
#define calloc scarce_calloc
#include "hub/base/chains.c"
#include "hub/base/trie.c"
#undef calloc

enum { PATTERNS = 300, STEPS = 20000, MANY = 100000 };

/* ---- the array ---- */

struct entry { char pattern[64]; bool in; unsigned found; };

static struct entry entries[PATTERNS];
static unsigned     n_found;

static void on_found(void *arg, void *value)
{
    ((struct entry *)value)->found++;
    ++*(unsigned *)arg;
}

/* Few different segments, empty ones among them, so that patterns share beginnings and names are matched by several. */
static void make(char out[64], bool pattern)
{
    static const char *const segments[] = { "a", "b", "", "ab", "a", "b" };
    int n = 1 + rand() % 5, len = 0;
    for (int i = 0; i < n; i++) {
        const char *segment = segments[rand() % 6];
        if (pattern && rand() % 3 == 0)
            segment = i == n - 1 && rand() % 2 ? "**" : "*";
        len += snprintf(out + len, 64 - (size_t)len, "%s%s", i ? "." : "", segment);
    }
}

static void check_match(const struct trie *trie, const char *name)
{
    unsigned found = 0, expected = 0;
    for (int i = 0; i < PATTERNS; i++)
        entries[i].found = 0;
    trie_match(trie, slice_of(name), on_found, &found);
    for (int i = 0; i < PATTERNS; i++) {
        bool matches = entries[i].in && pattern_matches(slice_of(entries[i].pattern), slice_of(name));
        assert_int_equal(entries[i].found, matches);
        expected += matches;
    }
    assert_int_equal(found, expected);
    n_found += found;
}

static bool is_new(const char *pattern)
{
    for (int i = 0; i < PATTERNS; i++)
        if (entries[i].in && strcmp(entries[i].pattern, pattern) == 0)
            return false;
    return true;
}

static void check_is_empty(const struct trie *trie)
{
    assert_int_equal(trie->count, 0);
    assert_null(trie->root);
    assert_int_equal(trie->nodes.n, 0);
    assert_null(trie->nodes.heads);
}

static void toggle(struct trie *trie, struct entry *entry)
{
    if (entry->in) {
        assert_ptr_equal(trie_find(trie, slice_of(entry->pattern)), entry);
        assert_ptr_equal(trie_remove(trie, slice_of(entry->pattern)), entry);
        assert_null(trie_remove(trie, slice_of(entry->pattern)));
        entry->in = false;
        return;
    }
    make(entry->pattern, true);
    if (pattern_check(slice_of(entry->pattern)) || !is_new(entry->pattern))
        return;
    assert_null(trie_find(trie, slice_of(entry->pattern)));
    assert_int_equal(trie_add(trie, slice_of(entry->pattern), entry), 0);
    entry->in = true;
}

static void whatever_is_added_and_removed_a_name_finds_the_patterns_that_match_it(void **state)
{
    struct trie trie = { 0 };
    char name[64];
    (void)state;
    srand(7);
    n_found = 0;
    for (int step = 0; step < STEPS; step++) {
        toggle(&trie, &entries[rand() % PATTERNS]);
        make(name, false);
        if (name[0])
            check_match(&trie, name);
    }
    assert_true(n_found > STEPS);
    for (int i = 0; i < PATTERNS; i++)
        if (entries[i].in)
            toggle(&trie, &entries[i]);
    check_is_empty(&trie);
}

static unsigned matches(const struct trie *trie, const char *name)
{
    unsigned found = 0;
    trie_match(trie, slice_of(name), on_found, &found);
    return found;
}

static void the_rest_is_one_segment_or_more_and_a_star_is_one(void **state)
{
    static struct entry exact, star, rest, all, empty;
    struct trie trie = { 0 };
    (void)state;
    trie_add(&trie, SLICE("orders"), &exact);
    trie_add(&trie, SLICE("orders.*"), &star);
    trie_add(&trie, SLICE("orders.**"), &rest);
    trie_add(&trie, SLICE("**"), &all);
    trie_add(&trie, SLICE("orders."), &empty);
    assert_int_equal(matches(&trie, "orders"), 2);
    assert_int_equal(matches(&trie, "orders.eu"), 3);
    assert_int_equal(matches(&trie, "orders.eu.42"), 2);
    assert_int_equal(matches(&trie, "orders."), 4);
    assert_int_equal(matches(&trie, "order"), 1);
    assert_int_equal(star.found, 2);
    assert_int_equal(rest.found, 3);
    assert_int_equal(all.found, 5);
    trie_fini(&trie);
    check_is_empty(&trie);
}

static void the_longest_names_and_patterns_are_walked_to_their_ends(void **state)
{
    static struct entry dots, stars;
    char name[CHANNEL_NAME_MAX + 1], pattern[CHANNEL_NAME_MAX + 1];
    struct trie trie = { 0 };
    (void)state;
    memset(name, '.', CHANNEL_NAME_MAX);
    name[CHANNEL_NAME_MAX] = '\0';
    for (int i = 0; i < CHANNEL_NAME_MAX; i++)
        pattern[i] = i % 2 ? '.' : '*';
    pattern[CHANNEL_NAME_MAX - 1] = 'a';
    pattern[CHANNEL_NAME_MAX] = '\0';
    assert_int_equal(pattern_check(slice_of(pattern)), ERR_STAR_IN_SEGMENT);      /* `*a` is no segment */
    pattern[CHANNEL_NAME_MAX - 1] = '\0';
    assert_int_equal(pattern_check(slice_of(pattern)), 0);
    assert_int_equal(trie_add(&trie, slice_of(name), &dots), 0);
    assert_int_equal(trie_add(&trie, slice_of(pattern), &stars), 0);
    assert_int_equal(matches(&trie, name), 1);
    assert_int_equal(dots.found, 1);
    name[99] = '\0';      /* 99 dots: a hundred empty segments, as many as the pattern has and one for its last dot */
    assert_int_equal(matches(&trie, name), pattern_matches(slice_of(pattern), slice_of(name)));
    trie_remove(&trie, slice_of(pattern));
    memset(name, '.', CHANNEL_NAME_MAX);
    trie_remove(&trie, slice_of(name));
    check_is_empty(&trie);
}

static void a_hundred_thousand_patterns_are_found_and_all_memory_comes_back(void **state)
{
    static struct entry many[MANY];
    struct trie trie = { 0 };
    (void)state;
    for (int i = 0; i < MANY; i++) {
        snprintf(many[i].pattern, sizeof many[i].pattern, i % 2 ? "tenant.%d.*" : "tenant.%d.**", i);
        assert_int_equal(trie_add(&trie, slice_of(many[i].pattern), &many[i]), 0);
    }
    assert_int_equal(trie.count, MANY);
    assert_int_equal(trie.nodes.n, 1 + MANY + MANY / 2);
    for (int i = 0; i < MANY; i++) {
        char name[64];
        snprintf(name, sizeof name, "tenant.%d.x", i);
        assert_int_equal(matches(&trie, name), 1);
        assert_int_equal(many[i].found, 1);
    }
    assert_int_equal(matches(&trie, "tenant.100000.x"), 0);
    for (int i = 0; i < MANY; i++)
        assert_ptr_equal(trie_remove(&trie, slice_of(many[(i * 7) % MANY].pattern)), &many[(i * 7) % MANY]);
    check_is_empty(&trie);
}

static void what_finds_no_memory_changes_nothing(void **state)
{
    static struct entry first, second;
    struct trie trie = { 0 };
    (void)state;
    for (long short_of = 0; short_of < 4; short_of++) {       /* the root, the table, two nodes */
        allocations_left = short_of;
        int err = trie_add(&trie, SLICE("a.b"), &first);
        allocations_left = -1;
        assert_int_equal(err, ERR_MEMORY);
        check_is_empty(&trie);
    }
    assert_int_equal(trie_add(&trie, SLICE("a.b"), &first), 0);
    size_t nodes = trie.nodes.n;
    for (long short_of = 0; short_of < 2; short_of++) {
        allocations_left = short_of;
        int err = trie_add(&trie, SLICE("a.*.c.**"), &second);
        allocations_left = -1;
        assert_int_equal(err, ERR_MEMORY);
        assert_int_equal(trie.nodes.n, nodes);
        assert_int_equal(trie.count, 1);
        assert_int_equal(matches(&trie, "a.b"), 1);
    }
    trie_fini(&trie);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_is_added_and_removed_a_name_finds_the_patterns_that_match_it),
        cmocka_unit_test(the_rest_is_one_segment_or_more_and_a_star_is_one),
        cmocka_unit_test(the_longest_names_and_patterns_are_walked_to_their_ends),
        cmocka_unit_test(a_hundred_thousand_patterns_are_found_and_all_memory_comes_back),
        cmocka_unit_test(what_finds_no_memory_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
