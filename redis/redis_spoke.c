#include "redis/redis_spoke.h"

#include "hub/access/authority.h"
#include "hub/access/rates.h"
#include "hub/base/err.h"
#include "hub/base/log.h"
#include "hub/config/config.h"
#include "hub/engine.h"
#include "hub/health.h"
#include "hub/metrics.h"
#include "hub/records.h"
#include "hub/self.h"
#include "hub/spoke.h"
#include "redis/bus/redis_bus.h"
#include "redis/bus/redis_event.h"
#include "redis/parts/redis_ask.h"
#include "redis/parts/redis_directory.h"
#include "redis/parts/redis_errands.h"
#include "redis/parts/redis_members.h"
#include "redis/parts/redis_rates.h"
#include "redis/parts/redis_nodes.h"
#include "redis/parts/redis_occupied.h"
#include "redis/parts/redis_questions.h"
#include "redis/parts/redis_queue.h"
#include "redis/parts/redis_records.h"
#include "redis/rooms/redis_rooms.h"
#include "redis/parts/redis_senders.h"
#include "redis/parts/redis_usage.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>

struct redis_spoke {
    struct engine        engine;      /* first */
    struct serving      *serving;
    struct redis_bus    *bus;         /* NULL: no redis.url */
    struct redis_rates  *rates;
    struct node_info     info;        /* scratch: of this hub */
    struct redis_nodes   nodes;
    struct redis_usage   usage;
    struct redis_asks   *asks;
    struct redis_records *records;
    bool                 loaded;      /* the records have been read once */
    struct redis_directory directory;
    struct redis_errands errands;
    struct redis_members *members;
    struct redis_queue  *queue;
    struct redis_senders *senders;
    struct redis_occupied *occupied;
    struct redis_questions *questions;
    struct redis_rooms  *rooms;
    struct event        *turn;        /* at the end of this round of the loop, once for all that came in it */
    bool                 live;
    uint64_t             epoch;
    char                 away[200], refused[200];      /* why; "": it is not */
};

/* ---- the hub asks ---- */

static struct redis_bus *bus_of(struct engine *engine) { return ((struct redis_spoke *)engine)->bus; }

/* Nothing is published by a node that does not know yet for which endpoints it is. */
static bool knows_endpoints(struct engine *engine, struct call *call)
{
    const struct redis_spoke *spoke = (const struct redis_spoke *)engine;
    if (!spoke->loaded)
        engine_answer(spoke->serving->hub, call, ERR_REDIS_AWAY);
    return spoke->loaded;
}

static void ask_publish(struct engine *engine, struct publish_call *call, const struct channel_rule *rule)
{
    if (knows_endpoints(engine, &call->call))
        redis_bus_publish(bus_of(engine), call, rule);
}
static void ask_fetch(struct engine *engine, struct fetch_call *call)            { redis_bus_fetch(bus_of(engine), call); }
static void ask_subscribe(struct engine *engine, struct watch_call *call)        { redis_bus_subscribe(bus_of(engine), call); }
static void ask_unsubscribe(struct engine *engine, struct slice name)            { redis_bus_unsubscribe(bus_of(engine), name); }
static void ask_purge(struct engine *engine, struct purge_call *call)            { redis_bus_purge(bus_of(engine), call); }
static void ask_record(struct engine *engine, struct record_call *change)
{
    redis_records_change(((struct redis_spoke *)engine)->records, change);
}
/* The first of those with a lease, by number. Nobody while Redis is away: nothing could be changed. */
static bool ask_sweeps(const struct engine *engine)
{
    const struct redis_spoke *spoke = (const struct redis_spoke *)engine;
    const struct redis_node *list;
    size_t n = spoke->live ? redis_nodes_list(&spoke->nodes, &list) : 0;
    uint64_t first = UINT64_MAX;
    for (size_t i = 0; i < n; i++)
        first = list[i].number < first ? list[i].number : first;
    return n > 0 && first == redis_bus_node(spoke->bus);
}

