/* run.c — one seed: a configuration, some hundred steps at random, and a quiet end at which everybody must know everything. */
#include "tests/sim/lag.h"
#include "tests/sim/line.h"
#include "tests/sim/sim.h"

#include "hub/access/authority.h"
#include "hub/metrics.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

uint64_t counts[COUNTS];

/* ---- dice: splitmix64 ---- */

uint64_t dice(struct sim *sim, uint64_t below)
{
    uint64_t z = sim->dice += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return below ? (z ^ z >> 31) % below : 0;
}

bool chance(struct sim *sim, unsigned per_thousand) { return dice(sim, 1000) < per_thousand; }

int64_t one_of_(struct sim *sim, const int64_t *values, size_t n) { return values[dice(sim, n)]; }

/* ---- telling ---- */

void sim_trace(const struct sim *sim, const char *format, ...)
{
    va_list args;
    if (!sim->tracing)
        return;
    printf("%5u  %6ld ms  ", sim->step, sim->mono_ms);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
}

_Noreturn void sim_fail(const struct sim *sim, const char *format, ...)
{
    va_list args;
    fflush(stdout);
    fprintf(stderr, "\nsim: seed %lu, step %u: ", sim->seed, sim->step);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr,
            "\nsim: history %zu messages, %ld ms, %zu bytes, %zu in all; store %s; ring %zu, mail %zu; lag %s, %zu\nsim: again, with a trace: "
            "build/tests/sim --seed %lu\n", sim->config.history_size, sim->config.history_ttl_ms, sim->config.history_bytes,
            sim->config.history_max_bytes, !sim->config.store_dir[0] ? "none" : (const char *[]){ "off", "batch", "each" }[sim->config.store_sync],
            sim->config.edge_ring_bytes, sim->config.edge_mail_bytes, (const char *[]){ "disconnect", "skip", "latest" }[sim->config.lag_policy],
            sim->config.lag_bytes, sim->seed);
    exit(1);
}

/* ---- a seed's world ---- */

static const struct sim *sim_of(const struct clock *clock) { return (const struct sim *)clock; }
static int64_t sim_mono(const struct clock *clock) { return sim_of(clock)->mono_ms; }
static int64_t sim_wall(const struct clock *clock) { return sim_of(clock)->wall_ms; }

static void choose_config(struct sim *sim)
{
    struct config *config = &sim->config;
    *config = *config_defaults();
    config->dev = true;
    config->log_level = LOG_ERROR;
    config->store_dir = chance(sim, 800) ? "simulated" : "";
    config->store_sync = (enum store_sync)one_of(sim, STORE_SYNC_OFF, STORE_SYNC_BATCH, STORE_SYNC_BATCH, STORE_SYNC_EACH);
    config->store_queue_bytes = (size_t)one_of(sim, 1000, 32 << 20, 32 << 20);
    config->edge_mail_bytes = (size_t)one_of(sim, 1, 600, 5000, 16 << 20, 16 << 20);
    config->edge_ring_bytes = (size_t)one_of(sim, 1024, 4096, 16384, 1 << 20);
    config->edge_pool_bytes = (size_t)one_of(sim, 4096, 64 << 20, 64 << 20);
    config->sse_heartbeat_ms = one_of(sim, 1000, 2000, 4000);
    config->ws_ping_ms = one_of(sim, 1000, 2000, 4000);
    config->limits_commands = (size_t)one_of(sim, 1, 3, 64);
    config->publish_idempotency_keys = (size_t)one_of(sim, 2, 6, 100, 100);
    config->publish_idempotency_ttl_ms = one_of(sim, 1000, 5000, 60000, 86400000);
    config->presence_members = chance(sim, 800);
    config->presence_events = chance(sim, 900);
    config->presence_grace_ms = one_of(sim, 0, 50, 300, 3000);
    lag_choose(sim);
    rules_choose(sim);
    sim->strict = *config;
    sim->strict.dev = false;
    sim->look_at = (size_t)one_of(sim, 10, 30, 100, 1000000);
    sim->largest = (size_t)(chance(sim, 20) ? 60000 : 6000);
}

