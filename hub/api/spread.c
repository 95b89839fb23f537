#include "hub/api/spread.h"

#include "hub/api/api_caller.h"
#include "hub/api/batch_publish.h"
#include "hub/api/wish.h"
#include "hub/base/err.h"
#include "hub/base/json.h"
#include "hub/base/name.h"
#include "hub/config/config.h"

#include <stdlib.h>

enum { NAMES_AT_ONCE = 1000 };      /* that the hub is asked for */

/* ---- beginning and end ---- */

void spread_fini(struct spread *spread)
{
    msg_unref(spread->like);
    free(spread->key_text);
    buf_fini(&spread->names);
    *spread = (struct spread){ 0 };
}

static int begin(struct batch *batch, uint64_t index, const struct wish *wish)
{
    struct spread *spread = &batch->spread;
    struct publish_call terms;
    *spread = (struct spread){ .index = index };
    if (wish_terms(wish, SLICE(""), SLICE(""), &terms))
        return ERR_MEMORY;
    spread->key = terms.key;
    if (wish->key.text.at && !(spread->key_text = slice_copy(wish->key.text)))
        return ERR_MEMORY;
    spread->like = wish_message(wish, SLICE(""), SLICE(""));
    return spread->like ? 0 : ERR_MEMORY;
}

static int add_name(void *arg, struct slice value)
{
    struct buf *names = arg;
    size_t at = names->len;
    buf_add_char(names, (char)SPREAD_NO_NAME);
    if (json_unquote(value, names) == 0 && !names->failed && channel_name_check(slice(names->at + at + 1, names->len - at - 1)) == 0)
        names->at[at] = (char)(names->len - at - 1);
    else if (!names->failed)
        names->len = at + 1;
    return names->failed ? ERR_MEMORY : 0;
}

int spread_channels(struct batch *batch, uint64_t index, struct slice channels, const struct wish *wish)
{
    int err = begin(batch, index, wish);
    if (!err)
        err = json_array_each(channels, add_name, &batch->spread.names);
    if (err)
        spread_fini(&batch->spread);
    else
        spread_go_on(batch);
    return err;
}

int spread_pattern(struct batch *batch, struct batch_item *item, struct slice pattern, const struct wish *wish)
{
    struct spread *spread = &batch->spread;
    int err = begin(batch, item->index, wish);
    if (!err && !(item->name = slice_copy(pattern)))
        err = ERR_MEMORY;
    if (err) {
        spread_fini(spread);
        return err;
    }
    item->is_pattern = true;
    item->n_waiting = 1;
    spread->pattern = item;
    spread->more = true;
    spread_go_on(batch);
    return 0;
}

static void end(struct batch *batch)
{
    struct batch_item *pattern = batch->spread.pattern;
    spread_fini(&batch->spread);
    if (pattern)
        batch_item_part_came(pattern);
}

/* ---- one message of it ---- */

static struct msg *msg_like(const struct msg *m, struct slice channel)
{
    return msg_new(&(struct msg_parts){ .channel = channel, .event = msg_event(m), .client = msg_client(m), .exclude = msg_exclude(m), .data = msg_data(m),
                                        .trace = msg_trace(m), .kind = (enum msg_kind)m->kind, .ttl_ms = m->ttl_ms });
}

static int send(struct batch_item *item, struct slice channel)
{
    const struct batch *batch = item->batch;
    const struct spread *spread = &batch->spread;
    struct idempotency_key *key = &item->publish.key;
    int err = batch_may_publish(batch, channel, spread->like->data_len, spread->pattern);
    if (!err && spread->key_text) {
        *key = spread->key;
        err = idempotency_key_aim(api_caller_name(batch->request->caller), channel, slice_of(spread->key_text), key);
    }
    return err ? err : batch_publish(item, msg_like(spread->like, channel));
}

/* The first was counted with the item. */
static int count(struct batch *batch, int64_t *ret_retry_s) { return batch->spread.n_gone > 0 ? batch_take_rate(batch, 1, ret_retry_s) : 0; }

