/* redis_bus_rig.h — nodes: buses on a real redis-server, and what each has been told.
 *
 * Each node has a loop of its own, so a test can let one go on while another sees nothing of the world yet: publish, watch and fetch
 * turn the node's loop only, all else those of all nodes. Threading: the test's thread. */
#pragma once
#include "hub/base/err.h"
#include "hub/base/hash.h"
#include "hub/config/config.h"
#include "redis/bus/redis_bus.h"
#include "tests/unit/redis_rig.h"

enum { NODES = 3, CAME = 4096, UNANSWERED = 100000, WAIT_FDS = 256, WAIT_MS = 20 };

struct node {
    struct event_base *base;
    struct redis_bus *bus;
    struct msg       *came[CAME];
    unsigned          n_came, lives, lived, aways, behinds, behind_all, answers, refusals, accepts, purges;
    struct position   live_head, whole_after;      /* when it was live last; when it was after everybody had been told to be behind */
    bool              is_behind;
    char              why[200], behind[200];      /* lived: lives, when listeners were killed last */
    struct position       head;              /* last told beside live_head */
    unsigned              n_at_answer;       /* n_came at the newest answer */
};

struct world {
    struct redis_server   server;
    struct redis_url      url, proxied;  /* nodes that are opened take the second one, when there is one */
    struct node           nodes[NODES];
    struct config         config;
    struct channel_rule   off;           /* of channels below `off.`: no history */
    int64_t               meta_ms, command_ms;      /* for as long as tests wait: a loaded machine loses no link */
    uint64_t              index_length;
    char                  url_text[300];
};

static const struct config *the_config;      /* all nodes' */

static inline void node_live(void *owner, struct position head)
{
    struct node *node = owner;
    node->lives++;
    node->live_head = head;
    if (node->is_behind)
        node->whole_after = head;
    node->is_behind = false;
}
static inline void node_head(void *owner, struct position head) { ((struct node *)owner)->head = head; }
static inline void node_away(void *owner, const char *why)
{
    struct node *node = owner;
    node->aways++;
    snprintf(node->why, sizeof node->why, "%s", why);
}
static inline void node_refused(void *owner, const char *why)
{
    struct node *node = owner;
    node->refusals += why != NULL;
    node->accepts += why == NULL;
}
static inline void node_message(void *owner, struct msg *m)
{
    struct node *node = owner;
    assert_true(node->n_came < CAME);
    if (node->n_came > 0)
        assert_true(m->seq > node->came[node->n_came - 1]->seq);      /* always, over epochs too */
    node->came[node->n_came++] = m;
}
static inline void node_behind(void *owner, struct slice channel)
{
    struct node *node = owner;
    node->behinds++;
    node->behind_all += channel.len == 0;
    node->is_behind |= channel.len == 0;
    snprintf(node->behind, sizeof node->behind, "%.*s", (int)channel.len, channel.at);
}
static inline void node_purged(void *owner) { ((struct node *)owner)->purges++; }
static inline void node_answer(void *owner, struct call *call, int err)
{
    call->err = err;
    ((struct node *)owner)->answers++;
    ((struct node *)owner)->n_at_answer = ((struct node *)owner)->n_came;
}
static const struct redis_bus_ops node_ops = {
    .live = node_live, .head = node_head, .away = node_away, .refused = node_refused, .message = node_message,
    .behind = node_behind, .purged = node_purged, .answer = node_answer,
};

/* Parts may be added to its bus before it is opened. */
static inline void node_make(struct world *world, struct node *node)
{
    if (!node->base)
        node->base = event_base_new();
    node->bus = redis_bus_new(&(struct redis_bus_setup){
        .link = { .base = node->base, .url = world->proxied.unix_path ? &world->proxied : &world->url, .connect_ms = 1000, .command_ms = world->command_ms }, .prefix = "t", .meta_ms = world->meta_ms,
        .config = &world->config, .index_length = world->index_length, .ops = &node_ops, .owner = node });
    assert_non_null(node->bus);
}

static inline void node_open(struct world *world, struct node *node)
{
    node_make(world, node);
    redis_bus_open(node->bus);
}

