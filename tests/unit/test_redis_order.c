/* Answers and messages come in one order, although Redis sends them on two connections (call.h: edges go live with an answer). */
#define _GNU_SOURCE     /* own_dir.h */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/redis_proxy.h"

enum { TURNS = 100 };      /* what the server has said has come by then */

struct asked { struct fetch_call call; struct fetch_channel channel; };

static void ask(struct node *node, struct asked *asked, uint64_t after)
{
    *asked = (struct asked){ .call = { .call.err = UNANSWERED, .from = FETCH_AFTER, .after = { redis_bus_head(node->bus).epoch, after }, .patient = true,
                                       .max_bytes = SIZE_MAX, .n_channels = 1 }, .channel.name = SLICE("c") };
    asked->call.channels = &asked->channel;
    redis_bus_fetch(node->bus, &asked->call);
}

static void turn_some(struct world *world)
{
    for (int i = 0; i < TURNS; i++)
        world_turn(world);
}

static void begin(struct world *world, struct proxy *proxy)
{
    struct node *a = &world->nodes[0];
    node_open(world, &world->nodes[1]);
    proxy_begin(proxy, world, a);
    node_open(world, a);
    wait_live(world);
    watch(a, "c");
}

static void a_message_behind_a_question_waits_for_its_answer(void **state)
{
    struct world *world = *state;
    struct node *a = &world->nodes[0], *b = &world->nodes[1];
    struct asked asked;
    struct proxy proxy;
    begin(world, &proxy);
    uint64_t first = publish(b, "c", "x");
    world_until(world, &a->n_came, 1);
    unsigned answers = a->answers;
    proxy.late = true;
    ask(a, &asked, first);
    turn_some(world);
    publish(b, "c", "behind the question");
    turn_some(world);
    assert_int_equal(a->n_came, 1);
    assert_int_equal(a->answers, answers);
    proxy_hurry(&proxy);
    world_until(world, &a->n_came, 2);
    assert_int_equal(a->answers, answers + 1);
    assert_int_equal(a->n_at_answer, 1);
    assert_int_equal(asked.call.upto.seq, first);
    assert_int_equal(asked.call.call.err, 0);
    fetch_answer_fini(&asked.call);
    proxy_end(&proxy);
    node_close(a);
}

/* Its answer, from before, would be older than what was delivered meanwhile. */
static void a_question_that_outlives_its_life_is_asked_again(void **state)
{
    struct world *world = *state;
    struct node *a = &world->nodes[0], *b = &world->nodes[1];
    struct asked asked;
    struct proxy proxy;
    begin(world, &proxy);
    uint64_t first = publish(b, "c", "x");
    world_until(world, &a->n_came, 1);
    unsigned answers = a->answers, lives = a->lives;
    proxy.late = true;
    redis_say(&world->server, "client kill type pubsub");      /* its echo comes nowhere */
    ask(a, &asked, first);
    world_until(world, &a->aways, 1);
    turn_some(world);
    publish(b, "c", "while nobody listens");
    proxy_hurry(&proxy);
    world_until(world, &a->lives, lives + 1);
    world_until(world, &a->answers, answers + 1);
    assert_int_equal(asked.call.call.err, 0);
    assert_int_equal(asked.call.upto.seq, first + 1);
    assert_int_equal(asked.call.n_msgs, 1);
    fetch_answer_fini(&asked.call);
    proxy_end(&proxy);
    node_close(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BUS(a_message_behind_a_question_waits_for_its_answer), ON_BUS(a_question_that_outlives_its_life_is_asked_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
