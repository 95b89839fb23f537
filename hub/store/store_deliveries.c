#include "hub/store/store_deliveries.h"

#include "hub/base/err.h"
#include "hub/base/grow.h"
#include "hub/store/store_block.h"

#include <stdlib.h>

enum { TRIM_SLICE = 128, COUNT_SLICE = 4096 };      /* events looked at with a transaction that trims, that counts */
enum { PENDING_SLICE = 4096 };                      /* deliveries looked at likewise, for the oldest that is pending */
enum { EVENT_COST = 64, DELIVERY_COST = 64 };       /* what a row takes beside the message and the attempts, its places in indexes included: measured */

#define COLUMNS "d.number, d.endpoint, d.lane, d.status, d.tries, d.due, d.settled, d.attempts, e.type, e.time, e.channel, e.name, e.epoch"
#define FILTERS "(?2 = 0 OR d.endpoint = ?2) AND (?3 = 0 OR (?3 >> d.status) & 1) AND (?4 = '' OR e.channel = ?4)" \
                " AND (?5 = 0 OR e.time >= ?5) AND (?6 = 0 OR e.time <= ?6)"

const char store_deliveries_schema[] =
    "CREATE TABLE events (number INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, type INTEGER NOT NULL, time INTEGER NOT NULL, channel TEXT NOT NULL, name TEXT NOT NULL,"
    " bytes INTEGER NOT NULL, message BLOB NOT NULL) STRICT;"
    "CREATE TABLE deliveries (number INTEGER PRIMARY KEY, endpoint INTEGER NOT NULL, status INTEGER NOT NULL, due INTEGER NOT NULL,"
    " lane INTEGER NOT NULL, tries INTEGER NOT NULL, settled INTEGER NOT NULL, attempts BLOB NOT NULL) STRICT;"
    "CREATE INDEX deliveries_due ON deliveries (endpoint, due) WHERE status = 0;"
    "CREATE INDEX deliveries_lane ON deliveries (endpoint, lane) WHERE status = 0 AND lane <> 0;"
    "CREATE INDEX deliveries_dead ON deliveries (endpoint) WHERE status = 2;"
    "CREATE INDEX deliveries_dead_all ON deliveries (status) WHERE status = 2;";

enum statement {
    ADD_EVENT, ADD, ATTEMPTS, SETTLE, REMOVE, PROMOTE, OLDEST_EVENTS, LIVES, DROP, DROP_EVENT, NEWEST_EVENT, COUNT_EVENTS, COUNT_ATTEMPTS, FROM, FIRST_DEAD, TIME,
    READS, DUE = READS, NEXT_DUE, OLDEST, NEWEST, OLDEST_DEAD, NEWEST_DEAD, NEWEST_DEAD_ALL, ONE, COUNTS, MESSAGE, EVENT, STATEMENTS
};

