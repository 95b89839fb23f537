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

static void add_name(struct buf *out, const char *name)
{
    buf_add_str(out, ",\"");
    buf_add_str(out, name);
    buf_add_str(out, "\":");
}

/* As text, whatever bytes came: what is no UTF-8 is told as U+FFFD. */
static void add_text(struct buf *out, const char *name, struct slice text, size_t most)
{
    bool is_cut = text.len > most;
    if (text.len == 0)
        return;
    if (is_cut)
        text.len = most;
    add_name(out, name);
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
    add_name(out, name);
    buf_add_u64(out, us / 1000);
    buf_add_char(out, '.');
    buf_add_char(out, (char)('0' + us / 100 % 10));
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
    if (r->status) {
        add_name(out, "status");
        buf_add_u64(out, (uint64_t)r->status);
    }
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
    metric_add(METRIC_wh_dead_letters, settled->status == DELIVERY_DEAD);
    if (queue->all->is_shared)
        return;      /* its counts are told (hook.h) */
    bool counted = queue->pending > 0;      /* or it was settled before what there was from before had been counted */
    queue->pending -= counted;
    metric_add(METRIC_wh_pending, -(int64_t)counted);
    queue->dead += settled->status == DELIVERY_DEAD;
    metric_add(METRIC_wh_dead, settled->status == DELIVERY_DEAD);
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
    if (!queue->gone) {
        if (job->settlement.done)
            count(queue, &job->settlement);
        else
            queue_due_later(queue, dispatcher_wall_ms(all) + UNSETTLED_MS);      /* it was removed; or another node has taken over, and has left it as it is */
        if (call->n_promoted > 0)
            queue_due_again(queue, 0);
        if (job->settlement.done && job->settlement.status == DELIVERY_DEAD)
            tell_dead_letter(job);
    }
    queue_forget(queue, job);
    dispatcher_settled(all, queue);
}

