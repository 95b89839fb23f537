#include "tests/sim/webhooks/client.h"

#include "hub/base/err.h"
#include "hub/base/instant.h"
#include "hub/base/json.h"
#include "hub/webhook_call.h"
#include "tests/sim/webhooks/disk.h"
#include "tests/sim/webhooks/partner.h"
#include "tests/sim/webhooks/truth.h"
#include "webhooks/replay.h"

#include <stdio.h>
#include <stdlib.h>

enum { REPLAYS_TRACKED = 8, DONE_AFTER_MS = 5000 };

/* A replay that was begun: how often what it is about had been sent again by then. */
struct tracked {
    struct party *party;
    uint64_t      number;
    int64_t       begun_ms;          /* mono */
    bool          over;
    unsigned     *revivals;          /* of each parcel there was; UINT32_MAX: it is not about that one */
    size_t        n;
};

struct order {
    struct webhook_call call;        /* first */
    struct party       *party;
    struct buf          document;
    struct tracked      about;       /* REPLAY */
};

static struct tracked tracked[REPLAYS_TRACKED];
static size_t         n_tracked;
static unsigned       under_way;
static bool           told_own;

/* ---- events ---- */

static void submit_event(uint32_t kind, enum event_type type, unsigned wish, int channel, const char *name)
{
    static uint64_t n;
    char data[32], channel_name[3] = "";
    struct publish_call *call = calloc(1, sizeof *call);
    snprintf(data, sizeof data, "{\"n\":%lu}", ++n);
    if (channel < CHANNELS)
        channel_name[0] = 'c', channel_name[1] = (char)('0' + channel);
    call->msg = msg_new(&(struct msg_parts){ .channel = slice_of(channel_name), .event = slice_of(name), .kind = MSG_JSON, .data = slice_of(data) });
    call->call.letter.kind = kind;
    call->call.from = sim.peer;
    struct expected expected = truth_expect(type, wish, channel);
    if (expected.wanted || kind == CALL_EVENT)
        truth_expect_event(call->msg, expected);
    call->call.owner = expected.wanted || kind == CALL_EVENT ? &told_own : NULL;
    under_way++;
    call_submit(&sim.to_hub, &call->call, 0);
    post_flush(&sim.to_hub);
    life_turn();
}

void client_publish(int channel) { submit_event(CALL_PUBLISH, EVENT_MESSAGE_PUBLISHED, WISH_MESSAGES, channel, ""); }

static void tell_event(void)
{
    bool order = chance(700);
    happened(own_events);
    submit_event(CALL_EVENT, EVENT_OWN, order ? WISH_ORDER_CREATED : WISH_SHOP_CLOSED, (int)dice(CHANNELS + 1), order ? "order.created" : "shop.closed");
}

static void event_answered(struct publish_call *call)
{
    if (call->call.err)
        happened(publish_failed);
    else if (!sim.dead && call->call.owner)
        sim_check(truth_has_event(call->msg->seq), "event %lu is acknowledged, and is not kept", call->msg->seq);
    if (!sim.dead)
        truth_forget_event(call->msg);
    msg_unref(call->msg);
    free(call);
}

/* ---- orders ---- */

static struct order *order_new(enum webhook_order what, struct party *party)
{
    struct order *order = calloc(1, sizeof *order);
    sim_check(order, "no memory");
    order->call.call.letter.kind = CALL_WEBHOOK;
    order->call.call.from = sim.peer;
    order->call.order = what;
    order->call.id = party ? party->number : 0;
    order->party = party;
    return order;
}

static void order_submit(struct order *order)
{
    order->call.document = buf_slice(&order->document);
    under_way++;
    call_submit(&sim.to_hub, &order->call.call, 0);
    post_flush(&sim.to_hub);
    life_turn();
}

static struct party *any_party(void)
{
    struct party *there[ENDPOINTS_EVER];
    size_t n = 0;
    for (size_t i = 0; i < n_parties; i++)
        if (parties[i].there && !parties[i].removed)
            there[n++] = &parties[i];
    return n ? there[dice(n)] : NULL;
}

static size_t count_there(void)
{
    size_t n = 0;
    for (size_t i = 0; i < n_parties; i++)
        n += !parties[i].removed;
    return n;
}

