/* Addresses, networks of them, and whose request a proxy passes on. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "hub/access/forwarded.h"

#include <arpa/inet.h>

static struct ip ip(const char *text)
{
    struct ip ip = { 0 };
    if (*text)
        assert_true(ip_read(slice_of(text), &ip));
    return ip;
}

/* ---- ip.h ---- */

static void addresses_are_read_and_printed(void **state)
{
    static const struct { const char *text, *printed; } good[] = {
        { "192.0.2.1", "192.0.2.1" }, { "255.255.255.255", "255.255.255.255" }, { "2001:DB8::1", "2001:db8::1" },
        { "::ffff:192.0.2.1", "192.0.2.1" }, { "::1", "::1" }, { "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8" },
    };
    static const char *const bad[] = {
        "", "1", "1.2.3", "1.2.3.4.5", "256.1.1.1", "01.2.3.4", "1.2.3.4 ", " 1.2.3.4", "1.2.3.4/32", "1.2.3.4:80", "[::1]", "fe80::1%eth0",
        ":::", "::", "0.0.0.0", "::ffff:0.0.0.0", "1::2::3", "unknown", "_hidden", "localhost", "0x7f.1", "2001:db8::12345",
        "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb",
    };
    char text[IP_TEXT];
    struct ip none;
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_int_equal(ip_print(ip(good[i].text), text), strlen(good[i].printed));
        assert_string_equal(text, good[i].printed);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (ip_read(slice_of(bad[i]), &none))
            fail_msg("\"%s\" is no address", bad[i]);
    assert_false(ip_read(slice("1.2.3.4\0", 8), &none));
    ip_print((struct ip){ 0 }, text);
    assert_string_equal(text, "unix");
}

static void an_address_is_one_however_it_comes(void **state)
{
    struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(80) };
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_scope_id = 2 };
    struct sockaddr local = { .sa_family = AF_UNIX };
    (void)state;
    inet_pton(AF_INET, "192.0.2.1", &v4.sin_addr);
    inet_pton(AF_INET6, "::ffff:192.0.2.1", &v6.sin6_addr);
    assert_true(ip_is(ip_of((const struct sockaddr *)&v4), ip("192.0.2.1")));
    assert_true(ip_is(ip_of((const struct sockaddr *)&v6), ip("192.0.2.1")));
    assert_true(ip_is_none(ip_of(&local)));
}

static void customers_are_addresses_and_networks_of_64_bits(void **state)
{
    (void)state;
    assert_true(ip_is(ip_customer(ip("2001:db8:0:1::1")), ip_customer(ip("2001:db8:0:1:ffff:ffff:ffff:ffff"))));
    assert_false(ip_is(ip_customer(ip("2001:db8:0:1::1")), ip_customer(ip("2001:db8:0:2::1"))));
    assert_true(ip_is(ip_customer(ip("192.0.2.1")), ip("192.0.2.1")));
    assert_false(ip_is(ip_customer(ip("::1")), ip_customer(ip("127.0.0.1"))));
}

