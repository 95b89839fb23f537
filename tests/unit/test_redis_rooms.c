/* Rooms of several hubs on a real Redis by chance, against the model that rooms of one hub are held to (rooms_model.h): members are on any of
 * three hubs and come back on any other, hubs are killed, cut off, asleep, lose their lease, Redis loses its scripts or all of its data.
 *
 * Time is the test's: Redis has a clock that stands (tests/shim/clock.c), and with it the age that graces and leases are measured by. Nothing is
 * waited for but that everything is quiet: each hub has heard a mark that was published behind all words, and asks nothing.
 *
 *   test_redis_rooms [SEEDS [FROM]]      a seed does the same each time, but for the names Redis and hubs draw */
#define _GNU_SOURCE     /* own_dir.h */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "hub/connection_id.h"
#include "hub/engine.h"
#include "hub/hub.h"
#include "redis/rooms/redis_rooms_core.h"
#include "tests/unit/redis_nodes_rig.h"
#include "tests/unit/rooms_model.h"

#include <hiredis/hiredis.h>

enum { STEPS = 150, SEEDS = 100, GRAVES = 8, LEASE_AGE_MS = 3600 * 1000, ALL = -1 };

static unsigned n_seeds = SEEDS, first_seed = 1;
static unsigned long n_kills, n_burials, n_cuts, n_lapses, n_floods, n_losses;

/* ---- hubs ---- */

struct place {
    struct redis_part   probe;       /* hears marks */
    uint64_t            mark;
    unsigned            number;
    struct redis_rooms *rooms;
    struct hub         *hub;
    struct mailbox      edge_box;
    struct post         to_hub;
    uint8_t             edge;
    bool                asleep;      /* its loop is not turned */
    bool                unheard;     /* its subscriber connection was killed, and it does not know yet */
};
static struct place places[NODES];
static struct world *world;
static redisContext *control;
static struct own_dir clock_dir;
static FILE *clock_file;
static int64_t clock_ms = 2100000000000;      /* not in the past: threads of Redis that wait until then would not wait at all */
static unsigned n_places;            /* members are on the first so many */
static uint64_t newest_mark, newest_id;
static char graves[GRAVES][REDIS_LEASE_NAME];      /* leases of hubs that were killed */
static unsigned n_graves;

/* What a connection of the model is at its hub. */
static struct line {
    uint64_t   id;
    unsigned   place;
    bool       dead, ended;
    bool       misses;               /* what could not be kept for its member, and is to be told so */
    int        closed;
    struct buf told;
} lines[CONNECTIONS];
static struct buf answer_text;

static redisReply *ask_redis(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    redisReply *reply = redisvCommand(control, format, args);
    va_end(args);
    assert_non_null(reply);
    if (reply->type == REDIS_REPLY_ERROR)
        fail_msg("%s: %s", format, reply->str);
    return reply;
}
#define tell_redis(...) freeReplyObject(ask_redis(__VA_ARGS__))
static long long number_of(redisReply *reply)
{
    long long number = reply->integer;
    freeReplyObject(reply);
    return number;
}

/* Everything that was sent to Redis before has been done. */
static void catch_redis_up(void) { tell_redis("PING"); }

static struct line *line_of(uint64_t id)
{
    for (int i = 1; i < CONNECTIONS; i++)
        if (lines[i].id == id)
            return &lines[i];
    return NULL;
}

static void take_letter(struct letter *letter)
{
    struct room_say *say = (struct room_say *)(void *)letter;
    struct room_close *closed = (struct room_close *)(void *)letter;
    struct line *line;
    switch (letter->kind) {
    case CALL_ROOM:
        ((struct call *)(void *)letter)->owner = NULL;      /* answered */
        break;
    case LETTER_ROOM_SAY:
        line = line_of(say->connection);
        if (line && !line->closed) {
            room_say_print(say, &line->told);
            buf_add_char(&line->told, '\n');
        }
        letter_done(letter);
        room_say_free(say);
        break;
    case LETTER_ROOM_CLOSE:
        line = line_of(closed->connection);
        if (line && !line->closed)
            line->closed = closed->err;
        letter_done(letter);
        free(closed);
        break;
    default:
        fail_msg("a letter of kind %u", letter->kind);
    }
}

static void place_turn(struct place *place)
{
    hub_turn(place->hub);
    for (struct letter *letter = mailbox_take(&place->edge_box), *next; letter; letter = next) {
        next = letter->next;
        take_letter(letter);
    }
}

static void on_mark(struct redis_part *part, struct slice body)
{
    memcpy(&link_of(part, struct place, probe)->mark, body.at, sizeof(uint64_t));
}
static unsigned first_awake(void)
{
    unsigned i = 0;
    while (!places[i].rooms || places[i].asleep)
        i++;
    return i;
}
static bool place_sweeps(void *owner) { return ((struct place *)owner)->number == first_awake(); }
static void place_wake(void *owner)   { (void)owner; }      /* turn() turns all */

