#define _GNU_SOURCE     /* own_dir.h */
/* main.c — sim-redis --seeds N [--from S]: N seeds, and what happened in them; --seed S: one, with a trace. */
#include "tests/sim/redis/fleet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>      /* of the rig: what fails there ends the process */

#include "tests/unit/redis_rig.h"

#include "hub/base/log.h"
#include "tests/sim/seeds.h"

enum { REST_MS = 30 * 1000, TURN_MS = 1, LINK_MS = 10 };

uint64_t happenings[HAPPENINGS];
static const char *const descriptions[HAPPENINGS] = {
#define COUNT(name, what) what,
#include "tests/sim/redis/count.def"
#undef COUNT
};

uint64_t dice(struct fleet *fleet, uint64_t below)
{
    uint64_t z = fleet->dice += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return below ? (z ^ z >> 31) % below : 0;
}

bool chance(struct fleet *fleet, unsigned per_thousand) { return dice(fleet, 1000) < per_thousand; }

void fleet_trace(const struct fleet *fleet, const char *format, ...)
{
    va_list args;
    if (!fleet->tracing)
        return;
    printf("%5u  ", fleet->step);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
}

static struct redis_server server;
static pid_t owner;

static void end_server(void)
{
    if (getpid() == owner)
        redis_end(&server);
}

_Noreturn void fleet_fail(const struct fleet *fleet, const char *format, ...)
{
    va_list args;
    fflush(stdout);
    fprintf(stderr, "\nsim-redis: seed %" PRIu64 ", step %u: ", fleet->seed, fleet->step);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\nsim-redis: %d hubs, history %zu; again, with a trace: build/tests/sim-redis --seed %" PRIu64 "\n", fleet->n_nodes,
            fleet->config.history_size, fleet->seed);
    exit(1);
}

/* ---- a seed's world ---- */

static int64_t mono_of(const struct clock *clock) { return ((const struct fleet *)clock)->mono_ms; }
static int64_t wall_of(const struct clock *clock) { return ((const struct fleet *)clock)->wall_ms; }

static const struct channel_rule *off_rule(struct fleet *fleet)
{
    static struct channel_rule off;
    off = fleet->config.general_rule;
    off.pattern = "off";
    off.history_size = 0;
    return &off;
}

static void choose_config(struct fleet *fleet)
{
    struct config *config = &fleet->config;
    *config = *config_defaults();
    config->dev = true;
    config->log_level = LOG_ERROR;
    config->store_dir = "";
    config->presence_members = false;
    config->history_size = (size_t[]){ 3, 10, 100, 100 }[dice(fleet, 4)];
    config->history_ttl_ms = config->history_most_ms = 3600 * 1000;
    config->edge_mail_bytes = (size_t[]){ 1, 600, 16 << 20, 16 << 20 }[dice(fleet, 4)];
    config->edge_ring_bytes = (size_t[]){ 1024, 4096, 1 << 20 }[dice(fleet, 3)];
    config->sse_heartbeat_ms = 1000;
    config->redis_prefix = fleet->prefix;
    config->redis = &fleet->url;
    config_general_rule(config);
    config->rules = (struct channel_rule *)off_rule(fleet);
    config->rule_count = 1;
}

static void set_up(struct fleet *fleet, uint64_t seed, bool tracing)
{
    char url[200];
    int64_t now = clock_wall_ms(clock_real());
    *fleet = (struct fleet){ .clock = { mono_of, wall_of }, .mono_ms = 1000000, .wall_ms = now, .seed = seed, .dice = seed, .tracing = tracing,
                             .line = reader_line, .socket = server.socket, .base = event_base_new() };
    fleet->patience = evtimer_new(fleet->base, fleet_patience_ends, NULL);
    fleet_check(fleet, fleet->patience, "no timer");
    snprintf(fleet->prefix, sizeof fleet->prefix, "s%" PRIu64, seed);
    snprintf(url, sizeof url, "unix:%s", server.socket);
    fleet_check(fleet, !redis_url_read(slice_of(url), &fleet->url), "not a URL");
    choose_config(fleet);
    truth_begin(fleet);
    fleet->n_nodes = (int)(1 + dice(fleet, HUBS_MAX));
    for (int i = 0; i < fleet->n_nodes; i++)
        node_begin(fleet, &fleet->nodes[i]);
    fleet->n_readers = (int)(1 + dice(fleet, READERS_MAX));
    for (int i = 0; i < fleet->n_readers; i++)
        reader_begin(fleet, i);
}

/* ---- steps ---- */

static struct node *some_node(struct fleet *fleet) { return &fleet->nodes[dice(fleet, (uint64_t)fleet->n_nodes)]; }