static void networks_have_the_addresses_behind_their_bits(void **state)
{
    static const struct { const char *network, *inside, *outside; } cases[] = {
        { "10.0.0.0/8", "10.255.255.255", "11.0.0.0" },       { "192.0.2.128/25", "192.0.2.128", "192.0.2.127" },
        { "192.0.2.1", "192.0.2.1", "192.0.2.2" },            { "192.0.2.1/32", "192.0.2.1", "192.0.2.0" },
        { "0.0.0.0/0", "203.0.113.9", "2001:db8::1" },        { "2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::1" },
        { "2001:db8::1", "2001:db8::1", "2001:db8::2" },      { "::1/128", "::1", "127.0.0.1" },
        { "fe80::/10", "febf::1", "fec0::1" },                { "10.0.0.0/8", "::ffff:10.1.1.1", "::10.1.1.1" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct network network;
        assert_null(network_read(slice_of(cases[i].network), &network));
        assert_true(network_has(&network, ip(cases[i].inside)));
        assert_false(network_has(&network, ip(cases[i].outside)));
    }
    struct network all;
    assert_null(network_read(SLICE("::/0"), &all));
    assert_true(network_has(&all, ip("192.0.2.1")));
}

static void what_is_no_network_is_told(void **state)
{
    static const char *const bad[] = {
        "", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/8/8", "10.0.0.0/255.0.0.0", "10.1.2.3/8", "2001:db8::1/32", "::/129", "10/8", "any",
        "::ffff:10.0.0.1/8", "0.0.0.0", "::",
    };
    struct network network;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (!network_read(slice_of(bad[i]), &network))
            fail_msg("\"%s\" is no network", bad[i]);
    assert_non_null(strstr(network_read(SLICE("10.1.2.3/8"), &network), "10.0.0.0/8, not 10.1.2.3/8"));
}

/* ---- forwarded.h ---- */

static struct ip client(enum proxy_header header, const char *peer, const char *first, const char *second)
{
    static const char *const at[] = { "10.0.0.0/8", "2001:db8::/32", "unix" };
    static const struct words trusted = { at, 3 };
    struct proxies proxies = { &trusted, header };
    struct slice lines[2] = { slice_of(first), slice_of(second ? second : "") };
    return forwarded_client(&proxies, ip(peer), lines, second ? 2 : 1);
}

struct passed { const char *peer, *first, *second, *client; };

static void expect_clients(enum proxy_header header, const struct passed *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char text[IP_TEXT], wanted[IP_TEXT];
        ip_print(client(header, cases[i].peer, cases[i].first, cases[i].second), text);
        ip_print(ip(cases[i].client), wanted);
        if (strcmp(text, wanted))
            fail_msg("%s: \"%s\" \"%s\" is %s, not %s", cases[i].peer, cases[i].first, cases[i].second ? cases[i].second : "", wanted, text);
    }
}

static void x_forwarded_for_is_read_from_its_end_as_far_as_it_is_trusted(void **state)
{
    static const struct passed cases[] = {
        { "10.0.0.1", "203.0.113.7", NULL, "203.0.113.7" },
        { "", "203.0.113.7", NULL, "203.0.113.7" },                                     /* a unix socket */
        { "203.0.113.9", "198.51.100.1", NULL, "203.0.113.9" },                         /* who is not trusted says what he likes */
        { "10.0.0.1", "198.51.100.1, 203.0.113.7", NULL, "203.0.113.7" },               /* made up before it */
        { "10.0.0.1", "198.51.100.1, 203.0.113.7, 10.0.0.2", NULL, "203.0.113.7" },     /* two proxies */
        { "10.0.0.1", "198.51.100.1", "203.0.113.7", "203.0.113.7" },                   /* two lines are one list */
        { "10.0.0.1", "203.0.113.7", "10.0.0.2", "203.0.113.7" },
        { "10.0.0.1", "10.0.0.3,10.0.0.2", NULL, "10.0.0.3" },                          /* all of them ours */
        { "10.0.0.1", "2001:db9::7", NULL, "2001:db9::7" },
        { "10.0.0.1", "[2001:db9::7]:4711", NULL, "2001:db9::7" },
        { "10.0.0.1", "203.0.113.7:4711", NULL, "203.0.113.7" },
        { "10.0.0.1", "::ffff:203.0.113.7", NULL, "203.0.113.7" },
        { "2001:db8::1", " 203.0.113.7\t", NULL, "203.0.113.7" },
        { "10.0.0.1", "203.0.113.7, ,", NULL, "203.0.113.7" },
        { "10.0.0.1", "", NULL, "10.0.0.1" },
        { "10.0.0.1", "203.0.113.7, unknown", NULL, "10.0.0.1" },                       /* rubbish: the proxy that passed it on */
        { "10.0.0.1", "203.0.113.7, rubbish, 10.0.0.2", NULL, "10.0.0.2" },
        { "10.0.0.1", "203.0.113.7 10.0.0.2", NULL, "10.0.0.1" },
        { "10.0.0.1", "203.0.113.7:", NULL, "10.0.0.1" },
        { "10.0.0.1", "203.0.113.7:99999", NULL, "10.0.0.1" },
        { "10.0.0.1", "[2001:db9::7", NULL, "10.0.0.1" },
        { "10.0.0.1", "[2001:db9::7]x", NULL, "10.0.0.1" },
        { "10.0.0.1", "::", NULL, "10.0.0.1" },
        { "10.0.0.1", "for=203.0.113.7", NULL, "10.0.0.1" },
        { "10.0.0.1", "203.0.113.7\"", NULL, "10.0.0.1" },
        { "10.0.0.1", "\"x, 203.0.113.7", NULL, "203.0.113.7" },                        /* a quote that is left open swallows nothing */
    };
    (void)state;
    expect_clients(PROXY_X_FORWARDED_FOR, cases, sizeof cases / sizeof *cases);
}

