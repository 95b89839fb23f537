/* attempt.c — one attempt to deliver, and what comes of it.
 *
 *   sent ─> 2xx                         delivered
 *        ─> anything else, or nothing   one more try when the schedule says so; after the last one a dead letter, or, at an ordered
 *                                       endpoint that blocks, it stays where it is until somebody acts
 *        ─> 429, 503 with Retry-After   likewise, and the whole endpoint is left alone so long
 *        ─> 410                         the endpoint is switched off; what waits for it waits
 *
 * What came of it is committed before the job is forgotten, and before the next of its lane is due. */
#include "hub/base/err.h"
#include "hub/base/instant.h"
#include "hub/base/json.h"
#include "hub/base/log.h"
#include "hub/metrics.h"
#include "webhooks/dispatcher_core.h"

#include <stdio.h>

enum { LOGGED_HEAD = 1024, LOGGED_BODY = 1024, LOGGED_MAX = 64 * 1024 };
static const int64_t ASKED_MAX_MS = 60 * 60 * 1000, UNSETTLED_MS = 1000, NOTED_FAILING_S = 60 * 60;

/* ---- what is written down ---- */

/* As text, whatever bytes came: what is no UTF-8 is told as U+FFFD. */
static void add_text(struct buf *out, const char *name, struct slice text, size_t most)
{
    bool is_cut = text.len > most;
    if (text.len == 0)
        return;
    if (is_cut)
        text.len = most;
    buf_addf(out, ",\"%s\":", name);
    if (utf8_valid(text)) {
        buf_add_json(out, text);
    } else {
        struct buf plain = { 0 };
        for (size_t i = 0; i < text.len; i++)
            if ((unsigned char)text.at[i] < 0x80)
                buf_add_char(&plain, text.at[i]);
            else
                buf_add_str(&plain, "\xEF\xBF\xBD");
        buf_add_json(out, buf_slice(&plain));
        buf_fini(&plain);
    }
    if (is_cut)
        buf_addf(out, ",\"%s_cut\":true", name);
}

static void add_ms(struct buf *out, const char *name, uint32_t us)
{
    buf_addf(out, ",\"%s\":%u.%01u", name, us / 1000, us / 100 % 10);
}

/* Somebody may have it sent again for ever: the oldest go. No string of an attempt has this parting in it, because its quotes are escaped. */
static void forget_oldest(struct buf *attempts)
{
    static const char parting[] = "},{\"at\":\"";
    size_t len = sizeof parting - 1, at;
    while (attempts->len > LOGGED_MAX) {
        for (at = 0; at + len <= attempts->len && memcmp(attempts->at + at, parting, len) != 0; at++)
            ;
        if (at + len > attempts->len)
            return;
        buf_drop_front(attempts, at + 2);
    }
}

static void write_down(struct job *job)
{
    struct buf *out = &job->attempts;
    const struct http_out_request *r = &job->request;
    char address[IP_TEXT];
    if (out->len > 0)
        buf_add_char(out, ',');
    buf_add_str(out, "{\"at\":\"");
    buf_add_instant_ms(out, job->began_ms);
    buf_add_char(out, '"');
    add_ms(out, "duration_ms", r->timing.total_us);
    add_ms(out, "dns_ms", r->timing.dns_us);
    add_ms(out, "connect_ms", r->timing.connect_us);
    add_ms(out, "tls_ms", r->timing.tls_us);
    add_ms(out, "first_byte_ms", r->timing.first_byte_us);
    if (!ip_is_none(r->address))
        add_text(out, "address", slice(address, ip_print(r->address, address)), sizeof address);
    if (r->status)
        buf_addf(out, ",\"status\":%d", r->status);
    if (r->fault)
        buf_addf(out, ",\"error\":\"%s\"", http_out_fault_name(r->fault));
    add_text(out, "reason", slice_of(r->why), sizeof r->why);
    add_text(out, "head", buf_slice(&r->answer_head), LOGGED_HEAD);
    add_text(out, "body", buf_slice(&r->answer), LOGGED_BODY);
    buf_add_char(out, '}');
    forget_oldest(out);
}

/* ---- settling ---- */

