#include "redis/parts/redis_nodes.h"

#include "hub/base/clock.h"
#include "hub/base/err.h"
#include "hub/base/log.h"
#include "hub/position.h"
#include "redis/bus/redis_pack.h"

#include <stdio.h>
#include <stdlib.h>

enum { LIST_EVERY = 2 };      /* beats */

static int64_t now_ms(void) { return clock_mono_ms(clock_real()); }

static struct redis_nodes *of_part(struct redis_part *part)           { return link_of(part, struct redis_nodes, part); }
static struct redis_nodes *of_beat(struct redis_request *request)     { return link_of(request, struct redis_nodes, beat); }
static struct redis_nodes *of_end(struct redis_request *request)      { return link_of(request, struct redis_nodes, end); }

/* ---- who is there ---- */

static void pack_self(struct redis_nodes *nodes)
{
    struct redis_node self = { .number = redis_bus_node(nodes->setup.bus) };
    nodes->setup.describe(nodes->setup.owner, &self);
    buf_reset(&nodes->words);
    const uint64_t numbers[] = { self.number, (uint64_t)self.started_ms, self.connections, self.subscriptions, self.members };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        pack_u64(&nodes->words, numbers[i]);
    const struct slice texts[] = { self.name, self.version, self.public_address, self.api_address };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        pack_short(&nodes->words, texts[i]);
}

/* What nodes of another version add at the end is for nobody here. */
static bool take_node(struct slice text, struct redis_node *ret)
{
    struct redis_node node = { .heard_ms = (int64_t)take_u64(&text) };
    node.number = take_u64(&text);
    node.started_ms = (int64_t)take_u64(&text);
    node.connections = take_u64(&text);
    node.subscriptions = take_u64(&text);
    node.members = take_u64(&text);
    node.name = take_short(&text);
    node.version = take_short(&text);
    node.public_address = take_short(&text);
    node.api_address = take_short(&text);
    if (text.at)
        *ret = node;
    return text.at;
}

/* A node that has taken another lease has two for a while, of which the newer is further on. */
static bool is_known(struct redis_node *list, size_t n, uint64_t number)
{
    for (size_t i = 0; i < n; i++)
        if (list[i].number == number)
            return true;
    return false;
}

/* Without memory the list stays as it was. */
static void take_list(struct redis_nodes *nodes, const struct redisReply *reply, size_t first)
{
    struct buf text = { 0 };
    for (size_t i = first; i < reply->elements; i++)
        buf_add_slice(&text, redis_reply_word(reply, i));
    struct redis_node *list = calloc(reply->elements - first + 1, sizeof *list);
    size_t n = 0, at = 0;
    if (text.failed || !list) {
        free(list);
        buf_fini(&text);
        return;
    }
    for (size_t i = first; i < reply->elements; i++) {
        size_t len = redis_reply_word(reply, i).len;
        if (take_node(slice(text.at + at, len), &list[n]))
            n += !is_known(list, n, list[n].number);
        at += len;
    }
    free(nodes->list);
    free(nodes->text);
    nodes->list = list;
    nodes->n_list = n;
    nodes->text = text.at;
}

size_t redis_nodes_list(const struct redis_nodes *nodes, const struct redis_node **ret_list)
{
    *ret_list = nodes->list;
    return nodes->n_list;
}

/* ---- leases of others ---- */

static void end_lease(struct redis_nodes *nodes, const char *lease);

static void begin_burial(struct redis_nodes *nodes, struct slice lease)
{
    if (nodes->burying[0] || lease.len == 0 || lease.len >= sizeof nodes->burying)
        return;
    snprintf(nodes->burying, sizeof nodes->burying, "%.*s", (int)lease.len, lease.at);
    log_info("redis", "takes out what lease %s has left", nodes->burying);
    nodes->diggers = 1;      /* until all were told */
    list_each(item, next, &nodes->watchers) {
        struct redis_nodes_watcher *watcher = link_of(item, struct redis_nodes_watcher, link);
        if (!watcher->bury)
            continue;
        nodes->diggers++;
        watcher->bury(watcher, nodes->burying);
    }
    redis_nodes_buried(nodes, nodes->burying, true);
}

