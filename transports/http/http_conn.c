/* The happy path of a publish on a connection that is kept alive:
 *   on_read ─> take_head ─> begin ─> take_body ─> run ─> the hub … answered ─> on_finished ─> http_conn_end_turn ─> send()
 * What goes wrong inside a request is answered in its place in the queue. What makes it uncertain where the request ends is
 * answered too, but then nothing more is read: LAST, LINGER, CLOSED. */
#include "transports/http/http_conn.h"

#include "hub/api/problem.h"
#include "hub/base/clock.h"
#include "hub/base/err.h"
#include "hub/base/log.h"
#include "hub/config/config.h"
#include "hub/metrics.h"
#include "transports/http/http_answer.h"

#include <assert.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>

/* Beside its body, what a request may cost until its answer is put out; a read may answer with a page. */
enum { COST = 4096, COST_OF_READ = API_PAGE_BYTES / 2 };

#define BIT(n) (1u << (n))
static const uint8_t may_follow[HTTP_STATES] = {
    [HTTP_STATE_HEAD]   = BIT(HTTP_STATE_BODY) | BIT(HTTP_STATE_SKIP) | BIT(HTTP_STATE_LAST) | BIT(HTTP_STATE_CLOSED),
    [HTTP_STATE_BODY]   = BIT(HTTP_STATE_HEAD) | BIT(HTTP_STATE_LAST) | BIT(HTTP_STATE_CLOSED),
    [HTTP_STATE_SKIP]   = BIT(HTTP_STATE_HEAD) | BIT(HTTP_STATE_LAST) | BIT(HTTP_STATE_CLOSED),
    [HTTP_STATE_LAST]   = BIT(HTTP_STATE_LINGER) | BIT(HTTP_STATE_CLOSED),
    [HTTP_STATE_LINGER] = BIT(HTTP_STATE_CLOSED),
};

static void move(struct http_conn *c, enum http_state next)
{
    assert(may_follow[c->state] & BIT(next));
    c->state = (uint8_t)next;
    c->since_ms = c->front->now_ms;
}

static bool   takes_input(const struct http_conn *c) { return c->state <= HTTP_STATE_SKIP; }
static bool   in_a_head(const struct http_conn *c)
{
    return c->state == HTTP_STATE_HEAD && c->reading_request && !http_head_empty(&c->reading_request->head);
}

void http_conn_touch(struct http_conn *c)
{
    if (link_alone(&c->touched_link))
        list_add_last(&c->front->touched, &c->touched_link);
}

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

static void leave_queue(struct http_conn *c, struct http_request *r)
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
        move(c, HTTP_STATE_LAST);
    else if (c->state != HTTP_STATE_HEAD)
        move(c, HTTP_STATE_HEAD);
    else
        c->since_ms = c->front->now_ms;
}

/* Answers the request that is being read, and reads nothing after it. */
static void refuse_and_end(struct http_conn *c, int err, const char *detail)
{
    struct http_request *r = c->reading_request;
    r->last = true;
    if (!r->finished)
        problem_answer_one(&r->api, NULL, err, detail);
    next_request(c);
}

static void start(struct http_request *r)
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
        start(r);
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
    move(c, HTTP_STATE_SKIP);
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
    } else if (has_body && r->api.body_max == 0) {
        refuse_and_end(c, ERR_BAD_REQUEST, "this request has no body");
    } else if (head->content_length > r->api.body_max) {
        refuse_and_end(c, ERR_BODY_TOO_LARGE, NULL);
    } else if (!has_body) {
        add_cost(c, r, r->api.route->op == OP_HISTORY || r->api.route->op == OP_ADMIN ? COST_OF_READ : 0);
        run(c);
    } else {
        add_cost(c, r, head->chunked ? r->api.body_max : head->content_length);
        r->wants_continue = head->expect == EXPECT_CONTINUE && !head->http10;
        c->body_left = head->content_length;
        c->chunks = (struct http_chunks){ 0 };
        move(c, HTTP_STATE_BODY);
    }
}

/* ---- bytes in ---- */