static inline void node_close(struct node *node)
{
    redis_bus_free(node->bus);
    if (node->base) {
        event_base_loop(node->base, EVLOOP_NONBLOCK);      /* what libevent frees later */
        event_base_free(node->base);
    }
    for (unsigned i = 0; i < node->n_came; i++)
        msg_unref(node->came[i]);
    *node = (struct node){ .bus = NULL };
}

/* ---- all loops as one ---- */

/* What the loops wait for. */
struct wait {
    struct pollfd  fds[WAIT_FDS];
    nfds_t         n;
    struct timeval due;                  /* wall clock, as event_pending tells it: the next timer, or when nobody waits any longer */
};

static inline int wait_for_event(const struct event_base *base, const struct event *event, void *arg)
{
    struct wait *wait = arg;
    struct timeval due;
    short what = (short)event_pending(event, EV_READ | EV_WRITE, NULL);
    (void)base;
    if (event_pending(event, EV_TIMEOUT, &due) && evutil_timercmp(&due, &wait->due, <))
        wait->due = due;
    if (!what || event_get_fd(event) < 0)
        return 0;
    assert_true(wait->n < WAIT_FDS);
    wait->fds[wait->n++] = (struct pollfd){ .fd = event_get_fd(event), .events = (short)((what & EV_READ ? POLLIN : 0) | (what & EV_WRITE ? POLLOUT : 0)) };
    return 0;
}

/* Until one of them has something to do, for WAIT_MS at most: what a test waits for may be in Redis. */
static inline void world_wait(const struct world *world)
{
    struct wait wait = { .n = 0 };
    struct timeval now, left, most = { 0, WAIT_MS * 1000 };
    evutil_gettimeofday(&now, NULL);
    evutil_timeradd(&now, &most, &wait.due);
    for (unsigned i = 0; i < NODES; i++) {
        struct event_base *base = world->nodes[i].base;
        if (base && event_base_get_num_events(base, EVENT_BASE_COUNT_ACTIVE) > 0)
            return;
        if (base)
            event_base_foreach_event(base, wait_for_event, &wait);
    }
    evutil_timersub(&wait.due, &now, &left);
    if (left.tv_sec >= 0)
        ppoll(wait.fds, wait.n, &(struct timespec){ left.tv_sec, left.tv_usec * 1000 }, NULL);
}

/* Lets all of them do what there is to do, when there is something. */
static inline void world_turn(struct world *world)
{
    world_wait(world);
    for (unsigned i = 0; i < NODES; i++)
        if (world->nodes[i].base)
            event_base_loop(world->nodes[i].base, EVLOOP_NONBLOCK);
}

/* Time in which nothing is waited for. */
static inline void world_pass(struct world *world, int64_t ms)
{
    for (int64_t end = clock_mono_ms(clock_real()) + ms; clock_mono_ms(clock_real()) < end; )
        world_turn(world);
}


/* Turns until the condition holds. */
#define WORLD_UNTIL(world, condition)                                                                          \
    for (int64_t end_ms = clock_mono_ms(clock_real()) + REDIS_WAIT_MS; !(condition); world_turn(world))        \
        assert_true(clock_mono_ms(clock_real()) < end_ms)

/* Turns until `*what` is at least `least`. */
static inline void world_until(struct world *world, const unsigned *what, unsigned least) { WORLD_UNTIL(world, *what >= least); }

/* All nodes that are open. */
static inline void wait_live(struct world *world)
{
    for (unsigned i = 0; i < NODES; i++)
        for (int64_t end = clock_mono_ms(clock_real()) + REDIS_WAIT_MS; world->nodes[i].bus && redis_bus_state(world->nodes[i].bus) != REDIS_BUS_LIVE;
             world_turn(world))
            if (clock_mono_ms(clock_real()) > end)
                fail_msg("node %u is not live: state %d, %s", i, redis_bus_state(world->nodes[i].bus), redis_bus_why(world->nodes[i].bus));
}

static inline struct publish_call publish_call(const char *channel, const char *data)
{
    return (struct publish_call){ .call.err = UNANSWERED,
        .msg = msg_new(&(struct msg_parts){ .channel = slice_of(channel), .kind = MSG_TEXT, .data = slice_of(data) }) };
}

