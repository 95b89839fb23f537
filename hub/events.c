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
#include "hub/member_text.h"
#include "hub/metrics.h"
#include "hub/webhook_call.h"

#include <stdlib.h>
#include <sys/random.h>

static const int64_t RETRY_MS = 1000;

void hub_use_hook(struct hub *hub, struct hook *hook) { hub->hook = hook; }
struct hook *hub_hook(const struct hub *hub)          { return hub->hook; }

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
    uint64_t            outbox;    /* the change that it comes of (engine.h); 0: none */
    hub_told_fn        *told;      /* NULL: nobody waits for it */
    void               *arg;
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

uint64_t events_outbox(const struct publish_call *call) { return call->is_own ? ((const struct own_event *)call)->outbox : 0; }

static void run(struct hub *hub, struct own_event *own) { (hub->engine ? engine_event : publish_run)(hub, &own->call); }

/* Of a change that another node has made an event of there is nothing left to do. */
static void own_answered(struct hub *hub, struct own_event *own, int err)
{
    bool is_done = err == ERR_NOT_FOUND && own->outbox;
    if (err && !is_done && !own->told) {
        wait(hub, own, err);
        return;
    }
    if (own->told)
        own->told(own->arg, err, own->call.msg);
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

/* An engine may have kept it and not have said so: tried again, it is known by its key. */
static void give_key(struct idempotency_key *key)
{
    if (getrandom(key, sizeof *key, 0) != sizeof *key)
        *key = (struct idempotency_key){ 0 };
}

static struct own_event *own_new(struct hub *hub, enum event_type type, struct msg *m, const struct event_target *targets, size_t n, uint64_t outbox)
{
    struct own_event *own = calloc(1, sizeof *own);
    if (!own)
        return NULL;
    link_init(&own->waits);
    own->outbox = outbox;
    if (hub->engine && !outbox)
        give_key(&own->call.key);
    own->call.call.letter.kind = CALL_EVENT;
    own->call.msg = msg_ref(m);
    own->call.is_own = true;
    int err = n > 0 ? 0 : events_make(hub, type, m, &own->call.event);
    if (n > 0 && !(own->call.event = hub_event_new(type, m, targets, n)))
        err = ERR_MEMORY;
    if (!err && (own->call.event || outbox))
        return own;
    own_free(own);
    return NULL;
}

static void tell(struct hub *hub, enum event_type type, struct slice channel, struct slice data, const struct event_target *targets, size_t n, uint64_t outbox)
{
    struct msg *m = message_of(type, channel, data);
    struct own_event *own = m ? own_new(hub, type, m, targets, n, outbox) : NULL;
    msg_unref(m);
    if (!own)
        return;
    if (hub->n_events_waiting > 0)
        wait(hub, own, ERR_BUSY);
    else
        run(hub, own);
}

void hub_tell(struct hub *hub, enum event_type type, struct slice channel, struct slice data, const struct event_target *targets, size_t n)
{
    if (hub->hook && (n > 0 || hub->hook->wants(hub->hook, type)))
        tell(hub, type, channel, data, targets, n, 0);
}

void hub_tell_occupied(struct hub *hub, struct slice channel, bool is_occupied)
{
    if (hub->engine)
        hub->engine->occupied(hub->engine, channel, is_occupied);
    else if (is_occupied)
        hub_tell(hub, EVENT_CHANNEL_OCCUPIED, channel, SLICE("{\"occupied\":true}"), NULL, 0);
    else
        hub_tell(hub, EVENT_CHANNEL_VACATED, channel, SLICE("{\"occupied\":false}"), NULL, 0);
}

/* ---- what nodes have noted ---- */

static const struct noted { enum noted_change change; enum event_type type; const char *data; } noted[NOTED_CHANGES] = {
    { NOTED_JOINED, EVENT_MEMBER_JOINED, NULL }, { NOTED_LEFT, EVENT_MEMBER_LEFT, NULL },
    { NOTED_OCCUPIED, EVENT_CHANNEL_OCCUPIED, "{\"occupied\":true}" }, { NOTED_VACATED, EVENT_CHANNEL_VACATED, "{\"occupied\":false}" },
    { NOTED_ROOM_STARTED, EVENT_ROOM_STARTED, NULL }, { NOTED_ROOM_JOINED, EVENT_ROOM_JOINED, NULL },
    { NOTED_ROOM_LEFT, EVENT_ROOM_LEFT, NULL }, { NOTED_ROOM_ENDED, EVENT_ROOM_ENDED, NULL },
};

void engine_noted(struct hub *hub, uint64_t outbox, enum noted_change change, struct slice channel, struct principal *who, struct slice given)
{
    const struct noted *what = noted;
    struct buf data = { 0 };
    while (what < noted + NOTED_CHANGES && what->change != change)
        what++;
    if (what == noted + NOTED_CHANGES)
        return;      /* a newer node's */
    if (what->data)
        buf_add_str(&data, what->data);
    else if (who)
        member_text_event(&data, who);
    else
        buf_add_slice(&data, given);
    if (!data.failed)
        tell(hub, what->type, channel, buf_slice(&data), NULL, 0, outbox);
    buf_fini(&data);
}

void engine_wanted_changes(const struct hub *hub, char ret_letters[NOTED_CHANGES + 1])
{
    size_t n = 0;
    bool is_unknown = hub->hook && hub->engine && !hub->engine->knows_endpoints(hub->engine);      /* who makes events of them knows */
    for (size_t i = 0; i < NOTED_CHANGES; i++)
        if (hub->hook && (is_unknown || hub->hook->wants(hub->hook, noted[i].type)))
            ret_letters[n++] = (char)noted[i].change;
    ret_letters[n] = '\0';
}

void hub_tell_one(struct hub *hub, enum event_type type, struct slice data, const struct event_target *target, hub_told_fn *told, void *arg)
{
    struct msg *m = message_of(type, SLICE(""), data);
    struct own_event *own = m ? own_new(hub, type, m, target, 1, 0) : NULL;
    msg_unref(m);
    if (!own) {
        told(arg, ERR_MEMORY, NULL);
        return;
    }
    own->told = told;
    own->arg = arg;
    run(hub, own);
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
            run(hub, own);
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

bool hub_shares_queue(const struct hub *hub) { return hub->engine; }
int64_t hub_queue_wall_ms(const struct hub *hub)
{
    return hub->engine ? hub->engine->queue_wall_ms(hub->engine) : clock_wall_ms(hub->clock);
}

bool hub_may_send(const struct hub *hub) { return !hub->engine || hub->engine->may_send(hub->engine); }

void hub_endpoint_came(struct hub *hub)
{
    if (hub->engine)
        hub->engine->endpoint_came(hub->engine);
}

void hub_endpoint_went(struct hub *hub, uint64_t endpoint)
{
    if (hub->engine)
        hub->engine->endpoint_went(hub->engine, endpoint);
}

void hub_swept(struct hub *hub, uint64_t endpoint)
{
    if (hub->engine)
        hub->engine->swept(hub->engine, endpoint);
}

bool hub_ask_hooks(struct hub *hub, struct hook_question *question) { return hub->engine && hub->engine->ask_hooks(hub->engine, question); }

void hub_settle(struct hub *hub, struct settle_call *call)
{
    if (hub->engine) {
        hub->engine->settle(hub->engine, call);
        return;
    }
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
    if (hub->engine) {
        hub->engine->trim(hub->engine, call);
        return;
    }
    struct store_group *group = hub->store ? publish_group(hub) : NULL;
    call->err = group ? 0 : ERR_MEMORY;
    if (group)
        group->trims = call;
    else
        call->answered(call);
}

void hub_read_deliveries(struct hub *hub, struct delivery_read *read)
{
    if (hub->engine) {
        hub->engine->read(hub->engine, read);
        return;
    }
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