static void set_up(struct sim *sim, uint64_t seed, bool tracing)
{
    *sim = (struct sim){ .clock = { sim_mono, sim_wall }, .mono_ms = 1000000, .wall_ms = 1700000000000, .latest_ms = 1700000000000, .seed = seed, .dice = seed, .tracing = tracing,
                          .authority = authority_new() };
    choose_config(sim);
    sim->n_edges = (int)(1 + dice(sim, EDGES_MAX));
    line_ops_init(&sim->line_ops, (size_t)one_of(sim, 0, 0, 0, 500));
    sim->model.sim = sim->attendance.sim = sim->retries.sim = sim->writer.sim = sim->recorder.sim = sim->operator.sim = sim;
    disk_init(&sim->disk, sim);
    sim->polls = polls_new(sim);
    world_open(sim);
    sim->n_listeners = (int)(1 + dice(sim, LISTENERS_MAX));
    for (int i = 0; i < sim->n_listeners; i++)
        listener_init(&sim->listeners[i], sim, i, (enum listener_kind)one_of(sim, READ_SSE, READ_SSE_BARE, READ_WS, READ_WS));
}

/* ---- steps ---- */

static void step_publish(struct sim *sim)
{
    for (uint64_t n = chance(sim, 50) ? dice(sim, 30) : 1 + dice(sim, 3); n > 0; n--)
        writer_publish(&sim->writer);
}

static void step_writer(struct sim *sim)
{
    if (chance(sim, 800))
        writer_flush(&sim->writer);
    writer_take(&sim->writer);
    if (chance(sim, 60))
        writer_fetch(&sim->writer);
    if (chance(sim, 20))
        writer_list(&sim->writer);
    if (chance(sim, 15))
        writer_purge(&sim->writer);
    if (chance(sim, 60))
        writer_members(&sim->writer, (int)dice(sim, CHANNELS));
}

static void step_recorder(struct sim *sim)
{
    for (uint64_t n = chance(sim, 400) ? 1 + dice(sim, 4) : 0; n > 0; n--)
        recorder_change(&sim->recorder);
    if (chance(sim, 800))
        recorder_flush(&sim->recorder);
    recorder_take(&sim->recorder);
}

static void step_operator(struct sim *sim)
{
    if (chance(sim, 400))
        operator_act(&sim->operator);
    if (chance(sim, 800))
        operator_flush(&sim->operator);
    operator_take(&sim->operator);
}

static void step_listener(struct sim *sim)
{
    struct listener *r = &sim->listeners[dice(sim, (uint64_t)sim->n_listeners)];
    if (!r->line) {
        if (sim->mono_ms >= r->come_back_ms && !sim->draining)
            listener_connect(r);
        return;
    }
    if (chance(sim, 20))
        r->appetite = (size_t)one_of(sim, 0, 0, 100, 1000, 1 << 20, 1 << 20, 1 << 20);
    if (chance(sim, 12)) {
        listener_cut(r);
        return;
    }
    listener_read(r);
    if (chance(sim, 150))
        listener_act(r);
}

static void step_poller(struct sim *sim)
{
    if (polls_count(sim->polls) > 0)
        polls_act(sim->polls, (int)dice(sim, (uint64_t)polls_count(sim->polls)));
}

static void step_time(struct sim *sim)
{
    int64_t ms = (int64_t)(chance(sim, 60) ? dice(sim, 3000) : dice(sim, 40));
    if (chance(sim, 4))
        ms = sim_rule(sim, (int)dice(sim, CHANNELS))->history_ttl_ms * (int64_t)(1 + dice(sim, 3)) / 2;
    sim->mono_ms += ms;
    sim->wall_ms += ms;
    if (chance(sim, 10))
        sim->wall_ms += (int64_t)dice(sim, 2000) - 1000;
    sim->latest_ms = sim->wall_ms > sim->latest_ms ? sim->wall_ms : sim->latest_ms;
    if (chance(sim, 200)) {
        hub_tick(sim->hub);
        model_tick(&sim->model);
    }
}

static void step_disk(struct sim *sim)
{
    disk_turn(&sim->disk);
    if (chance(sim, 40))
        disk_sync(&sim->disk);
    if (chance(sim, sim->disk.broken ? 100 : 6))
        sim->disk.broken = !sim->disk.broken;
}

/* SIGHUP: other rules count from now on. */
static void step_reload(struct sim *sim)
{
    uint8_t before = sim_keeping(sim);
    rules_change(sim);
    hub_reconfigure(sim->hub, rules_snapshot(sim));
    model_reload(&sim->model);
    if (before & ~sim_keeping(sim))
        happened(turned_off);
    if (sim_keeping(sim) & ~before)
        happened(turned_on);
    sim_trace(sim, "history of rules %x: %zu messages, %ld ms, %zu bytes, %zu in all", sim_keeping(sim), sim->config.history_size, sim->config.history_ttl_ms,
              sim->config.history_bytes, sim->config.history_max_bytes);
    happened(reloads);
}

