/* Answers and messages come in one order, although Redis sends them on two connections (call.h: edges go live with an answer). */
#define _GNU_SOURCE     /* own_dir.h */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/redis_proxy.h"

struct asked { struct fetch_call call; struct fetch_channel channel; };

static void ask(struct node *node, struct asked *asked, uint64_t after)
{
    *asked = (struct asked){ .call = { .call.err = UNANSWERED, .from = FETCH_AFTER, .after = { redis_bus_head(node->bus).epoch, after }, .patient = true,
                                       .max_bytes = SIZE_MAX, .n_channels = 1 }, .channel.name = SLICE("c") };
    asked->call.channels = &asked->channel;
    redis_bus_fetch(node->bus, &asked->call);
}

/* A node behind a proxy, one that publishes, and the answer to a question that is late. */
struct scene {
    struct world *world;
    struct node  *a, *b;
    struct proxy  proxy;
    struct asked  asked;
    uint64_t      first;
    unsigned      answers, lives;      /* of a, before it asks */
};

static void begin(struct scene *scene, struct world *world)
{
    *scene = (struct scene){ .world = world, .a = &world->nodes[0], .b = &world->nodes[1] };
    node_open(world, scene->b);
    proxy_begin(&scene->proxy, world, scene->a);
    node_open(world, scene->a);
    wait_live(world);
    watch(scene->a, "c");
    scene->first = publish(scene->b, "c", "x");
    world_until(world, &scene->a->n_came, 1);
    scene->answers = scene->a->answers;
    scene->lives = scene->a->lives;
    scene->proxy.late = true;
}

static void end(struct scene *scene)
{
    fetch_answer_fini(&scene->asked.call);
    proxy_end(&scene->proxy);
    node_close(scene->a);
}

static void a_message_behind_a_question_waits_for_its_answer(void **state)
{
    struct scene s;
    begin(&s, *state);
    ask(s.a, &s.asked, s.first);
    WORLD_UNTIL(s.world, proxy_holds(&s.proxy));
    unsigned heard = s.proxy.heard;
    publish(s.b, "c", "behind the question");
    WORLD_UNTIL(s.world, s.proxy.heard > heard);
    for (int hops = 0; hops < 4; hops++)      /* out of the proxy, into the node */
        world_turn(s.world);
    assert_int_equal(s.a->n_came, 1);
    assert_int_equal(s.a->answers, s.answers);
    proxy_hurry(&s.proxy);
    world_until(s.world, &s.a->n_came, 2);
    assert_int_equal(s.a->answers, s.answers + 1);
    assert_int_equal(s.a->n_at_answer, 1);
    assert_int_equal(s.asked.call.upto.seq, s.first);
    assert_int_equal(s.asked.call.call.err, 0);
    end(&s);
}

/* Its answer, from before, would be older than what was delivered meanwhile. */
static void a_question_that_outlives_its_life_is_asked_again(void **state)
{
    struct scene s;
    begin(&s, *state);
    kill_listeners(s.world);      /* its echo comes nowhere */
    ask(s.a, &s.asked, s.first);
    world_until(s.world, &s.a->aways, 1);
    WORLD_UNTIL(s.world, proxy_holds(&s.proxy));
    publish(s.b, "c", "while nobody listens");
    proxy_hurry(&s.proxy);
    world_until(s.world, &s.a->lives, s.lives + 1);
    world_until(s.world, &s.a->answers, s.answers + 1);
    assert_int_equal(s.asked.call.call.err, 0);
    assert_int_equal(s.asked.call.upto.seq, s.first + 1);
    assert_int_equal(s.asked.call.n_msgs, 1);
    end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BUS(a_message_behind_a_question_waits_for_its_answer), ON_BUS(a_question_that_outlives_its_life_is_asked_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
