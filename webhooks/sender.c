#include "webhooks/sender.h"

#include "hub/base/clock.h"
#include "hub/base/err.h"
#include "hub/event_body.h"
#include "hub/trace.h"
#include "hub/version.h"

#include <stdlib.h>

struct sender {
    atomic_uint                  refs;
    struct endpoint             *endpoint;
    const struct http_out_rules *rules;
    struct signer               *signer;
    bool                         has_old;      /* it signs with two secrets */
    uint64_t                     spans;        /* trace_next_span; of the port's thread, like the signer */
};

struct sender *sender_new(struct endpoint *endpoint, const struct http_out_rules *rules, int64_t now_s)
{
    struct sender *sender = calloc(1, sizeof *sender);
    if (!sender)
        return NULL;
    atomic_init(&sender->refs, 1);
    sender->endpoint = endpoint_ref(endpoint);
    sender->spans = (uint64_t)clock_mono_us() << 24 ^ endpoint->number;
    sender->rules = rules;
    sender->has_old = endpoint->n_secrets > 1 && now_s < endpoint->old_until_s;
    sender->signer = signer_new(endpoint->scheme, endpoint->secrets, sender->has_old ? endpoint->n_secrets : 1);
    if (sender->signer)
        return sender;
    sender_unref(sender);
    return NULL;
}

struct sender *sender_ref(struct sender *sender)
{
    atomic_fetch_add_explicit(&sender->refs, 1, memory_order_relaxed);
    return sender;
}

void sender_unref(struct sender *sender)
{
    if (!sender || atomic_fetch_sub_explicit(&sender->refs, 1, memory_order_acq_rel) != 1)
        return;
    signer_free(sender->signer);
    endpoint_unref(sender->endpoint);
    free(sender);
}

const struct endpoint *sender_endpoint(const struct sender *sender)         { return sender->endpoint; }
const struct http_out_rules *sender_rules(const struct sender *sender)      { return sender->rules; }
bool sender_is_stale(const struct sender *sender, int64_t now_s)            { return sender->has_old && now_s >= sender->endpoint->old_until_s; }

/* The body once: a second attempt of the same run sends the bytes of the first. */
static void make_body(struct sending *sending)
{
    if (sending->body.len == 0)
        event_body_add(&sending->body, sending->type, sending->msg);
}

static void add_trace(struct sending *sending)
{
    char trace[TRACE_BYTES], text[TRACEPARENT_TEXT];
    trace_of(sending->msg, trace);
    trace_print(trace, trace_next_span(&sending->sender->spans), text);
    buf_add_str(&sending->lines, "traceparent: ");
    buf_add_str(&sending->lines, text);
    buf_add_char(&sending->lines, '\n');
}

int sender_prepare(struct http_out_request *request, struct sending *sending)
{
    const struct endpoint *endpoint = sending->sender->endpoint;
    char id[EVENT_ID_TEXT];
    make_body(sending);
    buf_reset(&sending->lines);
    buf_add_str(&sending->lines, "Content-Type: application/json\nUser-Agent: carillon/" CARILLON_VERSION "\n");
    add_trace(sending);
    buf_add_slice(&sending->lines, endpoint->headers);
    const struct signing signing = {
        .id = slice(id, event_id_print(sending->msg->epoch, sending->msg->seq, id)), .time_s = clock_wall_ms(clock_real()) / 1000,
        .event = event_type_of(sending->type, sending->msg), .body = buf_slice(&sending->body),
    };
    if (!signer_add_headers(sending->sender->signer, &signing, &sending->lines) || sending->body.failed || sending->lines.failed)
        return ERR_MEMORY;
    request->url = endpoint->url;
    request->headers = buf_slice(&sending->lines);
    request->body = buf_slice(&sending->body);
    return 0;
}