static void send_named(struct batch *batch, struct slice channel)
{
    struct batch_item *item = batch_item_in_order(batch, batch->spread.index);
    if (!item)
        return;
    int err = count(batch, &item->retry_s);
    if (!err && !channel.at) {
        batch_item_fail(item, ERR_BAD_CHANNEL, "channels", NULL);
        return;
    }
    if (!err)
        err = send(item, channel);
    if (!err)
        return;
    batch_item_fail(item, err, NULL, NULL);
    item->name = channel.at ? slice_copy(channel) : NULL;
}

/* Nothing more goes out for this pattern. */
static void stop(struct spread *spread)
{
    spread->at = spread->names.len;
    spread->more = false;
}

static void send_matching(struct batch *batch, struct slice channel)
{
    struct spread *spread = &batch->spread;
    struct batch_item *pattern = spread->pattern;
    if (pattern->n_channels == batch->request->api->config->limits_publish_channels) {
        pattern->capped = true;
        stop(spread);
        return;
    }
    int err = count(batch, &pattern->retry_s);
    if (err) {
        batch_item_fail(pattern, err, NULL, NULL);
        stop(spread);
        return;
    }
    struct batch_item *part = batch_item_new(batch);
    pattern->n_channels++;
    err = part ? 0 : ERR_MEMORY;
    if (part) {
        part->of = pattern;
        list_add_last(&batch->parts, &part->link);
        err = send(part, channel);
    }
    if (!err)
        pattern->n_waiting++;
    else if (!pattern->part_err)
        pattern->part_err = err;
    if (err && part)
        batch_item_free(part);
}

static void send_next(struct batch *batch)
{
    struct spread *spread = &batch->spread;
    const char *at = spread->names.at + spread->at;
    size_t len = (uint8_t)*at == SPREAD_NO_NAME ? 0 : (uint8_t)*at;
    struct slice channel = slice(len ? at + 1 : NULL, len);
    spread->at += 1 + len;
    if (spread->pattern)
        send_matching(batch, channel);
    else
        send_named(batch, channel);
    spread->n_gone++;
}

/* ---- which channels are there? ---- */

static void found(struct call *call)
{
    struct batch_item *pattern = call->owner;
    struct batch *batch = pattern->batch;
    struct spread *spread = &batch->spread;
    batch->n_calls--;
    spread->asking = false;
    spread->more = !call->err && pattern->match.cursor;
    spread->cursor = pattern->match.cursor;
    spread->at = 0;
    if (pattern->n_missing < pattern->match.missing.n)
        pattern->n_missing = pattern->match.missing.n;
    if (call->err) {
        batch_item_fail(pattern, call->err, NULL, NULL);
    } else {
        buf_fini(&spread->names);
        spread->names = pattern->match.names;
    }
    batch->answered(batch);
}

static void ask(struct batch *batch)
{
    struct spread *spread = &batch->spread;
    struct batch_item *pattern = spread->pattern;
    spread->asking = true;
    buf_fini(&spread->names);
    spread->at = 0;
    struct match_call before = pattern->match;
    pattern->match = (struct match_call){ .pattern = slice_of(pattern->name), .limit = NAMES_AT_ONCE, .cursor = spread->cursor };
    if (spread->cursor) {
        pattern->match.after_len = before.after_len;
        memcpy(pattern->match.after, before.after, before.after_len);
    }
    batch_submit(pattern, CALL_MATCH, strlen(pattern->name), found);
}

void spread_go_on(struct batch *batch)
{
    struct spread *spread = &batch->spread;
    while (spread_under_way(spread) && spread->at < spread->names.len && batch_can_send(batch))
        send_next(batch);
    if (!spread_under_way(spread) || spread->asking || spread->at < spread->names.len)
        return;
    if (spread->more)
        ask(batch);
    else
        end(batch);
}
