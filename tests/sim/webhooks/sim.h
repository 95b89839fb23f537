/* sim.h — webhooks in one thread, under a clock and a dice that one seed decides: a real hub, the real spoke of webhooks/ (endpoints,
 * dispatcher, queue, replays) and real tables of SQLite; around them
 *
 *   client.c ──publishes, events, orders──> hub + webhooks/ <──groups, reads──> disk.c: commits, is slow, fails; outlives the hub
 *                                               │  ^ timers.c: libevent's, under this clock
 *                                               v  │
 *                                           partner.c: receivers that succeed, fail, hang, ask for time (http_out.h)
 *   life.c: lives of the hub: begun, turned, killed, stopped         truth.c: what must be true (PROTOCOL.md §8)
 *
 * There is one world at a time, and it is global: libevent's functions, in whose place timers.c stands, know of no other.
 *
 * Threading: one thread. Lifetime: run_seed() makes it and takes it apart. */
#pragma once
#include "hub/base/buf.h"
#include "hub/base/clock.h"
#include "hub/base/list.h"
#include "hub/config/config.h"
#include "hub/hook.h"
#include "hub/hub.h"
#include "hub/spoke.h"

enum { ENDPOINTS_MAX = 6, ENDPOINTS_EVER = 24, CHANNELS = 4 };

enum count {
#define COUNT(name, what) COUNT_##name,
#include "tests/sim/webhooks/count.def"
#undef COUNT
    COUNTS
};
extern uint64_t counts[COUNTS];
#define happened(name) (counts[COUNT_##name]++)

struct sim {
    struct clock    clock;         /* first */
    int64_t         mono_ms, wall_ms;
    uint64_t        seed, dice;
    unsigned        step;
    bool            tracing;
    struct config   config;
    struct serving  serving;
    void           *spoke;
    struct hub     *hub;
    struct mailbox  box;           /* of client.c, as an origin */
    struct post     to_hub;        /* likewise */
    struct post     http;          /* of partner.c */
    uint8_t         peer;
    bool            dead;          /* the hub was killed and is being taken apart: nothing of it counts */
    int64_t         whole_ms;      /* mono: since then all is well: the hub runs, the disk writes */
};
extern struct sim sim;

uint64_t dice(uint64_t below);
bool     chance(unsigned per_thousand);
int64_t  one_of_(const int64_t *values, size_t n);
#define one_of(...) one_of_((const int64_t[]){ __VA_ARGS__ }, sizeof((const int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t))

void sim_trace(const char *format, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void sim_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
#define sim_check(good, ...) do { if (!(good)) sim_fail(__VA_ARGS__); } while (0)

void run_seed(uint64_t seed, bool tracing);

/* ---- timers.c ---- */

int64_t timers_due_ms(void);                 /* mono; INT64_MAX: none is set */
bool    timers_fire(void);                   /* the first that is due; false: none is */

/* ---- life.c ---- */

void life_begin(void);
void life_kill(void);                        /* kill -9, and begins again */
void life_stop(void);                        /* SIGTERM, and begins again */
void life_end(void);                         /* for good */
bool life_disk(void);                        /* one thing that the disk has to do; false: it has nothing */
void life_turn(void);                        /* the hub's */
void life_quiet(void);                       /* until nothing happens any more without time; then all is compared that can be */
void life_pass(int64_t ms);                  /* time passes; what it brings happens on its way */
