#include "webhooks/orders.h"

#include "hub/base/clock.h"
#include "hub/base/duration.h"
#include "hub/base/err.h"
#include "hub/base/instant.h"
#include "hub/base/json.h"
#include "webhooks/endpoint_form.h"

#include <stdlib.h>

static const int64_t OVERLAP_MS = 24 * 60 * 60 * 1000, OVERLAP_MOST_MS = INT64_C(30) * 24 * 60 * 60 * 1000;

static void answer(struct orders *orders, struct webhook_call *call, int err)
{
    hub_webhook_answer(orders->hub, call, !err && call->text.failed ? ERR_MEMORY : err);
}


/* ---- endpoints ---- */

static void print(const struct orders *orders, const struct endpoint *endpoint, bool with_secret, struct buf *out)
{
    struct dispatcher_state state = dispatcher_state(orders->dispatcher, endpoint->number);
    buf_add_char(out, '{');
    endpoint_print(endpoint, with_secret, out);
    buf_addf(out, ",\"breaker\":\"%s\",\"pending\":%llu,\"sending\":%u,\"dead_letters\":%llu", breaker_state_name(state.breaker), (unsigned long long)state.pending,
             state.sending, (unsigned long long)state.dead);
    buf_add_instant_member(out, "asked_to_wait_until", state.paused_until_ms ? state.paused_until_ms / 1000 : INT64_MAX);
    buf_add_char(out, '}');
}

/* A change that is under way, and who waits for it. */
struct waiting {
    struct endpoint_ask  ask;      /* first */
    struct orders       *orders;
    struct webhook_call *call;
    struct buf           secret;   /* ROTATE */
};

static void on_changed(struct endpoint_ask *ask, int err, const struct endpoint *endpoint, bool durable)
{
    struct waiting *waiting = (struct waiting *)ask;
    struct webhook_call *call = waiting->call;
    call->problems = ask->problems;
    call->durable = durable;
    if (!err && endpoint) {
        call->id = endpoint->number;
        call->version = endpoint->version;
        print(waiting->orders, endpoint, ask->change == ENDPOINT_CREATE || ask->change == ENDPOINT_ROTATE, &call->text);
    }
    answer(waiting->orders, call, err);
    if (waiting->secret.at)
        explicit_bzero(waiting->secret.at, waiting->secret.len);
    buf_fini(&waiting->secret);
    free(waiting);
}

static struct waiting *waiting_new(struct orders *orders, struct webhook_call *call, enum endpoint_change change)
{
    struct waiting *waiting = calloc(1, sizeof *waiting);
    if (!waiting) {
        answer(orders, call, ERR_MEMORY);
        return NULL;
    }
    waiting->ask = (struct endpoint_ask){ .change = change, .number = call->id, .document = call->document, .if_version = call->if_version, .ended = on_changed };
    waiting->orders = orders;
    waiting->call = call;
    return waiting;
}

static void change(struct orders *orders, struct webhook_call *call, enum endpoint_change change)
{
    struct waiting *waiting = waiting_new(orders, call, change);
    if (waiting)
        endpoints_change(orders->endpoints, &waiting->ask);
}

static void create(struct orders *orders, struct webhook_call *call)
{
    call->id = endpoint_number_new(clock_wall_ms(orders->clock));
    if (call->id)
        change(orders, call, ENDPOINT_CREATE);
    else
        answer(orders, call, ERR_INTERNAL);
}

static void patch(struct orders *orders, struct webhook_call *call)    { change(orders, call, ENDPOINT_CHANGE); }
static void remove_it(struct orders *orders, struct webhook_call *call) { change(orders, call, ENDPOINT_DELETE); }

static bool read_overlap(const struct json_object *object, int64_t *ret_ms)
{
    struct slice value = json_member_find(object, "overlap");
    struct buf text = { 0 };
    *ret_ms = OVERLAP_MS;
    if (!value.at || slice_is(value, SLICE("null")))
        return true;
    bool read = json_unquote(value, &text) ? duration_parse(value, ret_ms) : duration_parse(buf_slice(&text), ret_ms);
    buf_fini(&text);
    return read && *ret_ms >= 0 && *ret_ms <= OVERLAP_MOST_MS;
}

