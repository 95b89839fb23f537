/* api_deliveries.c — what was sent to webhooks, is still to be, or has failed for the last time: listed, shown with each attempt, sent again,
 * removed.
 *
 * Lists look through what is kept, the newest first, LOOKS at a time so that others are served in between; a request goes on while it has
 * found nothing, ROUNDS times. A page may have fewer than `limit`, or none, with more behind it. */
#include "hub/api/api.h"
#include "hub/api/api_body.h"
#include "hub/api/api_list.h"
#include "hub/api/delivery_text.h"
#include "hub/api/problem.h"
#include "hub/api/webhook_ask.h"
#include "hub/base/err.h"
#include "hub/base/instant.h"
#include "hub/webhook_id.h"

enum { LOOKS = 5000, ROUNDS = 40, FILTERS = 6 };

/* ---- lists ---- */

/* What a list was asked to show only, as it was said: for the Link of its next page. */
static size_t filters_of(struct api_request *r, struct list_filter filters[FILTERS])
{
    static const char *const names[FILTERS] = { "webhook", "endpoint", "status", "channel", "since", "event" };
    struct problem ignored = { 0 };
    size_t n = 0;
    for (size_t i = 0; i < FILTERS; i++)
        if (api_query_takes(r, slice_of(names[i])))
            filters[n++] = (struct list_filter){ names[i], api_list_value(r, names[i], &ignored) };
    return n;
}

static void answer_page(struct api_request *r)
{
    const struct delivery_read *read = &r->deliveries.read;
    struct list_filter filters[FILTERS];
    char cursor[DELIVERY_ID_TEXT];
    struct buf *out = api_answer_begin(r, 200, "application/json");
    buf_add_str(out, "{\"data\":");
    delivery_text_add_all(out, read->rows, read->n);
    if (read->more) {
        buf_reset(&r->scratch);
        delivery_id_print(read->upto, cursor);
        buf_addf(out, ",\"next_cursor\":\"%s\"}\n", cursor);
        api_list_link(r, filters, filters_of(r, filters), slice_of(cursor));
    } else {
        buf_add_str(out, ",\"next_cursor\":null}\n");
    }
    api_answer_end(r);
}

static void submit(struct api_request *r, void (*answered)(struct call *call))
{
    r->deliveries.read.looks = LOOKS;
    r->deliveries.read.max_bytes = API_PAGE_BYTES;
    api_submit(r, CALL_DELIVERIES, sizeof r->deliveries, answered);
}

static void listed(struct call *call)
{
    struct api_request *r = call->owner;
    struct delivery_read read = r->deliveries.read;
    if (call->err) {
        problem_answer_one(r, NULL, call->err, NULL);
        return;
    }
    if (read.n == 0 && read.more && --r->rounds > 0) {
        r->deliveries.read.after = read.upto;
        submit(r, listed);
        return;
    }
    answer_page(r);      /* the request may be gone now */
    delivery_read_fini(&read);
}

/* ?webhook=, ?event= and the cursor are ids; 0: not asked. */
static uint64_t read_id(struct api_request *r, const char *name, uint64_t (*read)(struct slice id), const char *form, struct problem *problem)
{
    struct slice text = api_list_value(r, name, problem);
    uint64_t number = read(text);
    if (text.len > 0 && !number)
        problem_add(problem, name, ERR_BAD_FIELD, form);
    return number;
}

/* A webhook is called an endpoint by some, and a filter that was passed over would show what is not theirs. */
static uint64_t read_webhook(struct api_request *r, struct problem *problem)
{
    static const char form[] = "it is the id of a webhook, wh_…";
    uint64_t number = read_id(r, "webhook", webhook_id_read, form, problem), same = read_id(r, "endpoint", webhook_id_read, form, problem);
    if (number && same && number != same)
        problem_add(problem, "endpoint", ERR_BAD_FIELD, "it is another name of webhook, which says something else");
    return number ? number : same;
}

static uint64_t read_event_id(struct slice id)
{
    uint64_t epoch;
    return event_id_read(id, &epoch);
}

static unsigned read_status(struct api_request *r, struct problem *problem)
{
    struct slice text = api_list_value(r, "status", problem);
    if (text.len == 0)
        return 0;
    for (unsigned i = 0; i < DELIVERY_STATUSES; i++)
        if (slice_is(text, slice_of(delivery_status_names[i])))
            return 1U << i;
    problem_add(problem, "status", ERR_BAD_FIELD, "it is pending, delivered or dead");
    return 0;
}

static int64_t read_since(struct api_request *r, struct problem *problem)
{
    struct slice text = api_list_value(r, "since", problem);
    int64_t ms = 0;
    if (text.len > 0 && !instant_parse_ms(text, &ms))
        problem_add(problem, "since", ERR_BAD_FIELD, "it is a moment such as 2026-11-21T10:08:00Z");
    return ms;
}

static void list(struct api_request *r, unsigned statuses)
{
    struct problem problem = { 0 };
    if (!api_list_begin(r))
        return;
    api_list_limit(r, &problem);
    r->deliveries.read = (struct delivery_read){
        .kind = READ_NEWEST, .limit = r->limit, .statuses = statuses ? statuses : read_status(r, &problem),
        .endpoint = read_webhook(r, &problem),
        .event = read_id(r, "event", read_event_id, "it is the id of an event, evt_…", &problem),
        .after = read_id(r, "cursor", delivery_id_read, "it is the next_cursor of a page", &problem),
        .channel = api_list_value(r, "channel", &problem), .since_ms = read_since(r, &problem),
    };
    r->rounds = ROUNDS;
    if (problem.n > 0)
        problem_answer(r, &problem);
    else
        submit(r, listed);
}

