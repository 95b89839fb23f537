/* life.c — lives of the hub, and time. */
#include "hub/config/channel_rule.h"
#include "hub/metrics.h"
#include "hub/records.h"
#include "tests/sim/webhooks/client.h"
#include "tests/sim/webhooks/disk.h"
#include "tests/sim/webhooks/partner.h"
#include "tests/sim/webhooks/truth.h"
#include "webhooks/webhooks.h"

#include <stdlib.h>

enum { PATIENCE = 100000, LAST_WORDS = 200, STOP_MS = 20000, WELL_AGAIN_MS = 3000 };

static bool    started;
static int64_t gauges_before[4];      /* what earlier lives have left: a process that is killed gives nothing back */
static const enum metric gauges[4] = { METRIC_wh_pending, METRIC_wh_dead, METRIC_wh_sending, METRIC_wh_open };

/* ---- turning ---- */

void life_turn(void)
{
    hub_turn(sim.hub);
    if (started || sim.dead || !hub_can_publish(sim.hub))
        return;
    started = true;
    sim_check(!webhooks_spoke.start(sim.spoke), "webhooks do not start");
}

static void turn(struct serving *serving)
{
    (void)serving;
    life_turn();
}

bool life_disk(void)
{
    if (!disk_step())
        return false;
    life_turn();
    truth_heard();
    return true;
}

static bool tick(void)
{
    if (hub_due_ms(sim.hub) > sim.mono_ms)
        return false;
    hub_tick(sim.hub);
    life_turn();
    return true;
}

static bool answer(void)
{
    if (!partner_step())
        return false;
    life_turn();
    return true;
}

static bool fire(void)
{
    if (sim.dead || !timers_fire())
        return false;
    life_turn();
    return true;
}

/* Whatever there is to do, in any order; `disk` false: it is slow. */
static bool do_something(bool with_disk)
{
    bool (*const ways[])(void) = { client_take, answer, fire, tick };
    size_t first = dice(4);
    if (with_disk && chance(600) && life_disk())
        return true;
    for (size_t i = 0; i < 4; i++)
        if (ways[(first + i) % 4]())
            return true;
    return with_disk && life_disk();
}

static void do_all(bool with_disk)
{
    for (int i = 0; do_something(with_disk); i++)
        sim_check(i < PATIENCE, "it never comes to rest");
}

void life_quiet(void)
{
    do_all(true);
    if (sim.mono_ms - sim.whole_ms >= WELL_AGAIN_MS && !disk.broken)
        truth_rest();
    else
        truth_slow();
}

/* ---- time ---- */

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

static void advance_to(int64_t mono_ms)
{
    if (mono_ms <= sim.mono_ms)
        return;
    sim.wall_ms += mono_ms - sim.mono_ms;
    sim.mono_ms = mono_ms;
}

/* Over long times a machine that is late now and then; else there would be a wake-up every few seconds for days. */
void life_pass(int64_t ms)
{
    enum { EXACT_MS = 90 * 1000, LATE = 30 };
    int64_t end = sim.mono_ms + ms, late_ms = ms <= EXACT_MS && chance(700) ? 0 : ms / LATE;
    bool lazy = chance(150);
    for (;;) {
        int64_t due = least(least(timers_due_ms(), partner_due_ms()), hub_due_ms(sim.hub));
        if (due > end)
            break;
        advance_to(least(end, due + (late_ms ? (int64_t)dice((uint64_t)late_ms + 1) : 0)));
        if (lazy && chance(500))
            do_all(false), truth_slow();
        else
            life_quiet();
    }
    advance_to(end);
    life_quiet();
}

/* ---- a life ---- */

static void restore_records(void)
{
    for (size_t i = 0; i < disk.n_records; i++)
        sim_check(!hub_restore_record(sim.hub, record_kind_name(RECORD_WEBHOOK), slice_of(disk.records[i].key), slice(disk.records[i].value, disk.records[i].len)),
                  "record %s cannot be restored", disk.records[i].key);
}

void life_begin(void)
{
    disk.broken = sim.dead = started = false;
    sim.hub = hub_new(&sim.config, &sim.clock, &disk.port, disk_start());
    sim_check(sim.hub, "no hub");
    disk_attach(hub_mailbox(sim.hub));
    sim_check(mailbox_init(&sim.box, false) == 0, "no mailbox");
    post_init(&sim.to_hub, hub_mailbox(sim.hub), SIZE_MAX);
    post_init(&sim.http, hub_mailbox(sim.hub), SIZE_MAX);
    sim.peer = hub_add_peer(sim.hub, &sim.box, false, SIZE_MAX);
    for (size_t i = 0; i < 4; i++)
        gauges_before[i] = metric_sum(gauges[i]);
    sim.serving = (struct serving){ .config = &sim.config, .clock = &sim.clock,
                                    .hub = sim.hub, .base = (struct event_base *)&sim /* timers.c looks at none */, .http_out = &partner_port, .turn = turn };
    sim_check(!webhooks_spoke.open(&sim.serving, &sim.spoke), "webhooks do not open");
    restore_records();
    sim.whole_ms = sim.mono_ms;
    sim_trace("a hub begins: %zu records", disk.n_records);
    life_turn();
    do_all(true);
    sim_check(started, "no numbers are reserved");
}

static bool is_quiet(void) { return client_idle() && disk.n == 0 && partner_idle() && hub_idle(sim.hub); }

/* What is under way comes home, and counts for nobody. */
static void take_apart(void)
{
    sim.dead = true;
    webhooks_spoke.stop(sim.spoke);
    partner_lose();
    for (int i = 0; i < LAST_WORDS || (!is_quiet() && i < PATIENCE); i++) {
        advance_to(sim.mono_ms + (i % 10 == 0));      /* what waits for company goes */
        hub_turn(sim.hub);
        client_take();
        disk_step();
    }
    sim_check(is_quiet(), "calls are never answered");
    webhooks_spoke.free(sim.spoke);
    hub_free(sim.hub);
    mailbox_fini(&sim.box);
    client_killed();
}

void life_kill(void)
{
    sim_trace("kill -9");
    happened(kills);
    uint64_t before = counts[COUNT_events];
    for (size_t n = dice(disk.n + 1); n > 0; n--)
        disk_commit_unsaid();
    counts[COUNT_unsaid] += counts[COUNT_events] - before;
    take_apart();
    truth_killed();
    life_begin();
}

void life_stop(void)
{
    sim_trace("stop");
    happened(stops);
    disk.broken = false;
    webhooks_spoke.drain(sim.spoke);
    hub_drain(sim.hub);
    for (int64_t end = sim.mono_ms + STOP_MS; sim.mono_ms < end && !(webhooks_spoke.done(sim.spoke) && is_quiet()); advance_to(sim.mono_ms + 50))
        do_all(true);
    sim_check(webhooks_spoke.done(sim.spoke), "webhooks do not come to their end");
    take_apart();
    truth_stopped();
    life_begin();
}

void life_end(void)
{
    for (size_t i = 0; i < 4; i++) {
        int64_t left = metric_sum(gauges[i]) - gauges_before[i], is = 0;
        for (size_t k = 0; k < parcels_count(); k++) {
            const struct parcel *parcel = parcels_at(k);
            is += gauges[i] == METRIC_wh_dead && !parcel->to->removed && parcel->stands == DEAD;
        }
        for (size_t k = 0; k < n_parties; k++)
            is += gauges[i] == METRIC_wh_open && parties[k].there && !parties[k].removed && parties[k].breaker == OPEN;
        sim_check(left == is, "gauge %d is at %ld, and should be at %ld", (int)gauges[i], left, is);
    }
    take_apart();
}
