/* Members over three hubs on a real Redis: told once and in turn on every one, counted exactly, and after whatever happened the same
 * everywhere as in a model. */
#define _GNU_SOURCE     /* own_dir.h */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "redis/parts/redis_members_core.h"
#include "tests/unit/redis_members_rig.h"

#ifndef ROUNDS
#define ROUNDS 3      /* of the last test; more with OPT=-DROUNDS=100 */
#endif

enum { ROOM, HALL };
enum { ANN, BOB, CYD };

static unsigned seed;
static unsigned draw(unsigned below) { return (unsigned)((seed = seed * 1103515245 + 12345) >> 8) % below; }

static void members_of_all_nodes_are_one_list_and_each_is_told_once_everywhere(void **state)
{
    struct world *world = *state;
    members_begin(world, 0, LEASE_MS);
    struct seat *a = sit(0, ROOM, ANN);
    struct members_call own = { .limit = 1 };
    assert_int_equal(list_of(world, 0, ROOM, &own), 0);
    assert_int_equal(own.count, 1);      /* who is subscribed here finds himself in the list */
    members_answer_fini(&own);
    struct seat *b = sit(1, ROOM, ANN), *c = sit(2, ROOM, BOB);
    until_all_agree(world);
    for (unsigned i = 0; i < NODES; i++)
        until_news(world, i, 2);
    rise(a);
    until_all_agree(world);
    for (unsigned i = 0; i < NODES; i++)
        assert_int_equal(places[i].news, 2);      /* she is still there */
    rise(b);
    rise(c);
    until_all_agree(world);
    for (unsigned i = 0; i < NODES; i++)
        until_news(world, i, 4);
    for (unsigned i = 0; i < 3; i++) {      /* nothing stays */
        const char *const patterns[] = { "keys t:{0}:members:*", "keys t:{0}:users:*", "keys t:{0}:leaving" };
        redis_says(&world->server, patterns[i], "");
    }
}

static void a_reload_that_lands_on_another_node_makes_no_noise(void **state)
{
    struct world *world = *state;
    members_begin(world, 500, LEASE_MS);
    struct seat *page = sit(0, ROOM, ANN);
    for (unsigned i = 0; i < NODES; i++)
        until_news(world, i, 1);
    rise(page);
    struct members_call call = { .limit = 10 };
    do {      /* nobody is connected, and she is there */
        members_answer_fini(&call);
        assert_int_equal(list_of(world, 2, ROOM, &call), 0);
        assert_int_equal(call.n_infos, 1);
    } while (call.infos[0].connections > 0);
    members_answer_fini(&call);
    page = sit(1, ROOM, ANN);
    until_all_agree(world);
    redis_says(&world->server, "exists t:{0}:leaving", "0");      /* so no grace can end */
    for (unsigned i = 0; i < NODES; i++)
        assert_int_equal(places[i].news, 1);
    rise(page);
    for (unsigned i = 0; i < NODES; i++)
        until_news(world, i, 2);
    until_all_agree(world);
}

static void assert_info(struct world *world, unsigned node, const char *info)
{
    struct members_call call = { .limit = 10 };
    until_all_agree(world);
    assert_int_equal(list_of(world, node, ROOM, &call), 0);
    assert_int_equal(call.n_infos, 1);
    assert_true(slice_is(principal_info(call.infos[0].principal), slice_of(info)));
    members_answer_fini(&call);
}

static void info_is_that_of_the_newest_who_is_there_on_whatever_node(void **state)
{
    struct world *world = *state;
    members_begin(world, 0, LEASE_MS);
    struct seat *newest[3];
    const char *const infos[] = { "\"old\"", "\"newer\"", "\"newest\"" };
    for (unsigned i = 0; i < 3; i++) {
        newest[i] = sit_as(i, ROOM, ANN, infos[i]);
        assert_info(world, 0, infos[i]);
        usleep(20 * 1000);      /* moments that differ by more than what half a round trip may be wrong */
    }
    rise(newest[2]);
    assert_info(world, 1, infos[1]);
    rise(newest[1]);
    assert_info(world, 2, infos[0]);
}

