#include "tests/sim/account.h"
#include "tests/sim/gap.h"
#include "tests/sim/lag.h"
#include "tests/sim/line.h"
#include "tests/sim/sim.h"

#include "hub/base/instant.h"

#include <string.h>

/* ---- messages ---- */

/* The subscriptions that a message that came is for. */
static unsigned wanting(const struct listener *r, struct position p, const struct model_msg *m, bool *ret_pattern)
{
    unsigned n = 0;
    bool leaving = false;
    *ret_pattern = true;
    for (int c = 0; c < NAMES; c++) {
        const struct part *part = &r->parts[c];
        if (!name_matches(c, m->channel))
            continue;
        leaving |= part->state == PART_LEAVING;
        n += part_is_live(part) && p.seq > part->checked;
        *ret_pattern &= is_a_pattern(c) || !part_is_live(part);
    }
    check(r, n > 0 || leaving, "message %lu of %s, which is not subscribed to, or had been accounted for", p.seq, channel_names[m->channel]);
    return n;
}

/* Behind the first message of a channel nothing more of it is missing; of a pattern's other channels it may be. */
static void end_excuses(struct listener *r, struct position p, const struct model_msg *m)
{
    for (int c = 0; c < NAMES; c++) {
        struct part *part = &r->parts[c];
        if (!part_is_live(part) || !name_matches(c, m->channel))
            continue;
        part->came |= (uint16_t)(1 << m->channel);
        if (!is_a_pattern(c) || p.seq >= larger(part->excused, part->skipped))
            part->excused = part->skipped = 0;
        if (!is_a_pattern(c) || p.seq >= part->conflated)
            part->conflated = 0;
    }
}

static void on_unmarked(struct listener *r, struct position p, const struct model_msg *m)
{
    bool by_pattern;
    unsigned n = wanting(r, p, m, &by_pattern);
    check(r, r->begun, "message %lu before the stream has begun", p.seq);
    check(r, r->last.epoch != p.epoch || p.seq > r->last.seq, "message %lu comes again or too late", p.seq);
    gap_close(r, p.seq);
    account_all(r, p.seq - 1);
    account_read(r, p.seq);
    end_excuses(r, p, m);
    account_all(r, p.seq);
    if (r->resumes && p.seq <= r->head_at_begin)
        happened(after_replay);
    if (n > 1)
        happened(overlaps);
    if (n > 0 && by_pattern)
        happened(by_pattern);
    listener_move_to(r, p);
}

/* True: the replay of this name had to bring it now. */
static bool replays(struct listener *r, int c, struct position p, const struct model_msg *m)
{
    struct part *part = &r->parts[c];
    if (part->state != PART_REPLAY || p.seq <= part->from.seq)
        return false;
    const struct model_msg *between = account_first_missing(r, c, part->from.seq, p.seq - 1);
    check(r, !between, "marked message %lu of %s came, but not %lu", p.seq, channel_names[c], between->seq);
    part->from = p;
    part->came |= (uint16_t)(1 << m->channel);
    if (!is_a_pattern(c) || p.seq >= part->excused)
        part->excused = 0;
    return true;
}

/* One replay at a time goes on, of one or several names. */
static void on_marked(struct listener *r, struct position p, const struct model_msg *m)
{
    bool wanted = false, leaving = false;
    int ref = 0;
    happened(messages_marked);
    for (int c = 0; c < NAMES; c++) {
        struct part *part = &r->parts[c];
        check(r, part->state != PART_REPLAY || ref == 0 || ref == part->ref, "two replays at a time, %d and %d", ref, part->ref);
        ref = part->state == PART_REPLAY ? part->ref : ref;
        if (name_matches(c, m->channel)) {
            wanted |= replays(r, c, p, m);
            leaving |= part->state == PART_LEAVING;
        }
    }
    check(r, wanted || leaving, "marked message %lu of %s without a replay, or again", p.seq, channel_names[m->channel]);
}

void on_message(struct listener *r, struct position p, int channel, uint32_t tag, bool marked)
{
    const struct model_msg *m = listener_check_msg(r, p, channel, tag);
    sim_trace(r->sim, "listener %d: %smessage %lu of %s", r->number, marked ? "marked " : "", p.seq, channel_names[m->channel]);
    happened(messages);
    check(r, !model_excludes(m, r->client), "message %lu is not for client %s", p.seq, client_names[r->client]);
    if (marked)
        on_marked(r, p, m);
    else
        on_unmarked(r, p, m);
}

