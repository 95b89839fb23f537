/* events.c — what happens becomes events (hub_event.h), numbered and kept by publish.c; and what webhooks/ asks of the store, through
 * the hub's groups.
 *
 *   a publish with targets ──┐
 *   CALL_EVENT ──────────────┼─> publish.c: number, group ─> store ─> hook->accepted
 *   hub_tell (the hub's own) ┘      └─ failed: a caller is told so; the hub's own waits and is tried again
 *
 * The hub's own events are calls that it makes to itself: they are answered here. */
#include "hub/base/hash.h"
#include "hub/base/log.h"
#include "hub/core.h"
#include "hub/hook.h"
#include "hub/metrics.h"
#include "hub/webhook_call.h"

#include <stdlib.h>

static const int64_t RETRY_MS = 1000;

void hub_use_hook(struct hub *hub, struct hook *hook) { hub->hook = hook; }

int events_make(struct hub *hub, enum event_type type, struct msg *m, struct hub_event **ret_event)
{
    struct event_target targets[EVENT_TARGETS];
    *ret_event = NULL;
    size_t n = hub->hook && hub->hook->wants(hub->hook, type) ? hub->hook->targets(hub->hook, type, m, targets) : 0;
    if (n == 0 && type != EVENT_OWN)
        return 0;
    *ret_event = hub_event_new(type, m, targets, n);
    return *ret_event ? 0 : ERR_MEMORY;
}

bool events_room(struct store_group *group)
{
    if (group->n_events < group->cap_events)
        return true;
    size_t cap = group->cap_events ? group->cap_events * 2 : 16;
    struct hub_event **events = realloc(group->events, cap * sizeof *events);
    if (!events)
        return false;
    group->events = events;
    group->cap_events = cap;
    return true;
}

void events_accept(struct hub *hub, struct hub_event *event)
{
    metric_add(METRIC_events, 1);
    if (hub->hook)
        hub->hook->accepted(hub->hook, event);
    else
        hub_event_free(event);
}

/* ---- the hub's own ---- */

struct own_event {
    struct publish_call call;      /* first */
    struct link         waits;     /* in hub->events_waiting */
};

static void own_free(struct own_event *own)
{
    msg_unref(own->call.msg);
    hub_event_free(own->call.event);
    free(own);
}

static void lose(struct own_event *own, int err)
{
    metric_add(METRIC_events_lost, 1);
    log_error("hub", "an event (%.*s) is lost: %s", (int)msg_event(own->call.msg).len, msg_event(own->call.msg).at, err_text(err));
    own_free(own);
}

/* In order with those that wait already. */
static void wait(struct hub *hub, struct own_event *own, int err)
{
    if (hub->n_events_waiting >= EVENTS_WAITING || hub->draining) {
        lose(own, err);
        return;
    }
    hub->n_events_waiting++;
    hub->events_retry_ms = hub_now_ms(hub) + RETRY_MS;
    list_add_last(&hub->events_waiting, &own->waits);
}

static void own_answered(struct hub *hub, struct own_event *own, int err)
{
    if (err)
        wait(hub, own, err);
    else
        own_free(own);
}

void events_answered(struct hub *hub, struct publish_call *call, int err)
{
    if (call->is_own)
        own_answered(hub, (struct own_event *)call, err);
    else
        hub_answer(hub, &call->call, err);
}

static struct msg *message_of(enum event_type type, struct slice channel, struct slice data)
{
    struct slice name = slice_of(event_type_text(type));
    return msg_new(&(struct msg_parts){ .channel = channel, .event = name, .kind = MSG_JSON, .data = data.len ? data : SLICE("null") });
}

static struct own_event *own_new(struct hub *hub, enum event_type type, struct msg *m, const struct event_target *targets, size_t n)
{
    struct own_event *own = calloc(1, sizeof *own);
    if (!own)
        return NULL;
    link_init(&own->waits);
    own->call.call.letter.kind = CALL_EVENT;
    own->call.msg = msg_ref(m);
    own->call.is_own = true;
    int err = n > 0 ? 0 : events_make(hub, type, m, &own->call.event);
    if (n > 0 && !(own->call.event = hub_event_new(type, m, targets, n)))
        err = ERR_MEMORY;
    if (!err && own->call.event)
        return own;
    own_free(own);
    return NULL;
}

