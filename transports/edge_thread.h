/* edge_thread.h — the loop under an edge: a libev loop with a libwebsockets context on it.
 *
 * Order of one turn: libev events (sockets, lws on its own, mailbox, tick) ─> edge_flush before the loop sleeps (ev_prepare).
 * In a burst to many readers the mail of the next turn is taken a moment later (pace.h).
 * Lifetime   started after hub_new and the stores are ready; ends after LETTER_DRAIN when no connection is left, or at once
 *            after LETTER_STOP. Threading: start and join by main; the rest is the edge's own thread. */
#pragma once
#include <stdbool.h>

struct edge;
struct edge_thread;
struct files;

/* `files`: what the port serves; they outlive the thread. 0 or ERR_… */
int  edge_thread_start(struct edge *edge, const struct files *files, struct edge_thread **ret_thread);
void edge_thread_join(struct edge_thread *thread);      /* waits for its end, frees it (not the edge) */
bool edge_thread_done(const struct edge_thread *thread);   /* it has ended by itself (any thread may ask) */
