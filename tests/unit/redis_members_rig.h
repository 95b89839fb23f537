/* redis_members_rig.h — whole hubs on one Redis, as far as members go: a real hub, its engine's port, nodes and members of redis/, one edge
 * that asks in each channel, and a model of who is there. Threading: the test's. */
#pragma once
#include "hub/access/access.h"
#include "hub/engine.h"
#include "hub/hub.h"
#include "hub/presence.h"
#include "redis/parts/redis_members.h"
#include "tests/unit/redis_nodes_rig.h"

enum { HALLS = 2, USERS = 6, SEATS = 40 };

static const char *const halls[HALLS] = { "room", "hall.a" };
static const char *const users[USERS] = { "ann", "bob", "cyd", "dan", "eve", "fay" };

/* What an edge was told last of a user in a channel. */
enum heard { UNHEARD, JOINED, LEFT };

struct place {
    struct engine         engine;         /* first */
    unsigned              number;
    struct redis_members *members;        /* NULL: the hub does not run */
    struct hub           *hub;
    struct mailbox        edge_box, api_box;
    struct post           to_hub;
    uint8_t               edge, api;
    struct attendance    *asking[HALLS];  /* the edge's */
    unsigned              news;           /* told in all */
    enum heard            heard[HALLS][USERS];
};
static struct place places[NODES];

/* A connection of the model. */
struct seat { struct attendance *attendance; unsigned node, hall, user; };
static struct seat seats[SEATS];

/* ---- a hub ---- */

static inline struct place *place_of(struct engine *engine)        { return (struct place *)engine; }
static inline void place_say(struct engine *engine)                { redis_members_say(place_of(engine)->members); }
static inline void place_list(struct engine *engine, struct members_call *call) { redis_members_list(place_of(engine)->members, call); }
static inline void place_follow(struct engine *engine, struct slice channel, uint64_t hash, bool on)
{
    redis_members_follow(place_of(engine)->members, channel, hash, on);
}
static inline void place_wake(void *owner) { (void)owner; }      /* members_turn turns all */

static inline unsigned index_of(const char *const *names, unsigned n, struct slice name)
{
    for (unsigned i = 0; i < n; i++)
        if (slice_is(name, slice_of(names[i])))
            return i;
    fail_msg("%.*s is nobody here", (int)name.len, name.at);
    return 0;
}

static inline void hear(struct place *place, struct member_letter *letter)
{
    unsigned hall = index_of(halls, HALLS, slice(letter->channel, letter->channel_len));
    unsigned user = index_of(users, USERS, principal_user(letter->principal));
    enum heard now = letter->joined ? JOINED : LEFT;
    if (place->heard[hall][user] == now)
        fail_msg("node %u was told twice that %s %s %s", place->number, users[user], letter->joined ? "joined" : "left", halls[hall]);
    place->heard[hall][user] = now;
    place->news++;
}

static inline void place_take(struct place *place)
{
    mailbox_take(&place->api_box);
    for (struct letter *letter = mailbox_take(&place->edge_box), *next; letter; letter = next) {
        next = letter->next;
        assert_int_equal(letter->kind, LETTER_MEMBER);
        hear(place, (struct member_letter *)(void *)letter);
        principal_unref(((struct member_letter *)(void *)letter)->principal);
        letter_done(letter);
        free(letter);
    }
}

static inline void place_turn(struct place *place)
{
    hub_turn(place->hub);
    place_take(place);
}

static inline void place_submit(struct place *place, struct letter *letter)
{
    post_put(&place->to_hub, letter, 1);
    post_flush(&place->to_hub);
    place_turn(place);
}

static inline struct attendance *attend(struct place *place, unsigned hall, struct principal *who, bool asks)
{
    struct slice channel = slice_of(halls[hall]);
    struct attendance *attendance = attendance_new(channel, hash_bytes(channel), who, place->edge);
    assert_non_null(attendance);
    attendance->counts = !asks;
    attendance->asks = asks;
    place_submit(place, &attendance->join);
    return attendance;
}

