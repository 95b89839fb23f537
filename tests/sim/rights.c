#define _GNU_SOURCE     /* memmem */
#include "tests/sim/line.h"
#include "tests/sim/operator.h"
#include "tests/sim/sim.h"

#include "hub/access/access.h"
#include "hub/access/grants.h"
#include "hub/access/token.h"
#include "hub/base/err.h"

#include <stdlib.h>

/* ---- credentials ---- */

static const char *const persons[PERSONS] = { "", "ann", "bob" };
static const char *const own_channels[PERSONS] = { "", "user.ann", "user.bob" };

const char *person_name(int person) { return persons[person]; }
uint16_t person_channel(int person)  { return person ? (uint16_t)(1 << channel_by_name(slice_of(own_channels[person]))) : 0; }

static void grant(struct grants_builder *builder, int list, uint16_t mask)
{
    for (int c = 0; c < NAMES; c++)
        if (mask & 1 << c)
            grants_add(builder, list, slice_of(channel_names[c]));
}

struct principal *credentials_principal(const struct sim *sim, const struct credentials *credentials)
{
    struct principal *principal;
    struct grants_builder builder = { .user = slice_of(persons[credentials->person]) };
    grant(&builder, OP_SUBSCRIBE, credentials->grants);
    grant(&builder, GRANT_CHANNELS, credentials->named);
    grants_add(&builder, OP_PUBLISH, SLICE("**"));
    grants_add(&builder, OP_HISTORY, SLICE("**"));
    grants_add(&builder, OP_PRESENCE, SLICE("**"));
    struct token *token = calloc(1, sizeof *token);
    *token = (struct token){ .user = builder.user, .grants = grants_take(&builder), .issued_s = 1,
                             .expires_s = credentials->expires_ms == INT64_MAX ? INT64_MAX : credentials->expires_ms / 1000 };
    sim_check(sim, token->grants && principal_by_token(&sim->strict, token, &principal) == 0, "no principal");
    return principal;
}

/* ---- what happens on the edge ---- */

static struct conn *open_conn(const struct listener *r)
{
    struct conn *conn = r->line ? r->line->conn : NULL;
    return conn && conn->conn_state == CONN_OPEN ? conn : NULL;
}

static void notify(struct listener *r, uint16_t mask, enum notice what)
{
    for (int c = 0; c < NAMES; c++)
        if (mask & 1 << c) {
            struct notices *notices = &r->rights.notices[c];
            sim_check(r->sim, notices->n < NOTICES_MAX, "more notices than the simulation has room for");
            notices->at[notices->n++] = (uint8_t)what;
        }
}

static void have_credentials(struct listener *r, const struct credentials *credentials)
{
    struct rights *rights = &r->rights;
    rights->credentials = *credentials;
    if (credentials->expires_ms != INT64_MAX)
        rights->lives_ms[rights->n_lives++ % LIVES_MAX] = credentials->expires_ms;
}

void rights_begin(struct listener *r, const struct credentials *credentials, uint16_t has)
{
    r->rights = (struct rights){ .has = has };
    have_credentials(r, credentials);
}

const char *rights_subscribe(struct listener *r, uint16_t mask)
{
    struct rights *rights = &r->rights;
    for (int c = 0; c < NAMES; c++) {
        if (mask & rights->has & 1 << c)
            return "already_subscribed";
        if (mask & ~names_covered(rights->credentials.grants) & 1 << c)
            return "forbidden";
    }
    rights->has |= mask;
    return NULL;
}

const char *rights_unsubscribe(struct listener *r, uint16_t mask)
{
    struct rights *rights = &r->rights;
    if (mask & ~rights->has)
        return "not_subscribed";
    rights->has &= (uint16_t)~mask;
    rights->given &= (uint16_t)~mask;
    return NULL;
}

enum notice rights_next(const struct listener *r, int c, size_t at)
{
    const struct notices *notices = &r->rights.notices[c];
    return at < notices->n ? (enum notice)notices->at[at] : NOTICE_NONE;
}