static const char *const sql[STATEMENTS] = {
    [ADD_EVENT] = "INSERT INTO events VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    /* In a lane in which others wait it is due when they are settled. */
    [ADD] = "INSERT INTO deliveries VALUES (?1, ?2, ?3, CASE WHEN ?5 <> 0 AND ?3 = 0 AND EXISTS (SELECT 1 FROM deliveries WHERE endpoint = ?2"
            " AND lane = ?5 AND status = 0 AND lane <> 0) THEN 9223372036854775807 ELSE ?4 END, ?5, 0, 0, x'')",
    [ATTEMPTS] = "SELECT length(attempts) FROM deliveries WHERE number = ?1",
    [SETTLE] = "UPDATE deliveries SET status = ?2, due = ?3, tries = ?4, settled = ?5, attempts = coalesce(?6, attempts) WHERE number = ?1"
               " AND (?7 = 0 OR (?7 >> status) & 1)",
    [REMOVE] = "DELETE FROM deliveries WHERE number = ?1 AND (?2 = 0 OR (?2 >> status) & 1)",
    /* Nobody of the lane is due: the first one is, from now on. */
    [PROMOTE] = "UPDATE deliveries SET due = ?3 WHERE number = (SELECT min(number) FROM deliveries WHERE endpoint = ?1 AND lane = ?2 AND status = 0"
                " AND lane <> 0) AND due = 9223372036854775807 AND NOT EXISTS (SELECT 1 FROM deliveries WHERE endpoint = ?1 AND lane = ?2"
                " AND status = 0 AND lane <> 0 AND due < 9223372036854775807)",
    [OLDEST_EVENTS] = "SELECT number, time, bytes FROM events WHERE number > ?1 ORDER BY number LIMIT ?2",
    [LIVES] = "SELECT coalesce(sum(status = 0), 0), coalesce(sum(status = 2), 0), count(*), coalesce(sum(length(attempts)), 0) FROM deliveries WHERE number >= ?1 << 8 AND number < (?1 + 1) << 8",
    [DROP] = "DELETE FROM deliveries WHERE number >= ?1 << 8 AND number < (?1 + 1) << 8",
    [DROP_EVENT] = "DELETE FROM events WHERE number = ?1",
    [NEWEST_EVENT] = "SELECT max(number) FROM events",
    [COUNT_EVENTS] = "SELECT max(number), sum(bytes), count(*) FROM (SELECT number, bytes FROM events WHERE number > ?1 AND number <= ?2 ORDER BY number LIMIT ?3)",
    [COUNT_ATTEMPTS] = "SELECT coalesce(sum(length(attempts)), 0), count(*) FROM deliveries WHERE number >= (?1 + 1) << 8 AND number < (?2 + 1) << 8",
    [FROM] = "SELECT number, status FROM deliveries NOT INDEXED WHERE number >= ?1 ORDER BY number LIMIT ?2",
    [FIRST_DEAD] = "SELECT min(number) FROM deliveries INDEXED BY deliveries_dead_all WHERE status = 2",
    [TIME] = "SELECT time FROM events WHERE number = ?1",
    [DUE] = "SELECT " COLUMNS ", e.message FROM deliveries d JOIN events e ON e.number = d.number >> 8 WHERE d.status = 0 AND d.endpoint = ?1"
            " AND (d.due, d.number) > (?2, ?3) AND d.due <= ?4 ORDER BY d.due, d.number LIMIT ?5",
    [NEXT_DUE] = "SELECT due FROM deliveries WHERE status = 0 AND endpoint = ?1 AND due > ?2 ORDER BY due LIMIT 1",
    [OLDEST] = "SELECT " COLUMNS ", " FILTERS " FROM deliveries d JOIN events e ON e.number = d.number >> 8 WHERE d.number > ?1 AND d.number < ?7"
               " ORDER BY d.number LIMIT ?8",
    [NEWEST] = "SELECT " COLUMNS ", " FILTERS " FROM deliveries d JOIN events e ON e.number = d.number >> 8 WHERE d.number < ?1 AND d.number >= ?7"
               " ORDER BY d.number DESC LIMIT ?8",
    [OLDEST_DEAD] = "SELECT " COLUMNS ", " FILTERS " FROM deliveries d JOIN events e ON e.number = d.number >> 8 WHERE d.status = 2 AND d.endpoint = ?2"
                    " AND d.number > ?1 AND d.number < ?7 ORDER BY d.number LIMIT ?8",
    [NEWEST_DEAD] = "SELECT " COLUMNS ", " FILTERS " FROM deliveries d JOIN events e ON e.number = d.number >> 8 WHERE d.status = 2 AND d.endpoint = ?2"
                    " AND d.number < ?1 AND d.number >= ?7 ORDER BY d.number DESC LIMIT ?8",
    [NEWEST_DEAD_ALL] = "SELECT " COLUMNS ", " FILTERS " FROM deliveries d INDEXED BY deliveries_dead_all JOIN events e ON e.number = d.number >> 8"
                        " WHERE d.status = 2 AND d.number < ?1 AND d.number >= ?7 ORDER BY d.number DESC LIMIT ?8",
    [ONE] = "SELECT " COLUMNS ", 1 FROM deliveries d JOIN events e ON e.number = d.number >> 8 WHERE d.number = ?1",
    [COUNTS] = "SELECT endpoint, 0, count(*) FROM deliveries WHERE status = 0 GROUP BY endpoint UNION ALL"
               " SELECT endpoint, 2, count(*) FROM deliveries WHERE status = 2 GROUP BY endpoint",
    [MESSAGE] = "SELECT message FROM events WHERE number = ?1",
    [EVENT] = "SELECT message, epoch, type FROM events WHERE number = ?1",
};
enum { COLUMN_LAST = 13 };      /* what stands behind COLUMNS */