static void create(void)
{
    const struct wish *wish = &wishes[dice(WISHES)];
    if (count_there() >= ENDPOINTS_MAX || n_parties == ENDPOINTS_EVER)
        return;
    struct party *party = truth_party(wish);
    struct order *order = order_new(WEBHOOK_CREATE, party);
    buf_addf(&order->document, "{\"url\":\"https://partner.example/%d\",%s", party->place, wish->members);
    if (chance(400))
        buf_addf(&order->document, ",\"ordered\":true,\"after_last\":\"%s\"", chance(500) ? "skip" : "block");
    if (chance(300))
        buf_addf(&order->document, ",\"concurrency\":%ld", one_of(1, 1, 2, 3, 50));
    if (chance(200))
        buf_addf(&order->document, ",\"rate\":%ld", one_of(1, 2, 10, 50));
    if (chance(400))
        buf_addf(&order->document, ",\"retry\":\"%s\"", plans[dice(PLANS)].text);
    if (chance(80))
        buf_add_str(&order->document, ",\"paused\":true");
    buf_add_char(&order->document, '}');
    happened(created);
    order_submit(order);
}

static void change(void)
{
    struct party *party = any_party();
    if (!party)
        return;
    struct order *order = order_new(WEBHOOK_CHANGE, party);
    struct buf *out = &order->document;
    switch (dice(9)) {
    case 0: buf_addf(out, "{\"concurrency\":%ld}", one_of(1, 2, 8, 20)); break;
    case 1: buf_addf(out, "{\"rate\":%ld}", one_of(0, 0, 1, 5, 20)); break;
    case 2: buf_addf(out, "{\"retry\":\"%s\"}", plans[dice(PLANS)].text); break;
    case 3: buf_addf(out, "{\"ordered\":%s}", party->now.ordered ? "false" : "true"); break;
    case 4: buf_addf(out, "{\"after_last\":\"%s\"}", party->now.blocks ? "skip" : "block"); break;
    case 5: buf_addf(out, "{\"enabled\":%s}", party->now.disabled ? "true" : chance(300) ? "false" : "true"); break;
    case 6: buf_add_str(out, "{\"retry\":null}"); break;
    default: buf_addf(out, "{\"paused\":%s}", party->now.paused ? "false" : "true"); break;
    }
    happened(changed);
    order_submit(order);
}

static void remove_one(void)
{
    struct party *party = count_there() > 2 ? any_party() : NULL;
    if (party)
        order_submit(order_new(WEBHOOK_DELETE, party));
}

static bool is_over(const struct parcel *parcel) { return !parcel->to->removed && (parcel->stands == DEAD || parcel->stands == DELIVERED || parcel->stands == BLOCKED); }

static void redeliver_it(struct parcel *parcel)
{
    if (parcel->to->redelivers)      /* one after the other */
        return;
    struct order *order = order_new(WEBHOOK_REDELIVER, parcel->to);
    order->call.id = 0;
    order->call.delivery = parcel->to->redelivers = parcel->number;
    order_submit(order);
}

static void redeliver(void)
{
    for (int tries = 0; tries < 20 && parcels_count() > 0; tries++) {
        struct parcel *parcel = parcels_at(dice(parcels_count()));
        if (is_over(parcel) && (parcel->stands != DELIVERED || chance(200))) {
            redeliver_it(parcel);
            return;
        }
    }
}

/* All that stands so now. */
static struct tracked about(struct party *party, unsigned standings, int64_t since_ms)
{
    struct tracked t = { party, 0, sim.mono_ms, false, calloc(parcels_count() + 1, sizeof *t.revivals), parcels_count() };
    for (size_t i = 0; i < t.n; i++) {
        const struct parcel *parcel = parcels_at(i);
        bool is_meant = parcel->to == party && standings >> parcel->stands & 1 && parcel->time_ms >= since_ms;
        t.revivals[i] = is_meant ? parcel->revivals : UINT32_MAX;
    }
    return t;
}

static void replay(void)
{
    struct party *party = n_tracked < REPLAYS_TRACKED ? any_party() : NULL;
    if (!party)
        return;
    struct order *order = order_new(WEBHOOK_REPLAY, party);
    bool all = chance(300);
    int64_t since_ms = chance(400) ? (sim.wall_ms - (int64_t)dice(100000)) / 1000 * 1000 : 0;
    buf_addf(&order->document, "{\"status\":\"%s\"", all ? "all" : "failed");
    if (since_ms)
        buf_add_instant_member(&order->document, "since", since_ms / 1000);
    buf_add_char(&order->document, '}');
    order->about = about(party, 1U << DEAD | (all ? 1U << DELIVERED : 0), since_ms);
    party->replays_dead = true;
    party->replays_all |= all;
    order_submit(order);
}

