/* websocket.h — what libwebsockets reads for one connection: frames in, whole messages out; private to lws.c and tunnel.c.
 *
 * Lifetime   embedded in its line. `wsi` is there from adoption until lws destroys it. Threading: its edge's thread. */
#pragma once
#include "transports/ws_input.h"

struct line;
struct lws;

struct websocket {
    struct lws     *wsi;           /* NULL: not adopted yet, or gone */
    struct line    *line;
    struct ws_input input;
    bool            said_close;    /* a close frame has left, or was handed to lws */
    bool            tunneled;      /* lws has no socket of the client's but a pair's end (tunnel.h) */
};

void websocket_kill(struct websocket *websocket);      /* lws destroys it at once; its last callbacks come inside */