/* What has come is no request of HTTP, or not all of one: none of it is to be trusted. */
static void refuse_head(struct http_conn *c, int err)
{
    c->reading_request->head.n_headers = 0;
    enqueue(c);
    refuse_and_end(c, err, NULL);
}

/* There is a request to read a head into. */
static bool has_reading_request(struct http_conn *c)
{
    if (!c->reading_request && !(c->reading_request = http_front_request(c->front)))
        http_conn_close(c, "no memory");
    return c->reading_request;
}

static size_t take_head(struct http_conn *c, struct slice bytes)
{
    struct http_front *f = c->front;
    size_t used = 0;
    if (!has_reading_request(c))
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
        refuse_head(c, err);
    }
    return used;
}

static size_t take_body(struct http_conn *c, struct slice bytes)
{
    struct http_request *r = c->reading_request;
    size_t used = 0;
    r->wants_continue = false;
    if (r->head.chunked) {
        int err = http_chunks_feed(&c->chunks, bytes, &r->body, r->api.body_max, &used);
        if (err == HTTP_CHUNKS_DONE)
            run(c);
        else if (err)
            refuse_and_end(c, err, NULL);
        return used;
    }
    used = bytes.len < c->body_left ? bytes.len : (size_t)c->body_left;
    buf_add(&r->body, bytes.at, used);
    c->body_left -= used;
    if (r->body.failed)
        refuse_and_end(c, ERR_MEMORY, NULL);
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

/* In the middle of a request its own cost holds nothing up: it could never be finished otherwise. */
static bool may_read(struct http_conn *c)
{
    return takes_input(c) && (c->state != HTTP_STATE_HEAD || in_a_head(c) || has_room(c));
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
    while (used < bytes.len && may_read(c))
        used += take_some(c, slice(bytes.at + used, bytes.len - used));
    return takes_input(c) ? used : bytes.len;
}

static void take_held(struct http_conn *c)
{
    size_t used = take_bytes(c, buf_slice(&c->held));
    if (used == c->held.len)
        buf_fini(&c->held);
    else
        buf_drop_front(&c->held, used);
}

/* While something is held the socket is not read, so this comes behind nothing. */
static void take_input(struct http_conn *c, struct slice bytes)
{
    size_t used = take_bytes(c, bytes);
    if (used == bytes.len)
        return;
    buf_add(&c->held, bytes.at + used, bytes.len - used);
    if (c->held.failed)
        http_conn_close(c, "no memory");
}

/* ---- bytes out ---- */

/* People put a key where its id belongs: what looks like a credential is cut off. */
static struct slice loggable(struct slice path)
{
    size_t len = path.len < 300 ? path.len : 300;
    for (size_t i = 0; i + 4 <= len; i++)
        if (path.at[i] == '/' && (!memcmp(path.at + i + 1, "ck_", 3) || !memcmp(path.at + i + 1, "eyJ", 3)))
            return slice(path.at, i + 4);
    return slice(path.at, len);
}

static void log_answer(const struct http_request *r, enum log_level level)
{
    char address[IP_TEXT];
    if (!log_enabled(level))
        return;
    struct slice path = loggable(r->api.path);
    ip_print(r->api.address, address);
    log_line(level, "api", "request=%s status=%d from=%s path=%.*s", r->api.id, r->api.status, address, (int)path.len, path.at);
}

static void count(const struct http_request *r)
{
    metric_add(METRIC_http_requests, 1);
    if (r->api.status >= 400)
        metric_add(METRIC_http_errors, 1);
    if (r->api.status >= 400)
        log_answer(r, r->api.status >= 500 ? LOG_INFO : LOG_DEBUG);
}

/* All finished answers from the front of the queue, in order. */
static void put_out(struct http_conn *c, struct buf *out)
{
    struct link *first;
    bool any = !link_alone(&c->requests);
    while ((first = list_first(&c->requests))) {
        struct http_request *r = link_of(first, struct http_request, link);
        if (r->held)
            start(r);
        if (r->wants_continue && !r->finished)
            buf_add_str(out, "HTTP/1.1 100 Continue\r\n\r\n");
        r->wants_continue = false;
        if (!r->finished)
            return;
        http_answer_add(out, r, c->front->date);
        count(r);
        leave_queue(c, r);
        if (c->reading_request != r)
            http_front_give_back(c->front, r);
    }
    if (any && c->state == HTTP_STATE_HEAD && !in_a_head(c))
        c->since_ms = c->front->now_ms;
}

static void flush(struct http_conn *c)
{
    struct buf *out = &c->front->out;
    buf_reset(out);
    put_out(c, out);
    if (!out->failed && out->len == 0)
        return;
    int err = out->failed ? ERR_MEMORY : http_line_write(&c->line, buf_slice(out));
    if (err)
        http_conn_close(c, err == ERR_MEMORY ? "no memory for an answer" : "the client left before its answer");
    c->moved_ms = c->front->now_ms;
    c->moved_len = http_line_kept(&c->line);
}

/* ---- deadlines ---- */

static int64_t state_deadline(const struct http_conn *c)
{
    const struct config *config = c->front->config;
    switch ((enum http_state)c->state) {
    case HTTP_STATE_HEAD:
        if (in_a_head(c))
            return c->since_ms + config->limits_handshake_timeout_ms;
        if (c->n_requests > 0)
            return INT64_MAX;
        return c->since_ms + (c->served ? CONN_IDLE_MS : config->limits_handshake_timeout_ms);
    case HTTP_STATE_BODY:
    case HTTP_STATE_SKIP:   return c->since_ms + config->limits_request_timeout_ms;
    case HTTP_STATE_LINGER: return c->since_ms + CONN_LINGER_MS;
    default:                return INT64_MAX;
    }
}

static int64_t output_deadline(struct http_conn *c)
{
    size_t len = http_line_kept(&c->line);
    if (len == 0)
        return INT64_MAX;
    if (len < c->moved_len) {
        c->moved_ms = c->front->now_ms;
        c->moved_len = len;
    }
    return c->moved_ms + c->front->config->limits_request_timeout_ms;
}

static int64_t deadline(struct http_conn *c)
{
    int64_t a = state_deadline(c), b = output_deadline(c);
    return a < b ? a : b;
}

static void set_timer(struct http_conn *c)
{
    int64_t due = deadline(c), in_ms = due - c->front->now_ms;
    if (due >= c->timer_ms)
        return;
    struct timeval tv = { in_ms > 0 ? in_ms / 1000 : 0, in_ms > 0 ? in_ms % 1000 * 1000 : 0 };
    c->timer_ms = due;
    event_add(c->timer, &tv);
}

static void on_late(struct http_conn *c)
{
    if (output_deadline(c) <= c->front->now_ms) {
        http_conn_close(c, "an answer was not taken");
    } else if (in_a_head(c)) {
        c->reading_request->head.n_headers = 0;
        enqueue(c);
        refuse_and_end(c, ERR_TIMEOUT, NULL);
    } else if (c->state == HTTP_STATE_BODY || c->state == HTTP_STATE_SKIP) {
        refuse_and_end(c, ERR_TIMEOUT, NULL);
    } else {
        http_conn_close(c, "idle");
    }
}

/* ---- callbacks ---- */

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct http_conn *c = arg;
    (void)fd, (void)what;
    http_front_look_at_clock(c->front);
    c->timer_ms = INT64_MAX;
    if (c->state != HTTP_STATE_CLOSED && deadline(c) <= c->front->now_ms)
        on_late(c);
    http_conn_touch(c);
}

