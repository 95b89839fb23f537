#include "hub/api/batch_item.h"

#include "hub/base/err.h"

#include <stdlib.h>

struct batch_item *batch_item_new(struct batch *batch)
{
    struct batch_item *item = batch->spare;
    if (item)
        batch->spare = item->next_spare;
    else
        item = malloc(sizeof *item);
    if (!item) {
        batch->broken = true;
        return NULL;
    }
    *item = (struct batch_item){ .batch = batch };
    link_init(&item->link);
    return item;
}

struct batch_item *batch_item_in_order(struct batch *batch, uint64_t index)
{
    struct batch_item *item = batch_item_new(batch);
    if (!item)
        return NULL;
    item->index = index;
    list_add_last(&batch->items, &item->link);
    batch->n_items++;
    return item;
}

void batch_item_free(struct batch_item *item)
{
    link_remove(&item->link);
    msg_unref(item->msg);
    free(item->name);
    item->next_spare = item->batch->spare;
    item->batch->spare = item;
}

void batch_item_fail(struct batch_item *item, int err, const char *field, const char *detail)
{
    item->done = !item->is_pattern;      /* a pattern is done when all that is under way of it has come */
    item->err = err;
    item->field = field;
    item->detail = detail ? detail : err_text(err);
}

void batch_item_part_came(struct batch_item *pattern) { pattern->done = --pattern->n_waiting == 0; }

bool batch_item_is_good(const struct batch_item *item) { return !item->err && item->n_successful == item->n_channels; }

/* ---- texts ---- */

static void add_text(struct buf *out, const char *member, const char *value)
{
    buf_addf(out, ",\"%s\":", member);
    buf_add_json(out, slice_of(value));
}

static void add_failure(struct buf *out, const struct batch_item *item)
{
    buf_addf(out, ",\"status\":%d,\"code\":\"%s\"", err_status(item->err), err_code(item->err));
    add_text(out, "detail", item->detail);
    if (item->field)
        add_text(out, "field", item->field);
    if (item->name && !item->is_pattern)
        add_text(out, "channel", item->name);
    if (item->err == ERR_POSITION_CHANGED)
        buf_add_newest(out, item->publish.position);
    if (item->retry_s)
        buf_addf(out, ",\"retry_after\":%lld", (long long)item->retry_s);
}

static void add_published(struct buf *out, const struct batch_item *item)
{
    buf_add(out, ",\"status\":201,", 14);
    buf_add_published(out, &item->publish);
    if (item->publish.replayed)
        buf_add_str(out, ",\"replayed\":true");
}

static void add_pattern_status(struct buf *out, const struct batch_item *item)
{
    buf_addf(out, ",\"status\":%d", item->part_err ? 207 : 201);
    if (!item->part_err)
        return;
    buf_addf(out, ",\"code\":\"%s\"", err_code(item->part_err));
    add_text(out, "detail", err_text(item->part_err));
}

static void add_pattern(struct buf *out, const struct batch_item *item)
{
    if (item->err)
        add_failure(out, item);
    else
        add_pattern_status(out, item);
    if (item->name)
        add_text(out, "pattern", item->name);
    buf_addf(out, ",\"channels\":%zu,\"successful\":%zu,\"failed\":%zu,\"replayed\":%zu,\"capped\":%s", item->n_channels, item->n_successful,
             item->n_channels - item->n_successful, item->n_replayed, item->capped ? "true" : "false");
    if (item->n_missing > 0)
        buf_addf(out, ",\"missing\":{\"count\":%u}", item->n_missing);
}

void batch_item_add_result(const struct batch_item *item, struct buf *out)
{
    buf_add(out, "{\"index\":", 9);
    buf_add_u64(out, item->index);
    if (item->is_pattern)
        add_pattern(out, item);
    else if (item->err)
        add_failure(out, item);
    else
        add_published(out, item);
    buf_add_char(out, '}');
}
