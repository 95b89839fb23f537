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
 * Limits     TUNNEL_FILES descriptors per WebSocket. While the client takes nothing, lws is not read; while lws takes nothing, the
 *            client is not read: 16 KiB and what the kernel keeps for the pair. */
#pragma once
#include "hub/base/buf.h"
#include "transports/line/line.h"

enum { TUNNEL_FILES = 3 };      /* descriptors of one */

struct head;
struct lws_side;
struct stream_request;

/* Takes over the socket and the seats, whatever happens. `early`: what the client sent behind its head. */
void tunnel_ws(struct lws_side *side, struct lines *lines, struct socket socket, struct seats seats, const struct stream_request *request,
               const struct head *request_head, struct slice early);
