/* run.c — one seed: a configuration, some hundred steps at random, and a quiet end at which everything has arrived, or is a dead letter. */
#include "hub/config/channel_rule.h"
#include "tests/sim/webhooks/client.h"
#include "tests/sim/webhooks/disk.h"
#include "tests/sim/webhooks/partner.h"
#include "tests/sim/webhooks/truth.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static const int64_t SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE, DAY = 24 * HOUR;

uint64_t counts[COUNTS];
struct sim sim;

/* ---- dice: splitmix64 ---- */

uint64_t dice(uint64_t below)
{
    uint64_t z = sim.dice += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return below ? (z ^ z >> 31) % below : 0;
}

bool chance(unsigned per_thousand) { return dice(1000) < per_thousand; }

int64_t one_of_(const int64_t *values, size_t n) { return values[dice(n)]; }

/* ---- telling ---- */

void sim_trace(const char *format, ...)
{
    va_list args;
    if (!sim.tracing)
        return;
    printf("%5u  %10ld ms  ", sim.step, sim.mono_ms);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
}

_Noreturn void sim_fail(const char *format, ...)
{
    va_list args;
    fflush(stdout);
    fprintf(stderr, "\nsim-webhooks: seed %lu, step %u: ", sim.seed, sim.step);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\nsim-webhooks: again, with a trace: build/tests/sim-webhooks --seed %lu\n", sim.seed);
    exit(1);
}

/* ---- a seed's world ---- */

static int64_t mono(const struct clock *clock) { return ((const struct sim *)clock)->mono_ms; }
static int64_t wall(const struct clock *clock) { return ((const struct sim *)clock)->wall_ms; }

static void choose_config(void)
{
    struct config *config = &sim.config;
    *config = *config_defaults();
    config->log_level = LOG_ERROR;
    config->store_dir = "simulated";
    config->store_sync = STORE_SYNC_BATCH;
    config->webhooks_retry = plans[dice(PLANS)].text;
    config->webhooks_concurrency = (size_t)one_of(1, 2, 5, 200, 200, 200);
    config->webhooks_queue = (size_t)one_of(3, 20, 1000000, 1000000, 1000000);
    config->webhooks_breaker = (size_t)one_of(0, 2, 3, 10, 10);
    config->webhooks_breaker_pause_ms = one_of(100, 5000, 5000);
    config->webhooks_breaker_pause_max_ms = one_of(5000, 7000, 300000);
    config->webhooks_disable_after_ms = one_of(0, HOUR, 3 * HOUR, 5 * DAY);
    config->webhooks_retention_ms = config->webhooks_dead_retention_ms = 3650 * DAY;      /* tests/unit/test_store_deliveries.c has what ends */
    config_general_rule(config);
}

static void set_up(uint64_t seed, bool tracing)
{
    sim = (struct sim){ .clock = { mono, wall }, .mono_ms = 1000000, .wall_ms = 1700000000000, .seed = seed, .dice = seed, .tracing = tracing };
    choose_config();
    truth_init();
    disk_init();
    partner_init();
    life_begin();
    client_begin();
    life_quiet();
}

/* ---- steps ---- */

static void step_time(void)
{
    static const int64_t scales[] = { 20, 200, 2000, 2000, 20000, 60000, 600000 };
    int64_t scale = chance(30) ? one_of(HOUR, 4 * HOUR, DAY) : scales[dice(sizeof scales / sizeof *scales)];
    life_pass((int64_t)dice((uint64_t)scale));
}

static void step_disk(void)
{
    disk.broken = !disk.broken;
    sim.whole_ms = disk.broken ? INT64_MAX / 2 : sim.mono_ms;
    sim_trace("the disk %s", disk.broken ? "is broken" : "is whole");
}

static void step_mood(void)
{
    int place = (int)dice(ENDPOINTS_EVER);
    enum mood mood = (enum mood)one_of(GOOD, GOOD, GOOD, FICKLE, FICKLE, BAD, SLOW, AWAY, BUSY, QUITS);
    for (int k = 0; k < 4; k++)
        partner_mood((place + 6 * k) % ENDPOINTS_EVER, mood);
}

static void step(void)
{
    uint64_t what = dice(1000);
    if (what < 420)
        client_act();
    else if (what < 820)
        step_time();
    else if (what < 900)
        step_mood();
    else if (what < 930)
        for (uint64_t n = dice(6); n > 0 && life_disk(); n--)
            ;
    else if (what < 970 && !disk.broken)
        life_quiet(), client_compare();
    else if (what < 980 || (disk.broken && what < 995))
        step_disk();
    else if (what < 995)
        life_kill();
    else
        life_stop();
}

/* ---- the end ---- */

static void rest(void)
{
    enum { ROUNDS = 400 };
    if (disk.broken)
        step_disk();
    life_pass(10 * SECOND);
    for (int i = 0; !truth_is_over(); i++) {
        sim_check(i < ROUNDS, "there is always something left to send");
        client_heal();
        life_pass(i < 20 ? 30 * SECOND : i < 60 ? HOUR : DAY);
    }
    life_pass(15 * MINUTE);
    client_compare();
    truth_compare();
    truth_told();
}

void run_seed(uint64_t seed, bool tracing)
{
    set_up(seed, tracing);
    unsigned steps = 40 + (unsigned)dice(160);
    for (sim.step = 1; sim.step <= steps; sim.step++)
        step();
    rest();
    life_end();
    disk_fini();
    truth_fini();
}
