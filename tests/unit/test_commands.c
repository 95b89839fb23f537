/* Subcommands as main() sees them, and the API keys that `key new` makes. What they print is captured. */
#define _GNU_SOURCE     /* own_dir.h */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "hub/access/access.h"
#include "hub/base/err.h"
#include "hub/commands.h"
#include "hub/config/api_key.h"
#include "hub/config/config.h"
#include "tests/unit/own_dir.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int ran_argc;

static int run_echo(int argc, char **argv)
{
    ran_argc = argc;
    printf("ran %s\n", argv[0]);
    return 7;
}

static const struct command table[] = {
    { "echo", "[WORD...]", "says it again", run_echo, false },
    { "own", "[--help]", "helps itself", run_echo, true },
    { "check-config", "FILE [--channel NAME]", "checks", cmd_check_config, false },
    { "key", "new [--name NAME]", "makes keys", cmd_key, false },
    { "help", "[TOPIC]", "helps", cmd_help, false },
    { NULL, NULL, NULL, NULL, false },
};

/* What one command line left: its status and the two streams. */
struct outcome {
    int  status;
    char out[32768], err[8192];
};

static void read_back(FILE *file, char *ret_text, size_t size)
{
    rewind(file);
    ret_text[fread(ret_text, 1, size - 1, file)] = '\0';
    fclose(file);
}

static struct outcome *run_words(char **words)
{
    static struct outcome o;
    char *argv[16] = { "carillon" };
    int argc = 1;
    for (; words[argc - 1]; argc++)
        argv[argc] = words[argc - 1];
    FILE *out = tmpfile(), *err = tmpfile();
    assert_non_null(out);
    assert_non_null(err);
    fflush(NULL);
    int kept_out = dup(1), kept_err = dup(2);
    dup2(fileno(out), 1);
    dup2(fileno(err), 2);
    ran_argc = 0;
    o.status = commands_run(table, argc, argv);
    fflush(NULL);
    dup2(kept_out, 1);
    dup2(kept_err, 2);
    close(kept_out);
    close(kept_err);
    read_back(out, o.out, sizeof o.out);
    read_back(err, o.err, sizeof o.err);
    return &o;
}

#define RUN(...) run_words((char *[]){ __VA_ARGS__ __VA_OPT__(,) NULL })

static void assert_contains(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" is not in:\n%s", part, text);
}

static void a_subcommand_gets_its_own_name_and_arguments_and_its_status_is_kept(void **state)
{
    (void)state;
    struct outcome *o = RUN("echo", "a", "b");
    assert_int_equal(o->status, 7);
    assert_int_equal(ran_argc, 3);
    assert_string_equal(o->out, "ran echo\n");
}

static void an_unknown_subcommand_is_one_sentence_with_the_nearest_and_status_2(void **state)
{
    (void)state;
    struct outcome *o = RUN("ehco");
    assert_int_equal(o->status, 2);
    assert_string_equal(o->out, "");
    assert_string_equal(o->err, "carillon: \"ehco\" is not a subcommand; did you mean carillon echo?\n");
    assert_contains(RUN("xylophone")->err, "carillon --help shows them");
}

static void no_subcommand_shows_usage_on_standard_error_and_help_on_standard_output(void **state)
{
    (void)state;
    struct outcome *o = RUN();
    assert_int_equal(o->status, 2);
    assert_string_equal(o->out, "");
    assert_contains(o->err, "carillon check-config FILE");
    o = RUN("--help");
    assert_int_equal(o->status, 0);
    assert_string_equal(o->err, "");
    assert_contains(o->out, "carillon check-config FILE");
    assert_contains(o->out, "history.size");
    assert_contains(RUN("--version")->out, "carillon ");
}

static void help_of_a_subcommand_is_printed_for_it_unless_it_has_its_own(void **state)
{
    (void)state;
    struct outcome *o = RUN("echo", "--help");
    assert_int_equal(o->status, 0);
    assert_int_equal(ran_argc, 0);
    assert_contains(o->out, "usage: carillon echo [WORD...]");
    assert_int_equal(RUN("own", "--help")->status, 7);
    assert_int_equal(RUN("help", "own")->status, 7);
    assert_contains(RUN("help", "echo")->out, "says it again");
}

static void help_of_a_wrong_topic_names_the_nearest_and_fails(void **state)
{
    (void)state;
    struct outcome *o = RUN("help", "history.sise");
    assert_int_equal(o->status, 1);
    assert_contains(o->err, "did you mean history.size?");
    assert_int_equal(RUN("help", "history")->status, 0);
    assert_int_equal(RUN("help", "a", "b")->status, 2);
}

static void check_config_says_ok_or_everything_that_is_wrong(void **state)
{
    char path[OWN_FILE_MAX];
    int fd = open(own_dir_file(*state, "c.ini", path), O_RDWR | O_CREAT, 0600);
    assert_true(fd >= 0);
    struct outcome *good = RUN("check-config", path);
    assert_int_equal(good->status, 0);
    assert_string_equal(good->out, "ok\n");
    assert_contains(RUN("check-config", path, "--channel", "news")->out, "section matches news: the general settings hold");
    ssize_t written = write(fd, "[history]\nsise = 1\nttl = soon\n", 30);
    struct outcome *bad = RUN("check-config", path);
    close(fd);
    assert_int_equal(written, 30);
    assert_int_equal(bad->status, 1);
    assert_contains(bad->err, ":2: history.sise is not a setting; did you mean history.size?");
    assert_contains(bad->err, ":3: history.ttl");
    assert_contains(bad->err, "2 mistakes\n");
    assert_int_equal(RUN("check-config")->status, 2);
    assert_int_equal(RUN("check-config", "--nonsense")->status, 2);
    assert_int_equal(RUN("check-config", path, "--channel")->status, 2);
    assert_int_equal(RUN("check-config", path, "--channel=a b")->status, 2);
}

