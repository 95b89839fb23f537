#include "hub/access/key_table.h"

#include "hub/access/access.h"
#include "hub/base/chains.h"
#include "hub/base/err.h"
#include "hub/config/api_key.h"

#include <openssl/crypto.h>
#include <pthread.h>
#include <stdlib.h>

/* A secret that leads to a key: the present one, or the one before. */
struct secret {
    struct chain_link link;            /* first; by the first bytes of the digest */
    uint8_t           sha256[32];
    struct live_key  *key;             /* borrowed from the roll; NULL: not in force yet */
};

struct key_table {
    pthread_rwlock_t         lock;
    struct roll              roll;     /* of live_keys, a reference each */
    struct chains            secrets;
    size_t                   adding;   /* prepared, and not on the roll yet */
    const struct taken_back *taken_back;
};

struct key_table *key_table_new(const struct taken_back *taken_back)
{
    struct key_table *table = calloc(1, sizeof *table);
    if (!table || pthread_rwlock_init(&table->lock, NULL)) {
        free(table);
        return NULL;
    }
    table->taken_back = taken_back;
    return table;
}

static struct live_key *key_at(const struct roll *roll, size_t i) { return (struct live_key *)roll->at[i]; }

void key_table_free(struct key_table *table)
{
    if (!table)
        return;
    for (size_t i = 0; i < table->roll.n; i++)
        live_key_unref(key_at(&table->roll, i));
    for (size_t i = 0; i < table->secrets.n_heads; i++)
        for (struct chain_link *link = table->secrets.heads[i], *next; link; link = next) {
            next = link->next;
            free(link);
        }
    roll_fini(&table->roll);
    chains_fini(&table->secrets);
    pthread_rwlock_destroy(&table->lock);
    free(table);
}

/* ---- secrets: under the lock ---- */

/* A digest is as good as random, whoever chose the key. */
static uint64_t hash_of(const uint8_t sha256[32])
{
    uint64_t hash;
    memcpy(&hash, sha256, sizeof hash);
    return hash;
}

/* What is compared is compared whole: time tells nothing about how much of a digest is right. */
static struct secret *secret_find(const struct key_table *table, const uint8_t sha256[32])
{
    struct chain_link *link = chains_first(&table->secrets, hash_of(sha256));
    for (; link; link = chains_next(link))
        if (!CRYPTO_memcmp(((struct secret *)link)->sha256, sha256, 32))
            return (struct secret *)link;
    return NULL;
}

/* One that leads nowhere yet; NULL: no memory. */
static struct secret *secret_add(struct key_table *table, const uint8_t sha256[32])
{
    struct secret *secret = chains_reserve(&table->secrets, table->secrets.n + 1) ? NULL : calloc(1, sizeof *secret);
    if (!secret)
        return NULL;
    memcpy(secret->sha256, sha256, sizeof secret->sha256);
    chains_add(&table->secrets, &secret->link, hash_of(sha256));
    return secret;
}

static void secret_remove(struct key_table *table, struct secret *secret)
{
    chains_remove(&table->secrets, &secret->link);
    free(secret);
}

static bool leads_to(const struct live_key *key, const uint8_t sha256[32])
{
    return !CRYPTO_memcmp(key->key.sha256, sha256, 32) || (key->old_until_s && !CRYPTO_memcmp(key->old_sha256, sha256, 32));
}

/* Those of `before` that lead to `now` as well are turned to it, the others go. `now` NULL: all go. */
static void turn_secret(struct key_table *table, const uint8_t sha256[32], struct live_key *now)
{
    struct secret *secret = secret_find(table, sha256);
    if (secret && now && leads_to(now, sha256))
        secret->key = now;
    else if (secret)
        secret_remove(table, secret);
}

static void turn_secrets(struct key_table *table, const struct live_key *before, struct live_key *now)
{
    if (before) {
        turn_secret(table, before->key.sha256, now);
        if (before->old_until_s)
            turn_secret(table, before->old_sha256, now);
    }
    if (now) {
        turn_secret(table, now->key.sha256, now);
        if (now->old_until_s)
            turn_secret(table, now->old_sha256, now);
    }
}

/* ---- who may change what ---- */

