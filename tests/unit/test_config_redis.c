/* [redis]: what makes an engine of it, and what is a mistake. */
#include "tests/unit/config_fixture.h"

#include "hub/config/redis_url.h"
#include "tests/unit/own_certificate.h"

static void without_a_url_there_is_none(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(load(f, ""), 0);
    assert_null(f->config->redis);
    assert_null(f->config->redis_tls);
}

static void a_url_is_taken_apart_and_the_store_rests(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(load(f, "[redis]\nurl = redis://me:p%40ss@r.example:7000/3\n[store]\ndir = somewhere\n[history]\nttl = 1m\n"
                             "[channel \"a.**\"]\nhistory.ttl = 2h\n"), 0);
    const struct redis_url *url = f->config->redis;
    assert_non_null(url);
    assert_string_equal(url->user, "me");
    assert_string_equal(url->password, "p@ss");
    assert_string_equal(url->hosts[0].name, "r.example");
    assert_int_equal(url->hosts[0].port, 7000);
    assert_int_equal(url->db, 3);
    assert_null(f->config->redis_tls);
    assert_contains(notes(f), "store.dir is not used");
    assert_int_equal(f->config->history_most_ms, 2 * 3600 * 1000);
}

static void mistakes_are_told_without_the_password(void **state)
{
    static const struct { const char *text, *says; } cases[] = {
        { "[redis]\nurl = redis://:sesame@h:x\n", "redis.url has a port that is none" },
        { "[redis]\nurl = http://:sesame@h\n", "redis.url begins with none of" },
        { "[redis]\nurl = redis+sentinel://:sesame@h\n", "redis.url does not name the master" },
        { "[redis]\nprefix = a{b}\n", "redis.prefix is 1 to 64 bytes" },
        { "[redis]\nprefix =\n", "redis.prefix is 1 to 64 bytes" },
        { "[redis]\nurl = redis://:sesame@h\nca = /none\n", "redis.ca is for a redis.url that begins with rediss" },
        { "[redis]\nurl = rediss://:sesame@h\nca = /none\n", "redis.ca: \"/none\"" },
        { "[redis]\nurl = rediss://:sesame@h\ncert = /none\n", "redis.cert and redis.key belong together" },
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_not_equal(load(f, cases[i].text), 0);
        assert_int_equal(f->report.error_count, 1);
        assert_contains(errors(f), cases[i].says);
        assert_null(strstr(errors(f), "sesame"));
    }
}

static void over_tls_there_is_a_context(void **state)
{
    struct fixture *f = *state;
    char cert[OWN_FILE_MAX], key[OWN_FILE_MAX], text[3 * OWN_FILE_MAX + 100];
    struct own_certificate own = own_certificate_new(3600);
    own_dir_file(&f->dir, "cert.pem", cert);
    own_dir_file(&f->dir, "key.pem", key);
    own_certificate_write(&own, cert, key);
    own_certificate_free(&own);
    snprintf(text, sizeof text, "[redis]\nurl = rediss://h\nca = %s\ncert = %s\nkey = %s\n", cert, cert, key);
    assert_int_equal(load(f, text), 0);
    assert_non_null(f->config->redis_tls);
    snprintf(text, sizeof text, "[redis]\nurl = rediss://h\nca = %s\ncert = %s\nkey = %s\n", cert, cert, cert);
    assert_int_not_equal(load(f, text), 0);
    assert_contains(errors(f), "redis.key: ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(without_a_url_there_is_none, setup, teardown),
        cmocka_unit_test_setup_teardown(a_url_is_taken_apart_and_the_store_rests, setup, teardown),
        cmocka_unit_test_setup_teardown(mistakes_are_told_without_the_password, setup, teardown),
        cmocka_unit_test_setup_teardown(over_tls_there_is_a_context, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