/* ---- beginnings ---- */

/* A channel without history begins when the hub answers, whatever the position: at the latest now. EXACT.md 7. */
static void begin_unkept(struct listener *r, int c, bool resumable)
{
    check(r, listener_turned(r, c) || resumable == listener_keeps(r, c), "%s is resumable: %d", channel_names[c], resumable);
    account_excuse_unkept(r, c);
}

/* Where the stream begins for a channel. */
static void check_beginning(struct listener *r, int c, struct position p, bool recovered, bool resumable)
{
    bool gapped = r->gapped & 1 << c;
    listener_check_position(r, p);
    if (r->resumes)
        begin_unkept(r, c, resumable);
    check(r, recovered == (r->resumes && resumable && !gapped), "%s is recovered: %d", channel_names[c], recovered);
    if (!r->resumes || !resumable)
        r->parts[c].checked = p.seq;
    if (!r->resumes && r->beginning.from != FETCH_NOW)
        beginning_told(r, c, r->wanted, &r->beginning, p);
    if (r->resumes && resumable && r->gapped == 0)
        check(r, p.epoch == r->asked.epoch && p.seq == r->asked.seq, "resumed at %lu.%lu without a gap", p.epoch, p.seq);
    if (r->gapped)
        check(r, p.seq == r->last.seq, "began at %lu, not where the gap is", p.seq);
}

static void begin(struct listener *r)
{
    r->begun = true;
    r->head_at_begin = model_of(r)->head;
    if (r->resumes && !model_keeps_any(model_of(r), r->wanted))
        happened(history_off);
    else if (r->resumes && r->gapped == 0)
        happened(resumed_whole);
}

void on_ready(struct listener *r, struct position p, uint16_t recovered, uint16_t resumable, uint16_t mask)
{
    sim_trace(r->sim, "listener %d: ready at %lu.%lu", r->number, p.epoch, p.seq);
    check(r, !r->begun, "ready twice");
    check(r, mask == r->wanted, "ready for %x, not %x", mask, r->wanted);
    for (int c = 0; c < NAMES; c++)
        if (mask & 1 << c) {
            check_beginning(r, c, p, recovered & 1 << c, resumable & 1 << c);
            r->parts[c].subscribed = true;
            attendance_begun(r, c);
        }
    account_all(r, p.seq);
    listener_move_to(r, p);
    begin(r);
}

void on_welcome(struct listener *r, struct position p)
{
    sim_trace(r->sim, "listener %d: welcome at %lu.%lu", r->number, p.epoch, p.seq);
    check(r, !r->welcomed, "welcome twice");
    r->welcomed = true;
    if (r->resumes && r->wanted && p.epoch == r->asked.epoch && p.seq == r->asked.seq)
        return;     /* where it was; if that is not where it begins, a gap says so */
    listener_check_position(r, p);
    bool any_turned = false;
    for (int c = 0; c < NAMES; c++)
        any_turned |= listener_turned(r, c);
    if (r->resumes && model_keeps_any(model_of(r), r->wanted) && !any_turned)
        check(r, false, "welcome moves the position to %lu.%lu before a gap was told", p.epoch, p.seq);
    listener_move_to(r, p);
    if (!r->wanted)
        begin(r);
}

static bool all_begun(const struct listener *r)
{
    for (int c = 0; c < NAMES; c++)
        if (r->parts[c].of_url && !r->parts[c].subscribed)
            return false;
    return true;
}

static void on_replay_begins(struct listener *r, int c, struct position p, bool recovered, bool resumable)
{
    struct part *part = &r->parts[c];
    part->state = PART_REPLAY;
    if (part->beginning.from != FETCH_NOW) {
        check(r, !recovered && !part->gapped, "the replay of %s is recovered, of no position", channel_names[c]);
        part->from = p;
        part->came = 0;
        beginning_told(r, c, part->together, &part->beginning, p);
        return;
    }
    check(r, recovered == (resumable && !part->gapped), "%s is recovered: %d", channel_names[c], recovered);
    begin_unkept(r, c, resumable);
    if (!resumable)
        part->from = p;
    else if (!part->gapped)
        check(r, p.epoch == part->from.epoch && p.seq >= part->from.seq && !model_next(model_of(r), c, r->client, part->from.seq, p.seq),
              "the replay of %s begins at %lu.%lu, not %lu.%lu", channel_names[c], p.epoch, p.seq, part->from.epoch, part->from.seq);
}

