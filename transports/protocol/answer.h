/* answer.h — HTTP answers of the public port that are not streams, and the heads of those that are; all as bytes.
 *
 * Every answer closes its connection: no request here has a body and none is followed by another.
 * Threading: pure functions. Failure is out->failed. */
#pragma once
#include "hub/access/cors.h"
#include "hub/access/rates.h"
#include "hub/position.h"

struct file;

void answer_problem(struct buf *out, int err, const struct cors *cors, bool head_only);   /* RFC 9457 */
/* 405, with the methods that the place takes: HEAD too, or GET and OPTIONS alone. */
void answer_not_allowed(struct buf *out, const struct cors *cors, bool head_too, bool head_only);
/* The same for 429 and 503, with the time to stay away. */
void answer_later(struct buf *out, int err, int64_t retry_ms, const struct cors *cors);
/* The head of a file; its bytes follow. `is_known`: 304, nothing follows. */
void answer_file(struct buf *out, const struct file *file, bool is_known, const struct cors *cors);
void answer_options(struct buf *out, const struct cors *cors, bool head_too);         /* what a place takes, also to a browser's preflight */
/* ERR_RATE_LIMITED, with the limit and when it is over. */
void answer_rate_limited(struct buf *out, const struct rate_verdict *verdict, const struct cors *cors);
/* The answer to a poll: an object of control_messages, with its position as ETag; or 304 with the ETag that was named. */
void answer_messages(struct buf *out, const struct buf *object, struct position position, const struct cors *cors);
void answer_not_modified(struct buf *out, struct slice etag, const struct cors *cors);
/* A whole SSE stream that says hub.bye and ends: an EventSource comes back after retry_ms, but gives up at any status other than 200.
 * `after`: the position it came with, NULL: none; it keeps it (wire_add_sse_retry). */
void answer_bye(struct buf *out, int err, int64_t retry_ms, const struct position *after, const struct cors *cors);
void answer_stream(struct buf *out, const struct cors *cors);                             /* head of an SSE stream; no length, ends by close */
