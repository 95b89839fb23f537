#include "hub/idempotency.h"

#include "hub/base/err.h"
#include "hub/metrics.h"

#include <endian.h>
#include <openssl/evp.h>
#include <stdlib.h>

enum { CAP_FIRST = 64, AGE_SLICE = 256 };

/* ---- keys ---- */

int idempotency_key_check(struct slice key)
{
    bool good = key.len > 0 && key.len <= IDEMPOTENCY_KEY_MAX && key.at[0] != ' ' && key.at[key.len - 1] != ' ';
    for (size_t i = 0; i < key.len && good; i++)
        good = key.at[i] >= ' ' && key.at[i] <= '~';
    return good ? 0 : ERR_BAD_KEY;
}

/* The parts with their lengths, so that no two lists of parts are the same bytes. */
static bool digest(const struct slice *parts, size_t n, uint64_t ret[2])
{
    uint8_t out[EVP_MAX_MD_SIZE];
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool done = context && EVP_DigestInit_ex(context, EVP_sha256(), NULL);
    for (size_t i = 0; i < n && done; i++) {
        uint64_t len = htole64(parts[i].len);
        done = EVP_DigestUpdate(context, &len, sizeof len) && EVP_DigestUpdate(context, parts[i].at, parts[i].len);
    }
    done = done && EVP_DigestFinal_ex(context, out, NULL);
    EVP_MD_CTX_free(context);
    if (done)
        memcpy(ret, out, 2 * sizeof *ret);
    return done;
}

int idempotency_key_aim(struct slice scope, struct slice target, struct slice key, struct idempotency_key *ret)
{
    return digest((const struct slice[]){ scope, target, key }, 3, ret->id) ? 0 : ERR_MEMORY;
}

int idempotency_key_make(struct slice scope, struct slice target, struct slice key, const struct slice *content, size_t n_content,
                         struct idempotency_key *ret)
{
    struct idempotency_key made;
    if (idempotency_key_aim(scope, target, key, &made) || !digest(content, n_content, made.content))
        return ERR_MEMORY;
    *ret = made;
    return 0;
}

static bool same(const uint64_t a[2], const uint64_t b[2]) { return a[0] == b[0] && a[1] == b[1]; }

/* ---- index ---- */

static struct idempotency_record *record_at(const struct idempotency *table, size_t place) { return &table->records[place]; }
static size_t place_of(const struct idempotency *table, size_t i) { return (table->first + i) & (table->cap - 1); }
static size_t mask(const struct idempotency *table) { return 2 * table->cap - 1; }
static size_t home(const struct idempotency *table, const struct idempotency_record *record) { return record->key.id[0] & mask(table); }

static void enter(struct idempotency *table, size_t place)
{
    size_t slot = home(table, record_at(table, place));
    while (table->slots[slot])
        slot = (slot + 1) & mask(table);
    table->slots[slot] = (uint32_t)place + 1;
}

/* Linear probing without tombstones: what stands behind the hole moves into it, unless its home is behind the hole too. */
static void leave(struct idempotency *table, size_t place)
{
    size_t hole = home(table, record_at(table, place)), m = mask(table);
    while (table->slots[hole] != place + 1)
        hole = (hole + 1) & m;
    for (size_t slot = (hole + 1) & m; table->slots[slot]; slot = (slot + 1) & m) {
        size_t from_home = (slot - home(table, record_at(table, table->slots[slot] - 1))) & m;
        if (from_home < ((slot - hole) & m))
            continue;
        table->slots[hole] = table->slots[slot];
        hole = slot;
    }
    table->slots[hole] = 0;
}

/* A key whose time was over, and that was used again, stands twice until the first record is forgotten; should the clock be set back
 * meanwhile, both would be within their time. The newest counts. */
const struct idempotency_record *idempotency_find(const struct idempotency *table, const struct idempotency_key *key, int64_t since_ms)
{
    const struct idempotency_record *newest = NULL;
    if (table->n == 0)
        return NULL;
    for (size_t slot = key->id[0] & mask(table); table->slots[slot]; slot = (slot + 1) & mask(table)) {
        const struct idempotency_record *record = record_at(table, table->slots[slot] - 1);
        if (same(record->key.id, key->id) && record->time_ms >= since_ms && (!newest || newest->number < record->number))
            newest = record;
    }
    return newest;
}

/* ---- growing and shrinking ---- */

static bool grow(struct idempotency *table)
{
    size_t cap = table->cap ? 2 * table->cap : CAP_FIRST;
    struct idempotency_record *records = malloc(cap * sizeof *records);
    uint32_t *slots = calloc(2 * cap, sizeof *slots);
    if (!records || !slots) {
        free(records);
        free(slots);
        return false;
    }
    for (size_t i = 0; i < table->n; i++)
        records[i] = *record_at(table, place_of(table, i));
    free(table->records);
    free(table->slots);
    table->records = records;
    table->slots = slots;
    table->cap = cap;
    table->first = 0;
    for (size_t i = 0; i < table->n; i++)
        enter(table, i);
    return true;
}

static void release(struct idempotency *table)
{
    free(table->records);
    free(table->slots);
    table->records = NULL;
    table->slots = NULL;
    table->cap = table->first = table->n = 0;
}

static void forget_oldest(struct idempotency *table)
{
    leave(table, table->first);
    table->first = place_of(table, 1);
    table->n--;
    metric_add(METRIC_idempotency_keys, -1);
}

void idempotency_init(struct idempotency *table) { *table = (struct idempotency){ .next = 1 }; }

void idempotency_fini(struct idempotency *table)
{
    metric_add(METRIC_idempotency_keys, -(int64_t)table->n);
    release(table);
}

bool idempotency_room(struct idempotency *table) { return table->n < table->cap || grow(table); }

static void append(struct idempotency *table, const struct idempotency_record *record, size_t most)
{
    while (table->n >= most && table->n > 0) {
        forget_oldest(table);
        metric_add(METRIC_idempotency_early, 1);
    }
    size_t place = place_of(table, table->n++);
    table->records[place] = *record;
    enter(table, place);
    metric_add(METRIC_idempotency_keys, 1);
}

void idempotency_add(struct idempotency *table, struct idempotency_record *record, size_t most)
{
    record->number = table->next++;
    append(table, record, most);
}

void idempotency_take_back(struct idempotency *table, uint64_t epoch, uint64_t after_seq)
{
    while (table->n > 0) {
        size_t newest = place_of(table, table->n - 1);
        if (record_at(table, newest)->epoch != epoch || record_at(table, newest)->seq <= after_seq)
            return;
        leave(table, newest);
        table->n--;
        metric_add(METRIC_idempotency_keys, -1);
    }
}

int64_t idempotency_oldest_ms(const struct idempotency *table) { return table->n > 0 ? record_at(table, table->first)->time_ms : INT64_MAX; }

void idempotency_age(struct idempotency *table, int64_t since_ms)
{
    for (int i = 0; i < AGE_SLICE && table->n > 0 && record_at(table, table->first)->time_ms < since_ms; i++)
        forget_oldest(table);
    if (table->n == 0 && table->cap > CAP_FIRST)
        release(table);
}

int idempotency_restore(struct idempotency *table, const struct idempotency_record *record, int64_t since_ms, size_t most)
{
    table->next = record->number + 1;
    if (record->time_ms < since_ms)
        return 0;
    if (!idempotency_room(table))
        return ERR_MEMORY;
    append(table, record, most);
    return 0;
}

uint64_t idempotency_oldest(const struct idempotency *table)
{
    return table->n > 0 ? record_at(table, table->first)->number : table->next;
}
