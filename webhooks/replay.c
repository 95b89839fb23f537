#include "webhooks/replay.h"

#include "hub/base/clock.h"
#include "hub/base/err.h"
#include "hub/base/instant.h"
#include "hub/base/list.h"
#include "webhooks/dispatcher.h"

#include <event2/event.h>
#include <event2/util.h>
#include <stdio.h>
#include <stdlib.h>

struct replay {
    struct link          link;
    struct replays      *all;
    struct replay_wish   wish;
    uint64_t             number;
    enum replay_state    state;
    uint64_t             looked, done;
    int64_t              ended_ms;
    uint64_t             after;
    bool                 under_way;      /* a page is */
    bool                 last;           /* it was the last one */
    struct event        *timer;
    struct delivery_read read;
    struct settle_call   settle;
    struct settlement    settlements[REPLAY_PAGE];
};

struct replays {
    struct replays_setup setup;
    struct link          list;           /* oldest first */
    uint64_t             next;
    size_t               n;
};

static const char *const state_names[REPLAY_STATES] = { [REPLAY_RUNNING] = "running", [REPLAY_DONE] = "done", [REPLAY_STOPPED] = "stopped" };

static void page(struct replay *replay);

static void replay_free(struct replay *replay)
{
    link_remove(&replay->link);
    replay->all->n--;
    if (replay->timer)
        event_free(replay->timer);
    free(replay);
}

/* ---- its end ---- */

static void end(struct replay *replay, enum replay_state state)
{
    replay->state = state;
    replay->ended_ms = clock_mono_ms(replay->all->setup.clock);
    if (replay->wish.is_swept)
        hub_swept(replay->all->setup.hub, replay->wish.endpoint);
    if (replay->wish.ended)
        replay->wish.ended(replay->wish.arg, replay->done);
    if (replay->wish.is_quiet)
        replay_free(replay);
}

static void next_page_in(struct replay *replay, int64_t ms)
{
    event_add(replay->timer, &(struct timeval){ ms / 1000, ms % 1000 * 1000 });
}

static void go_on(struct replay *replay)
{
    if (replay->state != REPLAY_RUNNING)
        return;
    if (replay->last)
        end(replay, REPLAY_DONE);
    else if (replay->wish.action == REPLAY_REMOVE)
        page(replay);
    else
        next_page_in(replay, REPLAY_PAGE_MS);
}

/* ---- a page ---- */

static void on_settled(struct settle_call *call)
{
    struct replay *replay = call->owner;
    replay->under_way = false;
    if (call->err) {
        delivery_read_fini(&replay->read);
        next_page_in(replay, 1000);      /* the same page once more: nothing of it has happened */
        return;
    }
    for (size_t i = 0; i < call->n; i++)
        replay->done += call->at[i].done;
    replay->after = replay->read.upto;
    dispatcher_changed(replay->all->setup.dispatcher, replay->wish.action == REPLAY_SEND, replay->settlements, call->n, replay->read.rows);
    delivery_read_fini(&replay->read);
    go_on(replay);
}

static void settle_page(struct replay *replay)
{
    const struct delivery_read *read = &replay->read;
    bool sends = replay->wish.action == REPLAY_SEND;
    int64_t now_ms = hub_queue_wall_ms(replay->all->setup.hub);
    for (size_t i = 0; i < read->n; i++) {
        const struct delivery *row = &read->rows[i];
        replay->settlements[i] = (struct settlement){
            .number = row->number, .endpoint = row->endpoint, .lane = row->lane, .status = sends ? DELIVERY_PENDING : DELIVERY_REMOVED, .tries = 0,
            .due_ms = row->lane ? DELIVERY_NEVER : now_ms, .settled_ms = now_ms,
            .only_from = replay->wish.statuses ? 1U << row->status : 0,
        };
    }
    replay->settle = (struct settle_call){ .at = replay->settlements, .n = read->n, .answered = on_settled, .owner = replay };
    hub_settle(replay->all->setup.hub, &replay->settle);
}

static void on_page(struct delivery_read *read)
{
    struct replay *replay = read->owner;
    replay->under_way = false;
    if (replay->state != REPLAY_RUNNING) {
        delivery_read_fini(read);
        return;
    }
    if (read->err) {
        next_page_in(replay, 1000);
        return;
    }
    replay->looked += read->n;
    replay->last = !read->more;
    if (read->n == 0) {
        replay->after = read->upto;
        go_on(replay);
        return;
    }
    replay->under_way = true;
    settle_page(replay);
}

