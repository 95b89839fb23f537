/* head.h — the head of one HTTP request, as bytes: is it whole, is it sound, and what does it ask for.
 *
 * Heads on the public port are read by ourselves, before libwebsockets sees the socket, because its parser holds at most
 * about 90 arguments of a query (a stream may have 1,000 channels), answers nothing when a head is too large or broken,
 * and lets through what smuggling is made of. What reaches lws is a small head of our own making (lws.c).
 *
 * http_parser does the grammar; what it lets through is refused here: bare LF, folded lines, names that are no tokens, a
 * target that is not printable ASCII, no Host or two, versions other than 1.0 and 1.1 (RFC 9112 §2.2, §3.2, §5.1, §5.2).
 * Threading: pure functions. Lifetime: slices point into the given bytes. */
#pragma once
#include "hub/base/buf.h"

enum head_method { HEAD_METHOD_GET, HEAD_METHOD_HEAD, HEAD_METHOD_OTHER };

struct head {
    enum head_method method;
    struct slice     path, query;           /* as sent, not decoded; query without the ? */
    struct slice     host, origin;
    struct slice     last_event_id, authorization, api_key;
    struct slice     ws_key, ws_version;
    bool             upgrade_websocket;     /* Upgrade: websocket, and Connection: upgrade */
    bool             offers_protocols;      /* there is a Sec-WebSocket-Protocol … */
    bool             offers_carillon;       /* … and carillon.v1 is in it */
    bool             has_body;              /* a Content-Length other than 0, or a Transfer-Encoding */
};

/* Length of the head with its empty line; 0: not complete yet. `seen` of the bytes were looked at before. */
size_t head_end(struct slice bytes, size_t seen);
/* `bytes` is one complete head. 0; ERR_BAD_REQUEST, ERR_LENGTH_CONFLICT, ERR_NOT_IMPLEMENTED, ERR_HEAD_TOO_LARGE. */
int    head_parse(struct slice bytes, struct head *ret_head);
