#include "transports/edge/errand.h"

#include "hub/access/authority.h"
#include "hub/base/clock.h"
#include "hub/base/err.h"
#include "hub/base/hash.h"
#include "hub/base/name.h"
#include "hub/config/config.h"
#include "hub/errand.h"
#include "transports/edge/catchup.h"
#include "transports/edge/control.h"
#include "transports/edge/edge.h"
#include "transports/edge/portrait.h"

#include <stdlib.h>

enum { CHANNELS_IN_LIST = 10, REFUSED_TOLD = 100 };

/* ---- which connections ---- */

struct hearing {
    const struct conn *conn;
    bool               found;
};

static void look_at(void *arg, void *feed)
{
    struct hearing *hearing = arg;
    hearing->found |= sub_set_find(&hearing->conn->subs, feed) != NULL;
}

/* The channel by its name, or by a pattern that matches it; a pattern only as it is written. */
static bool hears(const struct conn *conn, struct slice channel)
{
    struct hearing hearing = { conn, conn_is_subscribed(conn, channel) };
    if (!hearing.found && !name_is_pattern(channel))
        trie_match(&conn->edge->patterns, channel, look_at, &hearing);
    return hearing.found;
}

static bool fits(const struct errand_call *errand, const struct conn *conn)
{
    if (conn->conn_state != CONN_OPEN)
        return false;
    if (errand->user.len > 0 && !slice_is(errand->user, principal_user(conn->principal)))
        return false;
    return errand->channel.len == 0 || hears(conn, errand->channel);
}

typedef int act_fn(struct conn *conn, struct errand_part *part);     /* 0, or why it was not done to this one */

static void tell_refused(struct errand_part *part, const struct conn *conn, int err)
{
    char name[CONNECTION_TEXT];
    if (part->n_refused++ < REFUSED_TOLD)
        buf_addf(&part->text, "%s{\"connection\":\"%.*s\",\"code\":\"%s\"}", part->text.len ? "," : "", (int)conn_name(conn, name), name, err_code(err));
}

static void act_on_one(struct edge *edge, struct errand_part *part, act_fn *act)
{
    struct conn *conn = roster_find(&edge->roster, part->errand->connection);
    part->err = conn && fits(part->errand, conn) ? act(conn, part) : ERR_NOT_FOUND;
    part->n = part->err == 0;
}

static void act_on_all(struct edge *edge, struct errand_part *part, act_fn *act)
{
    size_t at = 0;
    for (struct conn *conn; (conn = roster_next(&edge->roster, &at));) {
        if (!fits(part->errand, conn))
            continue;
        int err = act(conn, part);
        if (err)
            tell_refused(part, conn, err);
        else
            part->n++;
    }
}

/* ---- what is done ---- */

static int show(struct conn *conn, struct errand_part *part)
{
    portrait_add(&part->text, conn, conn->subs.n);
    return 0;
}

static int close_it(struct conn *conn, struct errand_part *part)
{
    const struct errand_call *errand = part->errand;
    conn_close_for(conn, &(struct parting){ .err = errand->close_err, .close_code = errand->close_code, .reason = errand->reason });
    return 0;
}

/* Nothing has been changed yet when it says no. A stream in the bare format could not tell whose the messages of a further channel
 * are; what has not begun has not been told to the client, so it cannot be told that it ended. */
static int check_channels(const struct conn *conn, const struct errand_call *errand)
{
    for (size_t i = 0; i < errand->n_add; i++)
        if (conn->format == WIRE_SSE_BARE && !conn_is_subscribed(conn, errand->add[i]))
            return ERR_BARE_STREAM;
    for (size_t i = 0; i < errand->n_remove; i++)
        if (!conn->greeted && conn_is_subscribed(conn, errand->remove[i]))
            return ERR_BUSY;
    return 0;
}

static int change_channels(struct conn *conn, struct errand_part *part)
{
    const struct errand_call *errand = part->errand;
    int err = check_channels(conn, errand);
    if (!err)
        err = conn_assign(conn, errand->add, errand->n_add, true);
    if (err)
        return err;
    for (size_t i = 0; i < errand->n_remove; i++) {
        struct buf object = { 0 };
        if (conn_unsubscribe(conn, errand->remove[i]))
            continue;      /* it is not subscribed to it */
        control_unsubscribed(&object, SLICE(""), errand->remove[i], ERR_REMOVED);
        conn->protocol->tell(conn, "unsubscribed", &object);
    }
    return 0;
}

static int admits(const struct conn *conn, const struct principal *principal)
{
    return authority_admits(conn->edge->authority, conn->edge->config, principal, clock_wall_ms(conn->edge->clock) / 1000);
}

/* Nothing is done to those whose credentials are as good as they were. */
static int recheck(struct conn *conn, struct errand_part *part)
{
    (void)part;
    int err = admits(conn, conn->principal);
    if (err)
        conn_close(conn, err);
    return 0;
}

/* What has not been told where it begins cannot be told that something of it ends. The credentials were good when they were looked at,
 * but may have been taken back since. */
static int renew(struct conn *conn, struct errand_part *part)
{
    struct principal *principal = part->errand->principal;
    int err = conn->greeted ? admits(conn, principal) : ERR_BUSY;
    if (!err)
        err = tenure_may_renew(conn, principal);
    if (!err)
        tenure_renew(conn, principal_ref(principal));
    return err;
}

/* ---- a page ---- */

static void list(struct edge *edge, struct errand_part *part)
{
    const struct errand_call *errand = part->errand;
    bool same_counts = errand->after > 0 && edge->node > errand->after_node;      /* of the same number, this node's comes behind that one's */
    size_t at = roster_after(&edge->roster, errand->after - same_counts);
    part->found = malloc(errand->limit * sizeof *part->found);
    if (!part->found)
        part->err = ERR_MEMORY;
    for (struct conn *conn; part->found && (conn = roster_next(&edge->roster, &at));) {
        if (!fits(errand, conn))
            continue;
        if (part->n_found == errand->limit || part->text.len >= ERRAND_PART_BYTES) {
            part->more = true;
            break;
        }
        portrait_add(&part->text, conn, CHANNELS_IN_LIST);
        part->found[part->n_found++] = (struct errand_found){ conn->id, part->text.len };
    }
}

static act_fn *const acts[] = {
    [ERRAND_SHOW] = show, [ERRAND_CLOSE] = close_it, [ERRAND_CHANNELS] = change_channels, [ERRAND_RECHECK] = recheck, [ERRAND_TOKEN] = renew,
};

void errand_do(struct edge *edge, struct errand_part *part)
{
    const struct errand_call *errand = part->errand;
    if (errand->kind == ERRAND_LIST)
        list(edge, part);
    else if (errand->connection)
        act_on_one(edge, part, acts[errand->kind]);
    else
        act_on_all(edge, part, acts[errand->kind]);
    if (part->text.failed)
        part->err = ERR_MEMORY;
    post_put(&edge->to_hub, &part->letter, sizeof *part);
}
