/* Patterns on an edge, with the real hub behind it: a message that several subscriptions of a connection want comes once, however it was
 * sent, whatever came between, and to no one whom it leaves out. */
#include "hub/access/access.h"
#include "hub/access/authority.h"
#include "hub/base/clock.h"
#include "hub/base/err.h"
#include "hub/base/hash.h"
#include "hub/base/json.h"
#include "hub/base/log.h"
#include "hub/config/config.h"
#include "hub/hub.h"
#include "transports/edge/conn.h"
#include "transports/edge/edge.h"
#include "transports/edge/feed.h"
#include "transports/protocol/ws.h"
#include "transports/request/stream_request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

enum { CLIENTS = 4, PAYLOAD = 60, FRAME_MAX = 200 };

/* A page with a WebSocket, whose line takes as many bytes as it is allowed. */
struct client {
    struct conn *conn;
    size_t       budget;
    bool         wants;
    struct buf   in, kept, log;
};

struct world {
    struct config     config;
    struct clock      clock;
    int64_t           now_ms;
    struct authority *authority;
    struct hub       *hub;
    struct mailbox    box;           /* of a publisher */
    struct post       to_hub;
    uint8_t           peer;
    struct edge      *edge;
    struct line_ops   line;
    struct client     clients[CLIENTS];
};

static struct world *world;

/* ---- what a client reads: a word for each frame ---- */

static struct slice text_of(const struct json_object *object, const char *name, struct buf *out)
{
    struct slice value = json_member_find(object, name);
    size_t begin = out->len;
    if (value.at)
        assert_int_equal(json_unquote(value, out), 0);
    return slice(out->at + begin, out->len - begin);
}

static unsigned long long number_of(struct slice position)
{
    const char *dot = position.len ? memchr(position.at, '.', position.len) : NULL;
    return dot ? strtoull(dot + 1, NULL, 10) : 0;
}

static void note_frame(struct client *c, struct slice json)
{
    struct json_object object;
    struct buf type = { 0 }, channel = { 0 }, id = { 0 };
    assert_int_equal(json_object_parse(json, &object), 0);
    struct slice what = text_of(&object, "type", &type), name = text_of(&object, "channel", &channel);
    const char *member = slice_is(what, SLICE("message")) ? "id" : slice_is(what, SLICE("error")) ? "code" : "position";
    struct slice where = text_of(&object, member, &id);
    buf_add_char(&id, '\0');
    if (slice_is(what, SLICE("message")))
        buf_addf(&c->log, "%.*s=%llu%s ", (int)name.len, name.at, number_of(where), json_member_find(&object, "replay").at ? "r" : "");
    else if (slice_is(what, SLICE("error")))
        buf_addf(&c->log, "error:%.*s ", (int)where.len, where.at);
    else if (!slice_is(what, SLICE("welcome")) && (!slice_is(what, SLICE("position")) || name.len > 0))
        buf_addf(&c->log, "%.*s:%.*s@%llu ", (int)what.len, what.at, (int)name.len, name.at, number_of(where));
    buf_fini(&type);
    buf_fini(&channel);
    buf_fini(&id);
}

static void parse(struct client *c)
{
    for (;;) {
        const unsigned char *at = (const unsigned char *)c->in.at;
        if (c->in.len < 2)
            return;
        size_t head = at[1] == 126 ? 4 : 2, len = at[1];
        if (c->in.len < head)
            return;
        if (head == 4)
            len = (size_t)at[2] << 8 | at[3];
        if (c->in.len < head + len)
            return;
        if (at[0] == 0x81)
            note_frame(c, slice(c->in.at + head, len));
        buf_drop_front(&c->in, head + len);
    }
}

