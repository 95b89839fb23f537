/* redis_members.c — saying how this hub's members stand, taking out those of the dead, ending graces. */
#include "redis/parts/redis_members_core.h"

#include "hub/access/access.h"
#include "hub/base/clock.h"
#include "hub/base/err.h"
#include "hub/base/log.h"
#include "hub/presence.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>

enum { BATCH = 200, BATCH_BYTES = 64 << 10, BATCHES = 4, BATCHES_MOST = 64, SWEEP_AT_ONCE = 200, BURY_AT_ONCE = 200 };

static void arm(struct event *event, int64_t in_ms)
{
    struct timeval tv = { in_ms / 1000, in_ms % 1000 * 1000 };
    event_add(event, &tv);
}

/* ---- saying ---- */

struct batch {
    struct redis_request  request;
    struct redis_members *members;
    struct buf            bytes;
    unsigned              n;
    struct member        *said[BATCH];
    char                  lease[REDIS_LEASE_NAME];
};

static void say_now(struct redis_members *members);

/* What a script may note for webhooks (lua/change.lua). */
static void add_wants(const struct redis_members *members, struct redis_args *args)
{
    char wants[NOTED_CHANGES + 1];
    engine_wanted_changes(members->setup.hub, wants);
    redis_args_addf(args, "%s", wants);
}

static void batch_args(struct redis_request *request, struct redis_args *args)
{
    struct batch *batch = link_of(request, struct batch, request);
    redis_args_add(args, redis_bus_prefix(batch->members->setup.bus));
    redis_args_add(args, slice_of(batch->lease));
    redis_args_add(args, buf_slice(&batch->bytes));
    add_wants(batch->members, args);
}

static void batch_end(struct batch *batch, bool done)
{
    struct redis_members *members = batch->members;
    members->resting |= !done;
    for (unsigned i = 0; i < batch->n; i++)
        engine_member_said(members->setup.hub, batch->said[i], done);
    buf_fini(&batch->bytes);
    free(batch);
}

static void wait_for_grace(struct redis_members *members, const struct redisReply *reply, size_t i)
{
    if (reply->elements > i)
        arm(members->grace, (int64_t)redis_reply_number(reply, i) + 1);
}

static void on_said(struct redis_request *request, int err, const struct redisReply *reply)
{
    struct batch *batch = link_of(request, struct batch, request);
    struct redis_members *members = batch->members;
    bool is_ours = !strcmp(batch->lease, redis_nodes_lease(members->setup.nodes));
    bool done = !err && redis_reply_number(reply, 0) == 1 && is_ours;
    members->batches--;
    if (done) {
        members->changes = redis_reply_number(reply, 1);
        wait_for_grace(members, reply, 2);
    }
    batch_end(batch, done);
    say_now(members);
}

static void batch_fill(struct batch *batch)
{
    struct redis_members *members = batch->members;
    struct buf *out = &batch->bytes;
    struct member_saying saying;
    struct member_saying_rule rule;
    while (batch->n < BATCH && out->len < BATCH_BYTES) {
        struct member *member = engine_unsaid_member(members->setup.hub, &saying, &rule);
        if (!member) {
            members->all_said = true;
            return;
        }
        batch->said[batch->n++] = member;
        pack_short(out, saying.channel);
        pack_short(out, principal_user(saying.principal));
        pack_u32(out, saying.connections);
        pack_u64(out, (uint64_t)redis_nodes_server_ms(members->setup.nodes, saying.came_ms));
        pack_u64(out, (uint64_t)rule.grace_ms);
        buf_add_char(out, (char)(rule.tells + 2 * rule.notes));
        pack_long(out, principal_info(saying.principal));
    }
}

/* Some of what is unsaid. False: nothing is left, or it could not. */
static bool say_some(struct redis_members *members)
{
    struct batch *batch = calloc(1, sizeof *batch);
    if (!batch) {
        members->resting = true;
        return false;
    }
    *batch = (struct batch){ .request = { .script = REDIS_SAY, .args = batch_args, .answered = on_said }, .members = members };
    snprintf(batch->lease, sizeof batch->lease, "%s", redis_nodes_lease(members->setup.nodes));
    batch_fill(batch);
    if (batch->n == 0 || batch->bytes.failed || redis_engine_run(redis_bus_engine(members->setup.bus), &batch->request)) {
        batch_end(batch, batch->n == 0);
        return false;
    }
    members->batches++;
    return true;
}

void redis_members_say_all(struct redis_members *members)
{
    while (!members->all_said && members->batches < BATCHES_MOST && redis_members_can(members) && say_some(members))
        ;
}

static void say_now(struct redis_members *members)
{
    while (!members->all_said && !members->resting && members->batches < BATCHES && redis_members_can(members) && say_some(members))
        ;
    if (members->leaving && members->all_said && members->batches == 0)
        redis_nodes_leave(members->setup.nodes);
}

static void on_soon(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    say_now(arg);
}

void redis_members_say(struct redis_members *members)
{
    members->all_said = false;
    event_active(members->soon, EV_TIMEOUT, 0);
}

void redis_members_leave(struct redis_members *members)
{
    members->leaving = true;
    members->resting = false;
    say_now(members);
}

/* ---- graces ---- */

static void sweep_args(struct redis_request *request, struct redis_args *args)
{
    struct redis_members *members = link_of(request, struct redis_members, sweep);
    redis_args_add(args, redis_bus_prefix(members->setup.bus));
    redis_args_add_u64(args, SWEEP_AT_ONCE);
    add_wants(members, args);
}

