/* Credentials of TURN servers: fixed vectors, computed by others (openssl dgst -sha1 -hmac, Python's hmac). */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "hub/config/config.h"
#include "hub/rooms/ice.h"

static const struct vector { const char *secret, *user, *username, *credential; int64_t ends_s; } vectors[] = {
    { "north", "ann", "1700000105:ann", "LxFACf0juqRmjaLwl2VCh3VYL7I=", 1700000105 },
    { "logen", "gorst", "1400000000:gorst", "npgsIf4DNhEghhFRj69JlJeE2Us=", 1400000000 },
    { "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "a:b c", "2000000000:a%3Ab%20c", "khORl5aRG+Fj/j8/JJ7YY6Q/4tw=", 2000000000 },
    { "north", "Ann O'Neil", "1700000105:Ann%20O%27Neil", "IYgNtbhzTKGY5KkXwWnMAg0PQSE=", 1700000105 },
    { "north", "Jürgen-😀_.~", "1700000105:J%C3%BCrgen-%F0%9F%98%80_.~", "EgWAb7zq23jNj5bkx6XAb639IWU=", 1700000105 },
    { "s", "", "1", "VGwYObhdOyL8+PlQIxTuAakc978=", 1 },
};

static void credentials_are_what_the_server_computes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        struct buf username = { 0 }, credential = { 0 };
        ice_username(&username, slice_of(vectors[i].user), vectors[i].ends_s);
        assert_true(slice_is(buf_slice(&username), slice_of(vectors[i].username)));
        ice_credential(&credential, slice_of(vectors[i].secret), buf_slice(&username));
        assert_true(slice_is(buf_slice(&credential), slice_of(vectors[i].credential)));
        buf_fini(&username);
        buf_fini(&credential);
    }
}

static void a_username_is_never_longer_than_a_server_reads(void **state)
{
    char name[200];
    struct buf username = { 0 };
    (void)state;
    memset(name, ' ', sizeof name);
    ice_username(&username, (struct slice){ name, sizeof name }, INT64_MAX);
    assert_int_equal(username.len, 19 + 1 + 3 * ICE_USER_BYTES);
    assert_in_range(username.len, 1, 508);
    assert_memory_equal(username.at + username.len - 6, "%20%20", 6);
    buf_fini(&username);
}

static const char *print(struct buf *out, const struct config *config, int64_t ttl_ms, int64_t *ret_valid_ms)
{
    buf_reset(out);
    *ret_valid_ms = ice_print(out, config, SLICE("ann"), 1700000000500, ttl_ms);
    buf_add_char(out, '\0');
    return out->at;
}

static void servers_are_named_once_for_each_secret_and_without_one_as_they_are(void **state)
{
    static const char *const stun[] = { "stun:a" }, *const turn[] = { "turn:b", "turns:c" };
    const struct slice keys[] = { SLICE("north"), SLICE("south") };
    struct config config = *config_defaults();
    struct buf out = { 0 };
    int64_t valid_ms;
    (void)state;
    assert_string_equal(print(&out, &config, 0, &valid_ms), ",\"ice_servers\":[]");
    assert_true(valid_ms == INT64_MAX);
    config.ice_stun = (struct words){ stun, 1 };
    config.ice_turn = (struct words){ turn, 2 };
    assert_string_equal(print(&out, &config, 0, &valid_ms), ",\"ice_servers\":[{\"urls\":[\"stun:a\"]},{\"urls\":[\"turn:b\",\"turns:c\"]}]");
    config.ice_user = "u\"";
    config.ice_password = "p";
    assert_string_equal(print(&out, &config, 0, &valid_ms),
                        ",\"ice_servers\":[{\"urls\":[\"stun:a\"]},{\"urls\":[\"turn:b\",\"turns:c\"],\"username\":\"u\\\"\",\"credential\":\"p\"}]");
    config.ice_user = config.ice_password = "";
    config.ice_keys = keys;
    config.ice_key_count = 2;
    assert_string_equal(print(&out, &config, 60000, &valid_ms),
                        ",\"ice_servers\":[{\"urls\":[\"stun:a\"]},{\"urls\":[\"turn:b\",\"turns:c\"],\"username\":\"1700000060:ann\",\"credential\":\"FU+L3A2KrinuwW92i96aGoopJUw=\"},"
                        "{\"urls\":[\"turn:b\",\"turns:c\"],\"username\":\"1700000060:ann\",\"credential\":\"DgLvhewNrBrgPJ2Er9ztQ+MZofI=\"}],\"ice_expires_ms\":59500");
    assert_int_equal(valid_ms, 59500);
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(credentials_are_what_the_server_computes),
        cmocka_unit_test(a_username_is_never_longer_than_a_server_reads),
        cmocka_unit_test(servers_are_named_once_for_each_secret_and_without_one_as_they_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