/* Nobody has asked: an operator or other credentials gave it. It begins now. */
static void on_given(struct listener *r, int c, struct position p, bool recovered, bool resumable)
{
    struct part *part = &r->parts[c];
    check(r, r->begun && (rights_next(r, c, 0) == NOTICE_BEGAN || r->rights.unsure), "subscribed to %s, which nobody has given", channel_names[c]);
    check(r, !recovered && (listener_turned(r, c) || resumable == listener_keeps(r, c)), "subscribed to %s from outside, recovered", channel_names[c]);
    check(r, part->state != PART_REPLAY && !part_is_live(part), "subscribed to %s twice", channel_names[c]);
    rights_told(r, c);
    happened(given_read);
    if (part->state == PART_OUT)
        *part = (struct part){ .state = PART_LIVE };
    part->had = true;
    part->checked = p.seq;
    part->excused = 0;
    if (r->last.seq > p.seq)
        account_name(r, c, r->last.seq);
}

void on_subscribed(struct listener *r, int ref, int c, struct position p, bool recovered, bool resumable)
{
    struct part *part = &r->parts[c];
    sim_trace(r->sim, "listener %d: subscribed to %s at %lu.%lu, ref %d", r->number, channel_names[c], p.epoch, p.seq, ref);
    check(r, c != NO_CHANNEL && (r->welcomed || r->kind != READ_WS), "subscribed before welcome");
    listener_check_position(r, p);
    if (part->of_url && !part->subscribed) {
        check(r, ref == 0, "subscribed with ref %d", ref);
        part->subscribed = true;
        attendance_begun(r, c);
        check_beginning(r, c, p, recovered, resumable);
        if (part->state == PART_LIVE)
            account_name(r, c, p.seq);
        if (!all_begun(r))
            return;
        listener_move_to(r, p);
        begin(r);
        return;
    }
    if (ref == 0) {
        on_given(r, c, p, recovered, resumable);
        return;
    }
    check(r, ref == part->ref && !part->had, "subscribed to %s with ref %d, not %d", channel_names[c], ref, part->ref);
    check(r, part->state == PART_ASKED || part->state == PART_LEAVING, "subscribed to %s, which was not asked for",
          channel_names[c]);
    listener_answered(r, ref, 1);
    attendance_begun(r, c);
    part->was_asked = false;
    if (part->state == PART_LEAVING)
        return;
    if (part->since) {
        on_replay_begins(r, c, p, recovered, resumable);
        return;
    }
    check(r, !recovered && (listener_turned(r, c) || resumable == listener_keeps(r, c)), "subscribed to %s from now, recovered", channel_names[c]);
    part->state = PART_LIVE;
    part->checked = p.seq;
    if (r->last.seq > p.seq)
        account_name(r, c, r->last.seq);
}

void on_replayed(struct listener *r, int c, struct position p)
{
    struct part *part = &r->parts[c];
    sim_trace(r->sim, "listener %d: replay of %s ends at %lu", r->number, channel_names[c], p.seq);
    listener_check_position(r, p);
    if (part->state == PART_LEAVING)
        return;
    check(r, part->state == PART_REPLAY, "the end of a replay of %s, which has none", channel_names[c]);
    check(r, p.seq >= part->from.seq, "the replay of %s ends at %lu, before %lu", channel_names[c], p.seq, part->from.seq);
    happened(replays);
    const struct model_msg *missing = account_first_missing(r, c, part->from.seq, p.seq);
    check(r, !missing, "the replay of %s ends at %lu, but %lu did not come", channel_names[c], p.seq, missing->seq);
    part->state = PART_LIVE;
    part->checked = p.seq;
    part->beginning.from = FETCH_NOW;
    part->excused = 0;
    part->gapped = false;
    if (r->last.seq > p.seq)
        account_name(r, c, r->last.seq);     /* it promised that already */
}