static void step_disaster(struct sim *sim)
{
    if (sim->draining) {
        if (chance(sim, 100))
            world_restart(sim);
        return;
    }
    switch (dice(sim, 24)) {
    case 3: step_reload(sim); break;
    case 0: world_kill(sim, false); break;
    case 1: world_kill(sim, true); break;
    case 2: world_drain(sim); break;
    default: break;
    }
}

static void step(struct sim *sim)
{
    uint64_t what = dice(sim, 100);
    if (what < 11)
        step_publish(sim);
    else if (what < 14)
        step_operator(sim);
    else if (what < 24)
        step_writer(sim);
    else if (what < 39)
        world_turn_hub(sim);
    else if (what < 49)
        step_disk(sim);
    else if (what < 67)
        world_turn_edge(sim, (int)dice(sim, (uint64_t)sim->n_edges));
    else if (what < 89)
        chance(sim, 850) ? step_listener(sim) : step_poller(sim);
    else if (what < 97)
        step_time(sim);
    else if (what < 98)
        step_recorder(sim);
    else
        step_disaster(sim);
}

/* ---- the end ---- */

/* Who has credentials that end comes back with others. */
static void stay_for_good(struct listener *r)
{
    if (r->line && r->rights.credentials.expires_ms != INT64_MAX)
        listener_cut(r);
}

static void rest(struct sim *sim)
{
    enum { ROUNDS_AT_A_TIME = 20, TRIES = 40, ROUNDS_FOR_HEARTBEATS = 100, ROUNDS_FOR_ANSWERS = 3 };
    if (sim->draining)
        world_restart(sim);
    sim->settling = true;
    sim->settling_ms = sim->mono_ms;
    sim->disk.broken = false;
    polls_begin_rest(sim->polls);
    for (int i = 0; i < sim->n_listeners; i++) {
        sim->listeners[i].appetite = SIZE_MAX;
        sim->listeners[i].silent = false;
        if (sim->listeners[i].line)
            sim->listeners[i].line->cap = 1 << 30;
    }
    for (int i = 0, quiet = 0; i < TRIES && quiet <= sim->n_listeners; i++) {
        world_settle(sim, ROUNDS_AT_A_TIME);
        quiet = polls_are_quiet(sim->polls);
        for (int k = 0; k < sim->n_listeners; k++) {
            stay_for_good(&sim->listeners[k]);
            quiet += listener_is_quiet(&sim->listeners[k]);
        }
    }
    world_settle(sim, ROUNDS_FOR_HEARTBEATS);
    for (int i = 0; i < sim->n_listeners; i++)
        listener_at_rest(&sim->listeners[i]);
    polls_at_rest(sim->polls);
    for (int c = 0; c < CHANNELS; c++)
        writer_members(&sim->writer, c);
    world_settle(sim, ROUNDS_FOR_ANSWERS);
    attendance_at_rest(&sim->attendance);
}

static void check_nothing_left(const struct sim *sim)
{
    static const enum metric gauges[] = { METRIC_conns_ws, METRIC_conns_sse, METRIC_conns_poll, METRIC_subscriptions, METRIC_channels, METRIC_history_msgs,
                                          METRIC_history_bytes, METRIC_ring_bytes, METRIC_store_queue };
    for (size_t i = 0; i < sizeof gauges / sizeof *gauges; i++)
        sim_check(sim, metric_sum(gauges[i]) == 0, "gauge %d is left at %ld", (int)gauges[i], metric_sum(gauges[i]));
}

static void tear_down(struct sim *sim)
{
    for (int i = 0; i < sim->n_listeners; i++) {
        if (sim->listeners[i].line)
            listener_cut(&sim->listeners[i]);
        listener_fini(&sim->listeners[i]);
    }
    polls_lost(sim->polls);
    world_take_apart(sim);
    polls_free(sim->polls);
    disk_fini(&sim->disk);
    rules_fini(sim);
    retries_fini(&sim->retries);
    model_fini(&sim->model);
    authority_free(sim->authority);
    check_nothing_left(sim);
}

void run_seed(uint64_t seed, bool tracing)
{
    struct sim *sim = calloc(1, sizeof *sim);
    set_up(sim, seed, tracing);
    unsigned steps = 300 + (unsigned)dice(sim, 900);
    for (sim->step = 1; sim->step <= steps; sim->step++)
        step(sim);
    rest(sim);
    tear_down(sim);
    free(sim);
}