struct store_deliveries {
    sqlite3      *conn;
    sqlite3_stmt *statements[STATEMENTS];
    uint64_t      bytes, then_bytes;      /* of all events and deliveries but those to be counted: committed; with the open transaction */
    uint64_t      count_after, count_to;  /* events of earlier runs that are still to be counted: between these numbers; equal: none */
    uint64_t      over, then_over;        /* deliveries below this number are not pending: committed; with the open transaction */
    uint64_t      trim_after;             /* events up to here were looked at in this round of trimming */
    bool          takes_dead;             /* the round before has not made room enough */
    struct buf    message;                /* scratch */
};

static bool run(struct store_deliveries *s, enum statement which)
{
    sqlite3_step(s->statements[which]);
    return sqlite3_reset(s->statements[which]) == SQLITE_OK;
}

static sqlite3_stmt *with_number(struct store_deliveries *s, enum statement which, uint64_t number)
{
    store_sql_bind_u64(s->statements[which], 1, number);
    return s->statements[which];
}

/* The one number that it answers; without a row, or NULL, 0. */
static bool ask_number(struct store_deliveries *s, enum statement which, uint64_t *ret_number)
{
    int rc = sqlite3_step(s->statements[which]);
    *ret_number = rc == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(s->statements[which], 0) : 0;
    return sqlite3_reset(s->statements[which]) == SQLITE_OK && (rc == SQLITE_ROW || rc == SQLITE_DONE);
}

struct store_deliveries *store_deliveries_open(sqlite3 *conn)
{
    struct store_deliveries *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->conn = conn;
    bool done = true;
    for (int i = 0; i < STATEMENTS && done; i++)
        done = sqlite3_prepare_v3(conn, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &s->statements[i], NULL) == SQLITE_OK;
    if (!done || !ask_number(s, NEWEST_EVENT, &s->count_to)) {
        store_deliveries_close(s);
        return NULL;
    }
    return s;
}

void store_deliveries_close(struct store_deliveries *s)
{
    if (!s)
        return;
    for (int i = 0; i < STATEMENTS; i++)
        sqlite3_finalize(s->statements[i]);
    buf_fini(&s->message);
    free(s);
}

void store_deliveries_begin(struct store_deliveries *s)
{
    s->then_bytes = s->bytes;
    s->then_over = s->over;
}

void store_deliveries_committed(struct store_deliveries *s)
{
    s->bytes = s->then_bytes;
    s->over = s->then_over;
}

/* ---- events ---- */

static bool add_target(struct store_deliveries *s, const struct hub_event *event, size_t i)
{
    sqlite3_stmt *stmt = with_number(s, ADD, delivery_number(event->msg->seq, i));
    const struct event_target *target = &event->targets[i];
    return store_sql_bind_u64(stmt, 2, target->endpoint) && store_sql_bind_u64(stmt, 3, target->is_over ? DELIVERY_DEAD : DELIVERY_PENDING) &&
           store_sql_bind_u64(stmt, 4, (uint64_t)event->msg->time_ms) && store_sql_bind_u64(stmt, 5, target->lane) && run(s, ADD);
}

static bool add_event(struct store_deliveries *s, const struct hub_event *event, const char **ret_fault)
{
    const struct msg *m = event->msg;
    buf_reset(&s->message);
    store_block_add(&s->message, m);
    if (s->message.failed) {
        *ret_fault = "out of memory";
        return false;
    }
    sqlite3_stmt *stmt = with_number(s, ADD_EVENT, m->seq);
    bool done = store_sql_bind_u64(stmt, 2, m->epoch) && store_sql_bind_u64(stmt, 3, event_type_write((enum event_type)event->type)) &&
                store_sql_bind_u64(stmt, 4, (uint64_t)m->time_ms) && store_sql_bind_text(stmt, 5, msg_channel(m)) &&
                store_sql_bind_text(stmt, 6, msg_event(m)) && store_sql_bind_u64(stmt, 7, s->message.len) &&
                store_sql_bind_blob(stmt, 8, buf_slice(&s->message)) && run(s, ADD_EVENT);
    for (size_t i = 0; i < event->n_targets && done; i++)
        done = add_target(s, event, i);
    s->then_bytes += s->message.len + EVENT_COST + event->n_targets * (uint64_t)DELIVERY_COST;
    return done;
}

