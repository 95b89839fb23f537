#include "hub/api/batch.h"

#include "hub/access/access.h"
#include "hub/api/api_caller.h"
#include "hub/api/batch_publish.h"
#include "hub/api/batch_target.h"
#include "hub/api/problem.h"
#include "hub/api/wish.h"
#include "hub/base/err.h"
#include "hub/config/config.h"

#include <stdlib.h>

/* An item's text may have to be decoded, and may need a name for its user's channel and a key. */
enum { SCRATCH_BESIDE_TEXT = sizeof USER_CHANNEL_PREFIX + IDEMPOTENCY_KEY_MAX + 32 };

/* ---- results ---- */

bool batch_tell(struct batch *batch)
{
    struct buf *out = &batch->request->answer;
    struct link *first;
    bool any = false;
    while ((first = list_first(&batch->items)) && link_of(first, struct batch_item, link)->done) {
        struct batch_item *item = link_of(first, struct batch_item, link);
        bool good = batch_item_is_good(item);
        batch->successful += good;
        batch->failed += !good;
        batch->replayed += good && (item->is_pattern ? item->n_replayed > 0 && item->n_replayed == item->n_channels : item->publish.replayed);
        batch_item_add_result(item, out);
        buf_add_str(out, batch->after_result);
        batch_item_free(item);
        batch->n_items--;
        any = true;
    }
    return any;
}

void batch_add_summary(const struct batch *batch, struct buf *out)
{
    buf_addf(out, "\"summary\":{\"total\":%llu,\"successful\":%llu,\"failed\":%llu}", (unsigned long long)(batch->successful + batch->failed),
             (unsigned long long)batch->successful, (unsigned long long)batch->failed);
}

bool batch_is_empty(const struct batch *batch) { return batch->n_items == 0 && !spread_under_way(&batch->spread); }

/* It may be gone afterwards. */
static void answered(struct batch *batch)
{
    bool spreading = spread_under_way(&batch->spread);
    spread_go_on(batch);
    bool told = batch_tell(batch);
    if (told || (spreading && !spread_under_way(&batch->spread)))
        batch->on_moved(batch);
}

/* Others of the caller have made room. */
static void go_on(struct api_caller_waiter *waiter)
{
    struct batch *batch = link_of(waiter, struct batch, waiter);
    if (spread_under_way(&batch->spread))
        answered(batch);
    else
        batch->on_moved(batch);
}

/* ---- an item ---- */

size_t batch_messages(struct slice text)
{
    struct json_object object;
    return json_object_parse(text, &object) ? 1 : batch_target_count(&object);
}

static void refuse(struct batch *batch, int err, const char *field, const char *detail, int64_t retry_s)
{
    struct batch_item *item = batch_item_in_order(batch, batch->next++);
    if (!item)
        return;
    batch_item_fail(item, err, field, detail);
    item->retry_s = retry_s;
}

void batch_add_error(struct batch *batch, int err, const char *detail) { refuse(batch, err, NULL, detail, 0); }

/* Many channels have no newest message that they share. */
static void check_condition(const struct wish *wish, const struct batch_target *target, struct problem *problem)
{
    if (wish->condition.text.at && !target->channel.at)
        problem_add(problem, wish->condition.field, ERR_BAD_FIELD, "if_position is for one channel");
}

/* A key of the whole request is one for each item: a line end, which no key has, and the item's index make it that. */
static void derive_key(struct batch *batch, struct wish *wish)
{
    struct buf *scratch = &batch->scratch;
    size_t before = scratch->len;
    if (wish->key.text.at || batch->key.len == 0)
        return;
    buf_add_slice(scratch, batch->key);
    buf_add_char(scratch, '\n');
    buf_add_u64(scratch, batch->next);
    wish->key.text = slice(scratch->at + before, scratch->len - before);
}

