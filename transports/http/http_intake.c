/* The happy path of a publish on a connection that is kept alive:
 *   on_read ─> take_head ─> begin ─> take_body ─> run ─> the hub … answered ─> on_finished ─> http_conn_end_turn ─> send()
 * What goes wrong inside a request is answered in its place in the queue. What makes it uncertain where the request ends is
 * answered too, but then nothing more is read: LAST, LINGER, CLOSED. */
#include "transports/http/http_intake.h"

#include "hub/api/problem.h"
#include "hub/base/err.h"
#include "hub/config/config.h"

/* Beside its body, what a request may cost until its answer is put out; a read may answer with a page. */
enum { COST = 4096, COST_OF_READ = API_PAGE_BYTES / 2 };

/* ---- requests ---- */

/* Bytes may be "negative": unsigned sums wrap back. */
static void add_cost(struct http_conn *c, struct http_request *r, size_t bytes)
{
    r->cost += bytes;
    c->pending_bytes += bytes;
}

/* May run inside api_begin and api_run, in the mail of a later turn, or when the connection is long gone. */
static void on_finished(struct api_request *api)
{
    struct http_request *r = (struct http_request *)(void *)api;
    r->finished = true;
    link_remove(&r->waiting_link);
    if (!r->conn) {
        http_front_give_back(r->front, r);
        return;
    }
    r->conn->n_writing -= r->writes;
    if (api->answer.len > r->cost)
        add_cost(r->conn, r, api->answer.len - r->cost);      /* 1,000 small requests for figures are 10 MB of answers */
    http_conn_touch(r->conn);
}

/* Of a stream. That something moves is why its time begins anew. */
static void on_progress(struct api_request *api)
{
    struct http_request *r = (struct http_request *)(void *)api;
    if (!r->conn)
        return;
    if (r->conn->reading_request == r)
        r->conn->since_ms = r->conn->front->now_ms;
    http_conn_touch(r->conn);
}

/* RFC 9110 has no such field, but everybody sends it: an id of the client's own, if it can stand in a header and a log. */
static void choose_id(struct http_request *r)
{
    struct slice given = api_header_find(&r->api, "x-request-id");
    bool good = given.len > 0 && given.len < sizeof r->api.id;
    for (size_t i = 0; good && i < given.len; i++) {
        char c = given.at[i];
        good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == ':' || c == '-';
    }
    if (!good) {
        http_front_request_id(r->front, r->api.id);
        return;
    }
    memcpy(r->api.id, given.at, given.len);
    r->api.id[given.len] = '\0';
}

/* From here on it has a place in the order of answers. */
static struct http_request *enqueue(struct http_conn *c)
{
    struct http_request *r = c->reading_request;
    r->conn = c;
    r->api.api = &c->front->api;
    r->api.session = &c->session;
    r->api.address = c->peer;
    r->api.finished = on_finished;
    r->api.progress = on_progress;
    r->api.arrived_us = c->front->api.now_us;
    r->api.headers = r->head.headers;
    r->api.n_headers = r->head.n_headers;
    choose_id(r);
    r->cost = COST;
    list_add_last(&c->requests, &r->link);
    c->n_requests++;
    c->pending_bytes += r->cost;
    c->served = true;
    return r;
}

void http_intake_leave_queue(struct http_conn *c, struct http_request *r)
{
    link_remove(&r->link);
    c->n_requests--;
    c->n_writing -= r->writes && !r->finished;
    c->pending_bytes -= r->cost;
    r->conn = NULL;
    r->api.session = NULL;
}

/* The request that is being read is complete or will not be: what comes next is another one, or nothing. */
static void next_request(struct http_conn *c)
{
    struct http_request *r = c->reading_request;
    bool last = r->last;
    c->reading_request = NULL;
    if (link_alone(&r->link))
        http_front_give_back(c->front, r);     /* its answer left while its body was skipped */
    if (last)
        http_conn_move(c, HTTP_STATE_LAST);
    else if (c->state != HTTP_STATE_HEAD)
        http_conn_move(c, HTTP_STATE_HEAD);
    else
        c->since_ms = c->front->now_ms;
}