/* From outside. What was given and taken before it had begun a stream is not told of at all. */
static void on_taken(struct listener *r, int c, enum notice notice)
{
    struct part *part = &r->parts[c];
    if (r->kind != READ_WS && rights_next(r, c, 0) == NOTICE_BEGAN) {
        rights_told(r, c);
        happened(given_unread);
    }
    check(r, rights_next(r, c, 0) == notice || r->rights.unsure, "the end of %s is told, for which there was no reason", channel_names[c]);
    rights_told(r, c);
    part->had = false;
    if (part->state == PART_LIVE || part->state == PART_REPLAY)
        *part = (struct part){ .state = PART_OUT };
    r->gap_open = false;
}

/* It ends before it had begun: that beginning is answered first, then its end is told by itself. */
static void on_withdrawn(struct listener *r, int ref, int c)
{
    struct part *part = &r->parts[c];
    bool unsure = r->rights.unsure;
    enum notice why = rights_next(r, c, ref ? 0 : 1);
    bool ended = why == NOTICE_REMOVED || why == NOTICE_FORBIDDEN;
    if (ref == 0) {
        check(r, unsure || (rights_next(r, c, 0) == NOTICE_BEGAN && !part_is_live(part)), "unsubscribed from %s, which nobody has given", channel_names[c]);
        check(r, unsure || ended || part->state == PART_LEAVING, "unsubscribed from %s without a reason", channel_names[c]);
        rights_told(r, c);
        happened(given_unread);
        return;
    }
    listener_answered(r, ref, 1);
    happened(withdrawn);
    part->was_asked = false;
    if (part->state == PART_LEAVING)      /* by whomever: its own command or an order */
        return;
    check(r, unsure || (part->state == PART_ASKED && ended), "unsubscribed from %s, which was asked for", channel_names[c]);
    *part = (struct part){ .state = PART_OUT };
}

void on_unsubscribed(struct listener *r, int ref, int c, const char *code)
{
    struct part *part = &r->parts[c];
    sim_trace(r->sim, "listener %d: unsubscribed from %s, %s, ref %d", r->number, channel_names[c], code, ref);
    if (strcmp(code, "normal") != 0) {
        check(r, ref == 0 && (!strcmp(code, "removed") || !strcmp(code, "forbidden")), "unsubscribed from %s: %s", channel_names[c], code);
        on_taken(r, c, !strcmp(code, "removed") ? NOTICE_REMOVED : NOTICE_FORBIDDEN);
        return;
    }
    if (ref == 0 || (ref == part->ref && (part->was_asked || part->state == PART_ASKED))) {
        on_withdrawn(r, ref, c);
        return;
    }
    check(r, part->state == PART_LEAVING && ref == part->leave_ref && !part->was_asked, "unsubscribed from %s with ref %d, not %d", channel_names[c],
          ref, part->leave_ref);
    *part = (struct part){ .state = PART_OUT };
    r->gap_open = false;      /* what followed the gap may have been of this channel */
    listener_answered(r, ref, 1);
    happened(unsubscribes);
}

/* ---- positions, answers, ends ---- */

void on_expiring(struct listener *r, const char *expires)
{
    int64_t s = 0;
    bool known = false;
    check(r, r->begun, "credentials end, before the stream has begun");
    check(r, instant_parse(slice_of(expires), &s), "credentials end at '%s'", expires);
    for (size_t i = 0; i < LIVES_MAX && i < r->rights.n_lives; i++)
        known |= r->rights.lives_ms[i] == s * 1000;
    check(r, known, "credentials end at %s, which it does not have", expires);
    happened(expiring);
}

void on_position(struct listener *r, struct position p)
{
    sim_trace(r->sim, "listener %d: position %lu.%lu", r->number, p.epoch, p.seq);
    listener_check_position(r, p);
    check(r, r->begun, "a position before the stream has begun");
    check(r, p.seq >= r->last.seq, "the position goes back to %lu", p.seq);
    account_all(r, p.seq);
    listener_move_to(r, p);
    happened(fresh_positions);
}

void on_published(struct listener *r, int ref, struct position p, int channel)
{
    const struct await *await = listener_awaits(r, ref);
    check(r, await && await->tag, "ok for %d, which was no publish", ref);
    listener_check_msg(r, p, channel, await->tag);
    listener_answered(r, ref, 1);
    happened(publish_by_ws);
}

