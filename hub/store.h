/* store.h — port: where messages survive a restart. The hub hands over groups, the store commits each group whole or
 * not at all, in order, and mails it back.
 *
 *   hub: store_submit(group) ──> store thread: one transaction for all groups waiting ──LETTER_STORED──> hub: completes its messages
 *
 * A failed group fails every group that was submitted before the hub has heard of it: prev chains would be wrong
 * otherwise. The store counts generations for that: it refuses groups of an older generation with ERR_STORE_FAILED, and
 * the answer says which generation comes next.
 *
 * What "committed" means is store.sync: off and batch commit (WAL, NORMAL: in the kernel, so kill -9 loses nothing, on disk
 * within a second); each syncs before it answers. With off the hub does not wait for the answer. A group with purges or with records
 * (administrative changes: a key was made, a token revoked) is synced before its answer in every mode.
 *
 * Lifetime   store_open at start, before the hub; store_close after the hub's last group was answered.
 * Threading  submit: hub thread. Answers: by mail to the mailbox given to store_start.
 * Limits     at most two groups are under way (the hub sees to it); a group holds what one turn of the hub collected.
 *            On disk stay all rows from the oldest message that any channel still keeps: one message that is kept long pins
 *            what came after it, so a store grows to what is published within the longest history.ttl.
 * Failure    a full disk or read-only file fails the group and turns the store's health red (health.h); the store keeps
 *            trying with whatever comes next and with an empty transaction once a second, and turns green by itself. */
#pragma once
#include "hub/base/mail.h"
#include "hub/deliveries.h"
#include "hub/hub.h"
#include "hub/msg.h"

/* One administrative change (hub/records.h). What it points to lives until the group is answered. */
struct store_record {
    struct store_record *next;   /* of the same group, in order */
    struct slice  kind, key;
    struct slice  value;         /* value.at NULL: the record is removed */
};

struct store_group {
    struct letter letter;        /* LETTER_STORED on its way back */
    uint64_t      generation;    /* of the hub at submission */
    struct msg  **msgs;          /* a reference each, prev is set; the hub's until answered */
    size_t        n, cap, bytes;
    uint64_t      reserve;       /* numbers below this shall be reserved; 0: no change. Also without messages */
    uint64_t      trim;          /* rows below this number are not needed any more; 0: no change */
    uint64_t      floor;         /* EXACT.md 8: stored in the same commit as the trim */
    struct slice  keeping;       /* which channels have history, from these rows on (keeping.h); at NULL: no change */
    struct idempotency_record *keys;   /* of msgs, and of messages that no history keeps; in the same commit */
    size_t        n_keys, cap_keys;
    uint64_t      keys_trim;     /* idempotency records below this number are not needed any more; 0: no change */
    struct store_purge  *purges; /* of call.h: no message of the channel up to its number is there any more */
    struct store_record *records;/* with any, or with purges, the group is on disk before it is answered, whatever store.sync says */
    struct hub_event      **events;  /* borrowed until answered; their messages have numbers. Also of messages that no history keeps */
    size_t        n_events, cap_events;
    struct settle_call *settlings;              /* of deliveries.h, chained by `next`; each is answered with what comes of it */
    struct trim_call   *trims;   /* likewise, one; NULL: none */
    /* answer */
    int           err;           /* 0 or ERR_STORE_FAILED */
    uint64_t      next_generation;
};

/* One port, two implementations: store_thread.c (SQLite), and the one of tests/sim that crashes at will. */
struct store {
    void (*submit)(struct store *store, struct store_group *group);
    /* Answered (LETTER_READ) with what stands after all groups that were submitted before. */
    void (*read)(struct store *store, struct delivery_read *read);
    bool   forgets;      /* it is in memory: only events and deliveries are given to it */
};

static inline void store_submit(struct store *store, struct store_group *group) { store->submit(store, group); }
static inline void store_read(struct store *store, struct delivery_read *read)  { store->read(store, read); }

struct config;
/* Opens or makes DIR/carillon.db; locks it against other processes; migrates older schemas; settles the epoch (EXACT.md 4).
 * 0, or ERR_STORE_OPEN, ERR_STORE_VERSION, ERR_STORE_LOCKED with one sentence for the operator in *ret_why (static or inside
 * the store module). *ret_start has `reserved` = `next`: the hub reserves its first block itself. */
int  store_open(const struct config *config, struct store **ret_store, struct hub_start *ret_start, const char **ret_why);
typedef int store_record_fn(void *arg, struct slice kind, struct slice key, struct slice value);
/* Every kept row in order of number; the callback may keep a reference. 0, the callback's error, or ERR_STORE_OPEN. */
int  store_load(struct store *store, int (*row)(void *arg, struct msg *m), void *arg);
/* Every idempotency record in order of number; some may be among them that were trimmed. Likewise. */
int  store_load_keys(struct store *store, int (*key)(void *arg, const struct idempotency_record *record), void *arg);
/* Every purge whose rows may still be there; those rows store_load does not give. Likewise. */
int  store_load_purges(struct store *store, int (*purge)(void *arg, struct slice channel, uint64_t upto), void *arg);
/* Every record, by kind and key; what the slices point to is valid during the callback. Likewise. */
int  store_load_records(struct store *store, store_record_fn *record, void *arg);
/* Starts the thread; answers go to this mailbox. */
int  store_start(struct store *store, struct mailbox *hub);
/* Ends the thread when all that was submitted is answered, marks the stop as clean, closes. NULL is fine. With `off` a run in
 * which a group failed does not stop cleanly: its messages had been acknowledged, and the next run has a new epoch. */
void store_close(struct store *store);
/* The same, but for a disk that does not answer: false after `patience_ms`, and then the process has to end without freeing what the store
 * may still use. All that was committed is in the kernel, as after kill -9; the stop is not marked as clean. */
enum { STORE_PATIENCE_MS = 30 * 1000 };
bool store_close_within(struct store *store, int64_t patience_ms);

/* The store of a hub without store.dir: events and deliveries, in memory (store.forgets). The hub thread's; answers go to this mailbox. NULL: no memory. */
struct store *store_memory_open(struct mailbox *hub);
void          store_memory_close(struct store *store);      /* after the hub's last turn; NULL is fine */
