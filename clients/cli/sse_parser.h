/* sse_parser.h — text/event-stream as the WHATWG HTML standard reads it (§9.2.6), from bytes in pieces of any size.
 *
 *   bytes ──> lines (LF, CR or CRLF, also cut between two pieces) ──> fields ──> an empty line: one event, or only an id
 *
 * Exactly what EventSource does: a byte order mark at the beginning is skipped, an id with NUL is ignored, a block
 * without data fires nothing but its id counts, and a block that was cut by the end of the stream counts for nothing:
 * so last_id is always a place from which nothing is missed.
 *
 * Lifetime   embedded, init to fini; restart for each connection, which keeps last_id and retry_ms.
 * Threading  whoever owns it.
 * Limits     a line, and the data of a block, may have max_bytes each; beyond it feed is ERR_MESSAGE_TOO_LARGE. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hub/base/buf.h"

struct sse_event {              /* borrowed, for the time of the call */
    struct slice type;          /* "message" when the block had no event field */
    struct slice data;          /* lines joined by LF */
    struct slice id;            /* last id of the stream so far, this block's included; may be empty */
};

/* Returning non-zero stops: feed returns that value at once, and the bytes after this event are forgotten. */
typedef int sse_event_fn(void *arg, const struct sse_event *event);

struct sse_parser {
    sse_event_fn *on_event;
    void         *arg;
    size_t        max_bytes;
    struct buf    line;         /* beginning of a line whose end has not come */
    struct buf    data, type;   /* of the block that is being read */
    struct buf    id;           /* becomes last_id when the block is complete */
    struct buf    last_id;
    int64_t       retry_ms;     /* last the server asked for; -1: it did not */
    bool          after_cr;     /* a LF now belongs to the CR before it */
    bool          first_line;   /* a byte order mark may stand before it */
};

void sse_parser_init(struct sse_parser *p, size_t max_bytes, sse_event_fn *on_event, void *arg);
void sse_parser_fini(struct sse_parser *p);
void sse_parser_restart(struct sse_parser *p);                              /* a new connection begins */
int  sse_parser_feed(struct sse_parser *p, const char *bytes, size_t n);    /* 0, what on_event returned, ERR_MEMORY, ERR_MESSAGE_TOO_LARGE */
