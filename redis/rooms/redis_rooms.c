/* redis_rooms.c — what is asked of rooms: a call becomes a script, its reply the answer. */
#include "redis/rooms/redis_rooms_core.h"

#include "hub/base/clock.h"
#include "hub/base/err.h"
#include "hub/config/config.h"
#include "hub/engine.h"
#include "hub/metrics.h"
#include "hub/rooms/ice.h"
#include "hub/rooms/room_ticket.h"
#include "redis/bus/redis_pack.h"

#include <stdlib.h>

/* A call that is under way. Freed when it is answered. */
struct asked {
    struct redis_request request;      /* first */
    struct redis_rooms  *rooms;
    struct room_call    *call;
    struct ticket        shown, fresh;      /* JOIN */
    struct buf           users;             /* TELL */
    uint8_t              room_len;
    char                 room[ROOM_NAME_MAX];      /* a seat's may go meanwhile */
};

static struct slice room_of(const struct asked *asked) { return slice(asked->room, asked->room_len); }

/* ---- what scripts are called with ---- */

static void add_doubles(struct redis_args *args, const double *numbers, size_t n)
{
    struct buf packed = { 0 };
    for (size_t i = 0; i < n; i++)
        pack_double(&packed, numbers[i]);
    redis_args_add_bytes(args, buf_slice(&packed));
    buf_fini(&packed);
}

void room_args_under(const struct redis_rooms *rooms, struct redis_args *args, struct slice lease, uint64_t connection, struct slice room)
{
    const struct config *config = rooms->setup.config;
    const double kept[] = { (double)config->rooms_queue, (double)config->rooms_queue_bytes, (double)config->rooms_keep_ms };
    char wants[NOTED_CHANGES + 1];
    engine_wanted_changes(rooms->setup.hub, wants);
    redis_args_add(args, redis_bus_prefix(rooms->setup.bus));
    redis_args_addf(args, "%s", wants);
    add_doubles(args, kept, sizeof kept / sizeof *kept);
    redis_args_add(args, lease);
    redis_args_addf(args, "%016llx", (unsigned long long)redis_bus_node(rooms->setup.bus));
    redis_args_add_bytes(args, slice((const char *)&connection, sizeof connection));
    redis_args_add(args, room);
}

void room_args(const struct redis_rooms *rooms, struct redis_args *args, uint64_t connection, struct slice room)
{
    room_args_under(rooms, args, slice_of(redis_nodes_lease(rooms->setup.nodes)), connection, room);
}

static struct asked *asked_of(struct redis_request *request) { return (struct asked *)request; }

static void call_args(const struct asked *asked, struct redis_args *args)
{
    room_args(asked->rooms, args, asked->call->asker.connection, room_of(asked));
}

static void add_flag(struct redis_args *args, bool is) { redis_args_add(args, is ? SLICE("1") : SLICE("")); }

static bool may_open(const struct room_rule *rule, const struct room_asker *asker)
{
    return rule->create == CREATE_ANYBODY || (rule->create == CREATE_USERS && !asker->is_nobody);
}

static void join_args(struct redis_request *request, struct redis_args *args)
{
    struct asked *asked = asked_of(request);
    const struct room_call *call = asked->call;
    const struct config *config = asked->rooms->setup.config;
    const struct room_rule *rule = config_room_rule(config, room_of(asked));
    const double limits[] = { (double)rule->capacity, (double)config->rooms_max, (double)rule->grace_ms, (double)rule->empty_timeout_ms };
    bool has_info = call->info.len > 0 && !slice_is(call->info, SLICE("null")), has_state = call->state.len > 0 && !slice_is(call->state, SLICE("null"));
    call_args(asked, args);
    redis_args_add(args, call->user);
    add_flag(args, call->asker.is_proven);
    redis_args_add(args, has_info ? call->info : SLICE(""));
    redis_args_add(args, has_state ? call->state : SLICE(""));
    if (call->resume.len > 0)
        redis_args_add_u64(args, asked->shown.number);
    else
        redis_args_add(args, SLICE(""));
    redis_args_add(args, slice((const char *)asked->shown.secret, sizeof asked->shown.secret));
    if (call->has_last_seq)
        redis_args_add_u64(args, call->last_seq);
    else
        redis_args_add(args, SLICE(""));
    add_flag(args, call->fresh);
    redis_args_add(args, slice((const char *)asked->fresh.secret, sizeof asked->fresh.secret));
    add_flag(args, may_open(rule, &call->asker));
    add_doubles(args, limits, sizeof limits / sizeof *limits);
}

