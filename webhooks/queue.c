#include "webhooks/queue.h"

#include "hub/base/log.h"
#include "hub/metrics.h"
#include "webhooks/dispatcher_core.h"

#include <stdlib.h>

struct queue *queue_new(struct dispatcher *all, struct endpoint *endpoint)
{
    struct queue *queue = calloc(1, sizeof *queue);
    if (!queue)
        return NULL;
    queue->all = all;
    queue->number = endpoint->number;
    queue->endpoint = endpoint_ref(endpoint);
    queue->next_due_ms = DELIVERY_NEVER;
    queue->told_state = queue->told_breaker = METRICS;
    queue->failing_since_s = endpoint->failing_since_s;
    queue->is_ours = !all->is_shared;
    link_init(&queue->link);
    link_init(&queue->waiting);
    return queue;
}

void queue_free(struct queue *queue)
{
    struct job *job, *next;
    if (!queue)
        return;
    HASH_ITER(hh, queue->jobs, job, next)
        queue_forget(queue, job);
    link_remove(&queue->link);
    sender_unref(queue->sender);
    endpoint_unref(queue->endpoint);
    free(queue);
}

/* ---- what is told of it ---- */

static void count_as(enum metric *told, enum metric now)
{
    if (*told == now)
        return;
    if (*told != METRICS)
        metric_add(*told, -1);
    if (now != METRICS)
        metric_add(now, 1);
    *told = now;
}

void queue_tell_state(struct queue *queue)
{
    static const enum metric breakers[BREAKER_STATES] = {
        [BREAKER_CLOSED] = METRIC_wh_closed, [BREAKER_OPEN] = METRIC_wh_open, [BREAKER_HALF_OPEN] = METRIC_wh_half_open,
    };
    const struct endpoint *endpoint = queue->endpoint;
    bool is_nobodys = queue->gone || !queue->is_ours;      /* or another hub's, which counts it */
    count_as(&queue->told_state, is_nobodys ? METRICS : endpoint->disabled ? METRIC_wh_disabled : endpoint->paused ? METRIC_wh_paused : METRIC_wh_enabled);
    count_as(&queue->told_breaker, is_nobodys ? METRICS : breakers[queue->breaker.state]);
}

/* ---- jobs ---- */

static struct job *find(const struct queue *queue, uint64_t number)
{
    struct job *job = NULL;
    HASH_FIND(hh, queue->jobs, &number, sizeof number, job);
    return job;
}

/* Takes a reference of the message. NULL: no memory; it is read again when there is. */
static struct job *job_new(struct queue *queue, uint64_t number, enum event_type type, struct msg *m)
{
    struct job *job = calloc(1, sizeof *job);
    if (!job)
        return NULL;
    job->queue = queue;
    job->number = number;
    job->sending.type = type;
    job->sending.msg = msg_ref(m);
    link_init(&job->link);
    HASH_ADD(hh, queue->jobs, number, sizeof job->number, job);
    list_add_last(&queue->waiting, &job->link);
    queue->n_jobs++;
    queue->n_waiting++;
    queue->bytes += msg_size(m);
    return job;
}

void queue_forget(struct queue *queue, struct job *job)
{
    HASH_DELETE(hh, queue->jobs, job);
    queue->n_jobs--;
    queue->n_waiting -= job->state == JOB_WAITING;
    queue->bytes -= msg_size(job->sending.msg);
    link_remove(&job->link);
    msg_unref(job->sending.msg);
    sender_unref(job->sending.sender);
    buf_fini(&job->sending.lines);
    buf_fini(&job->sending.body);
    buf_fini(&job->attempts);
    http_out_answer_fini(&job->request);
    free(job);
}

void queue_forget_waiting(struct queue *queue)
{
    for (struct link *first; (first = list_first(&queue->waiting));)
        queue_forget(queue, link_of(first, struct job, link));
}

struct job *queue_take(struct queue *queue)
{
    struct link *first = list_first(&queue->waiting);
    if (!first)
        return NULL;
    struct job *job = link_of(first, struct job, link);
    link_remove(first);
    job->state = JOB_SENDING;
    queue->n_waiting--;
    return job;
}

void queue_put_back(struct queue *queue, struct job *job)
{
    job->state = JOB_WAITING;
    queue->n_waiting++;
    list_add_last(queue->waiting.next, &job->link);
}

/* ---- what comes in ---- */

static bool has_room(const struct queue *queue) { return queue->n_waiting < QUEUE_WINDOW && queue->bytes < QUEUE_BYTES; }

/* Nothing in the store is due before it. Of a lane it is not known here whether it is the first. */
static bool is_next(const struct queue *queue, const struct event_target *target, int64_t due_ms)
{
    return !queue->more && !queue->reading && target->lane == 0 && has_room(queue) &&
           due_ms >= queue->cursor_due_ms && due_ms < queue->next_due_ms;
}

