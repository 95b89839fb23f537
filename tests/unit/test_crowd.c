/* crowd.h: how long those who are cut stay away, and how fast others come in. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "hub/base/log.h"
#include "hub/config/config.h"
#include "hub/metrics.h"
#include "transports/port/crowd.h"

#include <pthread.h>

static struct config settings(size_t per_second, size_t burst)
{
    struct config config = *config_defaults();
    config.accept_per_second = per_second;
    config.accept_burst = burst;
    config.sse_retry_ms = 2000;
    config.accept_max_spread_ms = 60000;
    return config;
}

static struct crowd crowd_of(unsigned n)
{
    struct crowd crowd = { 0 };
    for (unsigned i = 0; i < n; i++)
        crowd_enter(&crowd);
    return crowd;
}

/* ---- staying away ---- */

static void the_spread_is_what_half_of_the_rate_needs_within_its_bounds(void **state)
{
    static const struct { unsigned conns; size_t per_second; int64_t spread_ms; } cases[] = {
        { 0, 5000, 2000 }, { 1, 5000, 2000 }, { 5000, 5000, 2000 }, { 10000, 5000, 4000 }, { 100000, 5000, 40000 }, { 1000000, 5000, 60000 },
        { 10000, 1000, 20000 }, { 10000, 0, 4000 }, { 10, 1, 20000 }, { 4000000, 1, 60000 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct config config = settings(cases[i].per_second, 1);
        struct crowd crowd = { .conns = cases[i].conns };
        assert_int_equal(crowd_spread_ms(&crowd, &config), cases[i].spread_ms);
    }
}

static void the_least_spread_holds_though_the_most_is_less(void **state)
{
    struct config config = settings(1, 1);
    struct crowd crowd = crowd_of(100);
    (void)state;
    config.accept_max_spread_ms = 0;
    assert_int_equal(crowd_spread_ms(&crowd, &config), 2000);
}

/* Ten thousand on several edges: connection ids are number << 8 | edge. */
static void delays_fall_evenly_over_the_spread(void **state)
{
    enum { N = 10000, TENTHS = 10 };
    struct config config = settings(5000, 1);
    struct crowd crowd = crowd_of(N);
    unsigned in_tenth[TENTHS] = { 0 };
    (void)state;
    for (uint64_t i = 0; i < N; i++) {
        uint64_t id = (i / 3 + 1) << 8 | i % 3;
        int64_t delay = crowd_delay_ms(&crowd, &config, id);
        assert_in_range(delay, 1000, 4999);
        assert_int_equal(delay, crowd_delay_ms(&crowd, &config, id));
        in_tenth[(delay - 1000) / 400]++;
    }
    for (int i = 0; i < TENTHS; i++)
        assert_in_range(in_tenth[i], N / TENTHS - 20, N / TENTHS + 20);
}

static void a_drain_is_spread_for_as_many_as_there_were(void **state)
{
    struct config config = settings(5000, 1);
    struct crowd crowd = crowd_of(10000);
    (void)state;
    crowd_drain(&crowd);
    for (int i = 0; i < 9999; i++)
        crowd_leave(&crowd);
    crowd_drain(&crowd);      /* another edge's */
    assert_int_equal(crowd_spread_ms(&crowd, &config), 4000);
}

static void who_is_refused_stays_away_for_longer(void **state)
{
    struct config config = settings(5000, 1);
    struct crowd few = crowd_of(1), many = crowd_of(100000);
    int64_t most_few = 0, most_many = 0;
    (void)state;
    for (uint64_t n = 0; n < 1000; n++) {
        int64_t of_few = crowd_put_off_ms(&few, &config, n), of_many = crowd_put_off_ms(&many, &config, n);
        assert_in_range(of_few, 2000, 10000);
        assert_in_range(of_many, 2000, 42000);
        most_few = of_few > most_few ? of_few : most_few;
        most_many = of_many > most_many ? of_many : most_many;
    }
    assert_true(most_few > 9900 && most_many > 41000);
}

/* From one to a million and back: each is told anew at most once per factor of √2, so that what it was told never misses by more. */
static void what_was_told_is_old_when_the_crowd_has_grown_by_half_or_shrunk_to_half(void **state)
{
    struct config config = settings(5000, 1);
    struct crowd crowd = { 0 };
    unsigned times = 0;
    (void)state;
    config.accept_max_spread_ms = 3600 * 1000;
    uint8_t told = crowd_step(&crowd, &config);
    int64_t told_ms = crowd_spread_ms(&crowd, &config);
    for (unsigned n = 1; n <= 1000000; n += n < 100 ? 1 : n / 100) {
        atomic_store(&crowd.conns, n);
        int64_t now_ms = crowd_spread_ms(&crowd, &config);
        if (crowd_step_is_old(told, crowd_step(&crowd, &config))) {
            assert_true(now_ms > told_ms);
            told = crowd_step(&crowd, &config), told_ms = now_ms, times++;
        }
        assert_true(now_ms * 100 < told_ms * 142);
    }
    assert_in_range(times, 10, 20);
    for (unsigned n = 1000000; n > 0; n -= n < 100 ? 1 : n / 100) {
        atomic_store(&crowd.conns, n);
        int64_t now_ms = crowd_spread_ms(&crowd, &config);
        if (crowd_step_is_old(told, crowd_step(&crowd, &config)))
            told = crowd_step(&crowd, &config), told_ms = now_ms, times++;
        assert_true(now_ms * 3 > told_ms);
    }
    assert_in_range(times, 15, 35);
    assert_true(told_ms < 2 * 2000 * 142 / 100);
}

static void a_crowd_that_wavers_is_not_told_again_and_again(void **state)
{
    struct config config = settings(5000, 1);
    struct crowd crowd = { 0 };
    uint8_t told = 0;
    unsigned times = 0;
    (void)state;
    for (int i = 0; i < 1000; i++) {
        atomic_store(&crowd.conns, i % 2 ? 20000 : 20500);
        uint8_t now = crowd_step(&crowd, &config);
        if (crowd_step_is_old(told, now))
            told = now, times++;
    }
    assert_in_range(times, 1, 2);
}

/* ---- coming in ---- */

static unsigned admitted(struct crowd *crowd, const struct config *config, unsigned tries, int64_t now_ms)
{
    unsigned n = 0;
    for (unsigned i = 0; i < tries; i++)
        n += crowd_admit(crowd, config, now_ms);
    return n;
}

static void a_burst_comes_in_at_once_and_then_so_many_per_second(void **state)
{
    struct config config = settings(100, 250);
    struct crowd crowd = { 0 };
    (void)state;
    assert_int_equal(admitted(&crowd, &config, 1000, 5000), 250);
    assert_int_equal(admitted(&crowd, &config, 1000, 5000), 0);
    assert_int_equal(admitted(&crowd, &config, 1000, 5009), 0);
    assert_int_equal(admitted(&crowd, &config, 1000, 5010), 1);
    assert_int_equal(admitted(&crowd, &config, 1000, 6000), 99);
    assert_int_equal(admitted(&crowd, &config, 50, 7000), 50);
    assert_int_equal(admitted(&crowd, &config, 1000, 7000), 50);
    assert_int_equal(admitted(&crowd, &config, 1000, 1000000), 250);
}

static void without_a_rate_everybody_comes_in(void **state)
{
    struct config config = settings(0, 1);
    struct crowd crowd = { 0 };
    (void)state;
    assert_int_equal(admitted(&crowd, &config, 100000, 5000), 100000);
}

static void who_is_turned_away_is_counted(void **state)
{
    struct config config = settings(1, 5);
    struct crowd crowd = { 0 };
    int64_t before = metric_sum(METRIC_away_rate);
    (void)state;
    log_setup(LOG_ERROR, LOG_TEXT);
    admitted(&crowd, &config, 25, 5000);
    assert_int_equal(metric_sum(METRIC_away_rate) - before, 20);
}

/* A burst of millions at one per second does not lock the gate for weeks once the settings are others. */
static void another_limit_counts_at_once(void **state)
{
    struct config slow = settings(1, 10000000), quick = settings(1000, 10);
    struct crowd crowd = { 0 };
    (void)state;
    log_setup(LOG_ERROR, LOG_TEXT);
    assert_int_equal(admitted(&crowd, &slow, 1000, 5000), 1000);
    assert_int_equal(admitted(&crowd, &quick, 1000, 5000), 0);
    assert_int_equal(admitted(&crowd, &quick, 1000, 1006000), 10);
}

enum { THREADS = 4, TRIES = 50000 };
struct rush { struct crowd crowd; struct config config; atomic_uint in; };

static void *rush_in(void *arg)
{
    struct rush *rush = arg;
    for (int i = 0; i < TRIES; i++)
        if (crowd_admit(&rush->crowd, &rush->config, 5000))
            atomic_fetch_add(&rush->in, 1);
    return NULL;
}

static void from_many_threads_no_token_is_taken_twice(void **state)
{
    struct rush rush = { .config = settings(1, 12345) };
    pthread_t threads[THREADS];
    (void)state;
    log_setup(LOG_ERROR, LOG_TEXT);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, rush_in, &rush), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&rush.in), 12345);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_spread_is_what_half_of_the_rate_needs_within_its_bounds),
        cmocka_unit_test(the_least_spread_holds_though_the_most_is_less),
        cmocka_unit_test(delays_fall_evenly_over_the_spread),
        cmocka_unit_test(a_drain_is_spread_for_as_many_as_there_were),
        cmocka_unit_test(who_is_refused_stays_away_for_longer),
        cmocka_unit_test(what_was_told_is_old_when_the_crowd_has_grown_by_half_or_shrunk_to_half),
        cmocka_unit_test(a_crowd_that_wavers_is_not_told_again_and_again),
        cmocka_unit_test(a_burst_comes_in_at_once_and_then_so_many_per_second),
        cmocka_unit_test(without_a_rate_everybody_comes_in),
        cmocka_unit_test(who_is_turned_away_is_counted),
        cmocka_unit_test(another_limit_counts_at_once),
        cmocka_unit_test(from_many_threads_no_token_is_taken_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
