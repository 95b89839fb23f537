#include "transports/http/http_chunk.h"

#include "hub/base/err.h"

enum chunk_state {
    SIZE_FIRST,     /* one digit at least */
    SIZE,
    EXTENSION,      /* to the end of the line */
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILER_FIRST,  /* at the beginning of a line behind the last chunk */
    TRAILER,
    TRAILER_LF,
    LAST_LF,
    DONE,
};

static bool is_text(char c) { return (unsigned char)c >= ' ' || c == '\t'; }

static int on_size(struct http_chunks *c, char byte)
{
    int digit = hex_value(byte);
    if (digit >= 0) {
        if (c->left >> 60)
            return ERR_BAD_REQUEST;
        c->left = c->left << 4 | (uint64_t)digit;
        c->state = SIZE;
        return 0;
    }
    if (c->state == SIZE_FIRST)
        return ERR_BAD_REQUEST;
    if (byte != '\r' && byte != ';' && byte != ' ' && byte != '\t')
        return ERR_BAD_REQUEST;
    c->state = byte == '\r' ? SIZE_LF : EXTENSION;
    return 0;
}

static int expect(struct http_chunks *c, char byte, char wanted, enum chunk_state next)
{
    c->state = (uint8_t)next;
    return byte == wanted ? 0 : ERR_BAD_REQUEST;
}

static int to_end_of_line(struct http_chunks *c, char byte, enum chunk_state at_cr)
{
    if (byte == '\r')
        c->state = (uint8_t)at_cr;
    return byte == '\r' || is_text(byte) ? 0 : ERR_BAD_REQUEST;
}

/* One byte of what is not data. */
static int step(struct http_chunks *c, char byte)
{
    switch ((enum chunk_state)c->state) {
    case SIZE_FIRST:
    case SIZE:          return on_size(c, byte);
    case EXTENSION:     return to_end_of_line(c, byte, SIZE_LF);
    case SIZE_LF:       c->line = 0; return expect(c, byte, '\n', c->left ? DATA : TRAILER_FIRST);
    case DATA_CR:       return expect(c, byte, '\r', DATA_LF);
    case DATA_LF:       c->line = 0; return expect(c, byte, '\n', SIZE_FIRST);
    case TRAILER_FIRST: c->state = byte == '\r' ? LAST_LF : TRAILER; return byte == '\r' || is_text(byte) ? 0 : ERR_BAD_REQUEST;
    case TRAILER:       return to_end_of_line(c, byte, TRAILER_LF);
    case TRAILER_LF:    return expect(c, byte, '\n', TRAILER_FIRST);
    case LAST_LF:       return expect(c, byte, '\n', DONE);
    default:            return ERR_INTERNAL;
    }
}

static int take_data(struct http_chunks *c, struct slice bytes, struct buf *body, size_t *ret_taken)
{
    size_t n = bytes.len < c->left ? bytes.len : (size_t)c->left;
    if (body)
        buf_add(body, bytes.at, n);
    c->left -= n;
    if (c->left == 0)
        c->state = DATA_CR;
    *ret_taken = n;
    return body && body->failed ? ERR_MEMORY : 0;
}

int http_chunks_feed(struct http_chunks *c, struct slice bytes, struct buf *body, size_t max, size_t *ret_used)
{
    size_t used = 0, taken;
    int err = 0;
    while (!err && used < bytes.len && c->state != DONE) {
        if (c->state == DATA) {
            err = take_data(c, slice(bytes.at + used, bytes.len - used), body, &taken);
            used += taken;
            continue;
        }
        err = step(c, bytes.at[used++]);
        bool trailer = c->state >= TRAILER_FIRST;
        if (!err && ++c->line > (trailer ? CHUNK_TRAILERS_MAX : CHUNK_LINE_MAX))
            err = ERR_BAD_REQUEST;
        if (!err && c->state == DATA && c->left > max - (body ? body->len : 0))
            err = ERR_BODY_TOO_LARGE;
    }
    *ret_used = used;
    return err ? err : c->state == DONE ? HTTP_CHUNKS_DONE : HTTP_CHUNKS_MORE;
}
