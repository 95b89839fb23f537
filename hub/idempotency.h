/* idempotency.h — publishes that are safe to retry: which keys were used, for what, and what came of it.
 *
 * A publisher that does not hear the answer cannot know whether its message was published. With an Idempotency-Key it sends
 * the same request again, and gets the answer of the first one. A record of that is made when the message gets its number and
 * goes to the store in the same commit (EXACT.md 2): there is never the one without the other, and a publish that fails leaves
 * nothing, so its retry is a first one.
 *
 *   key unknown                        -> the message is published, and a record is made
 *   record, other content              -> ERR_KEY_REUSED
 *   record, its message not completed  -> ERR_KEY_IN_USE
 *   record                             -> answered as the first was: its position, its time, its subscribers
 *
 * Keys are not kept, but a digest of who sent them, to which path, and the key; of the content another. Both are made by the
 * thread that asks (the hub has better things to do), and are the same in every run: they stand in files.
 *
 * Records are in order of number and of time, so the oldest ends first: a ring, and an index by digest beside it.
 *
 * Lifetime   part of struct hub; filled by idempotency_restore before the first turn.
 * Threading  hub thread; idempotency_key_make any.
 * Limits     publish.idempotency_keys records of 80 bytes, each for publish.idempotency_ttl. Beyond the first the oldest is
 *            forgotten before its time (metric idempotency_early): its retry would be published again. */
#pragma once
#include "hub/base/buf.h"
#include "hub/position.h"

enum { IDEMPOTENCY_KEY_MAX = 255 };

/* What a publish carries; all zero: it came without a key. */
struct idempotency_key {
    uint64_t id[2];            /* digest of scope and key */
    uint64_t content[2];       /* digest of what was asked for */
};

struct idempotency_record {
    struct idempotency_key key;
    uint64_t number;           /* counts records, from 1; never again for another, and so what the store trims by */
    uint64_t epoch, seq;       /* position of the message */
    int64_t  time_ms;
    uint32_t subscribers;      /* when it was taken: what both answers say */
};

struct idempotency {
    struct idempotency_record *records;        /* ring of `cap` (a power of two), oldest first */
    uint32_t                  *slots;          /* open addressing, 2 * cap: place in `records` + 1; 0: empty */
    size_t                     first, n, cap;
    uint64_t                   next;           /* number of the next record */

};

/* 0, or ERR_BAD_KEY: a key is 1 to IDEMPOTENCY_KEY_MAX bytes of printable ASCII, without white space around it. */
int  idempotency_key_check(struct slice key);
/* `scope` is who asks, `target` where: the same key of another caller or for another path is another key. 0 or ERR_MEMORY. */
int  idempotency_key_make(struct slice scope, struct slice target, struct slice key, const struct slice *content, size_t n_content,
                          struct idempotency_key *ret);
/* Only the first half of it: of the same content for many targets. */
int  idempotency_key_aim(struct slice scope, struct slice target, struct slice key, struct idempotency_key *ret);
static inline bool idempotency_wanted(const struct idempotency_key *key) { return key->id[0] | key->id[1]; }

void idempotency_init(struct idempotency *table);
void idempotency_fini(struct idempotency *table);
/* NULL: this key was not used since `since_ms`. Valid until the table changes. */
const struct idempotency_record *idempotency_find(const struct idempotency *table, const struct idempotency_key *key, int64_t since_ms);
/* Room for one more, without forgetting any: false: no memory. */
bool idempotency_room(struct idempotency *table);
/* After idempotency_room(). Gives it its number; forgets the oldest when there are more than `most`. */
void idempotency_add(struct idempotency *table, struct idempotency_record *record, size_t most);
/* The newest, of publishes that failed: those after this number of a message. */
void idempotency_take_back(struct idempotency *table, uint64_t epoch, uint64_t after_seq);
/* When the oldest was made, wall clock; INT64_MAX: there is none. */
int64_t idempotency_oldest_ms(const struct idempotency *table);
/* Forgets what is older, a bounded number of them. */
void idempotency_age(struct idempotency *table, int64_t since_ms);
/* One that the store kept, in order of number; those before `since_ms` are for nobody any more. 0 or ERR_MEMORY. */
int  idempotency_restore(struct idempotency *table, const struct idempotency_record *record, int64_t since_ms, size_t most);
/* Number of the oldest record that is remembered, or the next one. */
uint64_t idempotency_oldest(const struct idempotency *table);