/* Answers the request that is being read, and reads nothing after it. */
void http_intake_refuse(struct http_conn *c, int err, const char *detail)
{
    struct http_request *r = c->reading_request;
    r->last = true;
    if (r->api.stream.wanted && !link_alone(&r->waiting_link))
        api_feed_end(&r->api, err);
    else if (!r->finished)
        problem_answer_one(&r->api, NULL, err, detail);
    next_request(c);
}

void http_intake_start(struct http_request *r)
{
    r->held = false;
    list_add_last(&r->front->waiting, &r->waiting_link);
    api_run(&r->api);
}

/* The request that was being read is complete. */
static void run(struct http_conn *c)
{
    struct http_request *r = c->reading_request;
    r->api.body = buf_slice(&r->body);
    r->wants_continue = false;
    if (r->head.chunked)
        add_cost(c, r, r->body.len - r->api.body_max);     /* what it was, not what it might have been */
    r->writes = strcmp(r->api.route->method, "GET") != 0;
    r->held = !r->writes && c->n_writing > 0;
    c->n_writing += r->writes;
    next_request(c);
    if (!r->held)
        http_intake_start(r);
}

/* Refused before its body: a small one is read away so that the connection can live on; after Expect it may never come. */
static void skip_or_end(struct http_conn *c)
{
    struct http_request *r = c->reading_request;
    bool has_body = r->head.chunked || r->head.content_length > 0;
    if (has_body && (r->head.chunked || r->head.content_length > CONN_SKIP_BYTES || r->head.expect != EXPECT_NOTHING))
        r->last = true;
    if (!has_body || r->last) {
        next_request(c);
        return;
    }
    c->body_left = r->head.content_length;
    http_conn_move(c, HTTP_STATE_SKIP);
}

/* The pieces of its body follow, if it has one. */
static void begin_stream(struct http_conn *c, bool has_body)
{
    struct http_request *r = c->reading_request;
    add_cost(c, r, FRONT_READ_BYTES);
    r->last = r->last || r->http10;         /* the end of its answer is the end of the connection */
    r->writes = true;
    c->n_writing++;
    r->wants_continue = has_body && r->head.expect == EXPECT_CONTINUE && !r->http10;
    r->whole = !has_body;
    c->body_left = r->head.content_length;
    c->chunks = (struct http_chunks){ 0 };
    http_conn_move(c, HTTP_STATE_BODY);
    http_intake_start(r);
    http_intake_feed(c);
}

/* A page may act with what its visitor has: a cookie, [access], an address that nobody else reaches, --dev. */
static void judge_page(struct http_request *r, bool tls)
{
    struct api_request *api = &r->api;
    api->cors = cors_judge(cors_port_api(r->front->config), api_header_find(api, "origin"), api_header_find(api, "host"), tls);
    api->cookie = cors_cookie_counts(&api->cors, api_header_find(api, "sec-fetch-site")) ? api_header_find(api, "cookie") : SLICE("");
}

static void find_client(struct http_request *r, struct ip peer)
{
    struct proxies proxies = proxies_api(r->front->config);
    r->api.address = http_head_client(&r->head, &proxies, peer);
}

