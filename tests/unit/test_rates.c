/* How often clients may do what: rates as they are written, buckets, and which limits count whom. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "hub/access/access.h"
#include "hub/access/rates.h"
#include "hub/base/buckets.h"
#include "hub/base/err.h"
#include "hub/config/config.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

/* ---- rate.h ---- */

static struct rate rate(const char *text)
{
    struct rate rate;
    const char *fault = rate_read(slice_of(text), &rate);
    if (fault)
        fail_msg("%s %s", text, fault);
    return rate;
}

static void rates_are_read_and_printed_the_same(void **state)
{
    static const struct { const char *text, *printed; uint64_t amount, burst; int64_t per_ms; } cases[] = {
        { "100/1s", "100/1s", 100, 100, 1000 },           { "60/1m burst 200", "60/1m burst 200", 60, 200, 60000 },
        { "5/h", "5/1h", 5, 5, 3600000 },                 { "1/d burst 1", "1/1d", 1, 1, 86400000 },
        { " 10 / 250ms  burst  20 ", "10/250ms burst 20", 10, 20, 250 }, { "7/90s", "7/90s", 7, 7, 90000 },
        { "1000000000/1s", "1000000000/1s", 1000000000, 1000000000, 1000 }, { "3/60", "3/1m", 3, 3, 60000 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct rate r = rate(cases[i].text);
        struct buf out = { 0 };
        assert_int_equal(r.amount, cases[i].amount);
        assert_int_equal(r.burst, cases[i].burst);
        assert_int_equal(r.per_ms, cases[i].per_ms);
        rate_print(&r, &out);
        buf_add_char(&out, '\0');
        assert_string_equal(out.at, cases[i].printed);
        buf_fini(&out);
    }
    assert_int_equal(rate("off").amount, 0);
    assert_int_equal(rate("0").amount, 0);
}

static void what_is_no_rate_is_told(void **state)
{
    static const char *const bad[] = {
        "", "100", "/1s", "100/", "x/1s", "-1/1s", "100/1x", "0/1s", "1/0s", "1/2d", "100/1s burst", "100/1s burst 0", "100/1s burst x", "100/1s 200",
        "100/1s burst 200 300", "2000000000/1s", "1/1s burst 2000000000", "1/1d burst 31", "1.5/1s", "on",
    };
    struct rate r;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (!rate_read(slice_of(bad[i]), &r))
            fail_msg("\"%s\" is no rate", bad[i]);
}

/* ---- buckets.h ---- */

#define SECOND INT64_C(1000000000)

static struct bucket_answer take(struct buckets *buckets, uint64_t id, uint64_t tokens, int64_t now)
{
    struct bucket_ask ask = { .id = id, .token_ns = SECOND / 10, .burst = 5, .tokens = tokens };
    return buckets_take(buckets, &ask, now, 60 * SECOND);
}

static void a_bucket_gives_a_burst_and_then_at_its_rate(void **state)
{
    struct buckets *b = buckets_new(64);
    int64_t now = 1000 * SECOND;
    (void)state;
    for (uint64_t i = 0; i < 5; i++) {
        struct bucket_answer a = take(b, 7, 1, now);
        assert_false(a.refused);
        assert_int_equal(a.left, 4 - i);
    }
    struct bucket_answer a = take(b, 7, 1, now);
    assert_true(a.refused && a.tell);
    assert_int_equal(a.wait_ns, SECOND / 10);
    assert_int_equal(a.full_ns, SECOND / 2);
    a = take(b, 7, 1, now + SECOND / 20);
    assert_true(a.refused && !a.tell);
    assert_false(take(b, 7, 1, now + SECOND / 10).refused);
    assert_true(take(b, 7, 1, now + SECOND / 10).refused);
    assert_false(take(b, 8, 5, now).refused);
    a = take(b, 7, 5, now + SECOND * 10);
    assert_false(a.refused);
    assert_int_equal(a.left, 0);
    assert_true(take(b, 7, 1, now + 100 * SECOND).left == 4);
    buckets_free(b);
}

static void more_than_a_burst_is_a_burst_and_looking_takes_nothing(void **state)
{
    struct buckets *b = buckets_new(64);
    struct bucket_ask look = { .id = 7, .token_ns = SECOND / 10, .burst = 5, .tokens = 1, .only_look = true };
    (void)state;
    for (int i = 0; i < 10; i++)
        assert_int_equal(buckets_take(b, &look, SECOND, SECOND).left, 5);
    assert_false(take(b, 7, 1000, SECOND).refused);
    assert_true(take(b, 7, 1000, SECOND).refused);
    assert_true(buckets_take(b, &look, SECOND, SECOND).refused);
    struct bucket_ask five = { .id = 7, .token_ns = SECOND / 10, .burst = 5, .tokens = 5 };
    buckets_give_back(b, &five);
    assert_int_equal(buckets_take(b, &look, SECOND, SECOND).left, 5);
    buckets_free(b);
}

static void a_clock_that_goes_back_costs_one_bucket_at_most(void **state)
{
    struct buckets *b = buckets_new(64);
    (void)state;
    assert_false(take(b, 7, 5, 5000 * SECOND).refused);
    assert_int_equal(take(b, 7, 1, SECOND).wait_ns, SECOND / 10);
    buckets_free(b);
}

/* Hundreds of thousands of others blow the table: who took most is known still, and nothing is allocated. */
static void a_flood_of_strangers_does_not_help_who_took_most(void **state)
{
    struct buckets *b = buckets_new(1024);
    uint64_t id = 88172645463325252u;
    int64_t now = 1000 * SECOND;
    (void)state;
    assert_false(take(b, 7, 5, now).refused);
    for (int i = 0; i < 300000; i++) {
        id ^= id << 13, id ^= id >> 7, id ^= id << 17;      /* xorshift64 */
        assert_false(take(b, id | 1, 1, now).refused);
    }
    assert_true(take(b, 7, 1, now).refused);
    buckets_free(b);
}

enum { THREADS = 4, EACH = 5000 };
struct crowd { struct buckets *b; atomic_int let_in; };

static void *hammer(void *arg)
{
    struct crowd *crowd = arg;
    for (int i = 0; i < EACH; i++) {
        struct bucket_ask ask = { .id = (uint64_t)(i % 10) * 256 + 1, .token_ns = SECOND, .burst = 100, .tokens = 1 };
        atomic_fetch_add(&crowd->let_in, !buckets_take(crowd->b, &ask, SECOND, SECOND).refused);
    }
    return NULL;
}

static void from_many_threads_no_token_is_taken_twice(void **state)
{
    struct crowd crowd = { .b = buckets_new(64) };
    pthread_t threads[THREADS];
    (void)state;
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hammer, &crowd), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&crowd.let_in), 10 * 100);
    buckets_free(crowd.b);
}