static void say_args(struct redis_request *request, struct redis_args *args)
{
    struct asked *asked = asked_of(request);
    const struct room_call *call = asked->call;
    call_args(asked, args);
    redis_args_add(args, call->to);
    redis_args_add_u64(args, call->n);
    redis_args_add_u64(args, call->order == ROOM_STATE ? ROOM_FRAME_STATE : call->frame);
    redis_args_add(args, room_text_slice(call->rest));
    redis_args_add(args, call->order == ROOM_STATE ? call->state : SLICE(""));
    redis_args_addf(args, "%lld", call->order == ROOM_RELAY ? (long long)redis_nodes_server_ms(asked->rooms->setup.nodes, call->began_us / 1000) : 0LL);
}

static void leave_args(struct redis_request *request, struct redis_args *args)
{
    struct asked *asked = asked_of(request);
    const struct room_call *call = asked->call;
    call_args(asked, args);
    redis_args_add(args, call->order == ROOM_LEAVE ? SLICE("leave") : call->order == ROOM_KICK ? SLICE("kick") : SLICE("expel"));
    redis_args_add(args, call->to);
    redis_args_add(args, call->message);
}

static struct slice admin_word(enum room_order order)
{
    static const char *const words[ROOM_ORDERS] = {
        [ROOM_CREATE] = "create", [ROOM_CHANGE] = "change", [ROOM_REMOVE] = "remove", [ROOM_SHOW] = "show", [ROOM_TELL] = "tell",
    };
    return slice_of(words[order]);
}

static void admin_args(struct redis_request *request, struct redis_args *args)
{
    struct asked *asked = asked_of(request);
    const struct room_call *call = asked->call;
    const struct room_changes *changes = &call->changes;
    const struct config *config = asked->rooms->setup.config;
    call_args(asked, args);
    redis_args_add(args, admin_word(call->order));
    redis_args_add_u64(args, changes->has_capacity + 2 * changes->has_empty_timeout + 4 * changes->has_metadata);
    redis_args_add_u64(args, changes->capacity);
    redis_args_addf(args, "%lld", (long long)changes->empty_timeout_ms);
    redis_args_add(args, changes->metadata);
    redis_args_add_u64(args, config->rooms_max);
    redis_args_addf(args, "%lld", (long long)config_room_rule(config, room_of(asked))->empty_timeout_ms);
    redis_args_add_u64(args, call->frame);
    redis_args_add(args, room_text_slice(call->rest));
    redis_args_add(args, buf_slice(&asked->users));
}

static void list_args(struct redis_request *request, struct redis_args *args)
{
    struct asked *asked = asked_of(request);
    redis_args_add(args, redis_bus_prefix(asked->rooms->setup.bus));
    redis_args_add(args, asked->call->room);
    redis_args_add(args, asked->call->after);
    redis_args_add_u64(args, asked->call->limit);
}

/* ---- what scripts answer ---- */

static const struct { const char *word; int err; } refusals[] = {
    { "away", ERR_REDIS_AWAY },      { "already", ERR_ALREADY_JOINED }, { "user", ERR_BAD_USER },     { "taken", ERR_USER_TAKEN },
    { "full", ERR_ROOM_FULL },       { "no_room", ERR_NO_SUCH_ROOM },   { "rooms_full", ERR_ROOMS_FULL }, { "resume", ERR_RESUME_FAILED },
    { "not_in", ERR_NOT_IN_ROOM },   { "yourself", ERR_TO_YOURSELF },   { "nobody", ERR_PEER_UNAVAILABLE }, { "busy", ERR_PEER_BUSY },
    { "exists", ERR_ROOM_EXISTS },   { "not_found", ERR_NOT_FOUND },
};

static int err_of(const struct redisReply *reply)
{
    struct slice word = redis_reply_word(reply, 0);
    if (slice_is(word, SLICE("ok")) || slice_is(word, SLICE("again")))
        return 0;
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++)
        if (slice_is(word, slice_of(refusals[i].word)))
            return refusals[i].err;
    return ERR_REDIS_FRAME;
}

