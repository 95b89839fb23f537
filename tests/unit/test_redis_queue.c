/* One contract, two engines: what is due, what has become of it, what is kept no longer, as the hub's own store and the scripts in Redis
 * answer it after the same events and the same settling. */
#define _GNU_SOURCE     /* own_dir.h */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "hub/hook.h"
#include "hub/hub.h"
#include "hub/store.h"
#include "redis/bus/redis_event.h"
#include "redis/parts/redis_queue.h"
#include "tests/unit/redis_bus_rig.h"

enum { STEPS = 800, KNOWN = 256, ROWS = 40, HOUR_MS = 3600 * 1000 };

static unsigned seed;
static unsigned draw(unsigned below) { return (unsigned)((seed = seed * 1103515245 + 12345) >> 8) % below; }
static bool in(unsigned n) { return draw(n) == 0; }

static const uint64_t endpoints[] = { 0x0190f3c2a4b81d2e, 7, 0x7fffffffffffffff };
static const char *const channels[] = { "a", "b", "c" };

/* ---- both sides ---- */

static struct world *world;
static struct node  *node;
static struct local {
    struct hub    *hub;
    struct store  *store;
    struct hook    hook;
    struct mailbox box;
    struct post    to_hub;
    uint8_t        number;
} local;
static struct redis_nodes  alone;      /* this node's clock is the server's */
static struct redis_queue *queue;
static unsigned            answers;    /* of either side */

static struct event_target targets[4];
static size_t              n_targets;

static size_t drawn_targets(struct hook *hook, enum event_type type, const struct msg *m, struct event_target *ret_targets)
{
    (void)hook, (void)type, (void)m;
    memcpy(ret_targets, targets, n_targets * sizeof *targets);
    return n_targets;
}
static bool all_wanted(const struct hook *hook, enum event_type type) { (void)hook, (void)type; return true; }
static void let_go(struct hook *hook, struct hub_event *event)         { (void)hook; hub_event_free(event); }
static bool trims(void *owner)   { (void)owner; return true; }
static void no_wake(void *owner) { (void)owner; }

static void turn_until(unsigned least)
{
    for (int i = 0; i < 100 && answers < least; i++)
        hub_turn(local.hub);
    assert_true(answers >= least);
}

/* ---- events ---- */

/* An ordered endpoint has a lane for each channel. */
static void draw_targets(unsigned channel)
{
    n_targets = 0;
    for (size_t i = 0; i < sizeof endpoints / sizeof *endpoints; i++)
        if (!in(3))
            targets[n_targets++] = (struct event_target){ .endpoint = endpoints[i], .lane = i == 0 ? 0 : i == 1 ? 0xfedc000000000001 + channel : 1 };
}

static struct publish_call some_event(unsigned channel, bool is_message)
{
    struct publish_call call = { .call.err = UNANSWERED };
    call.msg = msg_new(&(struct msg_parts){ .channel = slice_of(channels[channel]), .event = is_message ? SLICE("") : SLICE("order.created"), .kind = MSG_JSON,
                                           .data = SLICE("{\"n\":1}") });
    return call;
}

static int64_t moments[64];
static unsigned n_moments;

static void tell_both(void)
{
    unsigned channel = draw(3);
    bool is_message = in(2);
    draw_targets(channel);
    struct publish_call mine = some_event(channel, is_message), redis = some_event(channel, is_message);
    mine.call.letter.kind = is_message ? CALL_PUBLISH : CALL_EVENT;
    redis.call.letter.kind = mine.call.letter.kind;
    mine.call.from = local.number;
    call_submit(&local.to_hub, &mine.call, 0);
    post_flush(&local.to_hub);
    while (mine.call.err == UNANSWERED)
        hub_turn(local.hub);
    mailbox_take(&local.box);
    assert_int_equal(mine.call.err, 0);
    if (n_targets > 0 || !is_message)
        redis.event = hub_event_new(is_message ? EVENT_MESSAGE_PUBLISHED : EVENT_OWN, redis.msg, targets, n_targets);
    unsigned before = node->answers;
    if (is_message)
        redis_bus_publish(node->bus, &redis, &world->config.general_rule);
    else
        redis_bus_tell(node->bus, &redis, 0);
    loop_until(node->base, &node->answers, before + 1);
    assert_int_equal(redis.call.err, 0);
    assert_int_equal(mine.msg->seq, redis.msg->seq);
    hub_event_free(redis.event);
    msg_unref(mine.msg);
    msg_unref(redis.msg);
    usleep(1500);
    moments[n_moments++ % 64] = clock_wall_ms(clock_real());      /* earlier than all that follows, on both clocks */
    usleep(1500);
}

