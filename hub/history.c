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
    gave_up_init(&history->gave_up);
}

void history_fini(struct history *history)
{
    metric_add(METRIC_history_msgs, -(int64_t)history->n_kept);
    metric_add(METRIC_history_bytes, -(int64_t)history->bytes);
    log_index_fini(&history->index);
    gave_up_fini(&history->gave_up);
    expiry_fini(&history->expiry);
    free(history->ends.at);
}

/* ---- when the oldest kept message of each channel is too old ---- */

static int64_t end_of_oldest(const struct channel *ch) { return channel_kept(ch, 0)->time_ms + ch->rule->history_ttl_ms; }

static int64_t next_end_ms(const struct history *history)
{
    return history->ends.n > 0 ? ((const struct channel *)history->ends.at[0])->ends_ms : INT64_MAX;
}

/* A channel has its place from its first message on. */
static bool make_room_ends(struct history *history, const struct channel *ch)
{
    return ch->n_kept > 0 || heap_room(&history->ends, history->ends.n + 1);
}

/* The channel's oldest message has changed since its place was found, which was too early then and is nothing worse: a
 * channel that is full drops one with every message, and is looked at again only when its old place comes up. */
static void place_first_anew(struct history *history)
{
    struct channel *ch = history->ends.at[0];
    ch->ends_ms = end_of_oldest(ch);
    heap_top_changed(&history->ends);
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
    gave_up_add(&history->gave_up, ch, history->dropped);
}

/* What is gone for good is a gap only where history is kept. */
static void note_dropped(struct history *history, struct channel *ch, uint64_t upto)
{
    if (rule_keeps(ch->rule))
        history_set_dropped(history, ch, upto);
    else
        ch->dropped = upto;
}

static void note_drained(struct history *history, const struct channel *ch)
{
    if (rule_keeps(ch->rule) && history->drained < ch->dropped)
        history->drained = ch->dropped;
}

/* Nothing of the channel is left. */
static void drain(struct history *history, struct channel *ch, int64_t now_ms)
{
    heap_remove(&history->ends, ch->ends_at);
    free(ch->kept);
    ch->kept = NULL;
    ch->cap = 0;
    note_drained(history, ch);
    channel_settle(history->channels, ch, now_ms);
}

static void drop_oldest(struct history *history, struct channel *ch, int64_t now_ms)
{
    struct msg *m = channel_kept(ch, 0);
    ch->first = (ch->first + 1) & (ch->cap - 1);
    ch->n_kept--;
    ch->kept_bytes -= msg_size(m);
    note_dropped(history, ch, m->seq);
    count(history, -1, m);
    log_index_gave_up(&history->index);
    if (msg_ends_ms(m) < INT64_MAX)
        expiry_gave_up(&history->expiry);
    msg_unref(m);
    if (ch->n_kept == 0)
        drain(history, ch, now_ms);
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
    note_dropped(history, ch, upto);
    note_drained(history, ch);
}

uint32_t history_purge(struct history *history, struct channel *ch, uint64_t upto, int64_t now_ms)
{
    uint32_t n = 0;
    for (; ch->n_kept > 0 && channel_kept(ch, 0)->seq <= upto; n++)
        drop_oldest(history, ch, now_ms);
    if (ch->dropped < upto)
        note_dropped(history, ch, upto);
    if (ch->n_kept == 0)
        note_drained(history, ch);
    return n;
}

static bool is_over(const struct channel *ch)
{
    return ch->n_kept > 1 && (ch->n_kept > ch->rule->history_size || ch->kept_bytes > ch->rule->history_bytes);
}

static void keep_limits_of(struct history *history, struct channel *ch, int64_t now_ms)
{
    while (is_over(ch))
        drop_oldest(history, ch, now_ms);
}

static void keep_total(struct history *history, int64_t now_ms)
{
    const struct log_entry *oldest;
    while (history->bytes > history->config->history_max_bytes && (oldest = log_index_oldest(&history->index)))
        drop_oldest(history, oldest->channel, now_ms);
}

void history_keep(struct history *history, struct channel *ch, struct msg *m, int64_t now_ms)
{
    int64_t ends_ms = msg_ends_ms(m);
    if (rule_keeps(ch->rule) && ends_ms <= history->wall_ms) {
        if (ch->n_kept == 0)
            note_drained(history, ch);      /* its row may be the last one */
        return;
    }
    if (!rule_keeps(ch->rule) || !make_room_kept(ch) || !make_room_ends(history, ch) || !log_index_room(&history->index) ||
        (ends_ms < INT64_MAX && !expiry_add(&history->expiry, m->seq, ends_ms))) {
        history_give_up(history, ch, m->seq, now_ms);
        return;
    }
    ch->kept[(ch->first + ch->n_kept++) & (ch->cap - 1)] = msg_ref(m);
    ch->kept_bytes += msg_size(m);
    count(history, 1, m);
    log_index_add(&history->index, ch, m->seq, m->time_ms);
    if (ch->n_kept == 1) {
        ch->ends_ms = end_of_oldest(ch);
        heap_push(&history->ends, ch);
    }
    keep_limits_of(history, ch, now_ms);
    keep_total(history, now_ms);
}

bool history_would_grow(const struct history *history, const struct channel *ch, const struct msg *m)
{
    const struct channel_rule *rule = ch ? ch->rule : config_channel_rule(history->config, msg_channel(m));
    if (!rule_keeps(rule))
        return false;
    bool replaces = ch && ch->n_kept > 0 && (ch->n_kept >= rule->history_size || ch->kept_bytes + msg_size(m) > rule->history_bytes);
    return !replaces && history->bytes + msg_size(m) <= history->config->history_max_bytes;
}

