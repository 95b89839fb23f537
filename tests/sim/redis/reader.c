#include "tests/sim/redis/fleet.h"

#include "hub/access/access.h"
#include "transports/protocol/sse.h"
#include "transports/request/stream_request.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define check(r, condition, format, ...) fleet_check((r)->fleet, condition, "reader %d, at %lu.%lu: " format, (r)->number, (r)->last.epoch, \
                                                     (r)->last.seq, ##__VA_ARGS__)

static struct client *reader_of(const struct conn *conn) { return conn->line; }

/* ---- its line: takes what it likes ---- */

static ssize_t line_send(struct conn *conn, const struct iovec *iov, int n)
{
    struct client *r = reader_of(conn);
    size_t took = 0, room = r->net.len < r->cap ? r->cap - r->net.len : 0;
    if (!r->fleet->settling && chance(r->fleet, 50))
        room = dice(r->fleet, room + 1);
    for (int i = 0; i < n && room > 0; i++) {
        size_t part = iov[i].iov_len < room ? iov[i].iov_len : room;
        buf_add(&r->net, iov[i].iov_base, part);
        took += part;
        room -= part;
    }
    return (ssize_t)took;
}

static void line_keep(struct conn *conn, const void *rest, size_t len)       { buf_add(&reader_of(conn)->kept, rest, len); }
static void line_want_writable(struct conn *conn)                            { reader_of(conn)->wants_writable = true; }
static void line_pause(struct conn *conn, bool paused)                       { (void)conn, (void)paused; }
static void line_finish(struct conn *conn, int64_t within_ms)                { (void)within_ms; reader_of(conn)->finishing = true; }

const struct line_ops reader_line = { .send = line_send, .keep = line_keep, .want_writable = line_want_writable, .pause = line_pause, .finish = line_finish };

void reader_move(struct client *r)
{
    size_t n = r->net.len < r->cap ? r->cap - r->net.len : 0;
    n = n < r->kept.len ? n : r->kept.len;
    if (n > 0) {
        buf_add(&r->net, r->kept.at, n);
        buf_drop_front(&r->kept, n);
        r->wants_writable = true;
    }
    if (r->finishing && r->kept.len == 0) {
        struct conn *conn = r->conn;
        r->conn = NULL;
        conn_gone(conn);
        return;
    }
    if (r->wants_writable && r->kept.len == 0 && r->net.len < r->cap) {
        r->wants_writable = false;
        conn_on_writable(r->conn);
    }
}

/* ---- what it has read ---- */

static const struct epoch *epoch_of(const struct client *r)
{
    const struct epoch *epoch = truth_of(r->fleet, r->last.epoch);
    check(r, epoch, "nobody knows this epoch");
    return epoch;
}

/* A position was told: everything up to it has been read, but for what a gap has excused. */
static void account(struct client *r, uint64_t upto)
{
    const struct epoch *epoch = epoch_of(r);
    check(r, upto <= epoch->head, "%lu is ahead of the head %lu", upto, epoch->head);
    for (int c = 0; c < NAMES; c++) {
        if (!(r->wanted & 1 << c))
            continue;
        for (const struct fact *f; (f = truth_next(epoch, c, r->checked[c], upto)); r->checked[c] = f->seq) {
            bool excused = f->channel == OFF || (f->seq <= r->excused[c] && truth_gave_up(r->fleet, epoch, f));
            check(r, excused || numbers_have(&r->read, f->seq), "%lu of %s (%u) never came; everything up to %lu was said to have come", f->seq,
                  names[f->channel], f->tag, upto);
        }
        r->checked[c] = upto > r->checked[c] ? upto : r->checked[c];
    }
}

static void move_to(struct client *r, struct position p)
{
    r->last = r->stored = p;
    r->has_position = true;
}