static void place_begin(unsigned i)
{
    struct place *place = &places[i];
    known_begin(world, i, LEASE_AGE_MS);
    *place = (struct place){ .probe = { .kind = 'z', .word = on_mark }, .number = i };
    place->hub = hub_new(&world->config, clock_real(), NULL, (struct hub_start){ .epoch = 1, .next = 1, .reserved = 1 });
    assert_non_null(place->hub);
    assert_int_equal(mailbox_init(&place->edge_box, false), 0);
    post_init(&place->to_hub, hub_mailbox(place->hub), SIZE_MAX);
    place->edge = hub_add_peer(place->hub, &place->edge_box, true, SIZE_MAX);
    place->rooms = redis_rooms_new(&(struct redis_rooms_setup){ world->nodes[i].bus, &knows[i].nodes, place->hub, &world->config, place_sweeps, place_wake, place });
    assert_non_null(place->rooms);
    hub_use_rooms(place->hub, redis_rooms_port(place->rooms));
    redis_bus_add(world->nodes[i].bus, &place->probe);
    redis_bus_open(world->nodes[i].bus);
}

/* As by kill -9: nothing is said. */
static void place_end(unsigned i)
{
    struct place *place = &places[i];
    redis_bus_free(world->nodes[i].bus);
    world->nodes[i].bus = NULL;
    redis_rooms_free(place->rooms);
    place_turn(place);
    hub_free(place->hub);
    mailbox_fini(&place->edge_box);
    known_end(world, i);
    *place = (struct place){ .rooms = NULL };
}

/* ---- all of them as one ---- */

static void turn(void)
{
    struct event_base *bases[NODES];
    for (unsigned i = 0; i < NODES; i++) {      /* who sleeps is not turned */
        bases[i] = world->nodes[i].base;
        if (places[i].asleep)
            world->nodes[i].base = NULL;
    }
    world_turn(world);
    for (unsigned i = 0; i < NODES; i++) {
        world->nodes[i].base = bases[i];
        if (places[i].rooms && !places[i].asleep)
            place_turn(&places[i]);
    }
}

static void tell_state(void)
{
    const struct seat *seat, *next;
    for (unsigned i = 0; i < NODES; i++) {
        const struct redis_rooms *rooms = places[i].rooms;
        print_message("hub %u: bus %d, lease %d, asked %d, sweeping %d, asks %d, counts %d, mark %d%s\n", i, redis_bus_state(world->nodes[i].bus), redis_nodes_has_lease(&knows[i].nodes),
                      rooms->asked, rooms->sweeping, !link_alone(&rooms->asking), rooms->counts, places[i].mark == newest_mark, places[i].asleep ? ", asleep" : "");
        HASH_ITER(hh, rooms->seats, seat, next)
            print_message("   %.*s in %.*s: number %d, state %d, joining %u, leaving %d, gone %d, unsure %d, says its end %d\n", (int)seat_user(seat).len, seat_user(seat).at,
                          (int)seat_room(seat).len, seat_room(seat).at, seat->number != 0, seat->state, seat->joining, seat->leaving, seat->is_gone, seat->is_unsure, seat->says_end);
    }
}

static void wait_on(int64_t end_ms, const char *what)
{
    if (clock_mono_ms(clock_real()) > end_ms)
        tell_state();
    if (clock_mono_ms(clock_real()) > end_ms)
        at_fault("waits in vain until %s", what);
    turn();
}
#define UNTIL(condition, what) for (int64_t end_ms_ = clock_mono_ms(clock_real()) + REDIS_WAIT_MS; !(condition); wait_on(end_ms_, what))

static bool is_idle(const struct redis_rooms *rooms)
{
    const struct seat *seat, *next;
    bool idle = !rooms->asked && !rooms->sweeping && link_alone(&rooms->asking);
    HASH_ITER(hh, rooms->seats, seat, next)
        idle &= !seat->joining && !seat->leaving && !seat->says_end && !seat->is_gone && !seat->is_unsure && seat->state == SEAT_LIVE;
    return idle;
}

static bool all_are_up(void)
{
    for (unsigned i = 0; i < NODES; i++)
        if (places[i].rooms && !places[i].asleep && !(redis_bus_state(world->nodes[i].bus) == REDIS_BUS_LIVE && redis_nodes_has_lease(&knows[i].nodes)))
            return false;
    return true;
}

static bool all_are_idle(void)
{
    for (unsigned i = 0; i < NODES; i++)
        if (places[i].rooms && !places[i].asleep && !is_idle(places[i].rooms))
            return false;
    return all_are_up();
}

/* A mark for each that is awake; false: it does not hear now. */
static bool mark_all(void)
{
    bool heard = true;
    newest_mark++;
    for (unsigned i = 0; i < NODES; i++) {
        char subject[REDIS_SUBJECT];
        if (!places[i].rooms || places[i].asleep)
            continue;
        redis_bus_words_of(world->nodes[i].bus, redis_bus_node(world->nodes[i].bus), subject);
        heard &= number_of(ask_redis("PUBLISH %s z%b", subject, &newest_mark, sizeof newest_mark)) == 1;
    }
    return heard;
}