/* ---- keys ---- */

static void the_line_that_key_new_prints_admits_the_key_it_prints(void **state)
{
    char path[OWN_FILE_MAX], key[API_KEY_TEXT] = "";
    const struct config *config = NULL;
    struct config_report report = { 0 };
    struct principal *principal = NULL, *stranger = NULL;
    int fd = open(own_dir_file(*state, "c.ini", path), O_RDWR | O_CREAT, 0600);
    assert_true(fd >= 0);
    struct outcome *o = RUN("key", "new", "--name", "shop", "--scope=publish:chat.**", "--scope", "history");
    char *section = strstr(o->out, "[keys]\n");
    snprintf(key, sizeof key, "%.*s", (int)strcspn(o->out, "\n"), o->out);
    ssize_t written = section ? write(fd, section, strlen(section)) : -1;
    close(fd);
    int err = config_load_file(path, &report, &config);
    assert_int_equal(o->status, 0);
    assert_true(written > 0);
    assert_int_equal(err, 0);
    assert_int_equal(principal_by_key(config, slice_of(key), &principal), 0);
    assert_int_equal(principal_may(principal, OP_PUBLISH, SLICE("chat.a")), 0);
    assert_int_equal(principal_may(principal, OP_PUBLISH, SLICE("news")), ERR_FORBIDDEN);
    assert_int_equal(principal_may(principal, OP_HISTORY, SLICE("news")), 0);
    assert_int_equal(principal_may(principal, OP_ADMIN, SLICE("")), ERR_FORBIDDEN);
    key[10] = key[10] == 'a' ? 'b' : 'a';
    assert_int_equal(principal_by_key(config, slice_of(key), &stranger), ERR_UNAUTHENTICATED);
    principal_unref(principal);
    config_unref(config);
    config_report_fini(&report);
}

static void keys_are_32_random_bytes_in_hexadecimal_and_never_the_same(void **state)
{
    char first[API_KEY_TEXT], second[API_KEY_TEXT];
    (void)state;
    assert_int_equal(api_key_make(first), 0);
    assert_int_equal(api_key_make(second), 0);
    assert_int_equal(strlen(first), 67);
    assert_int_equal(strspn(first + 3, "0123456789abcdef"), 64);
    assert_true(slice_begins(slice_of(first), SLICE("ck_")));
    assert_string_not_equal(first, second);
}

/* FIPS 180-2, appendix B.1 */
static void the_fingerprint_is_the_sha256_of_the_text_and_reads_back(void **state)
{
    uint8_t digest[32], back[32];
    struct slice rest;
    struct buf line = { 0 };
    (void)state;
    api_key_digest(SLICE("abc"), digest);
    api_key_add_digest(&line, digest);
    assert_true(slice_is(buf_slice(&line), SLICE("sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")));
    buf_add_str(&line, " admin");
    assert_int_equal(api_key_read_digest(buf_slice(&line), back, &rest), 0);
    assert_memory_equal(digest, back, 32);
    assert_true(slice_is(rest, SLICE(" admin")));
    buf_fini(&line);
}

static void key_refuses_what_it_does_not_know_and_makes_nothing(void **state)
{
    static char *const lines[][5] = {
        { "key", NULL }, { "key", "old", NULL }, { "key", "new", "--scope", "publsh", NULL }, { "key", "new", "--name", "a b", NULL },
        { "key", "new", "--name", NULL }, { "key", "new", "--named", "x", NULL }, { "key", "new", "--scope=admin:x", NULL },
    };
    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct outcome *o = run_words((char **)(uintptr_t)lines[i]);
        assert_int_equal(o->status, 2);
        assert_string_equal(o->out, "");
        assert_contains(o->err, "usage: carillon key new");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_subcommand_gets_its_own_name_and_arguments_and_its_status_is_kept),
        cmocka_unit_test(an_unknown_subcommand_is_one_sentence_with_the_nearest_and_status_2),
        cmocka_unit_test(no_subcommand_shows_usage_on_standard_error_and_help_on_standard_output),
        cmocka_unit_test(help_of_a_subcommand_is_printed_for_it_unless_it_has_its_own),
        cmocka_unit_test(help_of_a_wrong_topic_names_the_nearest_and_fails),
        IN_OWN_DIR(check_config_says_ok_or_everything_that_is_wrong),
        IN_OWN_DIR(the_line_that_key_new_prints_admits_the_key_it_prints),
        cmocka_unit_test(keys_are_32_random_bytes_in_hexadecimal_and_never_the_same),
        cmocka_unit_test(the_fingerprint_is_the_sha256_of_the_text_and_reads_back),
        cmocka_unit_test(key_refuses_what_it_does_not_know_and_makes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
