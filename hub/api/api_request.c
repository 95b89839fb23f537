#include "hub/api/api_request.h"

#include "hub/access/access.h"
#include "hub/api/api.h"
#include "hub/api/api_caller.h"
#include "hub/api/batch.h"
#include "hub/base/audit.h"
#include "hub/base/err.h"

#include <stdio.h>

enum { SCRATCH_KEPT = 16 * 1024 };

static void buf_reuse(struct buf *b)
{
    if (b->cap > SCRATCH_KEPT)
        buf_fini(b);
    buf_reset(b);
}

static void end_batch(struct api_request *r)
{
    batch_free(r->batch);
    line_reader_fini(&r->stream.lines);
    r->batch = NULL;
    r->stream.wanted = r->stream.begun = r->stream.ended = false;
    r->stream.err = 0;
}

void api_request_reset(struct api_request *r)
{
    buf_reuse(&r->scratch);
    buf_reuse(&r->answer);
    buf_reuse(&r->headers_out);
    r->route = NULL;
    r->body = r->path = r->query = r->channel = r->cookie = slice("", 0);
    r->cors = (struct cors){ 0 };
    r->address = (struct ip){ 0 };
    r->rate = (struct rate_verdict){ 0 };
    r->body_max = r->path_len = 0;
    api_caller_unref(r->caller);
    r->channel_err = r->user_err = 0;
    r->user = r->room = slice("", 0);
    r->connection = r->node = 0;
    r->webhook = r->delivery = r->replay = r->event = r->event_epoch = 0;
    r->caller = NULL;
    r->waits_for_key = false;
    principal_unref(r->principal);
    r->principal = NULL;
    r->item = slice("", 0);
    r->status = r->err = 0;
    r->head_only = r->is_page = false;
    end_batch(r);
}

void api_request_fini(struct api_request *r)
{
    api_caller_unref(r->caller);
    principal_unref(r->principal);
    r->principal = NULL;
    end_batch(r);
    buf_fini(&r->scratch);
    buf_fini(&r->answer);
    buf_fini(&r->headers_out);
}

struct slice api_header_find(const struct api_request *r, const char *name)
{
    struct slice wanted = slice_of(name);
    for (size_t i = 0; i < r->n_headers; i++)
        if (slice_is_nocase(r->headers[i].name, wanted))
            return r->headers[i].value;
    return slice(NULL, 0);
}

bool api_header_only(const struct api_request *r, const char *name, struct slice *ret)
{
    *ret = api_header_find(r, name);
    for (size_t i = 0; i < r->n_headers && ret->at; i++)
        if (r->headers[i].value.at != ret->at && slice_is_nocase(r->headers[i].name, slice_of(name)))
            return false;
    return true;
}

struct slice api_request_trace(struct api_request *r)
{
    struct slice header;
    bool known = api_header_only(r, "traceparent", &header) && header.at && trace_read(header, r->trace);
    return slice(r->trace, known ? TRACE_BYTES : 0);
}

/* ---- its query ---- */

bool api_query_takes(const struct api_request *r, struct slice name)
{
    for (const char *at = r->route->query; *at;) {
        size_t len = strcspn(at, " ");
        if (slice_is(slice(at, len), name))
            return true;
        at += len + (at[len] == ' ');
    }
    return false;
}

enum query_found api_query_find(struct api_request *r, const char *name)
{
    return api_query_takes(r, slice_of(name)) ? query_find(r->query, name, &r->scratch) : QUERY_ABSENT;
}

/* ---- the answer ---- */

struct buf *api_answer_begin(struct api_request *r, int status, const char *content_type)
{
    r->status = status;
    r->content_type = content_type;
    buf_reset(&r->answer);
    return &r->answer;
}

void api_answer_header(struct api_request *r, const char *name, const char *value)
{
    buf_add_str(&r->headers_out, name);
    buf_add(&r->headers_out, ": ", 2);
    buf_add_str(&r->headers_out, value);
    buf_add(&r->headers_out, "\r\n", 2);
}