static ssize_t line_send(struct conn *conn, const struct iovec *iov, int n)
{
    struct client *c = conn->line;
    size_t taken = 0;
    for (int i = 0; i < n; i++) {
        size_t left = c->budget - taken, len = iov[i].iov_len < left ? iov[i].iov_len : left;
        buf_add(&c->in, iov[i].iov_base, len);
        taken += len;
    }
    c->budget -= c->budget == SIZE_MAX ? 0 : taken;
    return (ssize_t)taken;
}

static void line_keep(struct conn *conn, const void *rest, size_t len) { buf_add(&((struct client *)conn->line)->kept, rest, len); }
static void line_want_writable(struct conn *conn)                      { ((struct client *)conn->line)->wants = true; }
static void line_pause(struct conn *conn, bool paused)                 { (void)conn, (void)paused; }
static void line_finish(struct conn *conn, int64_t within_ms)          { (void)conn, (void)within_ms; }

static void expect(struct client *c, const char *wanted)
{
    parse(c);
    buf_add_char(&c->log, '\0');
    assert_string_equal(c->log.at, wanted);
    buf_reset(&c->log);
}

/* ---- the world ---- */

static int64_t world_mono(const struct clock *clock) { (void)clock; return world->now_ms; }
static int64_t world_wall(const struct clock *clock) { (void)clock; return 1700000000000 + world->now_ms; }

static void edge_turn(void)
{
    edge_mail(world->edge);
    edge_flush(world->edge);
}

static void settle(void)
{
    for (int i = 0; i < 50; i++) {
        hub_turn(world->hub);
        edge_turn();
    }
}

static int set_up(void **state)
{
    (void)state;
    log_setup(LOG_ERROR, LOG_TEXT);
    world = calloc(1, sizeof *world);
    world->config = *config_defaults();
    world->config.dev = true;
    config_general_rule(&world->config);
    world->now_ms = 100000;
    world->clock = (struct clock){ world_mono, world_wall };
    world->line = (struct line_ops){ .send = line_send, .keep = line_keep, .want_writable = line_want_writable, .pause = line_pause, .finish = line_finish };
    world->authority = authority_new();
    world->hub = hub_new(&world->config, &world->clock, NULL, (struct hub_start){ .epoch = 7, .next = 1, .reserved = 1 });
    assert_non_null(world->hub);
    assert_int_equal(edge_new(&world->config, &world->clock, world->hub, world->authority, false, &world->edge), 0);
    world->edge->line = &world->line;
    assert_int_equal(mailbox_init(&world->box, false), 0);
    post_init(&world->to_hub, hub_mailbox(world->hub), SIZE_MAX);
    world->peer = hub_add_peer(world->hub, &world->box, false, SIZE_MAX);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (int i = 0; i < CLIENTS; i++)
        if (world->clients[i].conn)
            conn_gone(world->clients[i].conn);
    settle();
    assert_int_equal(world->edge->patterns.count, 0);
    assert_null(world->edge->feeds);
    assert_int_equal(world->edge->pool.used, 0);
    assert_true(exclusions_none(&world->edge->exclusions) || world->edge->kept_bytes > 0);
    assert_true(edge_idle(world->edge));
    edge_free(world->edge);
    hub_free(world->hub);
    authority_free(world->authority);
    mailbox_fini(&world->box);
    for (int i = 0; i < CLIENTS; i++) {
        buf_fini(&world->clients[i].in);
        buf_fini(&world->clients[i].kept);
        buf_fini(&world->clients[i].log);
    }
    free(world);
    return 0;
}

