#include "redis/parts/redis_queue.h"

#include "hub/base/err.h"
#include "hub/store/store_block.h"
#include "redis/bus/redis_event.h"
#include "redis/bus/redis_pack.h"

#include <stdlib.h>

enum { KEY_BYTES = 9, ROW_PARTS = 4, TRIM_LOOKS = 128 };
static const double LUA_NEVER = 9007199254740991.0, LUA_BLOCKED = 9007199254740990.0;

struct redis_queue {
    struct redis_queue_setup setup;
    struct buf               scratch;
    uint64_t                 trim_after;      /* of a round (trim.lua) */
    bool                     takes_dead;
};

static int run(struct redis_queue *queue, struct redis_request *request)
{
    return redis_engine_run(redis_bus_engine(queue->setup.bus), request);
}

/* ---- bytes ---- */

static double due_of(int64_t due_ms)      { return due_ms == DELIVERY_NEVER ? LUA_NEVER : due_ms == DELIVERY_BLOCKED ? LUA_BLOCKED : (double)due_ms; }
static int64_t due_from(double due)       { return due == LUA_NEVER ? DELIVERY_NEVER : due == LUA_BLOCKED ? DELIVERY_BLOCKED : (int64_t)due; }

static void pack_key(char key[KEY_BYTES], uint64_t delivery)
{
    uint64_t event = htobe64(delivery_event(delivery));
    memcpy(key, &event, sizeof event);
    key[KEY_BYTES - 1] = (char)(delivery & 0xff);
}

static uint64_t take_key(struct slice key)
{
    uint64_t event;
    if (key.len != KEY_BYTES)
        return 0;
    memcpy(&event, key.at, sizeof event);
    return delivery_number(be64toh(event), (uint8_t)key.at[KEY_BYTES - 1]);
}

static void add_key(struct redis_args *args, uint64_t delivery)
{
    char key[KEY_BYTES];
    pack_key(key, delivery);
    redis_args_add_bytes(args, slice(key, sizeof key));
}

static void add_number(struct redis_args *args, uint64_t number)
{
    if (number)
        redis_args_addf(args, "%016llx", (unsigned long long)number);
    else
        redis_args_add(args, SLICE(""));
}

static int take_message(struct slice bytes, uint64_t epoch, struct msg **ret_m)
{
    int err = store_event_take(&bytes, epoch, ret_m);
    return !err && bytes.len > 0 ? ERR_REDIS_FRAME : err;
}

/* ---- settling ---- */

struct settling {
    struct redis_request request;      /* first */
    struct redis_queue  *queue;
    struct settle_call  *call;
};

static void pack_settlement(struct buf *out, const struct settlement *s)
{
    pack_u64(out, delivery_event(s->number));
    buf_add_char(out, (char)(s->number & 0xff));
    buf_add_char(out, (char)s->status);
    pack_u16(out, s->tries);
    buf_add_char(out, (char)s->only_from);
    pack_double(out, due_of(s->due_ms));
    pack_double(out, (double)s->settled_ms);
    buf_add_char(out, s->attempts.at != NULL);
    pack_long(out, s->attempts.at ? s->attempts : SLICE(""));
}

static void settling_args(struct redis_request *request, struct redis_args *args)
{
    struct settling *settling = (struct settling *)request;
    struct redis_queue *queue = settling->queue;
    const struct settle_call *call = settling->call;
    buf_reset(&queue->scratch);
    for (size_t i = 0; i < call->n; i++)
        pack_settlement(&queue->scratch, &call->at[i]);
    redis_args_add(args, redis_bus_prefix(queue->setup.bus));
    redis_args_add(args, call->is_sent ? slice_of(redis_nodes_lease(queue->setup.nodes)) : SLICE(""));
    redis_args_add(args, queue->scratch.failed ? SLICE("") : buf_slice(&queue->scratch));
}

static void settled(struct redis_request *request, int err, const struct redisReply *reply)
{
    struct settling *settling = (struct settling *)request;
    struct redis_queue *queue = settling->queue;
    struct settle_call *call = settling->call;
    struct slice done = err ? SLICE("") : redis_reply_word(reply, 1);
    free(settling);
    call->err = err ? err : done.len == call->n ? 0 : ERR_MEMORY;
    call->n_promoted = err ? 0 : redis_reply_number(reply, 0);
    for (size_t i = 0; i < call->n; i++)
        call->at[i].done = !call->err && done.at[i] == '1';
    call->answered(call);
    queue->setup.wake(queue->setup.owner);
}