/* ---- reading ---- */

static void on_read(struct delivery_read *read) { (void)read; answers++; }

static void read_both(struct delivery_read *mine, struct delivery_read *redis)
{
    mine->answered = redis->answered = on_read;
    unsigned before = answers;
    hub_read_deliveries(local.hub, mine);
    turn_until(before + 1);
    redis_queue_read(queue, redis);
    loop_until(node->base, &answers, before + 2);
    assert_int_equal(mine->err, 0);
    assert_int_equal(redis->err, 0);
}

/* What is due at once is so by the clock of each. */
static int64_t when(const struct delivery *row) { return row->due_ms < moments[0] + HOUR_MS ? 0 : row->due_ms; }

static bool same_row(const struct delivery *a, const struct delivery *b)
{
    bool same_due = a->status != DELIVERY_PENDING || when(a) == when(b);
    return a->number == b->number && a->endpoint == b->endpoint && a->lane == b->lane && a->status == b->status && a->type == b->type && a->tries == b->tries
        && same_due && slice_is(a->channel, b->channel) && slice_is(a->name, b->name) && slice_is(a->attempts, b->attempts)
        && (!a->msg) == (!b->msg) && (!a->msg || (slice_is(msg_data(a->msg), msg_data(b->msg)) && slice_is(msg_event(a->msg), msg_event(b->msg))));
}

static void print_rows(const char *whose, const struct delivery_read *read)
{
    print_message("%s: %zu rows%s, upto %llx, next due %lld\n", whose, read->n, read->more ? " and more" : "", (unsigned long long)read->upto, (long long)read->next_due_ms);
    for (size_t i = 0; i < read->n; i++)
        print_message("  %llx to %llx lane %llx status %u tries %u due %lld channel %.*s attempts %.*s\n", (unsigned long long)read->rows[i].number,
                      (unsigned long long)read->rows[i].endpoint, (unsigned long long)read->rows[i].lane, read->rows[i].status, read->rows[i].tries,
                      (long long)read->rows[i].due_ms, (int)read->rows[i].channel.len, read->rows[i].channel.at, (int)read->rows[i].attempts.len, read->rows[i].attempts.at);
}

static void check_same(struct delivery_read *mine, struct delivery_read *redis, const char *what)
{
    bool same = mine->n == redis->n;
    for (size_t i = 0; i < mine->n && same; i++)
        same = same_row(&mine->rows[i], &redis->rows[i]);
    if (same)
        return;
    print_rows("the store", mine);
    print_rows("Redis", redis);
    fail_msg("%s: the answers differ", what);
}

/* Page by page, each with the cursor that its own engine gave: together they must be the same, wherever pages end. */
static void list_both(void)
{
    struct delivery_read wish = { .kind = in(2) ? READ_OLDEST : READ_NEWEST, .endpoint = in(2) ? endpoints[draw(3)] : 0, .limit = ROWS, .looks = 100000, .max_bytes = SIZE_MAX,
                                  .with_message = in(2) };
    if (in(2))
        wish.statuses = 1U << draw(DELIVERY_STATUSES);
    if (in(3))
        wish.channel = slice_of(channels[draw(3)]);
    if (in(3))
        wish.since_ms = moments[draw(n_moments < 64 ? n_moments : 64)];
    if (in(3))
        wish.until_ms = moments[draw(n_moments < 64 ? n_moments : 64)];
    for (int page = 0; page < 4; page++) {
        struct delivery_read mine = wish, redis = wish;
        read_both(&mine, &redis);
        check_same(&mine, &redis, "list");
        bool go_on = mine.n == ROWS;
        if (go_on) {
            assert_int_equal(mine.upto, redis.upto);
            wish.after = mine.upto;
        }
        delivery_read_fini(&mine);
        delivery_read_fini(&redis);
        if (!go_on)
            return;
    }
}

static struct settlement some[KNOWN];
static size_t            n_some;

/* What waits for somebody to act waits for no time. */
static int64_t by_time(int64_t due_ms) { return due_ms >= DELIVERY_BLOCKED ? DELIVERY_NEVER : due_ms; }

