#include "hub/core.h"

#include "hub/http_out.h"
#include "hub/key_fetcher.h"
#include "hub/metrics.h"

#include <stdlib.h>

typedef void run_fn(struct hub *hub, void *call);

/* What runs a call, by its kind. */
static void run_fetch(struct hub *hub, void *call)     { (hub->engine ? engine_fetch : fetch_run)(hub, call); }
static void run_channels(struct hub *hub, void *call)  { hub->directory ? hub->directory->channels(hub->directory, call) : channels_run(hub, call); }
static void run_watch(struct hub *hub, void *call)     { watch_run(hub, call); }
static void run_unwatch(struct hub *hub, void *call)   { unwatch_run(hub, call); }
static void run_record(struct hub *hub, void *call)    { record_run(hub, call); }
static void run_loss_seen(struct hub *hub, void *call) { loss_seen_run(hub, call); }
static void run_errand(struct hub *hub, void *call)    { errand_run(hub, call); }
static void run_leave(struct hub *hub, void *call)     { leave_run(hub, call); }
static void run_members(struct hub *hub, void *call)  { members_run(hub, call); }
static void run_match(struct hub *hub, void *call)    { hub->directory ? hub->directory->match(hub->directory, call) : match_run(hub, call); }
static void run_nodes(struct hub *hub, void *call)    { hub->directory ? hub->directory->nodes(hub->directory, call) : nodes_run(hub, call); }
static void run_purge(struct hub *hub, void *call)     { purge_run(hub, call); }

/* Whoever asks may have had another call in this place. */
static struct publish_call *without_event(void *call)
{
    struct publish_call *publish = call;
    publish->event = NULL;
    publish->is_own = false;
    return publish;
}

static void run_publish(struct hub *hub, void *call)   { (hub->engine ? engine_publish : publish_run)(hub, without_event(call)); }

static void run_event(struct hub *hub, void *call)      { (hub->engine ? engine_event : publish_run)(hub, without_event(call)); }
static void run_deliveries(struct hub *hub, void *call) { deliveries_run(hub, call); }
static void run_webhook(struct hub *hub, void *call)    { webhook_run(hub, call); }

static void run_head(struct hub *hub, void *call)
{
    struct head_call *head = call;
    head->head = hub_head(hub);
    hub_answer(hub, &head->call, head->head.epoch ? 0 : ERR_REDIS_AWAY);
}
static void run_keys(struct hub *hub, void *call)
{
    if (hub->keys && !hub->draining)
        key_fetcher_ask(hub->keys, call);
    else
        hub_answer(hub, call, hub->draining ? ERR_DRAINING : 0);
}

static void run_room(struct hub *hub, void *call)      { room_run(hub, call); }

static run_fn *const calls[CALL_KINDS] = {
    [CALL_PUBLISH] = run_publish, [CALL_FETCH] = run_fetch,     [CALL_CHANNELS] = run_channels,   [CALL_WATCH] = run_watch,
    [CALL_UNWATCH] = run_unwatch, [CALL_HEAD] = run_head,       [CALL_LOSS_SEEN] = run_loss_seen,
    [CALL_RECORD] = run_record,
    [CALL_ERRAND] = run_errand,   [CALL_LEAVE] = run_leave,
    [CALL_PURGE] = run_purge,
    [CALL_KEYS] = run_keys,       [CALL_MEMBERS] = run_members, [CALL_MATCH] = run_match,
    [CALL_NODES] = run_nodes,     [CALL_EVENT] = run_event,     [CALL_DELIVERIES] = run_deliveries,
    [CALL_WEBHOOK] = run_webhook, [CALL_ROOM] = run_room,
};

static void look_at_clock(struct hub *hub)
{
    hub->now_ms = clock_mono_ms(hub->clock);
    hub->wall_ms = clock_wall_ms(hub->clock);
}

/* Some channels begin to have history: of those that are not known nobody knows what they had meanwhile, and what is under way may
 * have no row. */
static void raise_floor(struct hub *hub)
{
    uint64_t floor = hub->n_flights > 0 ? hub->next - 1 : hub->channels.unkept;
    if (hub->channels.floor < floor)
        hub->channels.floor = floor;
    if (hub->history.drained < floor)
        hub->history.drained = floor;
}

