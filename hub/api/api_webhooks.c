/* api_webhooks.c — webhooks: registered, listed, shown, changed, removed, tested, and what they were sent is sent again. What their documents
 * mean is not known here (webhook_call.h); here are their routes, statuses and versions.
 *
 * A webhook's version is its ETag. Who changes or removes one says with If-Match which he has seen, or does without. */
#include "hub/api/api.h"
#include "hub/api/api_list.h"
#include "hub/api/problem.h"
#include "hub/api/webhook_ask.h"
#include "hub/base/err.h"
#include "hub/base/json.h"
#include "hub/webhook_id.h"

#include <stdio.h>

static const uint32_t NO_VERSION = UINT32_MAX;      /* none has it */

/* ---- what is sent along ---- */

/* An entity tag that is none of ours names another version than there is. */
static bool read_if_match(struct api_request *r, uint32_t *ret_version)
{
    struct slice value;
    uint64_t version;
    bool once = api_header_only(r, "if-match", &value);
    *ret_version = 0;
    if (once && (!value.at || slice_is(value, SLICE("*"))))
        return true;
    bool is_tag = once && value.len >= 2 && value.at[value.len - 1] == '"' && !memchr(value.at, ',', value.len) &&
                  (value.at[0] == '"' || slice_begins(value, SLICE("W/\"")));
    if (!is_tag) {
        problem_answer_one(r, "If-Match", ERR_BAD_FIELD, "it is one ETag, with its quotes, or *");
        return false;
    }
    bool is_ours = slice_u64(slice(value.at + 1, value.len - 2), &version) && version > 0 && version < NO_VERSION;
    *ret_version = is_ours ? (uint32_t)version : NO_VERSION;
    return true;
}

/* The body is a JSON object (or, where `optional`, nothing). */
static bool check_document(struct api_request *r, bool optional)
{
    struct json_object object;
    if (optional && r->body.len == 0)
        return true;
    int err = json_object_parse(r->body, &object);
    if (err)
        problem_answer_one(r, NULL, err, err == ERR_BAD_REQUEST ? "the body must be a JSON object of at most 32 members" : NULL);
    return !err;
}

/* A secret is shown once and not kept for answers, so this one could not be given again: better to say so than to make two. */
static bool refuses_idempotency_key(struct api_request *r)
{
    if (!api_header_find(r, "idempotency-key").at)
        return false;
    problem_answer_one(r, "Idempotency-Key", ERR_BAD_KEY, "this request cannot be replayed, because a secret is shown only once");
    return true;
}

/* ---- answers ---- */

static void add_version(struct api_request *r, const struct webhook_call *ask)
{
    char etag[16];
    snprintf(etag, sizeof etag, "\"%u\"", ask->version);
    api_answer_header(r, "ETag", etag);
}

/* What was changed, and whether that is still so after a crash. */
static void answer_changed(struct api_request *r, int status, const struct webhook_call *ask)
{
    char id[WEBHOOK_ID_TEXT], location[sizeof "/v1/webhooks/" + WEBHOOK_ID_TEXT];
    webhook_id_print(ask->id, id);
    r->item = slice_of(id);
    add_version(r, ask);
    if (status == 201) {
        snprintf(location, sizeof location, "/v1/webhooks/%s", id);
        api_answer_header(r, "Location", location);
    }
    struct buf *out = api_answer_begin(r, status, "application/json");
    buf_add_slice(out, slice(ask->text.at, ask->text.len - 1));
    buf_addf(out, ",\"durable\":%s}\n", ask->durable ? "true" : "false");
    api_answer_end(r);
}

static void answer_made(struct api_request *r, struct webhook_call *ask)  { answer_changed(r, 201, ask); }
static void answer_other(struct api_request *r, struct webhook_call *ask) { answer_changed(r, 200, ask); }

static void answer_shown(struct api_request *r, struct webhook_call *ask)
{
    add_version(r, ask);
    webhook_ask_answer(r, ask);
}

static void answer_gone(struct api_request *r, struct webhook_call *ask)
{
    (void)ask;
    api_answer_begin(r, 204, NULL);
    api_answer_end(r);
}

/* ---- one webhook ---- */

/* An order about the webhook of the path; NULL: it is answered. */
static struct webhook_call *ask_of(struct api_request *r, enum webhook_order order)
{
    if (r->webhook)
        return webhook_ask_new(r, order);
    webhook_answer_not_found(r, "webhook");
    return NULL;
}

void api_make_webhook(struct api_request *r)
{
    if (refuses_idempotency_key(r) || !check_document(r, false))
        return;
    struct webhook_call *ask = webhook_ask_new(r, WEBHOOK_CREATE);
    if (!ask)
        return;
    ask->document = r->body;
    webhook_ask_submit(ask, answer_made);
}