static unsigned connections_of(struct world *world, unsigned node, unsigned hall, unsigned user)
{
    struct members_call call = { .limit = 100 };
    unsigned n = 0;
    if (list_of(world, node, hall, &call))
        return 0;
    for (size_t i = 0; i < call.n_infos; i++)
        if (slice_is(principal_user(call.infos[i].principal), slice_of(users[user])))
            n = call.infos[i].connections;
    members_answer_fini(&call);
    return n;
}

static void members_of_a_node_that_was_killed_leave_once_and_those_who_came_elsewhere_stay(void **state)
{
    struct world *world = *state;
    members_begin(world, 0, LEASE_MS);
    for (unsigned u = 0; u < USERS; u++)
        sit(2, ROOM, u);
    sit(2, HALL, ANN);
    sit(0, ROOM, ANN);
    until_all_agree(world);
    unsigned before = places[0].news;
    char lease[REDIS_LEASE_NAME];
    snprintf(lease, sizeof lease, "%s", redis_nodes_lease(&knows[2].nodes));
    place_end(world, 2);
    sit(1, ROOM, BOB);
    place_begin(world, 2, LEASE_MS);
    sit(2, ROOM, CYD);
    until_known(world, 1, 7);
    for (unsigned user = BOB; user <= CYD; user++)      /* Redis has heard of the new ones, beside those of the dead node */
        WORLD_UNTIL(world, connections_of(world, 0, ROOM, user) == 2);
    assert_int_equal(places[0].news, before);      /* its lease is held still */
    expire(world, lease);
    until_all_agree(world);
    assert_int_equal(places[0].news, before + (USERS - 3) + 1);      /* those of the room but three, and ann from the other */
    assert_int_equal(places[1].news, places[0].news);
}

/* Everything, or some of it: as after a failover to a replica that had not heard of all. */
static void what_redis_has_lost_is_said_again_and_nobody_is_told_anything(void **state)
{
    struct world *world = *state;
    members_begin(world, 200, LEASE_MS);
    for (unsigned u = 0; u < USERS; u++)
        sit(u % NODES, ROOM, u);
    until_all_agree(world);
    redis_say(&world->server, "flushall");
    for (unsigned i = 0; i < NODES; i++)
        world_until(world, &world->nodes[i].lives, 2);
    until_all_agree(world);
    redis_say(&world->server, "eval 'redis.call(\"del\", \"t:{0}:members:room\", \"t:{0}:users:room\") for _, k in ipairs(redis.call(\"keys\", \"t:{0}:held:*\")) do redis.call(\"hset\", k, \"\", 0) end' 0");
    redis_say(&world->server, "client kill type normal");
    for (unsigned i = 0; i < NODES; i++)
        world_until(world, &world->nodes[i].lives, 3);
    until_all_agree(world);
    sit(0, HALL, ANN);      /* who is told something is told this */
    for (int64_t end = clock_mono_ms(clock_real()) + REDIS_SETTLE_MS + 500; clock_mono_ms(clock_real()) < end; )      /* it has been compared with what there is */
        members_turn(world);
    until_all_agree(world);
    for (unsigned i = 0; i < NODES; i++) {
        until_news(world, i, USERS + 1);
        assert_int_equal(places[i].news, USERS + 1);
    }
}

static void what_happened_while_redis_was_away_is_told_when_it_is_back(void **state)
{
    struct world *world = *state;
    members_begin(world, 0, LEASE_MS);
    struct seat *gone = sit(0, ROOM, ANN), *moves = sit(0, ROOM, BOB);
    until_all_agree(world);
    redis_stop(&world->server);
    for (unsigned i = 0; i < NODES; i++)
        world_until(world, &world->nodes[i].aways, 1);
    rise(gone);
    sit(1, ROOM, CYD);
    sit(1, ROOM, BOB);
    rise(moves);
    struct members_call call = { .limit = 1 };
    assert_int_equal(list_of(world, 0, ROOM, &call), ERR_REDIS_AWAY);
    redis_run(&world->server, "");      /* and has lost all */
    for (unsigned i = 0; i < NODES; i++)
        world_until(world, &world->nodes[i].lives, 2);
    until_all_agree(world);
    for (unsigned i = 0; i < NODES; i++) {
        assert_int_equal(places[i].heard[ROOM][ANN], LEFT);
        assert_int_equal(places[i].heard[ROOM][CYD], JOINED);
        assert_int_equal(places[i].news, 4);      /* two before; bob has only moved */
    }
}