/* What can still be said when there was no memory for the answer. */
static void answer_without_memory(struct api_request *r)
{
    buf_fini(&r->answer);
    buf_fini(&r->headers_out);
    r->status = err_status(ERR_MEMORY);
    r->content_type = NULL;
}

/* What the path names, or what came of the request. */
static struct slice target_of(const struct api_request *r, char text[CONNECTION_TEXT])
{
    if (r->item.len > 0)
        return r->item;
    if (r->connection)
        return slice(text, connection_print(text, r->node, r->connection));
    return r->user.len > 0 ? r->user : r->channel;
}

/* Credentials that are no good are counted only (audit_refused_login): anybody could fill the disk with them. */
static void audit(const struct api_request *r)
{
    char action[128], address[IP_TEXT], connection[CONNECTION_TEXT];
    if (!r->route || r->route->op != OP_ADMIN || !strcmp(r->route->method, "GET") || !r->principal || r->status == 401)
        return;
    int len = snprintf(action, sizeof action, "%s %s", r->route->method, r->route->path);
    audit_write(&(struct audit_event){
        .who = principal_name(r->principal), .address = slice(address, ip_print(r->address, address)), .action = slice(action, (size_t)len),
        .target = target_of(r, connection), .result = r->err ? slice_of(err_code(r->err)) : SLICE("ok"), .request_id = slice_of(r->id),
    });
}

void api_answer_end(struct api_request *r)
{
    audit(r);
    if (!r->stream.begun && (r->answer.failed || r->headers_out.failed))
        answer_without_memory(r);
    r->finished(r);
}

const char *api_reason(int status)
{
    static const struct { int status; const char *reason; } reasons[] = {
        { 200, "OK" }, { 201, "Created" }, { 202, "Accepted" }, { 204, "No Content" }, { 207, "Multi-Status" }, { 304, "Not Modified" }, { 400, "Bad Request" }, { 401, "Unauthorized" }, { 403, "Forbidden" },
        { 404, "Not Found" }, { 405, "Method Not Allowed" }, { 408, "Request Timeout" }, { 409, "Conflict" },
        { 412, "Precondition Failed" }, { 413, "Content Too Large" }, { 417, "Expectation Failed" }, { 422, "Unprocessable Content" }, { 429, "Too Many Requests" }, { 431, "Request Header Fields Too Large" },
        { 500, "Internal Server Error" }, { 501, "Not Implemented" }, { 503, "Service Unavailable" },
    };
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return "Unknown";
}

void buf_add_published(struct buf *out, const struct publish_call *publish)
{
    const struct msg *m = publish->msg;
    buf_add(out, "\"id\":\"", 6);
    buf_add_position(out, (struct position){ m->epoch, m->seq });
    buf_add(out, "\",\"channel\":\"", 13);
    buf_add_slice(out, msg_channel(m));     /* has no byte that JSON escapes: name.h */
    buf_add(out, "\",\"time\":", 9);
    buf_add_u64(out, (uint64_t)m->time_ms);
    buf_add(out, ",\"subscribers\":", 15);
    buf_add_u64(out, publish->subscribers);
}

void buf_add_newest(struct buf *out, struct position newest)
{
    buf_add_str(out, ",\"position\":");
    if (newest.seq == 0) {
        buf_add_str(out, "null");
        return;
    }
    buf_add_char(out, '"');
    buf_add_position(out, newest);
    buf_add_char(out, '"');
}

void api_submit(struct api_request *r, enum letter_kind kind, size_t bytes, void (*answered)(struct call *call))
{
    r->call.owner = r;
    api_submit_apart(r, &r->call, kind, bytes, answered);
}

void api_submit_apart(struct api_request *r, struct call *call, enum letter_kind kind, size_t bytes, void (*answered)(struct call *call))
{
    call->letter.kind = kind;
    call->from = r->api->peer;
    call->err = 0;
    call->answered = answered;
    call_submit(r->api->to_hub, call, bytes);
    r->api->submitted++;
}