/* ---- messages that end by their own ttl ---- */

static int by_channel_and_number(const void *a, const void *b)
{
    const struct ending *x = *(struct ending *const *)a, *y = *(struct ending *const *)b;
    if (x->channel != y->channel)
        return x->channel < y->channel ? -1 : 1;
    return x->seq < y->seq ? -1 : x->seq > y->seq;
}

static void put_kept(struct channel *ch, uint32_t i, struct msg *m) { ch->kept[(ch->first + i) & (ch->cap - 1)] = m; }

/* Closes the holes at endings[0 … n) from the side on which less has to be moved: mostly they are the oldest of all. */
static void close_holes(struct channel *ch, struct ending *const *endings, size_t n)
{
    uint32_t lowest = endings[0]->at, highest = endings[n - 1]->at;
    if (highest < ch->n_kept - lowest) {
        uint32_t to = highest;
        for (uint32_t from = highest + 1, i = (uint32_t)n; from-- > 0;)
            if (i > 0 && endings[i - 1]->at == from)
                i--;
            else
                put_kept(ch, to--, channel_kept(ch, from));
        ch->first = (ch->first + (uint32_t)n) & (ch->cap - 1);
    } else {
        uint32_t to = lowest;
        for (uint32_t from = lowest, i = 0; from < ch->n_kept; from++)
            if (i < n && endings[i]->at == from)
                i++;
            else
                put_kept(ch, to++, channel_kept(ch, from));
    }
    ch->n_kept -= (uint32_t)n;
}

/* Of one channel, in order of number. */
static void take_out(struct history *history, struct ending *const *endings, size_t n, int64_t now_ms)
{
    struct channel *ch = endings[0]->channel;
    for (size_t i = 0; i < n; i++) {
        endings[i]->at = channel_first_after(ch, endings[i]->seq - 1);
        count(history, -1, channel_kept(ch, endings[i]->at));
        ch->kept_bytes -= msg_size(channel_kept(ch, endings[i]->at));
    }
    for (size_t i = 0; i < n; i++)
        msg_unref(channel_kept(ch, endings[i]->at));
    close_holes(ch, endings, n);
    if (ch->n_kept == 0)
        drain(history, ch, now_ms);
}

/* All that are due at once: what ends together in one channel is one walk over it. */
static void take_out_ended(struct history *history, int64_t now_ms)
{
    size_t n, live = 0;
    struct ending **due = expiry_take_due(&history->expiry, history->wall_ms, &n);
    for (size_t i = 0; i < n; i++) {
        due[i]->channel = log_index_take_out(&history->index, due[i]->seq);
        if (due[i]->channel)
            expiry_gave_up(&history->expiry);
    }
    qsort(due, n, sizeof *due, by_channel_and_number);
    while (live < n && !due[live]->channel)
        live++;
    for (size_t end; live < n; live = end) {
        for (end = live; end < n && due[end]->channel == due[live]->channel;)
            end++;
        take_out(history, &due[live], end - live, now_ms);
    }
    for (size_t i = 0; i < n; i++)
        free(due[i]);
}

static bool is_kept(void *index, uint64_t seq) { return log_index_has(index, seq); }

void history_age(struct history *history, int64_t wall_ms, int64_t now_ms)
{
    history->wall_ms = wall_ms;
    if (expiry_due_ms(&history->expiry) <= wall_ms)
        take_out_ended(history, now_ms);
    while (next_end_ms(history) <= wall_ms) {
        struct channel *ch = history->ends.at[0];
        if (end_of_oldest(ch) <= wall_ms)
            drop_oldest(history, ch, now_ms);
        else
            place_first_anew(history);
    }
    log_index_oldest(&history->index);      /* channels are not forgotten before their dead entries are gone */
    log_index_tidy(&history->index);
    expiry_tidy(&history->expiry, is_kept, &history->index);
}

/* ---- other settings ---- */

/* Nothing that came before is here: whoever has an older position misses it. */
static void begin_to_keep(struct history *history, struct channel *ch)
{
    note_dropped(history, ch, ch->dropped);
    note_drained(history, ch);
}

static void take_rules(struct history *history)
{
    for (struct channel *ch = history->channels->table; ch; ch = ch->hh.next) {
        bool kept = rule_keeps(ch->rule);
        ch->rule = config_channel_rule(history->config, channel_name(ch));
        if (!kept && rule_keeps(ch->rule))
            begin_to_keep(history, ch);
    }
}

void history_reconfigure(struct history *history, const struct config *config, int64_t now_ms)
{
    history->config = config;
    gave_up_forget(&history->gave_up);
    take_rules(history);
    channels_reconfigure(history->channels, config, now_ms);
    for (struct channel *ch = history->channels->table; ch; ch = ch->hh.next) {
        while (ch->n_kept > 0 && !rule_keeps(ch->rule))
            drop_oldest(history, ch, now_ms);
        keep_limits_of(history, ch, now_ms);
    }
    keep_total(history, now_ms);
    struct heap all = history->ends;
    history->ends.n = 0;
    for (size_t i = 0; i < all.n; i++) {
        struct channel *ch = all.at[i];      /* the heap grows behind it, in the same array */
        ch->ends_ms = end_of_oldest(ch);
        heap_push(&history->ends, ch);
    }
}

int64_t history_due_ms(const struct history *history)
{
    int64_t ages = next_end_ms(history), ends = expiry_due_ms(&history->expiry);
    return ages < ends ? ages : ends;
}

uint64_t history_oldest(struct history *history)
{
    const struct log_entry *oldest = log_index_oldest(&history->index);
    return oldest ? oldest->seq : UINT64_MAX;
}
