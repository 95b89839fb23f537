/* seeds.h — the command line of a simulation: --seeds N [--from S] runs N seeds and tells what happened in them, --seed S runs one with a trace.
 *
 * A seed that does not come to an end ends the process, and is named. Threading: the main thread. */
#pragma once
#include "hub/base/buf.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SEED_SECONDS = 60 };      /* one takes milliseconds */

struct seeds {
    const char        *name;                          /* "sim" */
    void             (*run)(uint64_t seed, bool tracing);
    const char        *agrees_with;                   /* what is said of seeds without a fault */
    const uint64_t    *counts;                        /* what happened, n_counts of them; what never did was not tested */
    const char *const *descriptions;
    int                n_counts;
    uint64_t           for_everything;                /* with so many seeds all of it must happen */
};

static char seed_is_stuck[80];

static inline void seed_alarm(int number)
{
    (void)number;
    _exit(write(STDERR_FILENO, seed_is_stuck, strlen(seed_is_stuck)) > 0 ? 1 : 2);
}

static inline void seed_run(const struct seeds *seeds, uint64_t seed, bool tracing)
{
    snprintf(seed_is_stuck, sizeof seed_is_stuck, "\n%s: seed %" PRIu64 " does not come to an end\n", seeds->name, seed);
    alarm(SEED_SECONDS);
    seeds->run(seed, tracing);
    alarm(0);
}

static inline int seeds_usage(const struct seeds *seeds)
{
    fprintf(stderr, "%s --seeds N [--from S]   runs N seeds, beginning with S (1)\n%s --seed S               runs one, with a trace\n", seeds->name, seeds->name);
    return 2;
}

static inline int seeds_report(const struct seeds *seeds, uint64_t n)
{
    int never = 0;
    for (int i = 0; i < seeds->n_counts; i++) {
        printf("%12" PRIu64 "  %s%s\n", seeds->counts[i], seeds->descriptions[i], seeds->counts[i] == 0 ? "   <-- never" : "");
        never += seeds->counts[i] == 0;
    }
    printf("%s: %" PRIu64 " seeds, %s\n", seeds->name, n, seeds->agrees_with);
    if (never == 0 || n < seeds->for_everything)
        return 0;
    fprintf(stderr, "%s: %d kinds of events never happened\n", seeds->name, never);
    return 1;
}

static inline int seeds_main(const struct seeds *seeds, int argc, char **argv)
{
    uint64_t n = 0, from = 1, value;
    signal(SIGALRM, seed_alarm);
    for (int i = 1; i + 1 < argc; i += 2) {
        if (!slice_u64(slice_of(argv[i + 1]), &value))
            return seeds_usage(seeds);
        if (!strcmp(argv[i], "--seed")) {
            seed_run(seeds, value, true);
            return 0;
        }
        if (!strcmp(argv[i], "--seeds"))
            n = value;
        else if (!strcmp(argv[i], "--from"))
            from = value;
        else
            return seeds_usage(seeds);
    }
    if (n == 0)
        return seeds_usage(seeds);
    for (uint64_t seed = from; seed < from + n; seed++)
        seed_run(seeds, seed, false);
    return seeds_report(seeds, n);
}