struct hub *hub_new(const struct config *config, const struct clock *clock, struct store *store, struct hub_start start)
{
    struct hub *hub = calloc(1, sizeof *hub);
    if (!hub || mailbox_init(&hub->box, true)) {
        free(hub);
        return NULL;
    }
    hub->config = config;
    hub->clock = clock;
    look_at_clock(hub);
    hub->store = store;
    hub->epoch = start.epoch;
    hub->next = start.next;
    hub->reserved = hub->reserve_asked = hub_keeps(hub) ? start.reserved : UINT64_MAX;
    hub->head = start.next - 1;
    hub->look_at = FETCH_LOOK_AT;
    channels_init(&hub->channels, config, start.floor);
    hub->channels.unkept = hub->head;
    history_init(&hub->history, config, &hub->channels);
    presence_init(&hub->presence, &members_port, hub);
    idempotency_init(&hub->idempotency);
    link_init(&hub->errands);
    link_init(&hub->done);
    link_init(&hub->settling);
    link_init(&hub->errands_out);
    link_init(&hub->events_waiting);
    hub->history.wall_ms = hub_wall_ms(hub);
    hub->history.drained = start.floor;      /* the stored floor never goes back */
    if (keeping_init(&hub->keeping, config, start.keeping, start.next))
        raise_floor(hub);
    return hub;
}

void hub_free(struct hub *hub)
{
    if (!hub)
        return;
    key_fetcher_free(hub->keys);
    publish_fini(hub);
    events_fini(hub);
    errands_fini(hub);
    presence_fini(&hub->presence);
    idempotency_fini(&hub->idempotency);
    watches_fini(hub);
    keeping_fini(&hub->keeping);
    history_fini(&hub->history);
    channels_fini(&hub->channels);
    mailbox_fini(&hub->box);
    free(hub);
}

int hub_restore(struct hub *hub, struct msg *m)
{
    if (hub->newest_ms < m->time_ms)
        hub->newest_ms = m->time_ms;
    if (!keeping_had(&hub->keeping, msg_channel(m), m->seq))
        return 0;      /* of a while ago, with a hole behind it; or nobody's any more */
    struct channel *ch = channel_find(&hub->channels, msg_channel(m), m->hash);
    if (!ch) {
        if (!(ch = channel_get(&hub->channels, msg_channel(m), m->hash)))
            return ERR_MEMORY;
        history_set_dropped(&hub->history, ch, channel_dropped_before(m, hub_wall_ms(hub)));
    } else if (m->prev > ch->last) {
        history_give_up(&hub->history, ch, m->prev, hub_now_ms(hub));      /* rows are missing: history was off for a while */
    }
    channel_submit(ch, m);
    ch->last = m->seq;
    history_keep(&hub->history, ch, m, hub_now_ms(hub));
    channel_settle(&hub->channels, ch, hub_now_ms(hub));
    return 0;
}

int hub_restore_key(struct hub *hub, const struct idempotency_record *record)
{
    if (hub->newest_ms < record->time_ms)
        hub->newest_ms = record->time_ms;
    return idempotency_restore(&hub->idempotency, record, publish_keys_since(hub), hub->config->publish_idempotency_keys);
}

void hub_use_memory(struct hub *hub, struct store *store) { hub->store = store; }

void hub_look_at(struct hub *hub, size_t entries) { hub->look_at = entries; }

struct mailbox *hub_mailbox(struct hub *hub) { return &hub->box; }

static void answered_from_outside(struct http_out_request *request)
{
    letter_done(&request->letter);
    request->answered(request);
}

static void answered_from_store(struct delivery_read *read)
{
    letter_done(&read->letter);
    read->answered(read);
}

static void run_letter(struct hub *hub, struct letter *letter)
{
    if (letter->kind < CALL_KINDS)
        calls[letter->kind](hub, letter);
    else if (letter->kind == LETTER_HTTP_OUT)
        answered_from_outside((struct http_out_request *)(void *)letter);
    else if (letter->kind == LETTER_JOIN)
        join_run(hub, letter);
    else if (letter->kind == LETTER_LEAVE)
        leave_channel_run(hub, letter);
    else if (letter->kind == LETTER_ROOM_DROP)
        room_drop_run(hub, letter);
    else if (letter->kind == LETTER_ROOM_RIGHTS)
        room_rights_run(hub, letter);
    else if (letter->kind == LETTER_ERRAND)
        errand_part_back(hub, (struct errand_part *)letter);
    else if (letter->kind == LETTER_READ)
        answered_from_store((struct delivery_read *)(void *)letter);
    else
        publish_stored(hub, (struct store_group *)letter);     /* nobody mails the hub anything else */
}