static void on_message(struct client *r, struct position p, const json_t *envelope)
{
    const char *channel = json_string_value(json_object_get(envelope, "channel")), *data = json_string_value(json_object_get(envelope, "data"));
    check(r, channel && data, "not an envelope");
    uint32_t tag = (uint32_t)strtoul(data, NULL, 10);
    check(r, r->begun && p.epoch == r->last.epoch && p.seq > r->last.seq, "message %lu.%lu (%u)", p.epoch, p.seq, tag);
    const struct fact *fact = truth_find(epoch_of(r), p.seq);
    check(r, fact && fact->tag == tag && !strcmp(names[fact->channel], channel), "message %lu is %u of %s, not %u of %s", p.seq, fact ? fact->tag : 0,
          fact ? names[fact->channel] : "nothing", tag, channel);
    bool wanted = false;
    for (int c = 0; c < NAMES; c++)
        wanted |= (r->wanted & 1 << c) && name_matches(c, fact->channel);
    check(r, wanted, "message %lu of %s, which was not asked for", p.seq, channel);
    account(r, p.seq - 1);
    numbers_add(&r->read, p.seq);
    account(r, p.seq);
    move_to(r, p);
    fleet_trace(r->fleet, "reader %d: %lu of %s", r->number, p.seq, channel);
    happened(messages);
    if (r->wanted >> CHANNELS)
        happened(by_pattern);
}

/* ---- beginnings and gaps ---- */

static uint16_t mask_of(const json_t *control)
{
    const json_t *channels = json_object_get(control, "channels"), *item;
    size_t i;
    uint16_t mask = 0;
    json_array_foreach(channels, i, item) {
        const char *name = json_string_value(json_is_object(item) ? json_object_get(item, "channel") : item);
        for (int c = 0; c < NAMES; c++)
            if (name && !strcmp(name, names[c]))
                mask |= (uint16_t)(1 << c);
    }
    return mask;
}

/* Without history nobody knows what has been. */
static bool lost_some(const struct client *r, const struct epoch *epoch, int c)
{
    for (const struct fact *f = truth_next(epoch, c, r->checked[c], UINT64_MAX); f; f = truth_next(epoch, c, f->seq, UINT64_MAX))
        if (truth_gave_up(r->fleet, epoch, f))
            return true;
    return name_matches(c, OFF);
}

/* The newest that history cannot have any more: a gap is for all up to there, though of some channels of a pattern older ones follow. */
static uint64_t newest_lost(const struct client *r, const struct epoch *epoch, int c)
{
    uint64_t newest = 0;
    for (const struct fact *f = truth_next(epoch, c, 0, UINT64_MAX); f; f = truth_next(epoch, c, f->seq, UINT64_MAX))
        newest = truth_gave_up(r->fleet, epoch, f) ? f->seq : newest;
    return newest;
}

/* Another epoch: whatever of it is kept follows. */
static void on_new_epoch(struct client *r, struct position p)
{
    check(r, r->last.epoch != p.epoch || r->asked.seq > epoch_of(r)->head, "a gap of reason epoch in the same epoch");
    r->last = (struct position){ p.epoch, 0 };
    r->read.n = 0;
    for (int c = 0; c < NAMES; c++) {
        r->checked[c] = 0;
        r->excused[c] = newest_lost(r, epoch_of(r), c);
    }
    happened(gap_epoch);
}

static void on_lost(struct client *r, struct position p, uint16_t mask)
{
    check(r, p.epoch == r->last.epoch && p.seq >= r->last.seq, "a gap at %lu.%lu", p.epoch, p.seq);
    for (int c = 0; c < NAMES; c++)
        if (mask & 1 << c) {
            check(r, lost_some(r, epoch_of(r), c), "a gap of %s, of which nothing is lost after %lu", names[c], r->checked[c]);
            r->excused[c] = newest_lost(r, epoch_of(r), c);
        }
    happened(gap_history);
}

