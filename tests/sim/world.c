/* world.c — lives of the hub: opened on what the disk has, turned by hand, killed, stopped, taken apart. */
#include "tests/sim/line.h"
#include "tests/sim/sim.h"

#include "hub/base/err.h"
#include "hub/metrics.h"

#include <stdlib.h>

enum { PATIENCE = 2000 };      /* rounds in which everything that has ever begun must come to an end */

static bool has_store(const struct sim *sim) { return sim->config.store_dir[0] != '\0'; }

/* ---- opening ---- */

static bool begin_with(struct sim *sim, bool clean, bool power, struct hub_start *ret_start)
{
    if (has_store(sim))
        return disk_open(&sim->disk, clean, power, ret_start);
    *ret_start = (struct hub_start){ ++sim->disk.epochs, 1, 1, 0, SLICE("") };
    return false;
}

static void open_edges(struct sim *sim, const struct config *settings)
{
    for (int e = 0; e < sim->n_edges; e++) {
        sim_check(sim, edge_new(settings, &sim->clock, sim->hub, sim->authority, false, &sim->edges[e]) == 0, "no edge");
        sim->edges[e]->line = &sim->line_ops;
        sim->ticked_ms[e] = sim->mono_ms;
    }
    polls_open(sim->polls);
}

static void open_as(struct sim *sim, bool clean, bool power)
{
    struct hub_start start;
    const struct config *settings = rules_snapshot(sim);
    bool first = sim->model.epoch == 0, same = begin_with(sim, clean, power, &start);
    const struct disk_image *image = &sim->disk.committed;
    sim->draining = sim->dead = false;
    sim_trace(sim, "a hub begins: epoch %lu, next %lu, floor %lu, %zu rows, rules %x; before: %.*s", start.epoch, start.next, start.floor, image->n, sim_keeping(sim),
              (int)start.keeping.len, start.keeping.at);
    sim->hub = hub_new(settings, &sim->clock, has_store(sim) ? &sim->disk.port : NULL, start);
    sim_check(sim, sim->hub, "no hub");
    hub_look_at(sim->hub, sim->look_at);
    for (size_t i = 0; i < image->n; i++)
        sim_check(sim, hub_restore(sim->hub, image->rows[i]) == 0, "a row cannot be restored");
    for (int c = 0; c < CHANNELS; c++)
        sim_check(sim, !image->purged[c] || hub_restore_purge(sim->hub, slice_of(channel_names[c]), image->purged[c]) == 0, "a purge cannot be restored");
    for (size_t i = 0; i < image->n_keys; i++)
        sim_check(sim, hub_restore_key(sim->hub, &image->keys[i]) == 0, "a key cannot be restored");
    attendance_restart(&sim->attendance);
    model_restart(&sim->model, &start, image->rows, image->n, same);
    post_init(&sim->disk.to_hub, hub_mailbox(sim->hub), SIZE_MAX);
    open_edges(sim, settings);
    writer_open(&sim->writer);
    recorder_open(&sim->recorder);
    operator_open(&sim->operator);
    for (int i = 0; i < PATIENCE && !hub_can_publish(sim->hub); i++) {
        world_turn_hub(sim);
        disk_turn(&sim->disk);
    }
    sim_check(sim, hub_can_publish(sim->hub), "no numbers are reserved");
    if (!first && same)
        happened(epochs_kept);
    else if (!first)
        happened(epochs_new);
}

void world_open(struct sim *sim) { open_as(sim, true, false); }

/* ---- turning ---- */

void world_turn_hub(struct sim *sim)
{
    int64_t lost = metric_sum(METRIC_mail_lost);
    if (sim->dead) {
        hub_turn(sim->hub);
        return;
    }
    model_before_turn(&sim->model, hub_mailbox(sim->hub));
    hub_turn(sim->hub);
    model_after_turn(&sim->model);
    counts[COUNT_mail_lost] += (uint64_t)(metric_sum(METRIC_mail_lost) - lost);
}

static void count_fall(struct listener *r)
{
    bool fallen = false;
    const struct conn *conn = r->line ? r->line->conn : NULL;
    if (!conn || !conn->was_live)
        return;
    for (const struct link *l = conn->catchups.next; l != &conn->catchups; l = l->next)
        fallen |= link_of(l, struct catchup, link)->kind == CATCHUP_RESUME;
    if (fallen && !r->fallen)
        happened(fallen);
    r->fallen = fallen;
}

static void turn_listener(struct sim *sim, struct listener *r, int edge)
{
    struct line *line = r->line;
    if (!line || line->edge != edge || !line->conn)
        return;
    listener_speak(r);
    if (chance(sim, 700))
        line_move(line);
}

static void take_mail(struct sim *sim, int e)
{
    if (!sim->dead)
        attendance_mail(&sim->attendance, e, atomic_load(&sim->edges[e]->box.top));
    rights_before_mail(sim, e);
    edge_mail(sim->edges[e]);
    rights_after_mail(sim, e);
}

bool world_settings_read(struct letter *letter)
{
    if (letter->kind != LETTER_CONFIG)
        return false;
    free(letter);
    return true;
}

