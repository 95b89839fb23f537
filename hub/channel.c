/* A table that finds no memory leaves the new channel out (uthash sets hh.tbl to NULL) instead of ending the process. */
#define HASH_NONFATAL_OOM 1
#include "hub/channel.h"

#include "hub/metrics.h"

#include <stdlib.h>

void channels_init(struct channels *channels, uint64_t floor)
{
    *channels = (struct channels){ .floor = floor };
    link_init(&channels->quiet);
}

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
}

struct channel *channel_find(const struct channels *channels, struct slice name, uint64_t hash)
{
    struct channel *ch;
    HASH_FIND_BYHASHVALUE(hh, channels->table, name.at, name.len, (unsigned)hash, ch);
    return ch;
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
    ch->dropped = channels->floor;
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
    if (!has_nothing_left(ch)) {
        link_remove(&ch->quiet);
    } else if (link_alone(&ch->quiet)) {
        ch->quiet_since_ms = now_ms;
        list_add_last(&channels->quiet, &ch->quiet);
    }
}

void channels_forget_quiet(struct channels *channels, int64_t now_ms, int64_t for_ms)
{
    list_each(item, next, &channels->quiet) {
        struct channel *ch = link_of(item, struct channel, quiet);
        if (ch->quiet_since_ms + for_ms > now_ms)
            return;
        if (ch->in_log_index)
            continue;
        if (channels->floor < ch->dropped)
            channels->floor = ch->dropped;
        channel_free(channels, ch);
    }
}

int64_t channels_due_ms(const struct channels *channels, int64_t for_ms)
{
    if (link_alone(&channels->quiet))
        return INT64_MAX;
    return link_of(channels->quiet.next, struct channel, quiet)->quiet_since_ms + for_ms;
}

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

uint32_t channel_first_after(const struct channel *ch, uint64_t seq)
{
    uint32_t low = 0, high = ch->n_kept;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (channel_kept(ch, middle)->seq > seq)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

uint32_t channel_first_from(const struct channel *ch, int64_t time_ms)
{
    uint32_t low = 0, high = ch->n_kept;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (channel_kept(ch, middle)->time_ms >= time_ms)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}
