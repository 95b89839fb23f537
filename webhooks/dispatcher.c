#include "webhooks/dispatcher.h"

#include "hub/base/err.h"
#include "hub/base/log.h"
#include "hub/metrics.h"
#include "webhooks/dispatcher_core.h"

#include <event2/event.h>
#include <stdlib.h>

static const int64_t TRIM_MS = 10 * 1000, TRIM_STAYS_EACH_MS = 50, PAGE_AGAIN_MS = 1000, UNCERTAIN_MS = 250;

/* ---- the settings ---- */

static const char *judge(const void *guard, const struct sockaddr *address) { return guard_judge(guard, address); }

static void terms_free(struct dispatch_terms *terms)
{
    if (terms)
        guard_free(terms->guard);
    free(terms);
}

static const char *none_if_empty(const char *text) { return *text ? text : NULL; }

static void allow_networks(struct guard *guard, const struct words *networks)
{
    for (size_t i = 0; i < networks->count; i++) {
        const char *wrong = guard_allow(guard, slice_of(networks->at[i]));
        if (wrong)
            log_error("webhooks", "webhooks.allow_networks: %s %s", networks->at[i], wrong);
    }
}

/* A list that is no list was refused when the settings were read (config check of webhooks.retry); here the default stands in. */
static void read_retry(const char *text, struct schedule *ret_retry)
{
    const char *wrong = schedule_parse(slice_of(text), ret_retry);
    if (!wrong)
        return;
    log_error("webhooks", "webhooks.retry %s; the usual one is used", wrong);
    schedule_parse(SLICE("0,5s,30s,2m,10m,1h,3h,6h,12h,24h"), ret_retry);
}

static struct dispatch_terms *terms_new(struct dispatcher *all, const struct config *config)
{
    struct dispatch_terms *terms = calloc(1, sizeof *terms);
    if (!terms || !(terms->guard = guard_new())) {
        free(terms);
        return NULL;
    }
    allow_networks(terms->guard, &config->webhooks_allow_networks);
    read_retry(config->webhooks_retry, &terms->retry);
    terms->breaker = (struct breaker_rule){ (unsigned)config->webhooks_breaker, config->webhooks_breaker_pause_ms, config->webhooks_breaker_pause_max_ms };
    terms->rules = (struct http_out_rules){
        .pool = http_out_pool_new(all->setup.out), .transfers = config->webhooks_concurrency, .ca_file = none_if_empty(config->webhooks_ca),
        .proxy = none_if_empty(config->webhooks_proxy), .source_address = none_if_empty(config->webhooks_source_address),
        .allow_http = config->webhooks_allow_http, .http2 = true, .keep_cut = true, .judge = judge, .judge_arg = terms->guard,
        .connect_ms = config->webhooks_connect_timeout_ms, .timeout_ms = config->webhooks_timeout_ms, .max_bytes = 64 * 1024,
    };
    return terms;
}

static void use_terms(struct dispatcher *all, struct dispatch_terms *terms)
{
    struct queue *queue, *next;
    terms->before = all->terms;
    all->terms = terms;
    HASH_ITER(hh, all->queues, queue, next) {
        sender_unref(queue->sender);
        queue->sender = NULL;
    }
}

/* ---- time ---- */

struct hub *dispatcher_hub(const struct dispatcher *all)         { return all->setup.hub; }
int64_t dispatcher_wall_ms(const struct dispatcher *all)         { return hub_queue_wall_ms(all->setup.hub); }
static int64_t mono_ms(const struct dispatcher *all)             { return clock_mono_ms(all->setup.clock); }

uint32_t dispatcher_chance(struct dispatcher *all)
{
    all->chance ^= all->chance << 13;
    all->chance ^= all->chance >> 17;
    return all->chance ^= all->chance << 5;
}

void dispatcher_wake_in(struct dispatcher *all, int64_t ms)
{
    int64_t at = mono_ms(all) + (ms > 0 ? ms : 0);
    if (at >= all->wake_ms)
        return;
    all->wake_ms = at;
    if (all->timer)
        event_add(all->timer, &(struct timeval){ ms / 1000, ms % 1000 * 1000 });
}

int64_t dispatcher_due_ms(const struct dispatcher *all) { return all->wake_ms; }

/* ---- turns ---- */

