/* States, answers in their order, deadlines and life. How bytes become requests is http_intake.c. */
#include "transports/http/http_conn.h"

#include "hub/base/err.h"
#include "hub/base/log.h"
#include "hub/config/config.h"
#include "hub/metrics.h"
#include "transports/http/http_answer.h"
#include "transports/http/http_intake.h"

#include <assert.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>

#define BIT(n) (1u << (n))
static const uint8_t may_follow[HTTP_STATES] = {
    [HTTP_STATE_HEAD]   = BIT(HTTP_STATE_BODY) | BIT(HTTP_STATE_SKIP) | BIT(HTTP_STATE_LAST) | BIT(HTTP_STATE_CLOSED),
    [HTTP_STATE_BODY]   = BIT(HTTP_STATE_HEAD) | BIT(HTTP_STATE_LAST) | BIT(HTTP_STATE_CLOSED),
    [HTTP_STATE_SKIP]   = BIT(HTTP_STATE_HEAD) | BIT(HTTP_STATE_LAST) | BIT(HTTP_STATE_CLOSED),
    [HTTP_STATE_LAST]   = BIT(HTTP_STATE_LINGER) | BIT(HTTP_STATE_CLOSED),
    [HTTP_STATE_LINGER] = BIT(HTTP_STATE_CLOSED),
};

void http_conn_move(struct http_conn *c, enum http_state next)
{
    assert(may_follow[c->state] & BIT(next));
    c->state = (uint8_t)next;
    c->since_ms = c->front->now_ms;
}

void http_conn_touch(struct http_conn *c)
{
    if (link_alone(&c->touched_link))
        list_add_last(&c->front->touched, &c->touched_link);
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

/* What there is of the answer of a stream. */
static void put_out_stream(struct http_request *r, struct buf *out)
{
    if (!r->head_out)
        http_answer_begin(out, r, r->front->date);
    r->head_out = true;
    http_answer_piece(out, r);
}

/* All finished answers from the front of the queue, in order. */
static void put_out(struct http_conn *c, struct buf *out)
{
    struct link *first;
    bool any = !link_alone(&c->requests);
    while ((first = list_first(&c->requests))) {
        struct http_request *r = link_of(first, struct http_request, link);
        if (r->held)
            http_intake_start(r);
        if (r->wants_continue && !r->finished)
            buf_add_str(out, "HTTP/1.1 100 Continue\r\n\r\n");
        r->wants_continue = false;
        if (r->api.stream.begun)
            put_out_stream(r, out);
        if (!r->finished)
            return;
        if (!r->api.stream.begun)
            http_answer_add(out, r, c->front->date);
        count(r);
        http_intake_leave_queue(c, r);
        if (c->reading_request != r)
            http_front_give_back(c->front, r);
    }
    if (any && c->state == HTTP_STATE_HEAD && !http_conn_in_a_head(c))
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
        if (http_conn_in_a_head(c))
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
    } else if (http_conn_in_a_head(c)) {
        http_intake_refuse_head(c, ERR_TIMEOUT);
    } else if (c->state == HTTP_STATE_BODY || c->state == HTTP_STATE_SKIP) {
        http_intake_refuse(c, ERR_TIMEOUT, NULL);
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
    if (r && c->state == HTTP_STATE_BODY && r->api.stream.wanted) {
        http_intake_refuse(c, ERR_GONE, NULL);      /* the results of what has come may still be taken */
        return;
    }
    if (r && c->state == HTTP_STATE_BODY)
        http_intake_leave_queue(c, r);
    if (c->state == HTTP_STATE_LINGER || (c->n_requests == 0 && http_line_kept(&c->line) == 0)) {
        http_conn_close(c, "the client left");
        return;
    }
    if (r && link_alone(&r->link))
        http_front_give_back(c->front, r);
    c->reading_request = NULL;
    if (http_conn_takes_input(c))
        http_conn_move(c, HTTP_STATE_LAST);
}

static void on_readable(void *arg)
{
    struct http_conn *c = arg;
    char *into = c->front->in;
    http_front_look_at_clock(c->front);
    ssize_t n = http_line_read(&c->line, into, FRONT_READ_BYTES);
    c->front->n_read++;
    if (n > 0)
        http_intake_take(c, slice(into, (size_t)n));
    else if (n == 0)
        on_end_of_input(c);
    else if (n == SOCKET_SPEAKS_HTTP && http_intake_has_request(c))
        http_intake_refuse_head(c, ERR_NO_TLS);
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
    http_conn_move(c, HTTP_STATE_LINGER);
}

void http_conn_end_turn(struct http_conn *c)
{
    if (c->state == HTTP_STATE_CLOSED)
        return;
    flush(c);
    http_intake_feed(c);        /* behind flush: results that are put out make room */
    if (c->held.len > 0)
        http_intake_take_held(c);
    if (c->state == HTTP_STATE_LAST && c->n_requests == 0 && http_line_kept(&c->line) == 0)
        shut_our_side(c);
    if (c->state == HTTP_STATE_CLOSED)
        return;
    http_line_want(&c->line, c->state == HTTP_STATE_LINGER || http_intake_may_read(c));
    set_timer(c);
}

void http_conn_drain(struct http_conn *c)
{
    struct link *newest = c->requests.prev;
    if (c->state == HTTP_STATE_BODY && c->reading_request->api.stream.wanted) {
        http_intake_refuse(c, ERR_DRAINING, NULL);
    } else if (http_conn_takes_input(c) && c->state != HTTP_STATE_HEAD) {
        c->reading_request->last = true;
    } else if (c->state == HTTP_STATE_HEAD && !http_conn_in_a_head(c)) {
        if (newest != &c->requests)
            link_of(newest, struct http_request, link)->last = true;
        http_conn_move(c, HTTP_STATE_LAST);
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
        http_intake_leave_queue(c, r);
        if (link_alone(&r->waiting_link))
            http_front_give_back(c->front, r);
        else if (r->api.stream.wanted)
            api_feed_end(&r->api, ERR_GONE);
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
    http_conn_move(c, HTTP_STATE_CLOSED);
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
