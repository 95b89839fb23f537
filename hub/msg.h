/* msg.h — one message, immutable once it has its number, shared by all threads.
 *
 * Lifetime   atomically reference-counted: msg_new() gives one reference, who keeps a pointer takes one. One malloc holds
 *            everything: header, channel, event, client, exclude, data, trace.
 * Threading  the thread that made it may write seq, prev, passing, passed_s, epoch and time_ms until it hands it on (the hub does, when the
 *            message is submitted and completed); afterwards any thread reads.
 * Limits     `limits.message` bounds data (at most 1 MiB), name.h the names. */
#pragma once
#include "hub/base/buf.h"

#include <stdatomic.h>

enum msg_kind {
    MSG_JSON,      /* data is one JSON value, in the bytes the publisher sent */
    MSG_TEXT,      /* data is UTF-8 text; travels as a JSON string in envelopes */
    MSG_BINARY,    /* data is any bytes; travels as base64 */
};

struct msg {
    atomic_uint refs;
    uint8_t     kind;                                /* enum msg_kind */
    uint8_t     channel_len, event_len, client_len;  /* event_len 0: no event name; client: of the publisher, 0: none */
    uint32_t    data_len;
    uint8_t     exclude_len;                         /* the client that does not get it; 0: all do */
    uint8_t     trace_len;                           /* its trace (trace.h), of the publisher; 0: he named none */
    uint32_t    passing;       /* the messages just before it in its channel have ttls of their own: `prev` less this is the newest that has
                                  none, or what had been dropped; 0: prev is that */
    uint32_t    passed_s;      /* so long after time_ms all of those have ended */
    uint64_t    epoch, seq;    /* its position; set at submission */
    uint64_t    prev;          /* number of the message before it in its channel, or what `dropped` was at the channel's
                                  birth; set at completion (EXACT.md 1, 5) */
    int64_t     time_ms;       /* wall clock at submission */
    int64_t     ttl_ms;        /* not served any more so long after time_ms; 0: as long as history keeps it */
    uint64_t    hash;          /* hash_bytes(channel) */
    char        bytes[];       /* channel, event, client, exclude, data, trace */
};

/* What a publisher has decided; all of it has been checked. */
struct msg_parts {
    struct slice  channel, event, client, exclude, data, trace;
    enum msg_kind kind;
    int64_t       ttl_ms;
};
struct msg *msg_new(const struct msg_parts *parts);   /* NULL: no memory */
struct msg *msg_ref(struct msg *m);      /* returns m */
void        msg_unref(struct msg *m);    /* NULL is fine */

static inline struct slice msg_channel(const struct msg *m) { return slice(m->bytes, m->channel_len); }
static inline struct slice msg_event(const struct msg *m)   { return slice(m->bytes + m->channel_len, m->event_len); }
static inline struct slice msg_client(const struct msg *m)  { return slice(m->bytes + m->channel_len + m->event_len, m->client_len); }
static inline struct slice msg_exclude(const struct msg *m)
{
    return slice(m->bytes + m->channel_len + m->event_len + m->client_len, m->exclude_len);
}
static inline struct slice msg_data(const struct msg *m)
{
    return slice(m->bytes + m->channel_len + m->event_len + m->client_len + m->exclude_len, m->data_len);
}
static inline struct slice msg_trace(const struct msg *m)
{
    return slice(m->bytes + m->channel_len + m->event_len + m->client_len + m->exclude_len + m->data_len, m->trace_len);
}
/* When it ends by its own ttl; INT64_MAX: never. */
static inline int64_t msg_ends_ms(const struct msg *m)
{
    return m->ttl_ms > 0 && m->ttl_ms < INT64_MAX - m->time_ms ? m->time_ms + m->ttl_ms : INT64_MAX;
}
/* What it costs in memory; what history.bytes, history.max_bytes and mail bounds count. */
static inline size_t msg_size(const struct msg *m)
{
    return sizeof *m + m->channel_len + m->event_len + m->client_len + m->exclude_len + m->data_len + m->trace_len;
}