/* ---- rates.h ---- */

struct stage { struct config config; struct rates *rates; int64_t now_ms; struct rate_verdict verdict; };

static int setup(void **state)
{
    struct stage *s = calloc(1, sizeof *s);
    s->config = *config_defaults();
#define RATE(name, counted, who, value, what) s->config.rates_##name = rate("off");
#include "hub/config/rates.def"
#undef RATE
    s->rates = rates_new();
    s->now_ms = 1000000;
    *state = s;
    return s->rates ? 0 : -1;
}

static int teardown(void **state)
{
    struct stage *s = *state;
    rates_free(s->rates);
    free(s);
    return 0;
}

static struct ip ip(const char *text)
{
    struct ip ip = { 0 };
    assert_true(ip_read(slice_of(text), &ip));
    return ip;
}

static int publish(struct stage *s, uint64_t connection, const struct principal *principal, const char *address)
{
    struct rate_subject subject = { .connection = connection, .principal = principal, .address = address ? ip(address) : (struct ip){ { 0 } } };
    return rates_take(s->rates, &s->config, &subject, RATE_PUBLISHES, 1, s->now_ms, &s->verdict);
}

static struct principal *key_holder(struct stage *s, const char *name, const char *tier)
{
    static struct api_key keys[4];
    struct principal *p;
    size_t i = s->config.key_count++;
    keys[i] = (struct api_key){ .name = name, .tier = tier };
    memcpy(keys[i].sha256, "\x2c\xf2\x4d\xba\x5f\xb0\xa3\x0e\x26\xe8\x3b\x2a\xc5\xb9\xe2\x9e\x1b\x16\x1e\x5c\x1f\xa7\x42\x5e\x73\x04\x33\x62\x93\x8b\x98\x24", 32);
    s->config.keys = keys;
    assert_int_equal(principal_by_key(&s->config, SLICE("hello"), &p), 0);      /* the last one of that digest is found */
    return p;
}

static struct principal *user(struct stage *s, const char *name)
{
    struct principal *p;
    s->config.dev = true;
    assert_int_equal(principal_dev_user(&s->config, slice_of(name), &p), 0);
    s->config.dev = false;
    return p;
}