bool scope_is_within(struct slice scope, const struct principal *p)
{
    const char *colon = scope.len > 0 ? memchr(scope.at, ':', scope.len) : NULL;
    struct slice name = slice(scope.at, colon ? (size_t)(colon - scope.at) : scope.len);
    struct slice pattern = colon ? slice(colon + 1, scope.len - name.len - 1) : slice("", 0);
    bool all = slice_is(name, SLICE("*"));
    for (int op = 0; op < ACCESS_OPS; op++)
        if ((all || slice_is(name, slice_of(access_op_names[op]))) && principal_may(p, (enum access_op)op, pattern))
            return false;
    return true;
}

bool key_is_within(const struct live_key *key, const struct principal *p)
{
    for (size_t i = 0; i < key->key.scopes.count; i++)
        if (!scope_is_within(slice_of(key->key.scopes.at[i]), p))
            return false;
    return true;
}

/* ---- changes ---- */

/* What a change has prepared. */
struct prepared {
    struct live_key *key;              /* as it will be, a reference; NULL: it goes */
    struct secret   *secret;           /* a new one, in the table and leading nowhere; or NULL */
    bool             adds;
};

static int prepare_add(struct key_table *table, const struct key_ask *ask, struct prepared *p)
{
    size_t n = table->roll.n + table->adding;
    if (n >= ask->most)
        return ERR_TOO_MANY_KEYS;
    if (roll_reserve(&table->roll, n + 1) || !(p->secret = secret_add(table, ask->key->key.sha256)))
        return ERR_MEMORY;
    p->key = live_key_ref(ask->key);
    p->adds = true;
    table->adding++;
    return 0;
}

static int prepare_rotate(struct key_table *table, const struct key_ask *ask, struct live_key *now, struct prepared *p)
{
    struct slice scopes[KEY_SCOPES_MAX];
    struct key_form form;
    if (now->expires_s <= ask->now_s)
        return ERR_KEY_EXPIRED;
    live_key_form(now, scopes, &form);
    form.sha256 = ask->sha256;
    form.hint = slice_of(ask->hint);
    form.generation++;
    form.old_sha256 = ask->old_until_s ? now->key.sha256 : NULL;
    form.old_until_s = ask->old_until_s;
    if (!(p->key = live_key_new(&form)))
        return ERR_MEMORY;
    if ((p->secret = secret_add(table, ask->sha256)))
        return 0;
    live_key_unref(p->key);
    return ERR_MEMORY;
}

/* The same key without its old secret, or just as it is: used_s is read when it is copied. */
static int prepare_copy(struct live_key *now, bool without_old, struct prepared *p)
{
    struct slice scopes[KEY_SCOPES_MAX];
    struct key_form form;
    live_key_form(now, scopes, &form);
    if (without_old) {
        form.old_sha256 = NULL;
        form.old_until_s = 0;
    }
    p->key = live_key_new(&form);
    return p->key ? 0 : ERR_MEMORY;
}

static bool is_worth_noting(const struct live_key *key)
{
    return atomic_load_explicit(&key->used_s, memory_order_relaxed) >= key->stored_s + KEY_USE_NOTED_S;
}

static int prepare_change(struct key_table *table, struct slice id, const struct key_ask *ask, struct prepared *p)
{
    struct live_key *now = (struct live_key *)roll_find(&table->roll, id);
    if (ask->change == KEY_ADD)
        return now ? ERR_INTERNAL : prepare_add(table, ask, p);
    if (!now)
        return ERR_NOT_FOUND;
    if (ask->by && !key_is_within(now, ask->by))
        return ERR_FORBIDDEN;
    switch (ask->change) {
    case KEY_ROTATE:   return prepare_rotate(table, ask, now, p);
    case KEY_DROP_OLD:      /* it may have been rotated before its turn came: that secret is another one */
        return now->old_until_s && ask->now_s >= now->old_until_s ? prepare_copy(now, true, p) : ERR_NOT_FOUND;
    case KEY_NOTE_USE:      /* another node may have noted as much */
        return is_worth_noting(now) ? prepare_copy(now, false, p) : ERR_NOT_FOUND;
    default:           return 0;
    }
}

