/* http_chunk.h — a chunked body (RFC 9112 §7.1), read strictly: every CRLF must be one, sizes are hexadecimal digits only.
 *
 *   chunk-size [; extensions] CRLF  data CRLF  …  0 CRLF  [trailers] CRLF
 *
 * Extensions and trailers are ignored. Lifetime: embedded, zero-filled is the beginning. Threading: API thread.
 * Limits: a chunk line of CHUNK_LINE_MAX bytes, trailers of CHUNK_TRAILERS_MAX in all, the caller's `max` for the data. */
#pragma once
#include "hub/base/buf.h"

enum { CHUNK_LINE_MAX = 512, CHUNK_TRAILERS_MAX = 4096 };

struct http_chunks {
    uint8_t  state;        /* enum chunk_state of http_chunk.c */
    uint32_t line;         /* bytes of the line that is being read; of all trailers */
    uint64_t left;         /* of the chunk's data */
};

enum { HTTP_CHUNKS_MORE, HTTP_CHUNKS_DONE };

/* Appends data to `body` (NULL: drops it). HTTP_CHUNKS_MORE, HTTP_CHUNKS_DONE, or ERR_BAD_REQUEST, ERR_BODY_TOO_LARGE (as
 * soon as a chunk says so, before its data), ERR_MEMORY. */
int http_chunks_feed(struct http_chunks *chunks, struct slice bytes, struct buf *body, size_t max, size_t *ret_used);
