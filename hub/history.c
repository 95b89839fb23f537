#include "hub/history.h"

#include "hub/base/grow.h"
#include "hub/config/config.h"
#include "hub/metrics.h"

#include <stdlib.h>

static bool ends_before(const void *a, const void *b)
{
    const struct channel *x = a, *y = b;
    return x->ends_ms < y->ends_ms;
}

static void end_placed(void *item, size_t at) { ((struct channel *)item)->ends_at = at; }

void history_init(struct history *history, const struct config *config, struct channels *channels)
{
    *history = (struct history){ .config = config, .channels = channels };
    history->ends.less = ends_before;
    history->ends.placed = end_placed;
    link_init(&history->gave_up);
}

void history_fini(struct history *history)
{
    metric_add(METRIC_history_msgs, -(int64_t)history->n_kept);
    metric_add(METRIC_history_bytes, -(int64_t)history->bytes);
    log_index_fini(&history->index);
    free(history->ends.at);
}

struct history_limits history_limits(const struct config *config, const struct channel *ch)
{
    (void)ch;
    return (struct history_limits){ config->history_size, config->history_bytes, config->history_ttl_ms };
}

bool history_on(const struct config *config)
{
    return config->history_size > 0 && config->history_ttl_ms > 0 && config->history_bytes > 0;
}

/* ---- when the oldest kept message of each channel is too old ---- */

static int64_t end_of_oldest(const struct history *history, const struct channel *ch)
{
    return channel_kept(ch, 0)->time_ms + history_limits(history->config, ch).ttl_ms;
}

static bool make_room_ends(struct history *history, const struct channel *ch)
{
    if (ch->n_kept > 0 || history->ends.n < history->ends_cap)
        return true;
    size_t cap = history->ends_cap ? history->ends_cap * 2 : 16;
    void **bigger = realloc(history->ends.at, cap * sizeof *bigger);
    if (!bigger)
        return false;
    history->ends.at = bigger;
    history->ends_cap = cap;
    return true;
}

/* The channel's oldest message has changed since its place was found, which was too early then and is nothing worse: a
 * channel that is full drops one with every message, and is looked at again only when its old place comes up. */
static void place_first_anew(struct history *history)
{
    struct channel *ch = history->ends.at[0];
    ch->ends_ms = end_of_oldest(history, ch);
    heap_top_changed(&history->ends);
}

void history_reconfigure(struct history *history, const struct config *config)
{
    struct heap all = history->ends;
    history->config = config;
    history->ends.n = 0;
    for (size_t i = 0; i < all.n; i++) {
        struct channel *ch = all.at[i];      /* the heap grows behind it, in the same array */
        ch->ends_ms = end_of_oldest(history, ch);
        heap_push(&history->ends, ch);
    }
}

/* ---- keeping and giving up ---- */

static void count(struct history *history, int messages, const struct msg *m)
{
    history->n_kept += (size_t)messages;
    history->bytes += (size_t)messages * msg_size(m);
    metric_add(METRIC_history_msgs, messages);
    metric_add(METRIC_history_bytes, messages * (int64_t)msg_size(m));
}

void history_set_dropped(struct history *history, struct channel *ch, uint64_t upto)
{
    ch->dropped = upto;
    if (history->dropped < upto)
        history->dropped = upto;
    ch->gave_up_at = history->dropped;
    list_add_last(&history->gave_up, &ch->gave_up);
}

static void drop_oldest(struct history *history, struct channel *ch, int64_t now_ms)
{
    struct msg *m = channel_kept(ch, 0);
    ch->first = (ch->first + 1) & (ch->cap - 1);
    ch->n_kept--;
    ch->kept_bytes -= msg_size(m);
    history_set_dropped(history, ch, m->seq);
    count(history, -1, m);
    log_index_gave_up(&history->index);
    msg_unref(m);
    if (ch->n_kept > 0)
        return;
    heap_remove(&history->ends, ch->ends_at);
    free(ch->kept);
    ch->kept = NULL;
    ch->cap = 0;
    if (history->drained < ch->dropped)
        history->drained = ch->dropped;
    channel_settle(history->channels, ch, now_ms);
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

void history_give_up(struct history *history, struct channel *ch, uint64_t upto, int64_t now_ms)
{
    while (ch->n_kept > 0)
        drop_oldest(history, ch, now_ms);
    history_set_dropped(history, ch, upto);
    if (history->drained < ch->dropped)
        history->drained = ch->dropped;
}

static bool is_over(const struct channel *ch, const struct history_limits *limits)
{
    return ch->n_kept > 1 && (ch->n_kept > limits->size || ch->kept_bytes > limits->bytes);
}

static void keep_limits(struct history *history, struct channel *ch, int64_t now_ms)
{
    struct history_limits limits = history_limits(history->config, ch);
    const struct log_entry *oldest;
    while (is_over(ch, &limits))
        drop_oldest(history, ch, now_ms);
    while (history->bytes > history->config->history_max_bytes && (oldest = log_index_oldest(&history->index)))
        drop_oldest(history, oldest->channel, now_ms);
}

void history_keep(struct history *history, struct channel *ch, struct msg *m, int64_t now_ms)
{
    if (!history_on(history->config) || !make_room_kept(ch) || !make_room_ends(history, ch) || !log_index_room(&history->index)) {
        history_give_up(history, ch, m->seq, now_ms);
        return;
    }
    ch->kept[(ch->first + ch->n_kept++) & (ch->cap - 1)] = msg_ref(m);
    ch->kept_bytes += msg_size(m);
    count(history, 1, m);
    log_index_add(&history->index, ch, m->seq, m->time_ms);
    if (ch->n_kept == 1) {
        ch->ends_ms = end_of_oldest(history, ch);
        heap_push(&history->ends, ch);
    }
    keep_limits(history, ch, now_ms);
}

bool history_would_grow(const struct history *history, const struct channel *ch, const struct msg *m)
{
    struct history_limits limits = history_limits(history->config, ch);
    if (!history_on(history->config))
        return false;
    bool replaces = ch && ch->n_kept > 0 && (ch->n_kept >= limits.size || ch->kept_bytes + msg_size(m) > limits.bytes);
    return !replaces && history->bytes + msg_size(m) <= history->config->history_max_bytes;
}

void history_age(struct history *history, int64_t wall_ms, int64_t now_ms)
{
    while (history_due_ms(history) <= wall_ms) {
        struct channel *ch = history->ends.at[0];
        if (end_of_oldest(history, ch) <= wall_ms)
            drop_oldest(history, ch, now_ms);
        else
            place_first_anew(history);
    }
    log_index_oldest(&history->index);      /* channels are not forgotten before their dead entries are gone */
    log_index_tidy(&history->index);
}

int64_t history_due_ms(const struct history *history)
{
    return history->ends.n > 0 ? ((const struct channel *)history->ends.at[0])->ends_ms : INT64_MAX;
}

uint64_t history_oldest(struct history *history)
{
    const struct log_entry *oldest = log_index_oldest(&history->index);
    return oldest ? oldest->seq : UINT64_MAX;
}
