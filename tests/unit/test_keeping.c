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

/* From these rules to those at number 100: does anything begin, and since when is it so then? */
static void assert_change(const char *from, const char *to, bool begins, const char *text)
{
    struct rules *before = rules_of(from), *after = rules_of(to);
    struct keeping keeping;
    assert_false(keeping_init(&keeping, &before->config, SLICE(""), 1));
    assert_int_equal(keeping_changed(&keeping, &after->config, 100), begins);
    buf_add_char(&keeping.text, '\0');
    assert_string_equal(keeping.text.at, text);
    keeping_fini(&keeping);
    free(before);
    free(after);
}

static void what_had_history_has_it_on_and_what_had_none_begins(void **state)
{
    (void)state;
    assert_change("+**", "+**", false, "+0 **\n");
    assert_change("+**", "-**", false, "-0 **\n");
    assert_change("-**", "+**", true, "+100 **\n");
    assert_change("-log.** +**", "-log.** +**", false, "-0 log.**\n+0 **\n");
    assert_change("-log.** +**", "+**", true, "+100 **\n");
    assert_change("-**", "+chat.* -**", true, "+100 chat.*\n-0 **\n");
    assert_change("+chat.* -**", "-**", false, "-0 **\n");
}

static void a_rule_beside_those_there_were_changes_nothing_for_others(void **state)
{
    (void)state;
    assert_change("-a.b +a.** +**", "+c.** -a.b +a.** +**", false, "+0 c.**\n-0 a.b\n+0 a.**\n+0 **\n");
    assert_change("-log.** +**", "-log.** +chat.** +**", false, "-0 log.**\n+0 chat.**\n+0 **\n");
    assert_change("-log.** +**", "+log.a -log.** +**", true, "+100 log.a\n-0 log.**\n+0 **\n");
    assert_change("+chat.** -**", "+chat.** +room.** -**", true, "+0 chat.**\n+100 room.**\n-0 **\n");
    assert_change("-a.* +a.** +**", "+a.** +**", true, "+100 a.**\n+0 **\n");
}

static void a_channel_had_history_when_its_rule_did_by_then_and_ever_since(void **state)
{
    (void)state;
    struct rules *before = rules_of("-log.** +**"), *after = rules_of("-log.db +log.** +**");
    struct keeping keeping;
    keeping_init(&keeping, &before->config, SLICE(""), 1);
    assert_true(keeping_had(&keeping, SLICE("chat"), 5) && !keeping_had(&keeping, SLICE("log.a"), 5));
    keeping_changed(&keeping, &after->config, 100);
    assert_true(keeping_had(&keeping, SLICE("chat"), 5) && !keeping_had(&keeping, SLICE("log.a"), 99));
    assert_true(keeping_had(&keeping, SLICE("log.a"), 100) && !keeping_had(&keeping, SLICE("log.db"), 100));
    keeping_fini(&keeping);
    free(before);
    free(after);
}

static void the_text_of_the_run_before_counts_and_is_not_stored_again(void **state)
{
    (void)state;
    struct rules *rules = rules_of("-log.** +**");
    struct keeping keeping;
    assert_false(keeping_init(&keeping, &rules->config, SLICE("-0 log.**\n+7 **\n"), 100));
    assert_true(keeping.stored && keeping_had(&keeping, SLICE("a"), 7) && !keeping_had(&keeping, SLICE("a"), 6));
    keeping_fini(&keeping);
    assert_true(keeping_init(&keeping, &rules->config, SLICE("-0 **\n"), 100));
    assert_true(!keeping.stored && !keeping_had(&keeping, SLICE("a"), 99) && keeping_had(&keeping, SLICE("a"), 100));
    keeping_stored(&keeping, SLICE("-0 log.**\n+99 **\n"));
    assert_false(keeping.stored);
    keeping_stored(&keeping, SLICE("-0 log.**\n+100 **\n"));
    assert_true(keeping.stored);
    keeping_fini(&keeping);
    assert_false(keeping_init(&keeping, &rules->config, SLICE("nonsense\nof a file that was mended by hand"), 100));
    keeping_fini(&keeping);
    free(rules);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_had_history_has_it_on_and_what_had_none_begins),
        cmocka_unit_test(a_rule_beside_those_there_were_changes_nothing_for_others),
        cmocka_unit_test(a_channel_had_history_when_its_rule_did_by_then_and_ever_since),
        cmocka_unit_test(the_text_of_the_run_before_counts_and_is_not_stored_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