static bool all_have_heard(void)
{
    for (unsigned i = 0; i < NODES; i++)
        if (places[i].rooms && !places[i].asleep && places[i].mark != newest_mark)
            return false;
    return true;
}

/* Timers of hubs that are due within this time are due now. A link that is lost waits for 50 ms and each time for longer, until it has held for
 * 5 s; nothing else of a hub here has timers as short, or of that length, that would not do at another moment. */
struct hurry { int64_t from_ms, upto_ms; };
static const struct hurry redial = { 0, 200 }, steady = { 2000, 6000 };

static int hurry_one(const struct event_base *base, const struct event *event, void *arg)
{
    const struct hurry *hurry = arg;
    struct timeval due, now;
    (void)base;
    if (event_get_fd(event) >= 0 || !event_pending(event, EV_TIMEOUT, &due))
        return 0;
    evutil_gettimeofday(&now, NULL);
    int64_t in_ms = (due.tv_sec - now.tv_sec) * 1000 + (due.tv_usec - now.tv_usec) / 1000;
    if (in_ms > hurry->from_ms && in_ms < hurry->upto_ms)
        event_active((struct event *)event, EV_TIMEOUT, 0);
    return 0;
}

static void hurry(struct hurry what)
{
    for (unsigned i = 0; i < NODES; i++)
        if (world->nodes[i].base && !places[i].asleep)
            event_base_foreach_event(world->nodes[i].base, hurry_one, &what);
    turn();
}

/* Until whoever is awake has heard all words there were, and nothing is under way. */
static void settle(void)
{
    for (int64_t end = clock_mono_ms(clock_real()) + REDIS_WAIT_MS;;) {
        UNTIL(all_are_idle(), "all is idle")
            if (!all_are_up())
                hurry(redial);
        bool heard = mark_all();
        while (heard && all_are_up() && !all_have_heard())
            turn();
        if (heard && all_have_heard() && all_are_idle())
            return;
        if (clock_mono_ms(clock_real()) > end)
            at_fault("waits in vain until all is %s", "quiet");
        turn();
    }
}

/* ---- what the model asks ---- */

/* What there is when something was wrong: make check with TRACE=1 in the environment. */
static void trace(const char *what)
{
    if (!getenv("TRACE"))
        return;
    fprintf(stderr, "%u %s:", steps, what);
    for (int r = 0; r < ROOMS; r++)
        for (int u = 0; u < PEERS; u++) {
            const struct stay *stay = &stays[r][u];
            if (stay->there)
                fprintf(stderr, " %s/%s@%u:%d%s%s%s %u/%u", room_names[r], user_names[u], lines[stay->connection].place, stay->connection, stay->away ? " away" : "",
                        stay->half_dead ? " deaf" : "", stay->behind ? " behind" : "", stay->seen, stay->told);
        }
    fprintf(stderr, "\n");
}

static const char *sim_answer(void)              { return answer_text.at; }
static struct buf *sim_told(int connection)      { return &lines[connection].told; }
static int         sim_closed(int connection)    { return lines[connection].closed; }
static bool        sim_is_dead(int connection)   { return lines[connection].dead; }
static bool        sim_is_asleep(int connection) { return !lines[connection].dead && places[lines[connection].place].asleep; }
static bool        sim_is_unheard(int connection) { return lines[connection].dead || places[lines[connection].place].unheard; }

static unsigned place_awake(void)
{
    unsigned i = chance(n_places);
    while (places[i].asleep)
        i = (i + 1) % NODES;
    return i;
}

static void sim_connect(int connection)
{
    struct line *line = &lines[connection];
    unsigned i = place_awake();
    buf_reset(&line->told);
    *line = (struct line){ .id = ++newest_id << 8 | places[i].edge, .place = i, .told = line->told };
}

static void ask_soon(struct place *place, uint64_t id, struct room_call *call)
{
    call->asker.connection = id;
    call->call.letter.kind = CALL_ROOM;
    call->call.from = place->edge;
    call->call.owner = place;
    call_submit(&place->to_hub, &call->call, 0);
    post_flush(&place->to_hub);
    place_turn(place);
}

static int take_answer(struct room_call *call)
{
    UNTIL(!call->call.owner, "a call is answered")
        continue;
    buf_reset(&answer_text);
    buf_add_slice(&answer_text, buf_slice(&call->text));
    buf_add_char(&answer_text, '\0');
    buf_fini(&call->text);
    return call->call.err;
}

static int sim_run(int connection, struct room_call *call)
{
    struct place *place = connection ? &places[lines[connection].place] : &places[place_awake()];
    ask_soon(place, connection ? lines[connection].id : 0, call);
    int err = take_answer(call);
    settle();
    if (getenv("TRACE"))
        fprintf(stderr, "   call %d of %d at %u, room %.*s, to %.*s: %d, %.60s\n", call->order, connection, place->number, (int)call->room.len, call->room.at, (int)call->to.len, call->to.at, err, answer_text.at);
    return err;
}

static void sim_drop(int connection, bool for_good)
{
    struct rooms_port *port = redis_rooms_port(places[lines[connection].place].rooms);
    port->drop(port, lines[connection].id, for_good);
    lines[connection].ended = true;
    settle();
}