static void redeliver_dead(void)
{
    struct party *party = n_tracked < REPLAYS_TRACKED ? any_party() : NULL;
    if (!party)
        return;
    struct order *order = order_new(WEBHOOK_REDELIVER_DEAD, party);
    order->about = about(party, 1U << DEAD, 0);
    party->replays_dead = true;
    order_submit(order);
}

/* All of it: what is purged is read first, and removed when it still is a dead letter then. */
static void purge(void)
{
    struct party *party = disk.broken ? NULL : any_party();
    if (!party)
        return;
    party->purges = true;
    order_submit(order_new(WEBHOOK_PURGE_DEAD, party));
    life_quiet();
}

static void test_one(void)
{
    struct party *party = any_party();
    if (party)
        order_submit(order_new(WEBHOOK_TEST, party));
}

static void rotate(void)
{
    struct party *party = any_party();
    if (!party)
        return;
    struct order *order = order_new(WEBHOOK_ROTATE, party);
    buf_addf(&order->document, "{\"overlap\":\"%s\"}", chance(500) ? "0" : "5s");
    order_submit(order);
}

/* ---- what is shown ---- */

static void must_show(const struct party *party, const struct webhook_call *call, const char *member, const char *value)
{
    struct json_object object;
    sim_check(!json_object_parse(buf_slice(&call->text), &object), "what is shown is no JSON");
    struct slice found = json_member_find(&object, member);
    sim_check(found.at && slice_is(found, slice_of(value)), "%d shows %s as %.*s, and it is %s", party->place, member, (int)found.len, found.at, value);
}

static void must_count(const struct party *party, const struct webhook_call *call, const char *member, size_t n)
{
    char text[24];
    snprintf(text, sizeof text, "%zu", n);
    must_show(party, call, member, text);
}

static void check_shown(const struct party *party, const struct webhook_call *call)
{
    static const char *const breakers[] = { [CLOSED] = "\"closed\"", [OPEN] = "\"open\"", [HALF_OPEN] = "\"half_open\"" };
    static const char *const reasons[] = { [DISABLED_NOT] = "null", [DISABLED_BY_HAND] = "\"by_hand\"", [DISABLED_GONE] = "\"gone\"", [DISABLED_FAILING] = "\"failing\"" };
    size_t pending = 0, dead = 0;
    for (size_t i = 0; i < parcels_count(); i++) {
        const struct parcel *parcel = parcels_at(i);
        pending += parcel->to == party && (parcel->stands == WAITS || parcel->stands == BLOCKED);
        dead += parcel->to == party && parcel->stands == DEAD;
    }
    must_count(party, call, "pending", pending);
    must_count(party, call, "dead_letters", dead);
    must_count(party, call, "sending", party->flying);
    must_show(party, call, "breaker", breakers[party->breaker]);
    must_show(party, call, "enabled", party->now.disabled ? "false" : "true");
    must_show(party, call, "paused", party->now.paused ? "true" : "false");
    must_show(party, call, "disabled_reason", reasons[party->now.disabled]);
    happened(shown);
}

static void check_replay(struct tracked *t, const struct webhook_call *call)
{
    if (call->call.err && sim.mono_ms - t->begun_ms > REPLAY_SHOWN_MS) {
        t->over = true;
        return;
    }
    sim_check(!call->call.err, "a replay is not found");
    if (sim.mono_ms - t->begun_ms < DONE_AFTER_MS || sim.mono_ms - sim.whole_ms < DONE_AFTER_MS)
        return;
    must_show(t->party, call, "status", "\"done\"");
    for (size_t i = 0; i < t->n; i++) {
        const struct parcel *parcel = parcels_at(i);
        sim_check(t->revivals[i] == UINT32_MAX || parcel->revivals > t->revivals[i] || parcel->stands == GONE, "a replay has left out delivery %lx", parcel->number);
    }
    t->over = true;
    happened(replays_done);
}

