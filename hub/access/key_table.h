/* key_table.h — the API keys that were made at run time.
 *
 *   POST /v1/keys ─> key_ask in a record_call ─> hub: key_table_prepare ─> store ─> key_table_apply: in force here ─> answered
 *   a credential ─> key_table_check ─> live_key ─> principal
 *
 * Expired keys are refused with an error of their own for KEY_KEPT_S, then they are removed; a secret that was rotated out is
 * removed when its overlap is over (key_table_due).
 *
 * Lifetime   key_table_new before the threads start, key_table_free after they have ended.
 * Threading  changed on the hub thread, as records are (hub/records.h, access_records.c); read by any under a lock of its own.
 * Limits     limits.keys keys. */
#pragma once
#include "hub/access/live_key.h"
#include "hub/access/taken_back.h"

enum { KEY_KEPT_S = 24 * 60 * 60, KEY_USE_NOTED_S = 60, KEYS_DUE_MAX = 64 };

struct key_table;
struct principal;

struct key_table *key_table_new(const struct taken_back *taken_back);      /* NULL: no memory. `taken_back` outlives it */
void              key_table_free(struct key_table *table);                 /* NULL is fine */

/* ---- changes ---- */

enum key_change {
    KEY_ADD,         /* the record is `key` */
    KEY_ROTATE,      /* another secret; the one it had is valid until old_until_s */
    KEY_REMOVE,
    /* the table's own */
    KEY_DROP_OLD,    /* the secret before is not valid any more */
    KEY_NOTE_USE,    /* when it was used last is worth keeping */
};

/* What a record_call asks for. Owned by who asks. */
struct key_ask {
    enum key_change  change;
    size_t           most;             /* ADD: limits.keys */
    struct live_key *key;              /* ADD: one reference, which stays the asker's */
    const struct principal *by;        /* who asks: must have what the key may do. NULL: the hub */
    const uint8_t   *sha256;           /* ROTATE */
    char             hint[KEY_HINT_TEXT];      /* ROTATE */
    int64_t          now_s;            /* ROTATE, DROP_OLD */
    int64_t          old_until_s;      /* ROTATE */
    struct live_key *ret_key;          /* answer to ROTATE: the key as it is now, a reference */
};
/* Beside what records.h says: ERR_NOT_FOUND, ERR_FORBIDDEN (the key may do what the asker may not), ERR_TOO_MANY_KEYS,
 * ERR_KEY_EXPIRED (ROTATE). */

/* The steps of a change to the key of that id, as in records.h: what its record will be is added to *value, or nothing, when it goes. */
int  key_table_prepare(struct key_table *table, struct slice id, const struct key_ask *ask, struct buf *value, void **ret_prepared);
void key_table_apply(struct key_table *table, struct slice id, struct key_ask *ask, void *prepared);
void key_table_abandon(struct key_table *table, void *prepared);
/* Likewise: as it was when the hub ended, or as another node has made it. A key that changes is one that may be taken back. */
int  key_table_put(struct key_table *table, struct slice id, struct slice record);      /* ERR_STORE_OPEN, ERR_MEMORY: nothing has changed */
void key_table_drop(struct key_table *table, struct slice id);
bool key_table_print(struct key_table *table, struct slice id, struct buf *out);        /* its record */

/* What time brings: changes that are due, at most KEYS_DUE_MAX. Hub thread. */
struct key_due {
    char            id[ROLL_ID_MAX + 1];
    struct key_ask *ask;
};
size_t key_table_due(struct key_table *table, int64_t now_s, struct key_due ret_due[KEYS_DUE_MAX]);

/* ---- questions, of any thread ---- */

/* Whose secret this text is: 0 and a reference; *ret_generation is that of the secret, *ret_until_s until when it is valid. */
int key_table_check(struct key_table *table, struct slice text, int64_t now_s, struct live_key **ret_key, uint32_t *ret_generation,
                    int64_t *ret_until_s);
/* Is this generation of its secret still good? 0, ERR_KEY_REVOKED, ERR_KEY_EXPIRED. */
int key_table_admits(struct key_table *table, struct slice id, uint32_t generation, int64_t now_s);
/* A reference, or NULL. */
struct live_key *key_table_find(struct key_table *table, struct slice id);
/* At most `most` keys with ids greater than `after`, a reference each; how many. *ret_more: there are others behind them. */
size_t key_table_page(struct key_table *table, struct slice after, size_t most, struct live_key **ret_keys, bool *ret_more);
/* May this principal do everything that a holder of the key may? */
bool   key_is_within(const struct live_key *key, const struct principal *p);
/* The same of a single scope. */
bool   scope_is_within(struct slice scope, const struct principal *p);
