/* api_purge.c — DELETE /v1/channels/{channel}/messages: what a channel keeps is removed, all of it or what came before a position. */
#include "hub/api/api.h"
#include "hub/api/api_list.h"
#include "hub/api/problem.h"
#include "hub/base/err.h"
#include "hub/base/hash.h"

static void purged(struct call *call)
{
    struct api_request *r = call->owner;
    const struct purge_call *purge = &r->purge;
    if (call->err) {
        bool position = call->err == ERR_BAD_POSITION;
        problem_answer_one(r, position ? "before" : NULL, call->err, position ? "before is a position of the hub's present epoch, and not from the future" : NULL);
        return;
    }
    struct buf *out = api_answer_begin(r, 200, "application/json");
    buf_add_str(out, "{\"channel\":");
    buf_add_json(out, r->channel);
    buf_addf(out, ",\"removed\":%u,\"position\":", purge->removed);
    if (purge->upto.seq > 0) {
        buf_add_char(out, '"');
        buf_add_position(out, purge->upto);
        buf_add_char(out, '"');
    } else {
        buf_add_str(out, "null");
    }
    buf_add_str(out, "}\n");
    api_answer_end(r);
}

/* Without it everything goes: so one that is there and is none must never count as absent. */
static struct position read_before(struct api_request *r, struct problem *problem)
{
    struct position before = { 0 };
    enum query_found found = api_query_find(r, "before");
    if (found == QUERY_FOUND)
        before = position_parse(buf_slice(&r->scratch));
    if (found == QUERY_BROKEN || (found == QUERY_FOUND && (before.epoch == 0 || before.seq == 0)))
        problem_add(problem, "before", ERR_BAD_POSITION, "before is a position");
    return before;
}

void api_purge(struct api_request *r)
{
    struct problem problem = { 0 };
    if (!api_list_begin(r))
        return;
    if (r->channel_err)
        problem_add(&problem, "channel", r->channel_err, NULL);
    struct position before = read_before(r, &problem);
    if (problem.n > 0) {
        problem_answer(r, &problem);
        return;
    }
    r->purge = (struct purge_call){ .channel = r->channel, .hash = hash_bytes(r->channel), .before = before };
    api_submit(r, CALL_PURGE, r->channel.len, purged);
}
