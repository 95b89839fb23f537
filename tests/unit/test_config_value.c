/* The types of settings and their limits. */
#include "config_fixture.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FILE(counts_are_digits_within_their_range),
        WITH_FILE(sizes_have_binary_units),
        WITH_FILE(durations_are_milliseconds_and_a_bare_number_is_seconds),
        WITH_FILE(choices_are_one_of_the_words_of_the_table),
        WITH_FILE(yes_and_no_have_four_pairs_of_words),
        WITH_FILE(paths_are_taken_as_they_are_and_may_be_empty),
        WITH_FILE(addresses_are_host_and_port_or_a_socket_in_the_file_system),
        WITH_FILE(lists_are_split_at_blanks_and_commas_and_a_repeated_key_appends),
        WITH_FILE(origins_are_scheme_and_host_without_a_path),
        WITH_FILE(cookies_need_origins_by_name),
        WITH_FILE(rates_tiers_and_networks_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
