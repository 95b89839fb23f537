/* main.c — sim-webhooks --seeds N [--from S]: N seeds, and what happened in them; sim-webhooks --seed S: one, with a trace. */
#include "tests/sim/webhooks/sim.h"

#include "hub/base/log.h"
#include "tests/sim/seeds.h"

static const char *const descriptions[COUNTS] = {
#define COUNT(name, what) what,
#include "tests/sim/webhooks/count.def"
#undef COUNT
};

int main(int argc, char **argv)
{
    enum { FOR_EVERYTHING = 300 };      /* few seeds cannot have everything */
    static const struct seeds seeds = { "sim-webhooks", run_seed, "all as the reference says", counts, descriptions, COUNTS, FOR_EVERYTHING };
    log_setup(LOG_ERROR, LOG_TEXT);
    return seeds_main(&seeds, argc, argv);
}