void api_show_webhook(struct api_request *r)
{
    struct webhook_call *ask = ask_of(r, WEBHOOK_SHOW);
    if (ask)
        webhook_ask_submit(ask, answer_shown);
}

/* With a body, or without one where nothing is to be said. */
static void order_with_document(struct api_request *r, enum webhook_order order, bool optional, void (*done)(struct api_request *r, struct webhook_call *ask))
{
    struct webhook_call *ask = check_document(r, optional) ? ask_of(r, order) : NULL;
    if (!ask)
        return;
    ask->document = r->body;
    webhook_ask_submit(ask, done);
}

void api_change_webhook(struct api_request *r)
{
    uint32_t version;
    struct webhook_call *ask = read_if_match(r, &version) && check_document(r, false) ? ask_of(r, WEBHOOK_CHANGE) : NULL;
    if (!ask)
        return;
    ask->if_version = version;
    ask->document = r->body;
    webhook_ask_submit(ask, answer_other);
}

void api_remove_webhook(struct api_request *r)
{
    uint32_t version;
    struct webhook_call *ask = read_if_match(r, &version) ? ask_of(r, WEBHOOK_DELETE) : NULL;
    if (!ask)
        return;
    ask->if_version = version;
    webhook_ask_submit(ask, answer_gone);
}

void api_rotate_webhook_secret(struct api_request *r)
{
    if (!refuses_idempotency_key(r))
        order_with_document(r, WEBHOOK_ROTATE, true, answer_other);
}

void api_test_webhook(struct api_request *r)
{
    struct webhook_call *ask = ask_of(r, WEBHOOK_TEST);
    if (ask)
        webhook_ask_submit(ask, webhook_ask_answer_later);
}

/* ---- replays ---- */

void api_replay_webhook(struct api_request *r) { order_with_document(r, WEBHOOK_REPLAY, true, webhook_ask_answer_later); }

static void answer_replays(struct api_request *r, struct webhook_call *ask)
{
    struct buf *out = api_answer_begin(r, 200, "application/json");
    buf_add_str(out, "{\"data\":[");
    buf_add_slice(out, buf_slice(&ask->text));
    buf_add_str(out, "],\"next_cursor\":null}\n");
    api_answer_end(r);
}

void api_list_replays(struct api_request *r)
{
    struct webhook_call *ask = ask_of(r, WEBHOOK_REPLAYS);
    if (ask)
        webhook_ask_submit(ask, answer_replays);
}

static void order_of_replay(struct api_request *r, enum webhook_order order)
{
    if (!r->replay || !r->webhook) {
        webhook_answer_not_found(r, "replay");
        return;
    }
    struct webhook_call *ask = webhook_ask_new(r, order);
    if (ask)
        webhook_ask_submit(ask, webhook_ask_answer);
}

void api_show_replay(struct api_request *r) { order_of_replay(r, WEBHOOK_REPLAY_SHOW); }
void api_stop_replay(struct api_request *r) { order_of_replay(r, WEBHOOK_REPLAY_STOP); }

/* ---- all of them ---- */

static void answer_page(struct api_request *r, struct webhook_call *ask)
{
    char id[WEBHOOK_ID_TEXT];
    struct buf *out = api_answer_begin(r, 200, "application/json");
    buf_add_str(out, "{\"data\":[");
    buf_add_slice(out, buf_slice(&ask->text));
    if (ask->more) {
        webhook_id_print(ask->upto, id);
        buf_addf(out, "],\"next_cursor\":\"%s\"}\n", id);
        api_list_link(r, NULL, 0, slice_of(id));
    } else {
        buf_add_str(out, "],\"next_cursor\":null}\n");
    }
    api_answer_end(r);
}

void api_list_webhooks(struct api_request *r)
{
    struct problem problem = { 0 };
    if (!api_list_begin(r))
        return;
    api_list_limit(r, &problem);
    struct slice cursor = api_list_value(r, "cursor", &problem);
    uint64_t after = webhook_id_read(cursor);
    if (cursor.len > 0 && !after)
        problem_add(&problem, "cursor", ERR_BAD_FIELD, "it is the next_cursor of a page");
    if (problem.n > 0) {
        problem_answer(r, &problem);
        return;
    }
    struct webhook_call *ask = webhook_ask_new(r, WEBHOOK_LIST);
    if (!ask)
        return;
    ask->after = after;
    ask->limit = r->limit;
    webhook_ask_submit(ask, answer_page);
}
