/* api_batch.c — POST /v1/messages: many publishes in one request.
 *
 *   application/json    one object, or an array of them: read whole, counted, and only then published; the answer is one document
 *   application/x-ndjson, application/jsonl
 *                       a line each, without end: published as they come, results streamed back meanwhile
 *
 *   api_feed(piece) ─> lines ─> batch ~~hub~~> results in request->answer ─> request->progress
 *   api_feed_end ─> the last results, a summary ─> api_answer_end
 *
 * A stream holds at most what batch_has_room allows and STREAM_ANSWER_BYTES of results that the front has not taken: beyond it
 * api_feed takes nothing more, and the front does not read. A document's items wait in its body until there is room. */
#include "hub/api/api.h"
#include "hub/api/batch.h"
#include "hub/api/problem.h"
#include "hub/base/err.h"
#include "hub/base/json.h"
#include "hub/base/line_reader.h"
#include "hub/config/config.h"
#include "hub/idempotency.h"

enum { STREAM_ANSWER_BYTES = 256 * 1024 };

/* ---- one document ---- */

/* Its items are an array of slices in request->scratch. */
static struct slice *items_of(const struct api_request *r) { return (struct slice *)(void *)r->scratch.at; }
static size_t count_items(const struct api_request *r) { return r->scratch.len / sizeof(struct slice); }

static void end_document(struct api_request *r)
{
    struct batch *batch = r->batch;
    if (r->answer.len > 2 && r->answer.at[r->answer.len - 2] == ',')
        r->answer.len -= 2;                     /* behind the last result */
    buf_add_str(&r->answer, "],\n");
    batch_add_summary(batch, &r->answer);
    buf_add_str(&r->answer, "}\n");
    r->answer.failed = r->answer.failed || batch->broken;
    r->status = batch->failed > 0 ? 207 : 200;
    if (batch->replayed > 0 && batch->replayed == batch->successful + batch->failed)
        api_answer_header(r, "Idempotency-Replay", "true");
    api_answer_end(r);
}

static void document_moved(struct batch *batch)
{
    struct api_request *r = batch->request;
    do {
        while (r->taken < count_items(r) && batch_has_room(batch))
            batch_add(batch, items_of(r)[r->taken++]);
    } while (batch_tell(batch) && r->taken < count_items(r));
    if (r->taken == count_items(r) && batch_is_empty(batch))
        end_document(r);
}

struct census { struct buf *items; size_t messages; };

static int count_item(void *arg, struct slice value)
{
    struct census *census = arg;
    census->messages += batch_messages(value);
    buf_add(census->items, &value, sizeof value);
    return census->messages > BATCH_MAX ? ERR_TOO_MANY_ITEMS : census->items->failed ? ERR_MEMORY : 0;
}

static int read_document(struct api_request *r)
{
    struct census census = { .items = &r->scratch };
    struct slice value;
    buf_reset(&r->scratch);
    int err = json_check(r->body, &value);
    if (err)
        return err;
    if (*value.at == '[')
        return json_array_each(value, count_item, &census);
    return *value.at == '{' ? count_item(&census, value) : ERR_BAD_REQUEST;
}

static void run_document(struct api_request *r, struct slice key)
{
    int err = read_document(r);
    if (!err && !(r->batch = batch_new(r, key, ",\n", document_moved)))
        err = ERR_MEMORY;
    if (err) {
        problem_answer_one(r, NULL, err, err == ERR_BAD_JSON || err == ERR_BAD_REQUEST
            ? "a JSON object or an array of them is needed; one on each line is Content-Type: application/x-ndjson" : NULL);
        return;
    }
    buf_add_str(api_answer_begin(r, 200, "application/json"), "{\"results\":[\n");
    r->taken = 0;
    document_moved(r->batch);
}

/* ---- a stream ---- */

static void end_stream(struct api_request *r)
{
    struct buf *out = &r->answer;
    buf_add_char(out, '{');
    batch_add_summary(r->batch, out);
    if (r->stream.err)
        buf_addf(out, ",\"code\":\"%s\",\"detail\":\"%s\"", err_code(r->stream.err), err_text(r->stream.err));
    buf_add_str(out, "}\n");
    r->err = r->stream.err;
    api_answer_end(r);
}