static void answer(struct asked *asked, int err)
{
    struct redis_rooms *rooms = asked->rooms;
    struct room_call *call = asked->call;
    buf_fini(&asked->users);
    free(asked);
    rooms_answer(rooms->setup.hub, call, !err && call->text.failed ? ERR_MEMORY : err);
    rooms->setup.wake(rooms->setup.owner);
}

static struct seat *seat_of(const struct asked *asked) { return seat_find(asked->rooms, asked->call->asker.connection, room_of(asked)); }

static void on_joined(struct redis_request *request, int err, const struct redisReply *reply)
{
    struct asked *asked = asked_of(request);
    struct redis_rooms *rooms = asked->rooms;
    struct seat *seat = seat_of(asked);
    seat->joining--;
    seat->is_unsure |= err == ERR_OUTCOME_UNKNOWN && seat->number == 0;      /* who is in already stays */
    seat->was_back = asked->call->resume.len > 0 && !asked->call->fresh;
    err = err ? err : err_of(reply);
    bool is_in = !err;
    err = err ? err : room_joined(rooms, asked->call, reply);
    err = !err && asked->call->text.failed ? ERR_MEMORY : err;
    answer(asked, err);
    seat->is_unsure |= is_in && seat->number == 0;
    if (is_in && err)
        seat_lost(rooms, seat, ERR_ROOM_LOST);      /* Redis says that it is in, and it does not know: it comes back */
    seat_flush(rooms, seat);      /* behind the answer */
}

/* Of a member's own: with another lease than the one before it is not in until it was asked for (seats_live), and nothing was done. */
static int err_of_own(const struct asked *asked, const struct redisReply *reply)
{
    int err = err_of(reply);
    const struct seat *seat = err == ERR_NOT_IN_ROOM ? seat_of(asked) : NULL;
    return seat && seat->number && seat->state != SEAT_LIVE ? ERR_REDIS_AWAY : err;
}

static void on_said(struct redis_request *request, int err, const struct redisReply *reply)
{
    struct asked *asked = asked_of(request);
    if (!err)
        err = room_said(asked->call, room_of(asked), err_of_own(asked, reply), reply);
    answer(asked, err);
}

static void on_left(struct redis_request *request, int err, const struct redisReply *reply)
{
    struct asked *asked = asked_of(request);
    struct redis_rooms *rooms = asked->rooms;
    bool is_own = asked->call->order == ROOM_LEAVE;
    struct seat *seat = is_own ? seat_of(asked) : NULL;
    err = err ? err : is_own ? err_of_own(asked, reply) : err_of(reply);
    if (asked->call->order == ROOM_EXPEL && err == ERR_PEER_UNAVAILABLE)
        err = ERR_NOT_FOUND;
    if (!err && asked->call->order != ROOM_EXPEL)
        err = room_left(asked->call, room_of(asked), reply);
    if (seat) {
        seat->leaving = false;
        if (!err || err == ERR_NOT_IN_ROOM)
            seat_clear(seat);
        seat_settle(rooms, seat);
    }
    answer(asked, err);
}

static void on_administered(struct redis_request *request, int err, const struct redisReply *reply)
{
    struct asked *asked = asked_of(request);
    struct room_call *call = asked->call;
    err = err ? err : err_of(reply);
    if (!err && call->order == ROOM_TELL) {
        call->delivered = (uint32_t)redis_reply_number(reply, 1);
        metric_add((enum metric)(METRIC_relayed_OFFER + call->frame), call->delivered > 0);
    } else if (!err && call->order != ROOM_REMOVE) {
        err = room_shown(asked->rooms, call, reply, call->order == ROOM_SHOW);
    }
    answer(asked, err);
}

static void on_listed(struct redis_request *request, int err, const struct redisReply *reply)
{
    struct asked *asked = asked_of(request);
    answer(asked, err ? err : rooms_listed(asked->rooms, asked->call, reply));
}

/* ---- what is asked ---- */