void api_list_deliveries(struct api_request *r)   { list(r, 0); }
void api_list_dead_letters(struct api_request *r) { list(r, 1U << DELIVERY_DEAD); }

/* ---- one ---- */

static void show(struct api_request *r, const struct delivery *row)
{
    struct buf *out = api_answer_begin(r, 200, "application/json");
    delivery_text_add(out, row);
    delivery_text_add_whole(out, row);
    buf_add_str(out, "}\n");
    api_answer_end(r);
}

static void shown(struct call *call)
{
    struct api_request *r = call->owner;
    struct delivery_read read = r->deliveries.read;
    bool dead_only = read.statuses != 0;
    if (call->err)
        problem_answer_one(r, NULL, call->err, NULL);
    else if (read.n == 0 || (dead_only && read.rows->status != DELIVERY_DEAD))
        webhook_answer_not_found(r, dead_only ? "dead letter" : "delivery");
    else
        show(r, read.rows);
    delivery_read_fini(&read);
}

static void show_one(struct api_request *r, unsigned statuses)
{
    if (!r->delivery) {
        webhook_answer_not_found(r, statuses ? "dead letter" : "delivery");
        return;
    }
    r->deliveries.read = (struct delivery_read){ .kind = READ_ONE, .after = r->delivery, .limit = 1, .statuses = statuses, .with_message = true };
    submit(r, shown);
}

void api_show_delivery(struct api_request *r)    { show_one(r, 0); }
void api_show_dead_letter(struct api_request *r) { show_one(r, 1U << DELIVERY_DEAD); }

static void answer_redelivered(struct api_request *r, struct webhook_call *ask)
{
    char id[DELIVERY_ID_TEXT];
    delivery_id_print(ask->delivery, id);
    struct buf *out = api_answer_begin(r, 202, "application/json");
    buf_addf(out, "{\"id\":\"%s\",\"status\":\"pending\"}\n", id);
    api_answer_end(r);
}

static void answer_gone(struct api_request *r, struct webhook_call *ask)
{
    (void)ask;
    api_answer_begin(r, 204, NULL);
    api_answer_end(r);
}

static void order(struct api_request *r, enum webhook_order order, void (*done)(struct api_request *r, struct webhook_call *ask))
{
    struct webhook_call *ask = r->delivery ? webhook_ask_new(r, order) : NULL;
    if (ask)
        webhook_ask_submit(ask, done);
    else if (!r->delivery)
        webhook_answer_not_found(r, "delivery");
}

void api_redeliver(struct api_request *r)          { order(r, WEBHOOK_REDELIVER, answer_redelivered); }
void api_remove_dead_letter(struct api_request *r) { order(r, WEBHOOK_PURGE_DEAD, answer_gone); }

/* ---- all dead letters of a webhook ---- */

void api_redeliver_dead_letters(struct api_request *r)
{
    static const char *const known[] = { "webhook", "endpoint", NULL };
    struct problem problem = { 0 };
    struct body_reader body;
    if (!api_body_begin(r, &problem, known, &body))
        return;
    bool other = api_body_find(&body, "endpoint").at;
    const char *name = other ? "endpoint" : "webhook";
    if (other && api_body_find(&body, "webhook").at)
        problem_add(&problem, name, ERR_BAD_FIELD, "it is another name of webhook: say one of them");
    struct slice id = api_body_string(&body, name, WEBHOOK_ID_TEXT, "it is the id of a webhook, wh_…");
    if (problem.n == 0 && !webhook_id_read(id))
        problem_add(&problem, "webhook", ERR_BAD_FIELD, id.at ? "it is the id of a webhook, wh_…" : "is missing: whose dead letters?");
    if (problem.n > 0) {
        problem_answer(r, &problem);
        return;
    }
    r->webhook = webhook_id_read(id);
    r->item = id;
    struct webhook_call *ask = webhook_ask_new(r, WEBHOOK_REDELIVER_DEAD);
    if (ask)
        webhook_ask_submit(ask, webhook_ask_answer_later);
}

static void answer_removed(struct api_request *r, struct webhook_call *ask)
{
    struct buf *out = api_answer_begin(r, 200, "application/json");
    buf_addf(out, "{\"removed\":%llu}\n", (unsigned long long)ask->removed);
    api_answer_end(r);
}

/* Whose has to be said: a parameter that is misspelt must not remove all there are. */
void api_remove_dead_letters(struct api_request *r)
{
    struct problem problem = { 0 };
    if (!api_list_begin(r))
        return;
    struct slice id = api_list_value(r, "webhook", &problem);
    if (id.len == 0)
        id = api_list_value(r, "endpoint", &problem);
    bool of_all = slice_is(id, SLICE("*"));
    r->webhook = webhook_id_read(id);
    if (problem.n == 0 && !of_all && !r->webhook)
        problem_add(&problem, "webhook", ERR_BAD_FIELD, "say whose: the id of a webhook, wh_…, or * for all of them");
    if (problem.n > 0) {
        problem_answer(r, &problem);
        return;
    }
    r->item = id;
    struct webhook_call *ask = webhook_ask_new(r, WEBHOOK_PURGE_DEAD);
    if (ask)
        webhook_ask_submit(ask, answer_removed);
}
