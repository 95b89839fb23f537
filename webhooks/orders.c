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

/* Who waits for something that takes its time. */
struct asked {
    struct orders       *orders;
    struct webhook_call *call;
};

/* NULL: no memory, which is answered. */
static struct asked *asked_new(struct orders *orders, struct webhook_call *call)
{
    struct asked *asked = malloc(sizeof *asked);
    if (asked)
        *asked = (struct asked){ orders, call };
    else
        answer(orders, call, ERR_MEMORY);
    return asked;
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

static bool is_one_of(struct slice name, const char *const *names)
{
    while (*names && !slice_is(name, slice_of(*names)))
        names++;
    return *names;
}

/* An object of these members, or nothing. A member that is misspelt must not be as if absent: all would be sent again. */
static void read_document(struct slice document, const char *const *known, struct json_object *object, struct webhook_problems *problems)
{
    int err = document.len > 0 ? json_object_parse(document, object) : 0;
    if (err)
        webhook_problem(problems, "", err, "%s", err_text(err));
    for (size_t i = 0; i < object->n && !err; i++)
        if (!is_one_of(object->members[i].name, known))
            webhook_problem(problems, "", ERR_BAD_FIELD, "the body has a member that this request does not know");
}

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
    static const char *const known[] = { "secret", "overlap", NULL };
    struct json_object object = { 0 };
    struct waiting *waiting = waiting_new(orders, call, ENDPOINT_ROTATE);
    if (!waiting)
        return;
    read_document(call->document, known, &object, &waiting->ask.problems);
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

/* Where nodes share the queues nobody but the queue itself knows how much waits: it is asked first. */
struct counting {
    struct delivery_read read;      /* first */
    struct orders       *orders;
    struct webhook_call *call;
    void               (*then)(struct orders *orders, struct webhook_call *call);
};

static void on_counted(struct delivery_read *read)
{
    struct counting *counting = (struct counting *)read;
    for (size_t i = 0; i < read->n; i++)
        dispatcher_count(counting->orders->dispatcher, read->rows[i].endpoint, (enum delivery_status)read->rows[i].status, read->rows[i].number);
    if (read->err)
        answer(counting->orders, counting->call, read->err);
    else
        counting->then(counting->orders, counting->call);
    delivery_read_fini(read);
    free(counting);
}

static void when_counted(struct orders *orders, struct webhook_call *call, void (*then)(struct orders *orders, struct webhook_call *call))
{
    struct counting *counting = hub_shares_queue(orders->hub) ? calloc(1, sizeof *counting) : NULL;
    if (!counting) {
        then(orders, call);
        return;
    }
    *counting = (struct counting){ { .kind = READ_COUNTS, .answered = on_counted }, orders, call, then };
    hub_read_deliveries(orders->hub, &counting->read);
}

static void list_now(struct orders *orders, struct webhook_call *call)
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

static void list(struct orders *orders, struct webhook_call *call) { when_counted(orders, call, list_now); }

static void show_now(struct orders *orders, struct webhook_call *call)
{
    const struct endpoint *endpoint = endpoints_find(orders->endpoints, call->id);
    if (endpoint) {
        call->version = endpoint->version;
        print(orders, endpoint, false, &call->text);
    }
    answer(orders, call, endpoint ? 0 : ERR_NOT_FOUND);
}

static void show(struct orders *orders, struct webhook_call *call) { when_counted(orders, call, show_now); }

static void on_test_told(void *arg, int err, const struct msg *m)
{
    struct asked *asked = arg;
    struct webhook_call *call = asked->call;
    char event[EVENT_ID_TEXT], delivery[DELIVERY_ID_TEXT], webhook[WEBHOOK_ID_TEXT];
    if (!err) {
        event_id_print(m->epoch, m->seq, event);
        delivery_id_print(delivery_number(m->seq, 0), delivery);
        webhook_id_print(call->id, webhook);
        buf_addf(&call->text, "{\"id\":\"%s\",\"type\":\"webhook.test\",\"time\":%lld,\"webhook\":\"%s\",\"delivery\":\"%s\"}", event, (long long)m->time_ms,
                 webhook, delivery);
    }
    answer(asked->orders, call, err);
    free(asked);
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
    struct asked *asked = asked_new(orders, call);
    if (!asked)
        return;
    webhook_id_print(call->id, id);
    buf_addf(&data, "{\"webhook\":\"%s\",\"text\":\"It works.\"}", id);
    hub_tell_one(orders->hub, EVENT_WEBHOOK_TEST, buf_slice(&data), &target, on_test_told, asked);
    buf_fini(&data);
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
    if (!value.at || slice_is(value, SLICE("null")))
        return true;
    bool read = !json_unquote(value, &text) && instant_parse_ms(buf_slice(&text), ret_ms);
    buf_fini(&text);
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
    static const char *const known[] = { "since", "until", "status", NULL };
    struct replay_wish wish = { .action = REPLAY_SEND, .endpoint = call->id };
    struct json_object object = { 0 };
    if (!endpoints_find(orders->endpoints, call->id)) {
        answer(orders, call, ERR_NOT_FOUND);
        return;
    }
    read_document(call->document, known, &object, &call->problems);
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

/* A replay is known to the node that does it. */
static void print_replays(const struct orders *orders, enum webhook_order order, uint64_t endpoint, uint64_t number, struct buf *out)
{
    if (order == WEBHOOK_REPLAY_STOP)
        replay_stop(orders->replays, endpoint, number);
    if (order == WEBHOOK_REPLAYS)
        replays_print(orders->replays, endpoint, out);
    else
        replay_print(orders->replays, endpoint, number, out);
}

struct far_replays {
    struct hook_question question;      /* first */
    struct orders       *orders;
    struct webhook_call *call;
};

static void on_replays_told(struct hook_question *question, struct slice answers)
{
    struct far_replays *far = (struct far_replays *)question;
    struct buf *text = &far->call->text;
    bool is_list = question->what == WEBHOOK_REPLAYS;
    if (text->len > 0 && answers.len > 0)
        buf_add_char(text, ',');
    buf_add_slice(text, answers);
    answer(far->orders, far->call, is_list || text->len > 0 ? 0 : ERR_NOT_FOUND);
    free(far);
}

static void replays(struct orders *orders, struct webhook_call *call)
{
    bool is_list = call->order == WEBHOOK_REPLAYS;
    if (!endpoints_find(orders->endpoints, call->id)) {
        answer(orders, call, ERR_NOT_FOUND);
        return;
    }
    print_replays(orders, call->order, call->id, call->replay, &call->text);
    struct far_replays *far = is_list || call->text.len == 0 ? calloc(1, sizeof *far) : NULL;
    if (far) {
        *far = (struct far_replays){ { (uint8_t)call->order, call->id, call->replay, on_replays_told }, orders, call };
        if (hub_ask_hooks(orders->hub, &far->question))
            return;
    }
    free(far);
    answer(orders, call, is_list || call->text.len > 0 ? 0 : ERR_NOT_FOUND);
}

void orders_asked(struct orders *orders, const struct hook_question *question, struct buf *out)
{
    if (question->what == WEBHOOK_REPLAYS || question->what == WEBHOOK_REPLAY_SHOW || question->what == WEBHOOK_REPLAY_STOP)
        print_replays(orders, (enum webhook_order)question->what, question->endpoint, question->number, out);
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
    int64_t now_ms = hub_queue_wall_ms(single->orders->hub);
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

static void on_purged(void *arg, uint64_t n)
{
    struct asked *asked = arg;
    asked->call->removed = n;
    answer(asked->orders, asked->call, 0);
    free(asked);
}

static void purge_all(struct orders *orders, struct webhook_call *call)
{
    struct asked *asked = asked_new(orders, call);
    uint64_t number;
    int err = asked ? replay_begin(orders->replays, &(struct replay_wish){ .action = REPLAY_REMOVE, .endpoint = call->id, .statuses = 1U << DELIVERY_DEAD,
                                                                           .is_quiet = true, .ended = on_purged, .arg = asked }, &number) : 0;
    if (!err)
        return;
    free(asked);
    answer(orders, call, err);
}

static void purge(struct orders *orders, struct webhook_call *call) { (call->delivery ? single : purge_all)(orders, call); }

/* ---- */

void orders_run(struct orders *orders, struct webhook_call *call)
{
    static void (*const run[WEBHOOK_ORDERS])(struct orders *orders, struct webhook_call *call) = {
        [WEBHOOK_CREATE] = create, [WEBHOOK_LIST] = list, [WEBHOOK_SHOW] = show, [WEBHOOK_CHANGE] = patch, [WEBHOOK_DELETE] = remove_it,
        [WEBHOOK_ROTATE] = rotate, [WEBHOOK_TEST] = test, [WEBHOOK_REDELIVER] = single, [WEBHOOK_REDELIVER_DEAD] = redeliver_dead,
        [WEBHOOK_REPLAY] = replay, [WEBHOOK_REPLAYS] = replays, [WEBHOOK_REPLAY_SHOW] = replays, [WEBHOOK_REPLAY_STOP] = replays,
        [WEBHOOK_PURGE_DEAD] = purge,
    };
    run[call->order](orders, call);
}
