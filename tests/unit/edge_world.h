/* edge_world.h — an edge between a scripted hub and clients that take what they like: what the tests of transports/ stand on.
 *
 * The hub is a mailbox and an array of messages per channel. It answers calls in order when the test says so, gives up history
 * when told to, and loses mail on request. Clients read the real wire formats and check all the time what is promised:
 * each frame is byte for byte the message it says; no channel skips a message without a gap, none comes twice; unmarked
 * numbers only grow; and a position never runs ahead of what was delivered. */
#pragma once
#define _GNU_SOURCE      /* memmem */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "hub/access/authority.h"
#include "hub/base/err.h"
#include "hub/base/log.h"
#include "hub/config/config.h"
#include "hub/hub.h"
#include "hub/metrics.h"
#include "transports/batch.h"
#include "transports/catchup.h"
#include "transports/conn.h"
#include "transports/edge.h"
#include "transports/feed.h"

#include <stdio.h>
#include <stdlib.h>

enum { CHANNELS = 8, CLIENTS = 24, MESSAGES = 4000, EPOCH = 7 };

struct channel_model {
    struct msg  *msgs[MESSAGES];
    uint32_t     n;
    uint64_t     dropped;          /* history gave up everything up to here */
    uint64_t     last;
    atomic_uint *subscribers;      /* NULL: not watched */
};

/* What a client may still expect of one channel. */
struct view {
    bool     subscribed, begun, replaying, gap;
    bool     conflated;            /* older ones of it were left out, a newer one follows */
    uint64_t have;                 /* everything up to here was delivered, or is not for it */
};

struct client {
    struct conn *conn;             /* NULL: not connected */
    size_t       budget;           /* bytes its line takes before it chokes */
    bool         wants, finished, paused, deaf;
    struct buf   kept, in, log;    /* log: "a5 a5r subN:a:4:1 gap:a:7 …" */
    size_t       parsed;
    uint32_t     sends;
    uint64_t     position;         /* newest position it was told */
    bool         placed;           /* it was told one */
    int          bye;              /* error of its farewell */
    int64_t      retry_ms;
    struct view  views[CHANNELS];
};

struct world {
    struct config        config;
    struct clock         clock;
    int64_t              now_ms;
    struct authority    *authority;
    struct edge         *edge;
    struct line_ops      line;
    /* the hub */
    struct mailbox       box;
    struct post          to_edge;
    struct letter       *queue, **queue_end;
    struct letter        loss;                          /* LETTER_LOST is the hub's own memory */
    struct channel_model channels[CHANNELS];
    uint64_t             head;
    bool                 resumable, lost, full;
    int                  fail;                          /* the next call of kind fail_kind is answered with this error */
    uint32_t             fail_kind;
    uint32_t             calls[CALL_KINDS];             /* how many of each kind were run */
    struct buf           order;                         /* their kinds, one letter each: W U F H L */
    struct client        clients[CLIENTS];
    size_t               most_batch_bytes;              /* of the edge, whenever something was sent */
};

static struct world *world;

/* ---- the hub ---- */

struct hub;
struct mailbox *hub_mailbox(struct hub *hub) { (void)hub; return &world->box; }

uint8_t hub_add_peer(struct hub *hub, struct mailbox *box, bool is_edge, size_t mail_bytes)
{
    (void)hub;
    assert_true(is_edge);
    post_init(&world->to_edge, box, mail_bytes);
    return 3;
}

void fetch_answer_fini(struct fetch_call *fetch)
{
    for (size_t i = 0; i < fetch->n_msgs; i++)
        msg_unref(fetch->msgs[i]);
    free(fetch->msgs);
    fetch->msgs = NULL;
    fetch->n_msgs = 0;
}

static struct channel_model *channel(struct slice name) { return &world->channels[name.at[0] - 'a']; }

static struct msg *next_after(const struct channel_model *ch, uint64_t seq)
{
    for (uint32_t i = ch->n; i > 0; i--)
        if (ch->msgs[i - 1]->seq <= seq)
            return i < ch->n ? ch->msgs[i] : NULL;
    return ch->n ? ch->msgs[0] : NULL;
}

