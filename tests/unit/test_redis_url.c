/* What redis.url may say, and what is said about what it may not. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "hub/config/redis_url.h"

static const struct good { const char *text, *prints, *user, *password; bool tls; unsigned db; size_t hosts; const char *host; uint16_t port; } goods[] = {
    { "redis://localhost", "localhost:6379", NULL, NULL, false, 0, 1, "localhost", 6379 },
    { "redis://localhost/", "localhost:6379", NULL, NULL, false, 0, 1, "localhost", 6379 },
    { "rediss://r.example:7000/3", "r.example:7000 db 3", NULL, NULL, true, 3, 1, "r.example", 7000 },
    { "redis://:secret@10.0.0.1", "10.0.0.1:6379", NULL, "secret", false, 0, 1, "10.0.0.1", 6379 },
    { "redis://hub:p%40ss%3A%2F@[2001:db8::1]:6380", "[2001:db8::1]:6380", "hub", "p@ss:/", false, 0, 1, "2001:db8::1", 6380 },
    { "redis://hub:a@b@h", "h:6379", "hub", "a@b", false, 0, 1, "h", 6379 },
    { "unix:/run/redis/redis.sock", "unix:/run/redis/redis.sock", NULL, NULL, false, 0, 0, NULL, 0 },
    { "unix:/run/r?db=2", "unix:/run/r db 2", NULL, NULL, false, 2, 0, NULL, 0 },
    { "redis+sentinel://a,b:1,[::1]:2/mymaster", "a:26379,b:1,[::1]:2/mymaster", NULL, NULL, false, 0, 3, "a", 26379 },
    { "rediss+sentinel://u:p@a/m/4", "a:26379/m db 4", "u", "p", true, 4, 1, "a", 26379 },
};

static void a_url_is_taken_apart_and_printed_without_its_secrets(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof goods / sizeof *goods; i++) {
        const struct good *good = &goods[i];
        struct redis_url url;
        struct buf out = { .at = NULL };
        assert_null(redis_url_read(slice_of(good->text), &url));
        redis_url_print(&url, &out);
        assert_true(slice_is(buf_slice(&out), slice_of(good->prints)));
        assert_int_equal(url.tls, good->tls);
        assert_int_equal(url.db, good->db);
        assert_int_equal(url.n_hosts, good->hosts);
        assert_true(!url.user == !good->user && (!url.user || !strcmp(url.user, good->user)));
        assert_true(!url.password == !good->password && (!url.password || !strcmp(url.password, good->password)));
        if (good->host)
            assert_string_equal(url.hosts[0].name, good->host);
        if (good->host)
            assert_int_equal(url.hosts[0].port, good->port);
        buf_fini(&out);
        redis_url_fini(&url);
    }
}

static const struct bad { const char *text, *says; } bads[] = {
    { "", "begins with none" },                          { "http://x", "begins with none" },
    { "redis://", "names no host" },                     { "redis://:6379", "names no host" },
    { "redis://h:0", "port" },                           { "redis://h:65536", "port" },
    { "redis://h:x", "port" },                           { "redis://h/x", "database" },
    { "redis://h/-1", "database" },                      { "redis://h/99999999999999999999", "database" },
    { "redis://user@h", "without a password" },          { "redis://u:%zz@h", "hexadecimal" },
    { "redis://u:%00@h", "hexadecimal" },                { "redis://[::1]x", "brackets" },
    { "redis://u:p%4@h", "hexadecimal" },                { "unix:relative", "names no socket" },
    { "unix:/a?x=1", "db=" },                            { "redis+sentinel://a,b", "does not name the master" },
    { "redis+sentinel://a,,b/m", "names no host" },      { "redis+sentinel:///m", "names no host" },
    { "redis+sentinel://1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17/m", "more than 16" },
};

static void what_is_wrong_with_a_url_is_said(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bads / sizeof *bads; i++) {
        struct redis_url url = { .db = 77 };
        const char *wrong = redis_url_read(slice_of(bads[i].text), &url);
        if (!wrong || !strstr(wrong, bads[i].says))
            fail_msg("%s: %s", bads[i].text, wrong ? wrong : "(taken)");
        assert_int_equal(url.db, 77);      /* untouched */
    }
    const char *wrong = redis_url_read(slice("redis://a\0b", 11), &(struct redis_url){ .tls = false });
    assert_non_null(wrong);
    assert_non_null(strstr(wrong, "control character"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_url_is_taken_apart_and_printed_without_its_secrets),
        cmocka_unit_test(what_is_wrong_with_a_url_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
