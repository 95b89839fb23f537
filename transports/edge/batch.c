#include "transports/edge/batch.h"

#include "hub/base/err.h"
#include "hub/config/config.h"
#include "transports/edge/catchup.h"
#include "transports/edge/edge.h"

#include <stdlib.h>

/* How many of a feed's batches are looked at for one to share, newest first: a bound for thousands of clients that come back
 * with as many positions. */
enum { LOOK_AT = 64 };

static bool same_position(struct position a, struct position b) { return a.epoch == b.epoch && a.seq == b.seq; }

bool batch_is_complete(const struct batch *b)
{
    if (b->torn || b->fetch.more)
        return false;
    return !b->feed || b->fetch.from == FETCH_NOW || b->seen == b->feed->seen;
}

static bool has_ended(const struct batch *b) { return b->ends_ms < INT64_MAX && b->ends_ms <= clock_wall_ms(b->edge->clock); }

/* The newest ones it has are the newest still. */
static bool is_newest(const struct batch *b) { return !b->torn && b->seen == b->feed->seen; }

/* Taking it gets a catch-up further, whatever has come since. But who asks for the newest is not to get others before them. */
static bool is_useful(const struct batch *b)
{
    bool wants_newest = b->fetch.from == FETCH_COUNT || (b->fetch.from == FETCH_LATEST && !b->fetch.conflates);
    if (b->stage == BATCH_ASKING)
        return true;
    if (wants_newest && !is_newest(b))
        return false;
    return !has_ended(b) && (batch_is_complete(b) || !same_position(b->fetch.upto, b->fetch.after));
}

/* ---- lifetime ---- */

static void batch_free(struct batch *b)
{
    link_remove(&b->edge_link);
    link_remove(&b->feed_link);
    fetch_answer_fini(&b->fetch);
    for (size_t i = 0; i < b->fetch.n_channels; i++)
        feed_release(b->feeds[i]);
    if (b->stage == BATCH_ANSWERED)
        b->edge->batch_bytes -= b->cost;
    for (uint32_t i = 0; i < b->n; i++)
        exclusion_give(&b->edge->exclusions, b->frames[i].exclude);
    buf_fini(&b->bytes);
    free(b->frames);
    free(b->fetch.channels);
    free(b);
}

void batch_unref(struct batch *b)
{
    if (b && --b->refs == 0)
        batch_free(b);
}

void batch_leave(struct catchup *cu)
{
    struct batch *b = cu->batch;
    cu->batch = NULL;
    link_remove(&cu->wait_link);
    batch_unref(b);
}

static void keep(struct batch *b)
{
    b->refs++;
    list_add_last(&b->edge->kept, &b->edge_link);
    b->edge->kept_bytes += b->cost;
}

/* A position from the future is one no longer when the hub has got there: the next who comes with it must ask anew. */
static bool may_keep(const struct batch *b)
{
    const struct fetch_call *fetch = &b->fetch;
    bool future = fetch->from == FETCH_AFTER && fetch->after.epoch == fetch->upto.epoch && fetch->after.seq > fetch->upto.seq;
    return b->feed && !b->torn && !fetch->call.err && !future;
}

static void unkeep(struct batch *b)
{
    link_remove(&b->edge_link);
    link_remove(&b->feed_link);
    b->edge->kept_bytes -= b->cost;
    batch_unref(b);
}

static void unkeep_older(struct edge *edge, size_t bytes, int64_t answered_ms)
{
    struct link *oldest;
    while ((oldest = list_first(&edge->kept))) {
        struct batch *b = link_of(oldest, struct batch, edge_link);
        if (edge->kept_bytes <= bytes && b->answered_ms >= answered_ms)
            return;
        unkeep(b);
    }
}

void batches_tick(struct edge *edge, int64_t now_ms) { unkeep_older(edge, KEPT_BYTES, now_ms - KEPT_MS); }
void batches_drop_kept(struct edge *edge)                 { unkeep_older(edge, 0, INT64_MAX); }

static void tear(struct batch *b)
{
    b->torn = true;
    link_remove(&b->feed_link);
}

void batches_tear(struct edge *edge)
{
    batches_drop_kept(edge);
    list_each(l, following, &edge->asking)
        tear(link_of(l, struct batch, edge_link));
}

