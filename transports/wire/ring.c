#include "transports/wire/ring.h"

#include "hub/metrics.h"

#include <assert.h>
#include <stdlib.h>

/* ---- the pool ---- */

void pool_init(struct pool *pool, size_t limit, struct exclusions *exclusions)
{
    *pool = (struct pool){ .limit = limit, .exclusions = exclusions };
    link_init(&pool->chunks);
    link_init(&pool->fallen);
}

void pool_fini(struct pool *pool)
{
    assert(link_alone(&pool->chunks) && link_alone(&pool->fallen));
    for (int class = 0; class < CHUNK_CLASSES; class++)
        while (pool->spare[class]) {
            struct chunk *c = pool->spare[class];
            pool->spare[class] = c->next;
            free(c);
        }
    pool->spare_bytes = 0;
}

static size_t chunk_bytes(const struct chunk *c) { return sizeof *c + c->room; }
static size_t class_bytes(uint8_t class)         { return (size_t)CHUNK_MIN << class; }

static void drop_first(struct ring *ring);

static struct chunk *pool_take(struct pool *pool, size_t bytes, uint8_t class)
{
    while (pool->used + bytes > pool->limit && !link_alone(&pool->chunks))
        drop_first(link_of(pool->chunks.next, struct chunk, pool_link)->ring);
    if (pool->used + bytes > pool->limit)
        return NULL;
    struct chunk *c = class < CHUNK_CLASSES ? pool->spare[class] : NULL;
    if (c) {
        pool->spare[class] = c->next;
        pool->spare_bytes -= bytes;
    } else if (!(c = malloc(bytes))) {
        return NULL;
    }
    c->room = (uint32_t)(bytes - sizeof *c);
    c->used = c->n = c->n_excluding = 0;
    c->class = class;
    c->next = NULL;
    link_init(&c->readers);
    link_init(&c->pool_link);
    list_add_last(&pool->chunks, &c->pool_link);
    pool->used += bytes;
    metric_add(METRIC_ring_bytes, (int64_t)bytes);
    return c;
}

static void pool_give(struct pool *pool, struct chunk *c)
{
    size_t bytes = chunk_bytes(c);
    for (uint32_t i = 0; c->n_excluding > 0 && i < c->n; i++)
        exclusion_give(pool->exclusions, chunk_frame(c, i)->exclude);
    link_remove(&c->pool_link);
    pool->used -= bytes;
    metric_add(METRIC_ring_bytes, -(int64_t)bytes);
    if (c->class == CHUNK_CLASSES || pool->spare_bytes + bytes > SPARE_BYTES) {
        free(c);
        return;
    }
    c->next = pool->spare[c->class];
    pool->spare[c->class] = c;
    pool->spare_bytes += bytes;
}

/* ---- readers that lose their place ---- */

static void fall(struct pool *pool, struct reader *reader, uint64_t behind)
{
    list_add_last(&pool->fallen, &reader->link);
    reader->chunk = NULL;
    reader->index = behind < UINT32_MAX ? (uint32_t)behind : UINT32_MAX;
    reader->place = READER_FALLEN;
}

static void fall_at_end(struct ring *ring)
{
    uint64_t behind = ring->fresh ? ring->end - ring->fresh_from : 0;
    list_each(l, following, &ring->at_end)
        fall(ring->pool, link_of(l, struct reader, link), behind);
    ring->fresh = NULL;
}

static void unlink_first(struct ring *ring)
{
    struct chunk *c = ring->first;
    ring->first = c->next;
    if (!ring->first)
        ring->last = NULL;
    ring->bytes -= chunk_bytes(c);
    pool_give(ring->pool, c);
}

/* Chunks grow while a ring keeps several, and shrink again when one was enough and stayed nearly empty. */
static void trim(struct ring *ring)
{
    struct chunk *c;
    while ((c = ring->first) && c != ring->fresh && link_alone(&c->readers)) {
        if (!c->next && ring->class > 0 && c->used < class_bytes(ring->class) / 8)
            ring->class--;
        unlink_first(ring);
    }
}

static void drop_first(struct ring *ring)
{
    struct chunk *c = ring->first;
    list_each(l, following, &c->readers) {
        struct reader *reader = link_of(l, struct reader, link);
        fall(ring->pool, reader, reader_lag(reader));
    }
    if (c == ring->fresh)
        fall_at_end(ring);
    unlink_first(ring);
    trim(ring);      /* what comes next may have been kept for those only */
}

void ring_lose(struct ring *ring)
{
    while (ring->first)
        drop_first(ring);
    fall_at_end(ring);
}

/* ---- the ring ---- */

void ring_init(struct ring *ring, struct pool *pool)
{
    *ring = (struct ring){ .pool = pool };
    link_init(&ring->at_end);
}

void ring_fini(struct ring *ring)
{
    assert(!ring_wanted(ring));
    while (ring->first)
        unlink_first(ring);
}

