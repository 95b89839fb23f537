#include "hub/api/problem.h"

#include "hub/api/api_request.h"
#include "hub/base/err.h"

void problem_add(struct problem *problem, const char *field, int err, const char *detail)
{
    if (problem->n == PROBLEM_FIELDS_MAX)
        return;
    problem->found[problem->n].field = field;
    problem->found[problem->n].err = err;
    problem->found[problem->n].detail = detail ? detail : err_text(err);
    problem->n++;
}

static void add_string(struct buf *out, const char *member, const char *value)
{
    buf_addf(out, ",\"%s\":", member);
    buf_add_json(out, slice_of(value));
}

static void add_errors(struct buf *out, const struct problem *problem)
{
    const char *before = ",\"errors\":[";
    for (size_t i = 0; i < problem->n; i++) {
        if (!problem->found[i].field)
            continue;
        buf_addf(out, "%s{\"field\":\"%s\",\"code\":\"%s\"", before, problem->found[i].field, err_code(problem->found[i].err));
        add_string(out, "detail", problem->found[i].detail);
        buf_add_char(out, '}');
        before = ",";
    }
    if (before[1] == '\0')
        buf_add_char(out, ']');
}

/* What the status obliges the answer to say (RFC 9110 §11.6.1, §10.2.3). */
static void add_headers(struct api_request *request, int status)
{
    if (status == 401)
        api_answer_header(request, "WWW-Authenticate", "Bearer");
    if ((status == 429 && !request->rate.retry_s) || status == 503)
        api_answer_header(request, "Retry-After", "1");
}

void problem_answer(struct api_request *request, const struct problem *problem)
{
    int err = problem->found[0].err, status = err_status(err);
    request->err = err;
    struct buf *out = api_answer_begin(request, status, "application/problem+json");
    buf_addf(out, "{\"type\":\"about:blank\",\"title\":\"%s\",\"status\":%d,\"code\":\"%s\"", api_reason(status), status, err_code(err));
    add_string(out, "detail", problem->found[0].detail);
    add_string(out, "request_id", request->id);
    add_errors(out, problem);
    if (err == ERR_RATE_LIMITED && request->rate.limit)
        buf_addf(out, ",\"limit\":\"%s\",\"retry_after\":%lld", request->rate.limit, (long long)request->rate.retry_s);
    if (err == ERR_POSITION_CHANGED)
        buf_add_newest(out, request->publish.position);
    buf_add_str(out, "}\n");
    add_headers(request, status);
    api_answer_end(request);
}

void problem_answer_one(struct api_request *request, const char *field, int err, const char *detail)
{
    struct problem problem = { 0 };
    problem_add(&problem, field, err, detail);
    problem_answer(request, &problem);
}