static bool is_blank(struct slice line)
{
    size_t i = 0;
    while (i < line.len && (line.at[i] == ' ' || line.at[i] == '\t' || line.at[i] == '\r'))
        i++;
    return i == line.len;
}

static void take_line(struct api_request *r, enum line_found what, struct slice line)
{
    if (what == LINE_TOO_LONG)
        batch_add_error(r->batch, ERR_MESSAGE_TOO_LARGE, "the line is longer than the largest message and what stands beside it");
    else if (what == LINE_NO_MEMORY)
        batch_add_error(r->batch, ERR_MEMORY, NULL);
    else if (!is_blank(line))
        batch_add(r->batch, line);
}

/* After the end: the last line may have none of its own, and may have to wait for room. What came before an error is no line. */
static bool all_is_taken(struct api_request *r)
{
    struct slice line;
    if (r->stream.err)
        return true;
    if (!batch_has_room(r->batch))
        return false;
    if (line_reader_last(&r->stream.lines, &line) == LINE_WHOLE)
        take_line(r, LINE_WHOLE, line);
    return true;
}

static void stream_moved(struct batch *batch)
{
    struct api_request *r = batch->request;
    bool all = r->stream.ended && all_is_taken(r);
    batch_tell(batch);
    r->answer.failed = r->answer.failed || batch->broken;
    if (all && batch_is_empty(batch))
        end_stream(r);
    else
        r->progress(r);
}

static void run_stream(struct api_request *r, struct slice key)
{
    r->batch = batch_new(r, key, "\n", stream_moved);
    if (!r->batch) {
        problem_answer_one(r, NULL, ERR_MEMORY, NULL);
        return;
    }
    api_answer_begin(r, 200, "application/x-ndjson");
    r->stream.begun = true;
    stream_moved(r->batch);
}

bool api_feed_has_room(const struct api_request *r)
{
    return r->stream.begun && !r->stream.ended && !batch_is_full(r->batch) && r->answer.len < STREAM_ANSWER_BYTES;
}

static size_t line_max(const struct api_request *r) { return r->api->config->message_most + API_BESIDE_DATA + BATCH_MAX * (CHANNEL_NAME_MAX + 4); }

size_t api_feed(struct api_request *r, struct slice piece)
{
    struct slice left = piece, line;
    enum line_found what;
    int err = r->stream.begun && !r->stream.ended ? api_still_admitted(r) : 0;
    if (err)
        api_feed_end(r, err);
    if (r->stream.ended || !r->stream.begun)
        return r->stream.ended ? piece.len : 0;
    while (api_feed_has_room(r) && batch_has_room(r->batch) && (what = line_reader_next(&r->stream.lines, &left, line_max(r), &line)) != LINE_NONE)
        take_line(r, what, line);
    if (batch_tell(r->batch))
        stream_moved(r->batch);
    return piece.len - left.len;
}

void api_feed_end(struct api_request *r, int err)
{
    if (r->stream.ended)
        return;
    r->stream.ended = true;
    r->stream.err = err;
    if (r->stream.begun)
        stream_moved(r->batch);
}

/* ---- the request ---- */

/* Its own headers: a key of the whole request is one for each item; a condition could only be of one channel. */
static int read_headers(const struct api_request *r, struct slice *ret_key, struct problem *problem)
{
    struct slice condition;
    if (!api_header_only(r, "Idempotency-Key", ret_key))
        problem_add(problem, "Idempotency-Key", ERR_BAD_KEY, "this header is there more than once");
    else if (ret_key->at && idempotency_key_check(*ret_key))
        problem_add(problem, "Idempotency-Key", ERR_BAD_KEY, NULL);
    if (!api_header_only(r, "If-Position", &condition) || condition.at)
        problem_add(problem, "If-Position", ERR_BAD_POSITION, "here each message has its own: if_position");
    return problem->n > 0 ? problem->found[0].err : 0;
}

void api_publish_batch(struct api_request *r)
{
    struct slice key;
    struct problem problem = { 0 };
    r->publish.msg = NULL;      /* its calls are those of the batch, not the request's own */
    if (read_headers(r, &key, &problem))
        problem_answer(r, &problem);
    else if (r->stream.wanted)
        run_stream(r, key);
    else
        run_document(r, key);
}