static void ask_reconfigure(struct engine *engine, const struct config *config)
{
    redis_bus_reconfigure(bus_of(engine), config);
    redis_rooms_reconfigure(((struct redis_spoke *)engine)->rooms, config);
}
static void ask_say(struct engine *engine)                                       { redis_members_say(((struct redis_spoke *)engine)->members); }
static void ask_follow(struct engine *engine, struct slice channel, uint64_t hash, bool on)
{
    redis_members_follow(((struct redis_spoke *)engine)->members, channel, hash, on);
}
static void ask_members(struct engine *engine, struct members_call *call)        { redis_members_list(((struct redis_spoke *)engine)->members, call); }
static void ask_tell(struct engine *engine, struct publish_call *call, uint64_t outbox)
{
    if (knows_endpoints(engine, &call->call))
        redis_bus_tell(bus_of(engine), call, outbox);
}
static void ask_settle(struct engine *engine, struct settle_call *call)          { redis_queue_settle(((struct redis_spoke *)engine)->queue, call); }
static void ask_read(struct engine *engine, struct delivery_read *read)          { redis_queue_read(((struct redis_spoke *)engine)->queue, read); }
static void ask_trim(struct engine *engine, struct trim_call *call)              { redis_queue_trim(((struct redis_spoke *)engine)->queue, call); }
static int64_t ask_queue_wall_ms(const struct engine *engine)                    { return redis_nodes_wall_ms(&((const struct redis_spoke *)engine)->nodes); }
static bool ask_knows_endpoints(const struct engine *engine)                     { return ((const struct redis_spoke *)engine)->loaded; }
static bool ask_may_send(const struct engine *engine)                            { return redis_nodes_is_certain(&((const struct redis_spoke *)engine)->nodes); }
static void ask_endpoint_came(struct engine *engine)                             { redis_senders_look(((struct redis_spoke *)engine)->senders); }
static void ask_endpoint_went(struct engine *engine, uint64_t endpoint)          { redis_senders_removed(((struct redis_spoke *)engine)->senders, endpoint); }
static void ask_swept(struct engine *engine, uint64_t endpoint)                  { redis_senders_swept(((struct redis_spoke *)engine)->senders, endpoint); }
static void ask_occupied(struct engine *engine, struct slice channel, bool is_occupied)
{
    redis_occupied_tell(((struct redis_spoke *)engine)->occupied, channel, is_occupied);
}
static bool ask_hooks(struct engine *engine, struct hook_question *question)
{
    struct redis_spoke *spoke = (struct redis_spoke *)engine;
    return spoke->asks && redis_questions_ask(spoke->questions, question);
}
static void ask_give_up(struct engine *engine)                                   { redis_bus_give_up(bus_of(engine), ERR_DRAINING); }

static const struct engine asked = {
    .publish = ask_publish, .fetch = ask_fetch, .subscribe = ask_subscribe, .unsubscribe = ask_unsubscribe, .purge = ask_purge,
    .say_members = ask_say, .follow_members = ask_follow, .members = ask_members, .record = ask_record, .sweeps = ask_sweeps,
    .reconfigure = ask_reconfigure, .give_up = ask_give_up, .tell = ask_tell, .settle = ask_settle, .read = ask_read, .trim = ask_trim,
    .queue_wall_ms = ask_queue_wall_ms, .may_send = ask_may_send, .knows_endpoints = ask_knows_endpoints, .endpoint_came = ask_endpoint_came, .endpoint_went = ask_endpoint_went, .swept = ask_swept, .occupied = ask_occupied, .ask_hooks = ask_hooks,
};

/* ---- the bus tells ---- */

static struct hub *hub_of(struct redis_spoke *spoke)
{
    event_active(spoke->turn, EV_TIMEOUT, 0);
    return spoke->serving->hub;
}

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
    struct redis_spoke *spoke = arg;
    (void)fd, (void)what;
    spoke->serving->turn(spoke->serving);
}

static void show_health(const struct redis_spoke *spoke)
{
    const char *reading = spoke->loaded ? NULL : "API keys and revocations are being read";
    const char *why = spoke->away[0] ? spoke->away : spoke->refused[0] ? spoke->refused : reading;
    health_set(HEALTH_REDIS, why);
}

static void on_live(void *owner, struct position head)
{
    struct redis_spoke *spoke = owner;
    spoke->away[0] = '\0';
    show_health(spoke);
    spoke->live = true;
    metric_add(METRIC_redis_live, 1);
    metric_add(METRIC_redis_lives, 1);
    if (spoke->epoch && spoke->epoch != head.epoch)
        metric_add(METRIC_redis_epochs, 1);
    spoke->epoch = head.epoch;
    engine_live(hub_of(spoke), head);
}

static void on_head(void *owner, struct position head)        { engine_head(hub_of(owner), head); }

static void on_away(void *owner, const char *why)
{
    struct redis_spoke *spoke = owner;
    snprintf(spoke->away, sizeof spoke->away, "%s", why);
    show_health(spoke);
    if (spoke->live)
        metric_add(METRIC_redis_live, -1);
    spoke->live = false;
}

static void on_refused(void *owner, const char *why)
{
    struct redis_spoke *spoke = owner;
    metric_add(METRIC_redis_refusals, why != NULL);
    snprintf(spoke->refused, sizeof spoke->refused, "%s%s", why ? "it refuses: " : "", why ? why : "");
    show_health(spoke);
}