static const struct asking {
    enum redis_script script;
    void (*args)(struct redis_request *request, struct redis_args *args);
    void (*answered)(struct redis_request *request, int err, const struct redisReply *reply);
} askings[ROOM_ORDERS] = {
    [ROOM_JOIN]   = { REDIS_ROOM_JOIN, join_args, on_joined },   [ROOM_LEAVE]  = { REDIS_ROOM_LEAVE, leave_args, on_left },
    [ROOM_RELAY]  = { REDIS_ROOM_SAY, say_args, on_said },       [ROOM_STATE]  = { REDIS_ROOM_SAY, say_args, on_said },
    [ROOM_KICK]   = { REDIS_ROOM_LEAVE, leave_args, on_left },   [ROOM_EXPEL]  = { REDIS_ROOM_LEAVE, leave_args, on_left },
    [ROOM_SHOW]   = { REDIS_ROOM_ADMIN, admin_args, on_administered }, [ROOM_CREATE] = { REDIS_ROOM_ADMIN, admin_args, on_administered },
    [ROOM_CHANGE] = { REDIS_ROOM_ADMIN, admin_args, on_administered }, [ROOM_REMOVE] = { REDIS_ROOM_ADMIN, admin_args, on_administered },
    [ROOM_TELL]   = { REDIS_ROOM_ADMIN, admin_args, on_administered }, [ROOM_LIST]   = { REDIS_ROOMS, list_args, on_listed },
};

int rooms_script(struct redis_rooms *rooms, struct redis_request *request) { return redis_engine_run(redis_bus_engine(rooms->setup.bus), request); }

static int ask(struct redis_rooms *rooms, struct room_call *call, struct slice room)
{
    const struct asking *asking = &askings[call->order];
    struct asked *asked = calloc(1, sizeof *asked);
    if (!asked)
        return ERR_MEMORY;
    *asked = (struct asked){ .request = { .script = asking->script, .args = asking->args, .answered = asking->answered }, .rooms = rooms, .call = call };
    asked->room_len = (uint8_t)room.len;
    memcpy(asked->room, room.at, room.len);
    for (size_t i = 0; i < call->n_users; i++)
        pack_short(&asked->users, call->users[i]);
    bool is_ticket = call->order != ROOM_JOIN || call->resume.len == 0 || ticket_read(call->resume, &asked->shown);
    if (call->order == ROOM_JOIN)
        ticket_draw(&asked->fresh, 0);
    int err = !is_ticket ? ERR_RESUME_FAILED : asked->users.failed ? ERR_MEMORY : rooms_script(rooms, &asked->request);
    if (err) {
        buf_fini(&asked->users);
        free(asked);
        return err;
    }
    return 0;
}

static size_t count_seats(const struct redis_rooms *rooms, uint64_t connection, struct slice but)
{
    size_t n;
    const struct seat *there = seat_find(rooms, connection, but);
    seat_only(rooms, connection, &n);
    return n - (there && n > 0 && !there->leaving);
}

static int ask_join(struct redis_rooms *rooms, struct room_call *call)
{
    uint64_t connection = call->asker.connection;
    if (count_seats(rooms, connection, call->room) >= rooms->setup.config->rooms_per_connection)
        return ERR_TOO_MANY_ROOMS;
    struct seat *seat = seat_need(rooms, connection, call->room);
    int err = !seat ? ERR_MEMORY : seat->is_gone ? ERR_NOT_IN_ROOM : ask(rooms, call, call->room);
    if (!err)
        seat->joining++;
    else if (seat)
        seat_settle(rooms, seat);
    return err;
}

/* Its own seat in the room it means; NULL: *ret_err says why. */
static struct seat *own_seat(struct redis_rooms *rooms, const struct room_call *call, int *ret_err)
{
    size_t n = 0;
    bool is_named = call->room.len > 0;
    struct seat *seat = is_named ? seat_find(rooms, call->asker.connection, call->room) : seat_only(rooms, call->asker.connection, &n);
    *ret_err = seat ? 0 : n > 1 ? ERR_ROOM_NEEDED : ERR_NOT_IN_ROOM;
    return seat;
}

static int ask_own(struct redis_rooms *rooms, struct room_call *call)
{
    int err;
    struct seat *seat = own_seat(rooms, call, &err);
    err = err ? err : ask(rooms, call, seat_room(seat));
    if (!err && call->order == ROOM_LEAVE)
        seat->leaving = true;
    return err;
}