/* `query` like "a b.* since=5 client=me": channels, and where to begin. */
static struct client *connect_as(const char *client, const char *since, size_t n, const struct slice *channels)
{
    struct client *c = NULL;
    for (int i = 0; i < CLIENTS && !c; i++)
        c = world->clients[i].conn ? NULL : &world->clients[i];
    assert_non_null(c);
    struct slice names[8];
    memcpy(names, channels, n * sizeof *names);
    struct principal *principal = principal_anonymous(&world->config);
    struct stream_request request = { .channels = names, .n_channels = n, .client = slice_of(client), .identified = true, .principal = principal };
    request.position = slice_of(strchr(since, '.') ? since : "");
    request.has_position = request.position.len > 0;
    request.since = slice_of(request.has_position ? "" : since);
    c->budget = SIZE_MAX;
    c->conn = ws_open(world->edge, c, &request);
    assert_non_null(c->conn);
    principal_unref(principal);
    return c;
}
#define CONNECT(client, since, ...) \
    connect_as(client, since, sizeof (struct slice[]){ __VA_ARGS__ } / sizeof(struct slice), (struct slice[]){ __VA_ARGS__ })

static void command(struct client *c, const char *json)
{
    ws_on_message(c->conn, slice_of(json));
}

static void gone(struct client *c)
{
    conn_gone(c->conn);
    c->conn = NULL;
    buf_reset(&c->in);
}

static void on_published(struct call *call)
{
    assert_int_equal(call->err, 0);
    msg_unref(((struct publish_call *)call)->msg);
    free(call);
}

static void publish_to(const char *channel, const char *exclude)
{
    static const char payload[PAYLOAD] = { [0 ... PAYLOAD - 1] = 'x' };
    struct publish_call *call = calloc(1, sizeof *call);
    call->msg = msg_new(&(struct msg_parts){ .channel = slice_of(channel), .exclude = slice_of(exclude), .kind = MSG_TEXT, .data = slice(payload, sizeof payload) });
    call->call.letter.kind = CALL_PUBLISH;
    call->call.from = world->peer;
    call->call.answered = on_published;
    call_submit(&world->to_hub, &call->call, 0);
    post_flush(&world->to_hub);
    hub_turn(world->hub);
    for (struct letter *letter = mailbox_take(&world->box), *next; letter; letter = next) {
        next = letter->next;
        letter_done(letter);
        ((struct call *)letter)->answered((struct call *)letter);
    }
}
static void publish(const char *channel) { publish_to(channel, ""); }

/* The line takes what it was given to keep, and so many bytes more. */
static void reads(struct client *c, size_t bytes)
{
    c->budget = bytes;
    buf_add_slice(&c->in, buf_slice(&c->kept));
    buf_reset(&c->kept);
    if (!c->wants)
        return;
    c->wants = false;
    conn_on_writable(c->conn);
    edge_turn();
}

/* ---- live ---- */

static void a_message_that_a_channel_and_three_patterns_want_comes_once_and_in_order(void **state)
{
    (void)state;
    struct client *c = CONNECT("", "", SLICE("o.a"), SLICE("o.*"), SLICE("o.**"), SLICE("**"));
    settle();
    expect(c, "subscribed:o.a@0 subscribed:o.*@0 subscribed:o.**@0 subscribed:**@0 ");
    publish("o.a");
    publish("x");
    publish("o.b.c");
    publish("o.a");
    publish("o.b");
    settle();
    expect(c, "o.a=1 x=2 o.b.c=3 o.a=4 o.b=5 ");
    command(c, "{\"type\":\"unsubscribe\",\"channels\":[\"**\",\"o.a\"]}");
    publish("x");
    publish("o.a");
    settle();
    expect(c, "unsubscribed:**@0 unsubscribed:o.a@0 o.a=7 ");
}

/* Between two sends nothing but the connection's position says that the other rings have it still. */
static void it_comes_once_also_when_every_frame_is_a_send_of_its_own(void **state)
{
    (void)state;
    for (size_t bytes = 1; bytes < 2 * FRAME_MAX; bytes = bytes * 3 / 2 + 1) {
        struct client *c = CONNECT("", "", SLICE("o.a"), SLICE("o.*"), SLICE("**"));
        settle();
        expect(c, "subscribed:o.a@0 subscribed:o.*@0 subscribed:**@0 ");
        c->budget = 0;
        for (int i = 0; i < 4; i++)
            publish(i % 2 ? "o.b" : "o.a");
        settle();
        for (int i = 0; i < 2000 && (c->wants || c->kept.len > 0); i++)
            reads(c, bytes);
        c->budget = SIZE_MAX;
        settle();
        expect(c, "o.a=1 o.b=2 o.a=3 o.b=4 ");
        gone(c);
        settle();
        tear_down(NULL);
        set_up(NULL);
    }
}

