#include "transports/protocol/answer.h"

#include "hub/api/api_request.h"
#include "hub/base/err.h"
#include "transports/edge/conn.h"
#include "transports/edge/control.h"
#include "transports/files/files.h"
#include "transports/wire/wire.h"

static void add_body(struct buf *out, const char *type, struct slice body, bool head_only)
{
    buf_addf(out, "Content-Type: %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n", type, body.len);
    if (!head_only)
        buf_add_slice(out, body);
}

/* `head`: lines that this answer has beside those of every problem. */
static void add_problem(struct buf *out, int err, const struct rate_verdict *verdict, struct slice head, const struct cors *cors, bool head_only)
{
    int status = err_status(err);
    struct buf body = { 0 };
    buf_addf(&body, "{\"type\":\"about:blank\",\"title\":\"%s\",\"status\":%d,\"code\":\"%s\",\"detail\":", api_reason(status), status, err_code(err));
    buf_add_json(&body, slice_of(err_text(err)));
    if (verdict)
        buf_addf(&body, ",\"limit\":\"%s\",\"retry_after\":%lld", verdict->limit, (long long)verdict->retry_s);
    buf_add_str(&body, "}\n");
    buf_addf(out, "HTTP/1.1 %d %s\r\nCache-Control: no-store\r\n" CORS_ALWAYS, status, api_reason(status));
    if (verdict)
        rates_add_headers(out, verdict);
    buf_add_slice(out, head);
    cors_add(out, cors);
    add_body(out, "application/problem+json", buf_slice(&body), head_only);
    out->failed |= body.failed;
    buf_fini(&body);
}

static void add_later(struct buf *out, int err, int64_t retry_ms, const struct cors *cors, bool head_only)
{
    struct buf head = { 0 };
    buf_addf(&head, "Retry-After: %lld\r\n", retry_ms > 1000 ? (long long)(retry_ms + 999) / 1000 : 1);
    add_problem(out, err, NULL, buf_slice(&head), cors, head_only);
    out->failed |= head.failed;
    buf_fini(&head);
}

void answer_later(struct buf *out, int err, int64_t retry_ms, const struct cors *cors) { add_later(out, err, retry_ms, cors, false); }

void answer_problem(struct buf *out, int err, const struct cors *cors, bool head_only)
{
    if (err_status(err) == 503 || err_status(err) == 429)
        add_later(out, err, 0, cors, head_only);
    else
        add_problem(out, err, NULL, err_status(err) == 401 ? SLICE("WWW-Authenticate: Bearer\r\n") : SLICE(""), cors, head_only);
}

void answer_not_allowed(struct buf *out, const struct cors *cors, bool head_too, bool head_only)
{
    add_problem(out, ERR_METHOD_NOT_ALLOWED, NULL, head_too ? SLICE("Allow: GET, HEAD, OPTIONS\r\n") : SLICE("Allow: GET, OPTIONS\r\n"), cors, head_only);
}

void answer_rate_limited(struct buf *out, const struct rate_verdict *verdict, const struct cors *cors)
{
    add_problem(out, ERR_RATE_LIMITED, verdict, SLICE(""), cors, false);
}

void answer_options(struct buf *out, const struct cors *cors, bool head_too)
{
    struct slice methods = head_too ? SLICE("GET, HEAD, OPTIONS") : SLICE("GET, OPTIONS");
    buf_add_str(out, "HTTP/1.1 204 No Content\r\nCache-Control: no-store\r\n" CORS_ALWAYS "Allow: ");
    buf_add_slice(out, methods);
    buf_add_str(out, "\r\n");
    cors_add_preflight(out, cors, methods, SLICE("Authorization, Cache-Control, If-None-Match, Last-Event-ID, X-API-Key"));
    buf_add_str(out, "Connection: close\r\n\r\n");
}

/* A browser asks each time, and mostly hears that it has it already. */
void answer_file(struct buf *out, const struct file *file, bool is_known, const struct cors *cors)
{
    buf_add_str(out, is_known ? "HTTP/1.1 304 Not Modified\r\n" : "HTTP/1.1 200 OK\r\n");
    buf_add_str(out, "Cache-Control: no-cache\r\nX-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\nVary: Origin\r\nETag: ");
    buf_add(out, file->etag, FILE_ETAG);
    buf_add_str(out, "\r\n");
    buf_add_slice(out, file->headers);
    cors_add(out, cors);
    if (is_known)
        buf_add_str(out, "Connection: close\r\n\r\n");
    else
        buf_addf(out, "Content-Type: %.*s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n", (int)file->type.len, file->type.at, file->bytes.len);
}

void answer_messages(struct buf *out, const struct buf *object, struct position position, const struct cors *cors)
{
    buf_add_str(out, "HTTP/1.1 200 OK\r\nCache-Control: no-store\r\n" CORS_ALWAYS "ETag: \"");
    buf_add_position(out, position);
    buf_add_str(out, "\"\r\n");
    cors_add(out, cors);
    add_body(out, "application/json", buf_slice(object), false);
    out->failed |= object->failed;
}

void answer_not_modified(struct buf *out, struct slice etag, const struct cors *cors)
{
    buf_add_str(out, "HTTP/1.1 304 Not Modified\r\nCache-Control: no-store\r\n" CORS_ALWAYS "ETag: ");
    buf_add_slice(out, etag);
    buf_add_str(out, "\r\n");
    cors_add(out, cors);
    buf_add_str(out, "Connection: close\r\n\r\n");
}

/* A proxy that compresses would hold messages back. */
void answer_stream(struct buf *out, const struct cors *cors)
{
    buf_add_str(out, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store, no-transform\r\nX-Accel-Buffering: no\r\n" CORS_ALWAYS);
    cors_add(out, cors);
    buf_add_str(out, "Connection: close\r\n\r\n");
}

void answer_bye(struct buf *out, int err, int64_t retry_ms, const struct position *after, const struct cors *cors)
{
    struct buf object = { 0 };
    answer_stream(out, cors);
    wire_add_sse_retry(out, retry_ms, after);
    control_bye(&object, &(struct parting){ .err = err }, retry_ms);
    wire_add_sse(out, SLICE(""), SLICE("hub.bye"), buf_slice(&object));
    out->failed |= object.failed;
    buf_fini(&object);
}
