#include "webhooks/transfers.h"

#include "hub/base/clock.h"
#include "hub/base/err.h"
#include "webhooks/sockets.h"
#include "webhooks/transfer.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>

/* What is due at once may make more due at once: so many rounds in one turn, then the loop looks at its sockets again. */
enum { ROUNDS = 4 };

struct pool {
    struct link       link;              /* in transfers->pools */
    struct transfers *all;
    unsigned          number;
    CURLM            *multi;
    struct sockets   *sockets;
    struct link       running, idle;     /* struct transfer */
    struct link       reading;           /* running ones whose head has come; the first has the least time left */
    size_t            n_running, max_running;
    struct letter    *waiting, *waiting_last;      /* requests, by letter.next */
    struct event     *rest;              /* pending while `reading` is not empty; may be early */
    struct event     *unused;            /* pending always; looks whether anything happened */
    int64_t           used_ms;           /* when a request began or ended the last time */
    bool              over;              /* to be freed at the end of the turn */
};

struct transfers {
    struct event_base  *base;
    struct event       *again;           /* to come back at once */
    const struct clock *clock;
    void              (*done)(void *arg, struct http_out_request *request);
    void               *arg;
    struct link         pools;
};

static struct http_out_request *request_of(struct letter *letter) { return (struct http_out_request *)(void *)letter; }

static void set_off(struct event *event, int64_t in_ms)
{
    struct timeval tv = { (time_t)(in_ms / 1000), (suseconds_t)(in_ms % 1000 * 1000) };
    event_add(event, &tv);
}

/* ---- ending ---- */

/* Of a request that never began, or whose transfer is out of the way. */
static void tell(struct transfers *all, struct http_out_request *request)
{
    if (request->err)
        http_out_answer_fini(request);
    if (request->err && !request->why[0])
        snprintf(request->why, sizeof request->why, "%s", err_text(request->err));
    all->done(all->arg, request);
}

/* The transfer is idle again, and its request is told. */
static void finish(struct pool *pool, struct transfer *t)
{
    struct http_out_request *request = t->request;
    curl_multi_remove_handle(pool->multi, t->curl);
    t->request = NULL;
    link_remove(&t->reading);
    list_add_last(&pool->idle, &t->link);
    pool->n_running--;
    pool->used_ms = clock_mono_ms(pool->all->clock);
    tell(pool->all, request);
}

static void finish_with(struct pool *pool, struct transfer *t, int err)
{
    t->request->err = err;
    finish(pool, t);
}

/* ---- the time for bodies ---- */

static void on_head(struct transfer *t)
{
    struct pool *pool = t->pool;
    int64_t rest_ms = t->request->rules->rest_ms;
    if (rest_ms <= 0)
        return;
    t->rest_until_ms = clock_mono_ms(pool->all->clock) + rest_ms;
    list_add_last(&pool->reading, &t->reading);
    if (!event_pending(pool->rest, EV_TIMEOUT, NULL))
        set_off(pool->rest, rest_ms);
}

static void end_late_bodies(struct pool *pool)
{
    int64_t now_ms = clock_mono_ms(pool->all->clock);
    struct link *first;
    while ((first = list_first(&pool->reading))) {
        struct transfer *t = link_of(first, struct transfer, reading);
        if (t->rest_until_ms > now_ms) {
            set_off(pool->rest, t->rest_until_ms - now_ms);
            return;
        }
        transfer_end_reading(t);
        finish(pool, t);
    }
}

static void on_rest(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    end_late_bodies(arg);
}

/* ---- beginning ---- */

static struct letter *take_waiting(struct pool *pool)
{
    struct letter *first = pool->waiting;
    if (first)
        pool->waiting = first->next;
    return first;
}

static struct transfer *idle_transfer(struct pool *pool, const struct http_out_rules *rules)
{
    struct link *first = list_first(&pool->idle);
    if (first)
        return link_of(first, struct transfer, link);
    struct transfer *t = transfer_new(rules, pool->sockets);
    if (!t)
        return NULL;
    t->on_head = on_head;
    t->pool = pool;
    return t;
}

static void begin(struct pool *pool, struct http_out_request *request)
{
    struct transfer *t = idle_transfer(pool, request->rules);
    if (!t) {
        request->err = ERR_MEMORY;
        tell(pool->all, request);
        return;
    }
    int err = transfer_begin(t, request);
    list_add_last(&pool->running, &t->link);
    pool->n_running++;
    if (err || curl_multi_add_handle(pool->multi, t->curl) != CURLM_OK)
        finish_with(pool, t, err ? err : ERR_MEMORY);
}

static void begin_waiting(struct pool *pool)
{
    struct letter *letter;
    while (pool->n_running < pool->max_running && (letter = take_waiting(pool)))
        begin(pool, request_of(letter));
}

static void ended(struct pool *pool, struct transfer *t, CURLcode code)
{
    transfer_end(t, code);
    if (!transfer_found_dead(t)) {
        finish(pool, t);
        return;
    }
    curl_multi_remove_handle(pool->multi, t->curl);
    transfer_again(t);
    if (curl_multi_add_handle(pool->multi, t->curl) != CURLM_OK)
        finish_with(pool, t, ERR_MEMORY);
}

static void look_for_ended(struct pool *pool)
{
    CURLMsg *message;
    for (int left; (message = curl_multi_info_read(pool->multi, &left));) {
        struct transfer *t = NULL;
        CURLcode code = message->data.result;
        if (message->msg == CURLMSG_DONE && curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &t) == CURLE_OK && t)
            ended(pool, t, code);
    }
}

/* ---- pools ---- */

