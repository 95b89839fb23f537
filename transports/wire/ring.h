/* ring.h — the newest frames of one feed in one wire format, ready to be sent, and where its readers are in them.
 *
 * A ring is a chain of chunks. Frames grow from the front of a chunk's bytes, their index from its back; a frame is never
 * split over chunks, so one run of bytes per chunk is always whole frames:
 *
 *   first                                   last
 *   [frames … index] ──> [frames … index] ──> [frames …     index]
 *        ^ readers of this chunk                           ^ end: readers that are here hold no chunk (at_end)
 *
 * Readers that keep up wait in `at_end`, without a cursor. The first frame appended since they were last looked at is the
 * *fresh* mark; ring_settle() gives all of them the mark as their cursor, in one walk. So an append costs the same for one
 * reader and for ten thousand, and a ring whose readers are all at its end owns no memory at all.
 *
 * A chunk goes when the last reader has left it and none before it is kept, or when its ring or the pool is full: then the
 * oldest goes, and the readers in it fall (pool->fallen): they have lost their place and must catch up some other way.
 *
 * Lifetime   rings and readers are embedded in what owns them; the pool outlives all rings. Chunks are the pool's.
 * Threading  the edge's thread.
 * Limits     edge.ring_bytes per ring (at least one frame), edge.pool_bytes per pool; up to SPARE_BYTES are kept for reuse. */
#pragma once
#include "hub/base/buf.h"
#include "hub/base/list.h"
#include "transports/wire/exclusion.h"

enum { CHUNK_MIN = 1024, CHUNK_CLASSES = 7 };     /* 1 KiB … 64 KiB; larger only for one larger frame */

struct frame {
    uint64_t arrival;           /* of its message at this edge: the order over all feeds */
    uint64_t seq;
    uint32_t end;               /* offset behind its last byte in the chunk */
    uint32_t exclude;           /* whom it is not for (exclusion.h); 0: it is for all */
};

struct chunk {
    struct link   pool_link;    /* in pool->chunks */
    struct link   readers;      /* those whose next frame is in here */
    struct ring  *ring;
    struct chunk *next;
    uint64_t      base;         /* offset of its first byte in the ring, counted from the ring's beginning */
    uint32_t      room, used;   /* size of bytes[], bytes of frames */
    uint32_t      n;            /* frames */
    uint32_t      n_excluding;  /* of these, those that are not for all */
    uint8_t       class;        /* CHUNK_MIN << class bytes altogether; CHUNK_CLASSES: a size of its own */
    _Alignas(8) char bytes[];
};

static inline const struct frame *chunk_frame(const struct chunk *c, uint32_t i)
{
    return (const struct frame *)(const void *)(c->bytes + c->room) - 1 - i;
}
static inline uint32_t frame_start(const struct chunk *c, uint32_t i) { return i ? chunk_frame(c, i - 1)->end : 0; }

/* All chunks of an edge, and the readers that have fallen. */
struct pool {
    size_t        limit, used;             /* bytes */
    struct link   chunks;                  /* oldest first */
    struct link   fallen;                  /* struct reader, by link */
    struct chunk *spare[CHUNK_CLASSES];    /* free ones */
    size_t        spare_bytes;
    struct exclusions *exclusions;         /* of frames that are not for all; NULL: there are none */
};

enum { SPARE_BYTES = 256 * 1024 };

void pool_init(struct pool *pool, size_t limit, struct exclusions *exclusions);
void pool_fini(struct pool *pool);         /* all rings are gone */

enum reader_place {
    READER_OUT,          /* in no ring; `link` is the owner's to use */
    READER_AT_END,       /* has everything, or everything up to the fresh mark */
    READER_BEHIND,       /* its next frame is chunk[index] */
    READER_FALLEN,       /* lost its place; in pool->fallen; `index` is how many bytes it was behind */
};

struct reader {
    struct link   link;
    struct chunk *chunk;       /* READER_BEHIND */
    uint32_t      index;
    uint8_t       place;       /* enum reader_place */
    bool          given;       /* the owner's to use */
    bool          attends;     /* likewise */
};

struct ring {
    struct pool  *pool;
    struct chunk *first, *last;
    struct chunk *fresh;       /* where the first frame is that readers at_end do not have; NULL: they have all */
    uint32_t      fresh_index;
    uint32_t      subs;        /* the owner's: how many use it */
    uint8_t       class;       /* of the next chunk */
    uint64_t      end;         /* bytes ever appended */
    uint64_t      fresh_from;  /* what `end` was at the fresh mark */
    size_t        bytes;       /* memory of its chunks */
    struct link   at_end;
};

void ring_init(struct ring *ring, struct pool *pool);
void ring_fini(struct ring *ring);         /* no reader is left */
bool ring_wanted(const struct ring *ring); /* somebody reads it; otherwise appending is for nothing */

/* One frame, copied; the ring is wanted. It takes over the reference to `exclude`. Returns how many bytes the readers at the end do not have. A ring that would pass
 * `limit` gives up its oldest chunks. When no memory is found, every reader falls. */
size_t ring_append(struct ring *ring, size_t limit, uint64_t arrival, uint64_t seq, uint32_t exclude, struct slice bytes);
/* Readers at the end get the fresh mark as their cursor; each is told to `behind`. */
void ring_settle(struct ring *ring, void (*behind)(struct reader *reader));
/* A reader that is out joins at the end. The ring is settled. */
void ring_join(struct ring *ring, struct reader *reader);
/* Every reader falls: something is missing in here. */
void ring_lose(struct ring *ring);

void reader_init(struct reader *reader);
void reader_leave(struct reader *reader);  /* from wherever it is; it is out then */
/* It has had everything before frame `index` of `chunk`, which is at or after its cursor. True: it is at the end.
 * The ring is settled. Chunks that nobody needs any more go. */
bool reader_advance(struct reader *reader, struct chunk *chunk, uint32_t index);
uint64_t reader_lag(const struct reader *reader);   /* bytes it is behind (READER_BEHIND, READER_FALLEN) */
uint64_t reader_frames(const struct reader *reader);   /* frames it is behind (READER_BEHIND) */