static void set_clock(void)
{
    rewind(clock_file);
    fprintf(clock_file, "=%lld\n", (long long)clock_ms);
    fflush(clock_file);
}

/* Age goes on with the clock, and leases do not end by it: where that is wanted they are ended. */
static void sim_pass(int64_t ms)
{
    static const char later[] =
        "local P, ms = KEYS[1], tonumber(ARGV[1]) "
        "local pulse = redis.call('GET', P .. 'pulse') "
        "if pulse then "
        "  local last, age = struct.unpack('<dd', pulse) "
        "  redis.call('SET', P .. 'pulse', struct.pack('<dd', last + ms, age + ms) .. string.sub(pulse, 17)) "
        "end "
        "for _, key in ipairs({ 'leases', 'burials' }) do "
        "  for _, lease in ipairs(redis.call('ZRANGE', P .. key, 0, -1)) do redis.call('ZINCRBY', P .. key, ms, lease) end "
        "end";
    catch_redis_up();      /* what is on its way is of before */
    clock_ms += ms;
    set_clock();
    tell_redis("EVAL %s 1 t:{0}: %lld", later, (long long)ms);
    struct redis_part *part = &places[first_awake()].rooms->part;
    part->tick(part);
    settle();
}

/* ---- faults ---- */

static void end_lease_now(const char *lease)
{
    tell_redis("ZADD t:{0}:leases XX 0 %s", lease);
    tell_redis("ZADD t:{0}:burials XX 0 %s", lease);
}

static bool is_buried(const char *lease)
{
    redisReply *a = ask_redis("ZSCORE t:{0}:leases %s", lease), *b = ask_redis("ZSCORE t:{0}:burials %s", lease);
    bool is = a->type == REDIS_REPLY_NIL && b->type == REDIS_REPLY_NIL;
    freeReplyObject(a);
    freeReplyObject(b);
    return is;
}

static void poke(unsigned i)      /* it beats now */
{
    char subject[REDIS_SUBJECT];
    redis_bus_words_of(world->nodes[i].bus, redis_bus_node(world->nodes[i].bus), subject);
    tell_redis("PUBLISH %s n", subject);
}

static struct stay *stay_at(uint64_t id, struct slice room, int *ret_r, int *ret_u)
{
    for (*ret_r = 0; *ret_r < ROOMS; ++*ret_r)
        for (*ret_u = 0; *ret_u < PEERS; ++*ret_u) {
            struct stay *stay = &stays[*ret_r][*ret_u];
            if (is_present(stay) && lines[stay->connection].id == id && slice_is(room, slice_of(room_names[*ret_r])))
                return stay;
        }
    return NULL;
}

/* Another hub takes out what a lease has left. In which order is nowhere promised: it is that of Redis's hash. */
static void bury(const char *lease, unsigned digger)
{
    redisReply *seats = ask_redis("HKEYS t:{0}:sat:%s", lease);
    end_lease_now(lease);
    poke(digger);
    UNTIL(is_buried(lease), "a lease is buried")
        continue;
    for (size_t i = 0; i < seats->elements; i++) {
        uint64_t id;
        int r, u;
        memcpy(&id, seats->element[i]->str, sizeof id);
        if (!stay_at(id, slice(seats->element[i]->str + sizeof id, seats->element[i]->len - sizeof id), &r, &u))
            at_fault("a seat of nobody: %s", seats->element[i]->str + sizeof id);
        model_away(r, u);
    }
    freeReplyObject(seats);
    settle();
    n_burials++;
}

static void bury_all(void)
{
    for (; n_graves > 0; n_graves--)
        bury(graves[n_graves - 1], place_awake());
    check_live();
}

/* A hub is killed, and started anew. */
static void kill_one(void)
{
    unsigned i = chance(NODES);
    char subject[REDIS_SUBJECT];
    if (n_graves == GRAVES)
        bury_all();
    snprintf(graves[n_graves++], REDIS_LEASE_NAME, "%s", redis_nodes_lease(&knows[i].nodes));
    redis_bus_words_of(world->nodes[i].bus, redis_bus_node(world->nodes[i].bus), subject);
    place_end(i);
    for (int c = 1; c < CONNECTIONS; c++)
        lines[c].dead |= lines[c].place == i;
    for (int r = 0; r < ROOMS; r++)
        for (int u = 0; u < PEERS; u++)
            if (is_present(&stays[r][u]) && lines[stays[r][u].connection].dead)
                stays[r][u].half_dead = true;
    while (number_of(ask_redis("PUBLISH %s z", subject)) > 0)
        continue;
    place_begin(i);
    settle();
    n_kills++;
}

