/* stream_request.h — what a client asked for when it opened /sse, /poll or /ws, taken out of the head of its request.
 *
 * Percent-decoding follows the URL standard: %XX is a byte (also %00, %26, %2F), `+` is a space, a % without two hex digits
 * stays as it is. Parameters are parted by & only. Values are otherwise unchecked.
 * Lifetime   slices point into the head and into the request's own memory: valid until stream_request_fini.
 * Threading  edge thread.
 * Limits     limits.header_bytes for all of it; the decoded text is never longer than the query. */
#pragma once
#include "hub/base/ip.h"

struct head;
struct principal;

struct stream_request {
    struct slice *channels;          /* ?channel=…, in order; a name that is there twice counts once */
    size_t        n_channels;
    bool          has_position;      /* Last-Event-ID (wins), or ?last_event_id= / ?lastEventID=; empty is as if absent */
    struct slice  position;
    struct slice  since;             /* ?since= of hub/since.h: counts when there is no position; empty: not there */
    struct slice  timeout;           /* ?timeout=, of a poll */
    struct slice  client, user, format;        /* ?client= ?user= ?format=; empty: not there */
    struct slice  presence;          /* ?presence= */
    struct slice  key;               /* an API key or a token: Authorization: Bearer …, X-API-Key, ?token=; the first of these counts */
    struct slice  cookie;            /* the cookie `token`: counts when there is no other, and the hub knows tokens */
    struct ip     ip;                /* whose request it is; no address: a unix socket. Set by who reads the head */
    struct slice  peer;              /* address of the other side, for logs */
    struct buf    decoded;           /* the query's own memory */
    /* stream_identify() */
    bool              identified;    /* what follows is known */
    int               refused;       /* 0, or why not */
    struct principal *principal;     /* NULL: refused */
};

/* 0 or ERR_MEMORY. `peer` is borrowed too. */
int  stream_request_init(struct stream_request *request, const struct head *head, struct slice peer);
void stream_request_fini(struct stream_request *request);
