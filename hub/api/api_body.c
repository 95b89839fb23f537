#include "hub/api/api_body.h"

#include "hub/api/problem.h"
#include "hub/base/duration.h"
#include "hub/base/err.h"
#include "hub/base/instant.h"

static bool is_known(struct slice name, const char *const *known)
{
    for (; *known; known++)
        if (slice_is(name, slice_of(*known)))
            return true;
    return false;
}

bool api_body_begin(struct api_request *r, struct problem *problem, const char *const *known, struct body_reader *ret_body)
{
    *ret_body = (struct body_reader){ .request = r, .problem = problem };
    buf_reset(&r->scratch);
    if (!buf_room(&r->scratch, r->body.len + r->query.len + 1)) {
        problem_answer_one(r, NULL, ERR_MEMORY, NULL);
        return false;
    }
    int err = r->body.len > 0 ? json_object_parse(r->body, &ret_body->object) : 0;
    if (err) {
        ret_body->object.n = 0;
        problem_add(problem, NULL, err, err == ERR_BAD_REQUEST ? "the body must be a JSON object of at most 32 members" : NULL);
    }
    for (size_t i = 0; i < ret_body->object.n; i++)
        if (!is_known(ret_body->object.members[i].name, known)) {
            problem_add(problem, NULL, ERR_BAD_FIELD, "the body has a member that this request does not know");
            break;
        }
    return true;
}

struct slice api_body_find(const struct body_reader *body, const char *name)
{
    struct slice value = json_member_find(&body->object, name);
    return value.at && slice_is(value, SLICE("null")) ? slice(NULL, 0) : value;
}

struct slice api_body_string(struct body_reader *body, const char *name, size_t most, const char *form)
{
    struct buf *scratch = &body->request->scratch;
    struct slice value = api_body_find(body, name);
    size_t before = scratch->len;
    if (!value.at)
        return value;
    bool good = json_unquote(value, scratch) == 0;
    struct slice text = slice(scratch->at + before, scratch->len - before);
    if (good && text.len > 0 && text.len <= most && utf8_valid(text))
        return text;
    problem_add(body->problem, name, ERR_BAD_FIELD, form);
    return slice(NULL, 0);
}

/* Numbers stand for themselves, strings for what is in them. */
static struct slice number_or_string(struct body_reader *body, struct slice value)
{
    struct buf *scratch = &body->request->scratch;
    size_t before = scratch->len;
    if (*value.at != '"')
        return value;
    return json_unquote(value, scratch) ? slice("", 0) : slice(scratch->at + before, scratch->len - before);
}

bool api_body_duration(struct body_reader *body, const char *name, int64_t most_ms, int64_t *ret_ms)
{
    struct slice value = api_body_find(body, name);
    int64_t ms;
    if (!value.at)
        return false;
    if (duration_parse(number_or_string(body, value), &ms) && ms >= 0 && ms <= most_ms) {
        *ret_ms = ms;
        return true;
    }
    problem_add(body->problem, name, ERR_BAD_FIELD, "a length of time: \"30m\", \"24h\", \"90d\" or a number of seconds, of at most ten years");
    return false;
}

bool api_body_moment(struct body_reader *body, const char *name, int64_t *ret_s)
{
    static const uint64_t LATEST = 253402300799;      /* the end of the year 9999 */
    struct slice value = api_body_find(body, name);
    uint64_t s = 0;
    if (!value.at)
        return false;
    if (*value.at != '"' && slice_u64(value, &s) && s <= LATEST) {
        *ret_s = (int64_t)s;
        return true;
    }
    if (*value.at == '"' && instant_parse(number_or_string(body, value), ret_s))
        return true;
    problem_add(body->problem, name, ERR_BAD_FIELD, "a moment: \"2026-12-31T00:00:00Z\" or a number of seconds since 1970");
    return false;
}
