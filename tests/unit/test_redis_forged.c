/* What somebody who may publish in Redis can say to nodes, and what it does to them: nothing that lasts. */
#define _GNU_SOURCE     /* own_dir.h */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "hub/store/store_block.h"
#include "redis/bus/redis_pack.h"
#include "tests/unit/redis_proxy.h"

/* It has heard all that was said in Redis until now: behind that comes the echo of its question (redis_bus.h). */
static void until_heard(struct node *node)
{
    struct fetch_channel channel;
    struct fetch_call call = { .from = FETCH_NOW };
    fetch(node, &call, &channel, NAMES("c"));
    fetch_answer_fini(&call);
}

static void say(struct world *world, const char *subject, struct buf *bytes)
{
    char path[OWN_DIR_MAX + 8], command[900];
    snprintf(path, sizeof path, "%s/word", world->server.dir.path);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes->at, 1, bytes->len, file), bytes->len);
    fclose(file);
    snprintf(command, sizeof command, "redis-cli -s %s -x publish '%s' < %s >/dev/null", world->server.socket, subject, path);
    assert_int_equal(system(command), 0);
    buf_fini(bytes);
}

static struct buf sight_of(struct position at)
{
    struct buf bytes = { 0 };
    pack_u64(&bytes, at.epoch);
    pack_u64(&bytes, 0);
    return bytes;
}

static struct buf forged_message(struct position at, const char *channel)
{
    struct buf bytes = sight_of(at);
    struct msg *m = msg_new(&(struct msg_parts){ .channel = slice_of(channel), .kind = MSG_TEXT, .data = SLICE("forged") });
    m->seq = at.seq;
    store_block_add(&bytes, m);
    msg_unref(m);
    return bytes;
}

static struct buf forged_echo(struct position at, const char *token)
{
    struct buf bytes = sight_of(at);
    pack_u64(&bytes, at.seq);
    buf_add_str(&bytes, token);
    return bytes;
}

static void numbers_that_cannot_have_been_given_are_not_believed(void **state)
{
    struct world *world = *state;
    struct node *a = &world->nodes[0];
    open_nodes(world, 1);
    watch(a, "c");
    struct position far = { a->live_head.epoch, UINT64_MAX / 2 };
    struct buf message = forged_message(far, "c"), echo = forged_echo(far, "");
    say(world, "t:{0}:m:c", &message);
    say(world, "t:{0}:all", &echo);
    until_heard(a);
    uint64_t one = publish(a, "c", "x");
    assert_int_equal(one, a->live_head.seq + 1);
    world_until(world, &a->n_came, 1);
    assert_int_equal(a->came[0]->seq, one);
    assert_int_equal(redis_bus_head(a->bus).epoch, far.epoch);
    assert_int_equal(a->aways, 0);
}

/* Whoever could say that all echoes are back would undo the order of answers and messages, and make the node deaf without its knowing. */
static void the_echo_of_what_was_never_asked_is_not_believed(void **state)
{
    struct world *world = *state;
    struct node *a = &world->nodes[0];
    struct fetch_channel channel = { .name = SLICE("c") };
    struct proxy proxy;
    char own[64];
    proxy_begin(&proxy, world, a);
    node_open(world, a);
    wait_live(world);
    watch(a, "c");
    struct position head = redis_bus_head(a->bus);
    struct buf echo = forged_echo(head, "18446744073709551615");
    snprintf(own, sizeof own, "t:{0}:echo:%llx", (unsigned long long)redis_bus_node(a->bus));
    say(world, own, &echo);
    until_heard(a);
    proxy.mute = true;
    struct fetch_call call = { .call.err = UNANSWERED, .from = FETCH_AFTER, .after = head, .patient = true, .max_bytes = SIZE_MAX, .channels = &channel,
                               .n_channels = 1 };
    unsigned answers = a->answers;
    redis_bus_fetch(a->bus, &call);
    WORLD_UNTIL(world, !proxy.mute);
    assert_true(publish(a, "c", "x") > 0);      /* what Redis has replied is there by now */
    assert_int_equal(a->answers, answers + 1);
    assert_int_equal(call.call.err, UNANSWERED);      /* its own echo has not come */
    proxy_end(&proxy);
    node_close(a);
}

static void what_is_no_message_is_left_alone(void **state)
{
    struct world *world = *state;
    struct node *a = &world->nodes[0];
    open_nodes(world, 1);
    watch(a, "c");
    for (size_t n = 1; n < 60; n += 7) {
        struct buf message = forged_message(redis_bus_head(a->bus), "c");
        message.len = n < message.len ? n : message.len;
        say(world, n % 2 ? "t:{0}:m:c" : "t:{0}:words", &message);
    }
    struct buf nameless = forged_message((struct position){ a->live_head.epoch, a->live_head.seq + 1 }, "a\nb");
    say(world, "t:{0}:m:c", &nameless);
    publish(a, "c", "x");
    world_until(world, &a->n_came, 1);
    assert_int_equal(a->n_came, 1);
    assert_int_equal(a->aways, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BUS(numbers_that_cannot_have_been_given_are_not_believed), ON_BUS(the_echo_of_what_was_never_asked_is_not_believed),
        ON_BUS(what_is_no_message_is_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