static void step_publish(struct fleet *fleet)
{
    struct node *node = some_node(fleet);
    for (uint64_t n = chance(fleet, 100) ? dice(fleet, 60) : 1 + dice(fleet, 3); n > 0; n--)
        writer_publish(fleet, node, (int)dice(fleet, chance(fleet, 500) ? 2 : CHANNELS));
    if (chance(fleet, 100))
        writer_again(fleet, some_node(fleet));
}

static void step_reader(struct fleet *fleet)
{
    struct client *r = &fleet->readers[dice(fleet, (uint64_t)fleet->n_readers)];
    truth_learn(fleet);
    if (!r->connected)
        reader_connect(r, some_node(fleet));
    else if (chance(fleet, 20))
        reader_cut(r);
    else
        reader_read(r, chance(fleet, 100) ? dice(fleet, 400) : SIZE_MAX);
}

static void step_node(struct fleet *fleet)
{
    struct node *node = some_node(fleet);
    node_turn(node);
    writer_take(node);
}

static void restart(struct fleet *fleet)
{
    struct node *node = some_node(fleet);
    truth_learn(fleet);
    node_end(node);
    node_begin(fleet, node);
    happened(hubs_killed);
}

/* Its configuration says no; the next time this comes it says yes. */
static void refuse(struct fleet *fleet)
{
    fleet->refusing = !fleet->refusing;
    fleet_trace(fleet, "Redis %s to write", fleet->refusing ? "refuses" : "agrees");
    server_say(fleet, fleet->refusing ? "CONFIG SET min-replicas-to-write 1" : "CONFIG SET min-replicas-to-write 0");
    if (fleet->refusing)
        happened(refusals);
}

static void flush_all(struct fleet *fleet)
{
    truth_learn(fleet);
    fleet_trace(fleet, "FLUSHALL");
    server_say(fleet, "FLUSHALL");
    fleet->flushes++;
    happened(flushes);
}

static void step_disaster(struct fleet *fleet)
{
    switch (dice(fleet, 8)) {
    case 0: restart(fleet); break;
    case 1: case 2: case 3: server_kill_connection(fleet); break;
    case 4: server_say(fleet, "SCRIPT FLUSH"); happened(scripts_gone); break;
    case 5: fleet->refusing || chance(fleet, 300) ? refuse(fleet) : (void)0; break;
    case 6: chance(fleet, 400) ? flush_all(fleet) : (void)0; break;
    default: break;
    }
}

static void pass_time(struct fleet *fleet, int64_t ms)
{
    fleet->mono_ms += ms;
    fleet->wall_ms += ms;
}

static void step(struct fleet *fleet)
{
    uint64_t what = dice(fleet, 100);
    if (what < 14)
        step_publish(fleet);
    else if (what < 45)
        step_node(fleet);
    else if (what < 62)
        fleet_turn_loop(fleet);
    else if (what < 90)
        step_reader(fleet);
    else if (what < 96)
        pass_time(fleet, (int64_t)dice(fleet, chance(fleet, 100) ? 1500 : 50));
    else if (what < 98)
        step_disaster(fleet);
    else
        fleet_wait(fleet, chance(fleet, 50) ? 1 + (int64_t)dice(fleet, 30) : 1);      /* links come back in real time */
}

/* ---- the end ---- */

static void turn_all(struct fleet *fleet)
{
    fleet_turn_loop(fleet);
    for (int i = 0; i < fleet->n_nodes; i++) {
        node_turn(&fleet->nodes[i]);
        writer_take(&fleet->nodes[i]);
    }
    truth_learn(fleet);
    for (int i = 0; i < fleet->n_readers; i++) {
        struct client *r = &fleet->readers[i];
        if (r->connected)
            reader_read(r, SIZE_MAX);
        else if (fleet->settling)
            reader_connect(r, some_node(fleet));
    }
    pass_time(fleet, 20);
}

static bool all_are_answered(const struct fleet *fleet)
{
    for (int i = 0; i < fleet->n_nodes; i++)
        if (fleet->nodes[i].under_way > 0)
            return false;
    return nodes_are_live(fleet);
}

/* The newest of each channel that has history, now that nothing is behind it. */
static bool all_have_read(const struct fleet *fleet)
{
    const struct epoch *epoch = &fleet->epochs[fleet->n_epochs - 1];
    for (int i = 0; i < fleet->n_readers; i++)
        for (int c = 0; c < OFF; c++) {
            uint64_t newest = 0;
            for (size_t k = epoch->n; k-- > 0 && newest == 0;)
                newest = epoch->facts[k].channel == c ? epoch->facts[k].seq : 0;
            if (!fleet->readers[i].begun || !reader_has(&fleet->readers[i], c, newest))
                return false;
        }
    return true;
}