static void what_is_mailed_before_the_watch_of_a_pattern_is_answered_is_not_taken_for_it_and_not_lost(void **state)
{
    (void)state;
    struct client *c = CONNECT("", "", SLICE("o.a"));
    settle();
    expect(c, "subscribed:o.a@0 ");
    struct client *late = CONNECT("", "all", SLICE("o.*"));
    edge_flush(world->edge);      /* its watch and its fetch are on the way */
    publish("o.a");               /* and so is this, ahead of them: the hub runs all in this turn */
    settle();
    publish("o.b");
    settle();
    expect(c, "o.a=1 ");
    expect(late, "subscribed:o.*@0 o.a=1 o.b=2 ");
}

static void a_pattern_that_is_left_and_taken_again_has_what_came_from_then_on(void **state)
{
    (void)state;
    struct client *c = CONNECT("", "", SLICE("o.a"), SLICE("o.*"));
    settle();
    command(c, "{\"type\":\"unsubscribe\",\"channels\":[\"o.*\"]}");
    command(c, "{\"type\":\"subscribe\",\"channels\":[\"o.*\"]}");
    publish("o.b");
    settle();
    publish("o.b");
    publish("o.a");
    settle();
    expect(c, "subscribed:o.a@0 subscribed:o.*@0 unsubscribed:o.*@0 subscribed:o.*@1 o.b=2 o.a=3 ");
}

/* What such a channel gave up before it was forgotten is nothing that the pattern's feed should have seen: no alarm, no gap. */
static void a_channel_that_is_born_again_while_a_pattern_is_read_is_just_another_one(void **state)
{
    (void)state;
    struct client *c = CONNECT("", "", SLICE("o.*"), SLICE("**"));
    settle();
    command(c, "{\"type\":\"unsubscribe\",\"channels\":[\"**\"]}");
    settle();
    for (int i = 0; i < 3; i++)
        publish("z");
    for (int i = 0; i < 3; i++) {
        world->now_ms += 2 * world->config.history_ttl_ms;
        hub_tick(world->hub);
    }
    publish("o.new");
    publish("z");
    publish("o.new");
    settle();
    expect(c, "subscribed:o.*@0 subscribed:**@0 unsubscribed:**@0 o.new=4 o.new=6 ");
}

/* ---- resume and replay ---- */

static void a_resume_of_a_channel_and_patterns_has_each_message_once(void **state)
{
    (void)state;
    publish("o.a");
    publish("x");
    publish("o.b");
    publish("o.a");
    struct client *c = CONNECT("", "aaaaaaah.1", SLICE("o.a"), SLICE("o.*"), SLICE("*"));
    settle();
    publish("o.c");
    settle();
    expect(c, "subscribed:o.a@1 subscribed:o.*@1 subscribed:*@1 x=2 o.b=3 o.a=4 o.c=5 ");
}

