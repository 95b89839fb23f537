/* A table that finds no memory leaves the new channel out (uthash sets hh.tbl to NULL) instead of ending the process. */
#define HASH_NONFATAL_OOM 1
#include "hub/channel.h"

#include "hub/base/first.h"

#include "hub/config/config.h"
#include "hub/metrics.h"

#include <stdlib.h>

/* ---- quiet channels ---- */

static struct quiet *quiet_of(const struct channels *channels, int64_t for_ms)
{
    for (size_t i = 0; i < channels->n_quiets; i++)
        if (channels->quiets[i].for_ms == for_ms)
            return &channels->quiets[i];
    return NULL;
}

/* Each history.ttl once. Some bytes for each rule, when the hub begins or an operator asks for it: without them it ends. */
static void make_quiets(struct channels *channels, const struct config *config)
{
    channels->config = config;
    channels->n_quiets = 0;
    channels->quiets = malloc((config->rule_count + 1) * sizeof *channels->quiets);
    if (!channels->quiets)
        abort();
    for (size_t i = 0; i <= config->rule_count; i++) {
        int64_t for_ms = i < config->rule_count ? config->rules[i].history_ttl_ms : config->general_rule.history_ttl_ms;
        if (quiet_of(channels, for_ms))
            continue;
        struct quiet *quiet = &channels->quiets[channels->n_quiets++];
        quiet->for_ms = for_ms;
        link_init(&quiet->channels);
    }
}

static void be_quiet(const struct channels *channels, struct channel *ch, int64_t now_ms)
{
    ch->quiet_since_ms = now_ms;
    list_add_last(&quiet_of(channels, ch->rule->history_ttl_ms)->channels, &ch->quiet);
}

void channels_init(struct channels *channels, const struct config *config, uint64_t floor)
{
    *channels = (struct channels){ .floor = floor };
    make_quiets(channels, config);
}

void channels_reconfigure(struct channels *channels, const struct config *config, int64_t now_ms)
{
    struct quiet *before = channels->quiets;
    size_t n = channels->n_quiets;
    make_quiets(channels, config);
    for (size_t i = 0; i < n; i++)
        list_each(item, next, &before[i].channels)
            be_quiet(channels, link_of(item, struct channel, quiet), now_ms);
    free(before);
}

/* ---- the table ---- */

static void channel_free(struct channels *channels, struct channel *ch)
{
    HASH_DELETE(hh, channels->table, ch);
    link_remove(&ch->quiet);
    link_remove(&ch->gave_up);
    for (uint32_t i = 0; i < ch->n_kept; i++)
        msg_unref(channel_kept(ch, i));
    free(ch->kept);
    free(ch->watches.at);
    free(ch);
    channels->count--;
    metric_add(METRIC_channels, -1);
}

void channels_fini(struct channels *channels)
{
    struct channel *ch, *next;
    HASH_ITER(hh, channels->table, ch, next)
        channel_free(channels, ch);
    free(channels->quiets);
}

struct channel *channel_find(const struct channels *channels, struct slice name, uint64_t hash)
{
    struct channel *ch;
    HASH_FIND_BYHASHVALUE(hh, channels->table, name.at, name.len, (unsigned)hash, ch);
    return ch;
}

/* What a channel that is not known may have had and lost. Without history it may have been known before, and been forgotten with what it
 * had: should it begin to have history, that is still missing. */
static uint64_t dropped_at_birth(const struct channels *channels, const struct channel *ch)
{
    return rule_keeps(ch->rule) || channels->unkept < channels->floor ? channels->floor : channels->unkept;
}

struct channel *channel_get(struct channels *channels, struct slice name, uint64_t hash)
{
    struct channel *ch = channel_find(channels, name, hash);
    if (ch)
        return ch;
    ch = calloc(1, sizeof *ch + name.len);
    if (!ch)
        return NULL;
    ch->hash = hash;
    ch->rule = config_channel_rule(channels->config, name);
    ch->dropped = dropped_at_birth(channels, ch);
    ch->name_len = (uint8_t)name.len;
    memcpy(ch->name, name.at, name.len);
    link_init(&ch->quiet);
    link_init(&ch->gave_up);
    HASH_ADD_KEYPTR_BYHASHVALUE(hh, channels->table, ch->name, ch->name_len, (unsigned)hash, ch);
    if (!ch->hh.tbl) {
        free(ch);
        return NULL;
    }
    channels->count++;
    metric_add(METRIC_channels, 1);
    return ch;
}

static bool has_nothing_left(const struct channel *ch)
{
    return ch->n_kept == 0 && ch->watches.n == 0 && ch->under_way == 0;
}

void channel_settle(struct channels *channels, struct channel *ch, int64_t now_ms)
{
    if (!has_nothing_left(ch))
        link_remove(&ch->quiet);
    else if (link_alone(&ch->quiet))
        be_quiet(channels, ch, now_ms);
}

