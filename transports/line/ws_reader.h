/* ws_reader.h — what a WebSocket's client sends in the clear: its socket is read here, not by libwebsockets.
 *
 * libwebsockets reads as many bytes at a time as it has kept for this one connection, for ever; a connection that does nothing is to cost little, so
 * an offer of 2 KB were eight reads. Here all connections of a thread share what is read into, and a message that has come whole is not copied.
 *
 *   socket ──> ws_frames (protocol/) ──> websocket (messages, pongs, the end), pongs of our own
 *
 * Lifetime   embedded in its line; ws_reader_begin when the upgrade has been answered, ws_reader_fini before the socket is closed.
 * Threading  its edge's thread.
 * Limits     while the connection wants no more, what was read already waits: less than SOCKET_READ_MIN + WS_FRAMES_LEFT bytes, or what was sent with
 *            the request. At most READS_MAX reads of one connection in a turn. */
#pragma once
#include "transports/line/websocket.h"
#include "transports/protocol/ws_frames.h"

#include <ev.h>

struct ws_reader {
    ev_io             io;
    struct websocket *websocket;
    struct ws_frames  frames;
    struct buf       *rest;      /* read, and not taken yet; NULL: nothing */
    bool              on;        /* the connection wants to have it */
};

void ws_reader_begin(struct ws_reader *reader, struct websocket *websocket, struct slice early);
void ws_reader_set(struct ws_reader *reader, bool on);
void ws_reader_fini(struct ws_reader *reader);       /* one that has not begun is fine */
