/* api_presence.c — who is in a channel, by user, in pages; or only how many. */
#include "hub/api/api.h"
#include "hub/api/api_list.h"
#include "hub/api/problem.h"
#include "hub/base/err.h"
#include "hub/base/hash.h"
#include "hub/member_text.h"

static void listed(struct call *call)
{
    struct api_request *r = call->owner;
    struct members_call *members = &r->members;
    if (call->err) {
        problem_answer_one(r, NULL, call->err, NULL);
        return;
    }
    struct buf *out = api_answer_begin(r, 200, "application/json");
    buf_add_char(out, '{');
    member_text_page(out, members);
    buf_add_str(out, "}\n");
    struct slice cursor = member_text_cursor(members);
    if (cursor.len > 0)
        api_list_link(r, NULL, 0, cursor);
    members_answer_fini(members);
    api_answer_end(r);
}

/* ?count=true, and ?limit=0, ask only how many there are. */
static bool counts_only(struct api_request *r, struct problem *problem)
{
    struct slice count = api_list_value(r, "count", problem), limit = api_list_value(r, "limit", problem);
    if (count.len > 0 && !slice_is(count, SLICE("true")) && !slice_is(count, SLICE("false")))
        problem_add(problem, "count", ERR_BAD_FIELD, "count is true or false");
    return slice_is(count, SLICE("true")) || slice_is(limit, SLICE("0"));
}

void api_list_members(struct api_request *r)
{
    struct problem problem = { 0 };
    if (!api_list_begin(r))
        return;
    if (r->channel_err)
        problem_add(&problem, "channel", r->channel_err, NULL);
    bool only = counts_only(r, &problem);
    if (only)
        r->limit = 0;
    else
        api_list_limit(r, &problem);
    struct slice cursor = api_list_value(r, "cursor", &problem);
    if (cursor.len > CHANNEL_NAME_MAX)
        problem_add(&problem, "cursor", ERR_BAD_POSITION, "not a cursor of this list");
    if (problem.n > 0) {
        problem_answer(r, &problem);
        return;
    }
    r->members = (struct members_call){ .channel = r->channel, .hash = hash_bytes(r->channel), .after = cursor, .limit = r->limit };
    api_submit(r, CALL_MEMBERS, r->channel.len + cursor.len, listed);
}