static inline void place_begin(struct world *world, unsigned i, int64_t lease_ms)
{
    struct place *place = &places[i];
    known_begin(world, i, lease_ms);
    *place = (struct place){ .engine = { .say_members = place_say, .follow_members = place_follow, .members = place_list }, .number = i };
    place->hub = hub_new(&world->config, clock_real(), NULL, (struct hub_start){ .epoch = 1, .next = 1, .reserved = 1 });
    assert_non_null(place->hub);
    assert_int_equal(mailbox_init(&place->edge_box, false) + mailbox_init(&place->api_box, false), 0);
    post_init(&place->to_hub, hub_mailbox(place->hub), SIZE_MAX);
    place->edge = hub_add_peer(place->hub, &place->edge_box, true, SIZE_MAX);
    place->api = hub_add_peer(place->hub, &place->api_box, false, SIZE_MAX);
    place->members = redis_members_new(&(struct redis_members_setup){ world->nodes[i].bus, &knows[i].nodes, world->nodes[i].base, place->hub,
                                                                      place_wake, place });
    assert_non_null(place->members);
    hub_use_engine(place->hub, &place->engine);
    redis_bus_open(world->nodes[i].bus);
    struct principal *asker = principal_elsewhere(SLICE("asker"), SLICE(""));
    for (unsigned hall = 0; hall < HALLS; hall++)
        place->asking[hall] = attend(place, hall, asker, true);
    principal_unref(asker);
}

/* As by kill -9: nothing is said. Its seats are gone. */
static inline void place_end(struct world *world, unsigned i)
{
    struct place *place = &places[i];
    for (unsigned s = 0; s < SEATS; s++)
        if (seats[s].attendance && seats[s].node == i)
            seats[s].attendance = NULL;      /* the hub's presence has it */
    redis_bus_free(world->nodes[i].bus);
    world->nodes[i].bus = NULL;
    redis_members_free(place->members);
    if (place->hub) {
        place_turn(place);
        hub_free(place->hub);
        for (unsigned hall = 0; hall < HALLS; hall++)
            attendance_free(place->asking[hall]);
        mailbox_fini(&place->edge_box);
        mailbox_fini(&place->api_box);
    }
    known_end(world, i);
    *place = (struct place){ .members = NULL };
}

static inline void members_turn(struct world *world)
{
    world_turn(world);
    for (unsigned i = 0; i < NODES; i++)
        if (places[i].members && world->nodes[i].base)
            place_turn(&places[i]);
}

/* ---- seats ---- */

static inline struct seat *sit_as(unsigned node, unsigned hall, unsigned user, const char *info)
{
    unsigned s = 0;
    while (s < SEATS && seats[s].attendance)
        s++;
    assert_true(s < SEATS);
    struct principal *who = principal_elsewhere(slice_of(users[user]), slice_of(info));
    seats[s] = (struct seat){ attend(&places[node], hall, who, false), node, hall, user };
    principal_unref(who);
    return &seats[s];
}
static inline struct seat *sit(unsigned node, unsigned hall, unsigned user) { return sit_as(node, hall, user, "1"); }

static inline void rise(struct seat *seat)
{
    place_submit(&places[seat->node], &seat->attendance->leave);
    seat->attendance = NULL;
}

static inline unsigned seats_of(unsigned hall, unsigned user)
{
    unsigned n = 0;
    for (unsigned s = 0; s < SEATS; s++)
        n += seats[s].attendance && seats[s].hall == hall && seats[s].user == user;
    return n;
}

/* ---- what nodes say ---- */

