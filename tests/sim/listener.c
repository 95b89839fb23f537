#include "tests/sim/lag.h"
#include "tests/sim/line.h"
#include "tests/sim/sim.h"

#include "hub/base/instant.h"
#include "transports/sse.h"
#include "transports/ws.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define check(listener, condition, ...) do { if (!(condition)) listener_fail(listener, __VA_ARGS__); } while (0)

static _Noreturn void listener_fail(const struct listener *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
static _Noreturn void listener_fail(const struct listener *r, const char *format, ...)
{
    char text[500];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    sim_fail(r->sim, "listener %d (%s, last told %lu.%lu, asked with %lu.%lu): %s", r->number, r->kind == READ_WS ? "ws" : "sse",
             r->last.epoch, r->last.seq, r->asked.epoch, r->asked.seq, text);
}

static const struct model *model_of(const struct listener *r) { return &r->sim->model; }

/* ---- the truth ---- */

static bool is_live(const struct part *part)
{
    return part->state == PART_LIVE || ((part->state == PART_ASKED || part->state == PART_LEAVING) && part->had);
}

/* Has the connection had it, unmarked? */
static bool was_read(const struct listener *r, uint64_t seq)
{
    size_t low = 0, high = r->n_read;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (r->read[middle] < seq)
            low = middle + 1;
        else
            high = middle;
    }
    return low < r->n_read && r->read[low] == seq;
}

static void note_read(struct listener *r, uint64_t seq)
{
    if (r->n_read == r->cap_read) {
        r->cap_read = r->cap_read ? 2 * r->cap_read : 64;
        r->read = realloc(r->read, r->cap_read * sizeof *r->read);
        if (!r->read)
            abort();
    }
    r->read[r->n_read++] = seq;
}

static bool keeps(const struct listener *r, int c) { return model_keeps(model_of(r), c); }
/* It may have had history when the hub answered, or not. */
static bool turned(const struct listener *r, int c) { return model_turned(model_of(r), c); }

/* Of a channel without history, or that may have had none, and not behind where that was last said. EXACT.md 7. */
static bool is_unkept(const struct listener *r, const struct part *part, const struct model_msg *m)
{
    return m->seq <= part->unkept && (!keeps(r, m->channel) || turned(r, m->channel));
}

static void excuse_unkept(struct listener *r, int c) { r->parts[c].unkept = model_of(r)->head; }

/* A gap says why it is not there, or where it began does. */
static bool is_excused(const struct listener *r, const struct part *part, const struct model_msg *m)
{
    if (beginning_excuses(r, part, m) || is_unkept(r, part, m) || (m->seq <= part->conflated && lag_is_followed(model_of(r), m)))
        return true;
    return m->seq <= part->skipped || (m->seq <= part->excused && m->seq <= model_of(r)->channels[m->channel].dropped);
}

/* The first acknowledged message of this name after `after` that no gap excuses, or NULL. */
static const struct model_msg *first_missing(const struct listener *r, int c, uint64_t after, uint64_t upto)
{
    const struct model_msg *m = model_next(model_of(r), c, r->client, after, upto);
    while (m && is_excused(r, &r->parts[c], m))
        m = model_next(model_of(r), c, r->client, m->seq, upto);
    return m;
}

/* Everything acknowledged of the channel or pattern up to here must have been read by now, for whichever of its subscriptions. */
static void account(struct listener *r, int c, uint64_t upto)
{
    struct part *part = &r->parts[c];
    const struct model_msg *m = first_missing(r, c, part->checked, upto);
    while (m && was_read(r, m->seq))
        m = first_missing(r, c, m->seq, upto);
    check(r, !m,
          "message %lu of %s was acknowledged and never came; everything up to %lu was said to have come, last seen of it %lu",
          m->seq, channel_names[c], upto, part->checked);
    part->checked = larger(part->checked, upto);
}

