/* edge_world.h — an edge between a scripted hub and clients that take what they like: what the tests of transports/ stand on.
 *
 * The hub is a mailbox and an array of messages per channel. It answers calls in order when the test says so, gives up history
 * when told to, and loses mail on request. Clients read the real wire formats and check all the time what is promised:
 * each frame is byte for byte the message it says; no channel skips a message without a gap, none comes twice; unmarked
 * numbers only grow; and a position never runs ahead of what was delivered. */
#pragma once
#include "tests/unit/edge_client.h"

/* ---- the protocol ---- */

static void say(struct conn *conn, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(struct conn *conn, const char *format, ...)
{
    char text[128];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (conn->format == WIRE_WS)
        wire_add_ws(conn_say_begin(conn), WS_TEXT, slice(text, (size_t)n));
    else
        wire_add_sse(conn_say_begin(conn), SLICE(""), SLICE("hub.x"), slice(text, (size_t)n));
    conn_say_end(conn);
}

static void say_gap(struct conn *conn, bool marked, const struct fetch_call *answer)
{
    char names[CHANNELS + 1] = { 0 };
    size_t n = 0;
    for (size_t i = 0; i < answer->n_channels; i++)
        if (answer->channels[i].incomplete)
            names[n++] = answer->channels[i].name.at[0];
    assert_true(n > 0);
    say(conn, "%sgap:%s:%llu", marked ? "r" : answer->gap == GAP_CONFLATED ? "c" : "", names, (unsigned long long)answer->begin.seq);
}

static void test_began(struct conn *conn, struct catchup *cu, const struct fetch_call *answer)
{
    if (answer->gap)
        say_gap(conn, cu->marked, answer);
    for (size_t i = 0; i < answer->n_channels; i++)
        say(conn, "sub%c:%c:%llu:%d", "NAR"[cu->kind], answer->channels[i].name.at[0], (unsigned long long)answer->begin.seq,
            answer->channels[i].resumable);
}
static void test_gap(struct conn *conn, const struct catchup *cu, const struct fetch_call *answer) { say_gap(conn, cu->marked, answer); }

struct done { struct conn *conn; uint64_t upto; };
static void say_done(void *arg, struct slice name)
{
    struct done *done = arg;
    say(done->conn, "done:%c:%llu", name.at[0], (unsigned long long)done->upto);
}
static void test_replayed(struct conn *conn, struct catchup *cu, struct position upto)
{
    catchup_each_channel(cu, say_done, &(struct done){ conn, upto.seq });
}
static void test_withdrawn(struct conn *conn, const struct catchup *cu, struct slice name)
{
    (void)cu;
    say(conn, "never:%c", name.at[0]);
}
static void test_tell(struct conn *conn, const char *type, struct buf *object)
{
    (void)type;
    buf_fini(object);
    say(conn, "note");
}
static int  test_due(struct conn *conn)      { conn_want_head(conn); return 15; }
static void test_position(struct conn *conn) { say(conn, "pos:%llu", (unsigned long long)conn->position.seq); }
static void test_farewell(struct conn *conn, const struct parting *parting)
{
    say(conn, "bye:%d:%lld", parting->err, (long long)conn_retry_ms(conn));
}

#define TEST_PROTOCOL(f) { .name = "test", .gauge = METRIC_conns_ws, .format = f, .replay_format = WIRE_WS_REPLAY, .began = test_began, \
    .gap = test_gap, .replayed = test_replayed, .withdrawn = test_withdrawn, .tell = test_tell, .due = test_due, .position = test_position, .farewell = test_farewell }
static const struct protocol test_ws = TEST_PROTOCOL(WIRE_WS), test_sse = TEST_PROTOCOL(WIRE_SSE);

/* ---- the world ---- */

static int64_t world_now(const struct clock *clock) { (void)clock; return world->now_ms; }

static void world_begin(void)
{
    log_setup(LOG_ERROR, LOG_TEXT);
    world = calloc(1, sizeof *world);
    world->config = *config_defaults();
    world->config.dev = true;
    world->clock = (struct clock){ world_now, world_now };
    world->now_ms = 1000000;
    world->queue_end = &world->queue;
    world->resumable = true;
    world->line = (struct line_ops){ line_send, line_keep, line_want_writable, line_pause, line_finish, NULL, 0 };
    world->authority = authority_new();
    mailbox_init(&world->box, false);
    assert_int_equal(edge_new(&world->config, &world->clock, NULL, world->authority, false, &world->edge), 0);
    world->edge->line = &world->line;
    world->edge->next_id = 1;
}

