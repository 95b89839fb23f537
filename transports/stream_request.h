/* stream_request.h — what a client asked for when it opened /sse or /ws, taken out of the request by the line.
 *
 * Everything is borrowed from the line and valid during ws_open/sse_open only; values are percent-decoded and otherwise
 * unchecked. Threading: edge thread. Limits: limits.header_bytes for all of it. */
#pragma once
#include "hub/base/buf.h"

struct stream_request {
    struct slice *channels;          /* ?channel=…, in order */
    size_t        n_channels;
    bool          has_position;      /* Last-Event-ID (wins), or ?last_event_id= / ?lastEventID= */
    struct slice  position;
    struct slice  client, user, format;        /* ?client= ?user= ?format=; empty: not there */
    struct slice  key;               /* API key: Authorization: Bearer …, X-API-Key, ?token= */
    struct slice  peer;              /* address of the other side, for logs */
};
