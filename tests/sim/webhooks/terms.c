/* terms.c — the reference of endpoints: when an attempt may begin at one, and when nothing but itself holds it. */
#include "tests/sim/webhooks/truth.h"

#include <stdlib.h>
#include <string.h>

const struct plan plans[PLANS] = {
    { "0", 1, { 0 } },
    { "0,1s", 2, { 0, 1000 } },
    { "0,5s,30s", 3, { 0, 5000, 30000 } },
    { "0,100ms,200ms,400ms", 4, { 0, 100, 200, 400 } },
    { "0,1s,1s,1s,1s,1s", 6, { 0, 1000, 1000, 1000, 1000, 1000 } },
    { "2s,5s,5s", 3, { 2000, 5000, 5000 } },
    { "0,5s,30s,2m,10m,1h,3h,6h,12h,24h", 10, { 0, 5000, 30000, 120000, 600000, 3600000, 10800000, 21600000, 43200000, 86400000 } },
    { "0,1m,10m", 3, { 0, 60000, 600000 } },
};

const struct wish wishes[WISHES] = {
    { "\"events\":[\"message.published\"]", WISH_MESSAGES, 0 },
    { "\"events\":[\"message.published\"],\"channels\":[\"c0\",\"c1\"]", WISH_MESSAGES, 3 },
    { "\"events\":[\"order.*\"]", WISH_ORDER_CREATED, 0 },
    { "\"events\":[\"*\"]", WISH_ALL, 0 },
    { "\"events\":[\"order.created\",\"message.published\"],\"channels\":[\"c2\",\"c0\"]", WISH_MESSAGES | WISH_ORDER_CREATED, 5 },
    { "\"events\":[\"webhook.dead_lettered\",\"webhook.disabled\"]", WISH_WARNINGS, 0 },
    { "\"events\":[\"message.published\",\"shop.closed\"]", WISH_MESSAGES | WISH_SHOP_CLOSED, 0 },
};

/* ---- records ---- */

static const struct plan *plan_of(struct slice text)
{
    if (text.len == 0)
        text = slice_of(sim.config.webhooks_retry);
    for (size_t i = 0; i < PLANS; i++)
        if (slice_is(text, slice_of(plans[i].text)))
            return &plans[i];
    sim_fail("an endpoint has a schedule that nobody gave it: %.*s", (int)text.len, text.at);
}

bool terms_read(uint64_t number, struct slice record, struct terms *ret_terms, int *ret_place)
{
    struct endpoint *endpoint;
    if (endpoint_read_record(number, record, &endpoint))
        return false;
    *ret_terms = (struct terms){ plan_of(endpoint->retry_text), endpoint->paused, endpoint->ordered, endpoint->after_last == AFTER_LAST_BLOCK,
                                 endpoint->disabled, endpoint->rate, endpoint->concurrency };
    *ret_place = atoi(strrchr(endpoint->url, '/') + 1);
    endpoint_unref(endpoint);
    return true;
}

/* By 410, or because it has only failed for webhooks.disable_after; the hub writes down whole seconds. */
static void check_disabling(struct party *party, enum endpoint_disabled why)
{
    int64_t after_ms = sim.config.webhooks_disable_after_ms;
    if (why == DISABLED_GONE) {
        sim_check(party->may_be_gone, "%d is disabled as gone, and has not answered 410", party->place);
        happened(gone);
    } else {
        bool fails_long = after_ms > 0 && party->failing_ms && sim.wall_ms - party->failing_ms >= after_ms - 1000;
        sim_check(fails_long || party->may_be_failing, "%d is disabled as failing, and fails only since %ld ms",
                  party->place, party->failing_ms ? sim.wall_ms - party->failing_ms : 0);
        happened(failing);
    }
    party->disablings++;
    party->disablings_owed += truth_listens(CHANNELS);
}

static void awake(struct party *party)
{
    party->breaker = CLOSED;
    party->failures = 0;
    party->probe = NULL;
    party->asked_until_ms = party->failing_ms = party->failing_here_ms = party->must_ms = 0;
    party->may_be_gone = party->may_be_failing = false;
    happened(awoken);
}

void party_record(struct party *party, const struct terms *terms)
{
    struct terms before = party->there ? party->now : *terms;
    party->before = before;
    party->now = *terms;
    party->changing = true;
    party->steady_ms = sim.mono_ms;
    if (!party->there || terms->rate != before.rate) {
        party->most_tokens = terms->rate + 1;
        party->least_tokens = -(double)terms->rate;
    }
    if (terms->disabled && !before.disabled && terms->disabled != DISABLED_BY_HAND)
        check_disabling(party, terms->disabled);
    if (terms->disabled)
        party->must_ms = 0;
    else if (before.disabled)
        awake(party);
}

/* ---- attempts ---- */

static void fill_buckets(struct party *party)
{
    double come = (double)(sim.mono_ms - party->tokens_ms) * party->now.rate / 1000, rate = party->now.rate;
    party->tokens_ms = sim.mono_ms;
    party->most_tokens = party->most_tokens + come < rate + 1 ? party->most_tokens + come : rate + 1;
    party->least_tokens = party->least_tokens + come < rate ? party->least_tokens + come : rate;
}

static bool may(const struct party *party, const struct terms *terms)
{
    return !terms->paused && !terms->disabled && party->flying < terms->concurrency;
}

static void check_breaker(struct party *party, struct parcel *parcel)
{
    if (party->breaker == CLOSED)
        return;
    sim_check(party->breaker == OPEN, "%d is sent something beside the probe", party->place);
    sim_check(sim.mono_ms >= party->open_until_ms, "%d is sent something %ld ms before its breaker lets it", party->place, party->open_until_ms - sim.mono_ms);
    party->breaker = HALF_OPEN;
    party->probe = parcel;
    happened(probes);
}