static void rotate(struct orders *orders, struct webhook_call *call)
{
    struct json_object object = { 0 };
    struct waiting *waiting = waiting_new(orders, call, ENDPOINT_ROTATE);
    if (!waiting)
        return;
    if (call->document.len > 0 && json_object_parse(call->document, &object))
        webhook_problem(&waiting->ask.problems, "", ERR_BAD_FIELD, "the body is an object with secret and overlap, or nothing");
    if (!read_overlap(&object, &waiting->ask.overlap_ms))
        webhook_problem(&waiting->ask.problems, "overlap", ERR_BAD_FIELD, "is a length of time of at most 30 days: how long the old secret stays valid");
    struct slice secret = json_member_find(&object, "secret");
    if (secret.at && !slice_is(secret, SLICE("null")) && json_unquote(secret, &waiting->secret))
        webhook_problem(&waiting->ask.problems, "secret", ERR_BAD_FIELD, "is a string");
    waiting->ask.document = buf_slice(&waiting->secret);
    if (waiting->ask.problems.n > 0)
        on_changed(&waiting->ask, ERR_BAD_FIELD, NULL, false);
    else
        endpoints_change(orders->endpoints, &waiting->ask);
}

static void list(struct orders *orders, struct webhook_call *call)
{
    const struct endpoint *found[EVENT_TARGETS];
    size_t n = endpoints_after(orders->endpoints, call->after, EVENT_TARGETS, found);
    call->more = n > call->limit;
    n = call->more ? call->limit : n;
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            buf_add_char(&call->text, ',');
        print(orders, found[i], false, &call->text);
        call->upto = found[i]->number;
    }
    answer(orders, call, 0);
}

static void show(struct orders *orders, struct webhook_call *call)
{
    const struct endpoint *endpoint = endpoints_find(orders->endpoints, call->id);
    if (endpoint) {
        call->version = endpoint->version;
        print(orders, endpoint, false, &call->text);
    }
    answer(orders, call, endpoint ? 0 : ERR_NOT_FOUND);
}

static void test(struct orders *orders, struct webhook_call *call)
{
    struct event_target target = { .endpoint = call->id };
    char id[WEBHOOK_ID_TEXT];
    struct buf data = { 0 };
    if (!endpoints_find(orders->endpoints, call->id)) {
        answer(orders, call, ERR_NOT_FOUND);
        return;
    }
    webhook_id_print(call->id, id);
    buf_addf(&data, "{\"webhook\":\"%s\",\"text\":\"It works.\"}", id);
    hub_tell(orders->hub, EVENT_WEBHOOK_TEST, SLICE(""), buf_slice(&data), &target, 1);
    buf_addf(&call->text, "{\"webhook\":\"%s\",\"type\":\"webhook.test\",\"deliveries\":\"/v1/deliveries?webhook=%s\"}", id, id);
    buf_fini(&data);
    answer(orders, call, 0);
}

/* ---- what is sent again ---- */

static void begin_replay(struct orders *orders, struct webhook_call *call, const struct replay_wish *wish)
{
    uint64_t number = 0;
    int err = replay_begin(orders->replays, wish, &number);
    if (!err)
        replay_print(orders->replays, call->id, number, &call->text);
    answer(orders, call, err);
}

static bool read_moment(struct webhook_call *call, const struct json_object *object, const char *name, int64_t *ret_ms)
{
    struct slice value = json_member_find(object, name);
    struct buf text = { 0 };
    int64_t s = 0;
    if (!value.at || slice_is(value, SLICE("null")))
        return true;
    bool read = !json_unquote(value, &text) && instant_parse(buf_slice(&text), &s);
    buf_fini(&text);
    *ret_ms = s * 1000;
    if (!read)
        webhook_problem(&call->problems, name, ERR_BAD_FIELD, "is a moment such as 2026-11-21T10:08:00Z");
    return read;
}

