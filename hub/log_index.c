#include "hub/log_index.h"

#include "hub/base/first.h"
#include "hub/base/grow.h"

#include <stdlib.h>

enum { CAP_LEAST = 64 };

void log_index_fini(struct log_index *index) { free(index->entries); }

static struct log_entry *entry_at(struct log_index *index, size_t place)
{
    return &index->entries[(index->first + place) & (index->cap - 1)];
}

static void let_go(struct log_entry *entry)
{
    if (entry->channel)
        entry->channel->in_log_index--;
    entry->channel = NULL;
}

/* Leaves the live ones, in order. */
static void sweep(struct log_index *index)
{
    size_t left = 0;
    for (size_t i = 0; i < index->n; i++) {
        struct log_entry *entry = entry_at(index, i);
        if (log_entry_is_live(entry))
            *entry_at(index, left++) = *entry;
        else
            let_go(entry);
    }
    index->n = left;
}

void log_index_tidy(struct log_index *index)
{
    if (index->n > 2 * index->n_live + CAP_LEAST)
        sweep(index);
}

bool log_index_room(struct log_index *index)
{
    if (index->n < index->cap)
        return true;
    log_index_tidy(index);
    if (index->n < index->cap)
        return true;
    struct log_entry *bigger = grow_ring(index->entries, sizeof *bigger, index->first, index->n, &index->cap, CAP_LEAST);
    if (!bigger)
        return false;
    index->entries = bigger;
    index->first = 0;
    return true;
}

void log_index_add(struct log_index *index, struct channel *ch, uint64_t seq, int64_t time_ms)
{
    *entry_at(index, index->n++) = (struct log_entry){ ch, seq, time_ms };
    index->n_live++;
    ch->in_log_index++;
}

void log_index_gave_up(struct log_index *index) { index->n_live--; }

static void pop(struct log_index *index)
{
    let_go(entry_at(index, 0));
    index->first = (index->first + 1) & (index->cap - 1);
    index->n--;
}

const struct log_entry *log_index_oldest(struct log_index *index)
{
    while (index->n > 0 && !log_entry_is_live(entry_at(index, 0)))
        pop(index);
    return index->n > 0 ? entry_at(index, 0) : NULL;
}

static bool is_after(const void *index, size_t place, int64_t seq)      { return log_index_at(index, place)->seq > (uint64_t)seq; }
static bool is_from(const void *index, size_t place, int64_t time_ms)   { return log_index_at(index, place)->time_ms >= time_ms; }

size_t log_index_after(const struct log_index *index, uint64_t seq)      { return first_that(index->n, is_after, index, (int64_t)seq); }
size_t log_index_from(const struct log_index *index, int64_t time_ms)    { return first_that(index->n, is_from, index, time_ms); }

struct channel *log_index_take_out(struct log_index *index, uint64_t seq)
{
    size_t place = log_index_after(index, seq - 1);
    struct log_entry *entry = place < index->n ? entry_at(index, place) : NULL;
    if (!entry || entry->seq != seq || !log_entry_is_live(entry))
        return NULL;
    struct channel *ch = entry->channel;
    let_go(entry);
    index->n_live--;
    return ch;
}

bool log_index_has(const struct log_index *index, uint64_t seq)
{
    size_t place = log_index_after(index, seq - 1);
    return place < index->n && log_index_at(index, place)->seq == seq && log_entry_is_live(log_index_at(index, place));
}
