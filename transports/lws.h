/* lws.h — streams and WebSockets on their sockets: the one module that knows libwebsockets, with the cure for each of its
 * faults (README.md lists them with how they were found).
 *
 * A socket comes here when its request is known (newcomer.h). It is adopted with a head of our own making, so lws does
 * the upgrade, reads WebSocket frames, answers pings and (later) does TLS, but never parses a stranger's HTTP. From then on
 * it is a line: the bytes under one connection (conn.h, struct line_ops).
 *
 *   output   our own sendmsg() straight from the rings; only the rest of a frame that was cut goes through lws, so that its
 *            pongs never land inside a frame and what was sent is known exactly
 *   input    WebSocket messages assembled, bounded and checked here; what an SSE client sends is read and thrown away by a
 *            watcher of our own, because lws spins on it
 *   the end  close frames of our own, then shutdown(), then a deadline of our own; lws's timers are not used
 *
 *   OPEN ─finish─> ENDING (what was taken leaves) ─> SHUT (waits for the other side's end) ─EOF or deadline─> gone
 *   OPEN, ENDING, SHUT ─error─> DEAD, closed at the end of the turn; never inside a callback of lws
 *
 * Lifetime   one struct lws_side per edge, made and freed by edge_thread; lines live from adoption until lws destroys them.
 * Threading  lws_side_new: the thread that starts the edge; all else: the edge's thread.
 * Limits     one message being assembled per WebSocket, at most public.max_frame, its memory given back after each. */
#pragma once
#include "hub/base/buf.h"
#include "transports/conn.h"

struct edge;
struct ev_loop;
struct head;
struct lws_side;
struct seats;
struct stream_request;

int    lws_side_new(struct edge *edge, struct ev_loop *loop, struct lws_side **ret_side);
void   lws_side_free(struct lws_side *side);            /* closes what is left; NULL is fine */
size_t lws_side_lines(const struct lws_side *side);     /* sockets it holds */
void   lws_side_tick(struct lws_side *side);            /* once a second while there are lines: deadlines, lws's own timers */
/* End of turn, after edge_flush: closes what is dead. True: connections have gone, so flush again. */
bool   lws_side_bury(struct lws_side *side);

/* Take over the socket and the seats, whatever happens. `response` is the head of the stream. */
void lws_side_sse(struct lws_side *side, int fd, struct seats seats, const struct stream_request *request, struct slice response);
/* `early`: what the client sent behind its head. */
void lws_side_ws(struct lws_side *side, int fd, struct seats seats, const struct stream_request *request, const struct head *head, struct slice early);

extern const struct line_ops lws_line;