void redis_queue_settle(struct redis_queue *queue, struct settle_call *call)
{
    bool can = !call->is_sent || redis_nodes_has_lease(queue->setup.nodes);
    struct settling *settling = can ? calloc(1, sizeof *settling) : NULL;
    call->err = can ? ERR_MEMORY : ERR_REDIS_AWAY;
    if (settling) {
        *settling = (struct settling){ { .script = REDIS_SETTLE, .args = settling_args, .answered = settled }, queue, call };
        call->err = run(queue, &settling->request);
    }
    if (!call->err)
        return;
    free(settling);
    call->answered(call);
}

/* ---- reading ---- */

struct reading {
    struct redis_request  request;     /* first */
    struct redis_queue   *queue;
    struct delivery_read *read;
};

static void due_args(struct redis_request *request, struct redis_args *args)
{
    const struct reading *reading = (struct reading *)request;
    const struct delivery_read *read = reading->read;
    redis_args_add(args, redis_bus_prefix(reading->queue->setup.bus));
    add_number(args, read->endpoint);
    redis_args_add_u64(args, (uint64_t)read->due_ms);
    redis_args_add_u64(args, (uint64_t)read->after_due_ms);
    if (read->after)
        add_key(args, read->after);
    else
        redis_args_add(args, SLICE(""));
    redis_args_add_u64(args, read->limit);
    redis_args_add_u64(args, read->max_bytes);
}

static const char *kind_of(const struct delivery_read *read)
{
    return read->kind == READ_ONE ? "1" : read->kind == READ_EVENT ? "e" : read->kind == READ_NEWEST ? "n" : "o";
}

static void list_args(struct redis_request *request, struct redis_args *args)
{
    const struct reading *reading = (struct reading *)request;
    const struct delivery_read *read = reading->read;
    redis_args_add(args, redis_bus_prefix(reading->queue->setup.bus));
    redis_args_add(args, slice_of(kind_of(read)));
    if (read->after)
        add_key(args, read->after);
    else
        redis_args_add(args, SLICE(""));
    add_number(args, read->endpoint);
    redis_args_add_u64(args, read->statuses);
    redis_args_add(args, read->channel.at ? read->channel : SLICE(""));
    redis_args_add_u64(args, (uint64_t)read->since_ms);
    redis_args_add_u64(args, (uint64_t)read->until_ms);
    redis_args_add_u64(args, read->limit);
    redis_args_add_u64(args, read->looks);
    redis_args_add_u64(args, read->max_bytes);
    redis_args_add(args, read->with_message ? SLICE("1") : SLICE(""));
    redis_args_add_u64(args, read->event);
}

/* What stands before the message of an event (queue.lua). */
struct about { uint8_t type; uint64_t epoch; int64_t time_ms; struct slice channel, name; };

static bool take_about(struct slice bytes, struct about *ret)
{
    ret->type = event_type_read(take_u8(&bytes));
    ret->epoch = take_u64(&bytes);
    ret->time_ms = (int64_t)take_double(&bytes);
    ret->channel = take_short(&bytes);
    ret->name = take_short(&bytes);
    return bytes.at;
}

static bool take_delivery(struct slice bytes, struct delivery *row, struct slice *ret_attempts)
{
    row->endpoint = redis_number_take(&bytes);
    row->lane = redis_number_take(&bytes);
    row->status = take_u8(&bytes);
    row->tries = take_u16(&bytes);
    row->due_ms = due_from(take_double(&bytes));
    row->settled_ms = (int64_t)take_double(&bytes);
    *ret_attempts = bytes;
    return bytes.at && row->status < DELIVERY_STATUSES;
}

