/* publish.c — a message gets its number, waits for its engine, and is completed in order of number (EXACT.md 1–3).
 *
 *   publish_run ──number, prev──> in memory or store.sync=off: completed at once
 *                             └─> else: a flight, and a row of the group being collected
 *   publish_end_turn ──group──> store (at most GROUPS_MAX under way; meanwhile the next one grows)
 *   publish_stored ──> its flights are completed: kept, mailed to edges, answered to the publisher
 *
 * When a group fails, every flight fails with it, also those whose rows are still being collected: their `prev` would name
 * a message that does not exist. Their numbers are never given again.
 * Numbers are given only below `reserved`; blocks are reserved ahead through the store in the same groups. */
#include "hub/base/grow.h"
#include "hub/core.h"
#include "hub/memory.h"
#include "hub/metrics.h"

#include <stdlib.h>

enum { GROUPS_MAX = 2 };
static const uint64_t NUMBER_BLOCK = 1 << 20;
static const uint64_t TRIM_ROWS = 1 << 16;       /* rows that may be out of use before a trim goes with the next group */
static const int64_t STORE_RETRY_MS = 1000;
static const int64_t SETTLE_MS = 2, SETTLE_LATEST_MS = 20;      /* so long settlings wait: for a turn that comes anyway, for one of their own */

/* What the hub keeps of a group until the store answers: the port's part first. */
struct group {
    struct store_group store;
    struct group      *next;
    size_t             n_flights;      /* completed by the answer */
    bool               waits;          /* for company, since waits_from_ms (mono) */
    int64_t            waits_from_ms;
    bool               failed;         /* its flights were failed with those of a group before it */
};

static struct group *collecting(struct hub *hub)
{
    if (!hub->collecting)
        hub->collecting = calloc(1, sizeof *hub->collecting);
    return hub->collecting;
}

struct store_group *publish_group(struct hub *hub)
{
    struct group *group = collecting(hub);
    return group ? &group->store : NULL;
}

bool publish_wants_numbers(const struct hub *hub)
{
    return hub_keeps(hub) && hub->reserve_asked < hub->next + NUMBER_BLOCK / 2;
}

/* One more row for the store; false: no memory. */
static bool collect_row(struct hub *hub, struct msg *m)
{
    struct store_group *group = collecting(hub) ? &hub->collecting->store : NULL;
    if (!group)
        return false;
    if (group->n == group->cap) {
        size_t cap = group->cap ? group->cap * 2 : 16;
        struct msg **msgs = realloc(group->msgs, cap * sizeof *msgs);
        if (!msgs)
            return false;
        group->msgs = msgs;
        group->cap = cap;
    }
    group->msgs[group->n++] = msg_ref(m);
    group->bytes += msg_size(m);
    hub->waiting_bytes += msg_size(m);
    metric_add(METRIC_store_queue, 1);
    return true;
}

/* There is room. */
static void collect_event(struct hub *hub, struct hub_event *event)
{
    struct store_group *group = &hub->collecting->store;
    group->events[group->n_events++] = event;
    group->bytes += msg_size(event->msg);
    hub->waiting_bytes += msg_size(event->msg);
}

/* Room for one more idempotency record, in the table and in what goes to the store; false: no memory. */
static bool key_room(struct hub *hub)
{
    if (!idempotency_room(&hub->idempotency))
        return false;
    if (!hub_keeps(hub))
        return true;
    struct store_group *group = collecting(hub) ? &hub->collecting->store : NULL;
    if (!group || group->n_keys < group->cap_keys)
        return group;
    size_t cap = group->cap_keys ? group->cap_keys * 2 : 16;
    struct idempotency_record *keys = realloc(group->keys, cap * sizeof *keys);
    if (!keys)
        return false;
    group->keys = keys;
    group->cap_keys = cap;
    return true;
}