static int print_ice(struct redis_rooms *rooms, struct room_call *call)
{
    int err;
    const struct config *config = rooms->setup.config;
    int64_t wall_ms = clock_wall_ms(clock_real());
    if (call->order == ROOM_ICE_MAKE) {
        ice_print(&call->text, config, call->user, wall_ms, call->ttl_ms);
        ice_print_rtc(&call->text, config);
        return 0;
    }
    const struct seat *seat = own_seat(rooms, call, &err);
    if (err || seat->number == 0)
        return err ? err : ERR_NOT_IN_ROOM;
    buf_add_slice(&call->text, room_text_slice(seat->head));
    ice_print(&call->text, config, seat_user(seat), wall_ms, 0);
    return 0;
}

/* 0: it will be answered. */
static int begin(struct redis_rooms *rooms, struct room_call *call)
{
    if (!rooms_can(rooms))
        return ERR_REDIS_AWAY;
    switch (call->order) {
    case ROOM_LIST:
        return ask(rooms, call, SLICE(""));      /* its room is a prefix of any length */
    case ROOM_JOIN:
        return ask_join(rooms, call);
    case ROOM_LEAVE:
    case ROOM_RELAY:
    case ROOM_STATE:
        return ask_own(rooms, call);
    default:
        return ask(rooms, call, call->room);
    }
}

static void run(struct rooms_port *port, struct room_call *call)
{
    struct redis_rooms *rooms = (struct redis_rooms *)port;
    bool is_ice = call->order == ROOM_ICE || call->order == ROOM_ICE_MAKE;
    int err = is_ice ? print_ice(rooms, call) : begin(rooms, call);
    if (is_ice || err)
        rooms_answer(rooms->setup.hub, call, !err && call->text.failed ? ERR_MEMORY : err);
}

static void drop(struct rooms_port *port, uint64_t connection, bool for_good) { seats_drop((struct redis_rooms *)port, connection, for_good); }

static void rights(struct rooms_port *port, uint64_t connection, const struct principal *principal)
{
    seats_rights((struct redis_rooms *)port, connection, principal);
}

/* ---- the bus and the nodes tell ---- */

static void on_word(struct redis_part *part, struct slice body)
{
    struct redis_rooms *rooms = link_of(part, struct redis_rooms, part);
    uint8_t what = take_u8(&body);
    if (what == 'f')
        seats_word(rooms, body);
    else if (what == 'x')
        seats_replaced(rooms, body);
}

static void on_tick(struct redis_part *part)
{
    struct redis_rooms *rooms = link_of(part, struct redis_rooms, part);
    seats_tick(rooms);
    graces_tick(rooms);
}

/* Words may be lost, and with another lease nobody sits in its name. */
static void on_held(struct redis_nodes_watcher *watcher, bool is_new, uint64_t changes)
{
    (void)is_new, (void)changes;
    seats_live(link_of(watcher, struct redis_rooms, watcher));
}

static void on_bury(struct redis_nodes_watcher *watcher, const char *lease) { graces_bury(link_of(watcher, struct redis_rooms, watcher), lease); }

/* ---- life ---- */

struct redis_rooms *redis_rooms_new(const struct redis_rooms_setup *setup)
{
    struct redis_rooms *rooms = calloc(1, sizeof *rooms);
    if (!rooms)
        return NULL;
    *rooms = (struct redis_rooms){
        .port = { run, drop, rights }, .setup = *setup, .part = { .kind = 's', .tick = on_tick, .word = on_word }, .watcher = { .held = on_held, .bury = on_bury } };
    link_init(&rooms->asking);
    if (graces_init(rooms)) {
        free(rooms);
        return NULL;
    }
    redis_bus_add(setup->bus, &rooms->part);
    redis_nodes_watch(setup->nodes, &rooms->watcher);
    return rooms;
}

/* The bus is gone, so everything that was under way has been answered. */
void redis_rooms_free(struct redis_rooms *rooms)
{
    if (!rooms)
        return;
    seats_free(rooms);
    graces_fini(rooms);
    free(rooms);
}

void redis_rooms_reconfigure(struct redis_rooms *rooms, const struct config *config) { rooms->setup.config = config; }
struct rooms_port *redis_rooms_port(struct redis_rooms *rooms)                      { return &rooms->port; }