static void each_limit_counts_its_own(void **state)
{
    struct stage *s = *state;
    struct principal *ann = user(s, "ann"), *bob = user(s, "bob");
    s->config.rates_publishes_per_connection = rate("10/1s burst 2");
    s->config.rates_publishes_per_user = rate("10/1s burst 3");
    s->config.rates_publishes_per_address = rate("10/1s burst 5");
    assert_int_equal(publish(s, 1, ann, "192.0.2.1"), 0);
    assert_string_equal(s->verdict.limit, "publishes_per_connection");
    assert_int_equal(s->verdict.left, 1);
    assert_int_equal(publish(s, 1, ann, "192.0.2.1"), 0);
    assert_int_equal(publish(s, 1, ann, "192.0.2.1"), ERR_RATE_LIMITED);
    assert_string_equal(s->verdict.limit, "publishes_per_connection");
    assert_int_equal(s->verdict.retry_s, 1);
    assert_int_equal(publish(s, 2, ann, "192.0.2.1"), 0);
    assert_int_equal(publish(s, 2, ann, "192.0.2.1"), ERR_RATE_LIMITED);
    assert_string_equal(s->verdict.limit, "publishes_per_user");
    assert_int_equal(publish(s, 3, bob, "192.0.2.1"), 0);
    assert_int_equal(publish(s, 3, bob, "192.0.2.1"), 0);
    assert_int_equal(publish(s, 4, bob, "192.0.2.1"), ERR_RATE_LIMITED);
    assert_string_equal(s->verdict.limit, "publishes_per_address");
    assert_int_equal(publish(s, 4, bob, "192.0.2.2"), 0);
    principal_unref(ann), principal_unref(bob);
}

static void what_one_limit_refuses_no_other_counts(void **state)
{
    struct stage *s = *state;
    struct principal *ann = user(s, "ann");
    s->config.rates_publishes_per_user = rate("1/1h burst 1");
    s->config.rates_publishes_per_connection = rate("1/1h burst 3");
    assert_int_equal(publish(s, 1, ann, NULL), 0);
    for (int i = 0; i < 10; i++)
        assert_int_equal(publish(s, 1, ann, NULL), ERR_RATE_LIMITED);
    s->config.rates_publishes_per_user = rate("off");
    assert_int_equal(publish(s, 1, ann, NULL), 0);
    assert_int_equal(publish(s, 1, ann, NULL), 0);
    assert_int_equal(publish(s, 1, ann, NULL), ERR_RATE_LIMITED);
    principal_unref(ann);
}

static void who_has_a_key_is_counted_by_it_alone(void **state)
{
    struct stage *s = *state;
    struct principal *shop = key_holder(s, "shop", "");
    s->config.rates_publishes_per_connection = s->config.rates_publishes_per_address = rate("1/1h burst 1");
    for (int i = 0; i < 5; i++)
        assert_int_equal(publish(s, 1, shop, "192.0.2.1"), 0);
    assert_null(s->verdict.limit);
    s->config.rates_publishes_per_key = rate("1/1h burst 2");
    assert_int_equal(publish(s, 1, shop, "192.0.2.1"), 0);
    assert_int_equal(publish(s, 2, shop, "192.0.2.2"), 0);
    assert_int_equal(publish(s, 3, shop, "192.0.2.3"), ERR_RATE_LIMITED);
    assert_string_equal(s->verdict.limit, "publishes_per_key");
    assert_int_equal(s->verdict.retry_s, 3600);
    principal_unref(shop);
}

static void a_tier_has_other_rates_for_some_limits(void **state)
{
    struct stage *s = *state;
    static struct config_tier gold = { .name = "gold" };
    gold.has[RATE_LIMIT_publishes_per_key] = true;
    gold.rates[RATE_LIMIT_publishes_per_key] = rate("1/1h burst 3");
    s->config.tiers = &gold, s->config.tier_count = 1;
    s->config.rates_publishes_per_key = rate("1/1h burst 1");
    struct principal *plain = key_holder(s, "plain", ""), *rich = key_holder(s, "rich", "gold"), *lost = key_holder(s, "lost", "silver");
    assert_int_equal(publish(s, 0, plain, NULL), 0);
    assert_int_equal(publish(s, 0, plain, NULL), ERR_RATE_LIMITED);
    for (int i = 0; i < 3; i++)
        assert_int_equal(publish(s, 0, rich, NULL), 0);
    assert_int_equal(s->verdict.quota, 3);
    assert_int_equal(publish(s, 0, rich, NULL), ERR_RATE_LIMITED);
    assert_int_equal(publish(s, 0, lost, NULL), 0);
    assert_int_equal(publish(s, 0, lost, NULL), ERR_RATE_LIMITED);
    principal_unref(plain), principal_unref(rich), principal_unref(lost);
}