/* The message has its number: what a retry will be answered, and its row. */
static void remember_key(struct hub *hub, struct publish_call *call, const struct channel *ch)
{
    const struct msg *m = call->msg;
    struct idempotency_record record = { .key = call->key, .epoch = m->epoch, .seq = m->seq, .time_ms = m->time_ms,
                                         .subscribers = ch ? watch_subscribers_all(hub, channel_name(ch), ch) : 0 };
    idempotency_add(&hub->idempotency, &record, hub->config->publish_idempotency_keys);
    if (!hub_keeps(hub))
        return;
    struct store_group *group = &hub->collecting->store;
    group->keys[group->n_keys++] = record;
    group->bytes += sizeof record;
    hub->waiting_bytes += sizeof record;
    group->keys_trim = idempotency_oldest(&hub->idempotency);
}

static bool flights_room(struct hub *hub)
{
    if (hub->n_flights < hub->flights_cap)
        return true;
    struct flight *bigger = grow_ring(hub->flights, sizeof *bigger, hub->flights_first, hub->n_flights, &hub->flights_cap, 64);
    if (!bigger)
        return false;
    hub->flights = bigger;
    hub->flights_first = 0;
    return true;
}

static struct flight flights_take(struct hub *hub)
{
    struct flight flight = hub->flights[hub->flights_first];
    hub->flights_first = (hub->flights_first + 1) & (hub->flights_cap - 1);
    hub->n_flights--;
    return flight;
}

/* `ch` NULL: an event's, which is no message of any channel. */
static void number(struct hub *hub, struct channel *ch, struct msg *m)
{
    int64_t now = hub_wall_ms(hub);
    hub->newest_ms = now > hub->newest_ms ? now : hub->newest_ms;
    m->time_ms = hub->newest_ms;
    m->epoch = hub->epoch;
    m->seq = hub->next++;
    if (!ch)
        return;
    channel_follow(ch, m);
    channel_submit(ch, m);
    ch->under_way++;
    channel_settle(&hub->channels, ch, hub_now_ms(hub));      /* not to be forgotten while a flight points to it */
}

static bool is_event(const struct publish_call *call) { return call->call.letter.kind == CALL_EVENT; }

/* What the store does not have is not kept either, or it would be gone without a gap after a restart: other rules hold since it was
 * given its number. */
static void complete_message(struct hub *hub, struct publish_call *call, struct channel *ch, bool stored)
{
    struct msg *m = call->msg;
    ch->under_way--;
    ch->last = m->seq;
    if (stored || !hub_keeps(hub))
        history_keep(&hub->history, ch, m, hub_now_ms(hub));
    else
        history_give_up(&hub->history, ch, m->seq, hub_now_ms(hub));
    metric_add(METRIC_msgs_in, 1);
    metric_add(METRIC_bytes_in, m->data_len);
    uint32_t subscribers = watch_deliver(hub, ch, m);
    if (!idempotency_wanted(&call->key))
        call->subscribers = subscribers;
    channel_settle(&hub->channels, ch, hub_now_ms(hub));
}

static void answer(struct hub *hub, struct publish_call *call, int err)
{
    if (is_event(call))
        events_answered(hub, call, err);
    else
        hub_answer(hub, &call->call, err);
}

static void complete(struct hub *hub, struct publish_call *call, struct channel *ch, bool stored)
{
    struct hub_event *event = call->event;
    hub->head = call->msg->seq;
    call->event = NULL;
    if (ch)
        complete_message(hub, call, ch, stored);
    answer(hub, call, 0);
    if (event)
        events_accept(hub, event);
}

/* What is tried again makes its event anew: others may want it then. */
static void fail(struct hub *hub, struct publish_call *call, struct channel *ch, int err)
{
    hub->head = call->msg->seq;
    if (ch) {
        ch->under_way--;
        ch->submitted = ch->last;
        channel_settle(&hub->channels, ch, hub_now_ms(hub));
    }
    metric_add(METRIC_msgs_refused, !is_event(call));
    if (!call->is_own) {
        hub_event_free(call->event);
        call->event = NULL;
    }
    answer(hub, call, err);
}

/* Why it cannot be taken now, or 0. */
/* While it ends, it may still have something of its own to tell: of attempts that end. */
static int refuse(const struct hub *hub, const struct publish_call *call)
{
    if (hub->draining && !call->is_own)
        return ERR_DRAINING;
    if (hub->next >= hub->reserved || hub->waiting_bytes > hub->config->store_queue_bytes)
        return ERR_BUSY;
    return 0;
}