static void tell_readers(const struct fleet *fleet)
{
    for (int i = 0; i < fleet->n_readers; i++) {
        const struct client *r = &fleet->readers[i];
        fprintf(stderr, "reader %d of %x: connected %d, begun %d, at %" PRIu64 ".%" PRIu64 ", %zu bytes unread, %zu kept\n", i, r->wanted, r->connected, r->begun,
                r->last.epoch, r->last.seq, r->net.len, r->kept.len);
        if (r->conn)
            fprintf(stderr, "    its connection: state %d, choked %d, catching up %d, calls %d, position %" PRIu64 ".%" PRIu64 "\n", (int)r->conn->conn_state,
                    (int)r->conn->choked, !link_alone(&r->conn->catchups), (int)r->conn->calls, r->conn->position.epoch, r->conn->position.seq);
    }
}

static void turn_until(struct fleet *fleet, bool (*done)(const struct fleet *fleet), const char *what)
{
    int64_t end = clock_mono_ms(clock_real()) + REST_MS;
    for (turn_all(fleet); !done(fleet); turn_all(fleet)) {
        if (clock_mono_ms(clock_real()) >= end) {
            tell_readers(fleet);
            fleet_fail(fleet, "it does not come to rest: %s", what);
        }
        fleet_wait(fleet, TURN_MS);
    }
}

static bool all_began(const struct fleet *fleet)
{
    for (int i = 0; i < fleet->n_readers; i++)
        if (!fleet->readers[i].begun || !fleet->readers[i].connected || fleet->readers[i].last.epoch != fleet->epochs[fleet->n_epochs - 1].epoch)
            return false;
    return all_are_answered(fleet);
}

/* The last so many. */
static bool are_taken(const struct fleet *fleet, size_t n)
{
    for (size_t i = fleet->n_writes - n; i < fleet->n_writes; i++)
        if (fleet->writes[i].outcome != TAKEN || fleet->writes[i].position.epoch != fleet->epochs[fleet->n_epochs - 1].epoch)
            return false;
    return true;
}

/* Its links are back. A publish that is refused tells its hub that the data is gone. */
static void until_it_takes(struct fleet *fleet, struct node *node)
{
    for (;;) {
        writer_publish(fleet, node, 0);
        turn_until(fleet, all_are_answered, "a publish that is taken");
        if (are_taken(fleet, 1))
            return;
        fleet_turn_loop(fleet);      /* what the refusal itself has set off is nothing to wait for */
        fleet_wait(fleet, LINK_MS);
    }
}

/* Of every hub to every channel. */
static void publish_last(struct fleet *fleet)
{
    do {
        for (int i = 0; i < fleet->n_nodes; i++)
            until_it_takes(fleet, &fleet->nodes[i]);
        for (int i = 0; i < fleet->n_nodes; i++)
            for (int c = 0; c < CHANNELS; c++)
                writer_publish(fleet, &fleet->nodes[i], c);
        turn_until(fleet, all_are_answered, "the last publishes");
    } while (!are_taken(fleet, (size_t)(fleet->n_nodes * CHANNELS)));
}

static void rest(struct fleet *fleet)
{
    if (fleet->refusing)
        refuse(fleet);
    fleet->settling = true;
    for (int i = 0; i < fleet->n_readers; i++)
        fleet->readers[i].cap = 1 << 30;
    publish_last(fleet);
    turn_until(fleet, all_began, "readers that begin");
    publish_last(fleet);
    turn_until(fleet, all_have_read, "readers of the last messages");
    writer_check(fleet);
}

static void tear_down(struct fleet *fleet)
{
    for (int i = 0; i < fleet->n_nodes; i++)
        node_end(&fleet->nodes[i]);
    for (int i = 0; i < fleet->n_readers; i++)
        reader_end(&fleet->readers[i]);
    server_say(fleet, "FLUSHALL");
    truth_end(fleet);
    event_free(fleet->patience);
    event_base_loop(fleet->base, EVLOOP_NONBLOCK);      /* what libevent frees later */
    event_base_free(fleet->base);
    redis_url_fini(&fleet->url);
    free(fleet->writes);
}

static void run(uint64_t seed, bool tracing)
{
    struct fleet *fleet = calloc(1, sizeof *fleet);
    set_up(fleet, seed, tracing);
    turn_until(fleet, nodes_are_live, "hubs that begin");
    unsigned steps = 200 + (unsigned)dice(fleet, 600);
    for (fleet->step = 1; fleet->step <= steps; fleet->step++)
        step(fleet);
    rest(fleet);
    tear_down(fleet);
    free(fleet);
}

int main(int argc, char **argv)
{
    enum { FOR_EVERYTHING = 100 };
    static const struct seeds seeds = { "sim-redis", run, "all as they must be", happenings, descriptions, HAPPENINGS, FOR_EVERYTHING };
    log_setup(LOG_ERROR, LOG_TEXT);
    signal(SIGPIPE, SIG_IGN);
    owner = getpid();
    atexit(end_server);
    redis_begin(&server, false, "");
    return seeds_main(&seeds, argc, argv);
}
