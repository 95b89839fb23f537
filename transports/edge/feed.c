#include "transports/edge/feed.h"

#include "hub/base/err.h"
#include "hub/base/hash.h"
#include "hub/base/name.h"
#include "hub/config/config.h"
#include "hub/metrics.h"
#include "transports/edge/attend.h"
#include "transports/edge/batch.h"
#include "transports/edge/conn.h"
#include "transports/edge/edge.h"

#include <assert.h>
#include <stdlib.h>

#define HASH_NONFATAL_OOM 1      /* a feed that finds no memory is left out of the table: hh.tbl is NULL */
#include <uthash.h>

struct feed_node {
    UT_hash_handle hh;
    struct feed    feed;
};

static uint32_t n_subs(const struct feed *feed) { return atomic_load_explicit(&feed->subscribers, memory_order_relaxed); }
static struct feed_node *node_of(struct feed *feed) { return link_of(feed, struct feed_node, feed); }

/* Bytes of one ring that may wait for the end of the turn. Above, the edge sends before it takes more mail: a burst then
 * never pushes readers out of a ring that had no chance to read. */
static size_t fresh_max(const struct edge *edge)
{
    size_t quarter = edge->config->edge_ring_bytes / 4, most = 256 * 1024;
    return quarter < most ? quarter : most;
}

/* ---- the table ---- */

struct feed *feed_find(const struct edge *edge, struct slice name, uint64_t hash)
{
    struct feed_node *node = NULL;
    HASH_FIND_BYHASHVALUE(hh, edge->feeds, name.at, (unsigned)name.len, (unsigned)hash, node);
    return node ? &node->feed : NULL;
}

static void set_rule(struct feed *feed)
{
    feed->rule = config_pattern_rule(feed->edge->config, feed_name(feed));
    feed->edge->has_lag_bytes |= feed->rule->lag_bytes > 0;
}

void feeds_reconfigure(struct edge *edge)
{
    edge->has_lag_bytes = false;
    for (struct feed_node *node = edge->feeds; node; node = node->hh.next)
        set_rule(&node->feed);
}

static struct feed *feed_get(struct edge *edge, struct slice name)
{
    uint64_t hash = hash_bytes(name);
    struct feed *feed = feed_find(edge, name, hash);
    if (feed)
        return feed;
    struct feed_node *node = calloc(1, sizeof *node + name.len);
    if (!node)
        return NULL;
    feed = &node->feed;
    feed->edge = edge;
    feed->hash = hash;
    feed->name_len = (uint8_t)name.len;
    feed->is_pattern = name_is_pattern(name);
    feed->mark = UINT64_MAX;
    memcpy(feed->name, name.at, name.len);
    set_rule(feed);
    link_init(&feed->dirty_link);
    link_init(&feed->batches);
    link_init(&feed->askers);
    HASH_ADD_KEYPTR_BYHASHVALUE(hh, edge->feeds, feed->name, (unsigned)name.len, (unsigned)hash, node);
    if (!node->hh.tbl) {
        free(node);
        return NULL;
    }
    if (feed->is_pattern && trie_add(&edge->patterns, name, feed)) {
        HASH_DELETE(hh, edge->feeds, node);
        free(node);
        return NULL;
    }
    return feed;
}

/* Frees it when nobody has anything to do with it any more. */
static void feed_try_free(struct feed *feed)
{
    if (n_subs(feed) > 0 || feed->holds > 0 || feed->watch_calls > 0 || feed->watch != FEED_UNWATCHED)
        return;
    struct feed_node *node = node_of(feed);
    assert(link_alone(&feed->batches));
    link_remove(&feed->dirty_link);
    HASH_DELETE(hh, feed->edge->feeds, node);
    if (feed->is_pattern)
        trie_remove(&feed->edge->patterns, feed_name(feed));
    free(node);
}

void feed_hold(struct feed *feed) { feed->holds++; }

void feed_release(struct feed *feed)
{
    feed->holds--;
    feed_try_free(feed);
}

/* ---- watching ---- */

static void on_watched(struct call *answer);
static void on_unwatched(struct call *answer);