/* Memory is short, and this message would be kept beside all that is kept already. */
static bool is_one_too_many(const struct hub *hub, const struct msg *m)
{
    memory_grew(hub->config, hub->history.bytes);
    return memory_level() != MEMORY_ENOUGH && history_would_grow(&hub->history, channel_find(&hub->channels, msg_channel(m), m->hash), m);
}

int64_t publish_keys_since(const struct hub *hub) { return hub_wall_ms(hub) - hub->config->publish_idempotency_ttl_ms; }

/* What is not completed is of this run and above the head. */
static int replay(struct hub *hub, struct publish_call *call, const struct idempotency_record *first)
{
    if (first->key.content[0] != call->key.content[0] || first->key.content[1] != call->key.content[1])
        return ERR_KEY_REUSED;
    if (first->epoch == hub->epoch && first->seq > hub->head)
        return ERR_KEY_IN_USE;
    call->msg->epoch = first->epoch;
    call->msg->seq = first->seq;
    call->msg->time_ms = first->time_ms;
    call->subscribers = first->subscribers;
    call->replayed = true;
    metric_add(METRIC_replays, 1);
    return 0;
}

/* Against the newest submitted message (EXACT.md 1), so that two on one pipeline with the same condition are never both published. */
static int check_position(const struct hub *hub, struct publish_call *call)
{
    const struct channel *ch = channel_find(&hub->channels, msg_channel(call->msg), call->msg->hash);
    struct position newest = { hub->epoch, ch ? ch->submitted : 0 };
    bool met = call->if_position == IF_NONE ? newest.seq == 0
                                            : newest.seq > 0 && newest.epoch == call->position.epoch && newest.seq == call->position.seq;
    if (met)
        return 0;
    call->position = newest;
    return ERR_POSITION_CHANGED;
}

/* Where a publish goes. */
struct way {
    struct channel *channel;     /* NULL: an event of no channel's */
    bool            stored;      /* it gets a row */
    bool            waits;       /* for the store, or for those before it that do (EXACT.md 1) */
};

/* A row for what the rules keep, and for all while the store does not know them yet (keeping.h). */
static struct way way_of(const struct hub *hub, const struct publish_call *call, struct channel *ch)
{
    bool stored = ch && hub_keeps(hub) && (rule_keeps(ch->rule) || !hub->keeping.stored);
    bool answers = stored || (hub_keeps(hub) && idempotency_wanted(&call->key));
    return (struct way){ ch, stored, (answers && hub->config->store_sync != STORE_SYNC_OFF) || call->event || hub->n_flights > 0 };
}

/* Its event, when there are endpoints for it: NULL otherwise. That of an own event that is tried again is there already. */
static int find_event(struct hub *hub, struct publish_call *call)
{
    if (call->event)
        return 0;
    return events_make(hub, is_event(call) ? EVENT_OWN : EVENT_MESSAGE_PUBLISHED, call->msg, &call->event);
}

static int find_channel(struct hub *hub, struct publish_call *call, struct channel **ret_channel)
{
    const struct msg *m = call->msg;
    *ret_channel = NULL;
    if (is_event(call))
        return 0;
    if (call->if_position != IF_ANY) {
        int err = check_position(hub, call);
        if (err)
            return err;
    }
    if (is_one_too_many(hub, m))
        return ERR_BUSY;
    *ret_channel = channel_get(&hub->channels, msg_channel(m), m->hash);
    return *ret_channel ? 0 : ERR_MEMORY;
}

static bool room_for(struct hub *hub, const struct publish_call *call, const struct way *way)
{
    return (!idempotency_wanted(&call->key) || key_room(hub)) && (!way->waits || (flights_room(hub) && collecting(hub))) &&
           (!call->event || events_room(&hub->collecting->store)) && (!way->stored || collect_row(hub, call->msg));
}