void party_begins(struct party *party, struct parcel *parcel)
{
    sim_check(party->there && (!party->removed || party->changing), "%d is sent something, and is not there", party->place);
    sim_check(may(party, &party->now) || (party->changing && may(party, &party->before)), "%d is sent something: paused %d, disabled %d, %u under way of %u", party->place,
              party->now.paused, (int)party->now.disabled, party->flying, party->now.concurrency);
    sim_check(sim.wall_ms >= party->asked_until_ms, "%d is sent something %ld ms before the time that it asked for", party->place, party->asked_until_ms - sim.wall_ms);
    check_breaker(party, parcel);
    if (party->now.rate) {
        fill_buckets(party);
        sim_check(party->most_tokens > 0.99 || party->changing, "%d is sent more than its rate of %u", party->place, party->now.rate);
        party->most_tokens -= !party->changing;      /* else perhaps under the rate of before */
        party->least_tokens -= 1;
    }
    party->flying++;
    party->starves = false;
    for (size_t i = 0; i < n_parties; i++)
        parties[i].passed++;
}

static void succeeded(struct party *party, const struct parcel *parcel)
{
    if (party->breaker != CLOSED && party->probe != parcel)
        happened(closed_late);
    party->breaker = CLOSED;
    party->probe = NULL;
    party->failures = 0;
    party->failing_ms = party->failing_here_ms = 0;
}

static void open_breaker(struct party *party, int64_t pause_ms)
{
    party->breaker = OPEN;
    party->probe = NULL;
    party->pause_ms = pause_ms;
    party->open_until_ms = sim.mono_ms + pause_ms;
}

static void count_failure(struct party *party, const struct parcel *parcel)
{
    unsigned most = (unsigned)sim.config.webhooks_breaker;
    int64_t longest_ms = sim.config.webhooks_breaker_pause_max_ms;
    party->failures++;
    if (party->breaker == CLOSED && most > 0 && party->failures >= most) {
        open_breaker(party, sim.config.webhooks_breaker_pause_ms);
        happened(opened);
    } else if (party->breaker == HALF_OPEN && party->probe == parcel) {
        open_breaker(party, 2 * party->pause_ms < longest_ms ? 2 * party->pause_ms : longest_ms);
        happened(probes_failed);
    }
}

static void failed(struct party *party, const struct parcel *parcel, const struct answer *answer)
{
    int64_t after_ms = sim.config.webhooks_disable_after_ms;
    count_failure(party, parcel);
    party->failing_ms = party->failing_ms ? party->failing_ms : sim.wall_ms;
    party->failing_here_ms = party->failing_here_ms ? party->failing_here_ms : sim.wall_ms;
    if (answer->asks_ms > 0 && sim.wall_ms + answer->asks_ms > party->asked_until_ms)
        party->asked_until_ms = sim.wall_ms + answer->asks_ms;
    party->may_be_gone |= answer->status == 410;
    bool fails_long = after_ms > 0 && sim.wall_ms / 1000 - party->failing_here_ms / 1000 >= after_ms / 1000;
    party->may_be_failing |= after_ms > 0 && sim.wall_ms - party->failing_ms >= after_ms - 1000;
    if (!party->now.disabled && (answer->status == 410 || fails_long))
        party->must_ms = sim.mono_ms, sim_trace("%d must be disabled", party->place);
}

/* Nothing came of it for reasons of the hub's own, such as memory: a moment later more is sent. */
static void gave_up(struct party *party, const struct parcel *parcel)
{
    enum { A_MOMENT_MS = 1000 };
    party->pausing_until_ms = sim.mono_ms + A_MOMENT_MS;
    if (party->breaker != HALF_OPEN || party->probe != parcel)
        return;
    party->breaker = OPEN;
    party->probe = NULL;
    party->open_until_ms = sim.mono_ms;
}

void party_answers(struct party *party, struct parcel *parcel, const struct answer *answer)
{
    party->flying--;
    if (answer->kind == ANSWERED_SUCCESS)
        succeeded(party, parcel);
    else if (answer->kind == ANSWERED_FAILURE)
        failed(party, parcel, answer);
    else
        gave_up(party, parcel);
}

/* ---- at rest ---- */

bool party_is_held(struct party *party)
{
    fill_buckets(party);
    if (party->now.rate && party->least_tokens < 1)
        happened(held_by_rate);
    return party->changing || party->must_ms || sim.mono_ms < party->pausing_until_ms || !may(party, &party->now) || sim.wall_ms < party->asked_until_ms || party->breaker == HALF_OPEN ||
           (party->breaker == OPEN && sim.mono_ms < party->open_until_ms) || (party->now.rate && party->least_tokens < 1);
}

/* What could not be written down while the disk was broken is with the next failure. */
void party_rest(struct party *party)
{
    if (!party->must_ms)
        return;
    sim_check(sim.whole_ms >= party->must_ms, "%d should be disabled: %s", party->place, party->may_be_gone ? "it has answered 410" : "it only fails");
    party->must_ms = 0;
}

void party_restarts(struct party *party)
{
    party->breaker = CLOSED;
    party->probe = NULL;
    party->failures = party->flying = 0;
    party->asked_until_ms = party->failing_here_ms = party->must_ms = 0;
    party->starves = false;
    party->most_tokens = party->now.rate + 1;
    party->least_tokens = -(double)party->now.rate;
    party->changing = false;
    party->disablings_owed = party->disablings_told;
    party->purges = party->replays_dead = party->replays_all = false;
    party->redelivers = 0;
}