static void account_all(struct listener *r, uint64_t upto)
{
    for (int c = 0; c < NAMES; c++)
        if (is_live(&r->parts[c]))
            account(r, c, upto);
}

/* A position is told: not ahead of what is committed, never back. */
static void check_position(const struct listener *r, struct position p)
{
    check(r, p.epoch == model_of(r)->epoch, "position %lu.%lu is of another epoch than %lu", p.epoch, p.seq, model_of(r)->epoch);
    check(r, p.seq <= model_of(r)->head, "position %lu is ahead of the head %lu", p.seq, model_of(r)->head);
}

static void move_to(struct listener *r, struct position p)
{
    r->last = r->stored = p;
    r->has_position = true;
}

static const struct model_msg *check_msg(const struct listener *r, struct position p, int channel, uint32_t tag)
{
    check(r, p.epoch == model_of(r)->epoch, "message %lu.%lu is of another epoch than %lu", p.epoch, p.seq, model_of(r)->epoch);
    const struct model_msg *m = model_find(model_of(r), p.seq);
    check(r, m && m->fate == DONE, "message %lu was never acknowledged (%s)", p.seq,
          m ? m->fate == FAILED ? "it failed" : "under way" : "unknown");
    check(r, m->tag == tag, "message %lu has payload %u, not %u", p.seq, tag, m->tag);
    check(r, channel == NO_CHANNEL || channel == m->channel, "message %lu is of %s", p.seq, channel_names[m->channel]);
    return m;
}

/* EXACT.md 9: the gap's position is the number just before the first message that follows it. */
static void close_gap(struct listener *r, uint64_t seq)
{
    for (int c = 0; c < NAMES && r->gap_open; c++) {
        const struct part *part = &r->parts[c];
        uint64_t after = larger(part->checked, r->last.seq);
        const struct model_msg *m = is_live(part) ? model_next(model_of(r), c, r->client, after, seq - 1) : NULL;
        while (m && (is_unkept(r, part, m) || beginning_excuses(r, part, m)))
            m = model_next(model_of(r), c, r->client, m->seq, seq - 1);
        check(r, !m, "after the gap at %lu came %lu, but %lu of %s lies between", r->last.seq, seq, m->seq, channel_names[c]);
    }
    r->gap_open = false;
}

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
        n += is_live(part) && p.seq > part->checked;
        *ret_pattern &= is_a_pattern(c) || !is_live(part);
    }
    check(r, n > 0 || leaving, "message %lu of %s, which is not subscribed to, or had been accounted for", p.seq, channel_names[m->channel]);
    return n;
}