/* Those of a hub that came late to its lease are taken back with another one. */
static void lapse(void)
{
    unsigned i = chance(NODES), sat = 0;
    char lease[REDIS_LEASE_NAME];
    snprintf(lease, sizeof lease, "%s", redis_nodes_lease(&knows[i].nodes));
    places[i].asleep = true;
    bury(lease, (i + 1) % NODES);
    places[i].asleep = false;
    poke(i);
    UNTIL(strcmp(lease, redis_nodes_lease(&knows[i].nodes)), "it has another lease")
        continue;
    for (struct stay *next = &stays[0][0];; sat = next->sat) {      /* in the order in which they sit there */
        int at = -1;
        for (int k = 0; k < ROOMS * PEERS; k++) {
            const struct stay *stay = &stays[k / PEERS][k % PEERS];
            bool is_here = stay->there && stay->away && !lines[stay->connection].dead && lines[stay->connection].place == i && !lines[stay->connection].closed;
            if (is_here && stay->away_until == model_now_ms + GRACE_MS && stay->sat > sat && (at < 0 || stay->sat < stays[at / PEERS][at % PEERS].sat))
                at = k;
        }
        if (at < 0)
            break;
        next = &stays[at / PEERS][at % PEERS];
        model_back(at / PEERS, at % PEERS);
    }
    settle();
    check_live();
    n_lapses++;
}

/* What could not be kept for it closes its connection; else it has everything. */
static void make_up_all(void)
{
    for (int r = 0; r < ROOMS; r++)
        for (int u = 0; u < PEERS; u++) {
            struct stay *stay = &stays[r][u];
            if (!is_present(stay) || sim_is_dead(stay->connection))
                continue;
            bool misses = lines[stay->connection].misses || (stay->behind && !model_recovers(stay, stay->away_from));
            stay->behind = false;
            if (!misses)
                continue;
            if (lines[stay->connection].closed != ERR_ROOM_LOST)
                at_fault("%s misses something in %s and is not told", user_names[u], room_names[r]);
            read_all(r, u);      /* all before that */
            stay->half_dead = true;
            n_losses++;
        }
    for (int r = 0; r < ROOMS; r++)
        for (int u = 0; u < PEERS; u++)
            if (is_present(&stays[r][u]) && lines[stays[r][u].connection].closed == ERR_ROOM_LOST) {
                sim_drop(stays[r][u].connection, false);
                model_away(r, u);
            }
}

/* Connections that a hub has closed end: also those of members that had left already, who could not be told. */
static void end_closed(void)
{
    for (int c = 1; c < CONNECTIONS; c++)
        if (lines[c].closed && !lines[c].dead && !lines[c].ended)
            sim_drop(c, false);
}

/* What a hub has asked Redis for, and Redis has done, before it sleeps. */
struct flight {
    struct room_call  call;
    struct room_text *rest;
    int               err;           /* that it is to be answered with */
    struct buf        list;          /* JOIN: who was there */
    struct stay      *stay;
    unsigned          order;
};

/* Redis has done it, and its reply has not been read: it stands still until everything is sent. */
static void ask_and_sleep(unsigned i, uint64_t id, struct room_call *call)
{
    int status;
    kill(world->server.pid, SIGSTOP);
    waitpid(world->server.pid, &status, WUNTRACED);
    ask_soon(&places[i], id, call);
    event_base_loop(world->nodes[i].base, EVLOOP_NONBLOCK);
    kill(world->server.pid, SIGCONT);
    catch_redis_up();
    catch_redis_up();      /* the replies of one turn of its loop are written in no order */
}

static void send_off(struct flight *flight, unsigned i, uint64_t id)
{
    ask_and_sleep(i, id, &flight->call);
}

static void speak_off(struct flight *flight, unsigned i, int r, int u)
{
    struct stay *stay = &stays[r][u];
    int v = (int)chance(PEERS + 1);
    char text[128];
    bool is_taken;
    flight->call = relay_of(r, u, v, stay->n + 1, text);
    flight->rest = flight->call.rest;
    send_off(flight, i, lines[stay->connection].id);
    flight->err = model_say(r, u, v, text, &is_taken);
    if (is_taken)
        model_take(stay, flight->call.n);
}

static void join_off(struct flight *flight, unsigned i, int r, int u)
{
    int connection = free_connection();
    lines[connection].place = i;
    lines[connection].id = ++newest_id << 8 | places[i].edge;
    flight->call = (struct room_call){ .order = ROOM_JOIN, .room = slice_of(room_names[r]), .user = slice_of(user_names[u]) };
    send_off(flight, i, lines[connection].id);
    model_stay(r, u, connection, false);
    model_joined(r, u);
    flight->stay = &stays[r][u];
    flight->order = flight->stay->order;
    print_list(r, u, &flight->list);
}

static void land(struct flight *flight)
{
    if (!flight->call.call.letter.kind)
        return;
    assert_int_equal(take_answer(&flight->call), flight->err);
    room_text_unref(flight->rest);
    if (!flight->stay)
        return;
    check_answer(&flight->list);
    check_you(&(struct stay){ .there = true });
    if (flight->stay->order == flight->order)
        member(sim_answer(), "resume", flight->stay->ticket);
}