static void an_ipv6_customer_is_one_and_a_unix_socket_nobody(void **state)
{
    struct stage *s = *state;
    s->config.rates_publishes_per_address = rate("1/1h burst 1");
    assert_int_equal(publish(s, 1, NULL, "2001:db8:0:1::1"), 0);
    assert_int_equal(publish(s, 2, NULL, "2001:db8:0:1:ffff::2"), ERR_RATE_LIMITED);
    assert_int_equal(publish(s, 3, NULL, "2001:db8:0:2::1"), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(publish(s, 4, NULL, NULL), 0);
}

static void with_dev_nothing_is_limited(void **state)
{
    struct stage *s = *state;
    s->config.rates_publishes_per_address = rate("1/1h burst 1");
    s->config.dev = true;
    for (int i = 0; i < 5; i++)
        assert_int_equal(publish(s, 1, NULL, "192.0.2.1"), 0);
}

static void failed_logins_keep_an_address_out_for_a_while(void **state)
{
    struct stage *s = *state;
    s->config.rates_failed_logins_per_address = rate("1/1m burst 3");
    for (int i = 0; i < 3; i++) {
        assert_int_equal(rates_check_login(s->rates, &s->config, ip("192.0.2.1"), s->now_ms, &s->verdict), 0);
        rates_failed_login(s->rates, &s->config, ip("192.0.2.1"), s->now_ms);
    }
    assert_int_equal(rates_check_login(s->rates, &s->config, ip("192.0.2.1"), s->now_ms, &s->verdict), ERR_RATE_LIMITED);
    assert_string_equal(s->verdict.limit, "failed_logins_per_address");
    assert_int_equal(s->verdict.retry_s, 60);
    assert_int_equal(s->verdict.index, RATE_LIMIT_failed_logins_per_address);
    assert_int_equal(rates_check_login(s->rates, &s->config, ip("192.0.2.2"), s->now_ms, &s->verdict), 0);
    assert_int_equal(rates_check_login(s->rates, &s->config, ip("192.0.2.1"), s->now_ms + 60000, &s->verdict), 0);
}

static void headers_say_what_is_left_and_when_it_is_back(void **state)
{
    struct stage *s = *state;
    struct buf out = { 0 };
    s->config.rates_publishes_per_address = rate("60/1m burst 2");
    rates_add_headers(&out, &s->verdict);
    assert_int_equal(out.len, 0);
    assert_int_equal(publish(s, 1, NULL, "192.0.2.1"), 0);
    rates_add_headers(&out, &s->verdict);
    buf_add_char(&out, '\0');
    assert_string_equal(out.at, "X-RateLimit-Limit: 2\r\nX-RateLimit-Remaining: 1\r\nX-RateLimit-Reset: 1\r\n"
                        "RateLimit-Policy: \"publishes_per_address\";q=2;w=2\r\nRateLimit: \"publishes_per_address\";r=1;t=1\r\n");
    buf_reset(&out);
    publish(s, 1, NULL, "192.0.2.1");
    assert_int_equal(publish(s, 1, NULL, "192.0.2.1"), ERR_RATE_LIMITED);
    rates_add_headers(&out, &s->verdict);
    buf_add_char(&out, '\0');
    assert_string_equal(out.at, "Retry-After: 1\r\nX-RateLimit-Limit: 2\r\nX-RateLimit-Remaining: 0\r\nX-RateLimit-Reset: 2\r\n"
                        "RateLimit-Policy: \"publishes_per_address\";q=2;w=2\r\nRateLimit: \"publishes_per_address\";r=0;t=1\r\n");
    buf_fini(&out);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rates_are_read_and_printed_the_same),
        cmocka_unit_test(what_is_no_rate_is_told),
        cmocka_unit_test(a_bucket_gives_a_burst_and_then_at_its_rate),
        cmocka_unit_test(more_than_a_burst_is_a_burst_and_looking_takes_nothing),
        cmocka_unit_test(a_clock_that_goes_back_costs_one_bucket_at_most),
        cmocka_unit_test(a_flood_of_strangers_does_not_help_who_took_most),
        cmocka_unit_test(from_many_threads_no_token_is_taken_twice),
        T(each_limit_counts_its_own),
        T(what_one_limit_refuses_no_other_counts),
        T(who_has_a_key_is_counted_by_it_alone),
        T(a_tier_has_other_rates_for_some_limits),
        T(an_ipv6_customer_is_one_and_a_unix_socket_nobody),
        T(with_dev_nothing_is_limited),
        T(failed_logins_keep_an_address_out_for_a_while),
        T(headers_say_what_is_left_and_when_it_is_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
