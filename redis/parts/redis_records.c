#define HASH_NONFATAL_OOM 1      /* what finds no memory is left out of the table: hh.tbl is NULL */
#include "redis/parts/redis_records.h"

#include "hub/base/clock.h"
#include "hub/base/err.h"
#include "hub/base/hash.h"
#include "hub/base/log.h"
#include "redis/bus/redis_engine.h"
#include "redis/bus/redis_pack.h"

#include <stdio.h>
#include <stdlib.h>
#include <uthash.h>

enum { WORD_KIND = 'K', FIELD_MAX = 255, VERSION_BYTES = 8 };

/* A record, or the removal of one, as this node knows it. */
struct known {
    UT_hash_handle  hh;
    struct link     link;          /* in records->back */
    uint64_t        version;       /* 0: not yet */
    uint64_t        hash;          /* of its value */
    uint64_t        seen;          /* the reading that has found it */
    bool            gone;
    struct writing *writing;       /* a change of this node, under way */
    uint8_t         len;
    char            field[];       /* kind:key */
};

struct redis_records {
    struct redis_part               part;      /* first */
    struct redis_bus               *bus;
    const struct redis_records_ops *ops;
    void                           *owner;
    struct known                   *table;
    uint64_t                        highest;   /* newest version seen */
    uint64_t                        reading;   /* number of the reading that is under way, or was last */
    struct link                     back;      /* to be written back */
    unsigned                        n_back;    /* of those, under way */
    unsigned                        n_written; /* since it was told last */
    int64_t                         away_ms, read_ms;      /* since when it is away; when it was read last; mono clock */
    bool                            live, loading, loaded;
    bool                            wanted;    /* what was read, or told, has not all been taken in */
};

/* A change on its way. What comes about its record meanwhile waits: it was prepared on what is in force. */
struct writing {
    struct redis_request  request;
    struct redis_records *records;
    struct known         *known;
    struct record_call   *change;
    uint64_t              held_version;      /* 0: nothing has come */
    struct buf            held;
};

static int64_t now_ms(void) { return clock_mono_ms(clock_real()); }

static struct slice field_of(const struct known *known) { return slice(known->field, known->len); }

/* NULL: no memory. */
static struct known *known_get(struct redis_records *records, struct slice field)
{
    struct known *known;
    HASH_FIND(hh, records->table, field.at, field.len, known);
    if (known || field.len > FIELD_MAX || !(known = calloc(1, sizeof *known + field.len)))
        return known;
    memcpy(known->field, field.at, field.len);
    known->len = (uint8_t)field.len;
    link_init(&known->link);
    HASH_ADD_KEYPTR(hh, records->table, known->field, known->len, known);
    if (known->hh.tbl)
        return known;
    free(known);
    return NULL;
}

static void forget(struct redis_records *records, struct known *known)
{
    HASH_DEL(records->table, known);
    link_remove(&known->link);
    free(known);
}

static uint64_t version_read(const char *at)
{
    struct slice bytes = slice(at, VERSION_BYTES);
    uint64_t bits = take_u64(&bytes);
    double version;
    memcpy(&version, &bits, sizeof version);
    return version >= 1 && version <= 9007199254740992.0 ? (uint64_t)version : 0;
}

static void split(const struct known *known, struct slice *ret_kind, struct slice *ret_key)
{
    const char *colon = memchr(known->field, ':', known->len);
    size_t n = colon ? (size_t)(colon - known->field) : known->len;
    *ret_kind = slice(known->field, n);
    *ret_key = colon ? slice(colon + 1, known->len - n - 1) : slice("", 0);
}

/* ---- written back ---- */

struct back {
    struct redis_request  request;
    struct redis_records *records;
    uint64_t              version;
    struct buf            value;
    uint8_t               len;
    char                  field[];
};

static void add_word(struct redis_records *records, struct redis_args *args)
{
    redis_args_add(args, redis_bus_words(records->bus));
    redis_args_addf(args, "%c", WORD_KIND);
}