/* ---- settling ---- */

static bool promote(struct store_deliveries *s, const struct settlement *settled, size_t *n_promoted)
{
    sqlite3_stmt *stmt = with_number(s, PROMOTE, settled->endpoint);
    bool done = store_sql_bind_u64(stmt, 2, settled->lane) && store_sql_bind_u64(stmt, 3, (uint64_t)settled->settled_ms) && run(s, PROMOTE);
    *n_promoted += done ? (size_t)sqlite3_changes(s->conn) : 0;
    return done;
}

/* What was counted in a transaction that failed may have been another number. */
static void take_bytes(struct store_deliveries *s, uint64_t bytes) { s->then_bytes -= bytes < s->then_bytes ? bytes : s->then_bytes; }

/* It stands so now: what that changes in bytes, and in which is the oldest that is pending. */
static void account(struct store_deliveries *s, const struct settlement *settled, uint64_t attempts_before)
{
    uint64_t event = delivery_event(settled->number);
    bool is_counted = event <= s->count_after || event > s->count_to;
    if (is_counted && settled->status == DELIVERY_REMOVED)
        take_bytes(s, attempts_before + DELIVERY_COST);
    else if (is_counted && settled->attempts.at) {
        take_bytes(s, attempts_before);
        s->then_bytes += settled->attempts.len;
    }
    if (settled->status == DELIVERY_PENDING && settled->number < s->then_over)
        s->then_over = settled->number;
}

static bool settle(struct store_deliveries *s, struct settlement *settled, size_t *n_promoted)
{
    enum statement which = settled->status == DELIVERY_REMOVED ? REMOVE : SETTLE;
    uint64_t attempts = 0;
    with_number(s, ATTEMPTS, settled->number);
    bool done = ask_number(s, ATTEMPTS, &attempts);
    sqlite3_stmt *stmt = with_number(s, which, settled->number);
    done = done && store_sql_bind_u64(stmt, which == SETTLE ? 7 : 2, settled->only_from);
    if (which == SETTLE)
        done = done && store_sql_bind_u64(stmt, 2, settled->status) && store_sql_bind_u64(stmt, 3, (uint64_t)settled->due_ms) &&
               store_sql_bind_u64(stmt, 4, settled->tries) && store_sql_bind_u64(stmt, 5, (uint64_t)settled->settled_ms) &&
               (settled->attempts.at ? store_sql_bind_blob(stmt, 6, settled->attempts) : sqlite3_bind_null(stmt, 6) == SQLITE_OK);
    done = done && run(s, which);
    settled->done = done && sqlite3_changes(s->conn) > 0;
    if (settled->done)
        account(s, settled, attempts);
    return done && (settled->lane == 0 || promote(s, settled, n_promoted));
}

/* ---- what is kept no longer ---- */

static bool drop(struct store_deliveries *s, uint64_t event, uint64_t bytes)
{
    take_bytes(s, bytes);
    with_number(s, DROP, event);
    with_number(s, DROP_EVENT, event);
    return run(s, DROP) && run(s, DROP_EVENT);
}

static bool may_go(const struct store_deliveries *s, const struct delivery_limits *limits, int64_t time_ms, uint64_t dead)
{
    bool is_over = s->then_bytes > limits->max_bytes;
    return dead == 0 ? is_over || time_ms < limits->delivered_before_ms : (is_over && s->takes_dead) || time_ms < limits->dead_before_ms;
}

struct oldest { uint64_t number, bytes; int64_t time_ms; };

static size_t oldest_events(struct store_deliveries *s, struct oldest found[TRIM_SLICE])
{
    sqlite3_stmt *stmt = with_number(s, OLDEST_EVENTS, s->trim_after);
    store_sql_bind_u64(stmt, 2, TRIM_SLICE);
    size_t n = 0;
    while (n < TRIM_SLICE && sqlite3_step(stmt) == SQLITE_ROW)
        found[n++] = (struct oldest){ (uint64_t)sqlite3_column_int64(stmt, 0), (uint64_t)sqlite3_column_int64(stmt, 2), sqlite3_column_int64(stmt, 1) };
    sqlite3_reset(stmt);
    return n;
}