static inline void publish_soon(struct node *node, struct publish_call *call)
{
    redis_bus_publish(node->bus, call, config_channel_rule(the_config, msg_channel(call->msg)));
}

static inline void publish_await(struct node *node, struct publish_call *call)
{
    unsigned answers = node->answers;
    publish_soon(node, call);
    if (node->answers == answers)
        loop_until(node->base, &node->answers, answers + 1);
}

/* The number it got; 0: refused. */
static inline uint64_t publish(struct node *node, const char *channel, const char *data)
{
    struct publish_call call = publish_call(channel, data);
    publish_await(node, &call);
    uint64_t seq = call.call.err ? 0 : call.msg->seq;
    msg_unref(call.msg);
    return seq;
}

static inline void watch(struct node *node, const char *channel)
{
    struct watch_call call = { .call.err = UNANSWERED, .channel = slice_of(channel), .hash = hash_bytes(slice_of(channel)) };
    unsigned answers = node->answers;
    redis_bus_subscribe(node->bus, &call);
    loop_until(node->base, &node->answers, answers + 1);
    assert_int_equal(call.call.err, 0);
}

/* With its channels. To be given back with fetch_answer_fini. */
static inline void fetch_await(struct node *node, struct fetch_call *call)
{
    unsigned answers = node->answers;
    call->call.err = UNANSWERED;
    call->patient = true;
    redis_bus_fetch(node->bus, call);
    if (node->answers == answers)
        loop_until(node->base, &node->answers, answers + 1);
    assert_int_equal(call->call.err, 0);
}

/* `names` ends with NULL. */
static inline void fetch(struct node *node, struct fetch_call *call, struct fetch_channel *channels, const char *const *names)
{
    call->channels = channels;
    call->n_channels = 0;
    if (!call->max_bytes)
        call->max_bytes = SIZE_MAX;
    for (; names[call->n_channels]; call->n_channels++)
        channels[call->n_channels] = (struct fetch_channel){ .name = slice_of(names[call->n_channels]) };
    fetch_await(node, call);
}

#define NAMES(...) ((const char *const[]){ __VA_ARGS__, NULL })

static inline int bus_set_up(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    signal(SIGPIPE, SIG_IGN);      /* as the hub does */
    redis_begin(&world->server, false, "");
    snprintf(world->url_text, sizeof world->url_text, "unix:%s", world->server.socket);
    assert_null(redis_url_read(slice_of(world->url_text), &world->url));
    world->off = (struct channel_rule){ .pattern = "off.**" };
    world->config = (struct config){ .rules = &world->off, .rule_count = 1, .publish_idempotency_ttl_ms = 60000,
                                     .general_rule = { .pattern = "", .history_size = 100, .history_bytes = 1 << 20, .history_ttl_ms = 60000 } };
    the_config = &world->config;
    world->meta_ms = 600 * 1000;
    world->command_ms = REDIS_WAIT_MS;
    world->index_length = 100000;
    *state = world;
    return 0;
}

static inline int bus_tear_down(void **state)
{
    struct world *world = *state;
    for (unsigned i = 0; i < NODES; i++)
        node_close(&world->nodes[i]);
    redis_url_fini(&world->url);
    redis_end(&world->server);
    free(world);
    return 0;
}

/* The first `n` nodes, live. */
static inline void open_nodes(struct world *world, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        node_open(world, &world->nodes[i]);
    wait_live(world);
}

static inline void kill_listeners(struct world *world)
{
    for (unsigned i = 0; i < NODES; i++)
        world->nodes[i].lived = world->nodes[i].lives;
    redis_say(&world->server, "client kill type pubsub");
}

/* It has been live once more since. */
static inline void wait_back(struct world *world, struct node *node) { world_until(world, &node->lives, node->lived + 1); }

/* These, and in this order. */
static inline void assert_came(struct world *world, struct node *node, const uint64_t *seqs, unsigned n)
{
    world_until(world, &node->n_came, n);
    assert_int_equal(node->n_came, n);
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(node->came[i]->seq, seqs[i]);
}

#define ON_BUS(test) cmocka_unit_test_setup_teardown(test, bus_set_up, bus_tear_down)
