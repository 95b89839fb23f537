/* dwell.h — which connections of this edge may be in rooms: the hub is told when one of them ends, and they are told what it says.
 *
 * A connection that asks to join begins to dwell, and does so until it ends, whatever comes of it: the hub knows in which rooms it is. The
 * letter that tells of its end is made when it begins, so that ending needs no memory; a connection that does not dwell has none of this
 * but a bit.
 *
 * Threading  the edge's thread. Limits: one block of about 100 bytes per connection that has asked to join. */
#pragma once
#include <stdbool.h>

struct conn;
struct edge;
struct room_close;
struct room_say;

int  dwell_begin(struct conn *conn);                    /* 0 or ERR_MEMORY; again is fine */
void dwell_end(struct conn *conn, bool for_good);       /* it takes no more frames; again is fine */
int  dwell_rights(struct conn *conn);                   /* it has other credentials: 0 or ERR_MEMORY */
void dwell_say(struct edge *edge, struct room_say *say);                        /* takes the letter over */
void dwell_close(struct edge *edge, struct room_close *close);         /* likewise */
void dwell_fini(struct edge *edge);