static bool trim_one(struct store_deliveries *s, const struct oldest *event, struct trim_call *call)
{
    sqlite3_stmt *lives = with_number(s, LIVES, event->number);
    if (sqlite3_step(lives) != SQLITE_ROW)
        return sqlite3_reset(lives) == SQLITE_OK;
    uint64_t pending = (uint64_t)sqlite3_column_int64(lives, 0), dead = (uint64_t)sqlite3_column_int64(lives, 1);
    uint64_t bytes = event->bytes + EVENT_COST + (uint64_t)sqlite3_column_int64(lives, 2) * DELIVERY_COST + (uint64_t)sqlite3_column_int64(lives, 3);
    sqlite3_reset(lives);
    s->trim_after = event->number;
    if (pending > 0 || !may_go(s, &call->limits, event->time_ms, dead)) {
        call->stays++;
        return true;
    }
    call->dead_dropped += dead;
    return drop(s, event->number, bytes);
}

/* Of the events above count_after up to `upto`: what their rows take, and what their deliveries do. */
static bool count_upto(struct store_deliveries *s, uint64_t upto, uint64_t event_bytes)
{
    sqlite3_stmt *stmt = with_number(s, COUNT_ATTEMPTS, s->count_after);
    store_sql_bind_u64(stmt, 2, upto);
    if (sqlite3_step(stmt) == SQLITE_ROW) {
        uint64_t bytes = event_bytes + (uint64_t)sqlite3_column_int64(stmt, 0) + (uint64_t)sqlite3_column_int64(stmt, 1) * DELIVERY_COST;
        s->bytes += bytes;
        s->then_bytes += bytes;
        s->count_after = upto;
    }
    return sqlite3_reset(stmt) == SQLITE_OK;
}

/* What earlier runs have left is counted here, and not when the store is opened, where a million events would be waited for. Nothing has gone before. */
static bool count_some(struct store_deliveries *s)
{
    sqlite3_stmt *stmt = with_number(s, COUNT_EVENTS, s->count_after);
    store_sql_bind_u64(stmt, 2, s->count_to);
    store_sql_bind_u64(stmt, 3, COUNT_SLICE);
    bool found = sqlite3_step(stmt) == SQLITE_ROW;
    uint64_t last = (uint64_t)sqlite3_column_int64(stmt, 0), bytes = (uint64_t)sqlite3_column_int64(stmt, 1), n = (uint64_t)sqlite3_column_int64(stmt, 2);
    return sqlite3_reset(stmt) == SQLITE_OK && found && count_upto(s, n < COUNT_SLICE ? s->count_to : last, bytes + n * EVENT_COST);
}

/* A round goes from the oldest event to the first that is young enough, however many transactions that takes. */
static bool trim(struct store_deliveries *s, struct trim_call *call)
{
    const struct delivery_limits *limits = &call->limits;
    int64_t young_ms = limits->delivered_before_ms > limits->dead_before_ms ? limits->delivered_before_ms : limits->dead_before_ms;
    struct oldest found[TRIM_SLICE];
    call->dead_dropped = call->stays = 0;
    call->more = true;
    if (s->count_after < s->count_to)
        return count_some(s);
    size_t n = oldest_events(s, found), i = 0;
    for (; i < n && (found[i].time_ms < young_ms || s->then_bytes > limits->max_bytes); i++)
        if (!trim_one(s, &found[i], call))
            return false;
    call->more = i == TRIM_SLICE;
    if (!call->more) {
        bool over = s->then_bytes > limits->max_bytes;
        call->more = over && !s->takes_dead;      /* once more, and dead letters too */
        s->takes_dead = over;
        s->trim_after = 0;
    }
    return true;
}

/* ---- how long the oldest have waited ---- */

static bool event_time(struct store_deliveries *s, uint64_t delivery, int64_t *ret_ms)
{
    uint64_t ms;
    with_number(s, TIME, delivery_event(delivery));
    bool done = ask_number(s, TIME, &ms);
    *ret_ms = (int64_t)ms;
    return done;
}

