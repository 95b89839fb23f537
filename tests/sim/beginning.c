#include "tests/sim/beginning.h"

#include "hub/base/instant.h"
#include "tests/sim/sim.h"

#include <stdio.h>

static void print_instant(int64_t s, char *text, size_t size)
{
    struct buf out = { 0 };
    buf_add_instant(&out, s);
    snprintf(text, size, "%.*s", (int)out.len, out.at);
    buf_fini(&out);
}

struct beginning beginning_choose(struct sim *sim)
{
    struct beginning b = { .from = (enum fetch_from)one_of(sim, FETCH_ALL, FETCH_LATEST, FETCH_LATEST, FETCH_COUNT, FETCH_TIME, FETCH_TIME) };
    int64_t ago_s = (int64_t)dice(sim, 8);
    switch (b.from) {
    case FETCH_ALL:
        snprintf(b.text, sizeof b.text, "all");
        break;
    case FETCH_LATEST:
        snprintf(b.text, sizeof b.text, "last");
        break;
    case FETCH_COUNT:
        snprintf(b.text, sizeof b.text, "-%u", (unsigned)one_of(sim, 1, 2, 5, 40, 10000));
        break;
    default:
        if (chance(sim, 500))
            snprintf(b.text, sizeof b.text, "%lds", ago_s + 1);
        else
            print_instant(sim->wall_ms / 1000 - ago_s, b.text, sizeof b.text);
    }
    sim_check(sim, since_read(slice_of(b.text), sim->wall_ms, &b.since) == 0 && b.since.from == b.from, "since=%s is not understood", b.text);
    switch (b.from) {
    case FETCH_ALL:    happened(began_with_all); break;
    case FETCH_LATEST: happened(began_with_last); break;
    case FETCH_COUNT:  happened(began_with_count); break;
    default:           happened(began_with_time);
    }
    return b;
}

/* A duration is counted from when the edge read it: after it was said, at the latest now. */
static int64_t latest_time_ms(const struct sim *sim, const struct beginning *beginning)
{
    struct since since;
    return since_read(slice_of(beginning->text), sim->latest_ms, &since) ? 0 : since.time_ms;
}

/* What is kept still was kept when it was asked for. */
static bool is_behind(const struct model *model, const struct beginning *beginning, size_t at, uint16_t mask, uint64_t begin)
{
    const struct model_msg *m = &model->msgs[at];
    uint32_t above = 0;
    switch (beginning->from) {
    case FETCH_ALL:
        return false;
    case FETCH_LATEST:
        return model_follower(model, m->channel, m->seq) != NULL;
    case FETCH_TIME:
        return m->time_ms < latest_time_ms(model->sim, beginning);
    default:
        for (size_t i = at + 1; i < model->n; i++)
            above += model->msgs[i].seq > begin && model->msgs[i].fate == DONE && (names_channels(mask) & 1 << model->msgs[i].channel);
        return above >= beginning->since.count;
    }
}

void beginning_told(struct listener *r, int c, uint16_t mask, const struct beginning *beginning, struct position p)
{
    const struct model *model = &r->sim->model;
    struct part *part = &r->parts[c];
    for (size_t i = model->unkept_before; i < model->n && model->msgs[i].seq <= p.seq; i++)
        sim_check(r->sim, !name_matches(c, model->msgs[i].channel) || !model->msgs[i].kept || is_behind(model, beginning, i, mask, p.seq),
                  "listener %d: since=%s begins %s behind %lu, but %lu is kept", r->number, beginning->text, channel_names[c], p.seq, model->msgs[i].seq);
    part->head_when_told = part->unkept = model->head;
    if (beginning->from != FETCH_LATEST && part->excused < model_dropped(model, c))
        part->excused = model_dropped(model, c);
}

bool beginning_excuses(const struct listener *r, const struct part *part, const struct model_msg *m)
{
    const struct model *model = &r->sim->model;
    if (part->beginning.from != FETCH_LATEST || part->came & 1 << m->channel || m->seq > part->head_when_told)
        return false;
    const struct model_msg *newer = model_follower(model, m->channel, m->seq);
    return m->seq <= model->channels[m->channel].dropped || (newer && newer->seq <= part->head_when_told);
}