/* Everything that is due at an endpoint, in pages; some of it is remembered, to be settled. */
static void due_both(void)
{
    struct delivery_read wish = { .kind = READ_DUE, .endpoint = endpoints[draw(3)], .limit = 1 + draw(ROWS), .max_bytes = in(4) ? 1 : SIZE_MAX };
    struct delivery_read of_mine = wish, of_redis = wish;
    bool more = true;
    for (n_some = 0; more && n_some < KNOWN - ROWS;) {
        struct delivery_read mine = of_mine, redis = of_redis;
        mine.due_ms = redis.due_ms = clock_wall_ms(clock_real());
        read_both(&mine, &redis);
        check_same(&mine, &redis, "due");
        assert_int_equal(mine.more, redis.more);
        if (!mine.more)
            assert_int_equal(by_time(mine.next_due_ms), by_time(redis.next_due_ms));
        for (size_t i = 0; i < mine.n; i++)
            some[n_some++] = (struct settlement){ .number = mine.rows[i].number, .endpoint = mine.rows[i].endpoint, .lane = mine.rows[i].lane, .tries = mine.rows[i].tries };
        if (mine.n > 0) {
            of_mine.after = of_redis.after = mine.rows[mine.n - 1].number;
            of_mine.after_due_ms = mine.rows[mine.n - 1].due_ms;
            of_redis.after_due_ms = redis.rows[redis.n - 1].due_ms;
        }
        more = mine.more;
        delivery_read_fini(&mine);
        delivery_read_fini(&redis);
    }
}

/* ---- settling ---- */

static void on_settled(struct settle_call *call) { (void)call; answers++; }

static void draw_settlement(struct settlement *s, bool is_due)
{
    static const enum delivery_status wanted[] = { DELIVERY_DELIVERED, DELIVERY_DELIVERED, DELIVERY_PENDING, DELIVERY_DEAD, DELIVERY_REMOVED };
    int64_t now_ms = clock_wall_ms(clock_real());
    s->status = (uint8_t)wanted[draw(5)];
    s->tries++;
    s->settled_ms = now_ms;
    s->only_from = in(2) ? 1U << draw(DELIVERY_STATUSES) : 0;
    s->attempts = in(2) ? SLICE("{\"status\":500}") : slice(NULL, 0);
    if (s->status != DELIVERY_PENDING)
        return;
    s->due_ms = in(3) ? now_ms : in(4) && s->lane ? DELIVERY_BLOCKED : moments[0] + HOUR_MS * (2 + (int64_t)draw(5));
    if (s->lane && is_due)
        s->only_from = 1U << DELIVERY_PENDING;      /* the head of its lane stays that */
    else if (s->lane)
        s->due_ms = DELIVERY_NEVER;                 /* and any other comes to be it only when its turn comes */
}

/* What was due last, or anything that there ever was. */
static size_t draw_settlements(struct settlement *ret)
{
    size_t n = 1 + draw(5);
    bool are_due = n_some > 0;
    struct delivery_read mine = { .kind = in(2) ? READ_OLDEST : READ_NEWEST, .limit = 200, .looks = 1000, .max_bytes = SIZE_MAX, .answered = on_read };
    if (n_some == 0) {
        unsigned before = answers;
        hub_read_deliveries(local.hub, &mine);
        turn_until(before + 1);
        for (; n_some < mine.n; n_some++)
            some[n_some] = (struct settlement){ .number = mine.rows[n_some].number, .endpoint = mine.rows[n_some].endpoint, .lane = mine.rows[n_some].lane };
        delivery_read_fini(&mine);
    }
    for (size_t i = 0; i < n && n_some > 0; i++) {
        ret[i] = some[draw((unsigned)n_some)];
        draw_settlement(&ret[i], are_due);
    }
    return n_some > 0 ? n : 0;
}

static void settle_both(void)
{
    struct settlement mine[8], redis[8];
    size_t n = draw_settlements(mine);
    memcpy(redis, mine, sizeof mine);
    struct settle_call of_mine = { .at = mine, .n = n, .answered = on_settled }, of_redis = { .at = redis, .n = n, .answered = on_settled };
    unsigned before = answers;
    hub_settle(local.hub, &of_mine);
    turn_until(before + 1);
    redis_queue_settle(queue, &of_redis);
    loop_until(node->base, &answers, before + 2);
    assert_int_equal(of_mine.err, 0);
    assert_int_equal(of_redis.err, 0);
    assert_int_equal(of_mine.n_promoted, of_redis.n_promoted);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(mine[i].done, redis[i].done);
    n_some = 0;
}

/* ---- counts, and what is old ---- */

static uint64_t count_of(const struct delivery_read *read, uint64_t endpoint, enum delivery_status status)
{
    for (size_t i = 0; i < read->n; i++)
        if (read->rows[i].endpoint == endpoint && read->rows[i].status == status)
            return read->rows[i].number;
    return 0;
}

