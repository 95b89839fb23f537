/* Who counts as one. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "transports/accept.h"

#include <arpa/inet.h>
#include <string.h>

static void key_of(const char *text, uint8_t key[16])
{
    struct sockaddr_in v4 = { .sin_family = AF_INET };
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(1), .sin6_scope_id = 2 };
    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
        seats_key((const struct sockaddr *)&v4, key);
    else if (inet_pton(AF_INET6, text, &v6.sin6_addr) == 1)
        seats_key((const struct sockaddr *)&v6, key);
    else
        fail_msg("no address: %s", text);
}

static bool are_one(const char *a, const char *b)
{
    uint8_t one[16], other[16];
    key_of(a, one);
    key_of(b, other);
    return !memcmp(one, other, sizeof one);
}

static void an_ipv4_address_is_one_however_it_comes(void **state)
{
    (void)state;
    assert_true(are_one("192.0.2.1", "192.0.2.1"));
    assert_true(are_one("192.0.2.1", "::ffff:192.0.2.1"));
    assert_false(are_one("192.0.2.1", "192.0.2.2"));
    assert_false(are_one("::ffff:192.0.2.1", "::ffff:192.0.2.2"));
}

static void an_ipv6_network_of_64_bits_is_one(void **state)
{
    (void)state;
    assert_true(are_one("2001:db8:0:1::1", "2001:db8:0:1:ffff:ffff:ffff:ffff"));
    assert_false(are_one("2001:db8:0:1::1", "2001:db8:0:2::1"));
    assert_false(are_one("2001:db8::1", "::ffff:192.0.2.1"));
    assert_false(are_one("::1", "127.0.0.1"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_ipv4_address_is_one_however_it_comes),
        cmocka_unit_test(an_ipv6_network_of_64_bits_is_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