void batches_forget(struct feed *feed)
{
    list_each(l, following, &feed->batches) {
        struct batch *b = link_of(l, struct batch, feed_link);
        if (b->stage == BATCH_ASKING)
            tear(b);
        else
            unkeep(b);
    }
}

/* ---- the answer ---- */

/* What the one reader of several feeds wants of each: what came after it began there. Of a feed that it has no more, nothing. */
static void mark_wanted(const struct batch *b, bool wanted)
{
    list_each(l, following, (struct link *)&b->waiters)
        list_each(s, after, &link_of(l, struct catchup, wait_link)->subs) {
            struct sub *sub = link_of(s, struct sub, catchup_link);
            sub->feed->mark = !wanted ? UINT64_MAX : b->fetch.gap == GAP_EPOCH ? 0 : sub->after;
        }
}

struct wanting {
    const struct msg *m;
    struct feed      *feed;      /* one that wants it: that is enough */
};

static void look_at(void *arg, void *value)
{
    struct wanting *wanting = arg;
    struct feed *feed = value;
    if (wanting->m->seq > feed->mark)
        wanting->feed = feed;
}

static struct feed *who_wants(const struct batch *b, const struct msg *m)
{
    struct wanting wanting = { .m = m };
    struct feed *feed = feed_find(b->edge, msg_channel(m), m->hash);
    if (feed)
        look_at(&wanting, feed);
    if (!wanting.feed && b->overlaps)
        trie_match(&b->edge->patterns, msg_channel(m), look_at, &wanting);
    return wanting.feed;
}

static bool encode_one(struct batch *b, const struct msg *m)
{
    struct feed *feed = b->feed ? b->feed : who_wants(b, m);
    if (!feed)
        return true;
    uint32_t exclude;
    if (msg_ends_ms(m) < b->ends_ms)
        b->ends_ms = msg_ends_ms(m);
    wire_add(&b->bytes, b->format, m);
    if (b->bytes.failed || b->bytes.len > UINT32_MAX || exclusion_take(&b->edge->exclusions, msg_exclude(m), &exclude))
        return false;
    b->frames[b->n++] = (struct batch_frame){ m->seq, feed, (uint32_t)b->bytes.len, exclude };
    return true;
}

static int encode(struct batch *b)
{
    const struct fetch_call *fetch = &b->fetch;
    if (fetch->n_msgs == 0)
        return 0;
    if (!(b->frames = malloc(fetch->n_msgs * sizeof *b->frames)))
        return ERR_MEMORY;
    bool encoded = true;
    if (!b->feed)
        mark_wanted(b, true);
    for (size_t i = 0; i < fetch->n_msgs && encoded; i++)
        encoded = encode_one(b, fetch->msgs[i]);
    if (!b->feed)
        mark_wanted(b, false);
    return encoded ? 0 : ERR_MEMORY;
}

static void on_answered(struct call *call)
{
    struct batch *b = call->owner;
    struct edge *edge = b->edge;
    struct link *first;
    edge->calls--;
    link_remove(&b->edge_link);
    b->stage = BATCH_ANSWERED;
    b->answered_ms = clock_mono_ms(edge->clock);
    b->seen = b->feed ? b->feed->seen : 0;
    if (!call->err) {
        edge_heard(edge, b->fetch.upto);
        call->err = encode(b);
    }
    for (size_t i = 0; !call->err && batch_is_complete(b) && i < b->fetch.n_channels; i++)
        feed_sure_after(b->feeds[i], b->fetch.upto.seq);
    fetch_answer_fini(&b->fetch);
    b->cost = sizeof *b + b->bytes.cap + b->n * sizeof *b->frames;
    edge->batch_bytes += b->cost;
    edge->crowded |= edge->batch_bytes > edge->config->edge_pool_bytes;
    if (may_keep(b))
        keep(b);
    else
        link_remove(&b->feed_link);
    while ((first = list_first(&b->waiters))) {
        link_remove(first);
        catchup_take(link_of(first, struct catchup, wait_link));
    }
    batch_unref(b);      /* the fetch's own reference */
    unkeep_older(edge, KEPT_BYTES, 0);
}

/* ---- the question ---- */