static inline int list_of(struct world *world, unsigned node, unsigned hall, struct members_call *call)
{
    call->call = (struct call){ .letter.kind = CALL_MEMBERS, .from = places[node].api, .err = UNANSWERED };
    call->channel = slice_of(halls[hall]);
    call->hash = hash_bytes(call->channel);
    place_submit(&places[node], &call->call.letter);
    for (int64_t end = clock_mono_ms(clock_real()) + REDIS_WAIT_MS; call->call.err == UNANSWERED; members_turn(world))
        assert_true(clock_mono_ms(clock_real()) < end);
    return call->call.err;
}

/* Whether every node's list of this channel is that of the model, and what its edge heard agrees. */
static inline bool agrees(struct world *world, unsigned node, unsigned hall)
{
    struct members_call call = { .limit = 100 };
    unsigned there = 0;
    if (list_of(world, node, hall, &call))
        return false;
    bool same = !call.more && call.count == call.n_infos;
    for (unsigned u = 0; u < USERS; u++) {
        there += seats_of(hall, u) > 0;
        enum heard heard = places[node].heard[hall][u];
        same &= heard == UNHEARD || (heard == JOINED) == (seats_of(hall, u) > 0);
    }
    same &= call.count == there;
    for (size_t i = 0; i < call.n_infos; i++)
        same &= call.infos[i].connections == seats_of(hall, index_of(users, USERS, principal_user(call.infos[i].principal)));
    members_answer_fini(&call);
    return same;
}

static inline void tell_state(struct world *world)
{
    for (unsigned hall = 0; hall < HALLS; hall++)
        for (unsigned u = 0; u < USERS; u++)
            print_message("%s %s: %u seats\n", halls[hall], users[u], seats_of(hall, u));
    for (unsigned i = 0; i < NODES; i++)
        for (unsigned hall = 0; hall < HALLS && places[i].members; hall++) {
            struct members_call call = { .limit = 100 };
            int err = list_of(world, i, hall, &call);
            print_message("node %u, %s: err %d, count %u\n", i, halls[hall], err, call.count);
            for (size_t m = 0; !err && m < call.n_infos; m++)
                print_message("   %.*s %u\n", (int)principal_user(call.infos[m].principal).len, principal_user(call.infos[m].principal).at, call.infos[m].connections);
            for (unsigned u = 0; u < USERS; u++)
                print_message("   heard of %s: %d\n", users[u], places[i].heard[hall][u]);
            members_answer_fini(&call);
        }
}

static inline void until_all_agree(struct world *world)
{
    int64_t end = clock_mono_ms(clock_real()) + REDIS_WAIT_MS;
    for (unsigned i = 0; i < NODES; i++)
        for (unsigned hall = 0; hall < HALLS && places[i].members; hall++)
            for (; !agrees(world, i, hall); members_turn(world))
                if (clock_mono_ms(clock_real()) > end) {
                    tell_state(world);
                    fail_msg("node %u does not agree in %s", i, halls[hall]);
                }
}

static inline void until_news(struct world *world, unsigned node, unsigned least)
{
    for (int64_t end = clock_mono_ms(clock_real()) + REDIS_WAIT_MS; places[node].news < least; members_turn(world))
        if (clock_mono_ms(clock_real()) > end)
            fail_msg("node %u heard %u news instead of %u", node, places[node].news, least);
}

static inline void members_begin(struct world *world, int64_t grace_ms, int64_t lease_ms)
{
    memset(seats, 0, sizeof seats);
    world->config.general_rule.presence = world->config.general_rule.presence_events = true;
    world->config.general_rule.presence_grace_ms = grace_ms;
    for (unsigned i = 0; i < NODES; i++)
        place_begin(world, i, lease_ms);
    for (unsigned i = 0; i < NODES; i++)
        until_known(world, i, (1 << NODES) - 1);
}

static inline int members_tear_down(void **state)
{
    for (unsigned i = 0; i < NODES; i++)
        if (places[i].members)
            place_end(*state, i);
    return bus_tear_down(state);
}

#define ON_MEMBERS(test) cmocka_unit_test_setup_teardown(test, bus_set_up, members_tear_down)