int key_table_prepare(struct key_table *table, struct slice id, const struct key_ask *ask, struct buf *value, void **ret_prepared)
{
    struct prepared *p = calloc(1, sizeof *p);
    if (!p)
        return ERR_MEMORY;
    pthread_rwlock_wrlock(&table->lock);
    int err = prepare_change(table, id, ask, p);
    pthread_rwlock_unlock(&table->lock);
    if (err) {
        free(p);
        return err;
    }
    *ret_prepared = p;
    if (p->key)
        live_key_print(p->key, value);
    return 0;
}

static bool takes_back(enum key_change change) { return change == KEY_ROTATE || change == KEY_REMOVE || change == KEY_DROP_OLD; }

void key_table_apply(struct key_table *table, struct slice id, struct key_ask *ask, void *prepared)
{
    struct prepared *p = prepared;
    pthread_rwlock_wrlock(&table->lock);
    struct live_key *before = (struct live_key *)(p->key ? roll_put(&table->roll, &p->key->item) : roll_take(&table->roll, id));
    if (p->key && before)      /* it may have been used since it was copied */
        atomic_store(&p->key->used_s, atomic_load(&before->used_s));
    turn_secrets(table, before, p->key);
    table->adding -= p->adds;
    pthread_rwlock_unlock(&table->lock);
    if (ask->change == KEY_ROTATE)
        ask->ret_key = live_key_ref(p->key);
    live_key_unref(before);
    free(p);
    if (takes_back(ask->change))
        taken_back_tell(table->taken_back);
}

void key_table_abandon(struct key_table *table, void *prepared)
{
    struct prepared *p = prepared;
    pthread_rwlock_wrlock(&table->lock);
    if (p->secret)
        secret_remove(table, p->secret);
    table->adding -= p->adds;
    pthread_rwlock_unlock(&table->lock);
    live_key_unref(p->key);
    free(p);
}

/* A place for this secret, whether it is known already or not; what is prepared has its own. */
static bool secret_reserve(struct key_table *table, const uint8_t sha256[32])
{
    return secret_find(table, sha256) || secret_add(table, sha256);
}

static void secret_drop_unused(struct key_table *table, const uint8_t sha256[32])
{
    struct secret *secret = secret_find(table, sha256);
    if (secret && !secret->key)
        secret_remove(table, secret);
}

static int put_read(struct key_table *table, struct live_key *key, struct live_key **ret_before)
{
    if (roll_reserve(&table->roll, table->roll.n + table->adding + 1) || !secret_reserve(table, key->key.sha256))
        return ERR_MEMORY;
    if (key->old_until_s && !secret_reserve(table, key->old_sha256)) {
        secret_drop_unused(table, key->key.sha256);
        return ERR_MEMORY;
    }
    struct live_key *before = (struct live_key *)roll_put(&table->roll, &key->item);
    if (before && atomic_load(&before->used_s) > atomic_load(&key->used_s))      /* here, since that node noted it */
        atomic_store(&key->used_s, atomic_load(&before->used_s));
    turn_secrets(table, before, key);
    *ret_before = before;
    return 0;
}

int key_table_put(struct key_table *table, struct slice id, struct slice record)
{
    struct live_key *key, *before = NULL;
    int err = live_key_read(id, record, &key);
    if (err)
        return err;
    pthread_rwlock_wrlock(&table->lock);
    err = put_read(table, key, &before);
    pthread_rwlock_unlock(&table->lock);
    if (err)
        live_key_unref(key);
    else if (before && (before->generation != key->generation || before->old_until_s != key->old_until_s))
        taken_back_tell(table->taken_back);
    live_key_unref(before);
    return err;
}

void key_table_drop(struct key_table *table, struct slice id)
{
    pthread_rwlock_wrlock(&table->lock);
    struct live_key *before = (struct live_key *)roll_take(&table->roll, id);
    turn_secrets(table, before, NULL);
    pthread_rwlock_unlock(&table->lock);
    live_key_unref(before);
    if (before)
        taken_back_tell(table->taken_back);
}

bool key_table_print(struct key_table *table, struct slice id, struct buf *out)
{
    pthread_rwlock_rdlock(&table->lock);
    const struct live_key *key = (struct live_key *)roll_find(&table->roll, id);
    if (key)
        live_key_print(key, out);
    pthread_rwlock_unlock(&table->lock);
    return key != NULL;
}