static void what_a_pattern_wants_still_comes_when_its_channel_is_unsubscribed_in_the_middle_of_a_batch(void **state)
{
    (void)state;
    for (int i = 0; i < 6; i++)
        publish(i % 2 ? "o.b" : "o.a");
    struct client *c = CONNECT("", "aaaaaaah.0", SLICE("o.a"), SLICE("o.*"), SLICE("x"));
    edge_flush(world->edge);
    hub_turn(world->hub);
    c->budget = 600;
    edge_turn();      /* the head of the batch leaves */
    command(c, "{\"type\":\"unsubscribe\",\"channels\":[\"o.a\",\"x\"]}");
    for (int i = 0; i < 100 && (c->wants || c->kept.len > 0); i++)
        reads(c, FRAME_MAX);
    c->budget = SIZE_MAX;
    reads(c, SIZE_MAX);
    settle();
    parse(c);
    buf_add_char(&c->log, '\0');
    const char *at = c->log.at;
    for (int i = 1; i <= 6; i++) {
        char word[32];
        snprintf(word, sizeof word, "o.%c=%d ", i % 2 ? 'a' : 'b', i);
        const char *found = strstr(at, word);
        assert_non_null(found);
        assert_null(strstr(found + 1, word));
        at = found;
    }
    assert_non_null(strstr(c->log.at, "unsubscribed:o.a@"));
}

static void a_marked_replay_is_whole_whatever_came_by_other_subscriptions(void **state)
{
    (void)state;
    struct client *c = CONNECT("", "", SLICE("o.a"));
    settle();
    publish("o.a");
    publish("o.b");
    settle();
    command(c, "{\"type\":\"subscribe\",\"channels\":[\"o.*\",\"o.**\"],\"since\":\"all\"}");
    settle();
    publish("o.a");
    publish("o.b");
    settle();
    expect(c, "subscribed:o.a@0 o.a=1 subscribed:o.*@0 subscribed:o.**@0 o.a=1r o.b=2r position:o.*@2 position:o.**@2 o.a=3 o.b=4 ");
}

static void whom_a_message_leaves_out_does_not_get_it_from_a_ring_or_a_batch_of_a_pattern(void **state)
{
    (void)state;
    struct client *me = CONNECT("me", "", SLICE("o.a"), SLICE("o.*")), *you = CONNECT("you", "", SLICE("o.*"));
    settle();
    publish_to("o.a", "me");
    publish_to("o.b", "you");
    publish("o.a");
    settle();
    expect(me, "subscribed:o.a@0 subscribed:o.*@0 o.b=2 o.a=3 ");
    expect(you, "subscribed:o.*@0 o.a=1 o.a=3 ");
    gone(me);
    gone(you);
    me = CONNECT("me", "aaaaaaah.0", SLICE("o.*"));
    you = CONNECT("you", "aaaaaaah.0", SLICE("o.*"));      /* the same batch */
    struct client *mine = CONNECT("me", "aaaaaaah.0", SLICE("o.*"), SLICE("o.b"));
    settle();
    expect(me, "subscribed:o.*@0 o.b=2 o.a=3 ");
    expect(you, "subscribed:o.*@0 o.a=1 o.a=3 ");
    expect(mine, "subscribed:o.*@0 subscribed:o.b@0 o.b=2 o.a=3 ");
}

static void a_gap_of_a_pattern_begins_before_the_first_message_that_is_for_its_reader(void **state)
{
    (void)state;
    world->config.general_rule.history_size = 2;
    publish("o.a");
    publish_to("o.b", "me");
    for (int i = 0; i < 3; i++)
        publish("o.a");      /* 3, 4, 5: 1 and 3 are given up */
    struct client *me = CONNECT("me", "aaaaaaah.0", SLICE("o.*")), *you = CONNECT("you", "aaaaaaah.0", SLICE("o.*"));
    settle();
    expect(me, "gap:@3 subscribed:o.*@3 o.a=4 o.a=5 ");
    expect(you, "gap:@1 subscribed:o.*@1 o.b=2 o.a=4 o.a=5 ");
}