static void on_message(void *owner, struct msg *m)
{
    engine_message(hub_of(owner), m);
    msg_unref(m);
}

static void on_behind(void *owner, struct slice channel)
{
    metric_add(METRIC_redis_behind, 1);
    engine_behind(hub_of(owner), channel);
}

static void on_purged(void *owner)                            { engine_purged(hub_of(owner)); }
static void on_answer(void *owner, struct call *call, int err) { engine_answer(hub_of(owner), call, err); }

static const struct redis_bus_ops told = {
    .live = on_live, .head = on_head, .away = on_away, .refused = on_refused, .message = on_message, .behind = on_behind, .purged = on_purged, .answer = on_answer,
};

/* ---- records ---- */

static int put_record(void *owner, struct slice kind, struct slice key, struct slice value) { return engine_record(hub_of(owner), kind, key, value); }
static bool print_record(void *owner, struct slice kind, struct slice key, struct buf *out)
{
    return engine_record_print(((struct redis_spoke *)owner)->serving->hub, kind, key, out);
}
static void on_recorded(void *owner, struct record_call *change, int err) { engine_recorded(hub_of(owner), change, err); }
static void undo_record(void *owner, struct record_call *change)          { engine_record_undo(hub_of(owner), change); }
static void redo_record(void *owner, struct record_call *change)          { engine_record_redo(hub_of(owner), change); }

/* From now on it is known who is not let in. */
static void on_records_loaded(void *owner)
{
    struct redis_spoke *spoke = owner;
    spoke->loaded = true;
    authority_hold(spoke->serving->authority, false);
    show_health(spoke);
}

static const struct redis_records_ops records_told = {
    .put = put_record, .print = print_record, .recorded = on_recorded, .undo = undo_record, .redo = redo_record, .loaded = on_records_loaded,
};

static void wake(void *owner) { hub_of(owner); }

/* ---- its life ---- */

static size_t list_nodes(void *arg, uint64_t *ret_nodes, size_t most)
{
    const struct redis_node *list;
    size_t n = redis_nodes_list(arg, &list);
    n = n < most ? n : most;
    for (size_t i = 0; i < n; i++)
        ret_nodes[i] = list[i].number;
    return n;
}

static const char *some(const char *text) { return *text ? text : NULL; }

static struct redis_bus *make_bus(struct redis_spoke *spoke, const struct config *config)
{
    int64_t twice = 2 * config->history_most_ms;
    return redis_bus_new(&(struct redis_bus_setup){
        .link = { .base = spoke->serving->base, .url = config->redis, .tls = config->redis_tls,
                  .sentinel_user = some(config->redis_sentinel_user), .sentinel_password = some(config->redis_sentinel_password),
                  .connect_ms = config->redis_connect_timeout_ms, .command_ms = config->redis_command_timeout_ms },
        .config = config, .prefix = config->redis_prefix, .meta_ms = config->redis_remember_ms > twice ? config->redis_remember_ms : twice,
        .index_length = config->redis_index, .ops = &told, .owner = spoke });
}

static void describe_self(void *owner, struct redis_node *node)
{
    struct redis_spoke *spoke = owner;
    struct node_info *info = &spoke->info;
    self_describe(spoke->serving->self, info);
    *node = (struct redis_node){
        .number = node->number, .started_ms = info->since_ms, .connections = info->connections, .subscriptions = info->subscriptions, .members = info->members,
        .name = slice_of(info->name), .version = slice_of(info->version),
        .public_address = slice_of(info->public_address), .api_address = slice_of(info->api_address) };
}

static void turn_soon(void *spoke) { hub_of(spoke); }

static void open_directory(struct redis_spoke *spoke)
{
    spoke->directory = (struct redis_directory){ .hub = spoke->serving->hub, .bus = spoke->bus, .asks = spoke->asks, .nodes = &spoke->nodes,
                                                 .turn = turn_soon, .turn_arg = spoke };
    redis_directory_init(&spoke->directory);
    hub_use_directory(spoke->serving->hub, &spoke->directory.port);
}

static void open_errands(struct redis_spoke *spoke)
{
    spoke->errands = (struct redis_errands){ .serving = spoke->serving, .bus = spoke->bus, .asks = spoke->asks, .nodes = &spoke->nodes,
                                             .turn = turn_soon, .turn_arg = spoke };
    redis_errands_init(&spoke->errands);
}

