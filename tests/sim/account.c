#include "tests/sim/account.h"

#include "tests/sim/lag.h"
#include "tests/sim/sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

_Noreturn void listener_fail(const struct listener *r, const char *format, ...)
{
    char text[500];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    sim_fail(r->sim, "listener %d (%s, last told %lu.%lu, asked with %lu.%lu): %s", r->number, r->kind == READ_WS ? "ws" : "sse",
             r->last.epoch, r->last.seq, r->asked.epoch, r->asked.seq, text);
}

const struct model *model_of(const struct listener *r) { return &r->sim->model; }

bool part_is_live(const struct part *part)
{
    return part->state == PART_LIVE || ((part->state == PART_ASKED || part->state == PART_LEAVING) && part->had);
}

void account_read(struct listener *r, uint64_t seq) { numbers_add(&r->read, seq); }

bool listener_keeps(const struct listener *r, int c) { return model_keeps(model_of(r), c); }
bool listener_turned(const struct listener *r, int c) { return model_turned(model_of(r), c); }

bool account_is_unkept(const struct listener *r, const struct part *part, const struct model_msg *m)
{
    return m->seq <= part->unkept && (!listener_keeps(r, m->channel) || listener_turned(r, m->channel));
}

void account_excuse_unkept(struct listener *r, int c) { r->parts[c].unkept = model_of(r)->head; }

/* A gap says why it is not there, or where it began does. */
static bool is_excused(const struct listener *r, const struct part *part, const struct model_msg *m)
{
    if (beginning_excuses(r, part, m) || account_is_unkept(r, part, m) || (m->seq <= part->conflated && lag_is_followed(model_of(r), m)))
        return true;
    return m->seq <= part->skipped || (m->seq <= part->excused && m->seq <= model_of(r)->channels[m->channel].dropped);
}

const struct model_msg *account_first_missing(const struct listener *r, int c, uint64_t after, uint64_t upto)
{
    const struct model_msg *m = model_next(model_of(r), c, r->client, after, upto);
    while (m && is_excused(r, &r->parts[c], m))
        m = model_next(model_of(r), c, r->client, m->seq, upto);
    return m;
}

void account_name(struct listener *r, int c, uint64_t upto)
{
    struct part *part = &r->parts[c];
    const struct model_msg *m = account_first_missing(r, c, part->checked, upto);
    while (m && numbers_have(&r->read, m->seq))
        m = account_first_missing(r, c, m->seq, upto);
    check(r, !m,
          "message %lu of %s was acknowledged and never came; everything up to %lu was said to have come, last seen of it %lu",
          m->seq, channel_names[c], upto, part->checked);
    part->checked = larger(part->checked, upto);
}

void account_all(struct listener *r, uint64_t upto)
{
    for (int c = 0; c < NAMES; c++)
        if (part_is_live(&r->parts[c]))
            account_name(r, c, upto);
}

void listener_check_position(const struct listener *r, struct position p)
{
    check(r, p.epoch == model_of(r)->epoch, "position %lu.%lu is of another epoch than %lu", p.epoch, p.seq, model_of(r)->epoch);
    check(r, p.seq <= model_of(r)->head, "position %lu is ahead of the head %lu", p.seq, model_of(r)->head);
}

void listener_move_to(struct listener *r, struct position p)
{
    r->last = r->stored = p;
    r->has_position = true;
}

const struct model_msg *listener_check_msg(const struct listener *r, struct position p, int channel, uint32_t tag)
{
    check(r, p.epoch == model_of(r)->epoch, "message %lu.%lu is of another epoch than %lu", p.epoch, p.seq, model_of(r)->epoch);
    const struct model_msg *m = model_find(model_of(r), p.seq);
    check(r, m && m->fate == DONE, "message %lu was never acknowledged (%s)", p.seq,
          m ? m->fate == FAILED ? "it failed" : "under way" : "unknown");
    check(r, m->tag == tag, "message %lu has payload %u, not %u", p.seq, tag, m->tag);
    check(r, channel == NO_CHANNEL || channel == m->channel, "message %lu is of %s", p.seq, channel_names[m->channel]);
    return m;
}