/* Behind the first message of a channel nothing more of it is missing; of a pattern's other channels it may be. */
static void end_excuses(struct listener *r, struct position p, const struct model_msg *m)
{
    for (int c = 0; c < NAMES; c++) {
        struct part *part = &r->parts[c];
        if (!is_live(part) || !name_matches(c, m->channel))
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
    close_gap(r, p.seq);
    account_all(r, p.seq - 1);
    note_read(r, p.seq);
    end_excuses(r, p, m);
    account_all(r, p.seq);
    if (r->resumes && p.seq <= r->head_at_begin)
        happened(after_replay);
    if (n > 1)
        happened(overlaps);
    if (n > 0 && by_pattern)
        happened(by_pattern);
    move_to(r, p);
}

/* True: the replay of this name had to bring it now. */
static bool replays(struct listener *r, int c, struct position p, const struct model_msg *m)
{
    struct part *part = &r->parts[c];
    if (part->state != PART_REPLAY || p.seq <= part->from.seq)
        return false;
    const struct model_msg *between = first_missing(r, c, part->from.seq, p.seq - 1);
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
    const struct model_msg *m = check_msg(r, p, channel, tag);
    sim_trace(r->sim, "listener %d: %smessage %lu of %s", r->number, marked ? "marked " : "", p.seq, channel_names[m->channel]);
    happened(messages);
    check(r, !model_excludes(m, r->client), "message %lu is not for client %s", p.seq, client_names[r->client]);
    if (marked)
        on_marked(r, p, m);
    else
        on_unmarked(r, p, m);
}

/* ---- gaps ---- */

static bool lag_may_skip(const struct listener *r) { return lag_says(r->sim, LAG_SKIP); }

/* A channel without history begins when the hub answers, whatever the position: at the latest now. EXACT.md 7. */
static void begin_unkept(struct listener *r, int c, bool resumable)
{
    check(r, turned(r, c) || resumable == keeps(r, c), "%s is resumable: %d", channel_names[c], resumable);
    excuse_unkept(r, c);
}

/* On a stream that had begun: history must have lost something, or a lag rule or a channel without history explains it. */
static bool live_gap_is_right(const struct listener *r, int c)
{
    struct position p = { model_of(r)->epoch, r->parts[c].checked };
    return model_loses(model_of(r), c) || turned(r, c) || model_may_gap(model_of(r), c, p) || lag_may_skip(r);
}

/* Of a gap with several reasons the worst is told, so channels that were conflated are among those of which history lost some. */
static bool conflates_too(const struct listener *r, int c)
{
    return lag_policy_of(r->sim, c) == LAG_LATEST && lag_leaves_out(model_of(r), c, r->parts[c].checked);
}

static void excuse(struct listener *r, int c, struct position gap)
{
    struct part *part = &r->parts[c];
    part->excused = model_dropped(model_of(r), c);
    part->skipped = r->begun && lag_may_skip(r) ? gap.seq : 0;
    if (r->begun && conflates_too(r, c))
        part->conflated = model_of(r)->head;
    excuse_unkept(r, c);
    part->gapped = true;
}

static void on_first_gap(struct listener *r, struct position p, bool epoch, uint16_t mask)
{
    bool other_epoch = r->asked.epoch != model_of(r)->epoch;
    check(r, r->resumes, "a gap, although no position was given");
    check(r, r->gapped == 0, "two gaps before the stream begins");
    check(r, !epoch || other_epoch || r->asked.seq > r->head_when_asked, "a gap of reason epoch");
    check(r, epoch || !other_epoch, "a gap of reason history, but the epoch is new");
    for (int c = 0; c < NAMES; c++) {
        bool told = mask & 1 << c, wanted = r->wanted & 1 << c;
        check(r, turned(r, c) || !epoch || told == (wanted && keeps(r, c)), "a gap of reason epoch for %x of %x", mask, r->wanted);
        if (wanted)
            excuse_unkept(r, c);
        check(r, turned(r, c) || !told || epoch || model_may_gap(model_of(r), c, r->asked),
              "a gap for %s, of which nothing after the position was dropped", channel_names[c]);
    }
    r->gapped = mask;
    if (!epoch)
        happened(gap_history);
    else if (r->asked.epoch && other_epoch)
        happened(gap_epoch);
    else
        happened(gap_nonsense);
    for (int c = 0; c < NAMES; c++)
        if (epoch)
            r->parts[c].checked = 0;
    if (epoch)
        r->last = (struct position){ 0, 0 };
    check(r, epoch || p.seq >= r->asked.seq, "the gap is at %lu", p.seq);
}

/* EXACT.md 16: what has a newer one behind it was left out, because a rule says so. */
static void on_conflated(struct listener *r, int c)
{
    struct part *part = &r->parts[c];
    check(r, part->state == PART_LEAVING || conflates_too(r, c), "%s is conflated, which its rule does not say, or nothing was left out after %lu",
          channel_names[c], part->checked);
    part->conflated = model_of(r)->head;
    part->gapped = true;
    happened(gap_conflated);
}

static void on_live_gap(struct listener *r, struct position p, bool epoch, bool conflated, uint16_t mask)
{
    check(r, !epoch, "a gap of reason epoch in the middle of a stream");
    check(r, p.seq >= r->last.seq, "the gap goes back to %lu", p.seq);
    for (int c = 0; c < NAMES; c++)
        if (mask & 1 << c) {
            check(r, is_live(&r->parts[c]) || r->parts[c].state == PART_LEAVING, "a gap for %s", channel_names[c]);
            if (conflated)
                on_conflated(r, c);
            else
                check(r, conflates_too(r, c) || live_gap_is_right(r, c), "a gap for %s, of which nothing was dropped", channel_names[c]);
        }
    happened(gap_live);
}

static void on_marked_gap(struct listener *r, bool epoch, uint16_t mask)
{
    happened(gap_marked);
    for (int c = 0; c < NAMES; c++) {
        struct part *part = &r->parts[c];
        if (!(mask & 1 << c) || part->state == PART_LEAVING)
            continue;
        check(r, part->since && (part->state == PART_ASKED || part->state == PART_REPLAY), "a marked gap for %s",
              channel_names[c]);
        check(r, epoch || model_may_gap(model_of(r), c, part->from) || model_loses(model_of(r), c) || turned(r, c),
              "a marked gap for %s after %lu, of which nothing was dropped", channel_names[c], part->from.seq);
        check(r, !epoch || part->from.epoch != model_of(r)->epoch || part->future, "a marked gap for %s of reason epoch",
              channel_names[c]);
        excuse(r, c, (struct position){ 0, 0 });
        if (epoch)
            part->from = (struct position){ model_of(r)->epoch, 0 };
    }
}

static const char *const gap_names[] = { "unknown", [GAP_CONFLATED] = "conflated", [GAP_HISTORY] = "history", [GAP_EPOCH] = "epoch" };

enum gap_reason gap_reason_of(const char *text)
{
    enum gap_reason reason = GAP_EPOCH;
    while (reason > GAP_NONE && strcmp(gap_names[reason], text) != 0)
        reason--;
    return reason;
}

void on_gap(struct listener *r, struct position p, enum gap_reason reason, uint16_t mask, bool marked)
{
    bool epoch = reason == GAP_EPOCH, conflated = reason == GAP_CONFLATED;
    sim_trace(r->sim, "listener %d: %sgap %s at %lu.%lu for %x", r->number, marked ? "marked " : "", gap_names[reason], p.epoch, p.seq, mask);
    check(r, reason != GAP_NONE, "a gap of an unknown reason");
    check_position(r, p);
    check(r, mask != 0, "a gap for no channel");
    check(r, !conflated || (r->begun && !marked), "a gap of reason conflated where nobody can be behind");
    if (marked) {
        on_marked_gap(r, epoch, mask);
        return;
    }
    if (r->begun)
        on_live_gap(r, p, epoch, conflated, mask);
    else
        on_first_gap(r, p, epoch, mask);
    for (int c = 0; c < NAMES; c++)
        if (mask & 1 << c && !conflated)
            excuse(r, c, p);
    account_all(r, p.seq);
    move_to(r, p);
    r->gap_open = true;
}

/* ---- beginnings ---- */

/* Where the stream begins for a channel. */
static void check_beginning(struct listener *r, int c, struct position p, bool recovered, bool resumable)
{
    bool gapped = r->gapped & 1 << c;
    check_position(r, p);
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
    move_to(r, p);
    begin(r);
}

void on_welcome(struct listener *r, struct position p)
{
    sim_trace(r->sim, "listener %d: welcome at %lu.%lu", r->number, p.epoch, p.seq);
    check(r, !r->welcomed, "welcome twice");
    r->welcomed = true;
    if (r->resumes && r->wanted && p.epoch == r->asked.epoch && p.seq == r->asked.seq)
        return;     /* where it was; if that is not where it begins, a gap says so */
    check_position(r, p);
    bool any_turned = false;
    for (int c = 0; c < NAMES; c++)
        any_turned |= turned(r, c);
    if (r->resumes && model_keeps_any(model_of(r), r->wanted) && !any_turned)
        check(r, false, "welcome moves the position to %lu.%lu before a gap was told", p.epoch, p.seq);
    move_to(r, p);
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
    check(r, !recovered && (turned(r, c) || resumable == keeps(r, c)), "subscribed to %s from outside, recovered", channel_names[c]);
    check(r, part->state != PART_REPLAY && !is_live(part), "subscribed to %s twice", channel_names[c]);
    rights_told(r, c);
    happened(given_read);
    if (part->state == PART_OUT)
        *part = (struct part){ .state = PART_LIVE };
    part->had = true;
    part->checked = p.seq;
    part->excused = 0;
    if (r->last.seq > p.seq)
        account(r, c, r->last.seq);
}

void on_subscribed(struct listener *r, int ref, int c, struct position p, bool recovered, bool resumable)
{
    struct part *part = &r->parts[c];
    sim_trace(r->sim, "listener %d: subscribed to %s at %lu.%lu, ref %d", r->number, channel_names[c], p.epoch, p.seq, ref);
    check(r, c != NO_CHANNEL && (r->welcomed || r->kind != READ_WS), "subscribed before welcome");
    check_position(r, p);
    if (part->of_url && !part->subscribed) {
        check(r, ref == 0, "subscribed with ref %d", ref);
        part->subscribed = true;
        attendance_begun(r, c);
        check_beginning(r, c, p, recovered, resumable);
        if (part->state == PART_LIVE)
            account(r, c, p.seq);
        if (!all_begun(r))
            return;
        move_to(r, p);
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
    check(r, !recovered && (turned(r, c) || resumable == keeps(r, c)), "subscribed to %s from now, recovered", channel_names[c]);
    part->state = PART_LIVE;
    part->checked = p.seq;
    if (r->last.seq > p.seq)
        account(r, c, r->last.seq);
}

void on_replayed(struct listener *r, int c, struct position p)
{
    struct part *part = &r->parts[c];
    sim_trace(r->sim, "listener %d: replay of %s ends at %lu", r->number, channel_names[c], p.seq);
    check_position(r, p);
    if (part->state == PART_LEAVING)
        return;
    check(r, part->state == PART_REPLAY, "the end of a replay of %s, which has none", channel_names[c]);
    check(r, p.seq >= part->from.seq, "the replay of %s ends at %lu, before %lu", channel_names[c], p.seq, part->from.seq);
    happened(replays);
    const struct model_msg *missing = first_missing(r, c, part->from.seq, p.seq);
    check(r, !missing, "the replay of %s ends at %lu, but %lu did not come", channel_names[c], p.seq, missing->seq);
    part->state = PART_LIVE;
    part->checked = p.seq;
    part->beginning.from = FETCH_NOW;
    part->excused = 0;
    part->gapped = false;
    if (r->last.seq > p.seq)
        account(r, c, r->last.seq);     /* it promised that already */
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
        check(r, unsure || (rights_next(r, c, 0) == NOTICE_BEGAN && !is_live(part)), "unsubscribed from %s, which nobody has given", channel_names[c]);
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
    check_position(r, p);
    check(r, r->begun, "a position before the stream has begun");
    check(r, p.seq >= r->last.seq, "the position goes back to %lu", p.seq);
    account_all(r, p.seq);
    move_to(r, p);
    happened(fresh_positions);
}

void on_published(struct listener *r, int ref, struct position p, int channel)
{
    const struct await *await = listener_awaits(r, ref);
    check(r, await && await->tag, "ok for %d, which was no publish", ref);
    check_msg(r, p, channel, await->tag);
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
        if (r->parts[c].state != PART_OUT && lag_policy_of(r->sim, c) == LAG_DISCONNECT && live_gap_is_right(r, c))
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