/* While somebody reads, the first chunk has a reader, or is the fresh one, which somebody at the end waits for. */
bool ring_wanted(const struct ring *ring) { return !link_alone(&ring->at_end) || ring->first; }

static bool has_room(const struct chunk *c, size_t len)
{
    return c && c->used + len + (c->n + 1) * sizeof(struct frame) <= c->room;
}

static struct chunk *add_chunk(struct ring *ring, size_t limit, size_t len)
{
    size_t need = (sizeof(struct chunk) + len + sizeof(struct frame) + 7) & ~(size_t)7;
    if (ring->last && ring->class < CHUNK_CLASSES - 1)
        ring->class++;
    uint8_t class = ring->class;
    while (class < CHUNK_CLASSES && class_bytes(class) < need)
        class++;
    size_t bytes = class < CHUNK_CLASSES ? class_bytes(class) : need;
    while (ring->first && ring->bytes + bytes > limit)
        drop_first(ring);
    struct chunk *c = need > UINT32_MAX ? NULL : pool_take(ring->pool, bytes, class);
    if (!c)
        return NULL;
    c->ring = ring;
    c->base = ring->end;
    if (ring->last)
        ring->last->next = c;
    else
        ring->first = c;
    ring->last = c;
    ring->bytes += bytes;
    return c;
}

size_t ring_append(struct ring *ring, size_t limit, uint64_t arrival, uint64_t seq, uint32_t exclude, struct slice bytes)
{
    struct chunk *c = has_room(ring->last, bytes.len) ? ring->last : add_chunk(ring, limit, bytes.len);
    if (!c) {
        if (exclude)
            exclusion_give(ring->pool->exclusions, exclude);
        ring_lose(ring);
        return 0;
    }
    if (!ring->fresh && !link_alone(&ring->at_end)) {
        ring->fresh = c;
        ring->fresh_index = c->n;
        ring->fresh_from = ring->end;
    }
    memcpy(c->bytes + c->used, bytes.at, bytes.len);
    c->used += (uint32_t)bytes.len;
    ring->end += bytes.len;
    *((struct frame *)(void *)(c->bytes + c->room) - 1 - c->n++) = (struct frame){ arrival, seq, c->used, exclude };
    c->n_excluding += exclude != 0;
    trim(ring);      /* making room may have taken the last reader's place */
    return ring->fresh ? ring->end - ring->fresh_from : 0;
}

void ring_settle(struct ring *ring, void (*behind)(struct reader *reader))
{
    struct chunk *c = ring->fresh;
    if (!c)
        return;
    for (struct link *l = ring->at_end.next; l != &ring->at_end; l = l->next) {
        struct reader *reader = link_of(l, struct reader, link);
        reader->chunk = c;
        reader->index = ring->fresh_index;
        reader->place = READER_BEHIND;
        behind(reader);
    }
    list_move_all(&c->readers, &ring->at_end);
    ring->fresh = NULL;
    trim(ring);      /* those that waited for it may have left */
}

void ring_join(struct ring *ring, struct reader *reader)
{
    assert(!ring->fresh && reader->place == READER_OUT);
    list_add_last(&ring->at_end, &reader->link);
    reader->place = READER_AT_END;
}

void reader_init(struct reader *reader)
{
    *reader = (struct reader){ .place = READER_OUT };
    link_init(&reader->link);
}

void reader_leave(struct reader *reader)
{
    struct ring *ring = reader->place == READER_BEHIND ? reader->chunk->ring : NULL;
    link_remove(&reader->link);
    reader->chunk = NULL;
    reader->place = READER_OUT;
    if (ring)
        trim(ring);
}

bool reader_advance(struct reader *reader, struct chunk *chunk, uint32_t index)
{
    struct ring *ring = chunk->ring;
    assert(!ring->fresh);
    while (index == chunk->n && chunk->next) {
        chunk = chunk->next;
        index = 0;
    }
    bool at_end = index == chunk->n;
    if (!at_end && chunk == reader->chunk) {
        reader->index = index;
        return false;
    }
    list_add_last(at_end ? &ring->at_end : &chunk->readers, &reader->link);
    reader->place = at_end ? READER_AT_END : READER_BEHIND;
    reader->chunk = at_end ? NULL : chunk;
    reader->index = index;
    trim(ring);
    return at_end;
}

uint64_t reader_lag(const struct reader *reader)
{
    if (reader->place != READER_BEHIND)
        return reader->place == READER_FALLEN ? reader->index : 0;
    const struct chunk *c = reader->chunk;
    return c->ring->end - c->base - frame_start(c, reader->index);
}

uint64_t reader_frames(const struct reader *reader)
{
    uint64_t n = 0;
    if (reader->place != READER_BEHIND)
        return 0;
    for (const struct chunk *c = reader->chunk; c; c = c->next)
        n += c->n;
    return n - reader->index;
}
