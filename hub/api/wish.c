#include "hub/api/wish.h"

#include "hub/api/problem.h"
#include "hub/base/base64.h"
#include "hub/base/duration.h"
#include "hub/base/err.h"
#include "hub/base/name.h"

/* ---- reading ---- */

void wish_read_string(const struct json_object *object, const char *name, struct buf *scratch, struct slice *ret, struct problem *problem)
{
    struct slice value = json_member_find(object, name);
    size_t before = scratch->len;
    if (!value.at || slice_is(value, SLICE("null")))
        return;
    if (json_unquote(value, scratch))
        problem_add(problem, name, ERR_BAD_FIELD, "must be a string");
    else
        *ret = slice(scratch->at + before, scratch->len - before);
}

static bool is_number(struct slice value) { return value.len > 0 && (*value.at == '-' || (*value.at >= '0' && *value.at <= '9')); }

static void read_term(const struct json_object *object, const char *name, struct buf *scratch, struct term *ret, struct problem *problem)
{
    ret->field = name;
    wish_read_string(object, name, scratch, &ret->text, problem);
}

/* The payload is what the string `data` says, and not that string as JSON. */
static void read_encoded(struct slice encoding, struct buf *scratch, struct wish *wish, struct problem *problem)
{
    size_t before = scratch->len, len = 0;
    if (json_unquote(wish->data, scratch)) {
        problem_add(problem, "data", ERR_BAD_FIELD, "with an encoding it is a string");
        return;
    }
    wish->data = slice(scratch->at + before, scratch->len - before);
    wish->kind = slice_is(encoding, SLICE("text")) ? MSG_TEXT : MSG_BINARY;
    if (wish->kind == MSG_TEXT)
        return;
    if (base64_decode(scratch->at + before, wish->data.len, &len))
        problem_add(problem, "data", ERR_BAD_FIELD, "it is not base64 with padding (RFC 4648, section 4)");
    wish->data.len = len;
}

static void read_data(const struct json_object *object, struct buf *scratch, struct wish *wish, struct problem *problem)
{
    struct slice encoding = { 0 };
    wish_read_string(object, "encoding", scratch, &encoding, problem);
    if (!wish->data.at)
        problem_add(problem, "data", ERR_BAD_FIELD, "data is missing");
    else if (slice_is(encoding, SLICE("text")) || slice_is(encoding, SLICE("base64")))
        read_encoded(encoding, scratch, wish, problem);
    else if (encoding.at && !slice_is(encoding, SLICE("json")))
        problem_add(problem, "encoding", ERR_BAD_FIELD, "it is json, text or base64");
}

void wish_read(const struct json_object *object, struct buf *scratch, struct wish *wish, struct problem *problem)
{
    *wish = (struct wish){ .kind = MSG_JSON, .data = json_member_find(object, "data") };
    read_data(object, scratch, wish, problem);
    struct slice ttl = json_member_find(object, "ttl");
    if (is_number(ttl))
        wish->ttl = ttl;
    else
        wish_read_string(object, "ttl", scratch, &wish->ttl, problem);
    wish_read_string(object, "event", scratch, &wish->event, problem);
    wish_read_string(object, "exclude", scratch, &wish->exclude, problem);
    read_term(object, "idempotency_key", scratch, &wish->key, problem);
    read_term(object, "if_position", scratch, &wish->condition, problem);
}

/* ---- is it what it should be ---- */

/* `none`, or the id of a message. */
static void check_condition(struct wish *wish, struct problem *problem)
{
    struct slice text = wish->condition.text;
    if (!text.at)
        return;
    wish->if_position = slice_is(text, SLICE("none")) ? IF_NONE : IF_NEWEST;
    if (wish->if_position == IF_NONE)
        return;
    wish->position = position_parse(text);
    if (wish->position.epoch == 0 || wish->position.seq == 0)
        problem_add(problem, wish->condition.field, ERR_BAD_POSITION, "it is the id of a message, or none");
}

void wish_check(struct wish *wish, size_t most, struct problem *problem)
{
    if (wish->event.at && event_name_check(wish->event))
        problem_add(problem, "event", ERR_BAD_EVENT, NULL);
    if (wish->ttl.at && (!duration_parse(wish->ttl, &wish->ttl_ms) || wish->ttl_ms == 0))
        problem_add(problem, "ttl", ERR_BAD_FIELD, "ttl is a duration such as 250ms, 5s or 10m, and not 0");
    if (wish->exclude.at && client_id_check(wish->exclude))
        problem_add(problem, "exclude", ERR_BAD_CLIENT, NULL);
    if (wish->key.text.at && idempotency_key_check(wish->key.text))
        problem_add(problem, wish->key.field, ERR_BAD_KEY, NULL);
    check_condition(wish, problem);
    if (wish->data.len > most)
        problem_add(problem, "data", ERR_MESSAGE_TOO_LARGE, NULL);
    else if (wish->kind == MSG_TEXT && !utf8_valid(wish->data))
        problem_add(problem, "data", ERR_BAD_UTF8, NULL);
}

/* ---- what becomes of it ---- */

struct msg *wish_message(const struct wish *wish, struct slice channel, struct slice client)
{
    return msg_new(&(struct msg_parts){ .channel = channel, .event = wish->event, .client = client, .exclude = wish->exclude, .data = wish->data,
                                        .trace = wish->trace, .kind = wish->kind, .ttl_ms = wish->ttl_ms });
}

int wish_terms(const struct wish *wish, struct slice scope, struct slice channel, struct publish_call *call)
{
    const char kind = (char)('0' + wish->kind);
    const struct slice content[] = { slice(&kind, 1), wish->event, wish->exclude, wish->ttl, wish->data, wish->condition.text };
    call->if_position = wish->if_position;
    call->position = wish->position;
    call->key = (struct idempotency_key){ 0 };
    return wish->key.text.at ? idempotency_key_make(scope, channel, wish->key.text, content, sizeof content / sizeof *content, &call->key) : 0;
}