/* The texts of a row in one piece of memory. */
static int take_text(struct delivery *row, struct slice attempts, const struct about *about)
{
    char *at = row->text = malloc(attempts.len + about->channel.len + about->name.len + 1);
    if (!at)
        return ERR_MEMORY;
    row->attempts = slice(memcpy(at, attempts.at, attempts.len), attempts.len);
    row->channel = slice(memcpy(at += attempts.len, about->channel.at, about->channel.len), about->channel.len);
    row->name = slice(memcpy(at + about->channel.len, about->name.at, about->name.len), about->name.len);
    return 0;
}

static int take_row(struct delivery *row, const struct redisReply *reply, size_t first)
{
    struct about about;
    struct slice attempts, message = redis_reply_word(reply, first + 3);
    row->number = take_key(redis_reply_word(reply, first));
    if (!row->number || !take_delivery(redis_reply_word(reply, first + 1), row, &attempts) || !take_about(redis_reply_word(reply, first + 2), &about))
        return ERR_REDIS_FRAME;
    row->type = about.type;
    row->epoch = about.epoch;
    row->time_ms = about.time_ms;
    int err = take_text(row, attempts, &about);
    return err || message.len == 0 ? err : take_message(message, about.epoch, &row->msg);
}

static int take_rows(struct delivery_read *read, const struct redisReply *reply, size_t first)
{
    size_t n = reply->type == REDIS_REPLY_ARRAY && reply->elements > first ? (reply->elements - first) / ROW_PARTS : 0;
    int err = 0;
    if (n > 0 && !(read->rows = calloc(n, sizeof *read->rows)))
        return ERR_MEMORY;
    for (size_t i = 0; i < n && !err; i++) {
        err = take_row(&read->rows[i], reply, first + i * ROW_PARTS);
        read->n = i + 1;
    }
    return err;
}

static int take_due(struct delivery_read *read, const struct redisReply *reply)
{
    read->more = redis_reply_number(reply, 0);
    read->next_due_ms = redis_reply_word(reply, 1).len > 0 ? (int64_t)redis_reply_number(reply, 1) : DELIVERY_NEVER;
    return take_rows(read, reply, 2);
}

static int take_list(struct delivery_read *read, const struct redisReply *reply)
{
    struct slice upto = redis_reply_word(reply, 1), about = redis_reply_word(reply, 2);
    struct about event;
    read->more = redis_reply_number(reply, 0);
    read->upto = upto.len > 0 ? take_key(upto) : read->after;
    int err = take_rows(read, reply, 4);
    if (err || about.len == 0)
        return err;
    if (!take_about(about, &event))
        return ERR_REDIS_FRAME;
    read->event_type = event.type;
    return take_message(redis_reply_word(reply, 3), event.epoch, &read->event_msg);
}

static void counts_args(struct redis_request *request, struct redis_args *args)
{
    redis_args_add(args, redis_bus_prefix(((const struct reading *)request)->queue->setup.bus));
}

static int take_counts(struct delivery_read *read, const struct redisReply *reply)
{
    size_t n = reply->type == REDIS_REPLY_ARRAY ? reply->elements / 2 : 0;
    if (n > 0 && !(read->rows = calloc(n, sizeof *read->rows)))
        return ERR_MEMORY;
    for (size_t i = 0; i < n; i++) {
        struct slice field = redis_reply_word(reply, 2 * i);
        uint8_t what = take_u8(&field);
        if (field.len == REDIS_NUMBER_TEXT && (what == 'p' || what == 'd'))
            read->rows[read->n++] = (struct delivery){ .endpoint = redis_number_take(&field), .number = redis_reply_number(reply, 2 * i + 1),
                                                       .status = what == 'p' ? DELIVERY_PENDING : DELIVERY_DEAD };
    }
    return 0;
}

/* By kind. */
static const struct asking {
    enum redis_script script;
    void (*args)(struct redis_request *request, struct redis_args *args);
    int  (*take)(struct delivery_read *read, const struct redisReply *reply);
} askings[] = {
    [READ_DUE] = { REDIS_DUE, due_args, take_due },             [READ_OLDEST] = { REDIS_DELIVERIES, list_args, take_list },
    [READ_NEWEST] = { REDIS_DELIVERIES, list_args, take_list }, [READ_ONE] = { REDIS_DELIVERIES, list_args, take_list },
    [READ_EVENT] = { REDIS_DELIVERIES, list_args, take_list },  [READ_COUNTS] = { REDIS_COUNTS, counts_args, take_counts },
};

