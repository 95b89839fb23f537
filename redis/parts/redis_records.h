/* redis_records.h — the records of all nodes (hub/records.h): keys made at run time, revocations. Redis has them; each node has all of
 * them in its tables, where they are looked up.
 *
 *   redis_records_change ──record.lua: still the version it was prepared on?──> yes: kept, a word to all ──> put() on every other node
 *                              └─ no: undo(), put() what it is now, redo() ──> prepared and asked again
 *   each live ──records.lua, page by page──> put() what is newer; what Redis does not know, or has older: written back
 *
 * Each record has a version, which is a time above all versions before: whoever has changed it last is right. Redis may lose records (a
 * flush, an old dump, a replica that lagged), a node may miss words (it was away): both are the same case, settled record by record in
 * favour of the newer version, when a node comes back and once an hour. A removal is a version too, known for REDIS_GONE_MS on both
 * sides: so a node that was away does not bring back what the others have removed.
 *
 * Before everything was read once, loaded() has not been said: the hub lets nobody in on what might have been taken back. Later, while
 * Redis is away, each node decides by what it knows, and changes are ERR_REDIS_AWAY.
 *
 * Lifetime   redis_records_new after the bus and before redis_bus_open, redis_records_free after redis_bus_free, which answers what is
 *            under way.
 * Threading  the bus's.
 * Limits     limits.keys and limits.revocations, by prepare(); here 120 bytes and its name for each record, beside the kind's table. In Redis
 *            about as much, and its value (a key 300 bytes, a revocation 150). RECORDS_UNDER_WAY changes, REDIS_BACK_AT_ONCE written back. */
#pragma once
#include "hub/records.h"
#include "redis/bus/redis_bus.h"

enum { REDIS_GONE_MS = 24 * 60 * 60 * 1000, REDIS_RECORDS_PAGE = 500, REDIS_BACK_AT_ONCE = 64, REDIS_RECORDS_AGAIN_MS = 60 * 60 * 1000 };

struct redis_records;

struct redis_records_ops {
    /* As the functions of this end in hub/engine.h. */
    int  (*put)(void *owner, struct slice kind, struct slice key, struct slice value);
    bool (*print)(void *owner, struct slice kind, struct slice key, struct buf *out);
    void (*recorded)(void *owner, struct record_call *change, int err);
    void (*undo)(void *owner, struct record_call *change);
    void (*redo)(void *owner, struct record_call *change);
    void (*loaded)(void *owner);      /* once */
};

struct redis_records *redis_records_new(struct redis_bus *bus, const struct redis_records_ops *ops, void *owner);      /* NULL: no memory */
void redis_records_free(struct redis_records *records);      /* NULL is fine */
/* Answered by recorded(), perhaps at once: 0, ERR_REDIS_AWAY, ERR_REDIS_REFUSED, ERR_OUTCOME_UNKNOWN, ERR_BUSY, ERR_MEMORY. */
void redis_records_change(struct redis_records *records, struct record_call *change);
