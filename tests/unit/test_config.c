/* The settings as a whole: their table, who wins, all mistakes at once, sections with free names, reload, help. */
#include "config_fixture.h"

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
    assert_int_equal(config_load_file(f->dir.path, &f->report, &f->config), ERR_CONFIG);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FILE(every_default_is_valid_and_printing_and_reading_it_gives_the_same),
        WITH_FILE(sections_have_no_underscore_and_every_key_has_one),
        WITH_FILE(defaults_are_those_of_the_design),
        WITH_FILE(a_mistyped_name_finds_the_nearest_one),
        WITH_FILE(a_file_may_be_indented_commented_and_written_on_windows),
        WITH_FILE(all_mistakes_are_told_at_once_each_with_its_line),
        WITH_FILE(long_lines_zero_bytes_and_missing_files_are_errors),
        WITH_FILE(thousands_of_mistakes_do_not_fill_the_memory),
        WITH_FILE(flags_win_over_environment_over_file_over_defaults),
        WITH_FILE(a_list_of_a_later_source_replaces_the_whole_list),
        WITH_FILE(mistakes_in_environment_and_flags_name_where_they_are),
        WITH_FILE(a_variable_that_is_no_key_is_noted_and_ignored),
        WITH_FILE(keys_are_read_with_their_scopes),
        WITH_FILE(wrong_lines_of_keys_are_told_and_none_gets_in_half),
        WITH_FILE(a_free_name_twice_in_one_source_is_a_mistake_and_a_later_source_replaces),
        WITH_FILE(many_keys_are_all_kept_in_order),
        WITH_FILE(dev_binds_loopback_and_opens_everything),
        WITH_FILE(dev_refuses_every_other_address_and_says_where_it_was_set),
        WITH_FILE(reload_takes_live_keys_and_keeps_those_that_need_a_restart),
        WITH_FILE(reload_of_a_broken_file_changes_nothing),
        WITH_FILE(help_tells_type_range_default_and_the_three_ways_to_set_a_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