/* Whether Redis has it in its list of those that are told by words. */
static bool is_told_again(int r, int u)
{
    enum { STATE_AT = 40, SEAT_PRESENT = 0 };      /* lua/room.lua */
    redisReply *seat = ask_redis("HGET t:{0}:seats:%s %s", room_names[r], user_names[u]);
    assert_true(seat->type == REDIS_REPLY_STRING && seat->len > STATE_AT);
    bool is = seat->str[STATE_AT] == SEAT_PRESENT;
    freeReplyObject(seat);
    return is;
}

/* A hub that is cut off does a little of what leads it back: in any state of that others may say something. */
static void stir(unsigned i)
{
    char subject[REDIS_SUBJECT];
    event_base_foreach_event(world->nodes[i].base, hurry_one, (void *)&redial);
    for (unsigned rounds_left = chance(6); rounds_left > 0; rounds_left--) {
        event_base_loop(world->nodes[i].base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
        place_turn(&places[i]);
        catch_redis_up();
    }
    redis_bus_words_of(world->nodes[i].bus, redis_bus_node(world->nodes[i].bus), subject);
    redisReply *hears = ask_redis("PUBSUB NUMSUB %s", subject);
    places[i].unheard = hears->element[1]->integer == 0;
    freeReplyObject(hears);
    for (int r = 0; r < ROOMS; r++)
        for (int u = 0; u < PEERS; u++) {
            struct stay *stay = &stays[r][u];
            if (!is_present(stay) || !stay->behind || lines[stay->connection].dead || lines[stay->connection].place != i || !is_told_again(r, u))
                continue;
            stay->behind = false;
            lines[stay->connection].misses |= !model_recovers(stay, stay->away_from);
        }
}

static int lose_input(const struct event_base *base, const struct event *event, void *arg)
{
    char lost[65536];
    (void)base, (void)arg;
    if (event_get_fd(event) >= 0)
        while (recv(event_get_fd(event), lost, sizeof lost, MSG_DONTWAIT) > 0)
            continue;
    return 0;
}

/* What has come for it from Redis is lost, and its connections. */
static void lose_links(unsigned i)
{
    event_base_foreach_event(world->nodes[i].base, lose_input, NULL);
    tell_redis("CLIENT KILL TYPE pubsub");
    tell_redis("CLIENT KILL TYPE normal SKIPME yes");
}

/* Of what its members were told since, the newest are there still; where that is not all, they are told so. Nothing need be there after KEEP_MS. */
static void find_missing(unsigned i, unsigned heard[ROOMS][PEERS])
{
    for (int r = 0; r < ROOMS; r++)
        for (int u = 0; u < PEERS; u++) {
            const struct stay *stay = &stays[r][u];
            struct line *line = &lines[stay->connection];
            if (!is_present(stay) || line->dead || line->place != i || stay->told == heard[r][u])
                continue;
            bool may_be_gone = model_now_ms - stay->at_ms[heard[r][u] + 1] >= KEEP_MS && line->closed == ERR_ROOM_LOST;
            line->misses = stay->told - heard[r][u] > QUEUE || may_be_gone;
        }
}

/* One hub asks something, and does nothing from then on, or is cut off from what others say; others go on meanwhile. */
static void be_slow(void)
{
    unsigned i = n_places == 1 ? 0 : chance(NODES), deeds = 1 + chance(8);
    int r = (int)chance(ROOMS), u = (int)chance(PEERS);
    struct stay *stay = &stays[r][u];
    struct flight flight = { .err = 0 };
    bool is_cut = chance(3) == 0, stirs = is_cut && chance(2), loses = !is_cut && chance(3) == 0;
    unsigned heard[ROOMS][PEERS];
    check_live();
    for (int k = 0; k < ROOMS * PEERS; k++)
        heard[k / PEERS][k % PEERS] = stays[k / PEERS][k % PEERS].told;
    if (loses)
        deeds += 8;
    else if (can_ask(stay) && lines[stay->connection].place == i && !stay->half_dead)
        speak_off(&flight, i, r, u);
    else if (!stay->there)
        join_off(&flight, i, r, u);
    places[i].asleep = true;
    if (is_cut) {      /* so are the others, and they are back at once */
        places[i].unheard = true;
        tell_redis("CLIENT KILL TYPE pubsub");
    }
    settle();
    hurry(steady);
    for (; deeds > 0 && n_places > 1; deeds--) {
        if (stirs)
            stir(i);
        deed();
    }
    if (loses)
        lose_links(i);
    places[i].asleep = places[i].unheard = false;
    land(&flight);
    settle();
    if (loses)
        find_missing(i, heard);
    for (; n_late_ends > 0; n_late_ends--) {
        int late = late_ends[n_late_ends - 1];
        if (!sim_closed(late))
            at_fault("connection %d was replaced and is open", late);
        sim_drop(late, false);
    }
    hurry(steady);
    make_up_all();
    end_closed();
    check_live();
    n_cuts += is_cut;
    n_losses += loses;
}

/* -> ERR_OUTCOME_UNKNOWN */
static int run_unanswered(unsigned i, uint64_t id, struct room_call *call)
{
    ask_and_sleep(i, id, call);
    lose_links(i);
    int err = take_answer(call);
    settle();
    hurry(steady);
    n_losses++;
    return err;
}

static void speak_unanswered(int r, int u)
{
    struct stay *stay = &stays[r][u];
    int v = (int)chance(PEERS + 1);
    char text[128];
    bool is_taken;
    struct room_call call = relay_of(r, u, v, stay->n + 1, text), again = call;
    struct room_text *rest = call.rest;
    assert_int_equal(run_unanswered(lines[stay->connection].place, lines[stay->connection].id, &call), ERR_OUTCOME_UNKNOWN);
    int expected = model_say(r, u, v, text, &is_taken), err = sim_run(stay->connection, &again);
    room_text_unref(rest);
    assert_int_equal(err, is_taken ? 0 : expected);
    assert_true(!is_taken || strstr(sim_answer(), "\"duplicate\":true"));
    if (is_taken)
        model_take(stay, call.n);
}

/* Nobody knows its ticket, so it has left. */
static void join_unanswered(int r, int u)
{
    bool was_there = stays[r][u].there;
    int connection = free_connection();
    struct room_call call = { .order = ROOM_JOIN, .room = slice_of(room_names[r]), .user = slice_of(user_names[u]), .asker.is_proven = true };
    assert_int_equal(run_unanswered(lines[connection].place, lines[connection].id, &call), ERR_OUTCOME_UNKNOWN);
    if (was_there)
        model_gone(r, u, "replaced");
    model_joined(r, u);
    model_gone(r, u, "disconnected");
}

/* It is away again, and nobody but its client has its ticket. */
static void resume_unanswered(int r, int u)
{
    struct stay *stay = &stays[r][u];
    int connection = free_connection(), old = stay->connection;
    bool was_away = stay->away;
    struct room_call call = { .order = ROOM_JOIN, .room = slice_of(room_names[r]), .resume = slice_of(stay->ticket), .has_last_seq = true, .last_seq = stay->seen,
                              .asker.is_proven = stay->is_proven };
    assert_int_equal(run_unanswered(lines[connection].place, lines[connection].id, &call), ERR_OUTCOME_UNKNOWN);
    stay->behind = false;
    stay->connection = connection;
    for (unsigned i = 1; i <= stay->told; i++)
        stay->at_ms[i] = model_now_ms;
    if (was_away)
        model_back(r, u);
    else
        end_replaced(old);
    model_away(r, u);
}

static void leave_unanswered(int r, int u)
{
    struct room_call call = { .order = ROOM_LEAVE, .room = slice_of(room_names[r]) };
    int connection = stays[r][u].connection;
    assert_int_equal(run_unanswered(lines[connection].place, lines[connection].id, &call), ERR_OUTCOME_UNKNOWN);
    model_gone(r, u, "left");
    assert_int_equal(sim_run(connection, &(struct room_call){ .order = ROOM_LEAVE, .room = slice_of(room_names[r]) }), ERR_NOT_IN_ROOM);
}

/* Redis has done it, and is away before it says so. */
static void be_unsure(void)
{
    int r = (int)chance(ROOMS), u = (int)chance(PEERS);
    check_live();
    if (chance(3) == 0)
        join_unanswered(r, u);
    else if (stays[r][u].there && chance(3) == 0)
        resume_unanswered(r, u);
    else if (can_ask(&stays[r][u]))
        (chance(4) ? speak_unanswered : leave_unanswered)(r, u);
    check_live();
}

/* All data of Redis is gone: each member is told, and nobody is stuck. */
static void lose_data(void)
{
    for (unsigned i = 0; i < NODES; i++)
        world->nodes[i].lived = world->nodes[i].lives;
    check_live();
    n_graves = 0;
    tell_redis("FLUSHALL");
    for (unsigned i = 0; i < NODES; i++) {
        poke(i);
        WORLD_UNTIL(world, world->nodes[i].lives > world->nodes[i].lived);      /* of a new epoch */
    }
    settle();
    for (int r = 0; r < ROOMS; r++)
        for (int u = 0; u < PEERS; u++) {
            struct stay *stay = &stays[r][u];
            if (is_present(stay) && !sim_is_dead(stay->connection)) {
                if (lines[stay->connection].closed != ERR_ROOM_LOST)
                    at_fault("%s in %s is not told that all is lost", user_names[u], room_names[r]);
                sim_drop(stay->connection, false);
            }
            stay->there = false;
        }
    n_floods++;
}

/* ---- a seed ---- */

static void fault(void)
{
    pass(1);
    trace("fault");
    switch (chance(16)) {
    case 0: kill_one(); break;
    case 1: bury_all(); break;
    case 2: lapse(); break;
    case 3: be_unsure(); break;
    case 4: if (chance(12) == 0) lose_data(); break;
    case 5: tell_redis("SCRIPT FLUSH"); break;
    default: be_slow(); break;
    }
}

static unsigned count_members(int r, bool is_away)
{
    unsigned n = 0;
    for (int u = 0; u < PEERS; u++)
        n += stays[r][u].there && (!is_away || stays[r][u].away);
    return n;
}

/* All hubs list the same rooms, with as many members. */
static void check_rooms(void)
{
    for (unsigned i = 0; i < NODES; i++) {
        struct room_call call = { .order = ROOM_LIST, .room = SLICE(""), .limit = 100 };
        ask_soon(&places[i], 0, &call);
        assert_int_equal(take_answer(&call), 0);
        for (int r = 0; r < ROOMS; r++) {
            char expected[80];
            snprintf(expected, sizeof expected, "{\"room\":\"%s\",\"members\":%u,\"away\":%u,", room_names[r], count_members(r, false), count_members(r, true));
            if (count_members(r, false) > 0 && !strstr(sim_answer(), expected))
                at_fault("hub %u says %s instead of %s", i, sim_answer(), expected);
        }
    }
}

static void check_nothing_is_left(void)
{
    static const char *const keys[] = { "room:*", "seats:*", "peers:*", "told:*", "sat:*", "rooms", "room_due" };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        redisReply *left = ask_redis("KEYS t:{0}:%s", keys[i]);
        if (left->elements > 0)
            at_fault("%s is left", left->element[0]->str);
        freeReplyObject(left);
    }
    for (unsigned i = 0; i < NODES; i++)
        if (places[i].rooms->seats || places[i].rooms->sitters)
            at_fault("hub %u has seats left", i);
}

