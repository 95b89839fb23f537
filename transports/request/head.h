/* head.h — what a request on the public port asks for, taken out of its head (http_head.h).
 *
 * Heads on the public port are read by ourselves, before libwebsockets sees the socket, because its parser holds at most
 * about 90 arguments of a query (a stream may have 1,000 channels), answers nothing when a head is too large or broken,
 * and lets through what smuggling is made of. What reaches lws is a small head of our own making (lws.c).
 *
 * Threading: pure function. Lifetime: slices point into the bytes of the http_head. */
#pragma once
#include "hub/base/buf.h"

struct http_head;

enum head_method { HEAD_METHOD_GET, HEAD_METHOD_HEAD, HEAD_METHOD_OPTIONS, HEAD_METHOD_OTHER };

struct head {
    enum head_method method;
    struct slice     path, query;           /* as sent, not decoded; query without the ? */
    struct slice     host;
    struct slice     origin, fetch_site;    /* at NULL: there is no such header */
    struct slice     cookie;                /* empty once it is known that it is not to be believed (cors.h) */
    struct slice     last_event_id, authorization, api_key, if_none_match;
    struct slice     ws_key, ws_version;
    bool             upgrade_websocket;     /* Upgrade: websocket, and Connection: upgrade */
    bool             ws_sound;              /* one key and one version, in HTTP/1.1 (RFC 6455 §4.2.1) */
    bool             offers_protocols;      /* there is a Sec-WebSocket-Protocol … */
    bool             offers_carillon;       /* … and carillon.v1 is in it */
    bool             wants_stream;          /* Accept names text/event-stream, as an EventSource does */
    bool             has_body;              /* a Content-Length other than 0, or a Transfer-Encoding */
};

/* 0, or ERR_BAD_REQUEST: the target is neither origin-form nor absolute-form (RFC 9112 §3.2). */
int head_read(const struct http_head *http, struct head *ret_head);