static void track(struct order *order)
{
    struct json_object object;
    if (order->call.call.err) {
        free(order->about.revivals);
        return;
    }
    sim_check(!json_object_parse(buf_slice(&order->call.text), &object), "a replay shows no JSON");
    struct slice id = json_member_find(&object, "id");
    order->about.number = replay_id_read(slice(id.at + 1, id.len - 2));
    tracked[n_tracked++] = order->about;
}

static void forget_tracked(void)
{
    while (n_tracked > 0)
        free(tracked[--n_tracked].revivals);
}

static void forget_over(void)
{
    size_t left = 0;
    for (size_t i = 0; i < n_tracked; i++)
        if (tracked[i].over || tracked[i].party->removed)
            free(tracked[i].revivals);
        else
            tracked[left++] = tracked[i];
    n_tracked = left;
}

/* ---- answers ---- */

static void order_answered(struct order *order)
{
    struct webhook_call *call = &order->call;
    struct party *party = order->party;
    if (call->call.err == ERR_STORE_FAILED)
        happened(orders_failed);
    if (call->order == WEBHOOK_REDELIVER)
        party->redelivers = 0;
    if (call->order == WEBHOOK_PURGE_DEAD)
        party->purges = false;
    if (call->order == WEBHOOK_CREATE && call->call.err && !party->there)
        party->removed = true;
    if (sim.dead)
        free(order->about.revivals);
    else if (call->order == WEBHOOK_REPLAY || call->order == WEBHOOK_REDELIVER_DEAD)
        track(order);
    if (!sim.dead && call->order == WEBHOOK_SHOW && !call->call.err)
        check_shown(party, call);
    if (!sim.dead && call->order == WEBHOOK_REPLAY_SHOW)
        check_replay(&tracked[call->after], call);
    buf_fini(&call->text);
    buf_fini(&order->document);
    free(order);
}

bool client_take(void)
{
    struct letter *letter = mailbox_take(&sim.box), *next;
    bool any = letter;
    for (; letter; letter = next) {
        next = letter->next;
        letter_done(letter);
        under_way--;
        if (letter->kind == CALL_WEBHOOK)
            order_answered((struct order *)letter);
        else
            event_answered((struct publish_call *)letter);
    }
    return any;
}

bool client_idle(void) { return under_way == 0; }

/* ---- what is done ---- */

static void publish_some(void)
{
    int channel = (int)dice(CHANNELS);
    for (uint64_t n = chance(60) ? dice(30) : 1 + dice(4); n > 0; n--)
        if (chance(750))
            client_publish(chance(600) ? channel : (int)dice(CHANNELS));
        else
            tell_event();
}

void client_act(void)
{
    static void (*const acts[])(void) = { create, change, change, change, remove_one, redeliver, redeliver, replay, redeliver_dead, purge, test_one, rotate };
    if (chance(650))
        publish_some();
    else
        acts[dice(sizeof acts / sizeof *acts)]();
}

void client_begin(void)
{
    for (uint64_t n = 2 + dice(3); n > 0; n--)
        create();
}

void client_heal(void)
{
    for (size_t i = 0; i < n_parties; i++) {
        struct party *party = &parties[i];
        partner_mood(party->place, GOOD);
        if (!party->there || party->removed || (!party->now.disabled && !party->now.paused))
            continue;
        struct order *order = order_new(WEBHOOK_CHANGE, party);
        buf_add_str(&order->document, "{\"enabled\":true,\"paused\":false}");
        order_submit(order);
        life_quiet();
    }
    for (size_t i = 0; i < parcels_count(); i++)
        if (parcels_at(i)->stands == BLOCKED && !parcels_at(i)->to->removed) {
            redeliver_it(parcels_at(i));
            life_quiet();
        }
}

void client_compare(void)
{
    for (size_t i = 0; i < n_parties; i++)
        if (parties[i].there && !parties[i].removed)
            order_submit(order_new(WEBHOOK_SHOW, &parties[i]));
    for (size_t i = 0; i < n_tracked; i++) {
        if (tracked[i].over || tracked[i].party->removed)
            continue;
        struct order *order = order_new(WEBHOOK_REPLAY_SHOW, tracked[i].party);
        order->call.replay = tracked[i].number;
        order->call.after = i;
        order_submit(order);
    }
    client_take();
    forget_over();
}

void client_killed(void) { forget_tracked(); }
