/* api_channels.c — which channels there are, one of them, and what it keeps; in pages that can be followed. */
#include "hub/api/api.h"
#include "hub/api/api_list.h"
#include "hub/api/problem.h"
#include "hub/base/clock.h"
#include "hub/base/err.h"
#include "hub/config/config.h"
#include "hub/envelope.h"

#include <stdlib.h>

/* ---- channels ---- */

static void add_channel(struct buf *out, const struct channel_info *info)
{
    buf_add_str(out, "{\"channel\":");
    buf_add_json(out, slice(info->name, info->name_len));
    buf_addf(out, ",\"subscribers\":%u,\"members\":%u,\"messages\":%u,\"bytes\":%zu,\"position\":", info->subscribers, info->members, info->kept, info->kept_bytes);
    if (info->last.seq > 0) {
        buf_add_char(out, '"');
        buf_add_position(out, info->last);
        buf_add_char(out, '"');
    } else {
        buf_add_str(out, "null");
    }
    buf_add_str(out, info->resumable ? ",\"resumable\":true" : ",\"resumable\":false");
}

/* What is in force for it, and which section of the settings says so. */
static void add_rule(struct buf *out, const struct channel_rule *rule)
{
    buf_addf(out, ",\"history\":{\"size\":%zu,\"ttl_ms\":%lld,\"bytes\":%zu},\"rule\":", rule->history_size, (long long)rule->history_ttl_ms,
             rule->history_bytes);
    if (*rule->pattern)
        buf_add_json(out, slice_of(rule->pattern));
    else
        buf_add_str(out, "null");
}

static void listed(struct call *call)
{
    struct api_request *r = call->owner;
    struct channels_call *channels = &r->channels;
    if (call->err) {
        problem_answer_one(r, NULL, call->err, NULL);
        return;
    }
    struct channel_info *infos = channels->infos;
    size_t n = channels->n_infos;
    struct buf *out = api_answer_begin(r, 200, "application/json");
    buf_add_str(out, "{\"data\":[");
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            buf_add_char(out, ',');
        add_channel(out, &infos[i]);
        buf_add_char(out, '}');
    }
    buf_add_str(out, "],\"next_cursor\":");
    if (channels->more) {
        struct slice upto = slice(channels->upto, channels->upto_len);
        buf_add_json(out, upto);
        api_list_link(r, &(struct list_filter){ "prefix", channels->prefix }, 1, upto);
    } else {
        buf_add_str(out, "null");
    }
    api_list_missing(out, &channels->missing);
    buf_add_str(out, "}\n");
    free(infos);
    api_answer_end(r);
}

void api_list_channels(struct api_request *r)
{
    struct problem problem = { 0 };
    if (!api_list_begin(r))
        return;
    api_list_limit(r, &problem);
    struct slice prefix = api_list_value(r, "prefix", &problem), cursor = api_list_value(r, "cursor", &problem);
    if (cursor.len > 0 && channel_name_check(cursor))
        problem_add(&problem, "cursor", ERR_BAD_POSITION, "not a cursor of this list");
    if (problem.n > 0) {
        problem_answer(r, &problem);
        return;
    }
    r->channels = (struct channels_call){ .prefix = prefix, .after = cursor, .limit = r->limit };
    api_submit(r, CALL_CHANNELS, prefix.len + cursor.len, listed);
}

static void inspected(struct call *call)
{
    struct api_request *r = call->owner;
    if (call->err) {
        problem_answer_one(r, NULL, call->err, call->err == ERR_NOT_FOUND ? "this channel has no subscribers and keeps no messages" : NULL);
        return;
    }
    struct channel_info *info = r->channels.infos;
    struct buf *out = api_answer_begin(r, 200, "application/json");
    add_channel(out, info);
    add_rule(out, info->rule);
    api_list_missing(out, &r->channels.missing);
    buf_add_str(out, "}\n");
    free(info);
    api_answer_end(r);
}

static bool refuse_bad_channel(struct api_request *r)
{
    if (r->channel_err)
        problem_answer_one(r, "channel", r->channel_err, NULL);
    return r->channel_err != 0;
}

void api_inspect_channel(struct api_request *r)
{
    if (refuse_bad_channel(r))
        return;
    r->channels = (struct channels_call){ .exact = r->channel, .limit = 1 };
    api_submit(r, CALL_CHANNELS, r->channel.len, inspected);
}

/* ---- messages ---- */

static const char *const gap_names[] = { [GAP_HISTORY] = "history", [GAP_EPOCH] = "epoch" };

/* Where to ask from next: the last message shown, or on an empty page where the next ones will come after. */
static struct position page_end(const struct fetch_call *fetch)
{
    if (fetch->n_msgs == 0)
        return fetch->upto;
    const struct msg *last = fetch->msgs[fetch->n_msgs - 1];
    return (struct position){ last->epoch, last->seq };
}

static void add_page(struct api_request *r, struct buf *out, const struct fetch_call *fetch)
{
    char end[POSITION_TEXT];
    size_t end_len = position_print(end, page_end(fetch));
    buf_add_str(out, "{\"data\":[");
    for (size_t i = 0; i < fetch->n_msgs; i++) {
        if (i > 0)
            buf_add_char(out, ',');
        envelope_add(out, fetch->msgs[i], SLICE("message"), false);
    }
    buf_addf(out, "],\"position\":\"%s\"", end);
    if (fetch->gap != GAP_NONE)
        buf_addf(out, ",\"gap\":{\"reason\":\"%s\"}", gap_names[fetch->gap]);
    if (fetch->more) {
        buf_addf(out, ",\"next_cursor\":\"%s\"}\n", end);
        api_list_link(r, NULL, 0, slice(end, end_len));
    } else {
        buf_add_str(out, ",\"next_cursor\":null}\n");
    }
}

static void messages_fetched(struct call *call)
{
    struct api_request *r = call->owner;
    if (call->err) {
        problem_answer_one(r, NULL, call->err, NULL);
        return;
    }
    add_page(r, api_answer_begin(r, 200, "application/json"), &r->fetch);
    fetch_answer_fini(&r->fetch);
    api_answer_end(r);
}

void api_read_messages(struct api_request *r)
{
    struct problem problem = { 0 };
    if (!api_list_begin(r))
        return;
    if (r->channel_err)
        problem_add(&problem, "channel", r->channel_err, NULL);
    api_list_limit(r, &problem);
    struct slice cursor = api_list_value(r, "cursor", &problem), since = api_list_value(r, "since", &problem);
    struct since begin = { .from = FETCH_ALL };
    if (cursor.len > 0)
        begin = (struct since){ .from = FETCH_AFTER, .after = position_parse(cursor) };
    else if (since.len > 0 && since_read(since, clock_wall_ms(r->api->clock), &begin))
        problem_add(&problem, "since", ERR_BAD_FIELD, "a position, all, last, -20, a moment (RFC 3339) or a duration like 10m");
    if (cursor.len > 0 && begin.after.epoch == 0)
        problem_add(&problem, "cursor", ERR_BAD_POSITION, "not a cursor of this list");
    if (problem.n > 0) {
        problem_answer(r, &problem);
        return;
    }
    r->fetch_channel = (struct fetch_channel){ .name = r->channel };
    r->fetch = (struct fetch_call){
        .channels = &r->fetch_channel, .n_channels = 1, .max_bytes = API_PAGE_BYTES, .max_count = r->limit,
    };
    fetch_begin(&r->fetch, &begin);
    api_submit(r, CALL_FETCH, r->channel.len, messages_fetched);
}