void attempt_settle_again(struct job *job)
{
    job->settle = (struct settle_call){ .at = &job->settlement, .n = 1, .is_sent = true, .answered = on_settled, .owner = job };
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

static const struct schedule *schedule_of(const struct queue *queue)
{
    return queue->endpoint->retry_text.len > 0 ? &queue->endpoint->retry : &queue->all->terms->retry;
}

bool attempt_put_off(struct job *job)
{
    const struct schedule *retry = schedule_of(job->queue);
    int64_t told_ms = job->sending.msg->time_ms;
    if (retry->delay_ms[0] == 0 || job->tries > 0 || job->due_ms != told_ms)
        return false;
    int64_t due_ms = told_ms + schedule_delay_ms(retry, 1, dispatcher_chance(job->queue->all));
    if (due_ms <= dispatcher_wall_ms(job->queue->all))
        return false;
    settle(job, DELIVERY_PENDING, due_ms);
    return true;
}

static bool is_success(const struct http_out_request *r) { return !r->err && r->status >= 200 && r->status < 300; }

/* Ended by us, or never begun: it does not count. */
static bool is_void(const struct http_out_request *r) { return r->err && r->err != ERR_UNREACHABLE; }

static enum metric outcome_of(const struct http_out_request *r)
{
    static const enum metric by_fault[HTTP_OUT_FAULTS] = {
        [HTTP_OUT_NONE] = METRIC_wh_http, [HTTP_OUT_DNS] = METRIC_wh_dns, [HTTP_OUT_CONNECT] = METRIC_wh_connect, [HTTP_OUT_TLS] = METRIC_wh_tls,
        [HTTP_OUT_TIMEOUT] = METRIC_wh_timeout, [HTTP_OUT_TOO_LARGE] = METRIC_wh_too_large, [HTTP_OUT_BLOCKED] = METRIC_wh_blocked,
        [HTTP_OUT_HTTP] = METRIC_wh_http,
    };
    static const enum metric by_status[] = { METRIC_wh_http, METRIC_wh_http, METRIC_wh_delivered, METRIC_wh_3xx, METRIC_wh_4xx, METRIC_wh_5xx };
    if (r->err)
        return by_fault[r->fault];
    return r->status < 600 ? by_status[r->status / 100] : METRIC_wh_http;
}

static void note_outcome(const struct job *job)
{
    const struct http_out_request *r = &job->request;
    metric_add(outcome_of(r), 1);
    metric_time_us(TIME_ATTEMPT, r->timing.total_us);
    if (is_success(r))
        metric_time_us(TIME_DELIVERY, (dispatcher_wall_ms(job->queue->all) - job->sending.msg->time_ms) * 1000);
}

static void log_endpoint(enum log_level level, const struct queue *queue, const char *what)
{
    char id[WEBHOOK_ID_TEXT];
    webhook_id_print(queue->number, id);
    log_line(level, "webhooks", "%s (%s) %s", id, queue->endpoint->url, what);
}

static void works(struct queue *queue)
{
    if (breaker_succeeded(&queue->breaker))
        log_endpoint(LOG_INFO, queue, "answers again");
    if (queue->failing_since_s && queue->endpoint->failing_since_s)
        queue->all->setup.mark(queue->all->setup.arg, queue->number, DISABLED_NOT, 0);
    queue->failing_since_s = 0;
}

/* A probe that was overtaken, because the breaker closed and opened again meanwhile, is an attempt like others. */
static bool is_probe(const struct job *job) { return job->probe > 0 && job->probe == job->queue->breaker.probes; }

static void fails(struct queue *queue, const struct job *job)
{
    struct dispatcher *all = queue->all;
    int64_t now_s = dispatcher_wall_ms(all) / 1000, after_s = all->config->webhooks_disable_after_ms / 1000;
    if (breaker_failed(&queue->breaker, &all->terms->breaker, is_probe(job), clock_mono_ms(all->setup.clock)))
        log_endpoint(LOG_WARN, queue, "only fails, and is left alone for a while");
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

/* The one that asks for the longest is heard, whatever becomes of its delivery. */
static void leave_alone(struct queue *queue, int64_t asked)
{
    int64_t until_ms = dispatcher_wall_ms(queue->all) + asked;
    if (asked > 0 && until_ms > queue->asked_until_ms)
        queue->asked_until_ms = until_ms;
}

static void try_later(struct job *job, const struct schedule *retry, int64_t asked)
{
    struct queue *queue = job->queue;
    int64_t now_ms = dispatcher_wall_ms(queue->all);
    int64_t from_ms = now_ms > queue->cursor_due_ms ? now_ms : queue->cursor_due_ms;      /* a clock that was set back */
    int64_t delay_ms = schedule_delay_ms(retry, job->tries + 1U, dispatcher_chance(queue->all));
    settle(job, DELIVERY_PENDING, from_ms + 1 + (delay_ms > asked ? delay_ms : asked));
}

static void failed(struct job *job)
{
    const struct endpoint *endpoint = job->queue->endpoint;
    const struct schedule *retry = schedule_of(job->queue);
    int64_t asked = asked_ms(job);
    leave_alone(job->queue, asked);
    if (job->request.status == 410)
        settle(job, DELIVERY_PENDING, dispatcher_wall_ms(job->queue->all) + 1);
    else if (job->tries < retry->n)
        try_later(job, retry, asked);
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
    if (queue->gone) {      /* what is kept of it is removed (webhooks.c) */
        struct dispatcher *all = queue->all;
        queue_forget(queue, job);
        dispatcher_settled(all, queue);
        dispatcher_room(all);
        return;
    }
    if (is_void(request)) {
        breaker_gave_up(&queue->breaker, is_probe(job), clock_mono_ms(queue->all->setup.clock));
        queue_put_back(queue, job);
        link_remove(&queue->link);      /* others go on, and this one in a moment */
        dispatcher_wake_in(queue->all, UNSETTLED_MS);
        dispatcher_room(queue->all);
        return;
    }
    note_outcome(job);
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
