#include "tests/sim/attendance.h"

#include "hub/access/access.h"
#include "hub/base/err.h"
#include "hub/presence.h"
#include "tests/sim/line.h"
#include "tests/sim/sim.h"

static bool is_there(const struct presence_model *member) { return member->events % 2 == 1; }

static int person_of(struct slice user)
{
    for (int person = 1; person < PERSONS; person++)
        if (slice_is(user, slice_of(person_name(person))))
            return person;
    return 0;
}

/* ---- what the edges report ---- */

struct attending attendance_of(const struct letter *letter)
{
    const struct attendance *a = letter->kind == LETTER_JOIN ? link_of(letter, struct attendance, join) : link_of(letter, struct attendance, leave);
    return (struct attending){ (uint8_t)channel_by_name(slice(a->name, a->name_len)), (uint8_t)person_of(principal_user(a->principal)), a->peer,
                               a->counts, a->asks };
}

static int edge_of(const struct sim *sim, unsigned peer)
{
    for (int e = 0; e < sim->n_edges; e++)
        if (sim->edges[e]->peer == peer)
            return e;
    sim_fail(sim, "peer %u is no edge", peer);
}

static void happen(struct attendance_model *model, int c, int person)
{
    const struct sim *sim = model->sim;
    struct presence_model *member = &model->members[c][person];
    member->events++;
    if (is_there(member))
        happened(joined);
    else
        happened(left);
    sim_trace(sim, "%s has %s %s", person_name(person), is_there(member) ? "joined" : "left", channel_names[c]);
    for (unsigned peer = 0; peer < PEERS; peer++) {
        struct expected *expected = model->askers[c][peer] ? &model->expected[edge_of(sim, peer)] : NULL;
        if (!expected || !sim->config.presence_events)
            continue;
        if (expected->n == EXPECTED_MAX && expected->lost)
            memmove(expected->at, expected->at + 1, --expected->n * sizeof *expected->at);
        sim_check(sim, expected->n < EXPECTED_MAX, "more events than the simulation has room for");
        expected->at[expected->n++] = (struct told){ (uint8_t)c, (uint8_t)person, is_there(member) };
    }
}

static void join(struct attendance_model *model, const struct attending *a)
{
    struct presence_model *member = &model->members[a->channel][a->person];
    if (a->counts && member->there++ == 0) {
        if (is_there(member))
            happened(came_back);
        else
            member->since_ms = model->sim->wall_ms;
        if (!is_there(member))
            happen(model, a->channel, a->person);
    } else if (a->counts) {
        happened(tabs);
    }
    model->askers[a->channel][a->peer] += a->asks;
}

static void leave(struct attendance_model *model, const struct attending *a)
{
    struct presence_model *member = &model->members[a->channel][a->person];
    int64_t grace_ms = model->sim->config.presence_grace_ms;
    model->askers[a->channel][a->peer] -= a->asks;
    if (!a->counts)
        return;
    sim_check(model->sim, member->there > 0, "%s leaves %s, who is not there", person_name(a->person), channel_names[a->channel]);
    member->leaves_ms = model->sim->mono_ms + grace_ms;
    if (--member->there == 0 && grace_ms <= 0)
        happen(model, a->channel, a->person);
}

void attendance_letter(struct attendance_model *model, uint32_t kind, const struct attending *attending)
{
    sim_check(model->sim, !attending->counts || (attending->person && model->sim->config.presence_members), "nobody is reported as a member");
    if (kind == LETTER_JOIN)
        join(model, attending);
    else
        leave(model, attending);
}

void attendance_tick(struct attendance_model *model)
{
    for (;;) {      /* in the order in which their time ends */
        struct presence_model *first = NULL;
        int channel = 0, person = 0;
        for (int c = 0; c < CHANNELS; c++)
            for (int p = 1; p < PERSONS; p++) {
                struct presence_model *member = &model->members[c][p];
                bool ends = is_there(member) && member->there == 0 && member->leaves_ms <= model->sim->mono_ms;
                if (ends && (!first || member->leaves_ms < first->leaves_ms)) {
                    first = member;
                    channel = c;
                    person = p;
                }
            }
        if (!first)
            return;
        happen(model, channel, person);
    }
}

