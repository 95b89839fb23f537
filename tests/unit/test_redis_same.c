/* One contract, two engines: what the hub answers from its own memory and what the scripts answer from Redis, after the same publishes. */
#define _GNU_SOURCE     /* own_dir.h */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "hub/hub.h"
#include "tests/unit/redis_bus_rig.h"

enum { NAMES_MOST = 5, QUESTIONS = 1000 };

static unsigned seed;
static unsigned draw(unsigned below) { return (unsigned)((seed = seed * 1103515245 + 12345) >> 8) % below; }

static const char *const channels[] = { "a", "a.b", "a.c", "a.b.c", "x.b", "x", "off.a", "off.b", "heavy.a", "heavy.b" };      /* two that bytes bound */
static const char *const patterns[] = { "*", "**", "a.*", "a.**", "*.b", "off.*", "x.**" };
enum { CHANNELS = sizeof channels / sizeof *channels, PATTERNS = sizeof patterns / sizeof *patterns };

/* The hub's side: one thread, its mailboxes turned by hand. */
struct local {
    struct hub    *hub;
    struct mailbox box;
    struct post    to_hub;
    uint8_t        number;
};

static void local_run(struct local *local, struct call *call, enum letter_kind kind)
{
    call->letter.kind = kind;
    call->from = local->number;
    call->err = UNANSWERED;
    call_submit(&local->to_hub, call, 0);
    post_flush(&local->to_hub);
    hub_turn(local->hub);
    mailbox_take(&local->box);
    assert_int_equal(call->err, 0);
}

static void local_begin(struct local *local, struct world *world, uint64_t epoch)
{
    local->hub = hub_new(&world->config, clock_real(), NULL, (struct hub_start){ .epoch = epoch, .next = 2, .reserved = 2, .floor = 1 });      /* 1 is the epoch's beginning in Redis */
    assert_non_null(local->hub);
    assert_int_equal(mailbox_init(&local->box, false), 0);
    post_init(&local->to_hub, hub_mailbox(local->hub), SIZE_MAX);
    local->number = hub_add_peer(local->hub, &local->box, false, SIZE_MAX);
}

static void local_end(struct local *local)
{
    hub_free(local->hub);
    mailbox_fini(&local->box);
}

enum { HEAVY_BYTES = 1000 };

/* Some end at once, some never in this test. (What ends while it is kept by its number alone is for test_redis_scripts.c.) What has
 * ended counts towards history.bytes in Redis until it is at the old end, so those that bytes bound have none. */
static struct publish_call some_publish(const char *channel)
{
    static const char data[400] = { [0 ... 398] = 'x' };
    struct publish_call call = { .call.err = UNANSWERED };
    bool heavy = strstr(channel, "heavy");
    call.msg = msg_new(&(struct msg_parts){ .channel = slice_of(channel), .kind = MSG_TEXT, .data = slice(data, heavy ? draw(399) : draw(9)),
                                           .exclude = draw(5) ? SLICE("") : SLICE("somebody"), .ttl_ms = heavy || draw(4) ? 0 : draw(2) ? 1 : 600 * 1000 });
    return call;
}

/* Moments with all that was published before them earlier on both clocks, and all that comes later. */
enum { MOMENTS = 64 };
static int64_t moments[MOMENTS];
static unsigned n_moments;

static void let_time_pass(void)
{
    usleep(1500);      /* what ends at once has ended */
    moments[n_moments++ % MOMENTS] = clock_wall_ms(clock_real());
    usleep(1500);
}

static void publish_both(struct local *local, struct node *node)
{
    const char *channel = channels[draw(CHANNELS)];
    unsigned same = seed;
    struct publish_call mine = some_publish(channel);
    seed = same;
    struct publish_call redis = some_publish(channel);
    local_run(local, &mine.call, CALL_PUBLISH);
    publish_await(node, &redis);
    assert_int_equal(redis.call.err, 0);
    assert_int_equal(mine.msg->seq, redis.msg->seq);
    msg_unref(mine.msg);
    msg_unref(redis.msg);
    let_time_pass();
}

