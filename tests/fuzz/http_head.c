/* transports/request/http_head.h: however a head arrives, it is the same head; and one that is written again from its parts reads the
 * same, so a proxy that forwards what it has understood, and this server, mean the same request. */
#include "transports/request/http_head.h"

#include "hub/base/err.h"
#include "tests/fuzz/fuzz.h"

enum { HEAD_MAX = 4096 };

static int feed(struct http_head *head, struct slice in, enum cutting cutting, struct chance *chance, size_t *ret_used)
{
    int rc = HTTP_HEAD_MORE;
    *ret_used = 0;
    while (rc == HTTP_HEAD_MORE && *ret_used < in.len) {
        size_t used = 0, n = cut(cutting, chance, in.len - *ret_used);
        char *copy = piece_of(slice(in.at + *ret_used, n));
        rc = http_head_feed(head, slice(copy, n), HEAD_MAX, &used);
        must(used <= n && (rc != HTTP_HEAD_MORE || used == n), "%zu of %zu bytes, but %d", used, n, rc);
        *ret_used += used;
        free(copy);
    }
    return rc;
}

static bool is_whole_line_inside(struct slice bytes)
{
    for (size_t i = 0; i < bytes.len; i++)
        if ((bytes.at[i] == '\n' && (i == 0 || bytes.at[i - 1] != '\r')) || (bytes.at[i] == '\r' && bytes.at[i + 1] != '\n'))
            return false;
    return true;
}

static const struct api_header *next_named(const struct http_head *head, const char *name, const struct api_header *after)
{
    const struct api_header *end = head->headers + head->n_headers;
    for (const struct api_header *h = after ? after + 1 : head->headers; h < end; h++)
        if (slice_is_nocase(h->name, slice_of(name)))
            return h;
    return NULL;
}

/* What the header promises to refuse is not in a head that it took. */
static void must_be_strict(const struct http_head *head)
{
    const struct api_header *length = next_named(head, "content-length", NULL), *encoding = next_named(head, "transfer-encoding", NULL);
    const struct api_header *host = next_named(head, "host", NULL);
    uint64_t n = 0;
    must(is_whole_line_inside(buf_slice(&head->bytes)), "a bare CR or LF");
    must(head->target.len > 0 && !memchr(head->target.at, ' ', head->target.len) && !memchr(head->target.at, '#', head->target.len), "a target");
    must(!length || !encoding, "a length and an encoding");
    must(!length || (!next_named(head, "content-length", length) && slice_u64(length->value, &n)), "a length that is none");
    must(head->content_length == n, "a length of %llu, taken as %llu", (unsigned long long)n, (unsigned long long)head->content_length);
    must(head->chunked == (encoding != NULL), "chunked %d", head->chunked);
    must(!encoding || (slice_is_nocase(encoding->value, SLICE("chunked")) && !next_named(head, "transfer-encoding", encoding)), "an encoding");
    must(!encoding || !head->http10, "an encoding in HTTP/1.0");
    must(head->http10 || (host && !next_named(head, "host", host)), "a host");
    for (size_t i = 0; i < head->n_headers; i++)
        must(head->headers[i].name.len > 0 && !memchr(head->headers[i].name.at, ' ', head->headers[i].name.len), "a name of %zu", i);
}

static void must_be_same_head(const struct http_head *a, const struct http_head *b)
{
    must_be_same(a->method, b->method, "method");
    must_be_same(a->target, b->target, "target");
    must(a->n_headers == b->n_headers, "%zu and %zu headers", a->n_headers, b->n_headers);
    for (size_t i = 0; i < a->n_headers; i++) {
        must_be_same(a->headers[i].name, b->headers[i].name, "name");
        must_be_same(a->headers[i].value, b->headers[i].value, "value");
    }
    must(a->content_length == b->content_length && a->chunked == b->chunked && a->keep_alive == b->keep_alive &&
         a->http10 == b->http10 && a->expect == b->expect, "framing");
}

static void must_read_the_same_when_written_again(const struct http_head *head)
{
    struct http_head again = { 0 };
    struct buf text = { 0 };
    struct chance chance = { 0 };
    size_t used;
    buf_addf(&text, "%.*s %.*s HTTP/1.%d\r\n", (int)head->method.len, head->method.at, (int)head->target.len, head->target.at, !head->http10);
    for (size_t i = 0; i < head->n_headers; i++) {
        buf_add_slice(&text, head->headers[i].name);
        buf_add_str(&text, ":");
        buf_add_slice(&text, head->headers[i].value);
        buf_add_str(&text, "\r\n");
    }
    buf_add_str(&text, "\r\n");
    must(feed(&again, buf_slice(&text), WHOLE, &chance, &used) == HTTP_HEAD_DONE, "refused when written again: %.*s", (int)text.len, text.at);
    must_be_same_head(head, &again);
    buf_fini(&text);
    http_head_fini(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = input(data, size);
    struct chance chance = chance_of(in);
    struct http_head whole = { 0 };
    size_t used, used_in_pieces;
    int rc = feed(&whole, in, WHOLE, &chance, &used);
    for (enum cutting cutting = BYTEWISE; cutting < CUTTINGS; cutting++) {
        struct http_head pieces = { 0 };
        int rc_in_pieces = feed(&pieces, in, cutting, &chance, &used_in_pieces);
        /* Of two faults in one line the one that is seen first is told. */
        must(rc_in_pieces == rc || (rc < 0 && rc_in_pieces < 0), "%d whole, %d in pieces", rc, rc_in_pieces);
        if (rc == HTTP_HEAD_DONE) {
            must(used == used_in_pieces, "%zu and %zu bytes", used, used_in_pieces);
            must_be_same_head(&whole, &pieces);
        }
        http_head_fini(&pieces);
    }
    if (rc == HTTP_HEAD_DONE) {
        must_be_strict(&whole);
        must_read_the_same_when_written_again(&whole);
    }
    http_head_fini(&whole);
    return 0;
}