void hub_turn(struct hub *hub)
{
    look_at_clock(hub);
    history_age(&hub->history, hub_wall_ms(hub), hub_now_ms(hub));
    presence_tick(&hub->presence, hub_now_ms(hub));
    for (struct letter *letter = mailbox_take(&hub->box), *next; letter; letter = next) {
        next = letter->next;
        run_letter(hub, letter);
    }
    idempotency_age(&hub->idempotency, publish_keys_since(hub));
    errands_end_turn(hub);
    events_tick(hub);
    publish_end_turn(hub);
    peers_end_turn(hub);
}

/* When keys are to be forgotten, on the mono clock. Those that end within a second wait for each other; of many that have ended
 * each tick takes a bounded number. */
static int64_t keys_end_ms(const struct hub *hub, int64_t now, int64_t wall)
{
    int64_t oldest = idempotency_oldest_ms(&hub->idempotency);
    if (oldest == INT64_MAX)
        return INT64_MAX;
    int64_t left = oldest + hub->config->publish_idempotency_ttl_ms - wall;
    return left < 0 ? now : now + left + 1000;
}

int64_t hub_due_ms(const struct hub *hub)
{
    int64_t now = clock_mono_ms(hub->clock), wall = clock_wall_ms(hub->clock);
    int64_t aged = history_due_ms(&hub->history), quiet = channels_due_ms(&hub->channels);
    int64_t due = quiet;
    if (publish_wants_numbers(hub) && hub->store_retry_ms < due)
        due = hub->store_retry_ms;
    if (aged != INT64_MAX && now + (aged - wall) < due)
        due = now + (aged - wall);
    /* A second later rather than earlier: ages are told in minutes, and a hub at rest should sleep. */
    if (due != INT64_MAX)
        due = due > now ? due + 1000 : now + 1000;
    int64_t leaves = presence_due_ms(&hub->presence), keys = keys_end_ms(hub, now, wall);
    due = leaves < due ? leaves : due;
    int64_t events = events_due_ms(hub), publishes = publish_due_ms(hub);
    due = events < due ? events : due;
    due = publishes < due ? publishes : due;
    return keys < due ? keys : due;
}

void hub_tick(struct hub *hub)
{
    look_at_clock(hub);
    history_age(&hub->history, hub_wall_ms(hub), hub_now_ms(hub));
    presence_tick(&hub->presence, hub_now_ms(hub));
    idempotency_age(&hub->idempotency, publish_keys_since(hub));
    channels_forget_quiet(&hub->channels, hub_now_ms(hub));
    events_tick(hub);
    publish_trim(hub);
}

void hub_reconfigure(struct hub *hub, const struct config *config)
{
    hub->config = config;
    look_at_clock(hub);
    history_reconfigure(&hub->history, config, hub_now_ms(hub));
    if (keeping_changed(&hub->keeping, config, hub->next))
        raise_floor(hub);
    if (hub->engine)
        hub->engine->reconfigure(hub->engine, config);
    if (hub->keys)
        key_fetcher_reconfigure(hub->keys, config);
    for (uint8_t i = 0; i < hub->n_peers; i++) {
        struct config_letter *letter = calloc(1, sizeof *letter);
        if (!letter)
            abort();      /* some bytes, when an operator asks for it */
        letter->letter.kind = LETTER_CONFIG;
        letter->config = config;
        hub_send(hub, i, &letter->letter);
    }
}

bool hub_can_publish(const struct hub *hub) { return hub->next < hub->reserved; }

void hub_drain(struct hub *hub)
{
    hub->draining = true;
    if (hub->engine)
        hub->engine->give_up(hub->engine);
    if (hub->keys)
        key_fetcher_stop(hub->keys);
}

/* ---- keys of tokens ---- */

static void answer_keys(void *arg, struct call *call, int err) { hub_answer(arg, call, err); }

int hub_fetch_keys(struct hub *hub, struct http_out *http_out, struct authority *authority)
{
    hub->keys = key_fetcher_new(&(struct key_fetcher_setup){ hub->config, hub->clock, http_out, authority, answer_keys, hub });
    return hub->keys ? 0 : ERR_MEMORY;
}

int64_t hub_keys_due_ms(const struct hub *hub) { return hub->keys ? key_fetcher_due_ms(hub->keys) : INT64_MAX; }

void hub_keys_tick(struct hub *hub)
{
    look_at_clock(hub);
    key_fetcher_tick(hub->keys);
}

bool hub_idle(const struct hub *hub)
{
    return hub->n_flights == 0 && hub->at_engine == 0 && hub->n_groups == 0 && !hub->collecting && hub->n_changes == 0;
}
