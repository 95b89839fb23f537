#include "tests/sim/gap.h"

#include "tests/sim/account.h"
#include "tests/sim/lag.h"
#include "tests/sim/sim.h"

#include <string.h>

/* ---- what makes one right ---- */

static bool lag_may_skip(const struct listener *r) { return lag_says(r->sim, LAG_SKIP); }

bool gap_is_right(const struct listener *r, int c)
{
    struct position p = { model_of(r)->epoch, r->parts[c].checked };
    return model_loses(model_of(r), c) || listener_turned(r, c) || model_may_gap(model_of(r), c, p) || lag_may_skip(r);
}

/* Of a gap with several reasons the worst is told, so channels that were conflated are among those of which history lost some. */
static bool conflates_too(const struct listener *r, int c)
{
    return lag_policy_of(r->sim, c) == LAG_LATEST && lag_leaves_out(model_of(r), c, r->parts[c].checked);
}

/* ---- what is told ---- */

static void excuse(struct listener *r, int c, struct position gap)
{
    struct part *part = &r->parts[c];
    part->excused = model_dropped(model_of(r), c);
    part->skipped = r->begun && lag_may_skip(r) ? gap.seq : 0;
    if (r->begun && conflates_too(r, c))
        part->conflated = model_of(r)->head;
    account_excuse_unkept(r, c);
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
        check(r, listener_turned(r, c) || !epoch || told == (wanted && listener_keeps(r, c)), "a gap of reason epoch for %x of %x", mask, r->wanted);
        if (wanted)
            account_excuse_unkept(r, c);
        check(r, listener_turned(r, c) || !told || epoch || model_may_gap(model_of(r), c, r->asked),
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
            check(r, part_is_live(&r->parts[c]) || r->parts[c].state == PART_LEAVING, "a gap for %s", channel_names[c]);
            if (conflated)
                on_conflated(r, c);
            else
                check(r, conflates_too(r, c) || gap_is_right(r, c), "a gap for %s, of which nothing was dropped", channel_names[c]);
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
        check(r, epoch || model_may_gap(model_of(r), c, part->from) || model_loses(model_of(r), c) || listener_turned(r, c),
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
    listener_check_position(r, p);
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
    listener_move_to(r, p);
    r->gap_open = true;
}

/* ---- what follows ---- */

void gap_close(struct listener *r, uint64_t seq)
{
    for (int c = 0; c < NAMES && r->gap_open; c++) {
        const struct part *part = &r->parts[c];
        uint64_t after = larger(part->checked, r->last.seq);
        const struct model_msg *m = part_is_live(part) ? model_next(model_of(r), c, r->client, after, seq - 1) : NULL;
        while (m && (account_is_unkept(r, part, m) || beginning_excuses(r, part, m)))
            m = model_next(model_of(r), c, r->client, m->seq, seq - 1);
        check(r, !m, "after the gap at %lu came %lu, but %lu of %s lies between", r->last.seq, seq, m->seq, channel_names[c]);
    }
    r->gap_open = false;
}
