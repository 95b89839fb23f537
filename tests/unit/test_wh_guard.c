/* Where webhooks may go: every network of the list at its first and its last address and beside them, IPv4 inside IPv6, what is
 * opened, and URLs of every bad kind. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "webhooks/endpoint_url.h"
#include "webhooks/guard.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

static const char *judge(const struct guard *guard, const char *text)
{
    struct sockaddr_in v4 = { .sin_family = AF_INET };
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
        return guard_judge(guard, (const struct sockaddr *)&v4);
    assert_int_equal(inet_pton(AF_INET6, text, &v6.sin6_addr), 1);
    return guard_judge(guard, (const struct sockaddr *)&v6);
}

static void must(const struct guard *guard, const char *text, bool open)
{
    const char *what = judge(guard, text);
    if (!what != open)
        fail_msg("%s is %s", text, what ? what : "open");
}

/* The neighbours are NULL where they lie in another network of the list, or where there are none. */
static const struct { const char *before, *first, *last, *after; } networks[] = {
    { NULL,              "0.0.0.0",       "0.255.255.255",   "1.0.0.0" },
    { "9.255.255.255",   "10.0.0.0",      "10.255.255.255",  "11.0.0.0" },
    { "100.63.255.255",  "100.64.0.0",    "100.127.255.255", "100.128.0.0" },
    { "126.255.255.255", "127.0.0.0",     "127.255.255.255", "128.0.0.0" },
    { "169.253.255.255", "169.254.0.0",   "169.254.255.255", "169.255.0.0" },
    { "172.15.255.255",  "172.16.0.0",    "172.31.255.255",  "172.32.0.0" },
    { "191.255.255.255", "192.0.0.0",     "192.0.0.255",     "192.0.1.0" },
    { "192.0.1.255",     "192.0.2.0",     "192.0.2.255",     "192.0.3.0" },
    { "192.88.98.255",   "192.88.99.0",   "192.88.99.255",   "192.88.100.0" },
    { "192.167.255.255", "192.168.0.0",   "192.168.255.255", "192.169.0.0" },
    { "198.17.255.255",  "198.18.0.0",    "198.19.255.255",  "198.20.0.0" },
    { "198.51.99.255",   "198.51.100.0",  "198.51.100.255",  "198.51.101.0" },
    { "203.0.112.255",   "203.0.113.0",   "203.0.113.255",   "203.0.114.0" },
    { "223.255.255.255", "224.0.0.0",     "239.255.255.255", NULL },
    { NULL,              "240.0.0.0",     "255.255.255.255", NULL },
    { NULL,              "::",            "::ffff:ffff",     "::1:0:0" },
    { "ff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "100::", "100::ffff:ffff:ffff:ffff", "100:0:0:1::" },
    { "2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2001::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", "2001:200::" },
    { "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db9::" },
    { "3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", "3fff:1000::" },
    { "5eff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "5f00::", "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "5f01::" },
    { "fbff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "fe00::" },
    { "fe7f:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", NULL },
    { NULL,              "fec0::",        "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", NULL },
    { NULL,              "ff00::",        "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", NULL },
};

static void every_network_of_the_list_is_closed_from_its_first_to_its_last_address(void **state)
{
    struct guard *guard = guard_new();
    (void)state;
    for (size_t i = 0; i < sizeof networks / sizeof *networks; i++) {
        must(guard, networks[i].first, false);
        must(guard, networks[i].last, false);
        if (networks[i].before)
            must(guard, networks[i].before, true);
        if (networks[i].after)
            must(guard, networks[i].after, true);
    }
    guard_free(guard);
}

static void the_public_internet_is_open(void **state)
{
    static const char *const open[] = { "1.1.1.1", "8.8.8.8", "93.184.216.34", "2606:4700:4700::1111", "2a00:1450:4001::1", "64:ff9a::1", "64:ff9c::1",
        "64:ff9b:2::a00:1", "2003::1", "2001:ffff::1" };
    struct guard *guard = guard_new();
    (void)state;
    for (size_t i = 0; i < sizeof open / sizeof *open; i++)
        must(guard, open[i], true);
    guard_free(guard);
}

/* Each IPv4 network of the list in each form that carries it; and what is public stays public in it. */
static void ipv4_inside_ipv6_is_judged_by_the_ipv4(void **state)
{
    struct guard *guard = guard_new();
    (void)state;
    for (size_t i = 0; i < sizeof networks / sizeof *networks; i++) {
        const char *const ends[] = { networks[i].first, networks[i].last, networks[i].before, networks[i].after };
        for (size_t k = 0; k < 4; k++) {
            unsigned char v4[4];
            char text[64];
            if (!ends[k] || inet_pton(AF_INET, ends[k], v4) != 1)
                continue;
            snprintf(text, sizeof text, "::ffff:%s", ends[k]);
            must(guard, text, k > 1);
            snprintf(text, sizeof text, "64:ff9b::%s", ends[k]);
            must(guard, text, k > 1);
            snprintf(text, sizeof text, "64:ff9b:1::%s", ends[k]);
            must(guard, text, k > 1);
            snprintf(text, sizeof text, "64:ff9b:1:1:%02x:%02x%02x:%02x00:0", v4[0], v4[1], v4[2], v4[3]);     /* RFC 6052: divided at /64 */
            if (k < 2)
                must(guard, text, false);
            snprintf(text, sizeof text, "2002:%02x%02x:%02x%02x::1", v4[0], v4[1], v4[2], v4[3]);
            must(guard, text, k > 1);
        }
    }
    guard_free(guard);
}

static void networks_can_be_opened(void **state)
{
    struct guard *guard = guard_new();
    (void)state;
    assert_null(guard_allow(guard, SLICE("127.0.0.1")));
    assert_null(guard_allow(guard, SLICE("10.1.0.0/16")));
    assert_null(guard_allow(guard, SLICE("fd00::/8")));
    must(guard, "127.0.0.1", true);
    must(guard, "127.0.0.2", false);
    must(guard, "10.1.255.255", true);
    must(guard, "10.2.0.0", false);
    must(guard, "::ffff:10.1.2.3", true);
    must(guard, "64:ff9b::10.1.2.3", true);
    must(guard, "2002:a01:203::", true);
    must(guard, "fd12::1", true);
    must(guard, "fc12::1", false);
    must(guard, "::1", false);
    assert_null(guard_allow(guard, SLICE("::/0")));
    must(guard, "::1", true);
    must(guard, "169.254.169.254", true);
    guard_free(guard);
}

static void a_network_that_is_none_is_told(void **state)
{
    static const char *const bad[] = { "", "10.0.0.0/33", "10.1.2.3/8", "fd00::/129", "example.com", "10.0.0.0/", "10.0.0.0/8 ", "unix", "0.0.0.0" };
    struct guard *guard = guard_new();
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_non_null(guard_allow(guard, slice_of(bad[i])));
    must(guard, "10.0.0.1", false);
    for (size_t i = 0; i < GUARD_ALLOWED; i++)
        assert_null(guard_allow(guard, SLICE("192.168.1.0/24")));
    assert_non_null(guard_allow(guard, SLICE("192.168.1.0/24")));
    guard_free(guard);
}

static void what_is_no_address_of_the_internet_is_closed(void **state)
{
    struct sockaddr_un local = { .sun_family = AF_UNIX, .sun_path = "/run/docker.sock" };
    struct guard *guard = guard_new();
    (void)state;
    assert_null(guard_allow(guard, SLICE("::/0")));
    assert_non_null(guard_judge(guard, (const struct sockaddr *)&local));
    guard_free(guard);
}

/* ---- URLs ---- */

static void good_urls_are_good(void **state)
{
    static const char *const good[] = {
        "https://example.com", "https://example.com/", "https://example.com:8443/hook?a=b&c=%20", "HTTPS://EXAMPLE.COM/x", "https://xn--bcher-kva.example/",
        "https://1.1.1.1/hook", "https://[2606:4700::1]:443/hook", "https://a_b.example.com/", "https://example.com./", "https://example.com?x=a@b",
        "https://localhost/", /* a name: judged when it is connected to */
    };
    struct guard *guard = guard_new();
    char why[160];
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        const char *wrong = endpoint_url_check(slice_of(good[i]), guard, false, why);
        if (wrong)
            fail_msg("%s %s", good[i], wrong);
    }
    assert_null(endpoint_url_check(SLICE("http://example.com/"), guard, true, why));
    assert_null(guard_allow(guard, SLICE("127.0.0.0/8")));
    assert_null(endpoint_url_check(SLICE("http://127.0.0.1:3000/"), guard, true, why));
    guard_free(guard);
}

static void bad_urls_are_told_what_is_wrong_with_them(void **state)
{
    static const struct { const char *url, *says; } bad[] = {
        { "", "empty" }, { "example.com/hook", "https://" }, { "//example.com", "https://" }, { "https:/example.com", "https://" }, { "https:example.com", "https://" },
        { "http://example.com/", "webhooks.allow_http" }, { "ftp://example.com/", "https://" }, { "file:///etc/passwd", "https://" },
        { "gopher://example.com/_x", "https://" }, { "unix:///run/x.sock", "https://" }, { "javascript:alert(1)", "https://" }, { "wss://example.com/", "https://" },
        { "https://", "no host" }, { "https:///path", "no host" }, { "https://:443/", "no host" }, { "https://?x", "no host" },
        { "https://user@example.com/", "user name" }, { "https://user:pw@example.com/", "user name" }, { "https://@example.com/", "user name" },
        { "https://example.com@10.0.0.1/", "user name" }, { "https://example.com:0/", "port" }, { "https://example.com:65536/", "port" },
        { "https://example.com:/", "port" }, { "https://example.com:abc/", "port" }, { "https://example.com:-1/", "port" }, { "https://example.com:443:443/", "port" },
        { "https://[::1/", "without its ]" }, { "https://[::zz]/", "URL" }, { "https://[::1]x/", "URL" }, { "https://[fe80::1%25eth0]/", "%" }, { "https://exa%6dple.com/", "%" },
        { "https://example.com/#part", "fragment" }, { "https://example.com/a b", "%XX" }, { "https://example.com\\@evil.example/", "%XX" },
        { "https://b\xc3\xbc" "cher.example/", "%XX" }, { "https://example.com/\r\nX: y", "control" }, { "https://example.com/\t", "control" },
        { "https://127.0.0.1/", "loopback" }, { "https://2130706433/", "loopback" }, { "https://0x7f000001/", "loopback" }, { "https://0177.0.0.1/", "loopback" },
        { "https://127.1/", "loopback" }, { "https://0/", "this host" }, { "https://10.0.0.1:8443/", "private" }, { "https://169.254.169.254/latest/meta-data/", "metadata" },
        { "https://[::1]/", "loopback" }, { "https://[::ffff:127.0.0.1]/", "loopback" }, { "https://[::ffff:7f00:1]/", "loopback" }, { "https://[64:ff9b::7f00:1]/", "loopback" },
        { "https://[2002:7f00:1::]/", "loopback" }, { "https://[::]/", "unspecified" }, { "https://[fd00::1]/", "private" },
    };
    struct guard *guard = guard_new();
    char why[160];
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const char *wrong = endpoint_url_check(slice_of(bad[i].url), guard, false, why);
        if (!wrong || !strstr(wrong, bad[i].says))
            fail_msg("%s: %s", bad[i].url, wrong ? wrong : "is good");
    }
    guard_free(guard);
}

