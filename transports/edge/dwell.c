/* A table that finds no memory leaves the new one out (hh.tbl is NULL) instead of ending the process. */
#define HASH_NONFATAL_OOM 1
#include "transports/edge/dwell.h"

#include "hub/access/access.h"
#include "hub/base/err.h"
#include "hub/metrics.h"
#include "hub/rooms.h"
#include "transports/edge/conn.h"
#include "transports/edge/edge.h"

#include <stdlib.h>
#include <uthash.h>

struct dweller {
    struct room_drop drop;       /* first: the hub frees the block */
    UT_hash_handle   hh;         /* in edge->dwellers */
    struct conn     *conn;
};

int dwell_begin(struct conn *conn)
{
    struct edge *edge = conn->edge;
    if (conn->dwells)
        return 0;
    struct dweller *dweller = calloc(1, sizeof *dweller);
    if (!dweller)
        return ERR_MEMORY;
    dweller->conn = conn;
    dweller->drop.connection = conn->id;
    dweller->drop.letter.kind = LETTER_ROOM_DROP;
    HASH_ADD_PTR(edge->dwellers, conn, dweller);
    if (!dweller->hh.tbl) {
        free(dweller);
        return ERR_MEMORY;
    }
    conn->dwells = true;
    return 0;
}

void dwell_end(struct conn *conn, bool for_good)
{
    struct edge *edge = conn->edge;
    struct dweller *dweller = NULL;
    if (!conn->dwells)
        return;
    conn->dwells = false;
    HASH_FIND_PTR(edge->dwellers, &conn, dweller);
    if (!dweller)
        return;
    HASH_DEL(edge->dwellers, dweller);
    dweller->drop.for_good = for_good;
    post_put(&edge->to_hub, &dweller->drop.letter, sizeof *dweller);
}

int dwell_rights(struct conn *conn)
{
    struct room_rights *rights = conn->dwells ? calloc(1, sizeof *rights) : NULL;
    if (!rights)
        return conn->dwells ? ERR_MEMORY : 0;
    rights->letter.kind = LETTER_ROOM_RIGHTS;
    rights->connection = conn->id;
    rights->principal = principal_ref(conn->principal);
    post_put(&conn->edge->to_hub, &rights->letter, sizeof *rights);
    return 0;
}

/* Only WebSockets are in rooms. */
void dwell_say(struct edge *edge, struct room_say *say)
{
    struct conn *conn = roster_find(&edge->roster, say->connection);
    if (conn && conn->dwells) {
        buf_reset(&edge->dwelling);
        room_say_print(say, &edge->dwelling);
        struct buf *out = conn_say_begin(conn);
        if (edge->dwelling.failed)
            out->failed = true;
        else
            wire_add_ws(out, WS_TEXT, buf_slice(&edge->dwelling));
        conn_say_end(conn);
        if (say->began_us)
            metric_time_us(TIME_RELAY, clock_mono_us() - say->began_us);
    }
    if (edge->dwelling.failed)
        buf_fini(&edge->dwelling);
    room_say_free(say);
}

void dwell_close(struct edge *edge, struct room_close *close)
{
    struct conn *conn = roster_find(&edge->roster, close->connection);
    if (conn)
        conn_close(conn, close->err);
    free(close);
}

/* Those that are left have nobody who would be told. */
void dwell_fini(struct edge *edge)
{
    struct dweller *dweller, *next;
    HASH_ITER(hh, edge->dwellers, dweller, next) {
        HASH_DEL(edge->dwellers, dweller);
        free(dweller);
    }
    buf_fini(&edge->dwelling);
}