static void send_watch(struct feed *feed, struct watch_call *call, enum letter_kind kind)
{
    feed->watch = kind == CALL_WATCH ? FEED_ASKED : FEED_UNWATCHED;
    feed->watch_calls++;
    call->call.owner = feed;
    call->call.answered = kind == CALL_WATCH ? on_watched : on_unwatched;
    call->channel = feed_name(feed);
    call->hash = feed->hash;
    call->subscribers = &feed->subscribers;
    edge_call(feed->edge, &call->call, kind, sizeof *call - sizeof call->call + feed->name_len);
}

static int feed_watch(struct feed *feed)
{
    if (feed->watch != FEED_UNWATCHED)
        return 0;
    struct watch_call *call = calloc(1, sizeof *call);
    if (!call)
        return ERR_MEMORY;
    send_watch(feed, call, CALL_WATCH);
    return 0;
}

/* What is kept or under way for others was complete only as long as every message came here. */
static void feed_unwatch(struct feed *feed)
{
    struct watch_call *call = calloc(1, sizeof *call);
    if (!call) {
        feed->edge->unwatch_later = true;
        return;
    }
    batches_forget(feed);
    send_watch(feed, call, CALL_UNWATCH);
}

void feeds_unwatch(struct edge *edge)
{
    edge->unwatch_later = false;
    for (struct feed_node *node = edge->feeds; node; node = node->hh.next)
        if (n_subs(&node->feed) == 0 && node->feed.watch == FEED_WATCHED)
            feed_unwatch(&node->feed);
}

/* The hub had no memory to watch it: every connection that has it would be deaf, so it is closed. */
static void close_subscribers(struct feed *feed)
{
    list_each(l, following, &feed->edge->conns) {
        struct conn *conn = link_of(l, struct conn, link);
        if (sub_set_find(&conn->subs, feed))
            conn_close(conn, ERR_MEMORY);
    }
}

static void on_watched(struct call *answer)
{
    struct watch_call *call = (struct watch_call *)answer;
    struct feed *feed = answer->owner;
    feed->watch_calls--;
    feed->edge->calls--;
    int err = answer->err;
    struct position head = call->head;
    free(call);
    if (err) {
        feed_hold(feed);
        feed->watch = FEED_UNWATCHED;
        batches_forget(feed);
        close_subscribers(feed);
        feed_release(feed);
        return;
    }
    feed->watch = FEED_WATCHED;
    feed->began = head.seq;
    edge_heard(feed->edge, head);
    if (n_subs(feed) == 0)
        feed_unwatch(feed);
}

static void on_unwatched(struct call *answer)
{
    struct feed *feed = answer->owner;
    feed->watch_calls--;
    feed->edge->calls--;
    free(answer);
    feed_try_free(feed);
}

/* ---- subscriptions ---- */

static struct ring *ring_get(struct feed *feed, uint8_t format)
{
    if (!feed->rings[format] && (feed->rings[format] = malloc(sizeof(struct ring))))
        ring_init(feed->rings[format], &feed->edge->pool);
    return feed->rings[format];
}

static void ring_drop_unused(struct feed *feed, uint8_t format)
{
    if (!feed->rings[format] || feed->rings[format]->subs > 0)
        return;
    feed_settle(feed);       /* what was fresh waits for nobody */
    ring_fini(feed->rings[format]);
    free(feed->rings[format]);
    feed->rings[format] = NULL;
}

static void count(struct feed *feed, uint8_t format, int change)
{
    feed->rings[format]->subs += (uint32_t)change;
    atomic_store_explicit(&feed->subscribers, n_subs(feed) + (uint32_t)change, memory_order_relaxed);
    metric_add(METRIC_subscriptions, change);
}

/* What was made for a subscription that did not come about. */
static void give_up(struct feed *feed, uint8_t format)
{
    if (!feed)
        return;
    ring_drop_unused(feed, format);
    feed_try_free(feed);
}

int feed_subscribe(struct conn *conn, struct slice name, struct sub **ret_sub)
{
    struct feed *feed = feed_get(conn->edge, name);
    struct sub *sub = malloc(sizeof *sub);
    if (sub)
        *sub = (struct sub){ .conn = conn, .feed = feed };
    bool added = feed && sub && ring_get(feed, conn->format) && !sub_set_add(&conn->subs, sub);
    if (!added || feed_watch(feed)) {
        if (added)
            sub_set_remove(&conn->subs, sub);
        free(sub);
        give_up(feed, conn->format);
        return ERR_MEMORY;
    }
    reader_init(&sub->reader);
    link_init(&sub->pending_link);
    link_init(&sub->catchup_link);
    count(feed, conn->format, +1);
    *ret_sub = sub;
    return 0;
}

