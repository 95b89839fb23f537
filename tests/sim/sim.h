/* sim.h — a hub, its store, its edges and their clients in one thread, under a clock and a dice that one seed decides.
 *
 *   writer.c ──publish──> hub <──groups──> disk.c        the real hub/ and transports/ code is in the middle,
 *   recorder.c ─changes─>  ^                              everything around it is of the simulation
 *   operator.c ─errands─>  |
 *   listener.c <─bytes─ line.c <── edges                   model.c and rights.c say what must be true
 *
 * run.c takes steps at random: one side gets a turn, time passes, something breaks. After each turn of the hub the model
 * is told what the hub was asked, and compares every answer; listeners compare every byte they are sent with the model.
 * A seed always gives the same schedule. A check that fails prints the seed, the step and what was expected, and ends the run. */
#pragma once
#include "hub/base/clock.h"
#include "hub/config/config.h"
#include "hub/hub.h"
#include "tests/sim/disk.h"
#include "tests/sim/listener.h"
#include "tests/sim/model.h"
#include "tests/sim/operator.h"
#include "tests/sim/poller.h"
#include "tests/sim/recorder.h"
#include "tests/sim/retries.h"
#include "tests/sim/rules.h"
#include "tests/sim/writer.h"
#include "transports/edge/conn.h"
#include "transports/edge/edge.h"

enum { EDGES_MAX = 3, LISTENERS_MAX = 7 };

struct sim {
    struct clock     clock;          /* first; by hand */
    int64_t          mono_ms, wall_ms;
    int64_t          latest_ms;      /* the latest that wall_ms has been */
    uint64_t         seed, dice;
    unsigned         step;
    bool             tracing;
    struct config    config;
    struct config    strict;         /* of principals: they may do what their token says and no more */
    struct rules     rules;
    struct model     model;
    struct disk      disk;
    struct writer    writer;
    struct recorder  recorder;
    struct retries   retries;
    struct attendance_model attendance;
    struct polls    *polls;
    struct operator  operator;
    struct hub      *hub;
    struct authority *authority;
    struct edge     *edges[EDGES_MAX];
    int              n_edges;
    int64_t          ticked_ms[EDGES_MAX];
    struct line_ops  line_ops;
    struct listener  listeners[LISTENERS_MAX];
    int              n_listeners;
    size_t           largest;        /* payload, in bytes */
    size_t           look_at;        /* hub_look_at */
    struct errand_part *parts[ERRANDS_AT_ONCE];   /* in the mail that an edge takes now (rights.c), newest first */
    size_t           n_parts;
    unsigned         were_open;      /* listeners before it does, one bit each */
    bool             draining;
    bool             dead;           /* this hub was killed and is only being taken apart: nothing it does counts */
    bool             settling;       /* the end of the seed: nothing breaks any more */
    int64_t          settling_ms;    /* since */
};

/* Dice. */
uint64_t dice(struct sim *sim, uint64_t below);             /* 0 … below-1 */
bool     chance(struct sim *sim, unsigned per_thousand);
#define  one_of(sim, ...) one_of_(sim, INT64S(__VA_ARGS__), sizeof INT64S(__VA_ARGS__) / sizeof(int64_t))
#define  INT64S(...)      ((const int64_t[]){ __VA_ARGS__ })
int64_t  one_of_(struct sim *sim, const int64_t *values, size_t n);

/* What happened, with --seed. */
void sim_trace(const struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A rule is broken: says so and ends the process. */
_Noreturn void sim_fail(const struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));
#define sim_check(sim, condition, ...) do { if (!(condition)) sim_fail(sim, __VA_ARGS__); } while (0)

enum count {
#define COUNT(name, what) COUNT_##name,
#include "tests/sim/count.def"
#undef COUNT
    COUNTS
};
extern uint64_t counts[COUNTS];
#define happened(name) (counts[COUNT_##name]++)

/* world.c */
void world_open(struct sim *sim);                 /* hub and edges on what the disk has */
void world_turn_hub(struct sim *sim);
void world_turn_edge(struct sim *sim, int edge);
bool world_settings_read(struct letter *letter);  /* of a peer that is no edge: it was about new settings, and is gone */
void world_drain(struct sim *sim);
bool world_idle(const struct sim *sim);           /* nothing under way between hub, edges and disk */
void world_take_apart(struct sim *sim);           /* drains all calls and frees hub and edges */
void world_kill(struct sim *sim, bool power);     /* and opens it again */
void world_restart(struct sim *sim);              /* after a drain: a clean stop, and opens it again */
void world_settle(struct sim *sim, int rounds);   /* turns of everybody, until nothing moves */

/* run.c */
void run_seed(uint64_t seed, bool tracing);