static void page(struct replay *replay)
{
    const struct replay_wish *wish = &replay->wish;
    replay->read = (struct delivery_read){
        .kind = READ_OLDEST, .endpoint = wish->endpoint, .statuses = wish->statuses, .since_ms = wish->since_ms, .until_ms = wish->until_ms,
        .after = replay->after, .limit = REPLAY_PAGE, .looks = 10000, .max_bytes = SIZE_MAX, .answered = on_page, .owner = replay,
    };
    replay->under_way = true;
    hub_read_deliveries(replay->all->setup.hub, &replay->read);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct replay *replay = arg;
    struct replays *all = replay->all;
    (void)fd, (void)what;
    if (replay->state == REPLAY_RUNNING && !replay->under_way)
        page(replay);
    all->setup.turn(all->setup.arg);
}

/* ---- asking ---- */

static void forget_old(struct replays *all)
{
    int64_t now_ms = clock_mono_ms(all->setup.clock);
    list_each(at, next, &all->list) {
        struct replay *replay = link_of(at, struct replay, link);
        if (replay->state != REPLAY_RUNNING && !replay->under_way && (now_ms - replay->ended_ms > REPLAY_SHOWN_MS || all->n >= REPLAYS_MOST))
            replay_free(replay);
    }
}

int replay_begin(struct replays *all, const struct replay_wish *wish, uint64_t *ret_number)
{
    forget_old(all);
    if (all->n >= REPLAYS_MOST && !wish->is_quiet)
        return ERR_BUSY;
    struct replay *replay = calloc(1, sizeof *replay);
    if (!replay || !(replay->timer = event_new(all->setup.base, -1, 0, on_timer, replay))) {
        free(replay);
        return ERR_MEMORY;
    }
    replay->all = all;
    replay->wish = *wish;
    replay->number = ++all->next;
    link_init(&replay->link);
    list_add_last(&all->list, &replay->link);
    all->n++;
    *ret_number = replay->number;
    next_page_in(replay, 0);
    return 0;
}

static struct replay *find(const struct replays *all, uint64_t endpoint, uint64_t number)
{
    for (struct link *at = all->list.next; at != &all->list; at = at->next) {
        struct replay *replay = link_of(at, struct replay, link);
        if (replay->number == number && replay->wish.endpoint == endpoint && !replay->wish.is_quiet)
            return replay;
    }
    return NULL;
}

bool replay_stop(struct replays *all, uint64_t endpoint, uint64_t number)
{
    struct replay *replay = find(all, endpoint, number);
    if (replay && replay->state == REPLAY_RUNNING)
        end(replay, REPLAY_STOPPED);
    return replay;
}

static void print(const struct replay *replay, struct buf *out)
{
    char id[WEBHOOK_ID_TEXT];
    webhook_id_print(replay->wish.endpoint, id);
    buf_addf(out, "{\"id\":\"rp_%llu\",\"webhook\":\"%s\",\"status\":\"%s\",\"looked_at\":%llu,\"sent\":%llu", (unsigned long long)replay->number, id,
             state_names[replay->state], (unsigned long long)replay->looked, (unsigned long long)replay->done);
    buf_add_moment_member(out, "since", replay->wish.since_ms ? replay->wish.since_ms : INT64_MAX);
    buf_add_moment_member(out, "until", replay->wish.until_ms ? replay->wish.until_ms : INT64_MAX);
    buf_add_char(out, '}');
}

bool replay_print(const struct replays *all, uint64_t endpoint, uint64_t number, struct buf *out)
{
    const struct replay *replay = find(all, endpoint, number);
    if (replay)
        print(replay, out);
    return replay;
}

void replays_print(const struct replays *all, uint64_t endpoint, struct buf *out)
{
    const char *parting = "";
    for (struct link *at = all->list.next; at != &all->list; at = at->next) {
        const struct replay *replay = link_of(at, struct replay, link);
        if (replay->wish.endpoint != endpoint || replay->wish.is_quiet)
            continue;
        buf_add_str(out, parting);
        print(replay, out);
        parting = ",";
    }
}

/* ---- life ---- */

static uint64_t some_number(void)
{
    uint32_t number;
    evutil_secure_rng_get_bytes(&number, sizeof number);
    return number;
}

struct replays *replays_new(const struct replays_setup *setup)
{
    struct replays *all = calloc(1, sizeof *all);
    if (!all)
        return NULL;
    all->setup = *setup;
    link_init(&all->list);
    if (hub_shares_queue(setup->hub))
        all->next = some_number() << 16;      /* other nodes number theirs */
    return all;
}

void replays_free(struct replays *all)
{
    if (!all)
        return;
    for (struct link *first; (first = list_first(&all->list));)
        replay_free(link_of(first, struct replay, link));
    free(all);
}