static bool read_status(struct webhook_call *call, const struct json_object *object, unsigned *ret_statuses)
{
    struct slice value = json_member_find(object, "status");
    *ret_statuses = 1U << DELIVERY_DEAD;
    if (!value.at || slice_is(value, SLICE("null")) || slice_is(value, SLICE("\"failed\"")))
        return true;
    *ret_statuses |= 1U << DELIVERY_DELIVERED;
    if (slice_is(value, SLICE("\"all\"")))
        return true;
    webhook_problem(&call->problems, "status", ERR_BAD_FIELD, "is failed or all");
    return false;
}

static void replay(struct orders *orders, struct webhook_call *call)
{
    struct replay_wish wish = { .action = REPLAY_SEND, .endpoint = call->id };
    struct json_object object = { 0 };
    if (!endpoints_find(orders->endpoints, call->id)) {
        answer(orders, call, ERR_NOT_FOUND);
        return;
    }
    if (call->document.len > 0 && json_object_parse(call->document, &object))
        webhook_problem(&call->problems, "", ERR_BAD_FIELD, "the body is an object with since, until and status, or nothing");
    read_moment(call, &object, "since", &wish.since_ms);
    read_moment(call, &object, "until", &wish.until_ms);
    read_status(call, &object, &wish.statuses);
    if (wish.since_ms && wish.until_ms && wish.since_ms > wish.until_ms)
        webhook_problem(&call->problems, "since", ERR_BAD_FIELD, "is after until");
    if (call->problems.n > 0)
        answer(orders, call, ERR_BAD_FIELD);
    else
        begin_replay(orders, call, &wish);
}

static void redeliver_dead(struct orders *orders, struct webhook_call *call)
{
    struct replay_wish wish = { .action = REPLAY_SEND, .endpoint = call->id, .statuses = 1U << DELIVERY_DEAD };
    if (endpoints_find(orders->endpoints, call->id))
        begin_replay(orders, call, &wish);
    else
        answer(orders, call, ERR_NOT_FOUND);
}

static void replays(struct orders *orders, struct webhook_call *call)
{
    bool found = endpoints_find(orders->endpoints, call->id);
    replays_print(orders->replays, call->id, &call->text);
    answer(orders, call, found ? 0 : ERR_NOT_FOUND);
}

static void replay_show(struct orders *orders, struct webhook_call *call)
{
    bool found = replay_print(orders->replays, call->id, call->replay, &call->text);
    answer(orders, call, found ? 0 : ERR_NOT_FOUND);
}

static void replay_end(struct orders *orders, struct webhook_call *call)
{
    bool found = replay_stop(orders->replays, call->id, call->replay);
    replay_print(orders->replays, call->id, call->replay, &call->text);
    answer(orders, call, found ? 0 : ERR_NOT_FOUND);
}

/* ---- one delivery ---- */

/* It is looked up, then settled otherwise. */
struct single {
    struct orders       *orders;
    struct webhook_call *call;
    struct delivery_read read;
    struct settlement    settlement;
    struct settle_call   settle;
};

static void single_end(struct single *single, int err)
{
    answer(single->orders, single->call, err);
    delivery_read_fini(&single->read);
    free(single);
}

static void on_single_settled(struct settle_call *settle)
{
    struct single *single = settle->owner;
    bool sent_again = single->call->order == WEBHOOK_REDELIVER;
    if (!settle->err && !single->settlement.done)
        settle->err = ERR_DELIVERY_PENDING;      /* somebody else has sent it again meanwhile */
    if (!settle->err)
        dispatcher_changed(single->orders->dispatcher, sent_again, &single->settlement, 1, single->read.rows);
    single->call->removed = !settle->err && !sent_again;
    single_end(single, settle->err);
}