void feed_unsubscribe(struct sub *sub)
{
    struct feed *feed = sub->feed;
    struct conn *conn = sub->conn;
    sub_park(sub);
    attend_end(sub);
    link_remove(&sub->catchup_link);
    sub_set_remove(&conn->subs, sub);
    count(feed, conn->format, -1);
    free(sub);
    ring_drop_unused(feed, conn->format);
    if (n_subs(feed) == 0 && feed->watch == FEED_WATCHED)
        feed_unwatch(feed);
    feed_try_free(feed);
}

static void on_behind(struct reader *reader)
{
    struct sub *sub = sub_of_reader(reader);
    struct conn *conn = sub->conn;
    if (link_alone(&sub->pending_link))
        list_add_last(&conn->pending, &sub->pending_link);
    conn_dirty(conn);
}

void sub_go_live(struct sub *sub)
{
    struct ring *ring = sub->feed->rings[sub->conn->format];
    ring_settle(ring, on_behind);
    ring_join(ring, &sub->reader);
}

void sub_park(struct sub *sub)
{
    reader_leave(&sub->reader);
    link_remove(&sub->pending_link);
}

/* ---- messages ---- */

void feed_settle(struct feed *feed)
{
    link_remove(&feed->dirty_link);
    for (int format = 0; format < WIRE_FORMATS; format++)
        if (feed->rings[format])
            ring_settle(feed->rings[format], on_behind);
}

void feed_lose(struct feed *feed)
{
    for (int format = 0; format < WIRE_FORMATS; format++)
        if (feed->rings[format])
            ring_lose(feed->rings[format]);
    batches_forget(feed);
}

void feeds_lose_all(struct edge *edge)
{
    for (struct feed_node *node = edge->feeds; node; node = node->hh.next) {
        node->feed.unsure = true;
        feed_lose(&node->feed);
    }
}

void feeds_each(struct edge *edge, void (*each)(struct feed *feed))
{
    for (struct feed_node *node = edge->feeds; node; node = node->hh.next)
        each(&node->feed);
}

void feed_sure_after(struct feed *feed, uint64_t seq)
{
    if (!feed->unsure)
        return;
    feed->unsure = false;
    if (feed->began < seq)
        feed->began = seq;
}

/* The message that came just now, for the first of its feeds that asks; the others get the same bytes. */
static const struct buf *encoded(struct edge *edge, uint8_t format, const struct msg *m)
{
    struct encoded *encoded = &edge->encoded[format];
    if (encoded->arrival == edge->arrivals)
        return &encoded->bytes;
    encoded->arrival = edge->arrivals;
    buf_reset(&encoded->bytes);
    wire_add(&encoded->bytes, format, m);
    return &encoded->bytes;
}

static size_t append(struct feed *feed, uint8_t format, const struct msg *m)
{
    struct edge *edge = feed->edge;
    const struct buf *bytes = encoded(edge, format, m);
    uint32_t exclude = 0;
    if (bytes->failed || exclusion_take(&edge->exclusions, msg_exclude(m), &exclude)) {
        ring_lose(feed->rings[format]);
        return 0;
    }
    return ring_append(feed->rings[format], edge->config->edge_ring_bytes, edge->arrivals, m->seq, exclude, buf_slice(bytes));
}

bool feed_message(struct feed *feed, const struct msg *m)
{
    size_t most = 0;
    bool appended = false;
    if (feed->watch != FEED_WATCHED)
        return false;
    if (!feed->unsure && !feed->is_pattern && m->prev > feed->last && m->prev > feed->began)
        feed_lose(feed);
    feed->unsure = false;
    feed->last = m->seq;
    feed->seen++;
    feed->seen_bytes += msg_size(m);
    for (int format = 0; format < WIRE_FORMATS; format++) {
        if (!feed->rings[format] || !ring_wanted(feed->rings[format]))
            continue;
        size_t fresh = append(feed, format, m);
        most = fresh > most ? fresh : most;
        appended = true;
    }
    if (appended && link_alone(&feed->dirty_link))
        list_add_last(&feed->edge->dirty_feeds, &feed->dirty_link);
    return most > fresh_max(feed->edge);
}
