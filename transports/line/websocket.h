/* websocket.h — what libwebsockets reads for one connection: frames in, whole messages out. Two kinds of lines have one: a
 * WebSocket in the clear (lws.c), where lws has the client's socket, and a tunnel (tunnel.c), where it has a pair's end.
 *
 * Lifetime   embedded in its line. `wsi` is there from adoption until lws destroys it. Threading: its edge's thread. */
#pragma once
#include "transports/protocol/ws_input.h"

struct line;
struct lws;
struct websocket;

struct websocket_use {
    void (*upgraded)(struct websocket *websocket);      /* lws has written its answer to the upgrade; NULL: of no interest */
    void (*gone)(struct websocket *websocket);          /* lws has closed its descriptor and forgotten it; its last call */
};

struct websocket {
    struct lws                 *wsi;           /* NULL: not adopted yet, or gone */
    struct line                *line;
    const struct websocket_use *use;
    struct ws_input             input;
};
