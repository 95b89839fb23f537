/* Questions between nodes: who is asked, who answers, who is said to be missing, and what Redis has left of it afterwards. */
#define _GNU_SOURCE     /* own_dir.h */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/redis_bus_rig.h"
#include "redis/parts/redis_ask.h"

enum { LATER = 'l', AT_ONCE = 'a', LONG = 'L', NEVER = 'n', UNKNOWN = 'u', ANSWERS = 8 };

/* What a node answers with, and what came of what it asked. */
struct talker {
    struct redis_answerer at_once, later, never, longer;
    struct redis_asks    *asks;
    struct redis_asker    asker;        /* who waits for `later` */
    unsigned              n_asked, n_done, n_replies;
    struct redis_ask      ask;
    uint64_t              from[ANSWERS];
    struct buf            replies[ANSWERS];
    uint64_t              missing[ANSWERS];
};

static struct talker talkers[NODES];
static unsigned n_leases;
static uint64_t leases[NODES + 1];

static size_t list_leases(void *arg, uint64_t *ret_nodes, size_t most)
{
    (void)arg, (void)most;
    memcpy(ret_nodes, leases, n_leases * sizeof *leases);
    return n_leases;
}

#define TALKER(self, member) link_of(self, struct talker, member)

static void answer_at_once(struct redis_answerer *self, struct redis_asker asker, struct slice body)
{
    struct talker *t = TALKER(self, at_once);
    char text[100];
    t->n_asked++;
    redis_answer(t->asks, asker, slice(text, (size_t)snprintf(text, sizeof text, "%.*s!", (int)body.len, body.at)));
}

static void answer_later(struct redis_answerer *self, struct redis_asker asker, struct slice body)
{
    (void)body;
    TALKER(self, later)->asker = asker;
    TALKER(self, later)->n_asked++;
}

static void answer_never(struct redis_answerer *self, struct redis_asker asker, struct slice body)
{
    (void)asker, (void)body;
    TALKER(self, never)->n_asked++;
}

/* The same again, and its length. */
static void answer_long(struct redis_answerer *self, struct redis_asker asker, struct slice body)
{
    struct talker *t = TALKER(self, longer);
    t->n_asked++;
    redis_answer(t->asks, asker, body);
}

static void on_reply(struct redis_ask *ask, uint64_t node, struct slice body)
{
    struct talker *t = TALKER(ask, ask);
    assert_true(t->n_replies < ANSWERS);
    t->from[t->n_replies] = node;
    buf_add_slice(&t->replies[t->n_replies++], body);
}

static void on_done(struct redis_ask *ask)
{
    struct talker *t = TALKER(ask, ask);
    t->n_done++;
    for (size_t i = 0; i < ask->n_named; i++)
        t->missing[i] = ask->missing[i];
}

static void open_talkers(struct world *world, unsigned n, bool know)
{
    memset(talkers, 0, sizeof talkers);
    for (unsigned i = 0; i < n; i++) {
        struct talker *t = &talkers[i];
        node_open(world, &world->nodes[i]);
        t->asks = redis_asks_new(world->nodes[i].bus);
        t->at_once = (struct redis_answerer){ .kind = AT_ONCE, .answer = answer_at_once };
        t->later = (struct redis_answerer){ .kind = LATER, .answer = answer_later };
        t->never = (struct redis_answerer){ .kind = NEVER, .answer = answer_never };
        t->longer = (struct redis_answerer){ .kind = LONG, .answer = answer_long };
        redis_asks_add(t->asks, &t->at_once);
        redis_asks_add(t->asks, &t->later);
        redis_asks_add(t->asks, &t->never);
        redis_asks_add(t->asks, &t->longer);
        leases[i] = redis_bus_node(world->nodes[i].bus);
        if (know)
            redis_asks_know(t->asks, list_leases, NULL);
    }
    n_leases = n;
    wait_live(world);
}

static void close_talkers(struct world *world)
{
    for (unsigned i = 0; i < NODES; i++) {
        redis_bus_free(world->nodes[i].bus);
        world->nodes[i].bus = NULL;
        redis_asks_free(talkers[i].asks);
        for (unsigned k = 0; k < ANSWERS; k++)
            buf_fini(&talkers[i].replies[k]);
    }
    memset(talkers, 0, sizeof talkers);
}

static void begin_ask(struct talker *t, struct redis_ask ask)
{
    t->ask = ask;
    t->ask.reply = on_reply;
    t->ask.done = on_done;
    for (unsigned k = 0; k < ANSWERS; k++)
        buf_reset(&t->replies[k]);
    t->n_replies = t->n_done = 0;
    assert_int_equal(redis_ask(t->asks, &t->ask), 0);
    assert_int_equal(t->n_done, 0);
}

static const struct redis_ask *ask(struct world *world, struct talker *t, struct redis_ask question)
{
    begin_ask(t, question);
    world_until(world, &t->n_done, 1);
    assert_int_equal(t->ask.n_replies, t->n_replies);
    return &t->ask;
}

