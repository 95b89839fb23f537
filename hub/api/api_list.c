#include "hub/api/api_list.h"

#include "hub/api/api.h"
#include "hub/api/problem.h"
#include "hub/base/err.h"
#include "hub/base/query.h"

bool api_list_begin(struct api_request *r)
{
    buf_reset(&r->scratch);
    if (buf_room(&r->scratch, r->query.len * 3 + 1))
        return true;
    problem_answer_one(r, NULL, ERR_MEMORY, NULL);
    return false;
}

void api_list_limit(struct api_request *r, struct problem *problem)
{
    uint64_t limit = API_PAGE_DEFAULT;
    size_t before = r->scratch.len;
    enum query_found found = api_query_find(r, "limit");
    struct slice text = slice(r->scratch.at + before, r->scratch.len - before);
    if (found == QUERY_BROKEN || (found == QUERY_FOUND && (!slice_u64(text, &limit) || limit == 0 || limit > API_PAGE_MAX)))
        problem_add(problem, "limit", ERR_BAD_FIELD, "limit is a number from 1 to 1000");
    r->limit = (size_t)limit;
}

struct slice api_list_value(struct api_request *r, const char *name, struct problem *problem)
{
    size_t before = r->scratch.len;
    if (api_query_find(r, name) == QUERY_BROKEN)
        problem_add(problem, name, ERR_BAD_FIELD, "a % is followed by two hexadecimal digits");
    return slice(r->scratch.at + before, r->scratch.len - before);
}

void api_list_link(struct api_request *r, const struct list_filter *filters, size_t n_filters, struct slice cursor)
{
    struct buf *out = &r->headers_out;
    buf_add_str(out, "Link: <");
    buf_add_slice(out, r->path);
    buf_addf(out, "?limit=%zu", r->limit);
    for (size_t i = 0; i < n_filters; i++) {
        if (filters[i].value.len == 0)
            continue;
        buf_addf(out, "&%s=", filters[i].name);
        percent_encode(filters[i].value, out);
    }
    buf_add_str(out, "&cursor=");
    percent_encode(cursor, out);
    buf_add_str(out, ">; rel=\"next\"\r\n");
}

void api_list_missing(struct buf *out, const struct nodes_missing *missing)
{
    if (missing->n == 0)
        return;
    buf_addf(out, ",\"missing\":{\"count\":%u,\"nodes\":[", missing->n);
    for (unsigned i = 0; i < missing->n_named; i++)
        buf_addf(out, "%s\"%016llx\"", i ? "," : "", (unsigned long long)missing->named[i]);
    buf_add_str(out, "]}");
}