static void a_url_has_a_length_and_no_nul(void **state)
{
    char url[ENDPOINT_URL_MAX + 2] = "https://example.com/", why[160];
    struct guard *guard = guard_new();
    (void)state;
    memset(url + strlen(url), 'x', sizeof url - 1 - strlen(url));
    url[sizeof url - 1] = '\0';
    assert_non_null(strstr(endpoint_url_check(slice_of(url), guard, false, why), "longer"));
    assert_null(endpoint_url_check(slice(url, ENDPOINT_URL_MAX), guard, false, why));
    assert_non_null(strstr(endpoint_url_check(SLICE("https://example.com/\0x"), guard, false, why), "control"));
    guard_free(guard);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_network_of_the_list_is_closed_from_its_first_to_its_last_address),
        cmocka_unit_test(the_public_internet_is_open),
        cmocka_unit_test(ipv4_inside_ipv6_is_judged_by_the_ipv4),
        cmocka_unit_test(networks_can_be_opened),
        cmocka_unit_test(a_network_that_is_none_is_told),
        cmocka_unit_test(what_is_no_address_of_the_internet_is_closed),
        cmocka_unit_test(good_urls_are_good),
        cmocka_unit_test(bad_urls_are_told_what_is_wrong_with_them),
        cmocka_unit_test(a_url_has_a_length_and_no_nul),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