static void spoke_free(void *self)
{
    struct redis_spoke *spoke = self;
    redis_errands_fini(&spoke->errands);
    redis_bus_free(spoke->bus);
    redis_asks_free(spoke->asks);
    redis_records_free(spoke->records);
    redis_members_free(spoke->members);
    redis_senders_free(spoke->senders);
    redis_occupied_free(spoke->occupied);
    redis_questions_free(spoke->questions);
    redis_rooms_free(spoke->rooms);
    redis_queue_free(spoke->queue);
    redis_rates_free(spoke->rates);
    if (spoke->turn)
        event_free(spoke->turn);
    free(spoke);
}

static bool knows(void *owner)  { return ((struct redis_spoke *)owner)->loaded; }
static bool sweeps(void *owner) { return ask_sweeps(&((struct redis_spoke *)owner)->engine); }

static int make_parts(struct redis_spoke *spoke)
{
    const struct serving *serving = spoke->serving;
    spoke->rates = redis_rates_new(serving->base, spoke->bus, rates_buckets(authority_rates(serving->authority)));
    spoke->asks = redis_asks_new(spoke->bus);
    spoke->records = redis_records_new(spoke->bus, &records_told, spoke);
    redis_nodes_init(&spoke->nodes, &(struct redis_nodes_setup){ spoke->bus, serving->config->redis_lease_ms, describe_self, spoke });
    spoke->members = redis_members_new(&(struct redis_members_setup){ spoke->bus, &spoke->nodes, serving->base, serving->hub, wake, spoke });
    spoke->queue = redis_queue_new(&(struct redis_queue_setup){ spoke->bus, &spoke->nodes, sweeps, wake, spoke });
    spoke->senders = redis_senders_new(&(struct redis_senders_setup){ spoke->bus, &spoke->nodes, serving->hub, sweeps, wake, spoke, knows });
    spoke->occupied = redis_occupied_new(&(struct redis_occupied_setup){ spoke->bus, &spoke->nodes, serving->hub, sweeps, spoke });
    spoke->questions = redis_questions_new(spoke->asks, serving->hub, wake, spoke);
    spoke->rooms = redis_rooms_new(&(struct redis_rooms_setup){ spoke->bus, &spoke->nodes, serving->hub, serving->config, sweeps, wake, spoke });
    bool is_whole = spoke->queue && spoke->senders && spoke->occupied && spoke->questions && spoke->rooms;
    return spoke->rates && spoke->asks && spoke->records && spoke->members && is_whole ? 0 : ERR_MEMORY;
}

static int spoke_open(struct serving *serving, void **ret_self)
{
    struct redis_spoke *spoke = calloc(1, sizeof *spoke);
    if (!spoke)
        return ERR_MEMORY;
    *spoke = (struct redis_spoke){ .engine = asked, .serving = serving };
    *ret_self = spoke;
    if (!serving->config->redis)
        return 0;
    spoke->turn = event_new(serving->base, -1, 0, on_turn, spoke);
    spoke->bus = spoke->turn ? make_bus(spoke, serving->config) : NULL;
    if (!spoke->bus || make_parts(spoke)) {
        spoke_free(spoke);
        return ERR_MEMORY;
    }
    redis_usage_init(&spoke->usage, spoke->bus);
    redis_asks_know(spoke->asks, list_nodes, &spoke->nodes);
    authority_hold(serving->authority, true);
    open_directory(spoke);
    open_errands(spoke);
    on_away(spoke, "Redis has not been reached yet");
    hub_use_engine(serving->hub, &spoke->engine);
    hub_use_rooms(serving->hub, redis_rooms_port(spoke->rooms));
    redis_bus_open(spoke->bus);
    return 0;
}

static void spoke_stop(void *self)
{
    struct redis_spoke *spoke = self;
    if (!spoke->bus)
        return;
    spoke->serving->turn(spoke->serving);      /* what the threads that have ended wanted of it */
    redis_bus_free(spoke->bus);
    redis_usage_fini(&spoke->usage);
    redis_asks_free(spoke->asks);
    spoke->asks = spoke->errands.asks = NULL;
    redis_members_free(spoke->members);
    spoke->members = NULL;
    redis_nodes_fini(&spoke->nodes);
    spoke->bus = NULL;
}

/* The others are told at once, instead of when the lease has passed. */
static void spoke_drain(void *self)
{
    struct redis_spoke *spoke = self;
    if (spoke->bus)
        redis_members_leave(spoke->members);
}

static bool spoke_done(const void *self)
{
    const struct redis_spoke *spoke = self;
    return !spoke->bus || redis_nodes_left(&spoke->nodes);
}

static int  spoke_start(void *self)      { (void)self; return 0; }

const struct spoke redis_spoke = {
    .name = "redis", .outlasts = true, .open = spoke_open, .start = spoke_start, .drain = spoke_drain, .done = spoke_done, .stop = spoke_stop, .free = spoke_free,
};
