/* websocket.h — one WebSocket, whoever reads its frames: whole messages out, its end in order.
 *
 * Two kinds of lines have one: in the clear (lws.c, ws_reader.h), where we read the client's socket and libwebsockets has done the upgrade, and a
 * tunnel (tunnel.c), where libwebsockets reads one end of a pair.
 *
 * Lifetime   embedded in its line. `wsi` is there from adoption until lws destroys it. Threading: its edge's thread. */
#pragma once
#include "transports/protocol/ws_input.h"

struct line;
struct lws;
struct websocket;

struct websocket_use {
    /* lws has written its answer to the upgrade. `early`: what came behind the request, of those that read themselves. NULL: of no interest. */
    void (*upgraded)(struct websocket *websocket, struct slice early);
    void (*gone)(struct websocket *websocket);          /* lws has closed its descriptor and forgotten it; its last call */
    bool reads_itself;                                  /* lws does not read the descriptor */
};

struct websocket {
    struct lws                 *wsi;           /* NULL: not adopted yet, or gone */
    struct line                *line;
    const struct websocket_use *use;
    struct ws_input             input;
};

/* What came of a message. */
void websocket_on_piece(struct websocket *websocket, const struct ws_piece *piece);
void websocket_on_pong(struct websocket *websocket);
/* The other side closes. What was said before leaves first, then the answer; the line is to be ended by the caller. */
void websocket_on_close(struct websocket *websocket, struct slice payload);
/* Nothing more comes, or it was wrong. The connection is no more; `says_why`: a close frame with 1002 goes before. */
void websocket_drop(struct websocket *websocket, bool says_why);
