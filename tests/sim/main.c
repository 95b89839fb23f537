/* main.c — sim --seeds N [--from S]: N seeds, and what happened in them; sim --seed S: one, with a trace. */
#include "tests/sim/sim.h"

#include "hub/base/log.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { SEED_SECONDS = 60 };      /* one takes milliseconds */

static char stuck[80];           /* what is said of the running seed when its time is up */

static const char *const descriptions[COUNTS] = {
#define COUNT(name, what) what,
#include "tests/sim/count.def"
#undef COUNT
};

static void on_alarm(int number)
{
    (void)number;
    _exit(write(STDERR_FILENO, stuck, strlen(stuck)) > 0 ? 1 : 2);
}

static void run(uint64_t seed, bool tracing)
{
    snprintf(stuck, sizeof stuck, "\nsim: seed %" PRIu64 " does not come to an end\n", seed);
    alarm(SEED_SECONDS);
    run_seed(seed, tracing);
    alarm(0);
}

static int usage(void)
{
    fprintf(stderr,
            "sim --seeds N [--from S]   runs N seeds, beginning with S (1)\nsim --seed S               runs one, with a trace\n");
    return 2;
}

/* What never happened was not tested. Few seeds cannot have everything. */
static int report(uint64_t seeds)
{
    enum { SEEDS_FOR_EVERYTHING = 300 };
    int never = 0;
    for (int i = 0; i < COUNTS; i++) {
        printf("%12" PRIu64 "  %s%s\n", counts[i], descriptions[i], counts[i] == 0 ? "   <-- never" : "");
        never += counts[i] == 0;
    }
    printf("sim: %" PRIu64 " seeds, all as the reference says\n", seeds);
    if (never == 0 || seeds < SEEDS_FOR_EVERYTHING)
        return 0;
    fprintf(stderr, "sim: %d kinds of events never happened\n", never);
    return 1;
}

int main(int argc, char **argv)
{
    uint64_t seeds = 0, from = 1;
    log_setup(LOG_ERROR, LOG_TEXT);
    signal(SIGALRM, on_alarm);
    for (int i = 1; i + 1 < argc; i += 2) {
        uint64_t n;
        if (!slice_u64(slice_of(argv[i + 1]), &n))
            return usage();
        if (!strcmp(argv[i], "--seed")) {
            run(n, true);
            return 0;
        }
        if (!strcmp(argv[i], "--seeds"))
            seeds = n;
        else if (!strcmp(argv[i], "--from"))
            from = n;
        else
            return usage();
    }
    if (seeds == 0)
        return usage();
    for (uint64_t seed = from; seed < from + seeds; seed++)
        run(seed, false);
    return report(seeds);
}