/* How long until the next may begin: 0: now; -1: not before something else happens. */
static int64_t wait_ms(struct queue *queue)
{
    const struct dispatcher *all = queue->all;
    const struct endpoint *endpoint = queue->endpoint;
    int64_t asked = queue->asked_until_ms - dispatcher_wall_ms(all), slot = (queue->next_slot_us - mono_ms(all) * 1000 + 999) / 1000;
    if (all->stopping || queue->gone || !queue->is_ours || endpoint->paused || endpoint->disabled || queue->sending >= endpoint->concurrency)
        return -1;
    if (asked > 0)
        return asked;
    if (!hub_may_send(all->setup.hub))
        return UNCERTAIN_MS;
    return endpoint->rate > 0 && slot > 0 ? slot : 0;
}

/* Tokens of a bucket of one second: who rested may send as many at once. */
static void use_slot(struct queue *queue)
{
    int64_t now_us = mono_ms(queue->all) * 1000, one_us = queue->endpoint->rate > 0 ? 1000000 / queue->endpoint->rate : 0;
    if (queue->next_slot_us < now_us - 1000000)
        queue->next_slot_us = now_us - 1000000;
    queue->next_slot_us += one_us;
}

static bool has_sender(struct queue *queue)
{
    int64_t now_s = dispatcher_wall_ms(queue->all) / 1000;
    if (queue->sender && sender_is_stale(queue->sender, now_s)) {
        sender_unref(queue->sender);
        queue->sender = NULL;
    }
    if (!queue->sender)
        queue->sender = sender_new(queue->endpoint, &queue->all->terms->rules, now_s);
    return queue->sender;
}

static void wake_for_due(struct queue *queue)
{
    int64_t wall_ms = dispatcher_wall_ms(queue->all);
    if (queue->n_waiting == 0 && !queue->reading && queue->next_due_ms < DELIVERY_BLOCKED)
        dispatcher_wake_in(queue->all, queue->next_due_ms - wall_ms);
}

/* Asked last, because a probe that was granted has to be sent. */
static bool breaker_lets(struct queue *queue, bool *ret_probe)
{
    int64_t now_ms = mono_ms(queue->all);
    enum breaker_answer answer = breaker_ask(&queue->breaker, now_ms);
    *ret_probe = answer == BREAKER_PROBE;
    int64_t due_ms = breaker_due_ms(&queue->breaker);
    if (answer == BREAKER_WAIT && due_ms != INT64_MAX)
        dispatcher_wake_in(queue->all, due_ms - now_ms);
    return answer != BREAKER_WAIT;
}

/* One attempt of this queue begins; false: none can now. */
static bool begin_one(struct queue *queue)
{
    int64_t wait = wait_ms(queue);
    bool probe;
    if (wait != 0) {
        if (wait > 0 && (queue->n_waiting > 0 || queue->more || queue->next_due_ms < DELIVERY_BLOCKED))      /* what is due is read when it may go */
            dispatcher_wake_in(queue->all, wait);
        return false;
    }
    queue_refill(queue, dispatcher_wall_ms(queue->all));
    wake_for_due(queue);
    struct job *job = queue_take(queue);
    if (!job)
        return false;
    if (attempt_put_off(job))
        return true;
    if (!breaker_lets(queue, &probe)) {
        queue_put_back(queue, job);
        return false;
    }
    if (!has_sender(queue)) {
        queue_put_back(queue, job);
        breaker_gave_up(&queue->breaker, probe, mono_ms(queue->all));
        dispatcher_wake_in(queue->all, PAGE_AGAIN_MS);
        return false;
    }
    job->probe = probe ? queue->breaker.probes : 0;
    use_slot(queue);
    attempt_begin(queue, job);
    return true;
}

static void run_ready(struct dispatcher *all)
{
    if (all->running)
        return;
    all->running = true;
    for (struct link *first; all->sending < all->config->webhooks_concurrency && (first = list_first(&all->ready));) {
        struct queue *queue = link_of(first, struct queue, link);
        link_remove(first);
        if (begin_one(queue))
            list_add_last(&all->ready, first);
        queue_tell_state(queue);
    }
    all->running = false;
}

void dispatcher_room(struct dispatcher *all) { run_ready(all); }

void dispatcher_kick(struct dispatcher *all, struct queue *queue)
{
    if (link_alone(&queue->link))
        list_add_last(&all->ready, &queue->link);
    run_ready(all);
}

void dispatcher_page_came(struct dispatcher *all, struct queue *queue, int err)
{
    if (queue->gone) {
        dispatcher_settled(all, queue);
        return;
    }
    if (err) {
        queue_due_again(queue, 0);
        dispatcher_wake_in(all, PAGE_AGAIN_MS);
        return;
    }
    dispatcher_kick(all, queue);
}

void dispatcher_settled(struct dispatcher *all, struct queue *queue)
{
    if (!queue->gone)
        dispatcher_kick(all, queue);
    else if (!queue->reading && queue->n_jobs == queue->n_waiting)
        queue_free(queue);
}