static bool is_done;
static void run_seed(unsigned seed)
{
    model_begin(seed);
    n_places = seed % 8 == 0 ? 1 : NODES;
    for (steps = 1; steps <= STEPS; steps++) {
        if (chance(12) == 0)
            fault();
        else
            deed();
        trace("now");
        if (chance(16) == 0)
            check_rooms();
    }
    bury_all();
    model_end();
    end_closed();
    check_nothing_is_left();
}

static void members_of_several_hubs_are_told_all_of_it_once_and_in_order(void **state)
{
    (void)state;
    for (unsigned i = 0; i < n_seeds; i++)
        run_seed(first_seed + i);
    is_done = true;
    print_message("%u seeds: %lu frames, %lu resumes (%lu not whole), %lu timeouts, %lu busy, %lu again; %lu hubs killed, %lu leases buried, %lu of hubs that lived, %lu cut off, "
                  "%lu answers and connections lost, %lu times all data\n",
                  n_seeds, n_frames, n_resumes, n_lossy, n_timeouts, n_busy, n_duplicates, n_kills, n_burials, n_lapses, n_cuts, n_losses, n_floods);
    if (n_seeds >= SEEDS)
        assert_true(n_frames > 5000 && n_resumes > 500 && n_timeouts > 100 && n_busy > 20 && n_floods > 1 && n_kills > 50 && n_lapses > 50 && n_cuts > 50 && n_losses > 10);
}