static void end_read(struct redis_queue *queue, struct delivery_read *read, int err)
{
    read->err = err;
    if (err)
        delivery_read_fini(read);
    read->answered(read);
    queue->setup.wake(queue->setup.owner);
}

static void on_read(struct redis_request *request, int err, const struct redisReply *reply)
{
    struct reading *reading = (struct reading *)request;
    struct redis_queue *queue = reading->queue;
    struct delivery_read *read = reading->read;
    free(reading);
    if (!err)
        err = askings[read->kind].take(read, reply);
    end_read(queue, read, err);
}

void redis_queue_read(struct redis_queue *queue, struct delivery_read *read)
{
    struct reading *reading = calloc(1, sizeof *reading);
    int err = ERR_MEMORY;
    read->rows = NULL;
    read->event_msg = NULL;
    read->n = 0;
    read->more = false;
    if (reading) {
        const struct asking *asking = &askings[read->kind];
        *reading = (struct reading){ { .script = asking->script, .args = asking->args, .answered = on_read }, queue, read };
        err = run(queue, &reading->request);
    }
    if (!err)
        return;
    free(reading);
    read->err = err;
    read->answered(read);
}

/* ---- what is old ---- */

struct trimming {
    struct redis_request request;      /* first */
    struct redis_queue  *queue;
    struct trim_call    *call;
};

static void trim_args(struct redis_request *request, struct redis_args *args)
{
    const struct trimming *trimming = (struct trimming *)request;
    const struct delivery_limits *limits = &trimming->call->limits;
    redis_args_add(args, redis_bus_prefix(trimming->queue->setup.bus));
    redis_args_add_u64(args, (uint64_t)limits->delivered_before_ms);
    redis_args_add_u64(args, (uint64_t)limits->dead_before_ms);
    redis_args_add_u64(args, limits->max_bytes);
    redis_args_add_u64(args, trimming->queue->trim_after);
    redis_args_add(args, trimming->queue->takes_dead ? SLICE("1") : SLICE(""));
    redis_args_add_u64(args, TRIM_LOOKS);
}

static void on_trimmed(struct redis_request *request, int err, const struct redisReply *reply)
{
    struct trimming *trimming = (struct trimming *)request;
    struct redis_queue *queue = trimming->queue;
    struct trim_call *call = trimming->call;
    free(trimming);
    call->err = err;
    if (!err) {
        call->dead_dropped = redis_reply_number(reply, 0);
        queue->trim_after = redis_reply_number(reply, 1);
        call->more = queue->trim_after > 0;
        if (!call->more) {
            bool over = redis_reply_number(reply, 2);
            call->more = over && !queue->takes_dead;      /* once more, and dead letters too */
            queue->takes_dead = over;
        }
        call->bytes = redis_reply_number(reply, 3);
        call->oldest_pending_ms = (int64_t)redis_reply_number(reply, 4);
        call->oldest_dead_ms = (int64_t)redis_reply_number(reply, 5);
    }
    call->answered(call);
}

void redis_queue_trim(struct redis_queue *queue, struct trim_call *call)
{
    struct trimming *trimming = NULL;
    call->dead_dropped = call->bytes = 0;
    call->oldest_pending_ms = call->oldest_dead_ms = 0;      /* another hub knows */
    call->more = false;
    call->err = 0;
    if (queue->setup.trims(queue->setup.owner)) {
        call->err = ERR_MEMORY;
        if ((trimming = calloc(1, sizeof *trimming))) {
            *trimming = (struct trimming){ { .script = REDIS_TRIM, .args = trim_args, .answered = on_trimmed }, queue, call };
            call->err = run(queue, &trimming->request);
        }
        if (!call->err)
            return;
    }
    free(trimming);
    call->answered(call);
}

/* ---- life ---- */

struct redis_queue *redis_queue_new(const struct redis_queue_setup *setup)
{
    struct redis_queue *queue = calloc(1, sizeof *queue);
    if (queue)
        queue->setup = *setup;
    return queue;
}

void redis_queue_free(struct redis_queue *queue)
{
    if (queue)
        buf_fini(&queue->scratch);
    free(queue);
}