static void forget(struct channels *channels, struct channel *ch)
{
    uint64_t *mark = rule_keeps(ch->rule) ? &channels->floor : &channels->unkept;
    if (*mark < ch->dropped)
        *mark = ch->dropped;
    channel_free(channels, ch);
}

void channels_forget_quiet(struct channels *channels, int64_t now_ms)
{
    for (size_t i = 0; i < channels->n_quiets; i++) {
        struct quiet *quiet = &channels->quiets[i];
        list_each(item, next, &quiet->channels) {
            struct channel *ch = link_of(item, struct channel, quiet);
            if (ch->quiet_since_ms + quiet->for_ms > now_ms)
                break;
            if (!ch->in_log_index)
                forget(channels, ch);
        }
    }
}

int64_t channels_due_ms(const struct channels *channels)
{
    int64_t due = INT64_MAX;
    for (size_t i = 0; i < channels->n_quiets; i++) {
        const struct quiet *quiet = &channels->quiets[i];
        if (link_alone(&quiet->channels))
            continue;
        int64_t ends = link_of(quiet->channels.next, struct channel, quiet)->quiet_since_ms + quiet->for_ms;
        due = ends < due ? ends : due;
    }
    return due;
}

/* ---- all of them, in pieces ---- */

static uint64_t reversed(uint64_t bits)
{
    bits = (bits >> 1 & 0x5555555555555555) | (bits & 0x5555555555555555) << 1;
    bits = (bits >> 2 & 0x3333333333333333) | (bits & 0x3333333333333333) << 2;
    bits = (bits >> 4 & 0x0f0f0f0f0f0f0f0f) | (bits & 0x0f0f0f0f0f0f0f0f) << 4;
    return __builtin_bswap64(bits);
}

/* The cursor counts buckets with its bits reversed, the highest of the mask first (as SCAN of Redis does): the buckets into which one
 * is split when the table doubles come behind each other, so those that were looked at stay looked at. */
uint64_t channels_scan(const struct channels *channels, uint64_t cursor, void (*each)(void *arg, struct channel *ch), void *arg)
{
    if (!channels->table)
        return 0;
    const UT_hash_table *table = channels->table->hh.tbl;
    uint64_t mask = table->num_buckets - 1;
    for (UT_hash_handle *handle = table->buckets[cursor & mask].hh_head, *next; handle; handle = next) {
        next = handle->hh_next;
        each(arg, ELMT_FROM_HH(table, handle));
    }
    return reversed(reversed(cursor | ~mask) + 1);
}

/* ---- what a message follows ---- */

/* After a restart the oldest row tells what went before it (EXACT.md 8), and messages that ended by their own ttl are no gap (EXACT.md 5),
 * whether their rows are there or not: so a row also tells how far back the newest lies that was meant to stay. */
void channel_follow(const struct channel *ch, struct msg *m)
{
    m->prev = ch->submitted > ch->dropped ? ch->submitted : ch->dropped;
    uint64_t firm = ch->firm > ch->dropped ? ch->firm : ch->dropped;
    if (firm >= m->prev || m->prev - firm > UINT32_MAX)
        return;
    int64_t left_ms = ch->passing_ms > m->time_ms ? ch->passing_ms - m->time_ms : 0;
    if (left_ms / 1000 >= UINT32_MAX)
        return;      /* until then it counts as if it stayed */
    m->passing = (uint32_t)(m->prev - firm);
    m->passed_s = (uint32_t)((left_ms + 999) / 1000);
}

void channel_submit(struct channel *ch, const struct msg *m)
{
    int64_t ends_ms = msg_ends_ms(m);
    ch->submitted = m->seq;
    if (ends_ms == INT64_MAX) {
        ch->firm = m->seq;
        ch->passing_ms = 0;
    } else if (ch->passing_ms < ends_ms) {
        ch->passing_ms = ends_ms;
    }
}

uint64_t channel_dropped_before(const struct msg *m, int64_t wall_ms)
{
    bool passed = m->passing > 0 && (m->passed_s == 0 || wall_ms >= m->time_ms + m->passed_s * INT64_C(1000));
    return passed ? m->prev - m->passing : m->prev;
}

/* ---- what is kept ---- */

static bool is_after(const void *ch, size_t i, int64_t seq)      { return channel_kept(ch, (uint32_t)i)->seq > (uint64_t)seq; }
static bool is_from(const void *ch, size_t i, int64_t time_ms)   { return channel_kept(ch, (uint32_t)i)->time_ms >= time_ms; }

uint32_t channel_first_after(const struct channel *ch, uint64_t seq)     { return (uint32_t)first_that(ch->n_kept, is_after, ch, (int64_t)seq); }
uint32_t channel_first_from(const struct channel *ch, int64_t time_ms)   { return (uint32_t)first_that(ch->n_kept, is_from, ch, time_ms); }