static void purge_both(struct local *local, struct node *node)
{
    struct slice channel = slice_of(channels[draw(CHANNELS)]);
    struct position before = { draw(2) ? hub_head(local->hub).epoch : 0, 0 };
    if (before.epoch)
        before.seq = 1 + draw((unsigned)hub_head(local->hub).seq);
    struct purge_call mine = { .channel = channel, .hash = hash_bytes(channel), .before = before }, redis = mine;
    local_run(local, &mine.call, CALL_PURGE);
    unsigned answers = node->answers;
    redis_bus_purge(node->bus, &redis);
    loop_until(node->base, &node->answers, answers + 1);
    assert_int_equal(redis.call.err, 0);
    assert_int_equal(mine.removed, redis.removed);
    if (mine.removed > 0)
        assert_int_equal(mine.upto.seq, redis.upto.seq);
}

static bool is_among(const char *const *names, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (!strcmp(names[i], name))
            return true;
    return false;
}

static void ask_about(struct fetch_call *call, const char **names, struct position head)
{
    static const enum fetch_from kinds[] = { FETCH_NOW, FETCH_AFTER, FETCH_AFTER, FETCH_AFTER, FETCH_ALL, FETCH_LATEST, FETCH_LATEST, FETCH_COUNT, FETCH_TIME };
    size_t n = 0;
    for (unsigned wanted = 1 + draw(NAMES_MOST - 1); n < wanted; ) {
        const char *name = draw(3) ? channels[draw(CHANNELS)] : patterns[draw(PATTERNS)];
        if (is_among(names, n, name))
            wanted--;
        else
            names[n++] = name;
    }
    names[n] = NULL;
    *call = (struct fetch_call){ .from = kinds[draw(sizeof kinds / sizeof *kinds)], .after = { head.epoch + (draw(20) == 0), 1 + draw((unsigned)head.seq + 1) },
                                 .count = 1 + draw(12), .max_count = draw(2) ? 0 : 1 + draw(6), .max_bytes = draw(3) ? SIZE_MAX : 1 + draw(1500) };
    if (call->from == FETCH_TIME)
        call->time_ms = draw(10) && n_moments ? moments[draw(n_moments < MOMENTS ? n_moments : MOMENTS)] : 1;
    if (call->from != FETCH_LATEST)
        return;
    call->conflates = draw(3) == 0;
    call->by_rule = !call->conflates && draw(2);
    if (!call->conflates && draw(2))
        call->whole_after = call->after.seq + draw(5);
}

/* The same of both: a reader that wants all of some channels (conflation), or nothing of some from before now (`last` of rules). */
static size_t name_channels(const struct fetch_call *call, struct fetch_channel *channels_asked, const char *const *names, unsigned wishes)
{
    size_t n = 0;
    for (; names[n]; n++, wishes >>= 1)
        channels_asked[n] = (struct fetch_channel){ .name = slice_of(names[n]), .whole = call->conflates && (wishes & 1), .from_now = call->by_rule && (wishes & 1) };
    return n;
}

static void say(const struct fetch_call *call, const char *const *names)
{
    print_message("from %d after %llu whole after %llu count %u time %lld at most %zu, %zu bytes%s:", call->from, (unsigned long long)call->after.seq,
                  (unsigned long long)call->whole_after, call->count, (long long)call->time_ms, call->max_count, call->max_bytes, call->conflates ? " conflates" : "");
    for (size_t i = 0; names[i]; i++)
        print_message(" %s%s%s", names[i], call->channels[i].whole ? " (whole)" : "", call->channels[i].from_now ? " (from now)" : "");
    print_message("\n");
}

static bool same_messages(const struct fetch_call *a, const struct fetch_call *b)
{
    if (a->n_msgs != b->n_msgs)
        return false;
    for (size_t i = 0; i < a->n_msgs; i++)
        if (a->msgs[i]->seq != b->msgs[i]->seq || !slice_is(msg_channel(a->msgs[i]), msg_channel(b->msgs[i])))
            return false;
    return true;
}

