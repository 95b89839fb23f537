#include "webhooks/breaker.h"

#include <assert.h>

#define BIT(state) (1u << (state))
static const uint8_t may_follow[BREAKER_STATES] = {
    [BREAKER_CLOSED]    = BIT(BREAKER_OPEN),
    [BREAKER_OPEN]      = BIT(BREAKER_HALF_OPEN) | BIT(BREAKER_CLOSED),      /* closed: by an attempt that began before */
    [BREAKER_HALF_OPEN] = BIT(BREAKER_OPEN) | BIT(BREAKER_CLOSED),
};
static const char *const names[BREAKER_STATES] = { [BREAKER_CLOSED] = "closed", [BREAKER_OPEN] = "open", [BREAKER_HALF_OPEN] = "half_open" };

const char *breaker_state_name(enum breaker_state state) { return names[state]; }

static void move(struct breaker *breaker, enum breaker_state to)
{
    assert(may_follow[breaker->state] & BIT(to));
    breaker->state = to;
}

static void open_for(struct breaker *breaker, int64_t pause_ms, int64_t now_ms)
{
    move(breaker, BREAKER_OPEN);
    breaker->pause_ms = pause_ms;
    breaker->until_ms = now_ms + pause_ms;
}

enum breaker_answer breaker_ask(struct breaker *breaker, int64_t now_ms)
{
    if (breaker->state == BREAKER_CLOSED)
        return BREAKER_GO;
    if (breaker->state == BREAKER_HALF_OPEN || now_ms < breaker->until_ms)
        return BREAKER_WAIT;
    move(breaker, BREAKER_HALF_OPEN);
    breaker->probes++;
    return BREAKER_PROBE;
}

void breaker_reset(struct breaker *breaker) { *breaker = (struct breaker){ .state = BREAKER_CLOSED, .probes = breaker->probes }; }

int64_t breaker_due_ms(const struct breaker *breaker)
{
    return breaker->state == BREAKER_CLOSED ? INT64_MIN : breaker->state == BREAKER_OPEN ? breaker->until_ms : INT64_MAX;
}

bool breaker_succeeded(struct breaker *breaker)
{
    bool was_closed = breaker->state == BREAKER_CLOSED;
    breaker->failures = 0;
    if (!was_closed)
        move(breaker, BREAKER_CLOSED);
    return !was_closed;
}

bool breaker_failed(struct breaker *breaker, const struct breaker_rule *rule, bool probe, int64_t now_ms)
{
    bool was_closed = breaker->state == BREAKER_CLOSED;
    breaker->failures += breaker->failures < UINT32_MAX;
    if (was_closed && rule->failures > 0 && breaker->failures >= rule->failures)
        open_for(breaker, rule->pause_ms, now_ms);
    else if (probe && breaker->state == BREAKER_HALF_OPEN)
        open_for(breaker, breaker->pause_ms < rule->pause_max_ms / 2 ? 2 * breaker->pause_ms : rule->pause_max_ms, now_ms);
    return was_closed && breaker->state != BREAKER_CLOSED;
}

void breaker_gave_up(struct breaker *breaker, bool probe, int64_t now_ms)
{
    if (!probe || breaker->state != BREAKER_HALF_OPEN)
        return;
    move(breaker, BREAKER_OPEN);
    breaker->until_ms = now_ms;
}
