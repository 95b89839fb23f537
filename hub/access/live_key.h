/* live_key.h — an API key that was made at run time (POST /v1/keys): what it may do, how long, and its record.
 *
 * A key is rotated by giving it a new secret; the old one stays valid for an overlap, so that whoever holds it can be changed over.
 * Each secret has a number, its generation: what a connection was let in with tells whether it must end (key_table.h).
 *
 *   record  {"name":…,"scopes":[…],"tier":…,"created":s,"expires":s,"sha256":hex,"hint":…,"generation":n,
 *            "old":{"sha256":hex,"until":s},"used":s}       s: seconds since 1970; what does not apply is left out
 *
 * Of the key itself only the SHA-256 is kept (api_key.h says why that is enough), and its first letters, by which people tell keys
 * apart.
 *
 * Lifetime   reference-counted: the table has one, and so has every principal made of it. Immutable, but for when it was used last:
 *            a change makes another live_key.
 * Threading  any. */
#pragma once
#include "hub/access/roll.h"
#include "hub/config/config.h"

#include <stdatomic.h>

enum {
    KEY_ID_TEXT = 4 + 24 + 1,      /* key_ and 12 digits of time, 12 at random: lists are in the order in which keys were made */
    KEY_HINT_TEXT = 7 + 1,         /* ck_3f2a */
    KEY_SCOPES_MAX = 100,
    KEY_RECORD_MAX = 32 * 1024,
};

struct live_key {
    struct roll_item item;         /* first: its id */
    atomic_uint      refs;
    struct api_key   key;          /* name, sha256, scopes: as of a line of [keys] */
    struct slice     tier;         /* empty: none */
    int64_t          created_s, expires_s;      /* expires: INT64_MAX: never */
    uint32_t         generation;   /* of its secret: 1, 2, … */
    char             hint[KEY_HINT_TEXT];
    uint8_t          old_sha256[32];
    int64_t          old_until_s;  /* the secret before is valid until then; 0: there is none */
    _Atomic int64_t  used_s;       /* 0: never */
    int64_t          stored_s;     /* used_s as it stands in the record */
    char             bytes[];
};

/* What a key is made of. */
struct key_form {
    struct slice  id, name, tier;
    const struct slice *scopes;
    size_t        n_scopes;        /* 1 … KEY_SCOPES_MAX, each checked (api_key_scope_check) */
    int64_t       created_s, expires_s;
    uint32_t      generation;
    struct slice  hint;
    const uint8_t *sha256, *old_sha256;      /* old: NULL, with old_until_s 0 */
    int64_t       old_until_s, used_s;
};

struct live_key *live_key_new(const struct key_form *form);      /* one reference; NULL: no memory */
struct live_key *live_key_ref(struct live_key *key);
void             live_key_unref(struct live_key *key);           /* NULL is fine */
/* The same key, to be given other values. Its slices point into `key` and into `scopes`, which has room for KEY_SCOPES_MAX. */
void             live_key_form(const struct live_key *key, struct slice *scopes, struct key_form *ret_form);

void live_key_print(const struct live_key *key, struct buf *out);                        /* its record */
int  live_key_read(struct slice id, struct slice record, struct live_key **ret_key);     /* 0, ERR_STORE_OPEN, ERR_MEMORY */

/* A fresh id; ERR_INTERNAL: the kernel has no randomness. */
int  key_id_make(int64_t now_ms, char ret_id[KEY_ID_TEXT]);
