/* lws.h — WebSockets: libwebsockets does the upgrade, and reads their frames behind TLS; the one module that knows it, with the cure for each
 * of its faults (README.md lists them with how they were found).
 *
 * A socket comes here when its request is known (newcomer.h). lws adopts it with a head of our own making, so it does the
 * upgrade, but never parses a stranger's HTTP. From then on it is a line (line.h). In the clear lws reads nothing more (ws_reader.h); behind TLS
 * it reads WebSocket frames and answers pings.
 *
 *   output   our own writes straight from the rings; in the clear, only the rest of a frame that was cut goes through lws, so
 *            that its pongs never land inside a frame and what was sent is known exactly. Behind TLS (tunnel.h) lws does not
 *            have the client's socket at all
 *   input    WebSocket messages assembled, bounded and checked by websocket.h
 *   the end  close frames of our own; lws's timers are not used
 *
 * Lifetime   one struct lws_side per edge, made and freed by edge_thread; its lines are closed before it is freed.
 * Threading  lws_side_new: the thread that starts the edge; all else: the edge's thread.
 * Limits     one message being assembled per WebSocket, at most public.max_frame, its memory given back after each. */
#pragma once
#include "hub/base/buf.h"
#include "transports/line/line.h"

struct head;
struct lws_side;
struct stream_request;
struct websocket;

int  lws_side_new(struct lines *lines, struct lws_side **ret_side);
void lws_side_free(struct lws_side *side);            /* NULL is fine */
/* End of turn, before edge_flush: large messages that lws reads are read on. It reads 260 bytes each time the loop tells it to, and a turn of
 * the loop costs more than reading them. */
void lws_side_read_on(struct lws_side *side);
void lws_side_tick(struct lws_side *side);            /* once a second while there are lines: lws's own timers, which do not fire on a quiet loop */

/* A WebSocket in the clear. Takes over the socket and the seats, whatever happens. `early`: what the client sent behind its head. */
void lws_side_ws(struct lws_side *side, struct socket socket, struct seats seats, const struct stream_request *request,
                 const struct head *request_head, struct slice early);
/* For a line that has a websocket and its descriptor ready (tunnel.h). What is early is given to lws, or to websocket->use->upgraded. lws takes the descriptor over, whatever happens. False: it
 * found no memory and does not know the websocket; else websocket->use->gone is called in the end, perhaps within this call. */
bool lws_side_adopt(struct lws_side *side, int fd, struct websocket *websocket, const struct stream_request *request,
                    const struct head *request_head, struct slice early);
void lws_side_read(struct websocket *websocket, bool on);      /* whether lws reads, and calls with what it has read already */
void lws_side_kill(struct websocket *websocket);      /* lws destroys it at once: use->gone comes inside */
