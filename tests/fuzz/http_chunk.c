/* transports/http/http_chunk.h: however a body arrives it is the same body, and what is written in chunks comes back. */
#include "transports/http/http_chunk.h"

#include "hub/base/err.h"
#include "tests/fuzz/fuzz.h"

enum { BODY_MAX = 2000 };

static int feed(struct slice in, enum cutting cutting, struct chance *chance, struct buf *body, size_t *ret_used)
{
    struct http_chunks chunks = { 0 };
    int rc = HTTP_CHUNKS_MORE;
    *ret_used = 0;
    while (rc == HTTP_CHUNKS_MORE && *ret_used < in.len) {
        size_t used = 0, n = cut(cutting, chance, in.len - *ret_used);
        char *copy = piece_of(slice(in.at + *ret_used, n));
        rc = http_chunks_feed(&chunks, slice(copy, n), body, BODY_MAX, &used);
        must(used <= n && (rc != HTTP_CHUNKS_MORE || used == n), "%zu of %zu bytes, but %d", used, n, rc);
        *ret_used += used;
        free(copy);
    }
    must(!body || body->len <= BODY_MAX, "%zu bytes", body->len);
    return rc;
}

static void must_be_same_in_pieces(struct slice in, struct chance *chance)
{
    struct buf whole = { 0 }, pieces = { 0 };
    size_t used, used_in_pieces;
    int rc = feed(in, WHOLE, chance, &whole, &used);
    for (enum cutting cutting = BYTEWISE; cutting < CUTTINGS; cutting++) {
        buf_reset(&pieces);
        int rc_in_pieces = feed(in, cutting, chance, &pieces, &used_in_pieces);
        must(rc == rc_in_pieces && used == used_in_pieces, "%d at %zu whole, %d at %zu in pieces", rc, used, rc_in_pieces, used_in_pieces);
        must_be_same(buf_slice(&whole), buf_slice(&pieces), "body");
    }
    must(rc != HTTP_CHUNKS_DONE || (used >= 5 && !memcmp(in.at + used - 2, "\r\n", 2)), "an end without its line");
    int dropped = feed(in, BY_CHANCE, chance, NULL, &used_in_pieces);
    must(dropped == rc || rc == ERR_BODY_TOO_LARGE, "%d kept, %d dropped", rc, dropped);
    buf_fini(&whole);
    buf_fini(&pieces);
}

static void must_come_back(struct slice body, struct chance *chance)
{
    static const char *const extensions[] = { "", ";a=b", " ; x=\"y\"", ";" };
    struct buf text = { 0 }, read = { 0 };
    size_t used;
    for (struct slice rest = body; rest.len > 0;) {
        size_t n = cut(BY_CHANCE, chance, rest.len);
        buf_addf(&text, draw(chance, 2) ? "%zx%s\r\n" : "00%zX%s\r\n", n, extensions[draw(chance, 4)]);
        buf_add(&text, rest.at, n);
        buf_add_str(&text, "\r\n");
        rest = slice(rest.at + n, rest.len - n);
    }
    buf_add_str(&text, draw(chance, 2) ? "0\r\nTrailer: t\r\n\r\n" : "0\r\n\r\n");
    size_t whole = text.len;
    buf_add_str(&text, "GET / HTTP/1.1\r\n");
    int rc = feed(buf_slice(&text), BY_CHANCE, chance, &read, &used);
    must(rc == HTTP_CHUNKS_DONE && used == whole, "%d at %zu of %zu", rc, used, whole);
    must_be_same(buf_slice(&read), body, "body");
    buf_fini(&text);
    buf_fini(&read);
}

/* A size of more than 64 bits is not what is left of it: 0x1…05 and a reader that sees 5 disagree about where the body ends. */
static void must_not_overflow(struct slice body, struct chance *chance)
{
    struct buf text = { 0 }, read = { 0 };
    size_t used;
    buf_addf(&text, "%zx%016zx\r\n", 1 + draw(chance, 1000), body.len);
    buf_add_slice(&text, body);
    buf_add_str(&text, "\r\n0\r\n\r\n");
    int rc = feed(buf_slice(&text), BY_CHANCE, chance, &read, &used);
    must(rc == ERR_BAD_REQUEST || rc == ERR_BODY_TOO_LARGE, "%d for a size beyond 64 bits", rc);
    must(read.len == 0, "%zu bytes of it", read.len);
    buf_fini(&text);
    buf_fini(&read);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = input(data, size);
    struct chance chance = chance_of(in);
    must_be_same_in_pieces(in, &chance);
    if (in.len <= BODY_MAX)
        must_come_back(in, &chance);
    must_not_overflow(in, &chance);
    return 0;
}