/* The head is complete: everything that can be decided without the body is decided here. */
static void begin(struct http_conn *c)
{
    struct http_request *r = enqueue(c);
    struct http_head *head = &r->head;
    bool has_body = head->chunked || head->content_length > 0;
    r->api.method = head->method;
    r->api.target = head->target;
    r->api.head_only = slice_is(head->method, SLICE("HEAD"));
    r->last = !head->keep_alive || c->front->draining;
    r->http10 = head->http10;
    find_client(r, c->peer);
    judge_page(r, c->line.socket.tls);
    if (head->expect == EXPECT_OTHER) {
        problem_answer_one(&r->api, NULL, ERR_NOT_ACCEPTABLE, NULL);
        skip_or_end(c);
    } else if (r->api.cors.kind == ORIGIN_FOREIGN) {
        problem_answer_one(&r->api, NULL, ERR_BAD_ORIGIN, NULL);
        skip_or_end(c);
    } else if (api_begin(&r->api)) {
        skip_or_end(c);
    } else if (r->api.stream.wanted) {
        begin_stream(c, has_body);
    } else if (has_body && r->api.body_max == 0) {
        http_intake_refuse(c, ERR_BAD_REQUEST, "this request has no body");
    } else if (head->content_length > r->api.body_max) {
        http_intake_refuse(c, ERR_BODY_TOO_LARGE, NULL);
    } else if (!has_body) {
        add_cost(c, r, r->api.route->op == OP_HISTORY || r->api.route->op == OP_ADMIN ? COST_OF_READ : 0);
        run(c);
    } else {
        add_cost(c, r, head->chunked ? r->api.body_max : head->content_length);
        r->wants_continue = head->expect == EXPECT_CONTINUE && !head->http10;
        c->body_left = head->content_length;
        c->chunks = (struct http_chunks){ 0 };
        http_conn_move(c, HTTP_STATE_BODY);
    }
}

/* ---- bytes in ---- */

/* What has come is no request of HTTP, or not all of one: none of it is to be trusted. */
void http_intake_refuse_head(struct http_conn *c, int err)
{
    c->reading_request->head.n_headers = 0;
    enqueue(c);
    http_intake_refuse(c, err, NULL);
}

/* There is a request to read a head into. */
bool http_intake_has_request(struct http_conn *c)
{
    if (!c->reading_request && !(c->reading_request = http_front_request(c->front)))
        http_conn_close(c, "no memory");
    return c->reading_request;
}

static size_t take_head(struct http_conn *c, struct slice bytes)
{
    struct http_front *f = c->front;
    size_t used = 0;
    if (!http_intake_has_request(c))
        return bytes.len;
    int64_t since_ms = c->since_ms;
    if (http_head_empty(&c->reading_request->head))
        c->since_ms = f->now_ms;
    int err = http_head_feed(&c->reading_request->head, bytes, f->config->limits_header_bytes, &used);
    if (err == HTTP_HEAD_DONE) {
        begin(c);
    } else if (!err && http_head_empty(&c->reading_request->head)) {
        c->since_ms = since_ms;                     /* empty lines begin no request: whoever sends them for ever is idle */
    } else if (err) {
        http_intake_refuse_head(c, err);
    }
    return used;
}

void http_intake_feed(struct http_conn *c)
{
    struct http_request *r = c->reading_request;
    if (c->state != HTTP_STATE_BODY || !r->api.stream.wanted)
        return;
    if (r->finished) {                      /* before its body was: whatever still comes of it is not looked at */
        r->last = true;
        next_request(c);
        return;
    }
    if (r->body.len > 0)
        buf_drop_front(&r->body, api_feed(&r->api, buf_slice(&r->body)));
    if (!r->whole || r->body.len > 0)
        return;
    if (!r->finished)
        api_feed_end(&r->api, 0);
    next_request(c);
}

/* Bytes of its body; what is not taken comes behind it. ERR_… or HTTP_CHUNKS_DONE as http_chunks_feed. */
static int add_piece(struct http_conn *c, struct slice bytes, size_t *ret_used)
{
    struct http_request *r = c->reading_request;
    if (r->head.chunked)
        return http_chunks_feed(&c->chunks, bytes, &r->body, SIZE_MAX, ret_used);
    *ret_used = bytes.len < c->body_left ? bytes.len : (size_t)c->body_left;
    buf_add(&r->body, bytes.at, *ret_used);
    c->body_left -= *ret_used;
    return c->body_left == 0 ? HTTP_CHUNKS_DONE : 0;
}