static bool asks_newest(const struct catchup *cu) { return cu->conflates && cu->since.from == FETCH_LATEST; }

static uint8_t format_of(const struct catchup *cu)
{
    return cu->marked ? cu->conn->protocol->replay_format : cu->conn->format;
}

static bool asks_the_same(const struct fetch_call *fetch, const struct since *since)
{
    if (fetch->from != since->from || fetch->by_rule != since->by_rule)
        return false;
    switch (since->from) {
    case FETCH_AFTER:  return same_position(fetch->after, since->after);
    case FETCH_LATEST: return same_position(fetch->after, since->after) && fetch->whole_after == since->whole_after;
    case FETCH_COUNT:  return fetch->count == since->count;
    case FETCH_TIME:   return fetch->time_ms == since->time_ms;
    default:           return true;
    }
}

static struct batch *find_like(struct feed *feed, uint8_t format, const struct since *since, bool conflates)
{
    int looked_at = 0;
    for (struct link *l = feed->batches.prev; l != &feed->batches && looked_at < LOOK_AT; l = l->prev, looked_at++) {
        struct batch *b = link_of(l, struct batch, feed_link);
        if (b->format == format && b->fetch.conflates == conflates && asks_the_same(&b->fetch, since) && is_useful(b))
            return b;
    }
    return NULL;
}

static struct batch *batch_new(struct catchup *cu, size_t n, const struct since *since)
{
    struct batch *b = calloc(1, sizeof *b + n * sizeof b->feeds[0]);
    struct fetch_channel *channels = calloc(n, sizeof *channels);
    if (!b || !channels) {
        free(b);
        free(channels);
        return NULL;
    }
    b->edge = cu->conn->edge;
    b->format = format_of(cu);
    b->refs = 1;
    b->ends_ms = INT64_MAX;
    b->fetch.channels = channels;
    fetch_begin(&b->fetch, since);
    b->fetch.patient = true;
    b->fetch.max_bytes = cu->probe ? 1 : BATCH_BYTES;
    b->fetch.conflates = asks_newest(cu);
    link_init(&b->edge_link);
    link_init(&b->feed_link);
    link_init(&b->waiters);
    list_each(l, following, &cu->subs) {
        struct feed *feed = link_of(l, struct sub, catchup_link)->feed;
        size_t i = b->fetch.n_channels++;
        channels[i].name = feed_name(feed);
        channels[i].from_now = since->by_rule && since->from == FETCH_LATEST && (feed->is_pattern || !feed->rule->last);
        channels[i].whole = b->fetch.conflates && feed->rule->lag_policy != LAG_LATEST;
        b->feeds[i] = feed;
        b->overlaps |= feed->is_pattern;
        feed_hold(feed);
    }
    return b;
}

static void batch_send(struct batch *b)
{
    struct fetch_call *fetch = &b->fetch;
    b->refs++;
    list_add_last(&b->edge->asking, &b->edge_link);
    fetch->call.owner = b;
    fetch->call.answered = on_answered;
    edge_call(b->edge, &fetch->call, CALL_FETCH, sizeof *fetch + fetch->n_channels * sizeof *fetch->channels);
}

int batch_ask(struct catchup *cu)
{
    struct sub *only = link_of(cu->subs.next, struct sub, catchup_link);
    bool single = cu->subs.next == cu->subs.prev;
    struct since since = cu->since;
    struct batch *b = NULL;
    size_t n = 0;
    if (single && (since.from == FETCH_AFTER || asks_newest(cu)) && since.after.epoch == cu->conn->edge->head.epoch && since.after.seq < only->after)
        since.after.seq = only->after;
    if (single && !cu->probe)
        b = find_like(only->feed, format_of(cu), &since, asks_newest(cu));
    if (b) {
        b->refs++;
    } else {
        list_each(l, following, &cu->subs)
            n++;
        if (!(b = batch_new(cu, n, &since)))
            return ERR_MEMORY;
        if (single) {
            b->feed = only->feed;
            list_add_last(&only->feed->batches, &b->feed_link);
        }
        batch_send(b);
    }
    cu->batch = b;
    if (b->stage == BATCH_ASKING)
        list_add_last(&b->waiters, &cu->wait_link);
    return 0;
}
