/* Limits of rate over several nodes, on a real Redis: what one has given away the others do not give. */
#define _GNU_SOURCE     /* own_dir.h */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "hub/access/rates.h"
#include "hub/base/buckets.h"
#include "redis/parts/redis_rates.h"
#include "tests/unit/redis_bus_rig.h"

#define SECOND INT64_C(1000000000)
enum { BURST = 80 };

/* Nodes with a table of buckets each. */
struct sharers {
    struct world       *world;
    struct buckets     *buckets[NODES];
    struct redis_rates *rates[NODES];
};

static void sharers_begin(struct sharers *s, struct world *world, unsigned n)
{
    *s = (struct sharers){ .world = world };
    for (unsigned i = 0; i < n; i++) {
        node_open(world, &world->nodes[i]);
        s->buckets[i] = buckets_new(RATES_BUCKETS);
        s->rates[i] = redis_rates_new(world->nodes[i].base, world->nodes[i].bus, s->buckets[i]);
        assert_non_null(s->rates[i]);
    }
    wait_live(world);
}

static void sharers_end(struct sharers *s)
{
    for (unsigned i = 0; i < NODES; i++) {
        redis_bus_free(s->world->nodes[i].bus);
        s->world->nodes[i].bus = NULL;
        redis_rates_free(s->rates[i]);
        buckets_free(s->buckets[i]);
    }
}

/* One that does not fill while a test runs. */
static struct bucket_answer ask(struct sharers *s, unsigned node, const char *who, uint64_t n, bool only_look)
{
    struct bucket_ask ask = { .id = hash_bytes(slice_of(who)) | 1, .token_ns = 600 * SECOND, .burst = BURST, .tokens = n, .only_look = only_look,
                              .kind = "publishes_per_user", .who = slice_of(who) };
    return buckets_take(s->buckets[node], &ask, clock_mono_ms(clock_real()) * 1000000, SECOND);
}

static bool take(struct sharers *s, unsigned node, const char *who, uint64_t n) { return !ask(s, node, who, n, false).refused; }
static uint64_t left(struct sharers *s, unsigned node, const char *who)         { return ask(s, node, who, 1, true).left; }

static void until_left(struct sharers *s, unsigned node, const char *who, uint64_t n)
{
    for (int64_t end = clock_mono_ms(clock_real()) + REDIS_WAIT_MS; left(s, node, who) != n; world_turn(s->world))
        if (clock_mono_ms(clock_real()) > end)
            fail_msg("node %u has %llu left for %s", node, (unsigned long long)left(s, node, who), who);
}

/* Redis has been told of so many. */
static void until_told(struct sharers *s, unsigned n)
{
    char ask[400];
    snprintf(ask, sizeof ask, "test $(redis-cli -s %s --scan --pattern '*:rate:*' | wc -l) -ge %u", s->world->server.socket, n);
    WORLD_UNTIL(s->world, !system(ask));
}

static void what_one_node_has_given_away_no_other_gives(void **state)
{
    struct sharers s;
    sharers_begin(&s, *state, 3);
    assert_true(take(&s, 0, "anna", BURST));      /* all of it, at once */
    assert_false(take(&s, 0, "anna", 1));
    until_told(&s, 1);
    for (unsigned node = 1; node < 3; node++) {
        assert_true(take(&s, node, "anna", BURST / BUCKET_PORTION));      /* it cannot know yet */
        until_left(&s, node, "anna", 0);
        assert_false(take(&s, node, "anna", 1));
    }
    assert_true(take(&s, 1, "ben", 1));
    sharers_end(&s);
}

static void what_is_less_than_a_portion_is_told_within_a_second_and_adds_up(void **state)
{
    struct sharers s;
    sharers_begin(&s, *state, 3);
    for (unsigned node = 0; node < 3; node++)
        assert_true(take(&s, node, "anna", 3));
    for (int64_t end = clock_mono_ms(clock_real()) + REDIS_WAIT_MS; ; world_turn(s.world)) {      /* one of the reports was the last */
        uint64_t least = BURST;
        for (unsigned node = 0; node < 3; node++)
            least = left(&s, node, "anna") < least ? left(&s, node, "anna") : least;
        if (least == BURST - 9)
            break;
        assert_true(clock_mono_ms(clock_real()) < end);
    }
    sharers_end(&s);
}

