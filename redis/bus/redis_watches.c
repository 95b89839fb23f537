/* redis_watches.c — who wants a channel or pattern: asked of Redis, confirmed, and answered behind an echo.
 *
 *   redis_bus_subscribe ─> sub->waiters ──confirmed──> watches_next ──an echo is sent──> watches_now ──it is back──> answered
 *                              ^──────────────────── the bus is not live any more ─────────────┘
 */
#include "redis/bus/redis_bus_core.h"

#include "hub/base/err.h"

#include <event2/event.h>

void redis_watches_on(void *arg, struct redis_sub *sub)
{
    struct redis_bus *bus = arg;
    while (sub->waiters) {
        struct call *call = sub->waiters;
        sub->waiters = (struct call *)call->letter.next;
        call->letter.next = (struct letter *)bus->watches_next;
        bus->watches_next = call;
    }
    if (bus->state == REDIS_BUS_LIVE)
        redis_bus_want_echo(bus);
}

bool redis_watches_send(struct redis_bus *bus)
{
    if (redis_subs_send(&bus->subs, redis_watches_on, bus)) {
        redis_link_again(bus->listener, "no room for its subscriptions");
        return false;
    }
    list_each(item, next, &bus->subs.lists[REDIS_SUB_ON])      /* those that wait and were never unsubscribed */
        redis_watches_on(bus, link_of(item, struct redis_sub, link));
    return true;
}

void redis_watches_soon(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct redis_bus *bus = arg;
    if (bus->state >= REDIS_BUS_FILLING && redis_subs_send(&bus->subs, redis_watches_on, bus))
        redis_link_again(bus->listener, "no room for its subscriptions");
}

void redis_bus_subscribe(struct redis_bus *bus, struct watch_call *call)
{
    struct redis_sub *sub = redis_subs_take(&bus->subs, call->channel);
    if (!sub) {
        redis_bus_answer(bus, &call->call, ERR_MEMORY);
        return;
    }
    if (bus->state == REDIS_BUS_LIVE && sub->state == REDIS_SUB_ON && sub->last > 0) {
        call->head = redis_bus_head(bus);
        redis_bus_answer(bus, &call->call, 0);
        return;
    }
    if (bus->over && bus->state != REDIS_BUS_LIVE) {
        redis_subs_release(&bus->subs, sub, redis_now_ms());
        redis_bus_answer(bus, &call->call, bus->over);
        return;
    }
    redis_subs_take(&bus->subs, call->channel);      /* the waiter's own */
    sub->unanswered++;
    call->call.letter.next = (struct letter *)sub->waiters;
    sub->waiters = &call->call;
    if (sub->state == REDIS_SUB_ON)
        redis_watches_on(bus, sub);
    else
        event_active(bus->soon, EV_TIMEOUT, 0);
}

void redis_bus_unsubscribe(struct redis_bus *bus, struct slice name)
{
    struct redis_sub *sub = redis_subs_find(&bus->subs, name);
    if (sub && sub->refs > 0)      /* else its subscription was refused */
        redis_subs_release(&bus->subs, sub, redis_now_ms());
}

void redis_watches_answer(struct redis_bus *bus, struct call *chain, int err)
{
    for (struct call *call = chain, *next; call; call = next) {
        next = (struct call *)call->letter.next;
        struct watch_call *watch = (struct watch_call *)call;
        struct redis_sub *sub = redis_subs_find(&bus->subs, watch->channel);
        if (!err && sub->last < bus->head)
            sub->last = bus->head;
        sub->unanswered--;
        redis_subs_release(&bus->subs, sub, redis_now_ms());
        if (err)
            redis_subs_release(&bus->subs, sub, redis_now_ms());
        watch->head = redis_bus_head(bus);
        redis_bus_answer(bus, call, err);
    }
}

static void chain_back(struct redis_bus *bus, struct call **chain)
{
    for (struct call *call = *chain, *next; call; call = next) {
        next = (struct call *)call->letter.next;
        struct redis_sub *sub = redis_subs_find(&bus->subs, ((struct watch_call *)call)->channel);
        call->letter.next = (struct letter *)sub->waiters;
        sub->waiters = call;
    }
    *chain = NULL;
}

void redis_watches_lost(struct redis_bus *bus)
{
    chain_back(bus, &bus->watches_now);
    chain_back(bus, &bus->watches_next);
}

void redis_watches_end(struct redis_bus *bus, int err)
{
    struct redis_sub *sub, *next;
    redis_watches_lost(bus);      /* a server that refuses to write sends no echo */
    HASH_ITER (hh, bus->subs.table, sub, next) {
        struct call *waiters = sub->waiters;
        sub->waiters = NULL;
        redis_watches_answer(bus, waiters, err);
    }
}