/* Nothing has changed by it: what it has is what it was told. */
static void on_too_late(struct listener *r, int ref)
{
    for (int c = 0; c < NAMES; c++) {
        struct part *part = &r->parts[c];
        bool asked = part->state == PART_ASKED && part->ref == ref, leaves = part->state == PART_LEAVING && part->leave_ref == ref;
        if (part->ref == ref)
            part->was_asked = false;
        if (!asked && !leaves)
            continue;
        part->state = part->had ? PART_LIVE : PART_OUT;
        part->members.asks &= leaves;
        part->since = part->gapped = false;
    }
    happened(too_late);
}

void on_refused(struct listener *r, int ref, const char *code)
{
    const struct await *await = listener_awaits(r, ref);
    sim_trace(r->sim, "listener %d: error %s for %d", r->number, code, ref);
    if (ref == 0) {      /* the last words, where the close code is no invitation to come back */
        on_bye(r, code);
        return;
    }
    check(r, await, "error %s for %d, which was not asked", code, ref);
    bool outage = !strcmp(code, "store_failed") || !strcmp(code, "busy") || !strcmp(code, "draining");
    bool too_late = await->refusal && !strcmp(await->refusal, code);
    check(r, await->bad || (await->tag && outage) || too_late, "error %s for %d", code, ref);
    if (too_late)
        on_too_late(r, ref);
    listener_answered(r, ref, await->answers);
    happened(refused_commands);
}

/* History has lost what a channel of its needs, or a lag rule says so; and it had begun. EXACT.md 16. */
static bool is_slow(const struct listener *r)
{
    if (!r->begun || !lag_knows(r->sim, LAG_DISCONNECT))
        return false;
    if (lag_says(r->sim, LAG_DISCONNECT) || lag_says(r->sim, LAG_SKIP))      /* skipping skips in all channels: the strictest counts */
        return true;
    for (int c = 0; c < NAMES; c++)
        if (r->parts[c].state != PART_OUT && lag_policy_of(r->sim, c) == LAG_DISCONNECT && gap_is_right(r, c))
            return true;
    return false;
}

void on_bye(struct listener *r, const char *code)
{
    sim_trace(r->sim, "listener %d: bye %s", r->number, code);
    r->ended = true;
    if (!strcmp(code, "draining")) {
        check(r, r->sim->draining, "draining, but the hub is not");
        happened(drained);
    } else if (!strcmp(code, "slow_consumer")) {
        check(r, is_slow(r), "closed as slow, but nothing is lost");
        check(r, r->line->conn ? r->line->conn->was_live : r->line->was_live,
              "closed as slow before it had once reached the head");
        happened(slow_closed);
    } else if (!strcmp(code, "disconnected")) {
        check(r, r->rights.closed || r->rights.unsure, "disconnected, which nobody has ordered");
        happened(closed_by_order);
    } else if (!strcmp(code, "token_expired")) {
        check(r, r->rights.credentials.expires_ms <= r->sim->latest_ms, "its credentials are said to have ended");
        happened(expired);
    } else {
        bool was_stuck = !r->sim->settling || r->sim->mono_ms <= r->sim->settling_ms + 2 * r->sim->config.ws_ping_ms + 2000;
        check(r, !strcmp(code, "ping_timeout") && r->kind == READ_WS && was_stuck, "bye: %s", code);
        happened(ping_timeouts);
    }
}

bool listener_is_quiet(const struct listener *r)
{
    if (!r->line || !r->begun || r->ended || r->n_awaits > 0 || r->n_say > 0 || r->line->net.len > 0)
        return false;
    for (int c = 0; c < NAMES; c++)
        if (r->parts[c].state == PART_ASKED || r->parts[c].state == PART_REPLAY || r->parts[c].state == PART_LEAVING ||
            r->again[c].wants)
            return false;
    return true;
}

/* Nothing is under way anywhere, heartbeats have been sent: it knows everything, and that it does. EXACT.md 11. */
void listener_at_rest(struct listener *r)
{
    check(r, listener_is_quiet(r), "is not at rest: %s%s%zu answers awaited, %zu commands to send, %zu bytes unread",
          !r->line ? "not connected, " : "", !r->begun ? "not begun, " : "", r->n_awaits, r->n_say, r->line ? r->line->net.len : 0);
    account_all(r, model_of(r)->head);
    check(r, r->last.epoch == model_of(r)->epoch && r->last.seq == model_of(r)->head,
          "its position is not fresh, the head is %lu",
          model_of(r)->head);
}