static void sweep(struct redis_members *members)
{
    if (!members->sweeping && redis_members_can(members))
        members->sweeping = !redis_engine_run(redis_bus_engine(members->setup.bus), &members->sweep);
}

static void on_swept(struct redis_request *request, int err, const struct redisReply *reply)
{
    struct redis_members *members = link_of(request, struct redis_members, sweep);
    members->sweeping = false;
    if (err)
        return;
    if (redis_reply_number(reply, 0) >= SWEEP_AT_ONCE)
        sweep(members);
    else
        wait_for_grace(members, reply, 1);
}

static void on_grace(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    sweep(arg);
}

/* ---- the dead ---- */

struct burial {
    struct redis_request  request;
    struct redis_members *members;
    char                  lease[REDIS_LEASE_NAME];
    struct buf            channel, after;
};

static void bury_args(struct redis_request *request, struct redis_args *args)
{
    struct burial *burial = link_of(request, struct burial, request);
    redis_args_add(args, redis_bus_prefix(burial->members->setup.bus));
    redis_args_add(args, slice_of(burial->lease));
    redis_args_add(args, buf_slice(&burial->channel));
    redis_args_add(args, buf_slice(&burial->after));
    redis_args_add_u64(args, BURY_AT_ONCE);
    add_wants(burial->members, args);
}

static void burial_end(struct burial *burial, bool done)
{
    redis_nodes_buried(burial->members->setup.nodes, burial->lease, done);
    buf_fini(&burial->channel);
    buf_fini(&burial->after);
    free(burial);
}

static void burial_go_on(struct burial *burial)
{
    bool is_still = redis_nodes_buries(burial->members->setup.nodes, burial->lease);
    if (!is_still || burial->channel.failed || burial->after.failed
        || redis_engine_run(redis_bus_engine(burial->members->setup.bus), &burial->request))
        burial_end(burial, false);
}

static void on_buried(struct redis_request *request, int err, const struct redisReply *reply)
{
    struct burial *burial = link_of(request, struct burial, request);
    bool done = !err && redis_reply_number(reply, 0) == 1;
    if (err || done) {
        burial_end(burial, done);
        return;
    }
    buf_reset(&burial->channel);
    buf_reset(&burial->after);
    buf_add_slice(&burial->channel, redis_reply_word(reply, 1));
    buf_add_slice(&burial->after, redis_reply_word(reply, 2));
    burial_go_on(burial);
}

static void on_bury(struct redis_nodes_watcher *watcher, const char *lease)
{
    struct redis_members *members = link_of(watcher, struct redis_members, watcher);
    struct burial *burial = calloc(1, sizeof *burial);
    if (!burial) {
        redis_nodes_buried(members->setup.nodes, lease, false);
        return;
    }
    burial->request = (struct redis_request){ .script = REDIS_BURY, .args = bury_args, .answered = on_buried };
    burial->members = members;
    snprintf(burial->lease, sizeof burial->lease, "%s", lease);
    burial_go_on(burial);
}

/* ---- the bus and the nodes tell ---- */

static void on_held(struct redis_nodes_watcher *watcher, bool is_new, uint64_t changes)
{
    struct redis_members *members = link_of(watcher, struct redis_members, watcher);
    if (!is_new && changes < members->changes) {
        redis_nodes_abandon(members->setup.nodes);      /* comes back here, with a new one */
        return;
    }
    if (is_new) {
        members->changes = 0;
        engine_say_members_again(members->setup.hub);
    }
    members->resting = false;
    say_now(members);
    redis_member_lists_go_on(members);
    redis_halls_live(members);
}

static void on_away(struct redis_part *part)
{
    struct redis_members *members = link_of(part, struct redis_members, part);
    redis_member_lists_end(members, ERR_REDIS_AWAY);
}

static void on_tick(struct redis_part *part)
{
    struct redis_members *members = link_of(part, struct redis_members, part);
    members->resting = false;
    say_now(members);
    sweep(members);
    redis_member_lists_go_on(members);
    redis_halls_tick(members);
}

static void on_word(struct redis_part *part, struct slice body)
{
    struct redis_members *members = link_of(part, struct redis_members, part);
    uint8_t what = take_u8(&body);
    if (what == 'a')
        redis_member_list_came(members, body);
    else if (what == 'j' || what == 'l')
        redis_halls_change(members, body, what == 'j');
}

/* ---- life ---- */

struct redis_members *redis_members_new(const struct redis_members_setup *setup)
{
    struct redis_members *members = calloc(1, sizeof *members);
    if (!members)
        return NULL;
    *members = (struct redis_members){
        .setup = *setup, .part = { .kind = 'p', .away = on_away, .tick = on_tick, .word = on_word },
        .watcher = { .held = on_held, .bury = on_bury },
        .sweep = { .script = REDIS_SWEEP, .args = sweep_args, .answered = on_swept } };
    link_init(&members->lists);
    link_init(&members->to_load);
    members->soon = evtimer_new(setup->base, on_soon, members);
    members->grace = evtimer_new(setup->base, on_grace, members);
    if (!members->soon || !members->grace) {
        redis_members_free(members);
        return NULL;
    }
    redis_bus_add(setup->bus, &members->part);
    redis_nodes_watch(setup->nodes, &members->watcher);
    return members;
}

void redis_members_free(struct redis_members *members)
{
    if (!members)
        return;
    redis_member_lists_end(members, ERR_DRAINING);
    redis_halls_free(members);
    if (members->soon)
        event_free(members->soon);
    if (members->grace)
        event_free(members->grace);
    free(members);
}