/* The other side sends nothing more. It may still wait for the answers to what it has sent; what it has not finished sending
 * is no request. */
static void on_end_of_input(struct http_conn *c)
{
    struct http_request *r = c->reading_request;
    if (r && c->state == HTTP_STATE_BODY)
        leave_queue(c, r);
    if (c->state == HTTP_STATE_LINGER || (c->n_requests == 0 && http_line_kept(&c->line) == 0)) {
        http_conn_close(c, "the client left");
        return;
    }
    if (r && link_alone(&r->link))
        http_front_give_back(c->front, r);
    c->reading_request = NULL;
    if (takes_input(c))
        move(c, HTTP_STATE_LAST);
}

static void on_readable(void *arg)
{
    struct http_conn *c = arg;
    char *into = c->front->in;
    http_front_look_at_clock(c->front);
    ssize_t n = http_line_read(&c->line, into, FRONT_READ_BYTES);
    c->front->n_read++;
    if (n > 0)
        take_input(c, slice(into, (size_t)n));
    else if (n == 0)
        on_end_of_input(c);
    else if (n == SOCKET_SPEAKS_HTTP && has_reading_request(c))
        refuse_head(c, ERR_NO_TLS);
    else if (n != SOCKET_LATER)
        http_conn_close(c, "the connection broke");
    http_conn_touch(c);
}

