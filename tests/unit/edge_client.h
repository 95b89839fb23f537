/* edge_client.h — a client of an edge world: a line that takes what its budget allows, and a reader that checks what comes out of it.
 *
 * It reads the real wire formats, and what it was told is its log: words that a test compares. */
#pragma once
#include "tests/unit/edge_hub.h"

/* ---- what is promised ---- */

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
