/* Which channels have history, since when, and what a change of the rules makes of it. */
#include "hub/config/config.h"
#include "hub/keeping.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

enum { RULES_MAX = 4 };

/* Settings made of a line like "-log.** +chat.** -**": a rule for each, the last for all others. */
struct rules {
    struct config       config;
    struct channel_rule own[RULES_MAX];
    char                patterns[RULES_MAX + 1][32];
};

static struct rules *rules_of(const char *text)
{
    struct rules *rules = calloc(1, sizeof *rules);
    size_t n = 0;
    while (*text) {
        bool keeps = *text++ == '+';
        size_t len = strcspn(text, " ");
        assert_true(n <= RULES_MAX && len < sizeof rules->patterns[n]);
        memcpy(rules->patterns[n], text, len);
        struct channel_rule rule = { .pattern = rules->patterns[n], .history_size = keeps, .history_bytes = 1, .history_ttl_ms = 1 };
        text += len + (text[len] == ' ');
        if (*text)
            rules->own[n++] = rule;
        else
            rules->config.general_rule = rule;
    }
    rules->config.rules = rules->own;
    rules->config.rule_count = n;
    return rules;
}

/* From these rules to those at number 100: does anything begin? */
static bool begins(const char *from, const char *to)
{
    struct rules *before = rules_of(from), *after = rules_of(to);
    struct keeping keeping;
    keeping_init(&keeping, &before->config, SLICE(""), 1);
    bool changed = keeping_changed(&keeping, &after->config, 100);
    assert_false(keeping_changed(&keeping, &after->config, 200));
    keeping_fini(&keeping);
    free(before);
    free(after);
    return changed;
}

static void what_had_none_may_begin_and_what_had_history_has_it_on(void **state)
{
    (void)state;
    assert_false(begins("+**", "+**"));
    assert_false(begins("+**", "-**"));
    assert_true(begins("-**", "+**"));
    assert_true(begins("-log.** +**", "+**"));
    assert_true(begins("-**", "+chat.* -**"));
    assert_false(begins("+chat.* -**", "-**"));
    assert_true(begins("-log.** +**", "+log.a -log.** +**"));
    assert_true(begins("+chat.** -**", "+chat.** +room.** -**"));
    assert_true(begins("-a.* +a.** +**", "+a.** +**"));
}

static void a_rule_beside_those_there_were_begins_nothing(void **state)
{
    (void)state;
    assert_false(begins("-a.b +a.** +**", "+c.** -a.b +a.** +**"));
    assert_false(begins("-log.** +**", "-log.** +chat.** +**"));
    assert_false(begins("-log.** +**", "-log.a -log.** +**"));
    assert_false(begins("+chat.** -**", "+chat.** -room.** -**"));
}

static void a_channel_had_history_when_its_rule_did_by_then_and_ever_since(void **state)
{
    (void)state;
    struct rules *first = rules_of("-log.** +**"), *second = rules_of("-log.db +log.** +**"), *third = rules_of("+**");
    struct keeping keeping;
    keeping_init(&keeping, &first->config, SLICE(""), 1);
    assert_true(keeping_had(&keeping, SLICE("chat"), 5) && !keeping_had(&keeping, SLICE("log.a"), 5));
    keeping_changed(&keeping, &second->config, 100);
    assert_true(keeping_had(&keeping, SLICE("chat"), 5) && !keeping_had(&keeping, SLICE("log.a"), 99));
    assert_true(keeping_had(&keeping, SLICE("log.a"), 100) && !keeping_had(&keeping, SLICE("log.db"), 100));
    keeping_changed(&keeping, &third->config, 200);
    assert_true(keeping_had(&keeping, SLICE("chat"), 5) && keeping_had(&keeping, SLICE("log.a"), 100) && !keeping_had(&keeping, SLICE("log.a"), 99));
    assert_true(keeping_had(&keeping, SLICE("log.db"), 200) && !keeping_had(&keeping, SLICE("log.db"), 199));
    keeping_fini(&keeping);
    free(first);
    free(second);
    free(third);
}

static void the_text_of_the_run_before_counts_and_is_not_stored_again(void **state)
{
    (void)state;
    struct rules *rules = rules_of("-log.** +**");
    struct keeping keeping;
    assert_false(keeping_init(&keeping, &rules->config, SLICE("@7\n-log.**\n+**\n"), 100));
    assert_true(keeping.stored && keeping_had(&keeping, SLICE("a"), 7) && !keeping_had(&keeping, SLICE("a"), 6));
    keeping_fini(&keeping);
    assert_true(keeping_init(&keeping, &rules->config, SLICE("@7\n-**\n"), 100));
    assert_true(!keeping.stored && !keeping_had(&keeping, SLICE("a"), 99) && keeping_had(&keeping, SLICE("a"), 100));
    keeping_stored(&keeping, SLICE("@7\n-**\n"));
    assert_false(keeping.stored);
    keeping_stored(&keeping, SLICE("@7\n-**\n@100\n-log.**\n+**\n"));
    assert_true(keeping.stored);
    keeping_fini(&keeping);
    assert_false(keeping_init(&keeping, &rules->config, SLICE("nonsense\nof a file that was mended by hand"), 100));
    keeping_fini(&keeping);
    free(rules);
}

static void only_so_many_changes_are_remembered_and_older_rows_are_not_taken_up(void **state)
{
    (void)state;
    struct rules *one = rules_of("-log.** +**"), *other = rules_of("-logs.** +**");
    struct keeping keeping;
    keeping_init(&keeping, &one->config, SLICE(""), 1);
    for (uint64_t i = 1; i <= 3 * KEEPING_CHANGES; i++)
        keeping_changed(&keeping, i % 2 ? &other->config : &one->config, 10 * i);
    assert_true(keeping.text.len < 40 * KEEPING_CHANGES);
    assert_false(keeping_had(&keeping, SLICE("chat"), 10 * KEEPING_CHANGES));
    assert_true(keeping_had(&keeping, SLICE("chat"), 20 * KEEPING_CHANGES + 10));
    keeping_fini(&keeping);
    free(one);
    free(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_had_none_may_begin_and_what_had_history_has_it_on),
        cmocka_unit_test(a_rule_beside_those_there_were_begins_nothing),
        cmocka_unit_test(a_channel_had_history_when_its_rule_did_by_then_and_ever_since),
        cmocka_unit_test(the_text_of_the_run_before_counts_and_is_not_stored_again),
        cmocka_unit_test(only_so_many_changes_are_remembered_and_older_rows_are_not_taken_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