static void pool_free(struct pool *pool)
{
    if (!pool)
        return;
    link_remove(&pool->link);
    list_each(item, following, &pool->idle)
        transfer_free(link_of(item, struct transfer, link));
    curl_multi_cleanup(pool->multi);      /* closes its connections: the sockets are told */
    sockets_free(pool->sockets);
    if (pool->rest)
        event_free(pool->rest);
    if (pool->unused)
        event_free(pool->unused);
    free(pool);
}

static void on_unused(evutil_socket_t fd, short what, void *arg)
{
    struct pool *pool = arg;
    int64_t since_ms = clock_mono_ms(pool->all->clock) - pool->used_ms;
    (void)fd, (void)what;
    pool->over = pool->n_running == 0 && !pool->waiting && since_ms >= HTTP_OUT_POOL_IDLE_MS;
    set_off(pool->unused, pool->n_running == 0 && since_ms < HTTP_OUT_POOL_IDLE_MS ? HTTP_OUT_POOL_IDLE_MS - since_ms : HTTP_OUT_POOL_IDLE_MS);
}

static struct pool *pool_new(struct transfers *all, const struct http_out_rules *rules)
{
    struct pool *pool = calloc(1, sizeof *pool);
    if (!pool)
        return NULL;
    pool->all = all;
    pool->number = rules->pool;
    pool->max_running = rules->transfers ? rules->transfers : HTTP_OUT_TRANSFERS;
    link_init(&pool->link);
    link_init(&pool->running);
    link_init(&pool->idle);
    link_init(&pool->reading);
    pool->multi = curl_multi_init();
    pool->sockets = pool->multi ? sockets_new(all->base, pool->multi) : NULL;
    pool->rest = evtimer_new(all->base, on_rest, pool);
    pool->unused = evtimer_new(all->base, on_unused, pool);
    if (!pool->sockets || !pool->rest || !pool->unused) {
        pool_free(pool);
        return NULL;
    }
    curl_multi_setopt(pool->multi, CURLMOPT_MAXCONNECTS, (long)pool->max_running);
    set_off(pool->unused, HTTP_OUT_POOL_IDLE_MS);
    list_add_last(&all->pools, &pool->link);
    return pool;
}

static struct pool *pool_get(struct transfers *all, const struct http_out_rules *rules)
{
    list_each(item, following, &all->pools) {
        struct pool *pool = link_of(item, struct pool, link);
        if (pool->number == rules->pool)
            return pool;
    }
    return pool_new(all, rules);
}

/* ---- what others see ---- */

void transfers_add(struct transfers *all, struct http_out_request *request)
{
    struct pool *pool = pool_get(all, request->rules);
    if (!pool) {
        request->err = ERR_MEMORY;
        tell(all, request);
        return;
    }
    request->letter.next = NULL;
    if (pool->waiting)
        pool->waiting_last->next = &request->letter;
    else
        pool->waiting = &request->letter;
    pool->waiting_last = &request->letter;
    pool->used_ms = clock_mono_ms(all->clock);
}

/* True: there is more to do at once. */
static bool pool_turn(struct pool *pool)
{
    bool more = true;
    for (int round = 0; more && round < ROUNDS; round++) {
        look_for_ended(pool);
        begin_waiting(pool);
        more = sockets_turn(pool->sockets);
    }
    return more;
}

void transfers_turn(struct transfers *all)
{
    bool more = false;
    list_each(item, following, &all->pools) {
        struct pool *pool = link_of(item, struct pool, link);
        more |= pool_turn(pool);
        if (pool->over && pool->n_running == 0 && !pool->waiting)
            pool_free(pool);
    }
    if (more)
        event_active(all->again, EV_TIMEOUT, 0);
}

static void on_again(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what, (void)arg;      /* the turn ends with transfers_turn */
}

static void end_waiting(struct pool *pool, int err, bool only_cancelled)
{
    struct letter *all = pool->waiting, *next;
    pool->waiting = NULL;
    for (; all; all = next) {
        struct http_out_request *request = request_of(all);
        next = all->next;
        if (only_cancelled && !atomic_load(&request->cancelled)) {
            transfers_add(pool->all, request);
        } else {
            request->err = err;
            tell(pool->all, request);
        }
    }
}

static void end_some(struct pool *pool, int err, bool only_cancelled)
{
    end_waiting(pool, err, only_cancelled);
    list_each(item, following, &pool->running) {
        struct transfer *t = link_of(item, struct transfer, link);
        if (!only_cancelled || atomic_load(&t->request->cancelled))
            finish_with(pool, t, err);
    }
}

void transfers_drop_cancelled(struct transfers *all)
{
    list_each(item, following, &all->pools)
        end_some(link_of(item, struct pool, link), ERR_GONE, true);
}

void transfers_end_all(struct transfers *all, int err)
{
    list_each(item, following, &all->pools)
        end_some(link_of(item, struct pool, link), err, false);
}

struct transfers *transfers_new(struct event_base *base, void (*done)(void *arg, struct http_out_request *request), void *arg)
{
    struct transfers *all = calloc(1, sizeof *all);
    if (!all)
        return NULL;
    *all = (struct transfers){ .base = base, .clock = clock_real(), .done = done, .arg = arg };
    link_init(&all->pools);
    if (!(all->again = event_new(base, -1, 0, on_again, all))) {
        free(all);
        return NULL;
    }
    return all;
}

void transfers_free(struct transfers *all)
{
    if (!all)
        return;
    list_each(item, following, &all->pools)
        pool_free(link_of(item, struct pool, link));
    event_free(all->again);
    free(all);
}