/* ---- the world ---- */

/* Redis-server is started with the clock that stands beside this program. */
static void use_clock(void)
{
    static char file[OWN_DIR_MAX + 16], preload[4096];
    assert_int_equal(own_dir_make(&clock_dir), 0);
    snprintf(file, sizeof file, "%s/clock", clock_dir.path);
    ssize_t len = readlink("/proc/self/exe", preload, sizeof preload - 16);
    assert_true(len > 0);
    preload[len] = '\0';
    snprintf(strrchr(preload, '/'), 16, "/clock.so");
    assert_int_equal(access(preload, R_OK), 0);
    assert_non_null(clock_file = fopen(file, "w"));
    set_clock();
    setenv("LD_PRELOAD", preload, 1);
    setenv("CLOCK_FILE", file, 1);
}

static int set_up(void **state)
{
    use_clock();
    assert_int_equal(bus_set_up(state), 0);
    unsetenv("LD_PRELOAD");
    world = *state;
    world->config.rooms_queue = QUEUE;
    world->config.rooms_queue_bytes = 1 << 18;
    world->config.rooms_keep_ms = KEEP_MS;
    world->config.rooms_max = 100;
    world->config.rooms_per_connection = 10;
    config_general_room_rule(&world->config);
    world->config.general_room_rule.create = CREATE_ANYBODY;
    world->config.general_room_rule.capacity = 100;
    world->config.general_room_rule.grace_ms = GRACE_MS;
    world->config.general_room_rule.empty_timeout_ms = EMPTY_MS;
    control = redisConnectUnix(world->server.socket);
    assert_true(control && !control->err);
    for (unsigned i = 0; i < NODES; i++)
        place_begin(i);
    settle();
    return 0;
}

static int tear_down(void **state)
{
    if (!is_done)
        print_message("seed %u, step %u\n", rounds, steps);
    for (unsigned i = 0; i < NODES; i++)
        if (places[i].rooms)
            place_end(i);
    for (int c = 0; c < CONNECTIONS; c++)
        buf_fini(&lines[c].told);
    buf_fini(&answer_text);
    redisFree(control);
    fclose(clock_file);
    own_dir_remove(&clock_dir);
    return bus_tear_down(state);
}

int main(int argc, char **argv)
{
    n_seeds = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : SEEDS;
    first_seed = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 1;
    const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(members_of_several_hubs_are_told_all_of_it_once_and_in_order, set_up, tear_down) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