/* Of an ordered endpoint that blocks what has had its last attempt is pending, and due never. */
static bool is_over(const struct delivery *row) { return row->status != DELIVERY_PENDING || row->due_ms == DELIVERY_BLOCKED; }

static void on_single_read(struct delivery_read *read)
{
    struct single *single = read->owner;
    const struct delivery *row = read->rows;
    bool sent_again = single->call->order == WEBHOOK_REDELIVER;
    int64_t now_ms = clock_wall_ms(single->orders->clock);
    int err = read->err;
    if (!err && (read->n == 0 || (!sent_again && row->status != DELIVERY_DEAD) || (sent_again && !endpoints_find(single->orders->endpoints, row->endpoint))))
        err = ERR_NOT_FOUND;
    if (!err && !is_over(row))
        err = ERR_DELIVERY_PENDING;
    if (err) {
        single_end(single, err);
        return;
    }
    bool blocked = row->status == DELIVERY_PENDING;
    single->settlement = (struct settlement){
        .number = row->number, .endpoint = row->endpoint, .lane = row->lane, .status = sent_again ? DELIVERY_PENDING : DELIVERY_REMOVED,
        .due_ms = row->lane && !blocked ? DELIVERY_NEVER : now_ms, .settled_ms = now_ms, .only_from = 1U << row->status,
    };
    single->settle = (struct settle_call){ .at = &single->settlement, .n = 1, .answered = on_single_settled, .owner = single };
    hub_settle(single->orders->hub, &single->settle);
}

static void single(struct orders *orders, struct webhook_call *call)
{
    struct single *single = calloc(1, sizeof *single);
    if (!single) {
        answer(orders, call, ERR_MEMORY);
        return;
    }
    single->orders = orders;
    single->call = call;
    single->read = (struct delivery_read){ .kind = READ_ONE, .after = call->delivery, .answered = on_single_read, .owner = single };
    hub_read_deliveries(orders->hub, &single->read);
}

/* ---- purging ---- */

struct purging {
    struct orders       *orders;
    struct webhook_call *call;
};

static void on_purged(void *arg, uint64_t n)
{
    struct purging *purging = arg;
    purging->call->removed = n;
    answer(purging->orders, purging->call, 0);
    free(purging);
}

static void purge_all(struct orders *orders, struct webhook_call *call)
{
    struct purging *purging = calloc(1, sizeof *purging);
    uint64_t number;
    int err = purging ? 0 : ERR_MEMORY;
    if (purging) {
        *purging = (struct purging){ orders, call };
        err = replay_begin(orders->replays, &(struct replay_wish){ .action = REPLAY_REMOVE, .endpoint = call->id, .statuses = 1U << DELIVERY_DEAD,
                                                                   .is_quiet = true, .ended = on_purged, .arg = purging }, &number);
    }
    if (!err)
        return;
    free(purging);
    answer(orders, call, err);
}

static void purge(struct orders *orders, struct webhook_call *call) { (call->delivery ? single : purge_all)(orders, call); }

/* ---- */

void orders_run(struct orders *orders, struct webhook_call *call)
{
    static void (*const run[WEBHOOK_ORDERS])(struct orders *orders, struct webhook_call *call) = {
        [WEBHOOK_CREATE] = create, [WEBHOOK_LIST] = list, [WEBHOOK_SHOW] = show, [WEBHOOK_CHANGE] = patch, [WEBHOOK_DELETE] = remove_it,
        [WEBHOOK_ROTATE] = rotate, [WEBHOOK_TEST] = test, [WEBHOOK_REDELIVER] = single, [WEBHOOK_REDELIVER_DEAD] = redeliver_dead,
        [WEBHOOK_REPLAY] = replay, [WEBHOOK_REPLAYS] = replays, [WEBHOOK_REPLAY_SHOW] = replay_show, [WEBHOOK_REPLAY_STOP] = replay_end,
        [WEBHOOK_PURGE_DEAD] = purge,
    };
    run[call->order](orders, call);
}