/* What the item says, checked; the first thing that is wrong with it is its result. */
static void read_item(struct batch *batch, struct slice text, struct wish *wish, struct batch_target *target, struct problem *problem)
{
    struct json_object object;
    int err = json_object_parse(text, &object);
    if (err) {
        problem_add(problem, NULL, err, err == ERR_BAD_REQUEST ? "not a JSON object of at most 32 members" : NULL);
        return;
    }
    batch_target_read(&object, &batch->scratch, target, problem);
    wish_read(&object, &batch->scratch, wish, problem);
    wish->trace = batch->trace;
    wish_check(wish, batch->request->api->config->message_most, problem);
    check_condition(wish, target, problem);
    derive_key(batch, wish);
}

static int publish_to_channel(struct batch_item *item, struct slice channel, const struct wish *wish)
{
    const struct batch *batch = item->batch;
    int err = batch_may_publish(batch, channel, wish->data.len, false);
    if (!err)
        err = wish_terms(wish, api_caller_name(batch->request->caller), channel, &item->publish);
    if (!err)
        err = batch_publish(item, wish_message(wish, channel, SLICE("")));
    if (err)
        item->name = slice_copy(channel);
    return err;
}

static int publish_to_pattern(struct batch_item *item, struct slice pattern, const struct wish *wish)
{
    struct batch *batch = item->batch;
    int err = principal_may(batch->request->principal, OP_PUBLISH, pattern);
    return err ? err : spread_pattern(batch, item, pattern, wish);
}

static void go(struct batch *batch, const struct batch_target *target, const struct wish *wish)
{
    uint64_t index = batch->next++;
    int err = target->channels.at ? spread_channels(batch, index, target->channels, wish) : 0;
    if (target->channels.at && !err)
        return;
    struct batch_item *item = batch_item_in_order(batch, index);
    if (!item)
        return;
    if (!err)
        err = target->pattern.at ? publish_to_pattern(item, target->pattern, wish) : publish_to_channel(item, target->channel, wish);
    if (err)
        batch_item_fail(item, err, NULL, NULL);
}

void batch_add(struct batch *batch, struct slice text)
{
    struct problem problem = { 0 };
    struct wish wish = { 0 };
    struct batch_target target = { 0 };
    int64_t retry_s = 0;
    buf_reset(&batch->scratch);
    int err = batch_take_rate(batch, 1, &retry_s);
    if (!err && !buf_room(&batch->scratch, text.len * 2 + SCRATCH_BESIDE_TEXT))
        err = ERR_MEMORY;
    if (err) {
        refuse(batch, err, NULL, NULL, retry_s);
        return;
    }
    read_item(batch, text, &wish, &target, &problem);
    if (problem.n > 0)
        refuse(batch, problem.found[0].err, problem.found[0].field, problem.found[0].detail, 0);
    else
        go(batch, &target, &wish);
}

/* ---- life ---- */

struct batch *batch_new(struct api_request *request, struct slice key, const char *after_result, void (*on_moved)(struct batch *batch))
{
    struct batch *batch = calloc(1, sizeof *batch);
    if (!batch)
        return NULL;
    *batch = (struct batch){ .request = request, .key = key, .trace = api_request_trace(request), .after_result = after_result, .on_moved = on_moved, .answered = answered, .waiter.go_on = go_on };
    link_init(&batch->items);
    link_init(&batch->parts);
    link_init(&batch->waiter.link);
    return batch;
}

bool batch_is_full(const struct batch *batch)
{
    return spread_under_way(&batch->spread) || batch->n_items >= BATCH_ITEMS || batch->bytes >= BATCH_BYTES;
}

bool batch_has_room(struct batch *batch) { return !batch_is_full(batch) && batch_can_send(batch); }

static void free_items(struct link *items)
{
    struct link *first;
    while ((first = list_first(items)))
        batch_item_free(link_of(first, struct batch_item, link));
}

void batch_free(struct batch *batch)
{
    if (!batch)
        return;
    link_remove(&batch->waiter.link);
    free_items(&batch->items);
    free_items(&batch->parts);
    while (batch->spare) {
        struct batch_item *item = batch->spare;
        batch->spare = item->next_spare;
        free(item);
    }
    spread_fini(&batch->spread);
    buf_fini(&batch->scratch);
    free(batch);
}
