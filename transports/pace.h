/* pace.h — when an edge takes its mail: at once, but a moment later in a burst to many readers.
 *
 * A turn costs one send() for each reader that has something, however little that is: 1,000 readers cost 7 ms for one message
 * and 12 ms for two hundred. Threads hand messages on as they come, so an edge that takes its mail the moment there is some
 * sends a burst in many small turns (twice as many as a server of one thread, measured). So after a turn that was long and
 * carried many messages, the next one waits for the rest of the burst: half of what that turn took, at most PACE_WAIT_MAX_US.
 * Lone messages, and bursts to few readers, never wait: their turns carry one message, or are short.
 *
 * Threading: pure; the edge's thread. Lifetime: embedded, zero-filled is "nothing known, do not wait". */
#pragma once
#include <stdint.h>

enum { PACE_LONG_US = 2000, PACE_MANY = 8, PACE_WAIT_MAX_US = 5000 };

struct pace {
    int64_t  began_us;      /* of the turn that is running; 0: none */
    uint64_t arrivals;      /* messages that had come when it began */
    int64_t  wait_us;       /* how long the mail of the next turn waits */
};

static inline void pace_begin(struct pace *pace, int64_t now_us, uint64_t arrivals)
{
    pace->began_us = now_us;
    pace->arrivals = arrivals;
}

/* All that came has been sent. Without pace_begin: no mail was taken in this turn. */
static inline void pace_end(struct pace *pace, int64_t now_us, uint64_t arrivals)
{
    int64_t took_us = now_us - pace->began_us;
    if (pace->began_us == 0)
        return;
    pace->began_us = 0;
    pace->wait_us = took_us < PACE_LONG_US || arrivals - pace->arrivals < PACE_MANY ? 0
                  : took_us / 2 < PACE_WAIT_MAX_US                                  ? took_us / 2
                                                                                    : PACE_WAIT_MAX_US;
}