static void on_gap(struct client *r, struct position p, const json_t *gap)
{
    const char *reason = json_string_value(json_object_get(gap, "reason"));
    uint16_t mask = mask_of(gap);
    fleet_trace(r->fleet, "reader %d: gap %s at %lu.%lu for %x", r->number, reason, p.epoch, p.seq, mask);
    check(r, mask && !(mask & ~r->wanted), "a gap of %x", mask);
    check(r, r->begun || r->resumes, "a gap before it began");
    if (!strcmp(reason, "epoch"))
        on_new_epoch(r, p);
    else
        on_lost(r, p, mask);
    if (r->begun)
        happened(gap_live);
    account(r, p.seq);
    move_to(r, p);
}

static void on_ready(struct client *r, struct position p)
{
    fleet_trace(r->fleet, "reader %d: ready at %lu.%lu", r->number, p.epoch, p.seq);
    check(r, !r->begun, "ready twice");
    r->begun = true;
    bool is_off = r->wanted == 1 << OFF;
    if (!r->resumes || is_off) {
        r->last = p;
        for (int c = 0; c < NAMES; c++)
            r->checked[c] = p.seq;
    }
    check(r, p.epoch == r->last.epoch && p.seq == r->last.seq, "ready at %lu.%lu without a gap", p.epoch, p.seq);
    if (r->resumes && p.epoch == r->asked.epoch && p.seq == r->asked.seq)
        happened(recovered);
    account(r, p.seq);
    move_to(r, p);
}

static void on_position(struct client *r, struct position p)
{
    check(r, r->begun && p.epoch == r->last.epoch && p.seq >= r->last.seq, "told the position %lu.%lu", p.epoch, p.seq);
    account(r, p.seq);
    move_to(r, p);
    happened(positions);
}

static void on_bye(struct client *r, const json_t *bye)
{
    const char *code = json_string_value(json_object_get(bye, "code"));
    bool lost = false;
    for (int c = 0; c < NAMES && r->begun; c++)
        lost |= (r->wanted & 1 << c) && lost_some(r, epoch_of(r), c);
    check(r, !strcmp(code, "slow_consumer") && lost, "bye: %s", code);
}

/* ---- SSE ---- */

struct block { char event[40]; struct position id; bool has_id; struct slice data; };

static void on_block(struct client *r, const struct block *block)
{
    json_t *json = block->data.len ? json_loadb(block->data.at, block->data.len, 0, NULL) : NULL;
    check(r, !block->data.len || json, "no JSON: %.*s", (int)block->data.len, block->data.at);
    if (!strcmp(block->event, "hub.ready"))
        on_ready(r, block->id);
    else if (!strcmp(block->event, "hub.gap"))
        on_gap(r, block->id, json);
    else if (!strcmp(block->event, "hub.bye"))
        on_bye(r, json);
    else if (json)
        on_message(r, block->id, json);
    else if (block->has_id && !r->begun)
        check(r, r->resumes && block->id.epoch == r->asked.epoch && block->id.seq == r->asked.seq, "told %lu.%lu before it has begun", block->id.epoch, block->id.seq);
    else if (block->has_id)
        on_position(r, block->id);
    json_decref(json);
}

static void parse(struct client *r, struct slice text)
{
    struct block block = { .event = "" };
    for (const char *at = text.at, *end = text.at + text.len, *next; at < end; at = next + 1) {
        next = memchr(at, '\n', (size_t)(end - at));
        struct slice line = slice(at, (size_t)(next - at));
        if (slice_begins(line, SLICE("id: "))) {
            block.id = position_parse(slice(at + 4, line.len - 4));
            block.has_id = true;
        } else if (slice_begins(line, SLICE("event: "))) {
            snprintf(block.event, sizeof block.event, "%.*s", (int)line.len - 7, at + 7);
        } else if (slice_begins(line, SLICE("data: "))) {
            block.data = slice(at + 6, line.len - 6);
        }
    }
    on_block(r, &block);
}

static void forget_connection(struct client *r)
{
    buf_reset(&r->kept);
    buf_reset(&r->net);
    buf_reset(&r->in);
    r->read.n = 0;
    r->connected = false;
}