static void mail_message(struct msg *m)
{
    if (world->lost)
        return;
    if (world->full) {
        world->loss = (struct letter){ .kind = LETTER_LOST };
        world->lost = true;
        post_put(&world->to_edge, &world->loss, 0);
        return;
    }
    struct message_letter *letter = malloc(sizeof *letter);
    letter->letter.kind = LETTER_MESSAGE;
    letter->msg = msg_ref(m);
    post_put(&world->to_edge, &letter->letter, msg_size(m));
}

static void publish_len(char name, size_t len, bool mailed)
{
    static char bytes[300 * 1024];
    struct channel_model *ch = &world->channels[name - 'a'];
    memset(bytes, 'x', len);
    struct msg *m = msg_new(&(struct msg_parts){ .channel = slice(&name, 1), .kind = MSG_TEXT, .data = slice(bytes, len) });
    m->epoch = EPOCH;
    m->seq = ++world->head;
    m->prev = ch->last;
    ch->last = m->seq;
    assert_true(ch->n < MESSAGES);
    ch->msgs[ch->n++] = m;
    if (ch->subscribers && mailed)
        mail_message(m);
}
static inline void publish(char name) { publish_len(name, 10, true); }

/* History of the channel keeps only the newest `keep`. */
static inline void forget(char name, uint32_t keep)
{
    struct channel_model *ch = &world->channels[name - 'a'];
    if (ch->n > keep && ch->msgs[ch->n - keep - 1]->seq > ch->dropped)
        ch->dropped = ch->msgs[ch->n - keep - 1]->seq;
}

static int by_seq(const void *a, const void *b)
{
    const struct msg *x = *(struct msg *const *)a, *y = *(struct msg *const *)b;
    return x->seq < y->seq ? -1 : 1;
}

/* The newest kept message of a channel is given, all before it are left out. */
static bool is_left_out(const struct fetch_call *call, const struct fetch_channel *asked, const struct channel_model *ch, uint32_t i)
{
    return call->from == FETCH_LATEST && !asked->whole && i + 1 < ch->n;
}

static void mark_left_out(struct fetch_call *call, struct fetch_channel *asked, const struct msg *m)
{
    if (!call->conflates || m->seq <= asked->dropped)
        return;
    asked->dropped = m->seq;
    asked->incomplete = true;
    if (call->gap < GAP_CONFLATED)
        call->gap = GAP_CONFLATED;
}

/* History has given up something: of a channel whose newest message follows that is conflation. */
static void mark_given_up(struct fetch_call *call, struct fetch_channel *asked, const struct channel_model *ch)
{
    bool newest_follows = call->from == FETCH_LATEST && !asked->whole && ch->last > ch->dropped && ch->last > call->after.seq;
    enum gap_reason reason = newest_follows ? GAP_CONFLATED : GAP_HISTORY;
    asked->dropped = ch->dropped;
    asked->incomplete = world->resumable && (call->from == FETCH_AFTER || call->conflates) && call->after.seq < ch->dropped;
    if (asked->incomplete && call->gap < reason)
        call->gap = reason;
}

