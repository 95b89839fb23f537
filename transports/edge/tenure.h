/* tenure.h — how long a connection may stay with the credentials it has: they are renewed, warned of, and end.
 *
 *   begins ─ tokens.warn before they end ─> token-expiring ─ they end ─> closed with 4001: come back with others
 *      ^                                         │
 *      └── tenure_renew: an auth frame, POST …/token ──┘
 *
 * Renewed, the grants count that the new ones have: subscriptions that they do not allow end with `forbidden` (but for those an
 * administrator gave), and what they name is subscribed to (outset.h; a stream in the bare format can have no more channels).
 * Rooms that they do not grant to join end too. It remains the connection of the same user: another one is refused.
 *
 * Lifetime   struct tenures is embedded in the edge; a connection is in it from conn_new or its renewal until conn_gone.
 * Threading  the edge's thread. Once a second the connections that are due are looked at, the next one first (a heap).
 * Limits     nothing for connections whose credentials do not end; of others 8 to 16 bytes here and struct extra. */
#pragma once
#include "hub/base/heap.h"

#include <stdint.h>

struct conn;
struct edge;
struct principal;

#define TENURE_NONE SIZE_MAX

struct tenures {
    struct heap heap;        /* struct conn, by extra->due_ms */
};

void tenures_fini(struct tenures *tenures);
int  tenures_make_room(struct tenures *tenures);     /* for one more: 0 or ERR_MEMORY */
void tenures_tick(struct edge *edge);                /* about once a second */

void tenure_begin(struct conn *conn);                /* its credentials end; it has an extra, and there is room */
void tenure_end(struct conn *conn);                  /* they are not looked at any more */
/* 0; ERR_FORBIDDEN: of another user than its own; ERR_MEMORY. */
int  tenure_may_renew(struct conn *conn, const struct principal *principal);
/* Right after that. Takes over the reference. The client is told of subscriptions that end and begin. */
void tenure_renew(struct conn *conn, struct principal *principal);