bool redis_nodes_buries(const struct redis_nodes *nodes, const char *lease) { return nodes->burying[0] && !strcmp(nodes->burying, lease); }

void redis_nodes_buried(struct redis_nodes *nodes, const char *lease, bool done)
{
    if (!redis_nodes_buries(nodes, lease))
        return;
    if (!done)
        nodes->burying[0] = '\0';
    else if (--nodes->diggers == 0)
        end_lease(nodes, nodes->burying);
}

/* ---- its own ---- */

static void beat_args(struct redis_request *request, struct redis_args *args)
{
    struct redis_nodes *nodes = of_beat(request);
    redis_args_add(args, redis_bus_prefix(nodes->setup.bus));
    redis_args_add(args, slice_of(nodes->lease));
    redis_args_add_u64(args, (uint64_t)nodes->setup.lease_ms);
    redis_args_add(args, buf_slice(&nodes->words));
    redis_args_add(args, slice_of(nodes->taking));
    redis_args_add(args, slice_of(nodes->burying));
    redis_args_add(args, nodes->with_list ? SLICE("1") : SLICE(""));
}

static void beat(struct redis_nodes *nodes)
{
    if (nodes->beating || nodes->leaving)
        return;
    pack_self(nodes);
    if (nodes->words.failed) {
        buf_fini(&nodes->words);
        return;
    }
    nodes->taking = nodes->has_lease ? "" : nodes->had_one ? "again" : "new";
    if (!nodes->lease[0])
        snprintf(nodes->lease, sizeof nodes->lease, "%016llx", (unsigned long long)epoch_new());
    nodes->with_list = nodes->wants_list || nodes->beats++ % LIST_EVERY == 0;
    nodes->wants_list = false;
    nodes->beat_ms = now_ms();
    nodes->beating = !redis_engine_run(redis_bus_engine(nodes->setup.bus), &nodes->beat);
}

static void lose_lease(struct redis_nodes *nodes, const char *why)
{
    log_warn("redis", "lease %s is lost: %s", nodes->lease, why);
    nodes->has_lease = nodes->holding = false;
    nodes->lease[0] = '\0';
    beat(nodes);
}

void redis_nodes_abandon(struct redis_nodes *nodes) { lose_lease(nodes, "what was said in its name is not all there"); }

static void tell_held(struct redis_nodes *nodes, uint64_t changes)
{
    bool is_new = nodes->is_new;
    nodes->is_new = false;
    nodes->holding = true;
    list_each(item, next, &nodes->watchers) {
        struct redis_nodes_watcher *watcher = link_of(item, struct redis_nodes_watcher, link);
        if (watcher->held)
            watcher->held(watcher, is_new, changes);
    }
}

static void on_beat(struct redis_request *request, int err, const struct redisReply *reply)
{
    struct redis_nodes *nodes = of_beat(request);
    nodes->beating = false;
    if (err || redis_bus_state(nodes->setup.bus) != REDIS_BUS_LIVE)
        return;      /* whether it has it is seen the next time */
    if (redis_reply_number(reply, 0) == 0) {
        lose_lease(nodes, "this node was cut off for too long, or Redis has lost it");
        return;
    }
    nodes->certain_ms = nodes->beat_ms + nodes->setup.lease_ms;      /* its age is never ahead of the time that passes */
    if (nodes->taking[0])
        nodes->is_new = nodes->has_lease = nodes->had_one = true;
    nodes->ahead_ms = (int64_t)redis_reply_number(reply, 1) - now_ms();
    nodes->queue_ahead_ms = (int64_t)redis_reply_number(reply, 4);
    if (nodes->with_list)
        take_list(nodes, reply, 5);
    if (!nodes->holding)
        tell_held(nodes, redis_reply_number(reply, 2));
    begin_burial(nodes, redis_reply_word(reply, 3));
    if (nodes->wants_list)
        beat(nodes);
}