void rights_told(struct listener *r, int c)
{
    struct notices *notices = &r->rights.notices[c];
    if (notices->n > 0)
        memmove(notices->at, notices->at + 1, --notices->n);
}

/* ---- errands ---- */

static void change_channels(struct listener *r, const struct order *order)
{
    struct rights *rights = &r->rights;
    uint16_t begins = order->add & (uint16_t)~rights->has, ends;
    notify(r, begins, NOTICE_BEGAN);
    rights->has |= order->add;
    rights->given |= order->add;
    ends = order->remove & rights->has;
    notify(r, ends, NOTICE_REMOVED);
    rights->has &= (uint16_t)~ends;
    rights->given &= (uint16_t)~ends;
    counts[COUNT_given] += (unsigned)__builtin_popcount(begins);
    counts[COUNT_taken] += (unsigned)__builtin_popcount(ends);
}

static void renew(struct listener *r, const struct order *order)
{
    struct rights *rights = &r->rights;
    have_credentials(r, &order->credentials);
    uint16_t ends = rights->has & (uint16_t)~(rights->given | names_covered(rights->credentials.grants));
    notify(r, ends, NOTICE_FORBIDDEN);
    rights->has &= (uint16_t)~ends;
    uint16_t begins = (rights->credentials.named | person_channel(rights->credentials.person)) & (uint16_t)~rights->has;
    if (r->kind == READ_SSE_BARE)
        begins = 0;
    notify(r, begins, NOTICE_BEGAN);
    rights->has |= begins;
    happened(renewed);
    counts[COUNT_forbidden] += (unsigned)__builtin_popcount(ends);
    counts[COUNT_named] += (unsigned)__builtin_popcount(begins);
}

/* What the edge must say, but for ERR_BUSY. */
static int refusal(const struct listener *r, const struct order *order)
{
    const struct rights *rights = &r->rights;
    uint8_t person = rights->credentials.person;
    if (order->errand.kind == ERRAND_CHANNELS && r->kind == READ_SSE_BARE && order->add & ~rights->has)
        return ERR_BARE_STREAM;
    if (order->errand.kind == ERRAND_TOKEN && person && person != order->credentials.person)
        return ERR_FORBIDDEN;
    return 0;
}

static bool may_be_busy(const struct listener *r, const struct order *order)
{
    if (order->errand.kind == ERRAND_CHANNELS)
        return !r->begun && order->remove & r->rights.has && !refusal(r, order);
    return !r->begun && order->errand.kind == ERRAND_TOKEN;
}

/* What the edge says it did. */
static int outcome(const struct conn *conn, const struct errand_part *part)
{
    char name[CONNECTION_TEXT];
    size_t len = conn_name(conn, name);
    name[len++] = '"';
    if (part->errand->connection)
        return part->err;
    const char *at = part->text.len ? memmem(part->text.at, part->text.len, name, len) : NULL;
    if (!at)
        return 0;
    struct slice rest = slice(at, (size_t)(part->text.at + part->text.len - at));
    size_t end = (size_t)((const char *)memchr(rest.at, '}', rest.len) - rest.at);
    static const int refusals[] = { ERR_BARE_STREAM, ERR_BUSY, ERR_FORBIDDEN };
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++)
        if (memmem(rest.at, end, err_code(refusals[i]), strlen(err_code(refusals[i]))))
            return refusals[i];
    return ERR_INTERNAL;
}

static void act(struct listener *r, const struct order *order, const struct errand_part *part)
{
    struct sim *sim = r->sim;
    struct conn *conn = r->line->conn;
    int err = outcome(conn, part), must = refusal(r, order);
    sim_check(sim, err == must || (err == ERR_BUSY && may_be_busy(r, order)), "an order to listener %d was answered %d, not %d", r->number,
              err, must);
    sim_check(sim, order->errand.kind != ERRAND_CLOSE || !open_conn(r), "listener %d shall be closed, and is open", r->number);
    sim_check(sim, err == ERR_BUSY || conn->greeted || !(order->errand.kind == ERRAND_TOKEN), "listener %d is renewed before it began",
              r->number);
    if (err == ERR_BUSY)
        happened(orders_busy);
    else if (err)
        happened(orders_refused);
    else if (order->errand.kind == ERRAND_CHANNELS)
        change_channels(r, order);
    else if (order->errand.kind == ERRAND_TOKEN)
        renew(r, order);
    else
        r->rights.closed = true;
    sim_trace(sim, "listener %d: order says %d, has %x, given %x, may %x", r->number, err, r->rights.has, r->rights.given,
              r->rights.credentials.grants);
}

