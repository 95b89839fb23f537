/* tunnel.h — a WebSocket over TLS: TLS is ended here, libwebsockets sees what is inside through a pair of local sockets.
 *
 *   client ═TLS═> socket ─decrypted─> [pair] ─> lws: frames, pings, its own close
 *          <═TLS═ socket <─ our frames, straight from the rings
 *                        <─ [pair] <─ lws: the upgrade's answer, pongs, its own close
 *
 * libwebsockets 4.1.6 does TLS only together with its own HTTP parser, which a public port cannot have (README.md); and it
 * reads from a descriptor, not from memory. What is sent to many does not pass through the pair, only what a client sends.
 *
 * Lifetime   see line.h. When lws goes first, what it wrote before leaves and the line ends as any other.
 * Threading  its edge's thread.
 * Limits     three descriptors per WebSocket. While the client takes nothing, lws is not read; while lws takes nothing, the
 *            client is not read: 16 KiB and what the kernel keeps for the pair. */
#pragma once
#include "transports/direct.h"
#include "transports/websocket.h"

struct tunnel {
    struct direct    direct;         /* first: the outside */
    struct websocket websocket;      /* of lws, on the other end of the pair */
    ev_io            inside;         /* our end of the pair */
    struct buf      *waiting;        /* decrypted, not taken by lws yet; NULL: nothing */
    bool             client_ended;   /* its side of TLS; lws is told when it has read all */
    bool             paused;         /* the connection wants no more input now */
};

/* Takes over the socket and the seats. NULL: no memory or descriptors, all is closed then. *ret_fd is lws's end. */
struct tunnel *tunnel_new(struct lines *lines, struct socket socket, struct seats seats, int *ret_fd);
/* What lws has written so far leaves now: the upgrade's answer goes before our first frame. */
void           tunnel_pump(struct tunnel *tunnel);