bool redis_nodes_has_lease(const struct redis_nodes *nodes)    { return nodes->holding; }
bool redis_nodes_is_certain(const struct redis_nodes *nodes)   { return nodes->holding && now_ms() < nodes->certain_ms; }
const char *redis_nodes_lease(const struct redis_nodes *nodes) { return nodes->lease; }
int64_t redis_nodes_server_ms(const struct redis_nodes *nodes, int64_t mono_ms) { return mono_ms + nodes->ahead_ms; }
int64_t redis_nodes_wall_ms(const struct redis_nodes *nodes)
{
    return nodes->ahead_ms ? redis_nodes_server_ms(nodes, now_ms()) + nodes->queue_ahead_ms : clock_wall_ms(clock_real());
}

/* ---- the end of a lease ---- */

static void end_args(struct redis_request *request, struct redis_args *args)
{
    struct redis_nodes *nodes = of_end(request);
    redis_args_add(args, redis_bus_prefix(nodes->setup.bus));
    redis_args_add(args, slice_of(nodes->ending));
    redis_args_add(args, nodes->ending == nodes->burying ? SLICE("1") : SLICE(""));
}

static void ended(struct redis_nodes *nodes)
{
    bool was_own = nodes->ending == nodes->lease;
    nodes->ending = NULL;
    nodes->burying[0] = '\0';
    nodes->left |= was_own;
    if (nodes->leaving && !was_own)
        end_lease(nodes, nodes->lease);
}

static void on_end(struct redis_request *request, int err, const struct redisReply *reply)
{
    struct redis_nodes *nodes = of_end(request);
    (void)err, (void)reply;      /* what did not work another node does, when its claim has ended */
    ended(nodes);
}

static void end_lease(struct redis_nodes *nodes, const char *lease)
{
    if (nodes->ending)
        return;
    nodes->ending = lease;
    if (redis_engine_run(redis_bus_engine(nodes->setup.bus), &nodes->end))
        ended(nodes);
}

void redis_nodes_leave(struct redis_nodes *nodes)
{
    if (nodes->leaving)
        return;
    nodes->leaving = true;
    if (nodes->lease[0])
        end_lease(nodes, nodes->lease);
    else
        nodes->left = true;
}

bool redis_nodes_left(const struct redis_nodes *nodes)
{
    return nodes->left || redis_bus_state(nodes->setup.bus) != REDIS_BUS_LIVE;
}

/* ---- the bus tells ---- */

static void on_live(struct redis_part *part, bool is_new)
{
    (void)is_new;      /* a lease that is lost with the data is not found */
    of_part(part)->wants_list = true;
    beat(of_part(part));
}

static void on_away(struct redis_part *part)
{
    struct redis_nodes *nodes = of_part(part);
    nodes->holding = false;
    nodes->burying[0] = '\0';
}

static void on_tick(struct redis_part *part) { beat(of_part(part)); }

static void on_word(struct redis_part *part, struct slice body)
{
    (void)body;
    of_part(part)->wants_list = true;
    beat(of_part(part));
}

void redis_nodes_watch(struct redis_nodes *nodes, struct redis_nodes_watcher *watcher)
{
    link_init(&watcher->link);
    list_add_last(&nodes->watchers, &watcher->link);
}

void redis_nodes_init(struct redis_nodes *nodes, const struct redis_nodes_setup *setup)
{
    *nodes = (struct redis_nodes){
        .setup = *setup, .part = { .kind = 'n', .live = on_live, .away = on_away, .tick = on_tick, .word = on_word },
        .beat = { .script = REDIS_LEASE, .args = beat_args, .answered = on_beat },
        .end = { .script = REDIS_UNLEASE, .args = end_args, .answered = on_end } };
    link_init(&nodes->watchers);
    redis_bus_add(setup->bus, &nodes->part);
}

void redis_nodes_fini(struct redis_nodes *nodes)
{
    buf_fini(&nodes->words);
    free(nodes->list);
    free(nodes->text);
}