static void very_many_at_once_go_in_calls_of_many(void **state)
{
    enum { MANY = 500 };
    struct sharers s;
    struct world *world = *state;
    char who[20];
    sharers_begin(&s, world, 2);
    for (unsigned i = 0; i < MANY; i++) {
        snprintf(who, sizeof who, "u%u", i);
        assert_true(take(&s, 0, who, BURST - 10));
    }
    until_told(&s, MANY);
    for (unsigned i = 0; i < MANY; i++) {
        snprintf(who, sizeof who, "u%u", i);
        assert_true(take(&s, 1, who, 10));
    }
    for (unsigned i = 0; i < MANY; i++) {
        snprintf(who, sizeof who, "u%u", i);
        until_left(&s, 1, who, 0);
    }
    redis_say(&world->server, "info commandstats | grep -E '^cmdstat_evalsha:calls=[0-9]{1,3},'");
    sharers_end(&s);
}

static void without_redis_each_node_goes_by_its_own_bucket_and_afterwards_by_all(void **state)
{
    struct sharers s;
    struct world *world = *state;
    sharers_begin(&s, world, 2);
    unsigned aways[2] = { world->nodes[0].aways, world->nodes[1].aways };
    redis_stop(&world->server);
    for (unsigned node = 0; node < 2; node++)
        world_until(world, &world->nodes[node].aways, aways[node] + 1);
    assert_true(take(&s, 0, "anna", BURST));
    assert_false(take(&s, 0, "anna", 1));
    assert_true(take(&s, 1, "anna", 20));
    assert_true(take(&s, 1, "anna", 20));
    redis_run(&world->server, "");
    wait_live(world);
    until_told(&s, 1);
    take(&s, 1, "anna", BURST / BUCKET_PORTION);
    until_left(&s, 1, "anna", 0);                 /* the emptier one counts */
    assert_false(take(&s, 1, "anna", 1));
    assert_true(take(&s, 1, "ben", BURST));
    until_told(&s, 2);
    assert_int_equal(left(&s, 0, "ben"), BURST);      /* it has not asked */
    assert_true(take(&s, 0, "ben", BURST / BUCKET_PORTION));
    until_left(&s, 0, "ben", 0);
    sharers_end(&s);
}

static void a_bucket_in_redis_ends_when_it_is_full(void **state)
{
    struct sharers s;
    struct world *world = *state;
    sharers_begin(&s, world, 1);
    struct bucket_ask quick = { .id = 9, .token_ns = SECOND / 10, .burst = 10, .tokens = 10, .kind = "k", .who = SLICE("w") };
    assert_false(buckets_take(s.buckets[0], &quick, clock_mono_ms(clock_real()) * 1000000, SECOND).refused);
    char ask[600];
    snprintf(ask, sizeof ask, "redis-cli -s %s --scan --pattern '*:rate:*' | grep -q . && "
             "redis-cli -s %s eval \"local t = redis.call('PTTL', redis.call('KEYS', '*:rate:*')[1]) return t > 5000 and t <= 6100\" 0 | grep -qx 1",
             world->server.socket, world->server.socket);
    WORLD_UNTIL(world, !system(ask));
    sharers_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BUS(what_one_node_has_given_away_no_other_gives),
        ON_BUS(what_is_less_than_a_portion_is_told_within_a_second_and_adds_up),
        ON_BUS(very_many_at_once_go_in_calls_of_many),
        ON_BUS(without_redis_each_node_goes_by_its_own_bucket_and_afterwards_by_all),
        ON_BUS(a_bucket_in_redis_ends_when_it_is_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
