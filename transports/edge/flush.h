/* flush.h — what leaves a connection at the end of a turn: everything that is pending, with as few send()s as possible.
 *
 *   outbox ─> batch in hand ─> (written: maybe more is said or asked) ─> rings, merged by arrival
 *
 * One send() takes a list of runs: whole frames that lie together, in the outbox, in a batch or in a chunk of a ring. Nothing
 * is copied. With one feed pending a run is a whole chunk from the cursor on, without a look at the messages in it. With
 * several, runs are cut where another feed has an earlier arrival; a message that several feeds have is sent once.
 * When the line takes only a part, what it took is accounted frame by frame; the rest of a frame that was cut is given to
 * line->keep, so cursors always stand at frame boundaries.
 *
 * Threading  the edge's thread. Limits: RUNS_MAX runs per send; merging needs 24 bytes per pending feed of one connection. */
#pragma once
struct conn;
struct edge;

void conn_flush(struct conn *conn);          /* by edge_send: its rings are settled, none of its readers has fallen */
void flush_fini(struct edge *edge);          /* frees edge->merge */
