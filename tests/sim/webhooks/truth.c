#include "tests/sim/webhooks/truth.h"

#include "hub/base/hash.h"
#include "hub/base/json.h"
#include "tests/sim/webhooks/disk.h"

#include <stdlib.h>

enum { EXPECTED_MOST = 512, SURE_AFTER_MS = 10000, COMPANY_MS = 20 /* it is written down with others */ };

struct party parties[ENDPOINTS_EVER];
size_t       n_parties;

static struct {
    struct parcel **at;                    /* by number */
    size_t          n, cap;
    struct parcel **live;                  /* that may wait */
    size_t          n_live, cap_live;
    struct { const struct msg *m; struct expected expected; } expected[EXPECTED_MOST];
    size_t          n_expected;
    uint64_t       *events;                /* numbers */
    size_t          n_events, cap_events;
    unsigned        flying;
    bool            was_slow;
    int64_t         slow_ms;               /* wall: the disk was until then */
} truth;

/* ---- finding ---- */

static void *grown(void *list, size_t n, size_t *cap, size_t size)
{
    if (n < *cap)
        return list;
    *cap = *cap ? 2 * *cap : 64;
    list = realloc(list, *cap * size);
    sim_check(list, "no memory");
    return list;
}

static size_t place_of(uint64_t number)
{
    size_t low = 0, high = truth.n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (truth.at[middle]->number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct parcel *find(uint64_t number)
{
    size_t place = place_of(number);
    return place < truth.n && truth.at[place]->number == number ? truth.at[place] : NULL;
}

static struct parcel *find_for(uint64_t event, const struct party *party)
{
    for (size_t i = place_of(delivery_number(event, 0)); i < truth.n && delivery_event(truth.at[i]->number) == event; i++)
        if (truth.at[i]->to == party)
            return truth.at[i];
    return NULL;
}

static struct party *party_by(uint64_t number)
{
    for (size_t i = 0; i < n_parties; i++)
        if (parties[i].number == number)
            return &parties[i];
    return NULL;
}

static int channel_by(struct slice name)
{
    return name.len == 2 && name.at[0] == 'c' ? name.at[1] - '0' : CHANNELS;
}

size_t         parcels_count(void)      { return truth.n; }
struct parcel *parcels_at(size_t i)     { return truth.at[i]; }
unsigned       truth_sending(void)      { return truth.flying; }

bool truth_has_event(uint64_t number)
{
    for (size_t i = truth.n_events; i-- > 0 && truth.events[i] >= number;)
        if (truth.events[i] == number)
            return true;
    return false;
}

/* ---- when ---- */

static int64_t soonest(int64_t delay_ms) { return delay_ms * 8 / 10; }
static int64_t latest(int64_t delay_ms)  { return (delay_ms * 12 + 9) / 10; }

static void waits(struct parcel *parcel)
{
    parcel->stands = WAITS;
    truth.live = grown(truth.live, truth.n_live, &truth.cap_live, sizeof *truth.live);
    truth.live[truth.n_live++] = parcel;
}

/* ---- lanes ---- */

static struct parcel *first_of_lane(const struct party *party, int channel)
{
    for (size_t i = 0; i < truth.n; i++) {
        struct parcel *parcel = truth.at[i];
        if (parcel->to == party && parcel->in_lane && parcel->channel == channel && (parcel->stands == WAITS || parcel->stands == BLOCKED))
            return parcel;
    }
    return NULL;
}

/* Nobody's turn it is: the first one's, from now on. */
static void next_in_lane(struct party *party, int channel, int64_t now_ms)
{
    struct parcel *first = first_of_lane(party, channel);
    party->turn[channel] = first;
    if (!first)
        return;
    int64_t begins_ms = first->tries == 0 ? first->time_ms + latest(party->now.plan->delay_ms[0]) : 0;
    first->from_ms = now_ms;
    first->until_ms = begins_ms > now_ms ? begins_ms : now_ms;
}

static void leave(struct parcel *parcel, enum standing stands, int64_t now_ms)
{
    struct party *party = parcel->to;
    parcel->stands = stands;
    if (parcel->in_lane && party->turn[parcel->channel] == parcel)
        next_in_lane(party, parcel->channel, now_ms);
}

static bool has_turn(const struct parcel *parcel) { return !parcel->in_lane || parcel->to->turn[parcel->channel] == parcel; }

/* ---- events ---- */

static bool wants(const struct party *party, unsigned type, int channel)
{
    const struct wish *wish = party->wish;
    return party->there && !party->removed && !party->now.disabled && wish->types & type && (channel == CHANNELS || !wish->channels || wish->channels >> channel & 1);
}

static size_t waiting_of(const struct party *party)
{
    size_t n = 0;
    for (size_t i = 0; i < truth.n; i++)
        n += truth.at[i]->to == party && (truth.at[i]->stands == WAITS || truth.at[i]->stands == BLOCKED);
    return n;
}

struct expected truth_expect(enum event_type type, unsigned wish, int channel)
{
    struct expected expected = { 0 };
    (void)type;
    for (size_t i = 0; i < n_parties; i++)
        if (wants(&parties[i], wish, channel)) {
            expected.wanted |= 1U << i;
            expected.over |= waiting_of(&parties[i]) >= sim.config.webhooks_queue ? 1U << i : 0;
        }
    return expected;
}

void truth_expect_event(const struct msg *m, struct expected expected)
{
    sim_check(truth.n_expected < EXPECTED_MOST, "too many events are under way");
    truth.expected[truth.n_expected].m = m;
    truth.expected[truth.n_expected++].expected = expected;
}

static bool take_expected(const struct msg *m, struct expected *ret_expected)
{
    for (size_t i = 0; i < truth.n_expected; i++)
        if (truth.expected[i].m == m) {
            *ret_expected = truth.expected[i].expected;
            truth.expected[i] = truth.expected[--truth.n_expected];
            return true;
        }
    return false;
}

void truth_forget_event(const struct msg *m)
{
    struct expected expected;
    take_expected(m, &expected);
}

static void check_targets(const struct hub_event *event, struct expected expected)
{
    uint32_t wanted = 0, over = 0;
    for (size_t i = 0; i < event->n_targets; i++) {
        const struct party *party = party_by(event->targets[i].endpoint);
        sim_check(party, "an event is for an endpoint that nobody made");
        wanted |= 1U << party->place;
        over |= event->targets[i].is_over ? 1U << party->place : 0;
    }
    sim_check(wanted == expected.wanted, "event %lu is for endpoints %x, and was wanted by %x", event->msg->seq, wanted, expected.wanted);
    sim_check(over == expected.over, "event %lu is too much for endpoints %x, and should be for %x", event->msg->seq, over, expected.over);
}

/* Of the hub's own it is not known here when the hub asked who wants it: whoever has not changed for a while is told for sure. */
static bool is_sure(const struct party *party, int channel)
{
    return party->steady_ms + SURE_AFTER_MS < sim.mono_ms && sim.whole_ms + SURE_AFTER_MS < sim.mono_ms && wants(party, WISH_WARNINGS, channel);
}

bool truth_listens(int channel)
{
    for (size_t i = 0; i < n_parties; i++)
        if (is_sure(&parties[i], channel))
            return true;
    return false;
}

static void check_own_targets(const struct hub_event *event, int channel)
{
    for (size_t i = 0; i < n_parties; i++) {
        const struct party *party = &parties[i];
        bool told = false;
        for (size_t k = 0; k < event->n_targets; k++)
            told |= event->targets[k].endpoint == party->number;
        sim_check(!told || party->wish->types & WISH_WARNINGS, "%d is told what it does not want", party->place);
        sim_check(told || !is_sure(party, channel), "%d is not told of what it wants", party->place);
    }
}

static struct slice member(const struct hub_event *event, const char *name)
{
    struct json_object object;
    struct slice value = { NULL, 0 };
    if (!json_object_parse(msg_data(event->msg), &object))
        value = json_member_find(&object, name);
    sim_check(value.len > 2, "an event of the hub says no %s", name);
    return slice(value.at + 1, value.len - 2);
}

static void own_event(const struct hub_event *event, int channel)
{
    struct party *party = party_by(webhook_id_read(member(event, "webhook")));
    sim_check(party, "an event of the hub is about an endpoint that nobody made");
    if (event->type == EVENT_WEBHOOK_TEST) {
        sim_check(event->n_targets == 1 && event->targets[0].endpoint == party->number, "a test goes somewhere else");
        happened(tests);
        return;
    }
    check_own_targets(event, channel);
    if (event->type == EVENT_WEBHOOK_DISABLED) {
        sim_check(++party->disablings_told <= party->disablings, "%d is told to be disabled, and is not", party->place);
        happened(disabled_told);
        return;
    }
    uint64_t epoch;
    struct parcel *parcel = find_for(event_id_read(member(event, "event"), &epoch), party);
    sim_check(parcel && ++parcel->deaths_told <= parcel->deaths, "a dead letter is told that is none");
    happened(dead_told);
}

static void add_parcel(const struct hub_event *event, size_t i, int channel)
{
    const struct event_target *target = &event->targets[i];
    struct party *party = party_by(target->endpoint);
    struct parcel *parcel = calloc(1, sizeof *parcel);
    sim_check(parcel && party, "no memory, or an endpoint that nobody made");
    int64_t first_ms = party->now.plan->delay_ms[0];
    *parcel = (struct parcel){ .number = delivery_number(event->msg->seq, i), .to = party, .type = (enum event_type)event->type, .channel = channel,
                               .in_lane = target->lane != 0, .time_ms = event->msg->time_ms, .from_ms = event->msg->time_ms + soonest(first_ms),
                               .until_ms = event->msg->time_ms + latest(first_ms) };
    truth.at = grown(truth.at, truth.n, &truth.cap, sizeof *truth.at);
    sim_check(truth.n == 0 || truth.at[truth.n - 1]->number < parcel->number, "an event comes after one with a higher number");
    truth.at[truth.n++] = parcel;
    happened(parcels);
    sim_trace("event %lu is kept: delivery %lx to %d%s", event->msg->seq, parcel->number, party->place, target->is_over ? ", too many" : parcel->in_lane ? ", in a lane" : "");
    sim_trace("  channel %d", channel);
    if (target->is_over) {
        parcel->stands = DEAD;
        happened(overflows);
        return;
    }
    waits(parcel);
    if (parcel->in_lane && party->turn[channel])
        happened(in_lanes);
    else if (parcel->in_lane)
        party->turn[channel] = parcel;
}

void truth_event(const struct hub_event *event)
{
    struct expected expected;
    int channel = channel_by(msg_channel(event->msg));
    if (take_expected(event->msg, &expected))
        check_targets(event, expected);
    else
        own_event(event, channel);
    truth.events = grown(truth.events, truth.n_events, &truth.cap_events, sizeof *truth.events);
    truth.events[truth.n_events++] = event->msg->seq;
    for (size_t i = 0; i < event->n_targets; i++)
        add_parcel(event, i, channel);
    happened(events);
}

/* ---- settlings ---- */

static void landed(struct parcel *parcel)
{
    parcel->flight = ON_GROUND;
    parcel->tries = parcel->next.tries;
    parcel->logged++;
    parcel->from_ms = parcel->next.from_ms;
    parcel->until_ms = parcel->next.until_ms;
    if (parcel->next.stands == WAITS)
        return;
    if (parcel->next.stands == BLOCKED) {
        parcel->stands = BLOCKED;
        happened(blocked);
        return;
    }
    if (parcel->next.stands == DEAD) {
        bool is_told = parcel->type != EVENT_WEBHOOK_DISABLED && parcel->type != EVENT_WEBHOOK_DEAD_LETTERED && parcel->type != EVENT_WEBHOOK_TEST;
        parcel->deaths += is_told;
        parcel->deaths_owed += is_told && !parcel->to->removed && truth_listens(parcel->channel);
        happened(dead);
    } else {
        happened(delivered);
    }
    leave(parcel, parcel->next.stands, parcel->next.at_ms);
}

static void sent_again(struct parcel *parcel, int64_t now_ms)
{
    struct party *party = parcel->to;
    bool by_hand = party->redelivers == parcel->number, replayed = (parcel->stands == DEAD && party->replays_dead) || (parcel->stands != BLOCKED && party->replays_all);
    sim_check(parcel->stands != WAITS && (by_hand || replayed), "delivery %lx is sent again, and nobody has asked for it", parcel->number);
    if (by_hand)
        happened(redelivered);
    else
        happened(replayed);
    parcel->tries = 0;
    parcel->revivals++;
    parcel->accepted = false;
    parcel->from_ms = now_ms;
    parcel->until_ms = now_ms + latest(party->now.plan->delay_ms[0]);
    waits(parcel);
    if (parcel->in_lane && !party->turn[parcel->channel])
        next_in_lane(party, parcel->channel, now_ms);
}

void truth_settled(const struct settlement *settled)
{
    struct parcel *parcel = find(settled->number);
    sim_check(parcel, "delivery %lx is settled, and nobody made it", settled->number);
    struct party *party = parcel->to;
    if (!settled->done) {
        sim_check(parcel->flight != LANDED || party->removed, "what came of delivery %lx is not written down", settled->number);
        return;
    }
    sim_trace("delivery %lx of %d: status %d, tries %u, due in %ld", settled->number, party->place, settled->status, settled->tries, settled->due_ms - sim.wall_ms);
    if (settled->status == DELIVERY_REMOVED) {
        sim_check(party->removed || (parcel->stands == DEAD && party->purges), "delivery %lx is removed, and nobody has asked for it", settled->number);
        leave(parcel, GONE, settled->settled_ms);
        if (!party->removed)
            happened(purged);
    } else if (parcel->flight == LANDED) {
        landed(parcel);
    } else {
        sim_check(settled->status == DELIVERY_PENDING && parcel->flight == ON_GROUND, "delivery %lx is settled by somebody who must not", settled->number);
        if (parcel->stands == WAITS && settled->tries == parcel->tries)      /* its schedule begins with a delay */
            return;
        sent_again(parcel, settled->settled_ms);
    }
}

/* ---- records ---- */

struct party *truth_party(const struct wish *wish)
{
    sim_check(n_parties < ENDPOINTS_EVER, "too many endpoints");
    struct party *party = &parties[n_parties];
    *party = (struct party){ .place = (int)n_parties++, .wish = wish };
    return party;
}

/* How long a first attempt waits is decided when its turn comes. */
static void first_delay_changed(const struct party *party)
{
    int64_t first_ms = party->now.plan->delay_ms[0];
    for (size_t i = 0; i < truth.n; i++) {
        struct parcel *parcel = truth.at[i];
        if (parcel->to != party || parcel->stands != WAITS || parcel->tries > 0 || parcel->revivals > 0)
            continue;
        int64_t from_ms = parcel->time_ms + soonest(first_ms), until_ms = parcel->time_ms + latest(first_ms);
        parcel->from_ms = from_ms < parcel->from_ms ? from_ms : parcel->from_ms;
        parcel->until_ms = until_ms > parcel->until_ms ? until_ms : parcel->until_ms;
    }
}

void truth_record(struct slice key, struct slice value)
{
    uint64_t number = webhook_id_read(key);
    struct party *party = party_by(number);
    struct terms terms;
    int place;
    if (!value.at) {
        sim_check(party && party->there, "an endpoint is removed that is not there");
        counts[COUNT_removed_sending] += party->flying > 0;
        party->removed = party->changing = true;
        happened(removed);
        return;
    }
    sim_check(terms_read(number, value, &terms, &place), "a record of an endpoint cannot be read");
    party = &parties[place];
    sim_trace("endpoint %d: paused %d, disabled %d, ordered %d, blocks %d, rate %u, concurrency %u, retry %s", place, terms.paused, (int)terms.disabled, terms.ordered,
              terms.blocks, terms.rate, terms.concurrency, terms.plan->text);
    party->number = number;
    party_record(party, &terms);
    party->there = true;
    if (party->now.plan != party->before.plan)
        first_delay_changed(party);
}

void truth_heard(void)
{
    for (size_t i = 0; i < n_parties; i++)
        parties[i].changing = false;
}

/* ---- attempts ---- */

struct parcel *truth_begins(int place, uint64_t event, struct slice body)
{
    struct party *party = &parties[place];
    struct parcel *parcel = find_for(event, party);
    uint64_t hash = hash_bytes(body) | 1;
    sim_check(parcel, "event %lu is sent to %d, for which it is not", event, place);
    sim_trace("attempt %u of delivery %lx to %d", parcel->tries + 1, parcel->number, place);
    sim_check(parcel->flight == ON_GROUND, "delivery %lx is sent once more while it is under way", parcel->number);
    sim_check(parcel->stands == WAITS, "delivery %lx is sent, and does not wait (%d)", parcel->number, (int)parcel->stands);
    sim_check(has_turn(parcel), "delivery %lx is sent before its turn in its channel", parcel->number);
    sim_check(sim.wall_ms >= parcel->from_ms, "delivery %lx is sent %ld ms early, attempt %u", parcel->number, parcel->from_ms - sim.wall_ms, parcel->tries + 1);
    sim_check(!parcel->body || parcel->body == hash, "delivery %lx is sent with another body", parcel->number);
    party_begins(party, parcel);
    if (parcel->accepted)
        happened(repeated);
    if (parcel->tries == 0)
        happened(first_attempts);
    if (parcel->tries == 0 && party->now.plan->delay_ms[0] && parcel->revivals == 0)
        happened(late_first);
    parcel->body = hash;
    parcel->flight = FLIES;
    truth.flying++;
    happened(attempts);
    return parcel;
}

static void plan_next(struct parcel *parcel, const struct answer *answer)
{
    const struct terms *terms = &parcel->to->now;
    int64_t now_ms = sim.wall_ms, asks_ms = answer->asks_ms;
    parcel->next.stands = WAITS;
    if (answer->status == 410) {           /* what waits stays */
        parcel->next.from_ms = now_ms;
        parcel->next.until_ms = now_ms + 1;
    } else if (parcel->next.tries < terms->plan->n) {
        int64_t delay_ms = terms->plan->delay_ms[parcel->next.tries];
        parcel->next.from_ms = now_ms + (soonest(delay_ms) > asks_ms ? soonest(delay_ms) : asks_ms);
        parcel->next.until_ms = now_ms + 1 + (latest(delay_ms) > asks_ms ? latest(delay_ms) : asks_ms);
    } else {
        parcel->next.stands = terms->ordered && terms->blocks && parcel->in_lane ? BLOCKED : DEAD;
    }
    if (asks_ms > 0 && parcel->next.stands != WAITS)
        happened(asked_last);
}

void truth_answers(struct parcel *parcel, struct answer answer)
{
    sim_trace("delivery %lx of %d is answered: %d %d, asks for %ld ms", parcel->number, parcel->to->place, (int)answer.kind, answer.status, answer.asks_ms);
    sim_check(parcel->flight == FLIES, "an answer to what was not sent");
    truth.flying--;
    parcel->flight = answer.kind == ANSWERED_VOID ? ON_GROUND : LANDED;
    parcel->next.at_ms = sim.wall_ms;
    parcel->next.tries = parcel->tries + 1;
    if (answer.kind == ANSWERED_VOID) {
        enum { AGAIN_MS = 1000 };
        parcel->until_ms = parcel->until_ms > sim.wall_ms + AGAIN_MS ? parcel->until_ms : sim.wall_ms + AGAIN_MS;
        happened(voids);
    } else if (answer.kind == ANSWERED_SUCCESS) {
        parcel->accepted = true;
        parcel->next.stands = DELIVERED;
        happened(successes);
    } else {
        plan_next(parcel, &answer);
        happened(failures);
    }
    party_answers(parcel->to, parcel, &answer);
}

/* ---- lives ---- */

void truth_stopped(void)
{
    for (size_t i = 0; i < truth.n; i++) {
        struct parcel *parcel = truth.at[i];
        parcel->flight = ON_GROUND;
        parcel->deaths_owed = parcel->deaths_told;
    }
    for (size_t i = 0; i < n_parties; i++)
        party_restarts(&parties[i]);
    truth.flying = 0;
    truth.n_expected = 0;
}

void truth_killed(void)
{
    counts[COUNT_unsaid] += 0;
    truth_stopped();
}

/* ---- at rest ---- */

/* That it is put off is written down like what comes of an attempt, in company, and once more when the disk was broken. */
static bool is_put_off(struct parcel *parcel)
{
    if (parcel->tries > 0 || parcel->revivals > 0 || parcel->until_ms == parcel->time_ms)
        return false;
    parcel->put_off_ms = parcel->put_off_ms ? parcel->put_off_ms : sim.wall_ms;
    return sim.wall_ms - parcel->put_off_ms < COMPANY_MS;
}

static bool is_due(const struct parcel *parcel)
{
    return parcel->stands == WAITS && parcel->flight == ON_GROUND && has_turn(parcel) && parcel->until_ms <= sim.wall_ms;
}

/* Only those that wait are looked at from now on. */
static void forget_landed(void)
{
    size_t left = 0;
    for (size_t i = 0; i < truth.n_live; i++)
        if (truth.live[i]->stands == WAITS && !truth.live[i]->to->removed)
            truth.live[left++] = truth.live[i];
    truth.n_live = left;
}

static const struct parcel *due_of(const struct party *party)
{
    for (size_t i = 0; i < truth.n_live; i++)
        if (truth.live[i]->to == party && is_due(truth.live[i]) && !is_put_off(truth.live[i]))
            return truth.live[i];
    return NULL;
}

/* All take turns: each of the others may begin one first, or two when what this one has is being read. */
static void check_starving(struct party *party, const struct parcel *due)
{
    sim_check(truth.flying >= sim.config.webhooks_concurrency, "delivery %lx of %d is held up by nothing, %ld ms after its time: %u tries, sent again %u times, in a lane %d; "
              "there %u under way of %u, rate %u, breaker %d", due->number, party->place, sim.wall_ms - due->until_ms, due->tries, due->revivals, due->in_lane,
              party->flying, party->now.concurrency, party->now.rate, (int)party->breaker);
    happened(held_by_room);
    party->passed = party->starves ? party->passed : 0;
    party->starves = true;
    sim_check(party->passed <= 2 * ENDPOINTS_MAX, "%d is held up by other endpoints: %u of their attempts began since it could", party->place, party->passed);
}

void truth_rest(void)
{
    happened(rests);
    truth.slow_ms = truth.was_slow ? sim.wall_ms : truth.slow_ms;
    truth.was_slow = false;
    forget_landed();
    for (size_t i = 0; i < truth.n_live; i++)
        sim_check(truth.live[i]->flight != LANDED || sim.wall_ms - truth.live[i]->next.at_ms < COMPANY_MS || sim.wall_ms - truth.slow_ms < COMPANY_MS, "what came of delivery %lx is never written down", truth.live[i]->number);
    for (size_t i = 0; i < n_parties; i++) {
        struct party *party = &parties[i];
        if (!party->there || party->removed)
            continue;
        party_rest(party);
        const struct parcel *due = party_is_held(party) ? NULL : due_of(party);
        if (due)
            check_starving(party, due);
        else
            party->starves = false;
    }
}

void truth_slow(void)
{
    truth.was_slow = true;
    for (size_t i = 0; i < n_parties; i++)
        parties[i].starves = false;
}

void truth_told(void)
{
    for (size_t i = 0; i < truth.n; i++)
        sim_check(truth.at[i]->deaths_told >= truth.at[i]->deaths_owed, "dead letter %lx is told %u times, and should be %u", truth.at[i]->number, truth.at[i]->deaths_told,
                  truth.at[i]->deaths_owed);
    for (size_t i = 0; i < n_parties; i++)
        sim_check(parties[i].disablings_told >= parties[i].disablings_owed, "%d was disabled, and nobody is told", parties[i].place);
}

bool truth_is_over(void)
{
    forget_landed();
    for (size_t i = 0; i < truth.n; i++)
        if (truth.at[i]->stands == BLOCKED && !truth.at[i]->to->removed)
            return false;
    return truth.n_live == 0;
}

static unsigned attempts_in(struct slice text)
{
    unsigned n = 0;
    for (size_t i = 0; i + 7 <= text.len; i++)
        n += !memcmp(text.at + i, "{\"at\":\"", 7);
    return n;
}

static void compare_row(const struct delivery *row)
{
    static const enum delivery_status as[] = { [WAITS] = DELIVERY_PENDING, [BLOCKED] = DELIVERY_PENDING, [DELIVERED] = DELIVERY_DELIVERED, [DEAD] = DELIVERY_DEAD,
                                               [GONE] = DELIVERY_REMOVED };
    const struct parcel *parcel = find(row->number);
    sim_check(parcel, "delivery %lx is kept, and nobody made it", row->number);
    if (parcel->to->removed)
        return;
    sim_check(row->status == as[parcel->stands] && (row->due_ms == DELIVERY_BLOCKED) == (parcel->stands == BLOCKED), "delivery %lx is kept as %d, and stands %d", row->number,
              row->status, (int)parcel->stands);
    sim_check(row->tries == parcel->tries, "delivery %lx has had %u attempts, and is kept with %u", row->number, parcel->tries, row->tries);
    sim_check(attempts_in(row->attempts) == parcel->logged, "delivery %lx has had %u attempts in all, and %u are in its log", row->number, parcel->logged,
              attempts_in(row->attempts));
}

void truth_compare(void)
{
    struct delivery_read read = { .kind = READ_OLDEST, .limit = SIZE_MAX, .looks = INT32_MAX, .max_bytes = SIZE_MAX };
    size_t n = 0, kept = 0;
    disk_look(&read);
    sim_check(!read.err, "the deliveries cannot be read");
    for (size_t i = 0; i < read.n; i++) {
        compare_row(&read.rows[i]);
        kept += !find(read.rows[i].number)->to->removed;
    }
    for (size_t i = 0; i < truth.n; i++)
        n += truth.at[i]->stands != GONE && !truth.at[i]->to->removed;
    sim_check(n == kept, "%zu deliveries are kept, and there are %zu", kept, n);
    delivery_read_fini(&read);
}

/* ---- life ---- */

void truth_init(void) { n_parties = 0; }

void truth_fini(void)
{
    for (size_t i = 0; i < truth.n; i++)
        free(truth.at[i]);
    free(truth.at);
    free(truth.live);
    free(truth.events);
    memset(&truth, 0, sizeof truth);
}