static void on_written(void *arg, int err)
{
    struct http_conn *c = arg;
    http_front_look_at_clock(c->front);
    if (err)
        http_conn_close(c, "the connection broke");
    http_conn_touch(c);
}

/* ---- life ---- */

struct http_conn *http_conn_new(struct http_front *front, int fd, struct ip peer)
{
    struct http_conn *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    *c = (struct http_conn){ .front = front, .timer_ms = INT64_MAX, .id = ++front->next_id, .since_ms = front->now_ms, .peer = peer };
    c->line = (struct http_line){ .on_readable = on_readable, .on_written = on_written, .arg = c };
    c->timer = evtimer_new(front->base, on_timer, c);
    if (!c->timer || http_line_open(&c->line, front->base, fd, http_front_tls(front))) {
        if (c->timer)
            event_free(c->timer);
        free(c);
        return NULL;
    }
    link_init(&c->link);
    link_init(&c->touched_link);
    link_init(&c->requests);
    list_add_last(&front->conns, &c->link);
    http_line_want(&c->line, true);
    http_conn_touch(c);
    return c;
}

static void shut_our_side(struct http_conn *c)
{
    http_line_shut(&c->line);
    move(c, HTTP_STATE_LINGER);
}

void http_conn_end_turn(struct http_conn *c)
{
    if (c->state == HTTP_STATE_CLOSED)
        return;
    flush(c);
    if (c->held.len > 0)
        take_held(c);
    if (c->state == HTTP_STATE_LAST && c->n_requests == 0 && http_line_kept(&c->line) == 0)
        shut_our_side(c);
    if (c->state == HTTP_STATE_CLOSED)
        return;
    http_line_want(&c->line, c->state == HTTP_STATE_LINGER || may_read(c));
    set_timer(c);
}

void http_conn_drain(struct http_conn *c)
{
    struct link *newest = c->requests.prev;
    if (takes_input(c) && c->state != HTTP_STATE_HEAD) {
        c->reading_request->last = true;
    } else if (c->state == HTTP_STATE_HEAD && !in_a_head(c)) {
        if (newest != &c->requests)
            link_of(newest, struct http_request, link)->last = true;
        move(c, HTTP_STATE_LAST);
    }
    http_conn_touch(c);
}

/* Requests that are at the hub outlive us. */
static void abandon_requests(struct http_conn *c)
{
    struct link *first;
    if (c->reading_request && link_alone(&c->reading_request->link))
        http_front_give_back(c->front, c->reading_request);
    while ((first = list_first(&c->requests))) {
        struct http_request *r = link_of(first, struct http_request, link);
        leave_queue(c, r);
        if (link_alone(&r->waiting_link))
            http_front_give_back(c->front, r);
    }
    c->reading_request = NULL;
}

void http_conn_close(struct http_conn *c, const char *reason)
{
    char name[32];
    if (c->state == HTTP_STATE_CLOSED)
        return;
    snprintf(name, sizeof name, "api c%llx", (unsigned long long)c->id);
    log_debug(name, "closed: %s", reason);
    move(c, HTTP_STATE_CLOSED);
    abandon_requests(c);
    http_line_silence(&c->line);
    event_del(c->timer);
    link_remove(&c->touched_link);
    list_add_last(&c->front->doomed, &c->link);
}

void http_conn_free(struct http_conn *c)
{
    link_remove(&c->link);
    link_remove(&c->touched_link);
    event_free(c->timer);
    http_line_fini(&c->line);
    buf_fini(&c->held);
    api_session_fini(&c->session);
    free(c);
}