void hub_tell(struct hub *hub, enum event_type type, struct slice channel, struct slice data, const struct event_target *targets, size_t n)
{
    if (!hub->hook || (n == 0 && !hub->hook->wants(hub->hook, type)))
        return;
    struct msg *m = message_of(type, channel, data);
    struct own_event *own = m ? own_new(hub, type, m, targets, n) : NULL;
    msg_unref(m);
    if (!own)
        return;
    if (hub->n_events_waiting > 0)
        wait(hub, own, ERR_BUSY);
    else
        publish_run(hub, &own->call);
}

void events_tick(struct hub *hub)
{
    struct link again;
    if (hub->n_events_waiting == 0 || hub_now_ms(hub) < hub->events_retry_ms)
        return;
    link_init(&again);
    list_move_all(&again, &hub->events_waiting);
    hub->n_events_waiting = 0;
    for (struct link *first; (first = list_first(&again));) {
        struct own_event *own = link_of(first, struct own_event, waits);
        link_remove(first);
        if (hub->n_events_waiting > 0)
            wait(hub, own, ERR_BUSY);
        else
            publish_run(hub, &own->call);
    }
}

int64_t events_due_ms(const struct hub *hub) { return hub->n_events_waiting > 0 ? hub->events_retry_ms : INT64_MAX; }

void events_fini(struct hub *hub)
{
    for (struct link *first; (first = list_first(&hub->events_waiting));) {
        link_remove(first);
        own_free(link_of(first, struct own_event, waits));
    }
}

/* ---- deliveries ---- */

void hub_settle(struct hub *hub, struct settle_call *call)
{
    struct store_group *group = hub->store ? publish_group(hub) : NULL;
    call->next = NULL;
    call->err = group ? 0 : hub->store ? ERR_MEMORY : ERR_STORE_FAILED;
    if (!group) {
        call->answered(call);
        return;
    }
    struct settle_call **last = &group->settlings;
    while (*last)
        last = &(*last)->next;
    *last = call;
}

void settlings_stored(const struct store_group *group, int err)
{
    for (struct settle_call *call = group->settlings, *next; call; call = next) {
        next = call->next;
        call->err = err;
        call->answered(call);
    }
    if (group->trims) {
        group->trims->err = err;
        group->trims->answered(group->trims);
    }
}

void hub_trim_deliveries(struct hub *hub, struct trim_call *call)
{
    struct store_group *group = hub->store ? publish_group(hub) : NULL;
    call->err = group ? 0 : ERR_MEMORY;
    if (group)
        group->trims = call;
    else
        call->answered(call);
}

void hub_read_deliveries(struct hub *hub, struct delivery_read *read)
{
    if (hub->store) {
        store_read(hub->store, read);
        return;
    }
    read->rows = NULL;
    read->event_msg = NULL;
    read->n = 0;
    read->err = ERR_STORE_FAILED;
    read->answered(read);
}

static void deliveries_read(struct delivery_read *read)
{
    struct deliveries_call *call = link_of(read, struct deliveries_call, read);
    hub_answer(read->owner, &call->call, read->err);
}

void deliveries_run(struct hub *hub, struct deliveries_call *call)
{
    call->read.owner = hub;
    call->read.answered = deliveries_read;
    hub_read_deliveries(hub, &call->read);
}

/* ---- administrators ---- */

void webhook_run(struct hub *hub, struct webhook_call *call)
{
    if (hub->hook && !hub->draining)
        hub->hook->order(hub->hook, call);
    else
        hub_answer(hub, &call->call, hub->draining ? ERR_DRAINING : ERR_NOT_FOUND);
}

void hub_webhook_answer(struct hub *hub, struct webhook_call *call, int err) { hub_answer(hub, &call->call, err); }
