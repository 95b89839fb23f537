/* breaker.h — an endpoint that only fails is left alone for a while, and its deliveries keep their attempts.
 *
 *   CLOSED ──`failures` in a row──> OPEN ──pause──> HALF_OPEN: one probe ──it succeeds──> CLOSED
 *                                    ^                 └──it fails: the pause doubles──┐
 *                                    └────────────────────────────────────────────────┘
 *
 * While it is open nothing is sent, so no delivery spends an attempt on a receiver that is known to be away. The probe is a real
 * attempt of what waits first. Attempts that began before it opened may end later: a success closes it, for it proves that the
 * endpoint is there; a failure says nothing new.
 *
 * Lifetime   embedded in its endpoint; zero-filled is closed. Not kept over a restart: then it learns anew.
 * Threading  whoever owns it. Time comes from the caller. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum breaker_state  { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_HALF_OPEN, BREAKER_STATES };
enum breaker_answer { BREAKER_WAIT, BREAKER_GO, BREAKER_PROBE };

struct breaker_rule {
    unsigned failures;                     /* in a row that open it; 0: it never opens */
    int64_t  pause_ms, pause_max_ms;       /* the first, and the longest after doubling */
};
struct breaker {
    enum breaker_state state;
    unsigned           failures;           /* in a row */
    int64_t            pause_ms;           /* open: how long this time */
    int64_t            until_ms;           /* open: when a probe may begin */
    unsigned           probes;             /* so many there were: only the newest is the probe, whatever became of those before */
};

const char *breaker_state_name(enum breaker_state state);      /* closed, open, half_open */

/* May an attempt begin now? PROBE: yes, and that it was the probe is told with its end. WAIT: breaker_due_ms says until when. */
enum breaker_answer breaker_ask(struct breaker *breaker, int64_t now_ms);
/* When to ask again: INT64_MIN: now; INT64_MAX: when the probe has ended. */
int64_t breaker_due_ms(const struct breaker *breaker);

/* Closed, as if nothing had been. */
void breaker_reset(struct breaker *breaker);

/* Each attempt that began ends with one of these. True: it has changed between being closed and not. */
bool breaker_succeeded(struct breaker *breaker);
bool breaker_failed(struct breaker *breaker, const struct breaker_rule *rule, bool probe, int64_t now_ms);
void breaker_gave_up(struct breaker *breaker, bool probe, int64_t now_ms);      /* we ended it: it says nothing about the endpoint */
