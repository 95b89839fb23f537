/* poller.h — clients of GET /poll: each asks from the position that the last answer gave it, and checks that answer against the model.
 *
 *   poller ─request─> poll.c on a real line (direct.c, line.c) ─bytes─> socketpair ─> poller: head, JSON, and whether it is the truth
 *
 * Unlike the lines of listeners these are the ones of transports/, on sockets that exist: what a poll is lies in its line. All is in one
 * thread, and how much a socket takes depends on nothing but what it was given, so a seed is the same each time.
 *
 * Successive polls by the returned position: nothing acknowledged of their channels is missing, nothing comes twice, what is not for
 * them is not there; a gap only where something is gone.
 *
 * Lifetime   the side from polls_new to polls_free: longer than the hubs of a seed. Between two hubs its lines are closed. */
#pragma once
#include <stdbool.h>

struct conn;
struct line_ops;
struct polls;
struct sim;

struct polls *polls_new(struct sim *sim);
void          polls_free(struct polls *polls);
void          polls_open(struct polls *polls);               /* the edges of a new hub are there */
void          polls_lost(struct polls *polls);               /* they are gone; some of what they had sent may still arrive */
void          polls_act(struct polls *polls, int number);    /* that one asks, reads, or goes away */
void          polls_settle_all(struct polls *polls);         /* all read, or ask again */
int           polls_count(const struct polls *polls);

/* In a turn of an edge: before the flush; after it, true: flush again; with its tick. */
void polls_before_flush(struct polls *polls, int edge);
bool polls_after_flush(struct polls *polls, int edge);
void polls_tick(struct polls *polls, int edge);
void          polls_begin_rest(struct polls *polls);
bool          polls_are_quiet(const struct polls *polls);     /* nothing is being read */
/* Everything has been sent: they know everything. */
void polls_at_rest(const struct polls *polls);

/* The line under a connection that polls, NULL for all others. */
const struct line_ops *polls_line_ops(const struct conn *conn);