/* An index of the pending ones by number would cost every delivery two writes; instead each is passed once, when it is over. */
static bool find_pending(struct store_deliveries *s, uint64_t *ret_number, bool *ret_more)
{
    sqlite3_stmt *stmt = with_number(s, FROM, s->then_over);
    int left = PENDING_SLICE;
    *ret_number = 0;
    store_sql_bind_u64(stmt, 2, PENDING_SLICE);
    for (; !*ret_number && sqlite3_step(stmt) == SQLITE_ROW; left--) {
        uint64_t number = (uint64_t)sqlite3_column_int64(stmt, 0);
        *ret_number = sqlite3_column_int(stmt, 1) == DELIVERY_PENDING ? number : 0;
        s->then_over = *ret_number ? number : number + 1;
    }
    *ret_more = !*ret_number && left == 0;
    return sqlite3_reset(stmt) == SQLITE_OK;
}

static bool look_at_age(struct store_deliveries *s, struct trim_call *call)
{
    uint64_t pending, dead;
    bool more;
    if (!find_pending(s, &pending, &more) || !event_time(s, pending, &call->oldest_pending_ms) || !ask_number(s, FIRST_DEAD, &dead) ||
        !event_time(s, dead, &call->oldest_dead_ms))
        return false;
    if (more)
        call->oldest_pending_ms = -1;
    call->more |= more;
    call->bytes = s->then_bytes;
    return true;
}

bool store_deliveries_add(struct store_deliveries *s, struct store_group *group, const char **ret_fault)
{
    for (size_t i = 0; i < group->n_events; i++)
        if (!add_event(s, group->events[i], ret_fault))
            return false;
    for (struct settle_call *call = group->settlings; call; call = call->next) {
        call->n_promoted = 0;
        for (size_t i = 0; i < call->n; i++)
            if (!settle(s, &call->at[i], &call->n_promoted))
                return false;
    }
    return !group->trims || (trim(s, group->trims) && look_at_age(s, group->trims));
}

/* ---- reading ---- */

void delivery_read_fini(struct delivery_read *read)
{
    for (size_t i = 0; i < read->n; i++) {
        msg_unref(read->rows[i].msg);
        free(read->rows[i].text);
    }
    free(read->rows);
    msg_unref(read->event_msg);
    read->event_msg = NULL;
    read->rows = NULL;
    read->n = 0;
}

static int take_message(struct slice bytes, uint64_t epoch, struct msg **ret_m)
{
    int err = store_event_take(&bytes, epoch, ret_m);
    return !err && bytes.len > 0 ? ERR_STORE_FAILED : err;
}

static int read_message(struct store_deliveries *s, uint64_t event, uint64_t epoch, struct msg **ret_m)
{
    sqlite3_stmt *stmt = with_number(s, MESSAGE, event);
    int err = sqlite3_step(stmt) == SQLITE_ROW ? take_message(store_sql_blob(stmt, 0), epoch, ret_m) : ERR_STORE_FAILED;
    sqlite3_reset(stmt);
    return err;
}

/* The texts of a row in one piece of memory. */
static bool take_text(struct delivery *row, sqlite3_stmt *stmt)
{
    struct slice attempts = store_sql_blob(stmt, 7), channel = store_sql_text(stmt, 10), name = store_sql_text(stmt, 11);
    char *at = row->text = malloc(attempts.len + channel.len + name.len + 1);
    if (!at)
        return false;
    row->attempts = slice(memcpy(at, attempts.at, attempts.len), attempts.len);
    row->channel = slice(memcpy(at += attempts.len, channel.at, channel.len), channel.len);
    row->name = slice(memcpy(at + channel.len, name.at, name.len), name.len);
    return true;
}

static struct delivery *room(struct delivery_read *read, size_t *cap)
{
    if (read->n == *cap) {
        size_t more = *cap ? *cap * 2 : 16;
        struct delivery *rows = realloc(read->rows, more * sizeof *rows);
        if (!rows)
            return NULL;
        read->rows = rows;
        *cap = more;
    }
    return memset(&read->rows[read->n], 0, sizeof *read->rows);
}

