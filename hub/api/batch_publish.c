#include "hub/api/batch_publish.h"

#include "hub/access/authority.h"
#include "hub/api/api_caller.h"
#include "hub/base/clock.h"
#include "hub/base/err.h"
#include "hub/config/config.h"
#include "hub/metrics.h"

/* ---- may it go ---- */

/* What a message may be beside its payload. */
enum { BESIDE_PAYLOAD = sizeof(struct msg) + CHANNEL_NAME_MAX + EVENT_NAME_MAX + 2 * CLIENT_ID_MAX };

/* What is under way of this batch makes room when it comes back. With nothing under way it waits for others of the caller. Half of
 * what a caller may have is left to those who cannot wait. */
bool batch_can_send(struct batch *batch)
{
    const struct api_request *r = batch->request;
    size_t bytes = r->api->config->message_most + BESIDE_PAYLOAD, most = r->api->config->limits_caller_bytes / 2;
    if (batch->n_calls == 0)
        return api_caller_may_take(r->caller, bytes, most, &batch->waiter);
    return batch->n_items < BATCH_ITEMS && batch->n_calls < BATCH_ITEMS && batch->bytes < BATCH_BYTES && post_has_room(r->api->to_hub) &&
           api_caller_has_room(r->caller, bytes, most);
}

int batch_take_rate(struct batch *batch, uint64_t n, int64_t *ret_retry_s)
{
    struct api_request *r = batch->request;
    const struct rate_subject subject = { .principal = r->principal, .address = r->address };
    struct rate_verdict verdict = { 0 };
    int err = rates_take(authority_rates(r->api->authority), r->api->config, &subject, RATE_PUBLISHES, n, clock_mono_ms(r->api->clock), &verdict);
    if (err) {
        metric_rate_limited(verdict.index);
        *ret_retry_s = verdict.retry_s;
    }
    return err;
}

int batch_may_publish(const struct batch *batch, struct slice channel, size_t bytes, bool granted)
{
    const struct api_request *r = batch->request;
    const struct channel_rule *rule = config_channel_rule(r->api->config, channel);
    int err = granted ? 0 : principal_may(r->principal, OP_PUBLISH, channel);
    if (!err && !rule->publish && principal_is_client(r->principal))
        err = ERR_NO_PUBLISH;
    return err ? err : bytes > rule->message ? ERR_MESSAGE_TOO_LARGE : 0;
}

/* ---- there and back ---- */

void batch_submit(struct batch_item *item, enum letter_kind kind, size_t bytes, void (*answered)(struct call *call))
{
    struct api *api = item->batch->request->api;
    item->call.letter.kind = kind;
    item->call.from = api->peer;
    item->call.answered = answered;
    item->call.owner = item;
    item->since_us = api->now_us;
    item->batch->n_calls++;
    call_submit(api->to_hub, &item->call, bytes);
    api->submitted++;
}

static void part_came(struct batch_item *part)
{
    struct batch_item *pattern = part->of;
    pattern->n_successful += !part->err;
    pattern->n_replayed += !part->err && part->publish.replayed;
    if (part->err && !pattern->part_err)
        pattern->part_err = part->err;
    batch_item_free(part);
    batch_item_part_came(pattern);
}

static void published(struct call *call)
{
    struct batch_item *item = call->owner;
    struct batch *batch = item->batch;
    batch->n_calls--;
    batch->bytes -= msg_size(item->msg);
    api_caller_give_back(batch->request->caller, msg_size(item->msg));
    metric_time_us(TIME_PUBLISH, batch->request->api->now_us - item->since_us);
    item->done = true;
    if (call->err)
        batch_item_fail(item, call->err, NULL, NULL);
    if (call->err && !item->of)
        item->name = slice_copy(msg_channel(item->msg));
    if (item->of)
        part_came(item);
    batch->answered(batch);
}

int batch_publish(struct batch_item *item, struct msg *m)
{
    struct batch *batch = item->batch;
    struct api_request *r = batch->request;
    if (!m)
        return ERR_MEMORY;
    api_caller_take(r->caller, msg_size(m), SIZE_MAX);      /* batch_can_send has asked */
    batch->bytes += msg_size(m);
    item->msg = item->publish.msg = m;
    batch_submit(item, CALL_PUBLISH, msg_size(m), published);
    return 0;
}
