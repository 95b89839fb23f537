/* records.h — administrative settings that outlive the process: keys made at run time, revocations, …
 *
 * A record is {kind, key, value}. Its kind says what it means: it has the table in which records are found, and decides what a
 * change comes to. A change is a call (call.h); it is answered when it is on disk *and* in force, whatever store.sync says:
 *
 *   CALL_RECORD ─> prepare (may it be? what is its value?) ─> a row of the hub's next group ─> store ─> apply ─> answered
 *                    └─ ERR_…: answered, nothing has changed        └─ failed: abandon, ERR_STORE_FAILED, nothing has changed
 *
 * Changes of one record run one after the other: prepare() sees what the one before has made of it. In memory-only hubs there is
 * no store to wait for, and the answer says that it is not durable.
 *
 * With an engine (engine.h) that is where records are, and all nodes have the same ones: a change is in force here when the engine has
 * it, and there a moment later (put, drop). When another node was first it is prepared again, on what that has made of it.
 *
 * Kinds are made of six functions and registered with hub_add_records before the first turn. Their tables have locks of their
 * own where other threads read them.
 *
 * Threading  hub thread; hub_restore_record before it starts.
 * Limits     RECORDS_UNDER_WAY changes at a time, beyond that ERR_BUSY. How many records there are, and how large: each kind's
 *            prepare() sees to it. RECORD_TRIES when other nodes are always first: ERR_BUSY. */
#pragma once
#include "hub/base/buf.h"
#include "hub/call.h"
#include "hub/store.h"

enum { RECORDS_UNDER_WAY = 1024, RECORD_TRIES = 16 };

/* Their names in the store are in records.c, and are never changed once released. */
enum record_kind { RECORD_KEY, RECORD_REVOCATION, RECORD_WEBHOOK, RECORD_KINDS };
struct slice record_kind_name(enum record_kind kind);

/* ERR_STORE_FAILED, ERR_BUSY, ERR_DRAINING, ERR_MEMORY, and what the kind's prepare() says. */
struct record_call {
    struct call         call;
    enum record_kind    kind;
    struct slice        key;          /* which record */
    void               *ask;          /* the kind's own: what is to become of it, and room for its answer; the origin's */
    bool                durable;      /* answer: it outlives the process */
    /* for prepare, apply and abandon */
    struct buf          value;        /* what prepare makes of it */
    bool                remove;       /* or: the record goes */
    void               *prepared;     /* the kind's own: what apply needs, so that it cannot fail */
    /* records.c */
    struct store_record row;
    struct record_call *next;         /* in the list it is in */
    uint64_t            hash;
    unsigned            tries;
    bool                own;          /* the hub's: nobody is answered */
};

struct record_ops {
    /* What is asked for, as things stand: value or remove is set, and all is found that apply needs. Or why it cannot be. */
    int  (*prepare)(void *self, struct record_call *change);
    /* It is so from now on. */
    void (*apply)(void *self, struct record_call *change);
    /* It came to nothing, change->call.err says why (0: another node was first, it is prepared again): what was prepared is given back. */
    void (*abandon)(void *self, struct record_call *change);
    /* It is so, whatever it was: when the hub ended, or because another node says so. ERR_MEMORY; ERR_STORE_OPEN: no such value was ever
     * written. */
    int  (*put)(void *self, struct slice key, struct slice value);
    /* Another node has removed it; nothing when it is not there. */
    void (*drop)(void *self, struct slice key);
    /* Its value as it was put or prepared last; false: it is not there. */
    bool (*print)(void *self, struct slice key, struct buf *out);
};

struct hub;
/* The kind's functions get `self`, which must outlive the hub. Without a call to this the kind's records rest in the store, and
 * changes are ERR_NOT_FOUND. */
void hub_add_records(struct hub *hub, enum record_kind kind, const struct record_ops *ops, void *self);
/* A record of the store. ERR_NOT_FOUND: this version does not know the kind; it stays where it is. */
int  hub_restore_record(struct hub *hub, struct slice kind, struct slice key, struct slice value);
/* What has expired is for this hub to remove: of several nodes one does it, so that they are not in each other's way. */
bool hub_sweeps(const struct hub *hub);
/* A change of the hub's own, which nobody waits for: what has expired goes, what is worth keeping is written. `ask` as in the
 * call: it must live until prepare has refused it, or until apply or abandon. ERR_BUSY, ERR_MEMORY: ask again later. */
int  hub_change_record(struct hub *hub, enum record_kind kind, struct slice key, void *ask);