/* More than a batch: what came since the stream began comes whole, what was there before only as the newest of each. */
static void since_last_stays_the_newest_of_each_when_it_comes_in_pieces(void **state)
{
    (void)state;
    struct buf wanted = { 0 };
    char name[32];
    hub_look_at(world->hub, 10);
    for (int i = 0; i < 60; i++) {
        snprintf(name, sizeof name, "o.%02d", i % 20);
        publish(name);
    }
    struct client *c = CONNECT("", "last", SLICE("o.*"), SLICE("o.**"));
    edge_flush(world->edge);
    hub_turn(world->hub);
    edge_turn();      /* the first piece: nothing of it is the newest of its channel, but the stream has begun */
    publish("o.00");
    publish("o.00");
    settle();
    buf_add_str(&wanted, "subscribed:o.*@10 subscribed:o.**@10 ");
    for (int i = 40; i < 60; i++)
        buf_addf(&wanted, "o.%02d=%d ", i % 20, i + 1);
    buf_add_str(&wanted, "o.00=61 o.00=62 ");
    buf_add_char(&wanted, '\0');
    expect(c, wanted.at);
    buf_fini(&wanted);
}

/* ---- what is refused ---- */

static void patterns_of_a_connection_are_bounded_and_refused_by_their_rules(void **state)
{
    (void)state;
    world->config.limits_patterns = 2;
    struct client *c = CONNECT("", "", SLICE("a.*"), SLICE("a"));
    settle();
    static const char *const refused[] = { "\"b.*\",\"c.*\"", "\"b\",\"b*\"", "\"**.b\"", "\"a.*\"", "\"b.* c\"" };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct buf json = { 0 };
        buf_addf(&json, "{\"type\":\"subscribe\",\"channels\":[%s]}", refused[i]);
        ws_on_message(c->conn, buf_slice(&json));
        buf_fini(&json);
    }
    assert_int_equal(conn_assign(c->conn, (struct slice[]){ SLICE("b.*"), SLICE("a.*"), SLICE("c.*") }, 3, true), ERR_TOO_MANY_PATTERNS);
    assert_int_equal(conn_assign(c->conn, (struct slice[]){ SLICE("b.*"), SLICE("a.*"), SLICE("c") }, 3, true), 0);
    command(c, "{\"type\":\"subscribe\",\"channels\":[\"d.*\"]}");
    command(c, "{\"type\":\"subscribe\",\"channels\":[\"d\"],\"presence\":true}");
    command(c, "{\"type\":\"unsubscribe\",\"channels\":[\"b.*\"]}");
    command(c, "{\"type\":\"subscribe\",\"channels\":[\"d.*\"],\"presence\":true}");
    command(c, "{\"type\":\"subscribe\",\"channels\":[\"d.*\"]}");
    settle();
    expect(c, "subscribed:a.*@0 subscribed:a@0 error:too_many_patterns error:bad_pattern error:bad_pattern error:already_subscribed error:bad_channel "
              "error:too_many_patterns unsubscribed:b.*@0 unsubscribed:b.*@0 error:pattern_not_allowed subscribed:c@0 subscribed:d@0 subscribed:d.*@0 ");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_message_that_a_channel_and_three_patterns_want_comes_once_and_in_order),
        TEST(it_comes_once_also_when_every_frame_is_a_send_of_its_own),
        TEST(what_is_mailed_before_the_watch_of_a_pattern_is_answered_is_not_taken_for_it_and_not_lost),
        TEST(a_pattern_that_is_left_and_taken_again_has_what_came_from_then_on),
        TEST(a_channel_that_is_born_again_while_a_pattern_is_read_is_just_another_one),
        TEST(a_resume_of_a_channel_and_patterns_has_each_message_once),
        TEST(what_a_pattern_wants_still_comes_when_its_channel_is_unsubscribed_in_the_middle_of_a_batch),
        TEST(a_marked_replay_is_whole_whatever_came_by_other_subscriptions),
        TEST(whom_a_message_leaves_out_does_not_get_it_from_a_ring_or_a_batch_of_a_pattern),
        TEST(a_gap_of_a_pattern_begins_before_the_first_message_that_is_for_its_reader),
        TEST(since_last_stays_the_newest_of_each_when_it_comes_in_pieces),
        TEST(patterns_of_a_connection_are_bounded_and_refused_by_their_rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