static void back_args(struct redis_request *request, struct redis_args *args)
{
    const struct back *back = (const struct back *)request;
    redis_args_add(args, redis_bus_prefix(back->records->bus));
    redis_args_add(args, slice(back->field, back->len));
    redis_args_add(args, SLICE("back"));
    redis_args_add_u64(args, back->version);
    redis_args_add(args, buf_slice(&back->value));
    add_word(back->records, args);
}

static void write_next_back(struct redis_records *records);

static void back_answered(struct redis_request *request, int err, const struct redisReply *reply)
{
    struct back *back = (struct back *)request;
    struct redis_records *records = back->records;
    records->n_back--;
    records->wanted |= err != 0;
    records->n_written += !err && slice_is(redis_reply_word(reply, 0), SLICE("ok"));
    buf_fini(&back->value);
    free(back);
    write_next_back(records);
}

static int send_back(struct redis_records *records, const struct known *known)
{
    struct slice kind, key;
    struct back *back = calloc(1, sizeof *back + known->len);
    if (!back)
        return ERR_MEMORY;
    back->request = (struct redis_request){ .script = REDIS_RECORD, .args = back_args, .answered = back_answered };
    back->records = records;
    back->version = known->version;
    back->len = known->len;
    memcpy(back->field, known->field, known->len);
    split(known, &kind, &key);
    bool knows = known->gone || records->ops->print(records->owner, kind, key, &back->value);
    int err = !knows ? 0 : back->value.failed ? ERR_MEMORY : redis_engine_run(redis_bus_engine(records->bus), &back->request);
    if (knows && !err) {
        records->n_back++;
        return 0;
    }
    buf_fini(&back->value);
    free(back);
    return err;
}

static void write_next_back(struct redis_records *records)
{
    struct link *first;
    while (records->n_back < REDIS_BACK_AT_ONCE && (first = list_first(&records->back))) {
        link_remove(first);
        records->wanted |= send_back(records, link_of(first, struct known, link)) != 0;
    }
    if (records->n_back > 0 || records->n_written == 0)
        return;
    log_warn("redis", "%u records (keys, revocations) were not in Redis any more, or older there: they were written back", records->n_written);
    records->n_written = 0;
}

static void write_back(struct redis_records *records, struct known *known)
{
    list_add_last(&records->back, &known->link);
    write_next_back(records);
}

/* ---- taken in ---- */

static void note(struct redis_records *records, struct known *known, uint64_t version, struct slice value)
{
    known->version = version;
    known->hash = hash_bytes(value);
    known->gone = value.len == 0;
    known->seen = records->reading;
    if (version > records->highest)
        records->highest = version;
}

static void put(struct redis_records *records, struct known *known, uint64_t version, struct slice value)
{
    struct slice kind, key;
    split(known, &kind, &key);
    int err = records->ops->put(records->owner, kind, key, value);
    if (err == ERR_MEMORY) {
        records->wanted = true;
        return;
    }
    if (err)      /* of a newer version of the hub, or of nobody: it stays where it is */
        log_warn("redis", "record %.*s is not for this version, and is left alone", (int)known->len, known->field);
    note(records, known, version, value);
}

static void hold(struct writing *writing, uint64_t version, struct slice value)
{
    if (version <= writing->held_version)
        return;
    writing->held_version = version;
    buf_reset(&writing->held);
    buf_add_slice(&writing->held, value);
}

static void take_in(struct redis_records *records, struct slice field, uint64_t version, struct slice value)
{
    struct known *known = known_get(records, field);
    if (!known) {
        records->wanted = true;
        return;
    }
    known->seen = records->reading;
    if (known->writing)
        hold(known->writing, version, value);
    else if (version < known->version)
        write_back(records, known);
    else if (version > known->version || known->hash != hash_bytes(value))
        put(records, known, version, value);
}

static void on_word(struct redis_part *part, struct slice word)
{
    size_t len = word.len > VERSION_BYTES ? (uint8_t)word.at[VERSION_BYTES] : 0;
    if (len == 0 || word.len < VERSION_BYTES + 1 + len)
        return;
    uint64_t version = version_read(word.at);
    const char *field = word.at + VERSION_BYTES + 1;
    if (version > 0)
        take_in((struct redis_records *)part, slice(field, len), version, slice(field + len, word.len - VERSION_BYTES - 1 - len));
}

