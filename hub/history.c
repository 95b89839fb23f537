#include "hub/history.h"

#include "hub/config/config.h"
#include "hub/metrics.h"

#include <stdlib.h>

void history_init(struct history *history, const struct config *config, struct channels *channels)
{
    *history = (struct history){ .config = config, .channels = channels };
}

void history_fini(struct history *history)
{
    metric_add(METRIC_history_msgs, -(int64_t)history->n_kept);
    metric_add(METRIC_history_bytes, -(int64_t)history->bytes);
    free(history->queue);
}

bool history_on(const struct config *config)
{
    return config->history_size > 0 && config->history_ttl_ms > 0 && config->history_bytes > 0;
}

static void count(struct history *history, int messages, const struct msg *m)
{
    history->n_kept += (size_t)messages;
    history->bytes += (size_t)messages * msg_size(m);
    metric_add(METRIC_history_msgs, messages);
    metric_add(METRIC_history_bytes, messages * (int64_t)msg_size(m));
}

static void drop_oldest(struct history *history, struct channel *ch, int64_t now_ms)
{
    struct msg *m = channel_kept(ch, 0);
    ch->first = (ch->first + 1) & (ch->cap - 1);
    ch->n_kept--;
    ch->kept_bytes -= msg_size(m);
    ch->dropped = m->seq;
    count(history, -1, m);
    msg_unref(m);
    if (ch->n_kept > 0)
        return;
    free(ch->kept);
    ch->kept = NULL;
    ch->cap = 0;
    if (history->drained < ch->dropped)
        history->drained = ch->dropped;
    channel_settle(history->channels, ch, now_ms);
}

/* Doubles a ring of items of this size; the new ring begins at index 0. NULL: no memory, the old one stays. */
static void *grow_ring(void *ring, size_t item, size_t first, size_t n, size_t *cap, size_t least)
{
    size_t more = *cap ? *cap * 2 : least, head = *cap - first < n ? *cap - first : n;
    char *bigger = malloc(more * item);
    if (!bigger)
        return NULL;
    if (n > 0) {
        memcpy(bigger, (char *)ring + first * item, head * item);
        memcpy(bigger + head * item, ring, (n - head) * item);
    }
    free(ring);
    *cap = more;
    return bigger;
}

static bool make_room_kept(struct channel *ch)
{
    size_t cap = ch->cap;
    if (ch->n_kept < ch->cap)
        return true;
    struct msg **bigger = grow_ring(ch->kept, sizeof *bigger, ch->first, ch->n_kept, &cap, 2);
    if (!bigger)
        return false;
    ch->kept = bigger;
    ch->cap = (uint32_t)cap;
    ch->first = 0;
    return true;
}

static struct aged *queue_at(const struct history *history, size_t i)
{
    return &history->queue[(history->first + i) & (history->cap - 1)];
}

static bool is_kept(const struct aged *entry)
{
    return entry->seq > entry->channel->dropped;
}

/* Most entries are of messages that went for another reason: leave the others, in order. */
static void sweep(struct history *history)
{
    size_t left = 0;
    for (size_t i = 0; i < history->n; i++) {
        struct aged *entry = queue_at(history, i);
        if (is_kept(entry))
            *queue_at(history, left++) = *entry;
        else
            entry->channel->in_age_queue--;
    }
    history->n = left;
}

static bool make_room_queued(struct history *history)
{
    if (history->n < history->cap)
        return true;
    if (history->n > 2 * history->n_kept + 64)
        sweep(history);
    if (history->n < history->cap)
        return true;
    struct aged *bigger = grow_ring(history->queue, sizeof *bigger, history->first, history->n, &history->cap, 64);
    if (!bigger)
        return false;
    history->queue = bigger;
    history->first = 0;
    return true;
}

static void pop_queued(struct history *history)
{
    queue_at(history, 0)->channel->in_age_queue--;
    history->first = (history->first + 1) & (history->cap - 1);
    history->n--;
}

/* The oldest entry whose message is still kept, or NULL. */
static struct aged *oldest(struct history *history)
{
    while (history->n > 0 && !is_kept(queue_at(history, 0)))
        pop_queued(history);
    return history->n > 0 ? queue_at(history, 0) : NULL;
}

void history_give_up(struct history *history, struct channel *ch, uint64_t upto, int64_t now_ms)
{
    while (ch->n_kept > 0)
        drop_oldest(history, ch, now_ms);
    ch->dropped = upto;
    if (history->drained < ch->dropped)
        history->drained = ch->dropped;
}

static void keep_limits(struct history *history, struct channel *ch, int64_t now_ms)
{
    const struct config *config = history->config;
    while (ch->n_kept > 1 && (ch->n_kept > config->history_size || ch->kept_bytes > config->history_bytes))
        drop_oldest(history, ch, now_ms);
    while (history->bytes > config->history_max_bytes && oldest(history))
        drop_oldest(history, oldest(history)->channel, now_ms);
}

void history_keep(struct history *history, struct channel *ch, struct msg *m, int64_t now_ms)
{
    if (!history_on(history->config) || !make_room_kept(ch) || !make_room_queued(history)) {
        history_give_up(history, ch, m->seq, now_ms);
        return;
    }
    ch->kept[(ch->first + ch->n_kept++) & (ch->cap - 1)] = msg_ref(m);
    ch->kept_bytes += msg_size(m);
    count(history, 1, m);
    *queue_at(history, history->n++) = (struct aged){ ch, m->seq, m->time_ms };
    ch->in_age_queue++;
    keep_limits(history, ch, now_ms);
}

bool history_would_grow(const struct history *history, const struct channel *ch, const struct msg *m)
{
    const struct config *config = history->config;
    if (!history_on(config))
        return false;
    bool replaces = ch && ch->n_kept > 0 && (ch->n_kept >= config->history_size || ch->kept_bytes + msg_size(m) > config->history_bytes);
    return !replaces && history->bytes + msg_size(m) <= config->history_max_bytes;
}

void history_age(struct history *history, int64_t wall_ms, int64_t now_ms)
{
    struct aged *entry;
    while ((entry = oldest(history)) && entry->time_ms + history->config->history_ttl_ms <= wall_ms)
        drop_oldest(history, entry->channel, now_ms);
}

int64_t history_due_ms(const struct history *history)
{
    return history->n ? queue_at(history, 0)->time_ms + history->config->history_ttl_ms : INT64_MAX;
}

uint64_t history_oldest(struct history *history)
{
    struct aged *entry = oldest(history);
    return entry ? entry->seq : UINT64_MAX;
}