/* ---- what time brings ---- */

static struct key_ask drop_old = { .change = KEY_DROP_OLD }, note_use = { .change = KEY_NOTE_USE }, remove_key = { .change = KEY_REMOVE };

static struct key_ask *due(const struct live_key *key, int64_t now_s)
{
    if (key->expires_s != INT64_MAX && now_s >= key->expires_s + KEY_KEPT_S)
        return &remove_key;
    if (key->old_until_s && now_s >= key->old_until_s)
        return &drop_old;
    return is_worth_noting(key) ? &note_use : NULL;
}

size_t key_table_due(struct key_table *table, int64_t now_s, struct key_due ret_due[KEYS_DUE_MAX])
{
    size_t n = 0;
    drop_old.now_s = now_s;
    pthread_rwlock_rdlock(&table->lock);
    for (size_t i = 0; i < table->roll.n && n < KEYS_DUE_MAX; i++)
        if ((ret_due[n].ask = due(key_at(&table->roll, i), now_s)))
            memcpy(ret_due[n++].id, table->roll.at[i]->id, sizeof ret_due[0].id);
    pthread_rwlock_unlock(&table->lock);
    return n;
}

/* ---- questions ---- */

static int check_secret(const struct secret *secret, int64_t now_s, struct live_key **ret_key, uint32_t *ret_generation,
                        int64_t *ret_until_s)
{
    struct live_key *key = secret ? secret->key : NULL;
    if (!key)
        return ERR_UNAUTHENTICATED;
    bool old = CRYPTO_memcmp(key->key.sha256, secret->sha256, 32) != 0;
    int64_t until_s = old && key->old_until_s < key->expires_s ? key->old_until_s : key->expires_s;
    if (now_s >= until_s)
        return ERR_KEY_EXPIRED;
    atomic_store_explicit(&key->used_s, now_s, memory_order_relaxed);
    *ret_key = live_key_ref(key);
    *ret_generation = key->generation - old;
    *ret_until_s = until_s;
    return 0;
}

int key_table_check(struct key_table *table, struct slice text, int64_t now_s, struct live_key **ret_key, uint32_t *ret_generation,
                    int64_t *ret_until_s)
{
    uint8_t sha256[32];
    int err = api_key_digest(text, sha256);
    if (err)
        return err;
    pthread_rwlock_rdlock(&table->lock);
    err = check_secret(secret_find(table, sha256), now_s, ret_key, ret_generation, ret_until_s);
    pthread_rwlock_unlock(&table->lock);
    return err;
}

static int admit(const struct live_key *key, uint32_t generation, int64_t now_s)
{
    if (!key || (generation != key->generation && (generation + 1 != key->generation || !key->old_until_s)))
        return ERR_KEY_REVOKED;
    bool expired = now_s >= key->expires_s || (generation != key->generation && now_s >= key->old_until_s);
    return expired ? ERR_KEY_EXPIRED : 0;
}

int key_table_admits(struct key_table *table, struct slice id, uint32_t generation, int64_t now_s)
{
    pthread_rwlock_rdlock(&table->lock);
    int err = admit((struct live_key *)roll_find(&table->roll, id), generation, now_s);
    pthread_rwlock_unlock(&table->lock);
    return err;
}

struct live_key *key_table_find(struct key_table *table, struct slice id)
{
    pthread_rwlock_rdlock(&table->lock);
    struct live_key *key = (struct live_key *)roll_find(&table->roll, id);
    if (key)
        live_key_ref(key);
    pthread_rwlock_unlock(&table->lock);
    return key;
}

size_t key_table_page(struct key_table *table, struct slice after, size_t most, struct live_key **ret_keys, bool *ret_more)
{
    size_t n = 0;
    pthread_rwlock_rdlock(&table->lock);
    size_t from = roll_after(&table->roll, after);
    for (; n < most && from + n < table->roll.n; n++)
        ret_keys[n] = live_key_ref(key_at(&table->roll, from + n));
    *ret_more = from + n < table->roll.n;
    pthread_rwlock_unlock(&table->lock);
    return n;
}
