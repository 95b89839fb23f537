#include "signaling/backlog.h"

#include "hub/base/err.h"

#include <stdlib.h>

enum { CAP_LEAST = 4 };

static size_t size_of(const struct told *told) { return sizeof *told + room_text_slice(told->rest).len; }

static bool has_room(struct backlog *b)
{
    if (b->n < b->cap)
        return true;
    uint32_t cap = b->cap ? 2 * b->cap : CAP_LEAST;
    struct told *ring = malloc(cap * sizeof *ring);
    if (!ring)
        return false;
    for (uint32_t i = 0; i < b->n; i++)
        ring[i] = *backlog_at(b, i);
    free(b->ring);
    b->ring = ring;
    b->first = 0;
    b->cap = cap;
    return true;
}

static void let_go(struct backlog *b, const struct told *told, size_t *total)
{
    b->bytes -= size_of(told);
    *total -= size_of(told);
    room_text_unref(told->head);
    room_text_unref(told->rest);
    b->n--;
    if (b->n > 0)
        return;
    free(b->ring);
    b->ring = NULL;
    b->first = b->cap = 0;
}

static void drop_oldest(struct backlog *b, size_t *total)
{
    struct told told = *backlog_at(b, 0);
    b->first = (b->first + 1) & (b->cap - 1);
    let_go(b, &told, total);
}

static void give_up_oldest(struct backlog *b, size_t *total)
{
    b->lost = backlog_at(b, 0)->seq;
    drop_oldest(b, total);
}

/* There is room in the ring. */
static void keep(struct backlog *b, const struct told *told, size_t *total)
{
    struct told *kept = backlog_at(b, b->n++);
    *kept = *told;
    kept->seq = ++b->seq;
    room_text_ref(kept->head);
    room_text_ref(kept->rest);
    b->bytes += size_of(kept);
    *total += size_of(kept);
}

void backlog_told(struct backlog *b, const struct backlog_limits *limits, const struct told *told, uint64_t *ret_seq)
{
    size_t size = size_of(told);
    while (b->n > 0 && (b->n >= limits->count || b->bytes + size > limits->bytes || *limits->total + size > limits->total_max))
        give_up_oldest(b, limits->total);
    bool fits = size <= limits->bytes && *limits->total + size <= limits->total_max && has_room(b);
    if (fits)
        keep(b, told, limits->total);
    else
        backlog_miss(b);
    *ret_seq = b->seq;
}

int backlog_wait(struct backlog *b, const struct backlog_limits *limits, const struct told *told)
{
    size_t size = size_of(told);
    bool full = b->away_n >= limits->count || (b->away_n > 0 && b->away_bytes + size > limits->bytes);
    if (full || *limits->total + size > limits->total_max)
        return ERR_PEER_BUSY;
    if (!has_room(b))
        return ERR_MEMORY;
    keep(b, told, limits->total);
    b->away_n++;
    b->away_bytes += size;
    return 0;
}

/* What is kept before it is of use still: only that one is missing. */
void backlog_miss(struct backlog *b) { b->lost = ++b->seq; }

void backlog_take_back(struct backlog *b, const struct backlog_limits *limits)
{
    if (b->n == 0 || backlog_at(b, b->n - 1)->seq != b->seq) {
        b->seq--;      /* it was not kept; `lost` may stay above it: nobody can have seen more than is numbered */
        if (b->lost > b->seq)
            b->lost = b->seq;
        return;
    }
    struct told told = *backlog_at(b, b->n - 1);
    b->seq--;
    let_go(b, &told, limits->total);
}

void backlog_away(struct backlog *b)
{
    b->away_from = b->seq;
    b->away_n = 0;
    b->away_bytes = 0;
}

void backlog_seen(struct backlog *b, const struct backlog_limits *limits, uint64_t seq)
{
    while (b->n > 0 && backlog_at(b, 0)->seq <= seq)
        drop_oldest(b, limits->total);
}

void backlog_age(struct backlog *b, const struct backlog_limits *limits, int64_t before_ms)
{
    while (b->n > 0 && backlog_at(b, 0)->at_ms < before_ms)
        give_up_oldest(b, limits->total);
}

void backlog_fini(struct backlog *b, size_t *total)
{
    while (b->n > 0)
        drop_oldest(b, total);
}