static bool fits(const struct listener *r, const struct order *order)
{
    if (order->errand.connection)
        return r->line->conn->id == order->errand.connection;
    return r->rights.credentials.person == order->person;
}

static bool concerns(const struct sim *sim, int e, int i, const struct order *order)
{
    const struct listener *r = &sim->listeners[i];
    return r->line && r->line->edge == e && r->line->conn && sim->were_open & 1u << i && fits(r, order);
}

/* Who closed in this turn may have been found or not; when all were found, he was. */
static void check_part(struct sim *sim, int e, const struct errand_part *part)
{
    struct order *order = (struct order *)part->errand;
    size_t least = 0, most = 0, found = part->n + part->n_refused + (part->err && part->err != ERR_NOT_FOUND);
    for (int i = 0; i < sim->n_listeners; i++)
        if (concerns(sim, e, i, order)) {
            least += open_conn(&sim->listeners[i]) != NULL;
            most++;
        }
    sim_check(sim, found >= least && found <= most, "an order was for %zu to %zu connections of an edge, it found %zu", least, most, found);
    for (int i = 0; i < sim->n_listeners; i++) {
        struct listener *r = &sim->listeners[i];
        if (!concerns(sim, e, i, order))
            continue;
        if (open_conn(r) || found == most)
            act(r, order, part);
        else
            r->rights.unsure |= found > least;
    }
    order->done += part->n;
}

void rights_before_mail(struct sim *sim, int e)
{
    sim->n_parts = 0;
    sim->were_open = 0;
    if (sim->dead)
        return;
    for (struct letter *letter = atomic_load(&sim->edges[e]->box.top); letter; letter = letter->next)
        if (letter->kind == LETTER_ERRAND) {
            sim_check(sim, sim->n_parts < ERRANDS_AT_ONCE, "more than %d errands are under way", ERRANDS_AT_ONCE);
            sim->parts[sim->n_parts++] = (struct errand_part *)letter;      /* newest first */
        }
    for (int i = 0; i < sim->n_listeners; i++)
        if (open_conn(&sim->listeners[i]))
            sim->were_open |= 1u << i;
}

void rights_after_mail(struct sim *sim, int e)
{
    while (sim->n_parts > 0)
        check_part(sim, e, sim->parts[--sim->n_parts]);
}

/* ---- time ---- */

void rights_after_tick(struct sim *sim, int e)
{
    for (int i = 0; i < sim->n_listeners; i++) {
        const struct listener *r = &sim->listeners[i];
        if (!open_conn(r) || r->line->edge != e)
            continue;
        sim_check(sim, r->rights.credentials.expires_ms > sim->wall_ms, "listener %d is open at %ld, its credentials ended at %ld", r->number,
                  sim->wall_ms, r->rights.credentials.expires_ms);
    }
}

void rights_at_rest(const struct listener *r)
{
    for (int c = 0; c < NAMES; c++) {
        bool has = r->rights.has & 1 << c;
        sim_check(r->sim, r->rights.notices[c].n == 0, "listener %d was not told all that happened to %s", r->number, channel_names[c]);
        sim_check(r->sim, conn_is_subscribed(r->line->conn, slice_of(channel_names[c])) == has, "listener %d is %ssubscribed to %s", r->number,
                  has ? "not " : "", channel_names[c]);
        sim_check(r->sim, (r->parts[c].state == PART_LIVE) == has, "listener %d does not know whether it has %s", r->number,
                  channel_names[c]);
    }
}
