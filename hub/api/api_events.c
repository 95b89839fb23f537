/* api_events.c — events of the application's own: told to the hub, which tells the webhooks that want them; what became of one; which types the
 * hub itself has.
 *
 * Who may tell one: an administrator; or an API key whose grant to publish covers the event's channel. Users' tokens may not, whatever they may
 * publish: partners act on what they are told. */
#include "hub/api/api.h"
#include "hub/api/api_body.h"
#include "hub/api/api_caller.h"
#include "hub/api/delivery_text.h"
#include "hub/api/problem.h"
#include "hub/api/webhook_ask.h"
#include "hub/base/err.h"
#include "hub/config/config.h"
#include "hub/event_body.h"
#include "hub/webhook_id.h"

#include <stdio.h>

/* ---- tell one ---- */

struct wanted {
    struct slice type, channel, data;      /* data: JSON, as it was sent */
    struct slice key;                      /* Idempotency-Key; at NULL: none */
};

static int check_right(const struct api_request *r, struct slice channel)
{
    const struct principal *who = r->principal;
    int err = principal_may(who, OP_ADMIN, SLICE(""));
    if (!err || channel.len == 0 || principal_is_client(who))
        return err;
    return principal_may(who, OP_PUBLISH, channel);
}

static void read_event(struct body_reader *body, struct wanted *wanted)
{
    wanted->type = api_body_string(body, "type", EVENT_NAME_MAX, "1 to 64 of A-Z a-z 0-9 . _ : -");
    wanted->channel = api_body_string(body, "channel", CHANNEL_NAME_MAX, "the name of a channel, which the event is about");
    wanted->data = json_member_find(&body->object, "data");
    if (!wanted->data.at)
        wanted->data = SLICE("null");
    if (!api_body_find(body, "type").at)
        problem_add(body->problem, "type", ERR_BAD_FIELD, "is missing: what has happened? Such as order.created");
    else if (wanted->type.at && event_type_check(wanted->type))
        problem_add(body->problem, "type", ERR_BAD_EVENT, "1 to 64 of A-Z a-z 0-9 . _ : -, and not as the hub's own types begin: message. channel. member. room. webhook. hub.");
    if (wanted->channel.at && channel_name_check(wanted->channel))
        problem_add(body->problem, "channel", ERR_BAD_CHANNEL, NULL);
}

static void read_key(const struct api_request *r, struct wanted *wanted, struct problem *problem)
{
    bool once = api_header_only(r, "idempotency-key", &wanted->key);
    if (!once || (wanted->key.at && idempotency_key_check(wanted->key)))
        problem_add(problem, "Idempotency-Key", ERR_BAD_KEY, once ? NULL : "this header is there more than once");
}

static void check_size(const struct api_request *r, const struct wanted *wanted, struct problem *problem)
{
    const struct config *config = r->api->config;
    size_t most = wanted->channel.len > 0 ? config_channel_rule(config, wanted->channel)->message : config->general_rule.message;
    if (wanted->data.len > most)
        problem_add(problem, "data", ERR_MESSAGE_TOO_LARGE, NULL);
}

/* No channel is called as the target, because of its space: a key that was used to publish there is another one. */
static int make_key(struct api_request *r, const struct wanted *wanted)
{
    const struct slice content[] = { wanted->type, wanted->channel.at ? wanted->channel : SLICE(""), wanted->data };
    r->publish.key = (struct idempotency_key){ 0 };
    return wanted->key.at ? idempotency_key_make(api_caller_name(r->caller), SLICE("POST /v1/events"), wanted->key, content, 3, &r->publish.key) : 0;
}

static void answer_told(struct api_request *r, const struct publish_call *publish)
{
    const struct msg *m = publish->msg;
    char id[EVENT_ID_TEXT], location[sizeof "/v1/events/" + EVENT_ID_TEXT];
    event_id_print(m->epoch, m->seq, id);
    snprintf(location, sizeof location, "/v1/events/%s", id);
    api_answer_header(r, "Location", location);
    if (publish->replayed)
        api_answer_header(r, "Idempotency-Replay", "true");
    struct buf *out = api_answer_begin(r, 201, "application/json");
    buf_addf(out, "{\"id\":\"%s\",\"type\":", id);
    buf_add_json(out, msg_event(m));
    buf_addf(out, ",\"time\":%lld}\n", (long long)m->time_ms);
    api_answer_end(r);
}