/* ---- the list ---- */

void attendance_check_list(const struct attendance_model *model, const struct members_call *call)
{
    const struct sim *sim = model->sim;
    int c = channel_by_name(call->channel);
    size_t count = 0, listed = 0;
    if (!sim->config.presence_members) {
        sim_check(sim, call->call.err == ERR_PRESENCE_OFF, "members that are not known are answered %d", call->call.err);
        return;
    }
    sim_check(sim, call->call.err == 0, "members are answered %d", call->call.err);
    for (int person = 1; person < PERSONS; person++) {      /* their names are in order */
        const struct presence_model *member = &model->members[c][person];
        bool is_behind = call->after.len == 0 || strcmp(person_name(person), "ann") > 0;      /* the cursor is ann or nothing */
        count += is_there(member);
        if (!is_there(member) || !is_behind || listed == call->limit)
            continue;
        sim_check(sim, listed < call->n_infos, "%s is not listed in %s", person_name(person), channel_names[c]);
        const struct member_info *info = &call->infos[listed++];
        sim_check(sim, slice_is(principal_user(info->principal), slice_of(person_name(person))), "not %s is listed in %s", person_name(person), channel_names[c]);
        sim_check(sim, info->connections == member->there && info->since_ms == member->since_ms, "%s is in %s %u times since %ld, not %u times since %ld",
                  person_name(person), channel_names[c], info->connections, info->since_ms, member->there, member->since_ms);
    }
    sim_check(sim, call->count == count && call->n_infos == listed, "%s has %zu members, %u are said, %zu listed", channel_names[c], count, call->count,
              call->n_infos);
    happened(member_lists);
}

/* ---- what edges are mailed ---- */

/* In order for each member of each channel; those whose time ends in the same moment come in any. */
static void take(struct attendance_model *model, int e, const struct member_letter *letter)
{
    struct expected *expected = &model->expected[e];
    struct told told = { (uint8_t)channel_by_name(slice(letter->channel, letter->channel_len)), (uint8_t)person_of(principal_user(letter->principal)),
                         letter->joined };
    size_t left = 0;
    bool found = false;
    for (size_t i = 0; i < expected->n; i++) {
        struct told *one = &expected->at[i];
        if (found || one->channel != told.channel || one->person != told.person) {
            expected->at[left++] = *one;
            continue;
        }
        found = one->joined == told.joined;
        sim_check(model->sim, found || expected->lost, "edge %d was not told that %s %s %s", e, person_name(one->person), one->joined ? "joined" : "left",
                  channel_names[one->channel]);
    }
    expected->n = left;
    sim_check(model->sim, found, "edge %d is told that %s %s %s, who did not", e, person_name(told.person), told.joined ? "joined" : "left",
              channel_names[told.channel]);
}

/* Oldest first, as the edge does. */
void attendance_mail(struct attendance_model *model, int e, struct letter *newest)
{
    struct letter *letters[LETTERS_MAX];
    size_t n = 0;
    for (struct letter *letter = newest; letter; letter = letter->next) {
        sim_check(model->sim, n < LETTERS_MAX, "more letters than the simulation has room for");
        letters[n++] = letter;
    }
    while (n > 0) {
        const struct letter *letter = letters[--n];
        if (letter->kind == LETTER_LOST)
            model->expected[e].lost = true;
        else if (letter->kind == LETTER_MEMBER)
            take(model, e, (const struct member_letter *)letter);
    }
}

/* ---- clients ---- */

void attendance_asked(struct listener *r, int c)
{
    struct told_members *told = &r->parts[c].members;
    *told = (struct told_members){ .asks = true };
    for (int person = 1; person < PERSONS; person++)
        told->when_asked[person] = told->when_begun[person] = r->sim->attendance.members[c][person].events;
}

void attendance_begun(struct listener *r, int c) { r->parts[c].members.begins = true; }

void attendance_after_turn(struct attendance_model *model)
{
    struct sim *sim = model->sim;
    for (int i = 0; i < sim->n_listeners; i++)
        for (int c = 0; c < CHANNELS; c++) {
            struct told_members *told = &sim->listeners[i].parts[c].members;
            for (int person = 1; person < PERSONS && told->begins; person++)
                told->when_begun[person] = model->members[c][person].events;
            told->begins = false;
        }
}