/* Its word came, and with Redis's data was lost that he left, before the first list of the hall was there. */
static void who_was_told_of_before_the_first_list_and_is_not_in_it_has_left(void **state)
{
    struct world *world = *state;
    members_begin(world, 0, LEASE_MS);
    place_end(world, 1);
    place_begin(world, 1, LEASE_MS);
    place_turn(&places[1]);      /* it follows its halls, and has no lease to ask for lists with */
    struct buf word = { 0 };
    pack_short(&word, slice_of(halls[ROOM]));
    pack_short(&word, slice_of(users[ANN]));
    pack_long(&word, SLICE(""));
    redis_halls_change(places[1].members, buf_slice(&word), true);
    buf_fini(&word);
    place_turn(&places[1]);
    assert_int_equal(places[1].heard[ROOM][ANN], JOINED);
    until_all_agree(world);
    assert_int_equal(places[1].heard[ROOM][ANN], LEFT);
}

/* ---- anything ---- */

static char dead[8][REDIS_LEASE_NAME];
static unsigned n_dead;

static void sit_or_rise(void)
{
    unsigned s = draw(SEATS);
    if (seats[s].attendance)
        rise(&seats[s]);
    else if (s < SEATS * 3 / 4)
        sit(s % NODES, draw(HALLS), draw(USERS));
}

static void kill_and_begin_again(struct world *world, unsigned i)
{
    if (redis_nodes_has_lease(&knows[i].nodes) && n_dead < 8)
        snprintf(dead[n_dead++], REDIS_LEASE_NAME, "%s", redis_nodes_lease(&knows[i].nodes));
    place_end(world, i);
    place_begin(world, i, LEASE_MS);
}

static void end_the_dead(struct world *world)
{
    while (n_dead > 0)
        expire(world, dead[--n_dead]);
}

static void fault(struct world *world)
{
    switch (draw(6)) {
    case 0: redis_say(&world->server, "client kill type normal"); break;
    case 1: redis_say(&world->server, "client kill type pubsub"); break;
    case 2: redis_say(&world->server, "script flush"); break;
    case 3: redis_say(&world->server, "flushall"); break;
    case 4: end_the_dead(world); break;
    default: kill_and_begin_again(world, draw(NODES));
    }
}

static void at_rest_every_node_agrees_with_the_model(void **state)
{
    struct world *world = *state;
    for (unsigned round = 1; round <= ROUNDS; round++) {
        seed = round;
        print_message("seed %u\n", seed);
        members_begin(world, draw(2) * 100, LEASE_MS);
        for (unsigned step = 1; step <= 500; step++) {
            for (unsigned n = draw(4); n > 0; n--)
                sit_or_rise();
            if (step % 50 == 0)
                fault(world);
            members_turn(world);
        }
        end_the_dead(world);
        until_all_agree(world);
        for (unsigned i = 0; i < NODES; i++)
            place_end(world, i);
        redis_say(&world->server, "flushall");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_MEMBERS(members_of_all_nodes_are_one_list_and_each_is_told_once_everywhere),
        ON_MEMBERS(a_reload_that_lands_on_another_node_makes_no_noise),
        ON_MEMBERS(info_is_that_of_the_newest_who_is_there_on_whatever_node),
        ON_MEMBERS(members_of_a_node_that_was_killed_leave_once_and_those_who_came_elsewhere_stay),
        ON_MEMBERS(what_redis_has_lost_is_said_again_and_nobody_is_told_anything),
        ON_MEMBERS(what_happened_while_redis_was_away_is_told_when_it_is_back),
        ON_MEMBERS(who_was_told_of_before_the_first_list_and_is_not_in_it_has_left),
        ON_MEMBERS(at_rest_every_node_agrees_with_the_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