/* ---- what is old ---- */

/* How long until the next look: none while a round goes on. A round looks again at all that is old and stays, a million in a second: it is
 * done less often when there is much of that. */
static int64_t trim_rest_ms(struct dispatcher *all, const struct trim_call *call)
{
    all->trim_stays += call->err ? 0 : call->stays;
    if (!call->err && call->more)
        return 0;
    int64_t rest_ms = (int64_t)all->trim_stays / TRIM_STAYS_EACH_MS;
    all->trim_stays = 0;
    return rest_ms > TRIM_MS ? rest_ms : TRIM_MS;
}

static void tell_store(const struct trim_call *call)
{
    metric_set(METRIC_wh_bytes, (int64_t)call->bytes);
    metric_set(METRIC_wh_dead_since, call->oldest_dead_ms);
    if (call->oldest_pending_ms >= 0)
        metric_set(METRIC_wh_pending_since, call->oldest_pending_ms);
}

static void on_dead_counted(struct delivery_read *read)
{
    struct dispatcher *all = read->owner;
    struct queue *queue, *next;
    all->counting = false;
    HASH_ITER(hh, all->queues, queue, next) {
        uint64_t dead = 0;
        for (size_t i = 0; i < read->n; i++)
            if (read->rows[i].endpoint == queue->number && read->rows[i].status == DELIVERY_DEAD)
                dead = read->rows[i].number;
        if (read->err)
            continue;
        metric_add(METRIC_wh_dead, (int64_t)(dead - queue->dead));
        queue->dead = dead;
    }
    delivery_read_fini(read);
}

/* Some have gone, of whichever endpoints. Reads and settlings are answered in the order in which they were asked, so no change is missed. */
static void count_dead(struct dispatcher *all)
{
    if (all->counting)
        return;
    all->counting = true;
    all->counts = (struct delivery_read){ .kind = READ_COUNTS, .answered = on_dead_counted, .owner = all };
    hub_read_deliveries(all->setup.hub, &all->counts);
}

static void on_trimmed(struct trim_call *call)
{
    struct dispatcher *all = call->owner;
    int64_t rest_ms = trim_rest_ms(all, call);
    all->trimming = false;
    all->trim_ms = mono_ms(all) + rest_ms;
    dispatcher_wake_in(all, rest_ms);
    if (!call->err)
        tell_store(call);
    if (call->err || call->dead_dropped == 0)
        return;
    metric_add(METRIC_wh_dead_dropped, (int64_t)call->dead_dropped);
    if (!all->is_shared)
        count_dead(all);
    log_warn("webhooks", "%llu dead letters were dropped: older than webhooks.dead_retention, or beyond webhooks.max_bytes",
             (unsigned long long)call->dead_dropped);
}

static void trim(struct dispatcher *all)
{
    int64_t now_ms = dispatcher_wall_ms(all), left_ms = all->trim_ms - mono_ms(all);
    if (all->trimming || all->stopping || left_ms > 0) {
        dispatcher_wake_in(all, left_ms > 0 && left_ms < TRIM_MS ? left_ms : TRIM_MS);
        return;
    }
    all->trimming = true;
    all->trim = (struct trim_call){
        .limits = { now_ms - all->config->webhooks_retention_ms, now_ms - all->config->webhooks_dead_retention_ms, all->config->webhooks_max_bytes },
        .answered = on_trimmed, .owner = all,
    };
    hub_trim_deliveries(all->setup.hub, &all->trim);
}

void dispatcher_tick(struct dispatcher *all)
{
    struct queue *queue, *next;
    struct link again;
    all->wake_ms = INT64_MAX;
    link_init(&again);
    list_move_all(&again, &all->unsettled);
    for (struct link *first; (first = list_first(&again));) {
        link_remove(first);
        attempt_settle_again(link_of(first, struct job, link));
    }
    trim(all);
    HASH_ITER(hh, all->queues, queue, next)
        dispatcher_kick(all, queue);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct dispatcher *all = arg;
    (void)fd, (void)what;
    dispatcher_tick(all);
    all->setup.turn(all->setup.arg);
}

/* ---- endpoints ---- */

static struct queue *find(const struct dispatcher *all, uint64_t number)
{
    struct queue *queue = NULL;
    HASH_FIND(hh, all->queues, &number, sizeof number, queue);
    return queue;
}

/* Of an endpoint that this hub sends to: each is counted once. */
static void show_counts(const struct queue *queue, int sign)
{
    metric_add(METRIC_wh_pending, sign * (int64_t)queue->pending);
    metric_add(METRIC_wh_dead, sign * (int64_t)queue->dead);
}

