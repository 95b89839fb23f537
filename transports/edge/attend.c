/* A table that finds no memory leaves the new one out (hh.tbl is NULL) instead of ending the process. */
#define HASH_NONFATAL_OOM 1
#include "transports/edge/attend.h"

#include "hub/base/err.h"
#include "hub/config/config.h"
#include "hub/presence.h"
#include "transports/edge/catchup.h"
#include "transports/edge/conn.h"
#include "transports/edge/control.h"
#include "transports/edge/edge.h"
#include "transports/edge/feed.h"

static void post(struct edge *edge, struct letter *letter) { post_put(&edge->to_hub, letter, sizeof(struct attendance)); }

/* Found by the flag and a table, so that subscriptions which have none are no larger. */
static struct attendance *find(const struct sub *sub)
{
    struct attendance *found = NULL;
    if (sub->reader.attends)
        HASH_FIND_PTR(sub->conn->edge->attendances, &sub, found);
    return found;
}

static void post_leave(struct edge *edge, struct attendance *attendance)
{
    link_remove(&attendance->ask_link);
    post(edge, &attendance->leave);
}

void attend_end(struct sub *sub)
{
    struct attendance *attendance = find(sub);
    if (!attendance)
        return;
    sub->reader.attends = false;
    HASH_DEL(sub->conn->edge->attendances, attendance);
    post_leave(sub->conn->edge, attendance);
}

bool attend_asks(const struct sub *sub)
{
    const struct attendance *attendance = find(sub);
    return attendance && attendance->asks;
}

/* In the place of the old one, which has left the table for it. */
static int enter(struct edge *edge, struct attendance *fresh, struct attendance *old)
{
    if (old)
        HASH_DEL(edge->attendances, old);
    HASH_ADD_PTR(edge->attendances, sub, fresh);
    if (fresh->hh.tbl)
        return 0;
    if (old)
        HASH_ADD_PTR(edge->attendances, sub, old);
    return ERR_MEMORY;
}

int attend(struct sub *sub, bool asks)
{
    struct conn *conn = sub->conn;
    struct edge *edge = conn->edge;
    struct attendance *old = find(sub), *fresh;
    bool counts = !sub->feed->is_pattern && principal_user(conn->principal).len > 0 &&
                  config_channel_rule(edge->config, feed_name(sub->feed))->presence;
    if (old && old->principal == conn->principal && old->counts == counts && old->asks == asks)
        return 0;
    if (!counts && !asks) {
        attend_end(sub);
        return 0;
    }
    if (!(fresh = attendance_new(feed_name(sub->feed), sub->feed->hash, conn->principal, edge->peer)))
        return ERR_MEMORY;
    fresh->counts = counts;
    fresh->asks = asks;
    fresh->sub = sub;
    if (enter(edge, fresh, old)) {
        attendance_free(fresh);
        return ERR_MEMORY;
    }
    if (asks)
        list_add_last(&sub->feed->askers, &fresh->ask_link);
    sub->reader.attends = true;
    post(edge, &fresh->join);
    if (old)
        post_leave(edge, old);
    return 0;
}

/* Who finds no memory stays what it was. */
void attend_all_again(struct edge *edge)
{
    list_each(l, following, &edge->conns) {
        struct conn *conn = link_of(l, struct conn, link);
        uint32_t at = 0;
        for (struct sub *sub; (sub = sub_set_next(&conn->subs, &at));)
            attend(sub, attend_asks(sub));
    }
}

/* ---- what is told ---- */

static bool has_begun(const struct sub *sub)
{
    return sub->conn->conn_state == CONN_OPEN && (link_alone(&sub->catchup_link) || !catchup_beginning_with(sub->conn, sub));
}

/* `not_to`: a user; empty: to all. A connection that is told may be closed by it, and leaves at the end of the turn. */
static void tell_askers(struct feed *feed, const char *type, const struct buf *object, struct slice not_to)
{
    list_each(l, following, &feed->askers) {
        struct conn *conn = link_of(l, struct attendance, ask_link)->sub->conn;
        struct buf copy = { 0 };
        if (!has_begun(link_of(l, struct attendance, ask_link)->sub) ||
            (not_to.len > 0 && slice_is(not_to, principal_user(conn->principal))))
            continue;
        buf_add_slice(&copy, buf_slice(object));
        copy.failed = copy.failed || object->failed;
        conn->protocol->tell(conn, type, &copy);
    }
}

void attend_tell(struct edge *edge, const struct member_letter *letter)
{
    struct feed *feed = feed_find(edge, slice(letter->channel, letter->channel_len), letter->hash);
    const char *type = letter->joined ? "member-joined" : "member-left";
    struct buf object = { 0 };
    if (!feed || link_alone(&feed->askers))
        return;
    control_member(&object, type, feed_name(feed), letter->principal);
    tell_askers(feed, type, &object, principal_user(letter->principal));
    buf_fini(&object);
}

static void tell_lost(struct feed *feed)
{
    struct buf object = { 0 };
    if (link_alone(&feed->askers))
        return;
    control_members_changed(&object, feed_name(feed));
    tell_askers(feed, "members-changed", &object, SLICE(""));
    buf_fini(&object);
}

void attend_tell_lost(struct edge *edge) { feeds_each(edge, tell_lost); }