/* What hub/fetch.c promises, by collecting and sorting. */
static void run_fetch(struct fetch_call *call)
{
    bool foreign = call->from == FETCH_AFTER && (call->after.epoch != EPOCH || call->after.seq > world->head);
    size_t n = 0, bytes = 0;
    struct msg **all = malloc(sizeof *all * CHANNELS * MESSAGES);
    for (size_t i = 0; i < call->n_channels; i++) {
        struct channel_model *ch = channel(call->channels[i].name);
        struct fetch_channel *asked = &call->channels[i];
        uint64_t after = (call->from == FETCH_AFTER && !foreign) || call->from == FETCH_LATEST ? call->after.seq : 0;
        asked->resumable = world->resumable;
        asked->loses = !world->resumable;
        mark_given_up(call, asked, ch);
        if (foreign && world->resumable)
            asked->incomplete = true, call->gap = GAP_EPOCH;
        for (uint32_t j = 0; j < ch->n && call->from != FETCH_NOW && world->resumable; j++)
            if (ch->msgs[j]->seq > after && is_left_out(call, asked, ch, j))
                mark_left_out(call, asked, ch->msgs[j]);
            else if (ch->msgs[j]->seq > after && ch->msgs[j]->seq > ch->dropped)
                all[n++] = ch->msgs[j];
    }
    qsort(all, n, sizeof *all, by_seq);
    call->msgs = malloc(sizeof *all * (n + 1));
    for (size_t i = 0; i < n; i++) {
        bytes += msg_size(all[i]);
        if (i > 0 && bytes > call->max_bytes) {
            call->more = true;
            break;
        }
        call->msgs[call->n_msgs++] = msg_ref(all[i]);
    }
    uint64_t upto = call->more ? call->msgs[call->n_msgs - 1]->seq : world->head;
    uint64_t begin = call->from == FETCH_AFTER && !foreign && !call->gap ? call->after.seq : call->n_msgs ? call->msgs[0]->seq - 1 : upto;
    call->upto = (struct position){ EPOCH, upto };
    call->begin = (struct position){ EPOCH, begin };
    free(all);
}

static void run_call(struct letter *letter)
{
    static const char names[] = "PFCWUHL";
    struct call *call = (struct call *)letter;
    assert_int_equal(call->from, 3);
    world->calls[letter->kind]++;
    buf_add_char(&world->order, names[letter->kind]);
    call->err = world->fail && world->fail_kind == letter->kind ? world->fail : 0;
    if (call->err)
        world->fail = 0;
    else if (letter->kind == CALL_FETCH)
        run_fetch((struct fetch_call *)letter);
    else if (letter->kind == CALL_HEAD)
        ((struct head_call *)letter)->head = (struct position){ EPOCH, world->head };
    else if (letter->kind == CALL_LOSS_SEEN)
        world->lost = false;
    else if (letter->kind == CALL_WATCH || letter->kind == CALL_UNWATCH) {
        struct watch_call *watch = (struct watch_call *)letter;
        channel(watch->channel)->subscribers = letter->kind == CALL_WATCH ? watch->subscribers : NULL;
        watch->head = (struct position){ EPOCH, world->head };
    }
    letter_done(letter);
    post_put(&world->to_edge, letter, 0);
}

/* Runs up to `max` of the calls that have come, in order; what it mails waits for hub_send_mail. */
static void hub_run(uint32_t max)
{
    for (struct letter *l = mailbox_take(&world->box); l;) {
        struct letter *next = l->next;
        l->next = NULL;
        *world->queue_end = l;
        world->queue_end = &l->next;
        l = next;
    }
    for (; max > 0 && world->queue; max--) {
        struct letter *l = world->queue;
        if (!(world->queue = l->next))
            world->queue_end = &world->queue;
        run_call(l);
    }
}
static void hub_send_mail(void) { post_flush(&world->to_edge); }

/* ---- what clients read ---- */

static struct view *view_of(struct client *c, char name) { return &c->views[name - 'a']; }

/* Nothing up to the told position is missing. */
static void check_position(struct client *c)
{
    for (int i = 0; i < CHANNELS; i++) {
        const struct view *v = &c->views[i];
        struct msg *next = next_after(&world->channels[i], v->have);
        if (v->subscribed && v->begun && !v->replaying && next && next->seq <= c->position && !(v->conflated && next->seq < world->channels[i].last))
            assert_true(v->gap && next->seq <= world->channels[i].dropped);
    }
}

static void moved_to(struct client *c, uint64_t seq)
{
    assert_true(seq >= c->position);
    c->position = seq;
    check_position(c);
}