/* Everything that can fail, before the message has a number. */
static int prepare(struct hub *hub, struct publish_call *call, struct way *ret_way)
{
    struct channel *ch = NULL;
    int err = refuse(hub, call);
    if (!err)
        err = find_channel(hub, call, &ch);
    if (!err)
        err = find_event(hub, call);
    struct way way = err ? (struct way){ 0 } : way_of(hub, call, ch);
    if (!err && !room_for(hub, call, &way))
        err = ERR_MEMORY;
    if (!err) {
        *ret_way = way;
        return 0;
    }
    if (ch)
        channel_settle(&hub->channels, ch, hub_now_ms(hub));
    if (!call->is_own) {
        hub_event_free(call->event);
        call->event = NULL;
    }
    return err;
}

void publish_run(struct hub *hub, struct publish_call *call)
{
    bool keyed = idempotency_wanted(&call->key);
    const struct idempotency_record *first = keyed ? idempotency_find(&hub->idempotency, &call->key, publish_keys_since(hub)) : NULL;
    if (first) {
        answer(hub, call, replay(hub, call, first));
        return;
    }
    struct way way = { 0 };
    int err = prepare(hub, call, &way);

    if (err) {
        metric_add(METRIC_msgs_refused, !is_event(call));
        answer(hub, call, err);
        return;
    }
    number(hub, way.channel, call->msg);
    if (call->event)
        collect_event(hub, call->event);
    if (keyed) {
        remember_key(hub, call, way.channel);
        call->subscribers = way.channel ? watch_subscribers_all(hub, channel_name(way.channel), way.channel) : 0;
    }
    if (way.waits) {
        hub->flights[(hub->flights_first + hub->n_flights++) & (hub->flights_cap - 1)] = (struct flight){ call, way.channel, way.stored };
        hub->collecting->n_flights++;
    } else {
        complete(hub, call, way.channel, way.stored);
    }
}

static void group_free(struct hub *hub, struct group *group)
{
    hub->waiting_bytes -= group->store.bytes;
    metric_add(METRIC_store_queue, -(int64_t)group->store.n);
    for (size_t i = 0; i < group->store.n; i++)
        msg_unref(group->store.msgs[i]);
    free(group->store.msgs);
    free(group->store.keys);
    free(group->store.events);
    free((char *)group->store.keeping.at);
    free(group);
}

static void raise_floor(struct store_group *group, uint64_t floor)
{
    if (group->floor < floor)
        group->floor = floor;
}

/* Other rules are in force than the store knows: with the next group it does. */
static void tell_keeping(struct hub *hub)
{
    struct keeping *keeping = &hub->keeping;
    char *copy = NULL;
    if (!hub_keeps(hub) || keeping->stored || keeping->asked || hub_now_ms(hub) < hub->store_retry_ms || !collecting(hub) ||
        !(copy = slice_copy(buf_slice(&keeping->text))))
        return;      /* without memory with the next turn */
    struct store_group *group = &hub->collecting->store;
    free((char *)group->keeping.at);
    group->keeping = slice(copy, keeping->text.len);
    raise_floor(group, hub->history.drained);
    keeping->asked = true;
}

/* What came of attempts: nobody waits for it, unless others of its lane do. */
static bool can_wait(const struct group *group)
{
    const struct store_group *s = &group->store;
    if (group->n_flights > 0 || s->n > 0 || s->n_events > 0 || s->n_keys > 0 || s->records || s->purges || s->trims || s->reserve || s->trim || s->floor || s->keeping.at)
        return false;
    for (const struct settle_call *call = s->settlings; call; call = call->next)
        if (!call->is_sent || call->at->lane)
            return false;
    return true;
}

/* A commit costs much more than what is in it: settlings alone wait a little for company, such as the next publish. */
static bool waits(struct hub *hub)
{
    struct group *group = hub->collecting;
    bool waited = group->waits;
    group->waits = !hub->draining && !hub->store->forgets && can_wait(group);
    if (!waited)
        group->waits_from_ms = hub_now_ms(hub);
    return group->waits && hub_now_ms(hub) < group->waits_from_ms + SETTLE_MS;
}