static void tell_dead_letter(struct job *job)
{
    char endpoint[WEBHOOK_ID_TEXT], event[EVENT_ID_TEXT];
    struct buf data = { 0 };
    const struct msg *m = job->sending.msg;
    struct slice type = event_type_of(job->sending.type, m);
    webhook_id_print(job->queue->number, endpoint);
    event_id_print(m->epoch, m->seq, event);
    log_warn("webhooks", "%s: %s (%.*s) is a dead letter after %u attempts", endpoint, event, (int)type.len, type.at, job->tries);
    if (slice_begins(type, SLICE("webhook.")))
        return;      /* or dead letters would be told of dead letters */
    buf_addf(&data, "{\"webhook\":\"%s\",\"event\":\"%s\",\"type\":", endpoint, event);
    buf_add_json(&data, type);
    buf_addf(&data, ",\"attempts\":%u}", job->tries);
    if (!data.failed)
        hub_tell(dispatcher_hub(job->queue->all), EVENT_WEBHOOK_DEAD_LETTERED, msg_channel(m), buf_slice(&data), NULL, 0);
    buf_fini(&data);
}

static void count(struct queue *queue, const struct settlement *settled)
{
    if (settled->status == DELIVERY_PENDING) {
        queue_due_at(queue, settled->due_ms);
        return;
    }
    queue->pending -= queue->pending > 0;
    metric_add(METRIC_wh_pending, -1);
    if (settled->status == DELIVERY_DEAD) {
        queue->dead++;
        metric_add(METRIC_wh_dead, 1);
        metric_add(METRIC_wh_dead_letters, 1);
    }
}

static void on_settled(struct settle_call *call)
{
    struct job *job = call->owner;
    struct queue *queue = job->queue;
    struct dispatcher *all = queue->all;
    all->settling--;
    if (call->err) {
        list_add_last(&all->unsettled, &job->link);
        dispatcher_wake_in(all, UNSETTLED_MS);
        return;
    }
    count(queue, &job->settlement);
    if (call->n_promoted > 0)
        queue_due_again(queue, 0);
    if (job->settlement.status == DELIVERY_DEAD)
        tell_dead_letter(job);
    queue_forget(queue, job);
    dispatcher_settled(all, queue);
}

void attempt_settle_again(struct job *job)
{
    job->settle = (struct settle_call){ .at = &job->settlement, .n = 1, .answered = on_settled, .owner = job };
    job->queue->all->settling++;
    hub_settle(dispatcher_hub(job->queue->all), &job->settle);
}

static void settle(struct job *job, enum delivery_status status, int64_t due_ms)
{
    job->state = JOB_SETTLING;
    job->settlement = (struct settlement){
        .number = job->number, .endpoint = job->queue->number, .lane = job->lane, .status = (uint8_t)status, .tries = job->tries, .due_ms = due_ms,
        .settled_ms = dispatcher_wall_ms(job->queue->all), .attempts = job->attempts.failed ? slice(NULL, 0) : buf_slice(&job->attempts),
    };
    attempt_settle_again(job);
}

/* ---- what came of it ---- */

static bool is_success(const struct http_out_request *r) { return !r->err && r->status >= 200 && r->status < 300; }

/* Ended by us, or never begun: it does not count. */
static bool is_void(const struct http_out_request *r) { return r->err && r->err != ERR_UNREACHABLE; }

static void note_outcome(const struct http_out_request *r)
{
    static const enum metric by_fault[HTTP_OUT_FAULTS] = {
        [HTTP_OUT_NONE] = METRIC_wh_http, [HTTP_OUT_DNS] = METRIC_wh_dns, [HTTP_OUT_CONNECT] = METRIC_wh_connect, [HTTP_OUT_TLS] = METRIC_wh_tls,
        [HTTP_OUT_TIMEOUT] = METRIC_wh_timeout, [HTTP_OUT_TOO_LARGE] = METRIC_wh_too_large, [HTTP_OUT_BLOCKED] = METRIC_wh_blocked,
        [HTTP_OUT_HTTP] = METRIC_wh_http,
    };
    metric_add(is_success(r) ? METRIC_wh_delivered : by_fault[r->fault], 1);
    metric_time_us(TIME_ATTEMPT, r->timing.total_us);
}

static void log_endpoint(enum log_level level, const struct queue *queue, const char *what)
{
    char id[WEBHOOK_ID_TEXT];
    webhook_id_print(queue->number, id);
    log_line(level, "webhooks", "%s (%s) %s", id, queue->endpoint->url, what);
}

static void works(struct queue *queue)
{
    if (breaker_succeeded(&queue->breaker)) {
        metric_add(METRIC_wh_open, -1);
        log_endpoint(LOG_INFO, queue, "answers again");
    }
    if (queue->failing_since_s && queue->endpoint->failing_since_s)
        queue->all->setup.mark(queue->all->setup.arg, queue->number, DISABLED_NOT, 0);
    queue->failing_since_s = 0;
}