static void count_both(void)
{
    struct delivery_read mine = { .kind = READ_COUNTS }, redis = mine;
    read_both(&mine, &redis);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(count_of(&mine, endpoints[i], DELIVERY_PENDING), count_of(&redis, endpoints[i], DELIVERY_PENDING));
        assert_int_equal(count_of(&mine, endpoints[i], DELIVERY_DEAD), count_of(&redis, endpoints[i], DELIVERY_DEAD));
    }
    delivery_read_fini(&mine);
    delivery_read_fini(&redis);
}

static void on_trimmed(struct trim_call *call) { (void)call; answers++; }

/* Two rounds: the first may find that dead letters have to go too. */
static uint64_t trim(bool is_redis, struct delivery_limits limits)
{
    uint64_t dropped = 0;
    for (int round = 0; round < 2;) {
        struct trim_call call = { .limits = limits, .answered = on_trimmed };
        unsigned before = answers;
        if (is_redis)
            redis_queue_trim(queue, &call);
        else
            hub_trim_deliveries(local.hub, &call);
        if (is_redis)
            loop_until(node->base, &answers, before + 1);
        else
            turn_until(before + 1);
        assert_int_equal(call.err, 0);
        dropped += call.dead_dropped;
        round += !call.more;
    }
    return dropped;
}

static void trim_both(void)
{
    int64_t moment = moments[draw(n_moments < 64 ? n_moments : 64)];
    struct delivery_limits limits = { moment, in(2) ? moment : 0, in(4) ? 0 : UINT64_MAX / 2 };
    assert_int_equal(trim(false, limits), trim(true, limits));
    n_some = 0;
}

static void event_both(void)
{
    struct delivery_read mine = { .kind = READ_EVENT, .event = 2 + draw((unsigned)hub_head(local.hub).seq), .limit = ROWS, .looks = 1000, .max_bytes = SIZE_MAX }, redis = mine;
    read_both(&mine, &redis);
    check_same(&mine, &redis, "event");
    assert_int_equal(!mine.event_msg, !redis.event_msg);
    if (mine.event_msg) {
        assert_int_equal(mine.event_type, redis.event_type);
        assert_int_equal(mine.event_msg->seq, redis.event_msg->seq);
        assert_true(slice_is(msg_event(mine.event_msg), msg_event(redis.event_msg)));
    }
    struct delivery_read one = { .kind = READ_ONE, .after = delivery_number(mine.event, 0), .limit = 1, .looks = 1, .max_bytes = SIZE_MAX, .with_message = true }, of_redis = one;
    delivery_read_fini(&mine);
    delivery_read_fini(&redis);
    read_both(&one, &of_redis);
    check_same(&one, &of_redis, "one");
    delivery_read_fini(&one);
    delivery_read_fini(&of_redis);
}

/* ---- the whole ---- */

static void local_begin(uint64_t epoch)
{
    local.hub = hub_new(&world->config, clock_real(), NULL, (struct hub_start){ .epoch = epoch, .next = 2, .reserved = 2, .floor = 1 });
    assert_non_null(local.hub);
    local.store = store_memory_open(hub_mailbox(local.hub));
    assert_non_null(local.store);
    hub_use_memory(local.hub, local.store);
    local.hook = (struct hook){ .targets = drawn_targets, .wants = all_wanted, .accepted = let_go };
    hub_use_hook(local.hub, &local.hook);
    assert_int_equal(mailbox_init(&local.box, false), 0);
    post_init(&local.to_hub, hub_mailbox(local.hub), SIZE_MAX);
    local.number = hub_add_peer(local.hub, &local.box, false, SIZE_MAX);
}

static void local_end(void)
{
    hub_free(local.hub);
    store_memory_close(local.store);
    mailbox_fini(&local.box);
}

static void whatever_happens_both_say_the_same(void **state)
{
    static void (*const steps[])(void) = { tell_both, tell_both, tell_both, due_both, due_both, settle_both, settle_both, settle_both, list_both, list_both,
                                           count_both, event_both };
    world = *state;
    seed = getenv("SEED") ? (unsigned)strtoul(getenv("SEED"), NULL, 10) : (unsigned)clock_mono_us();
    print_message("SEED=%u\n", seed);
    world->config.webhooks_queue = 1000000;
    open_nodes(world, 1);
    node = &world->nodes[0];
    queue = redis_queue_new(&(struct redis_queue_setup){ node->bus, &alone, trims, no_wake, NULL });
    local_begin(redis_bus_head(node->bus).epoch);
    tell_both();
    for (int i = 0; i < STEPS; i++) {
        steps[draw(sizeof steps / sizeof *steps)]();
        if (in(100))
            trim_both();
    }
    local_end();
    redis_queue_free(queue);
}

int main(void)
{
    const struct CMUnitTest tests[] = { ON_BUS(whatever_happens_both_say_the_same) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
