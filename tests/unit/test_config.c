/* The settings: every type and its limits, who wins, all mistakes at once, sections with free names, reload. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "hub/base/err.h"
#include "hub/base/nearest.h"
#include "hub/config/config.h"
#include "hub/config/config_key.h"
#include "hub/config/config_value.h"
#include <stdlib.h>
#include <unistd.h>

#define HEX "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

/* A folder with one file of settings, and what came of loading it. */
struct fixture {
    char                 dir[64], file[96], flag[112];
    struct config_report report;
    const struct config *config;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    strcpy(f->dir, "/tmp/carillon-config-XXXXXX");
    if (!mkdtemp(f->dir))
        return -1;
    snprintf(f->file, sizeof f->file, "%s/c.ini", f->dir);
    snprintf(f->flag, sizeof f->flag, "--config=%s", f->file);
    *state = f;
    return 0;
}

static void forget(struct fixture *f)
{
    config_unref(f->config);
    f->config = NULL;
    config_report_fini(&f->report);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    extern char **environ;
    forget(f);
    for (char **at = environ; *at;)     /* what a test has set is gone after it, also when it failed */
        if (!strncmp(*at, "CARILLON_", 9)) {
            char *name = strndup(*at, strcspn(*at, "="));
            unsetenv(name);
            free(name);
            at = environ;
        } else {
            at++;
        }
    unlink(f->file);
    rmdir(f->dir);
    free(f);
    return 0;
}

static void write_file(const struct fixture *f, const char *text, size_t len)
{
    FILE *out = fopen(f->file, "w");
    assert_non_null(out);
    assert_int_equal(fwrite(text, 1, len, out), len);
    fclose(out);
}

static void write_text(const struct fixture *f, const char *text) { write_file(f, text, strlen(text)); }

static int load_bytes(struct fixture *f, const char *text, size_t len)
{
    forget(f);
    write_file(f, text, len);
    return config_load_file(f->file, &f->report, &f->config);
}

static int load(struct fixture *f, const char *text) { return load_bytes(f, text, strlen(text)); }

static int load_flags(struct fixture *f, int argc, char *const *argv)
{
    forget(f);
    return config_load(argc, argv, &f->report, &f->config);
}

#define FLAGS(f, ...) load_flags(f, (int)(sizeof((char *[]){ __VA_ARGS__ }) / sizeof(char *)), (char *[]){ __VA_ARGS__ })

static const char *text_of(struct buf *b)
{
    buf_add_char(b, '\0');
    b->len--;
    return b->at;
}

static const char *errors(struct fixture *f) { return text_of(&f->report.errors); }
static const char *notes(struct fixture *f)  { return text_of(&f->report.notes); }

static void assert_contains(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" is not in:\n%s", part, text);
}

/* One value for one key of the file; NULL when it was refused, else the value as it is printed. */
static const char *told(struct fixture *f, const char *name, const char *value)
{
    static char printed[256];
    const struct config_key *key = config_key_find_name(name);
    struct buf out = { 0 };
    char text[6000];
    assert_non_null(key);
    snprintf(text, sizeof text, "[%s]\n%s = %s\n", key->section, key->key, value);
    if (load(f, text)) {
        assert_null(f->config);
        assert_int_equal(f->report.error_count, 1);
        return NULL;
    }
    config_value_print(f->config, key, &out);
    snprintf(printed, sizeof printed, "%.*s", (int)out.len, buf_slice(&out).at);
    buf_fini(&out);
    return printed;
}

static void assert_good(struct fixture *f, const char *name, const char *value, const char *printed)
{
    const char *got = told(f, name, value);
    if (!got)
        fail_msg("%s = %s was refused: %s", name, value, errors(f));
    assert_string_equal(got, printed);
}

static void assert_bad(struct fixture *f, const char *name, const char *value, const char *why)
{
    const char *got = told(f, name, value);
    if (got)
        fail_msg("%s = %s was taken as %s", name, value, got);
    assert_contains(errors(f), why);
    assert_contains(errors(f), "c.ini:2: ");
    assert_contains(errors(f), name);
}

/* ---- types ---- */

