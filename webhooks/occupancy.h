/* occupancy.h — channel.occupied and channel.vacated: a channel has its first subscriber, or none any more.
 *
 *   first subscriber ─> occupied is told ──last one leaves──> waiting ──webhooks.vacated_after──> vacated is told
 *                                 ^                              │
 *                                 └──── a subscriber ────────────┘   (nothing is told)
 *
 * So the two alternate for each channel while the hub runs. When it is started again nobody is connected, and who comes back occupies anew.
 *
 * Lifetime   occupancy_new … occupancy_free. Threading: the hub's.
 * Limits     a channel that waits costs about 150 bytes and its name; without memory it is vacated at once. */
#pragma once
#include "hub/hook.h"

struct clock;
struct event_base;
struct occupancy;

struct occupancy_setup {
    struct hub         *hub;
    const struct clock *clock;
    struct event_base  *base;
    void              (*turn)(void *arg);      /* a turn of the hub must follow */
    void               *arg;
    int64_t             vacated_after_ms;
};
struct occupancy *occupancy_new(const struct occupancy_setup *setup);      /* NULL: no memory */
void occupancy_free(struct occupancy *occupancy);                          /* NULL is fine; nothing is told */
void occupancy_reconfigure(struct occupancy *occupancy, int64_t vacated_after_ms);
void occupancy_note(struct occupancy *occupancy, struct slice channel, bool occupied);