static void got_message(struct client *c, char name, uint64_t seq, bool replay, struct slice frame)
{
    struct view *v = view_of(c, name);
    const struct channel_model *ch = &world->channels[name - 'a'];
    struct msg *m = next_after(ch, v->have);
    buf_addf(&c->log, "%c%llu%s ", name, (unsigned long long)seq, replay ? "r" : "");
    assert_true(v->subscribed && v->begun);
    assert_int_equal(v->replaying, replay);
    while (m && m->seq < seq && (v->conflated || (v->gap && m->seq <= ch->dropped)))
        m = next_after(ch, m->seq);
    assert_non_null(m);
    assert_int_equal(m->seq, seq);
    struct buf wanted = { 0 };
    wire_add(&wanted, replay ? WIRE_WS_REPLAY : c->conn ? c->conn->format : frame.at[0] == 'i' ? WIRE_SSE : WIRE_WS, m);
    assert_int_equal(frame.len, wanted.len);
    assert_memory_equal(frame.at, wanted.at, wanted.len);
    buf_fini(&wanted);
    v->have = seq;
    v->gap = v->conflated = false;
    if (replay)
        return;
    assert_true(seq > c->position);
    moved_to(c, seq);
}

static void got_conflated(struct client *c, const char *channels, uint64_t begin)
{
    for (; *channels; channels++)
        view_of(c, *channels)->conflated = true;
    if (begin > c->position)
        moved_to(c, begin);
}

static void got_gap(struct client *c, char *channels, uint64_t begin, bool marked)
{
    for (; *channels; channels++) {
        struct view *v = view_of(c, *channels);
        v->gap = true;
        if (v->have < begin)
            v->have = begin;
    }
    if (!marked && begin > c->position)
        moved_to(c, begin);
}

/* All that it was told so far, terminated; valid until it is told more. */
static inline const char *told(struct client *c)
{
    *buf_room(&c->log, 1) = '\0';
    return c->log.at;
}

/* Control frames are words: "sub[N|A|R]:<channel>:<begin>:<resumable>", "gap:<channels>:<begin>", "rgap:…", "cgap:…", "done:<channel>:<upto>",
 * "pos:<seq>", "never:<channel>" (withdrawn), "bye:<err>:<retry_ms>". */
static void got_control(struct client *c, const char *text)
{
    char name[CHANNELS + 1], kind;
    unsigned long long seq;
    long long retry;
    int resumable;
    buf_add_str(&c->log, text);
    buf_add_char(&c->log, ' ');
    if (sscanf(text, "sub%c:%1[a-h]:%llu:%d", &kind, name, &seq, &resumable) == 4) {
        struct view *v = view_of(c, name[0]);
        v->begun = true;
        v->replaying = kind == 'R';
        if (kind == 'N')
            v->have = seq;
        if (kind == 'A' || (kind == 'N' && !c->placed))
            moved_to(c, seq);
        c->placed = true;
    } else if (sscanf(text, "gap:%8[a-h]:%llu", name, &seq) == 2) {
        got_gap(c, name, seq, false);
    } else if (sscanf(text, "cgap:%8[a-h]:%llu", name, &seq) == 2) {
        got_conflated(c, name, seq);
    } else if (sscanf(text, "rgap:%8[a-h]:%llu", name, &seq) == 2) {
        got_gap(c, name, seq, true);
    } else if (sscanf(text, "done:%1[a-h]:%llu", name, &seq) == 2) {
        assert_true(view_of(c, name[0])->replaying);
        view_of(c, name[0])->replaying = false;
        check_position(c);
    } else if (sscanf(text, "pos:%llu", &seq) == 1) {
        moved_to(c, seq);
    } else if (sscanf(text, "bye:%d:%lld", &c->bye, &retry) == 2) {
        c->retry_ms = retry;
        c->deaf = true;      /* nothing may come after it */
    } else if (sscanf(text, "never:%1[a-h]", name) != 1) {
        assert_string_equal(text, "note");
    }
}

static void got_frame(struct client *c, struct slice frame, struct slice text)
{
    char copy[256] = { 0 };
    unsigned long long seq;
    assert_false(c->deaf);
    memcpy(copy, text.at, text.len < 255 ? text.len : 255);
    const char *ch = strstr(copy, "\"channel\":\""), *id = strstr(copy, "\"id\":\"");
    if (!ch) {
        got_control(c, copy);
        return;
    }
    assert_int_equal(sscanf(id + 6, "aaaaaaah.%llu", &seq), 1);
    got_message(c, ch[11], seq, strstr(copy, "\"replay\":true") != NULL, frame);
}