/* ---- changes of this node ---- */

static void writing_args(struct redis_request *request, struct redis_args *args)
{
    const struct writing *writing = (const struct writing *)request;
    const struct record_call *change = writing->change;
    redis_args_add(args, redis_bus_prefix(writing->records->bus));
    redis_args_add(args, field_of(writing->known));
    redis_args_add_u64(args, writing->known->version);
    redis_args_add_u64(args, writing->records->highest);
    redis_args_add(args, change->remove ? slice("", 0) : buf_slice(&change->value));
    add_word(writing->records, args);
}

static void take_held(struct redis_records *records, const struct known *known, uint64_t version, const struct buf *held)
{
    if (held->failed)
        records->wanted = true;
    else if (version > 0)
        take_in(records, field_of(known), version, buf_slice(held));
}

static void writing_answered(struct redis_request *request, int err, const struct redisReply *reply)
{
    struct writing *writing = (struct writing *)request;
    struct redis_records *records = writing->records;
    struct known *known = writing->known;
    struct record_call *change = writing->change;
    uint64_t version = err ? 0 : redis_reply_number(reply, 1);
    known->writing = NULL;
    if (err) {
        records->ops->recorded(records->owner, change, err);
    } else if (slice_is(redis_reply_word(reply, 0), SLICE("ok"))) {
        note(records, known, version, change->remove ? slice("", 0) : buf_slice(&change->value));
        records->ops->recorded(records->owner, change, 0);
    } else {
        records->ops->undo(records->owner, change);
        take_in(records, field_of(known), version, redis_reply_word(reply, 2));
        take_held(records, known, writing->held_version, &writing->held);
        writing->held_version = 0;
        records->ops->redo(records->owner, change);
    }
    take_held(records, known, writing->held_version, &writing->held);
    buf_fini(&writing->held);
    free(writing);
}

static int send_change(struct redis_records *records, struct record_call *change)
{
    char field[FIELD_MAX + 1];
    struct slice kind = record_kind_name(change->kind);
    int len = snprintf(field, sizeof field, "%.*s:%.*s", (int)kind.len, kind.at, (int)change->key.len, change->key.at);
    if (!records->live || !records->loaded)
        return ERR_REDIS_AWAY;
    struct known *known = len < (int)sizeof field ? known_get(records, slice(field, (size_t)len)) : NULL;
    struct writing *writing = known ? calloc(1, sizeof *writing) : NULL;
    if (!writing)
        return ERR_MEMORY;
    writing->request = (struct redis_request){ .script = REDIS_RECORD, .args = writing_args, .answered = writing_answered };
    writing->records = records;
    writing->known = known;
    writing->change = change;
    int err = redis_engine_run(redis_bus_engine(records->bus), &writing->request);
    if (err)
        free(writing);
    else
        known->writing = writing;
    return err;
}

void redis_records_change(struct redis_records *records, struct record_call *change)
{
    int err = send_change(records, change);
    if (err)
        records->ops->recorded(records->owner, change, err);
}

/* ---- everything is read ---- */

struct page {
    struct redis_request  request;
    struct redis_records *records;
    uint64_t              reading;
    char                  cursor[24];
};

static void page_args(struct redis_request *request, struct redis_args *args)
{
    const struct page *page = (const struct page *)request;
    redis_args_add(args, redis_bus_prefix(page->records->bus));
    redis_args_add(args, slice_of(page->cursor));
    redis_args_add_u64(args, REDIS_RECORDS_PAGE);
    redis_args_add_u64(args, REDIS_GONE_MS);
}