static void edge_turn(void)
{
    edge_mail(world->edge);
    edge_flush(world->edge);
}

/* Turns until nothing is under way. */
static void settle(void)
{
    for (int i = 0; i < 1000; i++) {
        hub_run(UINT32_MAX);
        bool mail = world->to_edge.newest || atomic_load(&world->edge->box.top);
        hub_send_mail();
        edge_turn();
        if (!mail && !atomic_load(&world->box.top))
            return;
    }
    fail_msg("the edge never comes to rest");
}

static struct client *connect_as(const struct protocol *protocol)
{
    struct client *c = NULL;
    for (int i = 0; i < CLIENTS && !c; i++)
        c = world->clients[i].conn ? NULL : &world->clients[i];
    assert_non_null(c);
    buf_fini(&c->kept);
    buf_fini(&c->in);
    buf_fini(&c->log);
    *c = (struct client){ .budget = SIZE_MAX };
    c->conn = conn_new(world->edge, protocol, c, principal_anonymous(&world->config), SLICE(""));
    assert_non_null(c->conn);
    return c;
}

/* `channels`: "abc". What a client resumes after, it has. */
static int subscribe_from(struct client *c, const char *channels, enum fetch_from from, uint64_t after, bool marked)
{
    struct slice names[CHANNELS] = { 0 };
    size_t n = strlen(channels);
    for (size_t i = 0; i < n; i++)
        names[i] = slice(channels + i, 1);
    int err = conn_subscribe(c->conn, names, n, &(struct since){ .from = from, .after = { EPOCH, after } }, marked, NULL);
    for (size_t i = 0; !err && i < n; i++)
        *view_of(c, channels[i]) = (struct view){ .subscribed = true, .have = after };
    if (!err && from == FETCH_AFTER && !marked)
        c->position = after;
    return err;
}
static inline struct client *subscriber(const struct protocol *protocol, const char *channels)
{
    struct client *c = connect_as(protocol);
    assert_int_equal(subscribe_from(c, channels, FETCH_NOW, 0, false), 0);
    return c;
}
static inline struct client *resumer(const struct protocol *protocol, const char *channels, uint64_t after)
{
    struct client *c = connect_as(protocol);
    assert_int_equal(subscribe_from(c, channels, FETCH_AFTER, after, false), 0);
    return c;
}

static inline void unsubscribe(struct client *c, char name)
{
    assert_int_equal(conn_unsubscribe(c->conn, slice(&name, 1)), 0);
    view_of(c, name)->subscribed = false;
}

/* Every channel that is subscribed has been delivered to its end. */
static inline void check_complete(struct client *c)
{
    for (int i = 0; i < CHANNELS; i++) {
        const struct view *v = &c->views[i];
        if (!v->subscribed)
            continue;
        assert_true(v->begun);
        assert_false(v->replaying);
        struct msg *next = next_after(&world->channels[i], v->have);
        if (next)
            assert_true(v->gap && world->channels[i].last <= world->channels[i].dropped);
    }
}

static inline void expect_log(struct client *c, const char *wanted)
{
    buf_add_char(&c->log, '\0');
    assert_string_equal(c->log.at, wanted);
    buf_reset(&c->log);
}

/* All go, and nothing of them may be left. */
static void world_end(void)
{
    for (int i = 0; i < CLIENTS; i++)
        if (world->clients[i].conn)
            client_gone(&world->clients[i]);
    settle();
    assert_int_equal(world->edge->pool.used, 0);
    assert_int_equal(world->edge->kept_bytes, 0);
    assert_null(world->edge->feeds);
    assert_true(link_alone(&world->edge->asking) && link_alone(&world->edge->kept));
    assert_true(edge_idle(world->edge));
    edge_free(world->edge);
    authority_free(world->authority);
    for (int i = 0; i < CHANNELS; i++) {
        assert_null(world->channels[i].subscribers);
        for (uint32_t j = 0; j < world->channels[i].n; j++)
            msg_unref(world->channels[i].msgs[j]);
    }
    for (int i = 0; i < CLIENTS; i++) {
        buf_fini(&world->clients[i].kept);
        buf_fini(&world->clients[i].in);
        buf_fini(&world->clients[i].log);
    }
    buf_fini(&world->order);
    mailbox_fini(&world->box);
    free(world);
    world = NULL;
}

static inline int begin_world(void **state)
{
    (void)state;
    world_begin();
    return 0;
}

static inline int end_world(void **state)
{
    (void)state;
    if (world)
        world_end();
    return 0;
}

#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, begin_world, end_world)