int64_t publish_due_ms(const struct hub *hub)
{
    const struct group *group = hub->collecting;
    return group && group->waits && hub->n_groups < GROUPS_MAX ? group->waits_from_ms + SETTLE_LATEST_MS : INT64_MAX;
}

void publish_end_turn(struct hub *hub)
{
    tell_keeping(hub);
    if (publish_wants_numbers(hub) && hub_now_ms(hub) >= hub->store_retry_ms && collecting(hub))
        hub->collecting->store.reserve = hub->reserve_asked = hub->next + NUMBER_BLOCK;
    if (hub->collecting && hub->head - hub->trimmed > TRIM_ROWS)
        publish_trim(hub);
    if (!hub->collecting || hub->n_groups >= GROUPS_MAX || waits(hub))
        return;
    struct group *group = hub->collecting, **last = &hub->groups;
    while (*last)
        last = &(*last)->next;
    *last = group;
    hub->n_groups++;
    hub->collecting = NULL;
    group->store.letter.kind = LETTER_STORED;
    group->store.generation = hub->generation;
    store_submit(hub->store, &group->store);
}

/* Every flight, with or without a row at the store by now. The rows that were being collected for them are thrown away, with the
 * records that came with them; those of store.sync=off, which nobody waits for, were acknowledged and are tried again. */
static void fail_all(struct hub *hub, int err)
{
    struct group *dropped = hub->collecting && hub->collecting->n_flights > 0 ? hub->collecting : NULL;
    if (dropped)
        hub->collecting = NULL;
    if (hub->n_flights > 0)
        idempotency_take_back(&hub->idempotency, hub->epoch, hub->head);
    while (hub->n_flights > 0) {
        struct flight flight = flights_take(hub);
        fail(hub, flight.call, flight.channel, err);
    }
    for (struct group *group = hub->groups; group; group = group->next) {
        group->n_flights = 0;
        group->failed = true;
    }
    if (!dropped)
        return;
    records_stored(hub, &dropped->store, err);
    settlings_stored(&dropped->store, err);
    purges_stored(hub, &dropped->store, err);
    group_free(hub, dropped);
}

void publish_stored(struct hub *hub, struct store_group *answer)
{
    struct group *group = hub->groups;      /* groups are answered in order: this is the one */
    hub->groups = group->next;
    hub->n_groups--;
    hub->generation = answer->next_generation;
    if (answer->err) {
        hub->reserve_asked = hub->reserved;
        hub->keeping.asked = false;
        hub->store_retry_ms = hub_now_ms(hub) + STORE_RETRY_MS;
        if (!group->failed)      /* else what is under way now was submitted after that, and has a fate of its own */
            fail_all(hub, answer->err);
    } else {
        if (answer->reserve)
            hub->reserved = answer->reserve;
        if (answer->trim)
            hub->trimmed = answer->trim;
        if (answer->keeping.at)
            keeping_stored(&hub->keeping, answer->keeping);
        for (size_t i = 0; i < group->n_flights; i++) {
            struct flight flight = flights_take(hub);
            complete(hub, flight.call, flight.channel, flight.stored);
        }
    }
    records_stored(hub, answer, answer->err);
    settlings_stored(answer, answer->err);
    purges_stored(hub, answer, answer->err);
    group_free(hub, group);
}

void publish_trim(struct hub *hub)
{
    uint64_t oldest = history_oldest(&hub->history), none_below = hub->head + 1;
    uint64_t trim = oldest < none_below ? oldest : none_below;
    if (!hub_keeps(hub) || trim <= hub->trimmed || hub_now_ms(hub) < hub->store_retry_ms || !collecting(hub))
        return;
    hub->collecting->store.trim = trim;
    raise_floor(&hub->collecting->store, hub->history.drained < trim ? hub->history.drained : trim - 1);
}

void publish_fini(struct hub *hub)
{
    while (hub->groups) {
        struct group *group = hub->groups;
        hub->groups = group->next;
        group_free(hub, group);
    }
    if (hub->collecting)
        group_free(hub, hub->collecting);
    free(hub->flights);
}