/* What no page had: Redis has lost it; or it was removed so long ago that only those who stayed knew. */
static void settle_unseen(struct redis_records *records, bool was_away_long)
{
    struct known *known, *next;
    uint64_t wall_ms = (uint64_t)clock_wall_ms(clock_real());
    HASH_ITER (hh, records->table, known, next) {
        if (known->seen == records->reading || known->writing)
            continue;
        if (known->gone || known->version == 0) {
            if (known->version + REDIS_GONE_MS < wall_ms)
                forget(records, known);
        } else if (was_away_long) {
            put(records, known, known->version, slice("", 0));
        } else {
            write_back(records, known);
        }
    }
}

static void end_reading(struct redis_records *records)
{
    int64_t away_ms = records->away_ms ? now_ms() - records->away_ms : 0;
    records->loading = false;
    records->away_ms = 0;
    records->read_ms = now_ms();
    settle_unseen(records, away_ms > REDIS_GONE_MS);
    if (records->loaded || records->wanted)
        return;
    records->loaded = true;
    records->ops->loaded(records->owner);
}

static void read_page(struct redis_records *records, struct slice cursor);

static void page_answered(struct redis_request *request, int err, const struct redisReply *reply)
{
    struct page *page = (struct page *)request;
    struct redis_records *records = page->records;
    bool stale = page->reading != records->reading || !records->loading;
    struct slice cursor = err ? slice("", 0) : redis_reply_word(reply, 0);
    free(page);
    if (stale)
        return;
    if (cursor.len == 0) {
        records->loading = false;
        records->wanted = true;
        return;
    }
    for (size_t i = 1; i + 1 < reply->elements; i += 2) {
        struct slice packed = redis_reply_word(reply, i + 1);
        uint64_t version = packed.len >= VERSION_BYTES ? version_read(packed.at) : 0;
        if (version > 0)
            take_in(records, redis_reply_word(reply, i), version, slice(packed.at + VERSION_BYTES, packed.len - VERSION_BYTES));
    }
    if (slice_is(cursor, SLICE("0")))
        end_reading(records);
    else
        read_page(records, cursor);
}

static void read_page(struct redis_records *records, struct slice cursor)
{
    struct page *page = calloc(1, sizeof *page);
    int err = ERR_MEMORY;
    if (page) {
        page->request = (struct redis_request){ .script = REDIS_RECORDS, .args = page_args, .answered = page_answered };
        page->records = records;
        page->reading = records->reading;
        snprintf(page->cursor, sizeof page->cursor, "%.*s", (int)cursor.len, cursor.at);
        err = redis_engine_run(redis_bus_engine(records->bus), &page->request);
    }
    if (!err)
        return;
    free(page);
    records->loading = false;
    records->wanted = true;
}

static void read_all(struct redis_records *records)
{
    records->reading++;
    records->loading = true;
    records->wanted = false;
    read_page(records, SLICE("0"));
}

/* ---- its life ---- */

static void on_live(struct redis_part *part, bool is_new)
{
    struct redis_records *records = (struct redis_records *)part;
    (void)is_new;
    records->live = true;
    read_all(records);
}

static void on_away(struct redis_part *part)
{
    struct redis_records *records = (struct redis_records *)part;
    records->live = records->loading = false;
    if (!records->away_ms)
        records->away_ms = now_ms();
}

static void on_tick(struct redis_part *part)
{
    struct redis_records *records = (struct redis_records *)part;
    if (!records->loading && (records->wanted || now_ms() - records->read_ms > REDIS_RECORDS_AGAIN_MS))
        read_all(records);
}

struct redis_records *redis_records_new(struct redis_bus *bus, const struct redis_records_ops *ops, void *owner)
{
    struct redis_records *records = calloc(1, sizeof *records);
    if (!records)
        return NULL;
    records->part = (struct redis_part){ .kind = WORD_KIND, .live = on_live, .away = on_away, .tick = on_tick, .word = on_word };
    records->bus = bus;
    records->ops = ops;
    records->owner = owner;
    link_init(&records->back);
    redis_bus_add(bus, &records->part);
    return records;
}

void redis_records_free(struct redis_records *records)
{
    struct known *known, *next;
    if (!records)
        return;
    HASH_ITER (hh, records->table, known, next)
        forget(records, known);
    free(records);
}