/* One more row of the answer, from the columns that all reads have in common. */
static int add_row(struct delivery_read *read, size_t *cap, sqlite3_stmt *stmt)
{
    struct delivery *row = room(read, cap);
    if (!row || !take_text(row, stmt))
        return ERR_MEMORY;
    row->number = (uint64_t)sqlite3_column_int64(stmt, 0);
    row->endpoint = (uint64_t)sqlite3_column_int64(stmt, 1);
    row->lane = (uint64_t)sqlite3_column_int64(stmt, 2);
    row->status = (uint8_t)sqlite3_column_int(stmt, 3);
    row->tries = (uint16_t)sqlite3_column_int(stmt, 4);
    row->due_ms = sqlite3_column_int64(stmt, 5);
    row->settled_ms = sqlite3_column_int64(stmt, 6);
    row->type = event_type_read((uint64_t)sqlite3_column_int(stmt, 8));
    row->time_ms = sqlite3_column_int64(stmt, 9);
    row->epoch = (uint64_t)sqlite3_column_int64(stmt, 12);
    read->n++;
    return 0;
}

static size_t row_bytes(const struct delivery *row)
{
    return sizeof *row + row->attempts.len + row->channel.len + row->name.len + (row->msg ? msg_size(row->msg) : 0);
}

static int read_due(struct store_deliveries *s, struct delivery_read *read)
{
    sqlite3_stmt *stmt = with_number(s, DUE, read->endpoint);
    size_t cap = 0, bytes = 0;
    int err = store_sql_bind_u64(stmt, 2, (uint64_t)read->after_due_ms) && store_sql_bind_u64(stmt, 3, read->after) &&
              store_sql_bind_u64(stmt, 4, (uint64_t)read->due_ms) && store_sql_bind_u64(stmt, 5, read->limit + 1) ? 0 : ERR_STORE_FAILED;
    int rc = SQLITE_DONE;
    while (!err && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        if (read->n == read->limit || (read->n > 0 && bytes >= read->max_bytes)) {
            read->more = true;
            break;
        }
        err = add_row(read, &cap, stmt);
        if (!err)
            err = take_message(store_sql_blob(stmt, COLUMN_LAST), read->rows[read->n - 1].epoch, &read->rows[read->n - 1].msg);
        if (!err)
            bytes += row_bytes(&read->rows[read->n - 1]);
    }
    sqlite3_reset(stmt);
    return err ? err : rc == SQLITE_DONE || read->more ? 0 : ERR_STORE_FAILED;
}

static int read_next_due(struct store_deliveries *s, struct delivery_read *read)
{
    sqlite3_stmt *stmt = with_number(s, NEXT_DUE, read->endpoint);
    store_sql_bind_u64(stmt, 2, (uint64_t)read->due_ms);
    int rc = sqlite3_step(stmt);
    read->next_due_ms = rc == SQLITE_ROW ? sqlite3_column_int64(stmt, 0) : DELIVERY_NEVER;
    sqlite3_reset(stmt);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : ERR_STORE_FAILED;
}

/* Dead letters have indexes; all else is looked through. */
static enum statement list_statement(const struct delivery_read *read)
{
    bool dead = read->statuses == 1U << DELIVERY_DEAD && !read->event;
    if (read->kind != READ_NEWEST)
        return dead && read->endpoint ? OLDEST_DEAD : OLDEST;
    return !dead ? NEWEST : read->endpoint ? NEWEST_DEAD : NEWEST_DEAD_ALL;
}

static bool bind_list(sqlite3_stmt *stmt, const struct delivery_read *read)
{
    uint64_t first = read->event << 8, end = read->event ? (read->event + 1) << 8 : (uint64_t)INT64_MAX, after = read->after;
    if (read->kind != READ_NEWEST)
        after = read->event && after < first ? first - 1 : after;
    else
        after = after == 0 || after > end ? end : after;
    return store_sql_bind_u64(stmt, 1, after) && store_sql_bind_u64(stmt, 2, read->endpoint) && store_sql_bind_u64(stmt, 3, read->statuses) &&
           store_sql_bind_text(stmt, 4, read->channel.at ? read->channel : SLICE("")) && store_sql_bind_u64(stmt, 5, (uint64_t)read->since_ms) &&
           store_sql_bind_u64(stmt, 6, (uint64_t)read->until_ms) && store_sql_bind_u64(stmt, 7, read->kind == READ_NEWEST ? first : end) &&
           store_sql_bind_u64(stmt, 8, read->looks);
}