static void forwarded_is_read_as_rfc_7239_writes_it(void **state)
{
    static const struct passed cases[] = {
        { "10.0.0.1", "for=203.0.113.7", NULL, "203.0.113.7" },
        { "10.0.0.1", "For=\"[2001:db9:cafe::17]:4711\"", NULL, "2001:db9:cafe::17" },
        { "10.0.0.1", "for=203.0.113.7;proto=http;by=10.0.0.1", NULL, "203.0.113.7" },
        { "10.0.0.1", "proto=http; FOR=\"203.0.113.7:80\" ;by=x", NULL, "203.0.113.7" },
        { "10.0.0.1", "for=198.51.100.1, for=203.0.113.7, for=10.0.0.2", NULL, "203.0.113.7" },
        { "10.0.0.1", "for=198.51.100.1", "for=203.0.113.7", "203.0.113.7" },
        { "10.0.0.1", "for=203.0.113.7;host=\"a, for=198.51.100.1\"", NULL, "203.0.113.7" },
        { "10.0.0.1", "for=\"x, for=203.0.113.7", NULL, "203.0.113.7" },                /* left open by a client */
        { "10.0.0.1", "for=\"x\\\", for=203.0.113.7", NULL, "203.0.113.7" },
        { "10.0.0.1", "for=unknown", NULL, "10.0.0.1" },
        { "10.0.0.1", "for=_gazonk", NULL, "10.0.0.1" },
        { "10.0.0.1", "for=", NULL, "10.0.0.1" },
        { "10.0.0.1", "proto=http", NULL, "10.0.0.1" },
        { "10.0.0.1", "203.0.113.7", NULL, "10.0.0.1" },
        { "203.0.113.9", "for=198.51.100.1", NULL, "203.0.113.9" },
    };
    (void)state;
    expect_clients(PROXY_FORWARDED, cases, sizeof cases / sizeof *cases);
}

static void a_list_without_end_is_read_only_so_far(void **state)
{
    char line[4096] = "203.0.113.7";
    (void)state;
    for (int i = 0; i < 200; i++)
        strcat(line, ",10.0.0.2");
    assert_true(ip_is(client(PROXY_X_FORWARDED_FOR, "10.0.0.1", line, NULL), ip("10.0.0.2")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_read_and_printed),
        cmocka_unit_test(an_address_is_one_however_it_comes),
        cmocka_unit_test(customers_are_addresses_and_networks_of_64_bits),
        cmocka_unit_test(networks_have_the_addresses_behind_their_bits),
        cmocka_unit_test(what_is_no_network_is_told),
        cmocka_unit_test(x_forwarded_for_is_read_from_its_end_as_far_as_it_is_trusted),
        cmocka_unit_test(forwarded_is_read_as_rfc_7239_writes_it),
        cmocka_unit_test(a_list_without_end_is_read_only_so_far),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