static void told(struct call *call)
{
    struct api_request *r = call->owner;
    struct msg *m = r->publish.msg;
    api_caller_give_back(r->caller, msg_size(m));
    if (call->err)
        problem_answer_one(r, NULL, call->err, NULL);
    else
        answer_told(r, &r->publish);
    msg_unref(m);
}

static void tell(struct api_request *r, const struct wanted *wanted)
{
    struct msg *m = msg_new(&(struct msg_parts){ .channel = wanted->channel.at ? wanted->channel : SLICE(""), .event = wanted->type, .data = wanted->data,
                                                  .trace = api_request_trace(r), .kind = MSG_JSON });
    r->publish = (struct publish_call){ .msg = m };
    if (!m || make_key(r, wanted)) {
        msg_unref(m);
        problem_answer_one(r, NULL, ERR_MEMORY, NULL);
        return;
    }
    if (!api_caller_take(r->caller, msg_size(m), r->api->config->limits_caller_bytes)) {
        msg_unref(m);
        problem_answer_one(r, NULL, ERR_TOO_MANY, "this caller has too many publishes under way (limits.caller_bytes)");
        return;
    }
    api_submit(r, CALL_EVENT, msg_size(m), told);
}

void api_tell_event(struct api_request *r)
{
    static const char *const known[] = { "type", "channel", "data", NULL };
    struct problem problem = { 0 };
    struct body_reader body;
    struct wanted wanted = { 0 };
    if (!api_body_begin(r, &problem, known, &body))
        return;
    read_event(&body, &wanted);
    int err = check_right(r, wanted.channel);
    if (err) {
        problem_answer_one(r, NULL, err, "an event needs the operation admin; with an API key the operation publish for its channel is enough");
        return;
    }
    read_key(r, &wanted, &problem);
    check_size(r, &wanted, &problem);
    if (problem.n > 0)
        problem_answer(r, &problem);
    else
        tell(r, &wanted);
}

/* ---- one, and what became of it ---- */

static void show(struct api_request *r, const struct delivery_read *read)
{
    struct buf *out = api_answer_begin(r, 200, "application/json");
    event_body_add(out, (enum event_type)read->event_type, read->event_msg);
    if (out->len > 0)
        out->len--;
    buf_add_str(out, ",\"deliveries\":");
    delivery_text_add_all(out, read->rows, read->n);
    buf_add_str(out, "}\n");
    api_answer_end(r);
}

static void shown(struct call *call)
{
    struct api_request *r = call->owner;
    struct delivery_read read = r->deliveries.read;
    if (call->err)
        problem_answer_one(r, NULL, call->err, NULL);
    else if (!read.event_msg || read.event_msg->epoch != r->event_epoch)
        webhook_answer_not_found(r, "event");
    else
        show(r, &read);
    delivery_read_fini(&read);
}

void api_show_event(struct api_request *r)
{
    if (!r->event) {
        webhook_answer_not_found(r, "event");
        return;
    }
    r->deliveries.read = (struct delivery_read){ .kind = READ_EVENT, .event = r->event, .limit = EVENT_TARGETS, .looks = EVENT_TARGETS, .max_bytes = SIZE_MAX };
    api_submit(r, CALL_DELIVERIES, sizeof r->deliveries, shown);
}

/* ---- types ---- */

void api_list_event_types(struct api_request *r)
{
    struct buf *out = api_answer_begin(r, 200, "application/json");
    const char *parting = "";
    buf_add_str(out, "{\"data\":[");
    for (int type = 0; type < EVENT_OWN; type++, parting = ",") {
        buf_addf(out, "%s{\"type\":\"%s\",\"has_channel\":%s,\"description\":", parting, event_type_text((enum event_type)type),
                 event_type_has_channel((enum event_type)type) ? "true" : "false");
        buf_add_json(out, slice_of(event_type_meaning((enum event_type)type)));
        buf_add_char(out, '}');
    }
    buf_add_str(out, "],\"next_cursor\":null}\n");
    api_answer_end(r);
}