/* Something like {node, text} is among the replies, once. */
static void assert_replied(const struct talker *t, uint64_t node, struct slice text)
{
    unsigned n = 0;
    for (unsigned i = 0; i < t->n_replies; i++)
        n += t->from[i] == node && slice_is(buf_slice(&t->replies[i]), text);
    assert_int_equal(n, 1);
}

static void all_are_asked_or_all_others_or_one(void **state)
{
    struct world *world = *state;
    open_talkers(world, 3, false);
    const struct redis_ask *all = ask(world, &talkers[0], (struct redis_ask){ .kind = AT_ONCE, .body = SLICE("who") });
    assert_int_equal(all->err, 0);
    assert_int_equal(all->n_replies, 3);
    assert_int_equal(all->n_missing, 0);
    for (unsigned i = 0; i < 3; i++)
        assert_replied(&talkers[0], leases[i], SLICE("who!"));

    const struct redis_ask *others = ask(world, &talkers[1], (struct redis_ask){ .kind = AT_ONCE, .others = true, .body = SLICE("you") });
    assert_int_equal(others->n_replies, 2);
    assert_int_equal(others->n_missing, 0);
    assert_replied(&talkers[1], leases[0], SLICE("you!"));
    assert_replied(&talkers[1], leases[2], SLICE("you!"));

    const struct redis_ask *one = ask(world, &talkers[2], (struct redis_ask){ .kind = AT_ONCE, .to = leases[0], .body = SLICE("") });
    assert_int_equal(one->n_replies, 1);
    assert_int_equal(one->n_missing, 0);
    assert_replied(&talkers[2], leases[0], SLICE("!"));
    assert_int_equal(talkers[2].n_asked, 2);
    close_talkers(world);
}

static void an_answer_may_come_later_and_one_that_comes_too_late_is_for_nobody(void **state)
{
    struct world *world = *state;
    open_talkers(world, 2, true);
    begin_ask(&talkers[0], (struct redis_ask){ .kind = LATER, .to = leases[1] });
    world_until(world, &talkers[1].n_asked, 1);
    assert_int_equal(talkers[0].n_done, 0);
    redis_answer(talkers[1].asks, talkers[1].asker, SLICE("now"));
    world_until(world, &talkers[0].n_done, 1);
    assert_replied(&talkers[0], leases[1], SLICE("now"));

    begin_ask(&talkers[0], (struct redis_ask){ .kind = LATER, .to = leases[1] });
    redis_ask_cancel(&talkers[0].ask);
    world_until(world, &talkers[1].n_asked, 2);
    redis_answer(talkers[1].asks, talkers[1].asker, SLICE("late"));
    redis_answer(talkers[1].asks, talkers[1].asker, SLICE("twice"));
    ask(world, &talkers[0], (struct redis_ask){ .kind = AT_ONCE, .to = leases[1], .body = SLICE("next") });      /* comes behind those */
    assert_int_equal(talkers[0].n_replies, 1);
    assert_replied(&talkers[0], leases[1], SLICE("next!"));
    close_talkers(world);
}

static void long_questions_and_answers_lie_in_redis_beside_their_words_and_not_for_long(void **state)
{
    struct world *world = *state;
    char *bytes = malloc(REDIS_ASK_BYTES + 1);
    memset(bytes, 'x', REDIS_ASK_BYTES + 1);
    open_talkers(world, 3, false);
    static const size_t sizes[] = { REDIS_ASK_INLINE, REDIS_ASK_INLINE + 1, REDIS_ASK_BYTES };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const struct redis_ask *all = ask(world, &talkers[0], (struct redis_ask){ .kind = LONG, .body = slice(bytes, sizes[i]) });
        assert_int_equal(all->n_replies, 3);
        assert_int_equal(all->n_missing, 0);
        for (unsigned k = 0; k < 3; k++)
            assert_replied(&talkers[0], leases[k], slice(bytes, sizes[i]));
    }
    talkers[0].ask.body = slice(bytes, REDIS_ASK_BYTES + 1);
    assert_int_equal(redis_ask(talkers[0].asks, &talkers[0].ask), ERR_BODY_TOO_LARGE);
    char test[300];      /* replies are gone; the two questions, which all were to read, expire */
    snprintf(test, sizeof test, "test $(redis-cli -s %s --scan --pattern '*parcel*' | wc -l) = 2", world->server.socket);
    assert_int_equal(system(test), 0);
    snprintf(test, sizeof test, "for key in $(redis-cli -s %s --scan --pattern '*parcel*'); do test $(redis-cli -s %s pttl $key) -gt 0 || exit 1; done",
             world->server.socket, world->server.socket);
    assert_int_equal(system(test), 0);
    free(bytes);
    close_talkers(world);
}