/* As a loop of an edge does: events in any order, then the flush. */
void world_turn_edge(struct sim *sim, int e)
{
    struct edge *edge = sim->edges[e];
    bool mail_first = chance(sim, 500);
    if (mail_first)
        take_mail(sim, e);
    for (int i = 0; i < sim->n_listeners; i++)
        turn_listener(sim, &sim->listeners[i], e);
    if (!mail_first && chance(sim, 700))
        take_mail(sim, e);
    polls_before_flush(sim->polls, e);
    if (sim->mono_ms >= sim->ticked_ms[e] + 1000) {
        sim->ticked_ms[e] = sim->mono_ms;
        polls_tick(sim->polls, e);
        edge_tick(edge);
        rights_after_tick(sim, e);
    }
    do
        edge_flush(edge);
    while (polls_after_flush(sim->polls, e));
    for (int i = 0; i < sim->n_listeners; i++)
        count_fall(&sim->listeners[i]);
}

bool world_idle(const struct sim *sim)
{
    for (int e = 0; e < sim->n_edges; e++)
        if (sim->edges[e]->calls > 0 || !link_alone(&sim->edges[e]->doomed))
            return false;
    return hub_idle(sim->hub) && sim->writer.under_way == 0 && sim->recorder.under_way == 0 && sim->operator.under_way == 0 && sim->disk.n_queue == 0;
}

static bool edges_are_idle(const struct sim *sim)
{
    for (int e = 0; e < sim->n_edges; e++)
        if (!edge_idle(sim->edges[e]))
            return false;
    return true;
}

static void turn_all(struct sim *sim)
{
    writer_flush(&sim->writer);
    recorder_flush(&sim->recorder);
    operator_flush(&sim->operator);
    world_turn_hub(sim);
    disk_turn(&sim->disk);
    world_turn_hub(sim);
    writer_take(&sim->writer);
    recorder_take(&sim->recorder);
    operator_take(&sim->operator);
    for (int e = 0; e < sim->n_edges; e++)
        world_turn_edge(sim, e);
}

void world_settle(struct sim *sim, int rounds)
{
    for (int i = 0; i < rounds; i++) {
        sim->mono_ms += 100;
        sim->wall_ms += 100;
        sim->latest_ms = sim->wall_ms > sim->latest_ms ? sim->wall_ms : sim->latest_ms;
        hub_tick(sim->hub);
        model_tick(&sim->model);
        turn_all(sim);
        for (int k = 0; k < sim->n_listeners; k++) {
            struct listener *r = &sim->listeners[k];
            if (r->line)
                listener_read(r);
            else if (!sim->draining)
                listener_connect(r);
            listener_act(r);
        }
        polls_settle_all(sim->polls);
    }
}

/* ---- ends ---- */

/* The calls that are under way come home, then hub and edges are freed. Lines must be gone or go by themselves. */
void world_take_apart(struct sim *sim)
{
    turn_all(sim);      /* what a reload has left to tell the store */
    for (int i = 0; i < PATIENCE && !(world_idle(sim) && edges_are_idle(sim)); i++)
        turn_all(sim);
    world_turn_hub(sim);
    for (int e = 0; e < sim->n_edges; e++) {      /* the last letters, which nobody waits for */
        edge_mail(sim->edges[e]);
        edge_flush(sim->edges[e]);
    }
    sim_check(sim, world_idle(sim), "calls are never answered: hub idle %d, writer awaits %u", hub_idle(sim->hub),
              sim->writer.under_way);
    sim_check(sim, edges_are_idle(sim), "an edge does not become idle");
    for (int e = 0; e < sim->n_edges; e++) {
        sim_check(sim, link_alone(&sim->edges[e]->pool.chunks), "ring chunks are left without a listener");
        edge_free(sim->edges[e]);
    }
    writer_take(&sim->writer);
    recorder_take(&sim->recorder);
    operator_take(&sim->operator);
    hub_free(sim->hub);
    sim->hub = NULL;
    mailbox_fini(&sim->writer.box);
    mailbox_fini(&sim->recorder.box);
    mailbox_fini(&sim->operator.box);
}

static void count_unknown(const struct sim *sim)
{
    for (size_t i = 0; i < sim->model.n; i++)
        if (sim->model.msgs[i].fate == UNDER_WAY)
            happened(unknown_outcome);
}

static void lose_listeners(struct sim *sim)
{
    for (int i = 0; i < sim->n_listeners; i++)
        if (sim->listeners[i].line)
            listener_lost(&sim->listeners[i]);
    polls_lost(sim->polls);
}

void world_kill(struct sim *sim, bool power)
{
    sim_trace(sim, "%s", power ? "power loss" : "kill -9");
    if (power)
        happened(power_losses);
    else
        happened(kills);
    lose_listeners(sim);
    count_unknown(sim);
    if (chance(sim, 500))
        disk_commit_unsaid(&sim->disk);
    sim->dead = true;
    world_take_apart(sim);
    disk_crash(&sim->disk, power);
    open_as(sim, false, power);
}

void world_drain(struct sim *sim)
{
    sim_trace(sim, "drain");
    sim->draining = true;
    for (int e = 0; e < sim->n_edges; e++) {
        struct letter *letter = calloc(1, sizeof *letter);
        letter->kind = LETTER_DRAIN;
        hub_send(sim->hub, sim->edges[e]->peer, letter);
    }
    hub_drain(sim->hub);
}

/* drain.timeout has passed: who is still connected loses his line. What was submitted is committed, or has failed. */
void world_restart(struct sim *sim)
{
    for (int i = 0; i < PATIENCE && !world_idle(sim); i++)
        turn_all(sim);
    lose_listeners(sim);
    sim->disk.broken = false;
    for (int i = 0; i < PATIENCE && !(world_idle(sim) && edges_are_idle(sim)); i++)
        turn_all(sim);
    sim->dead = true;
    world_take_apart(sim);
    happened(clean_stops);
    open_as(sim, true, false);
}