static void take_version(struct queue *queue, struct endpoint *endpoint)
{
    bool awakes = queue->endpoint->disabled && !endpoint->disabled;
    endpoint_unref(queue->endpoint);
    queue->endpoint = endpoint_ref(endpoint);
    sender_unref(queue->sender);
    queue->sender = NULL;
    if (!awakes)
        return;
    breaker_reset(&queue->breaker);
    queue->failing_since_s = queue->asked_until_ms = 0;
}

int dispatcher_put(struct dispatcher *all, struct endpoint *endpoint)
{
    struct queue *queue = find(all, endpoint->number);
    if (!queue) {
        if (!(queue = queue_new(all, endpoint)))
            return ERR_MEMORY;
        queue_due_again(queue, 0);
        HASH_ADD(hh, all->queues, number, sizeof queue->number, queue);
        hub_endpoint_came(all->setup.hub);
    } else {
        take_version(queue, endpoint);
    }
    dispatcher_wake_in(all, 0);
    return 0;
}

void dispatcher_drop(struct dispatcher *all, uint64_t number)
{
    struct queue *queue = find(all, number);
    if (!queue)
        return;
    HASH_DELETE(hh, all->queues, queue);
    if (queue->is_ours)
        show_counts(queue, -1);
    queue->gone = true;
    queue_tell_state(queue);
    dispatcher_settled(all, queue);
}

void dispatcher_count(struct dispatcher *all, uint64_t number, enum delivery_status status, uint64_t n)
{
    struct queue *queue = find(all, number);
    uint64_t *count = queue ? (status == DELIVERY_PENDING ? &queue->pending : &queue->dead) : NULL;
    if (!queue)
        return;
    if (queue->is_ours)
        show_counts(queue, -1);
    *count = n;
    if (queue->is_ours)
        show_counts(queue, 1);
}

/* ---- where nodes share the queues ---- */

static void begin_sending(struct queue *queue)
{
    breaker_reset(&queue->breaker);
    queue->asked_until_ms = queue->elsewhere.paused_until_ms;
    queue->failing_since_s = queue->endpoint->failing_since_s;
    queue->elsewhere = (struct endpoint_standing){ 0 };
    queue_due_again(queue, 0);
    dispatcher_kick(queue->all, queue);
}

static void end_sending(struct queue *queue)
{
    queue_forget_waiting(queue);
    queue->breaker.state = BREAKER_CLOSED;
}

void dispatcher_assign(struct dispatcher *all, uint64_t number, bool is_ours)
{
    struct queue *queue = find(all, number);
    if (!queue || queue->is_ours == is_ours)
        return;
    show_counts(queue, is_ours ? 1 : -1);
    queue->is_ours = is_ours;
    if (is_ours)
        begin_sending(queue);
    else
        end_sending(queue);
    queue_tell_state(queue);
}

void dispatcher_due(struct dispatcher *all, uint64_t number, bool earlier)
{
    struct queue *queue = find(all, number);
    if (!queue)
        return;
    queue_due_again(queue, earlier || queue->cursor_is_ours ? 0 : dispatcher_wall_ms(all));
    dispatcher_kick(all, queue);
}

void dispatcher_stands(struct dispatcher *all, uint64_t number, const struct endpoint_standing *standing)
{
    struct queue *queue = find(all, number);
    if (!queue)
        return;
    if (queue->is_ours)
        show_counts(queue, -1);
    else
        queue->elsewhere = *standing;
    if (queue->elsewhere.breaker >= BREAKER_STATES)
        queue->elsewhere.breaker = BREAKER_CLOSED;      /* a newer node's */
    queue->pending = standing->pending;
    queue->dead = standing->dead;
    if (queue->is_ours)
        show_counts(queue, 1);
}

bool dispatcher_describe(const struct dispatcher *all, uint64_t number, struct endpoint_standing *ret_standing)
{
    const struct queue *queue = find(all, number);
    if (!queue)
        return false;
    *ret_standing = (struct endpoint_standing){ queue->pending, queue->dead, (uint32_t)(queue->n_jobs - queue->n_waiting), (uint8_t)queue->breaker.state,
                                                queue->asked_until_ms };
    return true;
}

static void accept_target(struct dispatcher *all, const struct hub_event *event, size_t i)
{
    struct queue *queue = find(all, event->targets[i].endpoint);
    if (!queue)
        return;
    if (event->targets[i].is_over) {
        queue->dead++;
        metric_add(METRIC_wh_dead, 1);
        metric_add(METRIC_wh_dead_letters, 1);
        return;
    }
    metric_add(METRIC_wh_pending, 1);
    queue_accept(queue, event, i);
    dispatcher_kick(all, queue);
}