void reader_read(struct client *r, size_t appetite)
{
    size_t n = r->net.len < appetite ? r->net.len : appetite;
    buf_add(&r->in, r->net.at, n);
    buf_drop_front(&r->net, n);
    for (;;) {
        const char *at = r->in.at, *blank = NULL;
        for (size_t i = 0; i + 1 < r->in.len && !blank; i++)
            if (at[i] == '\n' && at[i + 1] == '\n')
                blank = at + i;
        if (!blank)
            break;
        parse(r, slice(at, (size_t)(blank + 1 - at)));
        buf_drop_front(&r->in, (size_t)(blank + 2 - at));
    }
    if (!r->conn && r->net.len == 0)
        forget_connection(r);
}

/* ---- its life ---- */

void reader_begin(struct fleet *fleet, int number)
{
    struct client *r = &fleet->readers[number];
    *r = (struct client){ .fleet = fleet, .number = number };
    r->wanted = (uint16_t)dice(fleet, 1 << CHANNELS);
    if (chance(fleet, 300) || r->wanted == 0)
        r->wanted = (uint16_t)(1 << dice(fleet, NAMES));
    if (chance(fleet, 250))
        r->wanted |= (uint16_t)(1 << (CHANNELS + dice(fleet, PATTERNS)));
}

static void choose_position(struct client *r)
{
    struct fleet *fleet = r->fleet;
    const struct epoch *epoch = truth_of(fleet, r->stored.epoch);
    r->resumes = r->has_position && !chance(fleet, 30);
    r->asked = r->resumes ? r->stored : (struct position){ 0, 0 };
    if (!r->resumes || !epoch || epoch->n == 0 || !chance(fleet, 100))
        return;
    uint64_t least = epoch->facts[0].seq, back = dice(fleet, 20);      /* something older */
    if (r->asked.seq > least + back)
        r->asked.seq -= back;
}

void reader_connect(struct client *r, struct node *node)
{
    struct fleet *fleet = r->fleet;
    struct edge *edge = node->edges[dice(fleet, EDGES)];
    struct slice channels[NAMES];
    char text[POSITION_TEXT];
    choose_position(r);
    struct stream_request request = { .channels = channels, .has_position = r->resumes, .identified = true, .format = SLICE("envelope"), .principal = principal_anonymous(&fleet->config),
                                      .position = slice(text, position_print(text, r->asked)) };
    for (int c = 0; c < NAMES; c++) {
        if (r->wanted & 1 << c)
            channels[request.n_channels++] = slice_of(names[c]);
        r->checked[c] = r->asked.seq;
        r->excused[c] = 0;
    }
    r->last = r->asked;
    r->begun = r->finishing = r->wants_writable = false;
    r->connected = true;
    r->cap = fleet->settling ? 1 << 30 : (size_t[]){ 300, 2000, 1 << 20, 1 << 20 }[dice(fleet, 4)];
    fleet_trace(fleet, "reader %d: connects to hub %d for %x after %lu.%lu", r->number, (int)(node - fleet->nodes), r->wanted, r->asked.epoch, r->asked.seq);
    check(r, request.principal && sse_check(edge, &request) == 0, "an SSE stream is refused");
    r->conn = sse_open(edge, r, &request);
    check(r, r->conn, "no connection");
    principal_unref(request.principal);
    happened(connects);
    if (r->resumes)
        happened(elsewhere);
}

/* What is in the air may still arrive. */
void reader_cut(struct client *r)
{
    struct conn *conn = r->conn;
    r->conn = NULL;
    if (conn)
        conn_gone(conn);
    if (chance(r->fleet, 500))
        reader_read(r, dice(r->fleet, r->net.len + 1));
    forget_connection(r);
    happened(cuts);
}

void reader_end(struct client *r)
{
    forget_connection(r);
    buf_fini(&r->kept);
    buf_fini(&r->net);
    buf_fini(&r->in);
    numbers_fini(&r->read);
}

bool reader_has(const struct client *r, int channel, uint64_t seq)
{
    for (int c = 0; c < NAMES; c++)
        if ((r->wanted & 1 << c) && name_matches(c, channel))
            return r->last.seq >= seq;      /* which was accounted for */
    return true;
}
