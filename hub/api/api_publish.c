/* api_publish.c — POST /v1/channels/{channel}/messages: a body of any kind becomes a message and a call to the hub.
 *
 *   Content-Type ─> form ─> read_json | read_form | read_raw ─> struct wish ─> check everything ─> msg ~~hub~~> 201
 *
 * No value is built: the payload is a slice of the body (JSON: the exact bytes of the member `data`), copied once, into the
 * message. All that is wrong is collected before it is told. */
#include "hub/api/api.h"
#include "hub/api/api_caller.h"
#include "hub/api/problem.h"
#include "hub/api/wish.h"
#include "hub/base/err.h"
#include "hub/base/query.h"
#include "hub/config/config.h"
#include "hub/metrics.h"

/* ---- Content-Type ---- */

static struct slice until(struct slice s, char end)
{
    const char *at = s.len ? memchr(s.at, end, s.len) : NULL;
    return slice(s.at, at ? (size_t)(at - s.at) : s.len);
}

static bool is_utf8_name(struct slice charset)
{
    if (charset.len >= 2 && charset.at[0] == '"' && charset.at[charset.len - 1] == '"')
        charset = slice(charset.at + 1, charset.len - 2);
    return slice_is_nocase(charset, SLICE("utf-8")) || slice_is_nocase(charset, SLICE("utf8")) || slice_is_nocase(charset, SLICE("us-ascii"));
}

/* The parameters behind the media type: a charset that is not UTF-8 (or within it) is refused, all else is ignored. */
static bool charset_is_utf8(struct slice parameters)
{
    while (parameters.len > 0) {
        struct slice one = until(slice(parameters.at + 1, parameters.len - 1), ';');
        parameters = slice(one.at + one.len, parameters.len - one.len - 1);
        struct slice name = until(one, '=');
        if (slice_is_nocase(slice_trim(name), SLICE("charset")) && name.len < one.len)
            return is_utf8_name(slice_trim(slice(one.at + name.len + 1, one.len - name.len - 1)));
    }
    return true;
}

/* ---- the three ways to read a body ---- */

/* Decoded into scratch; false: a broken escape. */
static bool decode(struct api_request *r, struct slice value, struct slice *ret)
{
    size_t before = r->scratch.len;
    if (!percent_decode(value, true, &r->scratch))
        return false;
    *ret = slice(r->scratch.at + before, r->scratch.len - before);
    return true;
}

static struct slice *member_named(struct wish *wish, struct slice name)
{
    if (slice_is(name, SLICE("data")))
        return &wish->data;
    if (slice_is(name, SLICE("event")))
        return &wish->event;
    if (slice_is(name, SLICE("exclude")))
        return &wish->exclude;
    return slice_is(name, SLICE("ttl")) ? &wish->ttl : NULL;
}

static const char *field_name(const struct wish *wish, const struct slice *member)
{
    return member == &wish->data ? "data" : member == &wish->event ? "event" : member == &wish->exclude ? "exclude" : "ttl";
}

/* The pairs of a form, or of the query of other bodies (whose `data` is the body). The first of a name counts. An empty
 * value is as if absent, but for data. */
static void read_pairs(struct api_request *r, struct slice pairs, bool with_data, struct wish *wish, struct problem *problem)
{
    struct slice name, value;
    while (query_next(&pairs, &name, &value)) {
        struct slice *member = with_data || api_query_takes(r, name) ? member_named(wish, name) : NULL;
        if (!member || member->at || (member == &wish->data ? !with_data : value.len == 0))
            continue;
        if (!decode(r, value, member)) {
            *member = slice("", 0);
            problem_add(problem, field_name(wish, member), ERR_BAD_FIELD, "a % is followed by two hexadecimal digits");
        }
    }
}

static void read_form(struct api_request *r, struct wish *wish, struct problem *problem)
{
    struct wish form = { 0 };
    struct problem wrong = { 0 };
    read_pairs(r, r->body, true, &form, &wrong);
    wish->kind = MSG_TEXT;
    if (form.data.at) {
        *wish = form;
        wish->kind = MSG_TEXT;
        for (size_t i = 0; i < wrong.n; i++)
            problem_add(problem, wrong.found[i].field, wrong.found[i].err, wrong.found[i].detail);
    } else {
        wish->data = r->body;
    }
    read_pairs(r, r->query, false, wish, problem);
}

static void read_json(struct api_request *r, struct wish *wish, struct problem *problem)
{
    struct json_object object;
    int err = json_object_parse(r->body, &object);
    if (err) {
        problem_add(problem, NULL, err, err == ERR_BAD_REQUEST ? "the body must be a JSON object of at most 32 members" : NULL);
        return;
    }
    wish_read(&object, &r->scratch, wish, problem);
}

