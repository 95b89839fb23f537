/* How many connections an address may have. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "hub/config/config.h"
#include "transports/port/seats.h"

#include <pthread.h>

static struct ip ip(const char *text)
{
    struct ip ip;
    assert_true(ip_read(slice_of(text), &ip));
    return ip;
}

static bool take(struct seat_table *table, size_t most, const char *address, struct seats *seats)
{
    struct config config = *config_defaults();
    config.limits_connections_per_address = most;
    return seats_take_address(table, &config, ip(address), seats);
}

static void an_address_has_so_many_seats_and_gets_them_back(void **state)
{
    struct seat_table *table = seat_table_new();
    struct seats a = { 0 }, b = { 0 }, c = { 0 };
    (void)state;
    assert_true(take(table, 2, "192.0.2.1", &a));
    assert_true(take(table, 2, "::ffff:192.0.2.1", &b));
    assert_false(take(table, 2, "192.0.2.1", &c));
    assert_null(c.address);
    assert_true(take(table, 2, "192.0.2.2", &c));
    seats_leave(&a);
    seats_leave(&a);
    assert_true(take(table, 2, "192.0.2.1", &a));
    assert_false(take(table, 2, "192.0.2.1", &(struct seats){ 0 }));
    seats_leave(&a), seats_leave(&b), seats_leave(&c);
    seat_table_free(table);
}

static void a_network_of_64_bits_is_one(void **state)
{
    struct seat_table *table = seat_table_new();
    struct seats a = { 0 }, b = { 0 };
    (void)state;
    assert_true(take(table, 1, "2001:db8:0:1::1", &a));
    assert_false(take(table, 1, "2001:db8:0:1:ffff::1", &b));
    assert_true(take(table, 1, "2001:db8:0:2::1", &b));
    seats_leave(&a), seats_leave(&b);
    seat_table_free(table);
}

static void without_a_limit_or_an_address_nothing_is_counted(void **state)
{
    struct seat_table *table = seat_table_new();
    struct seats a = { 0 };
    struct config config = *config_defaults();
    (void)state;
    config.limits_connections_per_address = 1;
    assert_true(seats_take_address(table, &config, (struct ip){ 0 }, &a));
    assert_null(a.address);
    assert_true(take(table, 0, "192.0.2.1", &a));
    assert_null(a.address);
    seat_table_free(table);
}

/* Thousands come and go: the table is swept meanwhile, and those who sit are not forgotten. */
static void who_sits_is_not_forgotten_when_many_come_and_go(void **state)
{
    struct seat_table *table = seat_table_new();
    struct seats sits = { 0 };
    struct config config = *config_defaults();
    (void)state;
    config.limits_connections_per_address = 1;
    assert_true(take(table, 1, "192.0.2.1", &sits));
    for (uint32_t i = 1; i < 5000; i++) {
        struct ip other = ip("10.0.0.1");
        struct seats seats = { 0 };
        other.at[13] = (uint8_t)(i >> 16), other.at[14] = (uint8_t)(i >> 8), other.at[15] = (uint8_t)i;
        assert_true(seats_take_address(table, &config, other, &seats));
        seats_leave(&seats);
    }
    assert_false(take(table, 1, "192.0.2.1", &(struct seats){ 0 }));
    seats_leave(&sits);
    seat_table_free(table);
}

enum { THREADS = 4, ROUNDS = 20000 };
struct crowd { struct seat_table *table; struct config config; atomic_int inside, most; };

static void *come_and_go(void *arg)
{
    struct crowd *crowd = arg;
    for (int i = 0; i < ROUNDS; i++) {
        struct seats seats = { 0 };
        if (!seats_take_address(crowd->table, &crowd->config, (struct ip){ { 1, (uint8_t)(i % 3) } }, &seats))
            continue;
        int inside = atomic_fetch_add(&crowd->inside, 1) + 1, most = atomic_load(&crowd->most);
        while (inside > most && !atomic_compare_exchange_weak(&crowd->most, &most, inside))
            ;
        atomic_fetch_sub(&crowd->inside, 1);
        seats_leave(&seats);
    }
    return NULL;
}

static void from_many_threads_no_seat_is_taken_twice(void **state)
{
    struct crowd crowd = { .table = seat_table_new(), .config = *config_defaults() };
    pthread_t threads[THREADS];
    struct seats left[6] = { 0 };
    (void)state;
    crowd.config.limits_connections_per_address = 2;
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, &crowd), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_in_range(atomic_load(&crowd.most), 1, 6);
    for (size_t i = 0; i < 6; i++)      /* all have been given back */
        assert_true(seats_take_address(crowd.table, &crowd.config, (struct ip){ { 1, (uint8_t)(i % 3) } }, &left[i]));
    for (size_t i = 0; i < 6; i++)
        seats_leave(&left[i]);
    seat_table_free(crowd.table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_address_has_so_many_seats_and_gets_them_back),
        cmocka_unit_test(a_network_of_64_bits_is_one),
        cmocka_unit_test(without_a_limit_or_an_address_nothing_is_counted),
        cmocka_unit_test(who_sits_is_not_forgotten_when_many_come_and_go),
        cmocka_unit_test(from_many_threads_no_seat_is_taken_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