/* It is due since it was told, and could be read since it was kept: the cursor may have gone past it in between. */
static void queue_behind(struct queue *queue, int64_t due_ms, uint64_t number)
{
    bool is_passed = due_ms < queue->cursor_due_ms || (due_ms == queue->cursor_due_ms && number <= queue->cursor);
    if (due_ms < queue->stale_due_ms)
        queue->stale_due_ms = due_ms;
    queue_due_again(queue, is_passed ? 0 : due_ms);
}

void queue_accept(struct queue *queue, const struct hub_event *event, size_t target)
{
    uint64_t number = delivery_number(event->msg->seq, target);
    struct job *job = NULL;
    queue->pending++;
    if (is_next(queue, &event->targets[target], event->msg->time_ms))
        job = job_new(queue, number, (enum event_type)event->type, event->msg);
    if (!job) {
        queue_behind(queue, event->msg->time_ms, number);
        return;
    }
    job->due_ms = queue->cursor_due_ms = event->msg->time_ms;
    queue->cursor = number;
}

void queue_due_again(struct queue *queue, int64_t due_ms)
{
    if (due_ms == 0)
        queue->rescan = true;
    queue->more = true;
    queue->stale |= queue->reading;
}

/* While it was being settled the cursor may have gone past it. */
void queue_due_at(struct queue *queue, int64_t due_ms)
{
    if (due_ms <= queue->cursor_due_ms)
        queue_due_again(queue, 0);
    else if (due_ms < queue->next_due_ms)
        queue->next_due_ms = due_ms;
}

void queue_due_later(struct queue *queue, int64_t due_ms)
{
    queue->rescan = true;
    if (due_ms < queue->next_due_ms)
        queue->next_due_ms = due_ms;
}

/* ---- reading ---- */

static bool copy_attempts(struct job *job, struct slice attempts)
{
    buf_add_slice(&job->attempts, attempts);
    return !job->attempts.failed;
}

static void take_row(struct queue *queue, const struct delivery *row)
{
    if (find(queue, row->number))
        return;
    struct job *job = job_new(queue, row->number, (enum event_type)row->type, row->msg);
    if (!job) {
        queue_due_again(queue, 0);
        return;
    }
    job->lane = row->lane;
    job->due_ms = row->due_ms;
    job->tries = row->tries;
    if (!copy_attempts(job, row->attempts))
        buf_fini(&job->attempts);      /* the log of it has a hole; it is sent */
}

static void take_page(struct queue *queue, struct delivery_read *read)
{
    for (size_t i = 0; i < read->n; i++)
        take_row(queue, &read->rows[i]);
    if (read->n > 0) {
        queue->cursor_due_ms = read->rows[read->n - 1].due_ms;
        queue->cursor = read->rows[read->n - 1].number;
        queue->cursor_is_ours = read->rows[read->n - 1].due_ms != read->rows[read->n - 1].time_ms;
    }
    if (queue->stale_due_ms <= queue->cursor_due_ms || (queue->stale && queue->cursor_is_ours && queue->all->is_shared))
        queue->rescan = true;
    queue->more = read->more || queue->stale || queue->rescan;
    if (!queue->more)
        queue->next_due_ms = read->next_due_ms;
}

static void on_page(struct delivery_read *read)
{
    struct queue *queue = read->owner;
    queue->reading = false;
    if (!read->err && !queue->gone && queue->is_ours)
        take_page(queue, read);
    delivery_read_fini(read);
    queue->stale = false;
    dispatcher_page_came(queue->all, queue, read->err);
}

bool queue_refill(struct queue *queue, int64_t wall_ms)
{
    if (queue->reading)
        return true;
    if (queue->gone || !queue->is_ours || queue->n_waiting > QUEUE_LOW || !has_room(queue) || (!queue->more && queue->next_due_ms > wall_ms))
        return false;
    if (queue->rescan)
        queue->cursor_due_ms = 0, queue->cursor = 0, queue->cursor_is_ours = false;
    queue->read = (struct delivery_read){
        .kind = READ_DUE, .endpoint = queue->number, .due_ms = wall_ms > queue->cursor_due_ms ? wall_ms : queue->cursor_due_ms,
        .after_due_ms = queue->cursor_due_ms, .after = queue->cursor, .limit = QUEUE_PAGE + (queue->rescan ? queue->n_jobs : 0),
        .max_bytes = QUEUE_PAGE_BYTES + (queue->rescan ? queue->bytes : 0), .answered = on_page, .owner = queue,
    };
    queue->rescan = queue->stale = false;
    queue->stale_due_ms = INT64_MAX;
    queue->reading = true;
    hub_read_deliveries(dispatcher_hub(queue->all), &queue->read);
    return true;
}