static void read_raw(struct api_request *r, enum msg_kind kind, struct wish *wish, struct problem *problem)
{
    wish->kind = kind;
    wish->data = r->body;
    read_pairs(r, r->query, false, wish, problem);
}

static void read_body(struct api_request *r, struct wish *wish, struct problem *problem)
{
    struct slice header = api_header_find(r, "content-type"), type = slice_trim(until(header, ';'));
    bool is_json = slice_is_nocase(type, SLICE("application/json")), is_form = slice_is_nocase(type, SLICE("application/x-www-form-urlencoded"));
    bool is_text = type.len > 5 && slice_is_nocase(slice(type.at, 5), SLICE("text/"));
    size_t type_end = until(header, ';').len;
    if ((is_json || is_form || is_text) && !charset_is_utf8(slice(header.at + type_end, header.len - type_end)))
        problem_add(problem, "Content-Type", ERR_BAD_UTF8, "the charset must be UTF-8");
    else if (is_json)
        read_json(r, wish, problem);
    else if (is_form)
        read_form(r, wish, problem);
    else
        read_raw(r, is_text ? MSG_TEXT : MSG_BINARY, wish, problem);
}

/* ---- headers of publishes that are safe to retry ---- */

/* A header that is there twice says nothing: which of them should count? Nor does one beside a member that says the same. */
static void read_term(const struct api_request *r, const char *name, int err, struct term *term, struct problem *problem)
{
    struct slice text = { 0 };
    bool once = api_header_only(r, name, &text);
    if (!once || (text.at && term->text.at))
        problem_add(problem, name, err, once ? "it is in the body too" : "this header is there more than once");
    else if (text.at)
        *term = (struct term){ text, name };
}

static void read_headers(struct api_request *r, struct wish *wish, struct problem *problem)
{
    read_term(r, "If-Position", ERR_BAD_POSITION, &wish->condition, problem);
    read_term(r, "Idempotency-Key", ERR_BAD_KEY, &wish->key, problem);
    wish->trace = api_request_trace(r);
}

/* ---- there and back ---- */

static void answer_published(struct api_request *r, const struct publish_call *publish)
{
    struct buf *out = api_answer_begin(r, 201, "application/json");
    if (publish->replayed)
        api_answer_header(r, "Idempotency-Replay", "true");
    buf_add_char(out, '{');
    buf_add_published(out, publish);
    buf_add(out, "}\n", 2);
    api_answer_end(r);
}

static void published(struct call *call)
{
    struct api_request *r = call->owner;
    struct msg *m = r->publish.msg;
    api_caller_give_back(r->caller, msg_size(m));
    metric_time_us(TIME_PUBLISH, r->api->now_us - r->arrived_us);
    if (call->err)
        problem_answer_one(r, NULL, call->err, NULL);
    else
        answer_published(r, &r->publish);
    msg_unref(m);
}

void api_publish(struct api_request *r)
{
    struct wish wish = { 0 };
    struct problem problem = { 0 };
    buf_reset(&r->scratch);
    if (!buf_room(&r->scratch, r->body.len + 2 * r->query.len)) {
        problem_answer_one(r, NULL, ERR_MEMORY, NULL);
        return;
    }
    if (r->channel_err)
        problem_add(&problem, "channel", r->channel_err, NULL);
    const struct channel_rule *rule = config_channel_rule(r->api->config, r->channel);
    if (!rule->publish && principal_is_client(r->session->principal)) {
        problem_answer_one(r, NULL, ERR_NO_PUBLISH, NULL);
        return;
    }
    read_body(r, &wish, &problem);
    read_headers(r, &wish, &problem);
    wish_check(&wish, rule->message, &problem);
    if (problem.n > 0) {
        problem_answer(r, &problem);
        return;
    }
    struct msg *m = wish_message(&wish, r->channel, SLICE(""));
    if (!m || wish_terms(&wish, api_caller_name(r->caller), r->channel, &r->publish)) {
        msg_unref(m);
        problem_answer_one(r, NULL, ERR_MEMORY, NULL);
        return;
    }
    if (!api_caller_take(r->caller, msg_size(m), r->api->config->limits_caller_bytes)) {
        msg_unref(m);
        problem_answer_one(r, NULL, ERR_TOO_MANY, "this caller has too many publishes under way (limits.caller_bytes)");
        return;
    }
    r->publish.msg = m;
    r->publish.subscribers = 0;
    r->publish.replayed = false;
    api_submit(r, CALL_PUBLISH, msg_size(m), published);
}