static void who_does_not_answer_is_named_if_it_has_a_lease_and_counted_if_not(void **state)
{
    struct world *world = *state;
    open_talkers(world, 3, true);
    leases[n_leases++] = 4711;      /* has a lease, but does not hear: nobody waits for it when all that hear have replied */
    const struct redis_ask *all = ask(world, &talkers[0], (struct redis_ask){ .kind = AT_ONCE });
    assert_int_equal(all->n_replies, 3);
    assert_int_equal(all->n_missing, 1);
    assert_int_equal(talkers[0].missing[0], 4711);
    n_leases = 1;      /* the others are strangers, and one of them is silent */
    leases[0] = redis_bus_node(world->nodes[0].bus);
    redis_asks_know(talkers[0].asks, list_leases, NULL);
    link_remove(&talkers[1].at_once.link);
    const struct redis_ask *again = ask(world, &talkers[0], (struct redis_ask){ .kind = AT_ONCE });
    assert_int_equal(again->n_replies, 2);
    assert_int_equal(again->n_missing, 1);
    assert_int_equal(again->n_named, 0);
    close_talkers(world);
}

static void a_node_that_hangs_is_waited_for_as_long_as_the_deadline_says(void **state)
{
    struct world *world = *state;
    open_talkers(world, 2, true);
    const struct redis_ask *both = ask(world, &talkers[0], (struct redis_ask){ .kind = NEVER, .others = true });
    assert_int_equal(both->err, 0);
    assert_int_equal(both->n_replies, 0);
    assert_int_equal(both->n_missing, 1);
    assert_int_equal(talkers[0].missing[0], leases[1]);
    close_talkers(world);
}

static void a_node_that_is_not_there_is_missed_at_once(void **state)
{
    struct world *world = *state;
    open_talkers(world, 1, false);
    const struct redis_ask *nobody = ask(world, &talkers[0], (struct redis_ask){ .kind = AT_ONCE, .to = 4711 });
    assert_int_equal(nobody->err, 0);
    assert_int_equal(nobody->n_missing, 1);
    const struct redis_ask *alone = ask(world, &talkers[0], (struct redis_ask){ .kind = AT_ONCE, .others = true });
    assert_int_equal(alone->n_replies, 0);
    assert_int_equal(alone->n_missing, 0);
    const struct redis_ask *unknown = ask(world, &talkers[0], (struct redis_ask){ .kind = UNKNOWN });
    assert_int_equal(unknown->n_missing, 1);
    close_talkers(world);
}

static void when_redis_goes_away_what_is_under_way_ends_and_nothing_is_asked(void **state)
{
    struct world *world = *state;
    open_talkers(world, 2, true);
    begin_ask(&talkers[0], (struct redis_ask){ .kind = LATER });
    world_until(world, &talkers[1].n_asked, 1);
    redis_stop(&world->server);
    world_until(world, &talkers[0].n_done, 1);
    assert_int_equal(talkers[0].ask.err, ERR_OUTCOME_UNKNOWN);
    assert_int_equal(redis_ask(talkers[0].asks, &talkers[0].ask), ERR_REDIS_AWAY);
    redis_answer(talkers[1].asks, talkers[1].asker, SLICE("to nobody"));
    redis_run(&world->server, "");
    wait_live(world);
    const struct redis_ask *again = ask(world, &talkers[0], (struct redis_ask){ .kind = AT_ONCE });
    assert_int_equal(again->n_replies, 2);
    close_talkers(world);
}

static void whatever_anybody_publishes_to_the_subject_of_words_does_no_harm(void **state)
{
    struct world *world = *state;
    char command[200];
    open_talkers(world, 2, true);
    static const char *const words[] = { "''", "A", "AQ", "AQ1234567812345678", "AQ1234567812345678b", "AR1234567812345678bx", "AR1234567812345678u",
                                         "AX1234567812345678bab", "AQ1234567812345678pano-such-parcel", "AR1234567812345678p" };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        snprintf(command, sizeof command, "publish 't:{0}:words' %s", words[i]);
        redis_say(&world->server, command);
    }
    const struct redis_ask *all = ask(world, &talkers[0], (struct redis_ask){ .kind = AT_ONCE });
    assert_int_equal(all->n_replies, 2);
    close_talkers(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BUS(all_are_asked_or_all_others_or_one),
        ON_BUS(an_answer_may_come_later_and_one_that_comes_too_late_is_for_nobody),
        ON_BUS(long_questions_and_answers_lie_in_redis_beside_their_words_and_not_for_long),
        ON_BUS(who_does_not_answer_is_named_if_it_has_a_lease_and_counted_if_not),
        ON_BUS(a_node_that_hangs_is_waited_for_as_long_as_the_deadline_says),
        ON_BUS(a_node_that_is_not_there_is_missed_at_once),
        ON_BUS(when_redis_goes_away_what_is_under_way_ends_and_nothing_is_asked),
        ON_BUS(whatever_anybody_publishes_to_the_subject_of_words_does_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
