/* A command line against a table of options (clients/cli/args.h). What it says to people is not looked at here. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "clients/cli/args.h"
#include "clients/cli/cli.h"

struct values {
    bool        flag;
    const char *text;
    uint64_t    count;
    int64_t     time;
    int         word;
    struct cli_list list;
};

/* Parses `line`, words between blanks; the operands, joined, into `operands`. */
static int parse(const char *line, struct values *values, char operands[128])
{
    static char words[256];
    const struct cli_option options[] = {
        { "flag",  CLI_FLAG,  &values->flag,  NULL, "" },   { "text", CLI_TEXT, &values->text, "TEXT", "" },
        { "count", CLI_COUNT, &values->count, "N", "" },    { "for",  CLI_TIME, &values->time, "TIME", "" },
        { "color", CLI_WORD,  &values->word,  "auto|always|never", "" }, { "list", CLI_LIST, &values->list, "ITEM", "" }, { 0 }
    };
    const struct cli_command command = { .name = "test", .operands = "WORD", .help = "", .min = 1, .max = 2, .options = options };
    char *argv[32] = { "test" };
    int argc = 1, n = 0;
    snprintf(words, sizeof words, "%s", line);
    for (char *word = strtok(words, " "); word; word = strtok(NULL, " "))
        argv[argc++] = word;
    *values = (struct values){ .word = -1 };
    operands[0] = '\0';
    int done = cli_args_parse(&command, argc, argv, &n);
    for (int i = 1; done == CLI_GO_ON && i <= n; i++)
        strcat(strcat(operands, argv[i]), ";");
    return done;
}

static void options_stand_anywhere_and_have_values_in_two_ways(void **state)
{
    struct values v;
    char operands[128];
    (void)state;
    assert_int_equal(parse("a --text x --count=12 b --flag --for 250ms --color=never", &v, operands), CLI_GO_ON);
    assert_string_equal(operands, "a;b;");
    assert_true(v.flag);
    assert_string_equal(v.text, "x");
    assert_int_equal(v.count, 12);
    assert_int_equal(v.time, 250);
    assert_int_equal(v.word, 2);
}

static void a_list_has_every_value_in_order_up_to_a_bound(void **state)
{
    struct values v;
    char operands[128], *argv[2 * CLI_LIST_MAX + 4] = { "test" };
    int argc = 1, n;
    (void)state;
    assert_int_equal(parse("--list a x --list=b", &v, operands), CLI_GO_ON);
    assert_int_equal(v.list.n, 2);
    assert_string_equal(v.list.items[0], "a");
    assert_string_equal(v.list.items[1], "b");
    struct cli_list list = { 0 };
    const struct cli_option options[] = { { "list", CLI_LIST, &list, "ITEM", "" }, { 0 } };
    const struct cli_command command = { .name = "test", .operands = "", .help = "", .options = options };
    while (argc < 2 * CLI_LIST_MAX + 1)
        argv[argc++] = "--list=a";
    assert_int_equal(cli_args_parse(&command, 1 + CLI_LIST_MAX, argv, &n), CLI_GO_ON);
    assert_int_equal(list.n, CLI_LIST_MAX);
    list.n = 0;
    assert_int_equal(cli_args_parse(&command, 2 + CLI_LIST_MAX, argv, &n), CLI_MISUSED);
    assert_int_equal(list.n, CLI_LIST_MAX);
}

static void a_dash_a_negative_number_and_what_is_behind_two_dashes_are_operands(void **state)
{
    struct values v;
    char operands[128];
    (void)state;
    assert_int_equal(parse("- -5", &v, operands), CLI_GO_ON);
    assert_string_equal(operands, "-;-5;");
    assert_int_equal(parse("--flag -- --flag --help", &v, operands), CLI_GO_ON);
    assert_string_equal(operands, "--flag;--help;");
    assert_int_equal(parse("--text --flag a", &v, operands), CLI_GO_ON);       /* a value may look like an option */
    assert_string_equal(v.text, "--flag");
    assert_int_equal(parse("--text= a", &v, operands), CLI_GO_ON);
    assert_string_equal(v.text, "");
}

static void what_makes_no_sense_is_refused(void **state)
{
    static const char *const lines[] = {
        "", "a b c", "a --nix", "a --fla", "a --flag=1", "a --text", "a --count", "a --count x", "a --count=-1", "a --for soon", "a --color=red", "a --color=",
        "a --", "--text a", "a --=x",
    };
    struct values v;
    char operands[128];
    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        int want = !strcmp(lines[i], "a --") ? CLI_GO_ON : CLI_MISUSED;
        if (parse(lines[i], &v, operands) != want)
            fail_msg("\"%s\"", lines[i]);
    }
}

static void help_ends_it_well(void **state)
{
    struct values v;
    char operands[128];
    (void)state;
    assert_int_equal(parse("--help", &v, operands), CLI_OK);
    assert_int_equal(parse("a b c d -h", &v, operands), CLI_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_stand_anywhere_and_have_values_in_two_ways),
        cmocka_unit_test(a_list_has_every_value_in_order_up_to_a_bound),
        cmocka_unit_test(a_dash_a_negative_number_and_what_is_behind_two_dashes_are_operands),
        cmocka_unit_test(what_makes_no_sense_is_refused),
        cmocka_unit_test(help_ends_it_well),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