static bool same_channels(const struct fetch_call *a, const struct fetch_call *b)
{
    for (size_t i = 0; i < a->n_channels; i++) {
        const struct fetch_channel *x = &a->channels[i], *y = &b->channels[i];
        /* A pattern's `dropped` matters as far as it makes a gap: how deep an engine looks is its own. Of what tells no gap it is nobody's. */
        bool exact = !memchr(x->name.at, '*', x->name.len) && x->resumable && a->from != FETCH_NOW;
        if (x->incomplete != y->incomplete || x->resumable != y->resumable || x->loses != y->loses || (exact && x->dropped != y->dropped))
            return false;
    }
    return true;
}

/* With more behind it, how far a walk over all channels has looked is the engine's own too. */
static bool same_answer(const struct fetch_call *a, const struct fetch_call *b)
{
    return a->gap == b->gap && a->more == b->more && a->begin.epoch == b->begin.epoch && a->begin.seq == b->begin.seq
        && (a->more || a->upto.seq == b->upto.seq) && same_messages(a, b) && same_channels(a, b);
}

static void ask_both(struct local *local, struct node *node)
{
    struct fetch_channel of_mine[NAMES_MOST], of_redis[NAMES_MOST];
    const char *names[NAMES_MOST + 1];
    struct fetch_call mine, redis;
    ask_about(&mine, names, hub_head(local->hub));
    redis = mine;
    unsigned wishes = draw(1 << NAMES_MOST);
    mine.channels = of_mine;
    redis.channels = of_redis;
    mine.n_channels = name_channels(&mine, of_mine, names, wishes);
    redis.n_channels = name_channels(&redis, of_redis, names, wishes);
    local_run(local, &mine.call, CALL_FETCH);
    fetch_await(node, &redis);
    if (!same_answer(&mine, &redis)) {
        say(&mine, names);
        print_message("gap %d %d, more %d %d, begin %llu %llu, upto %llu %llu, messages %zu %zu\n", mine.gap, redis.gap, mine.more, redis.more,
                      (unsigned long long)mine.begin.seq, (unsigned long long)redis.begin.seq, (unsigned long long)mine.upto.seq,
                      (unsigned long long)redis.upto.seq, mine.n_msgs, redis.n_msgs);
        for (size_t i = 0; i < mine.n_msgs || i < redis.n_msgs; i++)
            print_message("message %llu %llu\n", i < mine.n_msgs ? (unsigned long long)mine.msgs[i]->seq : 0, i < redis.n_msgs ? (unsigned long long)redis.msgs[i]->seq : 0);
        for (size_t i = 0; i < mine.n_channels; i++)
            print_message("%s: incomplete %d %d, resumable %d %d, dropped %llu %llu\n", names[i], of_mine[i].incomplete, of_redis[i].incomplete,
                          of_mine[i].resumable, of_redis[i].resumable, (unsigned long long)of_mine[i].dropped, (unsigned long long)of_redis[i].dropped);
        fail_msg("the answers differ: the hub's first, then that of Redis");
    }
    fetch_answer_fini(&mine);
    fetch_answer_fini(&redis);
}

static void whatever_is_asked_both_answer_the_same(void **state)
{
    struct world *world = *state;
    struct local local = { .hub = NULL };
    struct channel_rule rules[2] = { world->off, world->config.general_rule };
    rules[1].pattern = "heavy.**";
    rules[1].history_bytes = HEAVY_BYTES;
    world->config.rules = rules;
    world->config.rule_count = 2;
    world->config.general_rule.history_size = 6;
    world->config.history_max_bytes = 1 << 30;
    seed = getenv("SEED") ? (unsigned)strtoul(getenv("SEED"), NULL, 10) : (unsigned)clock_mono_us();
    print_message("SEED=%u\n", seed);
    open_nodes(world, 1);
    struct node *node = &world->nodes[0];
    local_begin(&local, world, redis_bus_head(node->bus).epoch);
    for (unsigned i = 0; i < QUESTIONS; i++) {
        if (draw(3) == 0)
            publish_both(&local, node);
        if (draw(25) == 0)
            purge_both(&local, node);
        ask_both(&local, node);
    }
    local_end(&local);
}

int main(void)
{
    const struct CMUnitTest tests[] = { ON_BUS(whatever_is_asked_both_answer_the_same) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