void dispatcher_accept(struct dispatcher *all, struct hub_event *event)
{
    for (size_t i = 0; i < event->n_targets; i++)
        accept_target(all, event, i);
    hub_event_free(event);
}

bool dispatcher_is_full(const struct dispatcher *all, uint64_t number)
{
    const struct queue *queue = find(all, number);
    return queue && !all->is_shared && queue->pending >= all->config->webhooks_queue;
}

static void recount(struct queue *queue, uint8_t before, bool sent_again)
{
    if (before == DELIVERY_DEAD && queue->dead > 0) {
        queue->dead--;
        metric_add(METRIC_wh_dead, -1);
    }
    if (before == DELIVERY_PENDING && !sent_again && queue->pending > 0) {
        queue->pending--;
        metric_add(METRIC_wh_pending, -1);
    }
    if (sent_again && before != DELIVERY_PENDING) {
        queue->pending++;
        metric_add(METRIC_wh_pending, 1);
    }
}

void dispatcher_changed(struct dispatcher *all, bool sent_again, const struct settlement *now, size_t n, const struct delivery *rows)
{
    struct queue *queue = NULL;
    if (all->is_shared)
        return;      /* whoever sends hears of it, and of the counts */
    for (size_t i = 0; i < n; i++) {
        if (!queue || queue->number != now[i].endpoint)
            queue = find(all, now[i].endpoint);
        if (!queue || !now[i].done)
            continue;
        recount(queue, rows[i].status, sent_again);
        if (sent_again)
            queue_due_again(queue, 0);
    }
    if (sent_again)
        dispatcher_wake_in(all, 0);
}

struct dispatcher_state dispatcher_state(const struct dispatcher *all, uint64_t number)
{
    const struct queue *queue = find(all, number);
    if (!queue)
        return (struct dispatcher_state){ 0 };
    if (!queue->is_ours)
        return (struct dispatcher_state){ (enum breaker_state)queue->elsewhere.breaker, queue->pending, queue->dead, queue->elsewhere.sending,
                                          queue->elsewhere.paused_until_ms > dispatcher_wall_ms(all) ? queue->elsewhere.paused_until_ms : 0 };
    return (struct dispatcher_state){ queue->breaker.state, queue->pending, queue->dead, queue->sending,
                                      queue->asked_until_ms > dispatcher_wall_ms(all) ? queue->asked_until_ms : 0 };
}

const struct guard *dispatcher_guard(const struct dispatcher *all)    { return all->terms->guard; }
const struct schedule *dispatcher_retry(const struct dispatcher *all) { return &all->terms->retry; }

/* ---- life ---- */

struct dispatcher *dispatcher_new(const struct dispatcher_setup *setup)
{
    struct dispatcher *all = calloc(1, sizeof *all);
    if (!all)
        return NULL;
    all->setup = *setup;
    all->config = setup->config;
    all->is_shared = hub_shares_queue(setup->hub);
    all->wake_ms = INT64_MAX;
    all->chance = (uint32_t)mono_ms(all) * 2654435761U | 1;
    link_init(&all->ready);
    link_init(&all->unsettled);
    if (setup->base)
        all->timer = event_new(setup->base, -1, 0, on_timer, all);
    struct dispatch_terms *terms = terms_new(all, setup->config);
    if (!terms || (setup->base && !all->timer)) {
        terms_free(terms);
        dispatcher_free(all);
        return NULL;
    }
    use_terms(all, terms);
    dispatcher_wake_in(all, 0);
    return all;
}

void dispatcher_free(struct dispatcher *all)
{
    struct queue *queue, *next;
    if (!all)
        return;
    HASH_ITER(hh, all->queues, queue, next) {
        HASH_DELETE(hh, all->queues, queue);
        queue_free(queue);
    }
    for (struct dispatch_terms *terms = all->terms, *before; terms; terms = before) {
        before = terms->before;
        terms_free(terms);
    }
    if (all->timer)
        event_free(all->timer);
    free(all);
}

void dispatcher_reconfigure(struct dispatcher *all, const struct config *config)
{
    struct dispatch_terms *terms = terms_new(all, config);
    all->config = config;
    if (terms)
        use_terms(all, terms);
    else
        log_error("webhooks", "no memory for the new settings: those of before stay");
    dispatcher_wake_in(all, 0);
}

void dispatcher_stop(struct dispatcher *all)          { all->stopping = true; }
bool dispatcher_idle(const struct dispatcher *all)    { return all->sending == 0 && all->settling == 0 && link_alone(&all->unsettled) && !all->trimming && !all->counting; }