/* Other credentials may have made somebody of nobody. */
static bool is_himself(const struct listener *r, int person) { return person && r->rights.credentials.person == person && r->person == person; }

void attendance_told(struct listener *r, int c, const char *user, bool joined)
{
    const struct sim *sim = r->sim;
    int person = person_of(slice_of(user));
    struct told_members *told = &r->parts[c].members;
    const char *what = joined ? "joined" : "left";
    sim_trace(sim, "listener %d: %s %s %s", r->number, user, what, channel_names[c]);
    sim_check(sim, person && told->asks, "listener %d is told that '%s' %s %s, and has not asked", r->number, user, what, channel_names[c]);
    sim_check(sim, !is_himself(r, person), "listener %d is told that he himself %s %s", r->number, what, channel_names[c]);
    sim_check(sim, told->last[person] != (joined ? 1 : -1), "listener %d is told twice that %s %s %s", r->number, user, what, channel_names[c]);
    told->last[person] = joined ? 1 : -1;
    told->n[person]++;
    unsigned most = sim->attendance.members[c][person].events - told->when_asked[person];
    sim_check(sim, told->n[person] <= most, "listener %d is told %u times of %s in %s, there was %u", r->number, told->n[person], user, channel_names[c], most);
    happened(members_told);
}

void attendance_changed(struct listener *r, int c)
{
    struct told_members *told = &r->parts[c].members;
    sim_check(r->sim, told->asks, "listener %d is told that the members of %s have changed, and has not asked", r->number, channel_names[c]);
    told->changed = true;
    memset(told->last, 0, sizeof told->last);
    happened(members_changed);
}

/* ---- rest ---- */

static unsigned subscribed(const struct sim *sim, int c, int person)
{
    unsigned n = 0;
    for (int i = 0; i < sim->n_listeners; i++)
        n += sim->listeners[i].line && sim->listeners[i].rights.credentials.person == person && sim->listeners[i].rights.has & 1 << c;
    return n;
}

static void check_client(const struct attendance_model *model, const struct listener *r, int c)
{
    const struct told_members *told = &r->parts[c].members;
    for (int person = 1; person < PERSONS; person++) {
        const struct presence_model *member = &model->members[c][person];
        if (person == r->person || person == r->rights.credentials.person || told->changed)
            continue;
        unsigned least = member->events - told->when_begun[person];
        sim_check(model->sim, told->n[person] >= least, "listener %d was told %u times of %s in %s, there was %u since it began", r->number, told->n[person],
                  person_name(person), channel_names[c], least);
        sim_check(model->sim, told->last[person] == 0 || (told->last[person] > 0) == is_there(member), "listener %d was told last that %s %s %s", r->number,
                  person_name(person), told->last[person] > 0 ? "joined" : "left", channel_names[c]);
    }
}

void attendance_at_rest(struct attendance_model *model)
{
    const struct sim *sim = model->sim;
    for (int c = 0; c < CHANNELS; c++)
        for (int person = 1; person < PERSONS; person++) {
            const struct presence_model *member = &model->members[c][person];
            unsigned there = sim->config.presence_members ? subscribed(sim, c, person) : 0;
            sim_check(sim, member->there == there && is_there(member) == (there > 0), "%s is subscribed to %s %u times, and there %u times", person_name(person),
                      channel_names[c], there, member->there);
        }
    for (int e = 0; e < sim->n_edges; e++)
        sim_check(sim, model->expected[e].n == 0 || model->expected[e].lost, "edge %d was not told of %zu events", e, model->expected[e].n);
    for (int i = 0; i < sim->n_listeners; i++)
        for (int c = 0; c < CHANNELS && sim->config.presence_events; c++)
            if (sim->listeners[i].line && sim->listeners[i].parts[c].state == PART_LIVE && sim->listeners[i].parts[c].members.asks)
                check_client(model, &sim->listeners[i], c);
}

void attendance_restart(struct attendance_model *model)
{
    *model = (struct attendance_model){ .sim = model->sim };
}