static void fails(struct queue *queue, const struct job *job)
{
    struct dispatcher *all = queue->all;
    int64_t now_s = dispatcher_wall_ms(all) / 1000, after_s = all->config->webhooks_disable_after_ms / 1000;
    if (breaker_failed(&queue->breaker, &all->terms->breaker, job->probe, clock_mono_ms(all->setup.clock))) {
        metric_add(METRIC_wh_open, 1);
        log_endpoint(LOG_WARN, queue, "only fails, and is left alone for a while");
    }
    if (!queue->failing_since_s)
        queue->failing_since_s = now_s;
    int64_t failing_s = now_s - queue->failing_since_s;
    if (job->request.status == 410)
        all->setup.mark(all->setup.arg, queue->number, DISABLED_GONE, queue->failing_since_s);
    else if (after_s > 0 && failing_s >= after_s)
        all->setup.mark(all->setup.arg, queue->number, DISABLED_FAILING, queue->failing_since_s);
    else if (failing_s >= NOTED_FAILING_S && !queue->endpoint->failing_since_s)
        all->setup.mark(all->setup.arg, queue->number, DISABLED_NOT, queue->failing_since_s);
}

/* How long a receiver that is too busy asks to be left alone; 0: it does not. */
static int64_t asked_ms(const struct job *job)
{
    const struct http_out_request *r = &job->request;
    int64_t wait_ms = 0, now_ms = dispatcher_wall_ms(job->queue->all);
    struct slice value = r->status == 429 || r->status == 503 ? http_out_header(r, "Retry-After") : slice(NULL, 0);
    return value.at && retry_after_parse(value, now_ms, ASKED_MAX_MS, &wait_ms) ? wait_ms : 0;
}

static void try_later(struct job *job, const struct schedule *retry)
{
    struct queue *queue = job->queue;
    int64_t now_ms = dispatcher_wall_ms(queue->all), asked = asked_ms(job);
    int64_t from_ms = now_ms > queue->cursor_due_ms ? now_ms : queue->cursor_due_ms;      /* a clock that was set back */
    int64_t delay_ms = schedule_delay_ms(retry, job->tries + 1U, dispatcher_chance(queue->all));
    if (asked > 0)
        queue->asked_until_ms = now_ms + asked;
    settle(job, DELIVERY_PENDING, from_ms + 1 + (delay_ms > asked ? delay_ms : asked));
}

static void failed(struct job *job)
{
    const struct endpoint *endpoint = job->queue->endpoint;
    const struct schedule *retry = endpoint->retry_text.len > 0 ? &endpoint->retry : &job->queue->all->terms->retry;
    if (job->request.status == 410)
        settle(job, DELIVERY_PENDING, dispatcher_wall_ms(job->queue->all) + 1);
    else if (job->tries < retry->n)
        try_later(job, retry);
    else if (endpoint->ordered && endpoint->after_last == AFTER_LAST_BLOCK && job->lane)
        settle(job, DELIVERY_PENDING, DELIVERY_BLOCKED);
    else
        settle(job, DELIVERY_DEAD, 0);
}

static void on_answered(struct http_out_request *request)
{
    struct job *job = (struct job *)request;
    struct queue *queue = job->queue;
    queue->sending--;
    queue->all->sending--;
    metric_add(METRIC_wh_sending, -1);
    if (is_void(request)) {
        breaker_gave_up(&queue->breaker, job->probe, clock_mono_ms(queue->all->setup.clock));
        queue_put_back(queue, job);
        dispatcher_wake_in(queue->all, UNSETTLED_MS);
        return;
    }
    note_outcome(request);
    job->tries++;
    write_down(job);
    if (is_success(request)) {
        works(queue);
        settle(job, DELIVERY_DELIVERED, 0);
    } else {
        fails(queue, job);
        failed(job);
    }
    http_out_answer_fini(request);
    dispatcher_kick(queue->all, queue);
}

static int prepare(struct http_out_request *request) { return sender_prepare(request, &((struct job *)request)->sending); }

void attempt_begin(struct queue *queue, struct job *job)
{
    struct dispatcher *all = queue->all;
    sender_unref(job->sending.sender);
    job->sending.sender = sender_ref(queue->sender);
    job->began_ms = dispatcher_wall_ms(all);
    job->request = (struct http_out_request){
        .rules = sender_rules(queue->sender), .method = HTTP_OUT_POST, .prepare = prepare, .answered = on_answered, .owner = job,
    };
    queue->sending++;
    all->sending++;
    metric_add(METRIC_wh_sending, 1);
    http_out_send(all->setup.out, &job->request);
}