/* Time runs from line to line: a stream may be quiet for as long as another body may take, and one that drips is such a body. */
static size_t take_piece(struct http_conn *c, struct slice bytes)
{
    struct http_request *r = c->reading_request;
    size_t used = 0, before = r->body.len;
    int err = add_piece(c, bytes, &used);
    r->whole = err == HTTP_CHUNKS_DONE;
    if (r->body.failed || err < 0) {
        http_intake_refuse(c, r->body.failed ? ERR_MEMORY : err, NULL);
        return bytes.len;
    }
    if (r->body.len > before && memchr(r->body.at + before, '\n', r->body.len - before))
        c->since_ms = c->front->now_ms;
    http_intake_feed(c);
    return used;
}

static size_t take_body(struct http_conn *c, struct slice bytes)
{
    struct http_request *r = c->reading_request;
    size_t used = 0;
    r->wants_continue = false;
    if (r->api.stream.wanted)
        return take_piece(c, bytes);
    if (r->head.chunked) {
        int err = http_chunks_feed(&c->chunks, bytes, &r->body, r->api.body_max, &used);
        if (err == HTTP_CHUNKS_DONE)
            run(c);
        else if (err)
            http_intake_refuse(c, err, NULL);
        return used;
    }
    used = bytes.len < c->body_left ? bytes.len : (size_t)c->body_left;
    buf_add(&r->body, bytes.at, used);
    c->body_left -= used;
    if (r->body.failed)
        http_intake_refuse(c, ERR_MEMORY, NULL);
    else if (c->body_left == 0)
        run(c);
    return used;
}

static size_t skip_body(struct http_conn *c, struct slice bytes)
{
    size_t used = bytes.len < c->body_left ? bytes.len : (size_t)c->body_left;
    c->body_left -= used;
    if (c->body_left == 0)
        next_request(c);
    return used;
}

static bool has_room(struct http_conn *c)
{
    return c->n_requests < c->front->config->limits_pipeline && c->pending_bytes < CONN_PENDING_BYTES && http_line_kept(&c->line) < CONN_OUTPUT_BYTES &&
           http_front_has_room(c->front);
}

/* A stream is as long as it likes: it waits where others would be full. */
static bool stream_has_room(struct http_conn *c)
{
    struct http_request *r = c->reading_request;
    return !r->whole && r->body.len == 0 && api_feed_has_room(&r->api) && http_line_kept(&c->line) < CONN_OUTPUT_BYTES && http_front_has_room(c->front);
}

/* In the middle of a request its own cost holds nothing up: it could never be finished otherwise. */
bool http_intake_may_read(struct http_conn *c)
{
    if (c->state == HTTP_STATE_BODY && c->reading_request->api.stream.wanted)
        return stream_has_room(c);
    return http_conn_takes_input(c) && (c->state != HTTP_STATE_HEAD || http_conn_in_a_head(c) || has_room(c));
}

static size_t take_some(struct http_conn *c, struct slice bytes)
{
    switch ((enum http_state)c->state) {
    case HTTP_STATE_HEAD: return take_head(c, bytes);
    case HTTP_STATE_BODY: return take_body(c, bytes);
    case HTTP_STATE_SKIP: return skip_body(c, bytes);
    default:              return bytes.len;
    }
}

/* As much of it as may be taken now. */
static size_t take_bytes(struct http_conn *c, struct slice bytes)
{
    size_t used = 0;
    while (used < bytes.len && http_intake_may_read(c))
        used += take_some(c, slice(bytes.at + used, bytes.len - used));
    return http_conn_takes_input(c) ? used : bytes.len;
}

void http_intake_take_held(struct http_conn *c)
{
    size_t used = take_bytes(c, buf_slice(&c->held));
    if (used == c->held.len)
        buf_fini(&c->held);
    else
        buf_drop_front(&c->held, used);
}

/* While something is held the socket is not read, so this comes behind nothing. */
void http_intake_take(struct http_conn *c, struct slice bytes)
{
    size_t used = take_bytes(c, bytes);
    if (used == bytes.len)
        return;
    buf_add(&c->held, bytes.at + used, bytes.len - used);
    if (c->held.failed)
        http_conn_close(c, "no memory");
}