static int take_listed(struct store_deliveries *s, struct delivery_read *read, size_t *cap, sqlite3_stmt *stmt)
{
    int err = add_row(read, cap, stmt);
    struct delivery *row = err ? NULL : &read->rows[read->n - 1];
    return row && read->with_message ? read_message(s, delivery_event(row->number), row->epoch, &row->msg) : err;
}

/* What comes after it happened before: `since` ends a list with the newest first. An hour for clocks that were set back meanwhile. */
static bool is_all_older(const struct delivery_read *read, sqlite3_stmt *stmt)
{
    enum { HOUR_MS = 60 * 60 * 1000 };
    return read->kind == READ_NEWEST && read->since_ms > 0 && sqlite3_column_int64(stmt, 9) < read->since_ms - HOUR_MS;
}

static int read_list(struct store_deliveries *s, struct delivery_read *read)
{
    sqlite3_stmt *stmt = s->statements[list_statement(read)];
    size_t cap = 0, bytes = 0, looked = 0;
    int err = bind_list(stmt, read) ? 0 : ERR_STORE_FAILED, rc = SQLITE_DONE;
    read->upto = read->after;
    while (!err && read->n < read->limit && (read->n == 0 || bytes < read->max_bytes) && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        if (is_all_older(read, stmt)) {
            rc = SQLITE_DONE;
            break;
        }
        looked++;
        read->upto = (uint64_t)sqlite3_column_int64(stmt, 0);
        if (!sqlite3_column_int(stmt, COLUMN_LAST))
            continue;
        err = take_listed(s, read, &cap, stmt);
        if (!err)
            bytes += row_bytes(&read->rows[read->n - 1]);
    }
    read->more = rc == SQLITE_ROW || looked == read->looks;
    sqlite3_reset(stmt);
    return err ? err : rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : ERR_STORE_FAILED;
}

static int read_one(struct store_deliveries *s, struct delivery_read *read)
{
    sqlite3_stmt *stmt = with_number(s, ONE, read->after);
    size_t cap = 0;
    int rc = sqlite3_step(stmt), err = rc == SQLITE_ROW ? take_listed(s, read, &cap, stmt) : 0;
    sqlite3_reset(stmt);
    return err ? err : rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : ERR_STORE_FAILED;
}

static int read_event(struct store_deliveries *s, struct delivery_read *read)
{
    sqlite3_stmt *stmt = with_number(s, EVENT, read->event);
    int rc = sqlite3_step(stmt), err = rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : ERR_STORE_FAILED;
    if (rc == SQLITE_ROW) {
        err = take_message(store_sql_blob(stmt, 0), (uint64_t)sqlite3_column_int64(stmt, 1), &read->event_msg);
        read->event_type = event_type_read((uint64_t)sqlite3_column_int(stmt, 2));
    }
    sqlite3_reset(stmt);
    return err || rc == SQLITE_DONE ? err : read_list(s, read);
}

static int read_counts(struct store_deliveries *s, struct delivery_read *read)
{
    sqlite3_stmt *stmt = s->statements[COUNTS];
    size_t cap = 0;
    int rc;
    while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        struct delivery *row = room(read, &cap);
        if (!row)
            break;
        row->endpoint = (uint64_t)sqlite3_column_int64(stmt, 0);
        row->status = (uint8_t)sqlite3_column_int(stmt, 1);
        row->number = (uint64_t)sqlite3_column_int64(stmt, 2);
        read->n++;
    }
    sqlite3_reset(stmt);
    return rc == SQLITE_ROW ? ERR_MEMORY : rc == SQLITE_DONE ? 0 : ERR_STORE_FAILED;
}

void store_deliveries_read(struct store_deliveries *s, struct delivery_read *read)
{
    read->rows = NULL;
    read->event_msg = NULL;
    read->n = 0;
    read->more = false;
    switch (read->kind) {
    case READ_DUE:
        read->err = read_due(s, read);
        if (!read->err && !read->more)
            read->err = read_next_due(s, read);
        break;
    case READ_OLDEST:
    case READ_NEWEST: read->err = read_list(s, read); break;
    case READ_ONE:    read->err = read_one(s, read); break;
    case READ_EVENT:  read->err = read_event(s, read); break;
    case READ_COUNTS: read->err = read_counts(s, read); break;
    }
    if (read->err)
        delivery_read_fini(read);
}