/* Length of the first whole frame, 0: not whole yet. */
static size_t frame_of(struct slice in, struct slice *ret_text)
{
    const unsigned char *at = (const unsigned char *)in.at;
    if (in.len >= 2 && at[0] == 0x81) {
        size_t header = at[1] < 126 ? 2 : at[1] == 126 ? 4 : 10, len = at[1] < 126 ? at[1] : 0;
        if (in.len < header)
            return 0;
        for (size_t i = 2; i < header; i++)
            len = len << 8 | at[i];
        *ret_text = slice(in.at + header, len);
        return in.len < header + len ? 0 : header + len;
    }
    const char *end = in.len ? memmem(in.at, in.len, "\n\n", 2) : NULL;
    if (!end)
        return 0;
    const char *data = memmem(in.at, (size_t)(end - in.at), "data: ", 6);
    assert_non_null(data);
    *ret_text = slice(data + 6, (size_t)(end - data) - 6);
    return (size_t)(end - in.at) + 2;
}

static void parse(struct client *c)
{
    struct slice text;
    size_t n;
    while ((n = frame_of(slice(c->in.at + c->parsed, c->in.len - c->parsed), &text))) {
        got_frame(c, slice(c->in.at + c->parsed, n), text);
        c->parsed += n;
    }
    if (c->parsed > 1 << 20) {
        buf_drop_front(&c->in, c->parsed);
        c->parsed = 0;
    }
}

/* ---- the line ---- */

static struct client *client_of(struct conn *conn) { return conn->line; }

static ssize_t line_send(struct conn *conn, const struct iovec *iov, int n)
{
    struct client *c = client_of(conn);
    size_t taken = 0, offered = 0;
    assert_false(c->finished);
    assert_int_equal(c->kept.len, 0);
    assert_false(c->wants);
    if (world->most_batch_bytes < conn->edge->batch_bytes)
        world->most_batch_bytes = conn->edge->batch_bytes;
    c->sends++;
    for (int i = 0; i < n; i++) {
        size_t len = iov[i].iov_len < c->budget - taken ? iov[i].iov_len : c->budget - taken;
        assert_true(iov[i].iov_len > 0);
        offered += iov[i].iov_len;
        buf_add(&c->in, iov[i].iov_base, len);
        taken += len;
    }
    if (c->budget != SIZE_MAX)
        c->budget -= taken;
    if (world->line.max_run && offered > world->line.max_run && conn->conn_state == CONN_OPEN && !conn->outbox) {
        struct slice text;      /* one larger frame alone */
        assert_int_equal(n, 1);
        assert_int_equal(frame_of(slice(iov->iov_base, iov->iov_len), &text), offered);
    }
    parse(c);
    return (ssize_t)taken;
}

static void line_keep(struct conn *conn, const void *rest, size_t len) { buf_add(&client_of(conn)->kept, rest, len); }
static void line_want_writable(struct conn *conn)                      { client_of(conn)->wants = true; }
static void line_pause(struct conn *conn, bool paused)                 { client_of(conn)->paused = paused; }
static void line_finish(struct conn *conn, int64_t within_ms)
{
    assert_int_equal(within_ms, 3000);
    assert_false(client_of(conn)->finished);
    client_of(conn)->finished = true;
}

/* The client takes what was kept for it and `budget` bytes more. */
static inline void client_reads(struct client *c, size_t budget)
{
    c->budget = budget;
    if (c->kept.len > 0) {
        buf_add(&c->in, c->kept.at, c->kept.len);
        buf_reset(&c->kept);
        parse(c);
    }
    if (c->conn && c->wants) {
        c->wants = false;
        conn_on_writable(c->conn);
    }
}

static void client_gone(struct client *c)
{
    conn_gone(c->conn);
    c->conn = NULL;
}

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