static void counts_are_digits_within_their_range(void **state)
{
    assert_good(*state, "history.size", "0", "0");
    assert_good(*state, "history.size", "10000000", "10000000");
    assert_bad(*state, "history.size", "10000001", "more than 10000000");
    assert_bad(*state, "limits.channels", "0", "less than 1");
    static const char *const bad[] = { "", "-1", "+1", "1.5", "0x10", "1e3", "ten", "1 0", "99999999999999999999999", "5KiB" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_bad(*state, "history.size", bad[i], "is not a number");
}

static void sizes_have_binary_units(void **state)
{
    assert_good(*state, "history.bytes", "1048576", "1MiB");
    assert_good(*state, "history.bytes", "64KiB", "64KiB");
    assert_good(*state, "history.bytes", "1025", "1025");
    assert_good(*state, "history.bytes", "1TiB", "1TiB");
    assert_good(*state, "history.bytes", "0", "0");
    assert_good(*state, "limits.message", "1MiB", "1MiB");
    assert_bad(*state, "limits.message", "1048577", "more than 1MiB");
    assert_bad(*state, "public.max_frame", "1023", "less than 1KiB");
    static const char *const bad[] = { "", "64k", "64KB", "64kib", "1.5MiB", "-1", "KiB", "1 MiB", "18446744073709551615TiB", "16777216TiB" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_bad(*state, "history.bytes", bad[i], "is not a size");
}

static void durations_are_milliseconds_and_a_bare_number_is_seconds(void **state)
{
    struct fixture *f = *state;
    assert_good(f, "sse.retry", "250ms", "250ms");
    assert_int_equal(f->config->sse_retry_ms, 250);
    assert_good(f, "sse.retry", "5", "5s");
    assert_int_equal(f->config->sse_retry_ms, 5000);
    assert_good(f, "history.ttl", "90s", "90s");
    assert_good(f, "history.ttl", "120s", "2m");
    assert_good(f, "history.ttl", "48h", "2d");
    assert_good(f, "history.ttl", "0", "0ms");
    assert_bad(f, "sse.retry", "99ms", "less than 100ms");
    assert_bad(f, "sse.retry", "3601s", "more than 1h");
    static const char *const bad[] = { "", "5 s", "5sec", "1h30m", "0.5s", "-5s", "s", "9223372036854775807d" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_bad(f, "sse.retry", bad[i], "is not a duration");
}

static void choices_are_one_of_the_words_of_the_table(void **state)
{
    struct fixture *f = *state;
    assert_good(f, "store.sync", "off", "off");
    assert_int_equal(f->config->store_sync, STORE_SYNC_OFF);
    assert_good(f, "store.sync", "each", "each");
    assert_int_equal(f->config->store_sync, STORE_SYNC_EACH);
    assert_good(f, "log.level", "debug", "debug");
    assert_int_equal(f->config->log_level, LOG_DEBUG);
    assert_bad(f, "store.sync", "eac", "is not one of off|batch|each");
    assert_bad(f, "store.sync", "off|batch", "is not one of off|batch|each");
    assert_bad(f, "store.sync", "", "is not one of off|batch|each");
}

/* No key is one today, so the type is asked with a key of the test's own, over a member of the right size. */
static void yes_and_no_have_four_pairs_of_words(void **state)
{
    const struct config_key key = { .name = "x.y", .type = CONFIG_BOOL, .offset = offsetof(struct config, dev) };
    static const struct { const char *text; int is; } cases[] = {
        { "true", 1 }, { "yes", 1 }, { "on", 1 }, { "1", 1 }, { "false", 0 }, { "no", 0 }, { "off", 0 }, { "0", 0 },
        { "", -1 }, { "TRUE", -1 }, { "2", -1 }, { "y", -1 }, { "true|no", -1 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct config_snapshot *snapshot = snapshot_new();
        struct buf why = { 0 };
        snapshot->config.dev = cases[i].is != 1;
        int err = config_value_read(snapshot, &key, cases[i].text, false, &why);
        assert_int_equal(err, cases[i].is < 0 ? ERR_CONFIG : 0);
        assert_int_equal(snapshot->config.dev, cases[i].is != 0);     /* a refused value changes nothing */
        assert_int_equal(why.len > 0, cases[i].is < 0);
        buf_fini(&why);
        snapshot_free(snapshot);
    }
}

static void paths_are_taken_as_they_are_and_may_be_empty(void **state)
{
    struct fixture *f = *state;
    char longest[3901];
    assert_good(f, "store.dir", "", "");
    assert_string_equal(f->config->store_dir, "");
    assert_good(f, "store.dir", "/var/lib/my hub;1", "/var/lib/my hub;1");
    assert_good(f, "store.dir", "/var/lib/my hub ; a comment", "/var/lib/my hub");
    memset(longest, 'a', 3900);
    longest[3900] = '\0';
    assert_non_null(told(f, "store.dir", longest));
    assert_bad(f, "store.dir", "a\x01" "b", "control characters");
}

static void addresses_are_host_and_port_or_a_socket_in_the_file_system(void **state)
{
    static const struct { const char *text, *host; unsigned port; bool is_unix; } good[] = {
        { ":8000", "", 8000, false }, { "*:80", "", 80, false }, { "127.0.0.1:0", "127.0.0.1", 0, false },
        { "localhost:65535", "localhost", 65535, false }, { "[::1]:8000", "::1", 8000, false }, { "[::]:1", "::", 1, false },
        { "unix:/run/c.sock", "/run/c.sock", 0, true }, { "my-host.example:1", "my-host.example", 1, false },
    };
    static const char *const bad[] = {
        "", "8000", "localhost", ":", ":65536", ":-1", ":80x", "::1:80", "[::1]", "[::1:80", "[127.0.0.1]:80", "1.2.3:80", "1.2.3.4.5:80",
        "256.1.1.1:80", "a b:80", "http://x:80", "unix:", "[]:80",
        "unix:/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_good(f, "api.listen", good[i].text, good[i].text);
        assert_string_equal(f->config->api_listen.host, good[i].host);
        assert_int_equal(f->config->api_listen.port, good[i].port);
        assert_int_equal(f->config->api_listen.is_unix, good[i].is_unix);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_bad(f, "api.listen", bad[i], "api.listen: ");
}

static void lists_are_split_at_blanks_and_commas_and_a_repeated_key_appends(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(load(f, "[access]\nsubscribe = news.**,chat.* ,  a\nsubscribe = b\n"), 0);
    assert_int_equal(f->config->access_subscribe.count, 4);
    assert_string_equal(f->config->access_subscribe.at[0], "news.**");
    assert_string_equal(f->config->access_subscribe.at[2], "a");
    assert_string_equal(f->config->access_subscribe.at[3], "b");
    assert_int_equal(f->config->access_publish.count, 0);
    assert_bad(f, "access.publish", "a..** b** c", "is not a pattern");
    assert_bad(f, "access.publish", "good b**", "\"b**\" is not a pattern");
}

static void origins_are_scheme_and_host_without_a_path(void **state)
{
    assert_good(*state, "public.origins", "https://example.com http://localhost:3000 https://*.example.com * null", "https://example.com http://localhost:3000 https://*.example.com * null");
    static const char *const bad[] = { "example.com", "https://example.com/", "https://", "://x", "https://a*.com", "https://*." };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_bad(*state, "public.origins", bad[i], "origin");
}

static void cookies_need_origins_by_name(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(load(f, "[public]\norigins = https://a\ncors_credentials = yes\n"), 0);
    assert_int_equal(load(f, "[public]\norigins = *\n[api]\norigins = null\n"), 0);
    assert_int_equal(load(f, "[public]\norigins = https://a *\ncors_credentials = yes\n"), ERR_CONFIG);
    assert_contains(errors(f), ":3: public.cors_credentials: cannot be on while public.origins has \"*\"");
    assert_int_equal(load(f, "[api]\ncors_credentials = yes\norigins = null\n"), ERR_CONFIG);
    assert_contains(errors(f), ":2: api.cors_credentials: cannot be on while api.origins has \"null\"");
}

static void rates_tiers_and_networks_are_checked(void **state)
{
    struct fixture *f = *state;
    assert_good(f, "rates.publishes_per_user", "5 / s  burst 9", "5/1s burst 9");
    assert_good(f, "rates.publishes_per_user", "0", "off");
    assert_bad(f, "rates.publishes_per_user", "often", "is not a rate");
    assert_good(f, "public.trusted_proxies", "10.0.0.0/8, ::1 unix", "10.0.0.0/8 ::1 unix");
    assert_bad(f, "api.trusted_proxies", "10.1.2.3/8", "goes on behind the bits");
    assert_int_equal(load(f, "[tier \"gold\"]\npublishes_per_key = 5/1s\n[keys]\na = sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824 publish tier=gold\n"), 0);
    assert_int_equal(f->config->tier_count, 1);
    assert_string_equal(f->config->keys[0].tier, "gold");
    assert_int_equal(f->config->keys[0].scopes.count, 1);
    assert_int_equal(load(f, "[keys]\na = sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824 tier=gold\n"), ERR_CONFIG);
    assert_contains(errors(f), "c.ini:2: keys.a: there is no [tier \"gold\"]");
    assert_int_equal(load(f, "[tier \"gold\"]\npublishes_per_kei = 5/1s\npublishes_per_key = 5\n"), ERR_CONFIG);
    assert_contains(errors(f), "c.ini:2: tier \"gold\": publishes_per_kei is not a limit; did you mean publishes_per_key?");
    assert_contains(errors(f), "c.ini:3: tier \"gold\": publishes_per_key: \"5\" is not a rate");
}

/* ---- the table ---- */

static void every_default_is_valid_and_printing_and_reading_it_gives_the_same(void **state)
{
    (void)state;
    for (size_t i = 0; i < CONFIG_KEYS; i++) {
        const struct config_key *key = &config_keys[i];
        struct config_snapshot *snapshot = snapshot_new();
        struct buf first = { 0 }, again = { 0 }, why = { 0 };
        config_value_print(config_defaults(), key, &first);
        if (config_value_read(snapshot, key, text_of(&first), false, &why))
            fail_msg("%s: its own print \"%s\" %s", key->name, first.at, text_of(&why));
        config_value_print(&snapshot->config, key, &again);
        assert_string_equal(text_of(&first), text_of(&again));
        buf_fini(&first);
        buf_fini(&again);
        buf_fini(&why);
        snapshot_free(snapshot);
    }
}

/* CARILLON_SECTION_KEY is split at the first underscore, and every key must be found under its heading in help. */
static void sections_have_no_underscore_and_every_key_has_one(void **state)
{
    const struct config_section *section;
    (void)state;
    for (size_t i = 0; (section = config_section_each(i)); i++)
        assert_null(strchr(section->name, '_'));
    for (size_t i = 0; i < CONFIG_KEYS; i++) {
        assert_non_null(config_section_find(config_keys[i].section));
        assert_ptr_equal(config_key_find_name(config_keys[i].name), &config_keys[i]);
    }
}

static void defaults_are_those_of_the_design(void **state)
{
    const struct config *c = config_defaults();
    (void)state;
    assert_int_equal(c->public_listen.port, 8000);
    assert_string_equal(c->public_listen.host, "");
    assert_string_equal(c->api_listen.host, "127.0.0.1");
    assert_int_equal(c->public_max_frame, (1 << 20) + 4096);
    assert_int_equal(c->history_size, 100);
    assert_int_equal(c->history_ttl_ms, 300000);
    assert_int_equal(c->store_sync, STORE_SYNC_BATCH);
    assert_int_equal(c->limits_message, 65536);
    assert_false(c->dev);
    assert_int_equal(c->access_subscribe.count, 0);
}

static void a_mistyped_name_finds_the_nearest_one(void **state)
{
    static const struct { const char *section, *key, *meant; } cases[] = {
        { "history", "sise", "history.size" }, { "histroy", "bytes", "history.bytes" }, { "stroe", "dir", "store.dir" },
        { "history", "heartbeat", "sse.heartbeat" }, { "limits", "mesage", "limits.message" }, { "qqqq", "zzzzzzzzzzzz", NULL },
    };
    static const char *const words[] = { "serve", "pub", "sub" };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *got = config_key_nearest(cases[i].section, cases[i].key);
        if (cases[i].meant)
            assert_string_equal(got, cases[i].meant);
        else
            assert_null(got);
    }
    assert_string_equal(nearest("sevre", words, 3), "serve");     /* two letters swapped count once */
    assert_string_equal(nearest("sup", words, 3), "sub");
    assert_null(nearest("xylophone", words, 3));
    assert_null(nearest("", words, 3));
    char longest[200];
    memset(longest, 's', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    assert_null(nearest(longest, words, 3));
}

/* ---- the file ---- */

static void a_file_may_be_indented_commented_and_written_on_windows(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(load(f, "\xEF\xBB\xBF; first\r\n[history] ; a heading\r\n\r\n  size = 5 ; five\r\n\tttl=7s\r\n# more\r\n[ limits ]\r\nchannels: 9"), 0);
    assert_int_equal(f->config->history_size, 5);
    assert_int_equal(f->config->history_ttl_ms, 7000);
    assert_int_equal(f->config->limits_channels, 9);
    assert_int_equal(load(f, ""), 0);
    assert_int_equal(f->config->history_size, 100);
}

static void all_mistakes_are_told_at_once_each_with_its_line(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(load(f,
        "size = 1\n"                    /* 1: before a section */
        "[history]\n"
        "sise = 5\n"                    /* 3 */
        "ttl = soon\n"                  /* 4 */
        "nonsense\n"                    /* 5 */
        "[stroe]\n"                     /* 6 */
        "dir = x\n"                     /* 7 */
        "[limits\n"                     /* 8 */
        "skipped = because the heading is wrong\n"
        "[limits]\n"
        "channels = 10 # ten\n"         /* 11 */
        "foo ; = 3\n"                   /* 12 */
        "[keys \"x\"]\n"                /* 13 */
        "[log] x\n"), ERR_CONFIG);      /* 14 */
    assert_null(f->config);
    static const struct { int line; const char *part; } expected[] = {
        { 1, "[section] must stand above" }, { 3, "did you mean history.size?" }, { 4, "\"soon\" is not a duration" }, { 5, "neither key = value" },
        { 6, "did you mean [store]?" }, { 7, "did you mean store.dir?" }, { 8, "a heading is written [section]" },
        { 11, "a comment behind a value begins with ;" }, { 12, "neither key = value" }, { 13, "[keys] has no titles" }, { 14, "a heading is written" },
    };
    size_t count = sizeof expected / sizeof *expected;
    const char *line = errors(f);
    for (size_t i = 0; i < count; i++) {
        char spot[128], *end = strchr(line, '\n');
        snprintf(spot, sizeof spot, "%s:%d: ", f->file, expected[i].line);
        assert_non_null(end);
        assert_true(slice_begins(slice_of(line), slice_of(spot)));
        char *part = strstr(line, expected[i].part);
        if (!part || part > end)
            fail_msg("line %d does not say \"%s\":\n%s", expected[i].line, expected[i].part, errors(f));
        line = end + 1;
    }
    assert_string_equal(line, "");
    assert_int_equal(f->report.error_count, count);
}

static void long_lines_zero_bytes_and_missing_files_are_errors(void **state)
{
    struct fixture *f = *state;
    static char text[2 << 20];
    memset(text, 'a', sizeof text);
    memcpy(text, "[store]\ndir=", 12);
    text[5000] = '\n';
    assert_int_equal(load_bytes(f, text, 5001), ERR_CONFIG);
    assert_contains(errors(f), "c.ini:2: this line is longer");
    assert_int_equal(load_bytes(f, "[store]\ndir=a\0b\n", 16), ERR_CONFIG);
    assert_contains(errors(f), "c.ini:2: this is not text");
    assert_int_equal(load_bytes(f, text, sizeof text), ERR_CONFIG);
    assert_contains(errors(f), "File too large");
    forget(f);
    unlink(f->file);
    assert_int_equal(config_load_file(f->file, &f->report, &f->config), ERR_CONFIG);
    assert_contains(errors(f), "c.ini: this file cannot be read: No such file");
    forget(f);
    assert_int_equal(config_load_file(f->dir, &f->report, &f->config), ERR_CONFIG);
    assert_contains(errors(f), "Is a directory");
}

static void thousands_of_mistakes_do_not_fill_the_memory(void **state)
{
    struct fixture *f = *state;
    struct buf text = { 0 };
    buf_add_str(&text, "[history]\n");
    for (int i = 0; i < 5000; i++)
        buf_add_str(&text, "sise = 1\n");
    assert_int_equal(load_bytes(f, text.at, text.len), ERR_CONFIG);
    assert_int_equal(f->report.error_count, 5000);
    assert_contains(errors(f), "and more");
    assert_true(f->report.errors.len < 200000);
    buf_fini(&text);
}

/* ---- who wins ---- */

static void flags_win_over_environment_over_file_over_defaults(void **state)
{
    struct fixture *f = *state;
    write_text(f, "[history]\nsize = 1\nttl = 1s\nbytes = 1KiB\n");
    setenv("CARILLON_HISTORY_SIZE", "2", 1);
    setenv("CARILLON_HISTORY_TTL", "2s", 1);
    assert_int_equal(FLAGS(f, f->flag, "--history.size=3"), 0);
    assert_int_equal(f->config->history_size, 3);
    assert_int_equal(f->config->history_ttl_ms, 2000);
    assert_int_equal(f->config->history_bytes, 1024);
    assert_int_equal(f->config->history_max_bytes, 256 << 20);
    assert_int_equal(FLAGS(f, "--history.size", "4", "--config", f->file, "--history.size=5"), 0);
    assert_int_equal(f->config->history_size, 5);
    assert_int_equal(f->config->history_bytes, 1024);
    setenv("CARILLON_CONFIG", f->file, 1);
    assert_int_equal(load_flags(f, 0, NULL), 0);
    assert_int_equal(f->config->history_bytes, 1024);
}

static void a_list_of_a_later_source_replaces_the_whole_list(void **state)
{
    struct fixture *f = *state;
    const char text[] = "[access]\nsubscribe = a b\nsubscribe = c\n";
    write_text(f, text);
    setenv("CARILLON_ACCESS_SUBSCRIBE", "d", 1);
    assert_int_equal(FLAGS(f, f->flag), 0);
    assert_int_equal(f->config->access_subscribe.count, 1);
    assert_string_equal(f->config->access_subscribe.at[0], "d");
    assert_int_equal(FLAGS(f, f->flag, "--access.subscribe=e", "--access.subscribe=f"), 0);
    assert_int_equal(f->config->access_subscribe.count, 2);
    assert_string_equal(f->config->access_subscribe.at[1], "f");
    setenv("CARILLON_ACCESS_SUBSCRIBE", "", 1);
    assert_int_equal(FLAGS(f, f->flag), 0);
    assert_int_equal(f->config->access_subscribe.count, 0);
}

static void mistakes_in_environment_and_flags_name_where_they_are(void **state)
{
    struct fixture *f = *state;
    setenv("CARILLON_HISTORY_SIZE", "many", 1);
    assert_int_equal(FLAGS(f, "--store.sync=never", "--history.sise=4", "--devv", "--dev=1", "stray", "--sse.retry", "--ws.ping", "--config"), ERR_CONFIG);
    assert_contains(errors(f), "CARILLON_HISTORY_SIZE: history.size: \"many\" is not a number\n");
    assert_contains(errors(f), "--store.sync: store.sync: \"never\" is not one of off|batch|each\n");
    assert_contains(errors(f), "--history.sise: there is no such flag; did you mean --history.size?\n");
    assert_contains(errors(f), "--devv: there is no such flag; did you mean --dev?\n");
    assert_contains(errors(f), "--dev: this flag has no value");
    assert_contains(errors(f), "stray: this is not a flag");
    assert_contains(errors(f), "--sse.retry: a value must follow");
    assert_contains(errors(f), "--config: a file must follow");
    assert_int_equal(f->report.error_count, 9);
}

/* Kubernetes sets CARILLON_API_PORT by itself when a service has that name: no reason not to start. */
static void a_variable_that_is_no_key_is_noted_and_ignored(void **state)
{
    struct fixture *f = *state;
    setenv("CARILLON_API_PORT", "tcp://10.0.0.1:80", 1);
    setenv("CARILLON_HISTORY_SISE", "5", 1);
    setenv("CARILLON_KEY", "ck_secret", 1);
    assert_int_equal(load_flags(f, 0, NULL), 0);
    assert_contains(notes(f), "CARILLON_HISTORY_SISE: history.sise is not a setting; did you mean history.size? (ignored)\n");
    assert_contains(notes(f), "CARILLON_API_PORT");
    assert_null(strstr(notes(f), "secret"));
}

/* ---- sections with names of the user's own ---- */

static void keys_are_read_with_their_scopes(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(load(f, "[keys]\nshop = sha256:" HEX " publish:chat.** admin\nall = sha256:" HEX "\n"), 0);
    assert_int_equal(f->config->key_count, 2);
    assert_int_equal(f->config->entry_count, 2);
    const struct api_key *shop = &f->config->keys[0];
    assert_string_equal(shop->name, "shop");
    for (int i = 0; i < 32; i++)
        assert_int_equal(shop->sha256[i], i);
    assert_int_equal(shop->scopes.count, 2);
    assert_string_equal(shop->scopes.at[0], "publish:chat.**");
    assert_string_equal(f->config->keys[1].name, "all");
    assert_int_equal(f->config->keys[1].scopes.count, 0);
    assert_string_equal(f->config->entries[1].section, "keys");
    assert_string_equal(f->config->entries[1].title, "");
    assert_contains(f->config->entries[1].where, "c.ini:3");
}

static void wrong_lines_of_keys_are_told_and_none_gets_in_half(void **state)
{
    static const struct { const char *value, *part; } cases[] = {
        { "", "64 hexadecimal digits" }, { "secret", "64 hexadecimal digits" }, { "sha256:" HEX "00", "64 hexadecimal digits" },
        { "sha256:00", "64 hexadecimal digits" }, { "md5:" HEX, "64 hexadecimal digits" }, { "sha256:g" HEX, "64 hexadecimal digits" },
        { "sha256:" HEX " publsh", "did you mean publish?" }, { "sha256:" HEX " publish:a**", "has no pattern behind its colon" },
        { "sha256:" HEX " admin:a", "admin is for the whole hub" }, { "sha256:" HEX " publish:", "has no pattern" },
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[256];
        snprintf(text, sizeof text, "[keys]\nshop = %s\n", cases[i].value);
        assert_int_equal(load(f, text), ERR_CONFIG);
        assert_contains(errors(f), "c.ini:2: keys.shop: ");
        assert_contains(errors(f), cases[i].part);
    }
}

static void a_free_name_twice_in_one_source_is_a_mistake_and_a_later_source_replaces(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(load(f, "[keys]\nshop = sha256:" HEX "\nshop = sha256:" HEX "\n"), ERR_CONFIG);
    assert_contains(errors(f), "c.ini:3: keys.shop is there already, at ");
    assert_contains(errors(f), "c.ini:2\n");
    write_text(f, "[keys]\nshop = nonsense\n");
    setenv("CARILLON_KEYS_SHOP", "sha256:" HEX " history", 1);
    assert_int_equal(FLAGS(f, f->flag, "--keys.other=sha256:" HEX), 0);
    assert_int_equal(f->config->key_count, 2);
    assert_string_equal(f->config->keys[0].scopes.at[0], "history");
    assert_string_equal(f->config->keys[1].name, "other");
}

static void many_keys_are_all_kept_in_order(void **state)
{
    struct fixture *f = *state;
    struct buf text = { 0 };
    buf_add_str(&text, "[keys]\n");
    for (int i = 0; i < 100; i++)
        buf_addf(&text, "k%d = sha256:" HEX "\n", i);
    assert_int_equal(load_bytes(f, text.at, text.len), 0);
    buf_fini(&text);
    assert_int_equal(f->config->key_count, 100);
    for (int i = 0; i < 100; i++) {
        char name[16];
        snprintf(name, sizeof name, "k%d", i);
        assert_string_equal(f->config->keys[i].name, name);
    }
}

/* ---- --dev ---- */

static void dev_binds_loopback_and_opens_everything(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(FLAGS(f, "--dev"), 0);
    assert_true(f->config->dev);
    assert_string_equal(f->config->public_listen.host, "127.0.0.1");
    assert_string_equal(f->config->public_listen.text, "127.0.0.1:8000");
    assert_int_equal(f->config->access_publish.count, 1);
    assert_string_equal(f->config->access_publish.at[0], "**");
    assert_int_equal(FLAGS(f, "--dev", "--public.listen=[::1]:0", "--api.listen=unix:/tmp/x.sock"), 0);
    assert_int_equal(FLAGS(f, "--public.listen=:9000", "--dev"), 0);
    assert_string_equal(f->config->public_listen.text, "127.0.0.1:9000");
}

static void dev_refuses_every_other_address_and_says_where_it_was_set(void **state)
{
    struct fixture *f = *state;
    static char *const others[] = { "0.0.0.0:0", "[::]:0", "192.168.0.1:80", "example.com:80", "127.example.com:80" };
    setenv("CARILLON_API_LISTEN", "10.0.0.1:1", 1);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        assert_int_equal(FLAGS(f, "--dev", "--public.listen", others[i]), ERR_CONFIG);
        assert_int_equal(f->report.error_count, 2);
        assert_contains(errors(f), "--public.listen: public.listen is ");
        assert_contains(errors(f), "CARILLON_API_LISTEN: api.listen is 10.0.0.1:1, but --dev");
    }
}

/* ---- reload ---- */

static void reload_takes_live_keys_and_keeps_those_that_need_a_restart(void **state)
{
    struct fixture *f = *state;
    const struct config *fresh = NULL;
    const char before[] = "[history]\nsize = 1\n[store]\ndir = here\n[edge]\nthreads = 2\n";
    const char after[] = "[history]\nsize = 2\n[store]\ndir = there\n[edge]\nthreads = 2\n[keys]\nk = sha256:" HEX "\n";
    char *argv[] = { f->flag };
    write_text(f, before);
    assert_int_equal(load_flags(f, 1, argv), 0);
    write_text(f, after);
    assert_int_equal(config_reload(f->config, &f->report, &fresh), 0);
    assert_int_equal(fresh->history_size, 2);
    assert_int_equal(fresh->key_count, 1);
    assert_string_equal(fresh->store_dir, "here");
    assert_string_equal(notes(f), "store.dir = there takes a restart; it stays here until then\n");
    assert_int_equal(f->config->history_size, 1);        /* the old snapshot is what it was */
    config_ref(fresh);
    config_unref(f->config);
    f->config = fresh;
    config_unref(fresh);
    assert_string_equal(fresh->store_dir, "here");       /* and the new one does not lean on it */
}

static void reload_of_a_broken_file_changes_nothing(void **state)
{
    struct fixture *f = *state;
    const struct config *fresh = NULL;
    char *argv[] = { f->flag };
    write_text(f, "[history]\nsize = 1\n");
    assert_int_equal(load_flags(f, 1, argv), 0);
    write_text(f, "[history]\nsize = x\n");
    assert_int_equal(config_reload(f->config, &f->report, &fresh), ERR_CONFIG);
    assert_null(fresh);
    assert_contains(errors(f), "c.ini:2: history.size");
    assert_int_equal(f->config->history_size, 1);
}

/* ---- [channel "…"] ---- */

static const char rules_text[] =
    "[history]\nsize = 50\n[lag]\nbytes = 2MiB\n"
    "[channel \"chat.lobby\"]\nhistory.size = 1000\nlag.policy = skip\nlag.bytes = 3MiB\n"
    "[channel \"chat.quiet\"]\n"
    "[channel \"chat.**\"]\npresence = yes\npublish = no\nmessage = 1MiB\nlag.policy = skip\nanonymous = no\n"
    "[channel \"logs.*\"]\nhistory.ttl = 0\nlast = yes\nlag.bytes = 64KiB\nlag.policy = skip\n";

static void the_first_rule_that_matches_counts_and_the_rest_is_as_set_in_general(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(load(f, rules_text), 0);
    const struct channel_rule *lobby = config_channel_rule(f->config, SLICE("chat.lobby"));
    const struct channel_rule *quiet = config_channel_rule(f->config, SLICE("chat.quiet"));
    const struct channel_rule *chat = config_channel_rule(f->config, SLICE("chat.lobby.2"));
    const struct channel_rule *logs = config_channel_rule(f->config, SLICE("logs.a"));
    const struct channel_rule *other = config_channel_rule(f->config, SLICE("logs.a.b"));
    assert_int_equal(lobby->history_size, 1000);
    assert_int_equal(lobby->lag_policy, LAG_SKIP);
    assert_true(lobby->publish && lobby->anonymous && !lobby->presence);
    assert_string_equal(quiet->pattern, "chat.quiet");      /* a heading alone is a rule */
    assert_true(quiet->publish && quiet->history_size == 50);
    assert_true(chat->presence && !chat->publish && !chat->anonymous && chat->message == 1 << 20);
    assert_true(logs->last && !rule_keeps(logs) && rule_keeps(chat) && logs->lag_bytes == 65536 && lobby->lag_bytes == 3 << 20);
    assert_ptr_equal(other, &f->config->general_rule);
    assert_string_equal(other->pattern, "");
    assert_true(other->history_size == 50 && other->message == 65536 && other->presence_grace_ms == 5000);
    assert_int_equal(f->config->message_most, 1 << 20);
    assert_contains(notes(f), "c.ini:6: history.size has no effect in [channel] sections yet\n");
    assert_null(strstr(notes(f), "publish"));
}

static void a_pattern_has_the_strictest_rule_that_its_channels_can_have(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(load(f, rules_text), 0);
    assert_int_equal(config_pattern_rule(f->config, SLICE("**"))->lag_policy, LAG_DISCONNECT);
    assert_string_equal(config_pattern_rule(f->config, SLICE("logs.*"))->pattern, "logs.*");
    assert_string_equal(config_pattern_rule(f->config, SLICE("*.a"))->pattern, "");
    assert_string_equal(config_pattern_rule(f->config, SLICE("chat.*"))->pattern, "chat.quiet");
    assert_string_equal(config_pattern_rule(f->config, SLICE("chat.a.**"))->pattern, "chat.**");
    assert_int_equal(config_pattern_rule(f->config, SLICE("chat.lobby"))->lag_policy, LAG_SKIP);
    assert_true(config_pattern_anonymous(f->config, SLICE("logs.**")) && config_pattern_anonymous(f->config, SLICE("chat.lobby")));
    assert_false(config_pattern_anonymous(f->config, SLICE("*.lobby.**")) || config_pattern_anonymous(f->config, SLICE("**")));
    assert_int_equal(load(f, "[lag]\npolicy=skip\n[channel \"a.*\"]\nlag.bytes=9\n[channel \"**\"]\nlag.bytes=7\n"), 0);
    assert_int_equal(config_pattern_rule(f->config, SLICE("a.*"))->lag_bytes, 9);     /* the first covers it: no other rule comes in */
    assert_int_equal(config_pattern_rule(f->config, SLICE("a.**"))->lag_bytes, 7);
}

static void wrong_rules_are_told_with_their_lines(void **state)
{
    struct fixture *f = *state;
    static const char *const parts[] = {
        "c.ini:1: a rule says for which channels", "c.ini:3: channel \"a**\" is not a pattern", "c.ini:4: channel \"a.**.b\" is not",
        "c.ini:6: channel \"ok\": history.sise is not a setting of channels; did you mean history.size?",
        "c.ini:7: channel \"ok\": message: \"99MiB\" is more than 1MiB", "c.ini:8: channel \"ok\": lag.policy: \"foo\" is not one of disconnect|skip",
        "c.ini:9: channel.lag.policy is there already", "c.ini:10: channel \"ok\" has a section already, at ", "c.ini:11: channel \"ok\": publish: \"maybe\" is neither",
    };
    assert_int_equal(load(f, "[channel]\nx=1\n[channel \"a**\"]\n[channel \"a.**.b\"]\n[channel \"ok\"]\nhistory.sise=4\nmessage=99MiB\n"
                             "lag.policy=foo\nlag.policy=skip\n[channel \"ok\"]\npublish=maybe\n"), ERR_CONFIG);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        assert_contains(errors(f), parts[i]);
    assert_int_equal(FLAGS(f, "--channel.publish=no"), ERR_CONFIG);
    assert_contains(errors(f), "a rule stands in the file of settings");
    assert_int_equal(load(f, "[channel \"a.**\"]\n[channel \"a.b\"]\nlast=1\n"), 0);
    assert_contains(notes(f), "c.ini:2: [channel \"a.b\"] never counts: [channel \"a.**\"] at ");
}

static void more_rules_than_there_may_be_are_a_mistake(void **state)
{
    struct fixture *f = *state;
    struct buf text = { 0 };
    for (int i = 0; i < CHANNEL_RULES_MAX; i++)
        buf_addf(&text, "[channel \"c.%d\"]\nhistory.size=%d\n", i, i);
    assert_int_equal(load_bytes(f, text.at, text.len), 0);
    assert_int_equal(config_channel_rule(f->config, SLICE("c.999"))->history_size, 999);
    buf_add_str(&text, "[channel \"d\"]\n");
    assert_int_equal(load_bytes(f, text.at, text.len), ERR_CONFIG);
    assert_contains(errors(f), "c.ini:2001: more than 1000 rules");
    buf_fini(&text);
}

static void what_a_rule_says_and_why_it_is_the_one_can_be_told(void **state)
{
    struct fixture *f = *state;
    struct buf text = { 0 };
    assert_int_equal(load(f, rules_text), 0);
    config_rule_explain(f->config, SLICE("chat.x"), &text);
    assert_contains(text_of(&text), "c.ini:5: [channel \"chat.lobby\"] does not match\n");
    assert_contains(text_of(&text), "c.ini:10: [channel \"chat.**\"] matches chat.x: its rule\n");
    assert_contains(text_of(&text), "history.size     = 50           as history.size\n");
    assert_contains(text_of(&text), "c.ini:12\n");
    assert_null(strstr(text_of(&text), "logs"));
    buf_reset(&text);
    config_rule_explain(f->config, SLICE("x"), &text);
    assert_contains(text_of(&text), "no [channel \"…\"] section matches x: the general settings hold\n");
    assert_contains(text_of(&text), "lag.bytes        = 2MiB         as lag.bytes\n");
    buf_fini(&text);
}

static void dev_knows_members_unless_told_otherwise(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(FLAGS(f, "--dev"), 0);
    assert_true(config_channel_rule(f->config, SLICE("x"))->presence);
    assert_int_equal(FLAGS(f, "--dev", "--presence.members=no"), 0);
    assert_false(f->config->general_rule.presence);
}

/* ---- help ---- */

static void help_tells_type_range_default_and_the_three_ways_to_set_a_key(void **state)
{
    char *text = NULL;
    size_t len;
    const char *meant = NULL;
    FILE *out = open_memstream(&text, &len);
    (void)state;
    assert_int_equal(config_help_topic(out, "history.ttl", &meant), 0);
    assert_int_equal(config_help_topic(out, "keys", &meant), 0);
    assert_int_equal(config_help_topic(out, "history.sise", &meant), ERR_NOT_FOUND);
    fclose(out);
    static const char *const parts[] = { "duration", "0 to 3650d", "5m", "SIGHUP", "[history]\n", "ttl = 5m", "CARILLON_HISTORY_TTL=5m", "--history.ttl=5m", "NAME = sha256:HEX" };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        assert_contains(text, parts[i]);
    assert_string_equal(meant, "history.size");
    free(text);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(the_first_rule_that_matches_counts_and_the_rest_is_as_set_in_general),
        T(a_pattern_has_the_strictest_rule_that_its_channels_can_have),
        T(wrong_rules_are_told_with_their_lines),
        T(more_rules_than_there_may_be_are_a_mistake),
        T(what_a_rule_says_and_why_it_is_the_one_can_be_told),
        T(dev_knows_members_unless_told_otherwise),
        T(counts_are_digits_within_their_range),
        T(sizes_have_binary_units),
        T(durations_are_milliseconds_and_a_bare_number_is_seconds),
        T(choices_are_one_of_the_words_of_the_table),
        T(yes_and_no_have_four_pairs_of_words),
        T(paths_are_taken_as_they_are_and_may_be_empty),
        T(addresses_are_host_and_port_or_a_socket_in_the_file_system),
        T(lists_are_split_at_blanks_and_commas_and_a_repeated_key_appends),
        T(origins_are_scheme_and_host_without_a_path),
        T(cookies_need_origins_by_name),
        T(rates_tiers_and_networks_are_checked),
        T(every_default_is_valid_and_printing_and_reading_it_gives_the_same),
        T(sections_have_no_underscore_and_every_key_has_one),
        T(defaults_are_those_of_the_design),
        T(a_mistyped_name_finds_the_nearest_one),
        T(a_file_may_be_indented_commented_and_written_on_windows),
        T(all_mistakes_are_told_at_once_each_with_its_line),
        T(long_lines_zero_bytes_and_missing_files_are_errors),
        T(thousands_of_mistakes_do_not_fill_the_memory),
        T(flags_win_over_environment_over_file_over_defaults),
        T(a_list_of_a_later_source_replaces_the_whole_list),
        T(mistakes_in_environment_and_flags_name_where_they_are),
        T(a_variable_that_is_no_key_is_noted_and_ignored),
        T(keys_are_read_with_their_scopes),
        T(wrong_lines_of_keys_are_told_and_none_gets_in_half),
        T(a_free_name_twice_in_one_source_is_a_mistake_and_a_later_source_replaces),
        T(many_keys_are_all_kept_in_order),
        T(dev_binds_loopback_and_opens_everything),
        T(dev_refuses_every_other_address_and_says_where_it_was_set),
        T(reload_takes_live_keys_and_keeps_those_that_need_a_restart),
        T(reload_of_a_broken_file_changes_nothing),
        T(help_tells_type_range_default_and_the_three_ways_to_set_a_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
