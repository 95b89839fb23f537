#include "transports/edge/tenure.h"

#include "hub/base/clock.h"
#include "hub/base/err.h"
#include "hub/config/config.h"
#include "transports/edge/attend.h"
#include "transports/edge/conn.h"
#include "transports/edge/control.h"
#include "transports/edge/dwell.h"
#include "transports/edge/edge.h"
#include "transports/edge/feed.h"
#include "transports/request/outset.h"

#include <stdlib.h>

enum { END_CODE = 4001, NOT_YET_MS = 1000 };

/* ---- the heap ---- */

static bool sooner(const void *a, const void *b)
{
    const struct conn *x = a, *y = b;
    return x->extra->due_ms < y->extra->due_ms;
}

static void placed(void *item, size_t at)
{
    struct conn *conn = item;
    conn->extra->place = at;
}

void tenures_fini(struct tenures *tenures)
{
    free(tenures->heap.at);
    *tenures = (struct tenures){ 0 };
}

int tenures_make_room(struct tenures *tenures)
{
    tenures->heap.less = sooner;
    tenures->heap.placed = placed;
    return heap_room(&tenures->heap, tenures->heap.n + 1) ? 0 : ERR_MEMORY;
}

/* ---- when ---- */

static int64_t now_ms(const struct conn *conn)  { return clock_wall_ms(conn->edge->clock); }
static int64_t ends_ms(const struct conn *conn) { return principal_expires_s(conn->principal) * 1000; }

/* Half of a short life is time enough to come with other credentials. */
static int64_t warn_at_ms(const struct conn *conn)
{
    int64_t left = ends_ms(conn) - now_ms(conn), warn = conn->edge->config->tokens_warn_ms;
    if (left < 0)
        left = 0;
    return ends_ms(conn) - (warn < left / 2 ? warn : left / 2);
}

void tenure_begin(struct conn *conn)
{
    struct heap *heap = &conn->edge->tenures.heap;
    conn->extra->due_ms = warn_at_ms(conn);
    if (conn->extra->place == TENURE_NONE)
        heap_push(heap, conn);
    else
        heap_changed(heap, conn->extra->place);
}

void tenure_end(struct conn *conn)
{
    if (!conn->extra || conn->extra->place == TENURE_NONE)
        return;
    heap_remove(&conn->edge->tenures.heap, conn->extra->place);
    conn->extra->place = TENURE_NONE;
}

/* The welcome, or hub.ready, is what a client is told first. */
static void warn(struct conn *conn, int64_t now)
{
    struct buf object = { 0 };
    conn->extra->due_ms = conn->greeted || ends_ms(conn) < now + NOT_YET_MS ? ends_ms(conn) : now + NOT_YET_MS;
    heap_changed(&conn->edge->tenures.heap, conn->extra->place);
    if (!conn->greeted)
        return;
    control_expiring(&object, ends_ms(conn), ends_ms(conn) - now);
    conn->protocol->tell(conn, "token-expiring", &object);
}

/* Who has a token is given others; a key that ends is meant to. */
static void end(struct conn *conn)
{
    if (principal_token(conn->principal))
        conn_close_for(conn, &(struct parting){ .err = ERR_TOKEN_EXPIRED, .close_code = END_CODE });
    else
        conn_close(conn, ERR_KEY_EXPIRED);
}

void tenures_tick(struct edge *edge)
{
    struct heap *heap = &edge->tenures.heap;
    int64_t now = clock_wall_ms(edge->clock);
    while (heap->n > 0) {
        struct conn *conn = heap->at[0];
        if (conn->extra->due_ms > now)
            return;
        if (now < ends_ms(conn)) {
            warn(conn, now);
            continue;
        }
        tenure_end(conn);
        end(conn);
    }
}

/* ---- other credentials ---- */

int tenure_may_renew(struct conn *conn, const struct principal *principal)
{
    struct slice user = principal_user(conn->principal);
    if (user.len > 0 && !slice_is(user, principal_user(principal)))
        return ERR_FORBIDDEN;
    if (principal_expires_s(principal) == INT64_MAX)
        return 0;
    if (!conn->extra && !(conn->extra = extra_new(SLICE(""))))
        return ERR_MEMORY;
    return conn->extra->place == TENURE_NONE ? tenures_make_room(&conn->edge->tenures) : 0;
}

/* What the new ones do not allow ends; in the table of a connection's subscriptions, while it is walked. */
static void end_forbidden(struct conn *conn)
{
    uint32_t at = 0;
    for (struct sub *sub; conn->conn_state == CONN_OPEN && (sub = sub_set_next(&conn->subs, &at));) {
        struct slice name = feed_name(sub->feed);
        struct buf object = { 0 };
        if (sub->reader.given || principal_may(conn->principal, OP_SUBSCRIBE, name) == 0)
            continue;
        control_unsubscribed(&object, SLICE(""), name, ERR_FORBIDDEN);
        conn_unsubscribe(conn, name);
        sub_set_again(&at);
        conn->protocol->tell(conn, "unsubscribed", &object);
    }
}

/* Members are known by the new ones, and told of by them. */
static void attend_again(struct conn *conn)
{
    uint32_t at = 0;
    for (struct sub *sub; (sub = sub_set_next(&conn->subs, &at));)
        attend(sub, attend_asks(sub) && principal_may(conn->principal, OP_PRESENCE, feed_name(sub->feed)) == 0);
}

static void tell_error(struct conn *conn, int err)
{
    struct buf object = { 0 };
    control_error(&object, SLICE(""), err);
    conn->protocol->tell(conn, "error", &object);
}

static void begin_named(struct conn *conn)
{
    struct outset outset;
    if (conn->format == WIRE_SSE_BARE || conn->conn_state != CONN_OPEN)
        return;
    int err = outset_of_principal(&outset, conn->principal);
    if (!err) {
        err = conn_assign(conn, outset.names, outset.n, false);
        outset_fini(&outset);
    }
    if (err)
        tell_error(conn, err);
}

void tenure_renew(struct conn *conn, struct principal *principal)
{
    principal_unref(conn->principal);
    conn->principal = principal;
    if (principal_expires_s(principal) == INT64_MAX)
        tenure_end(conn);
    else
        tenure_begin(conn);
    end_forbidden(conn);
    attend_again(conn);
    begin_named(conn);
    if (dwell_rights(conn))
        conn_close(conn, ERR_MEMORY);
}
