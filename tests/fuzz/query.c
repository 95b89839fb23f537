/* hub/base/query.h and transports/request/stream_request.h: what is encoded comes back decoded, in the API's reading and in that of the
 * public port. */
#include "hub/base/query.h"

#include "hub/base/err.h"
#include "tests/fuzz/fuzz.h"
#include "transports/request/head.h"
#include "transports/request/http_head.h"
#include "transports/request/stream_request.h"

static void must_come_back(struct slice in)
{
    struct buf encoded = { 0 }, decoded = { 0 }, query = { 0 };
    percent_encode(in, &encoded);
    for (size_t i = 0; i < encoded.len; i++)
        must(encoded.at[i] > ' ' && encoded.at[i] < 0x7f && !strchr("+&=#/?", encoded.at[i]), "byte %zu is not escaped", i);
    must(percent_decode(buf_slice(&encoded), false, &decoded), "not decoded");
    must_be_same(buf_slice(&decoded), in, "as a segment");
    buf_addf(&query, "x=1&&y&%.*s=2&c=%.*s&c=3", (int)encoded.len, buf_slice(&encoded).at, (int)encoded.len, buf_slice(&encoded).at);
    buf_reset(&decoded);
    bool shadowed = slice_is(in, SLICE("c"));
    must(query_find(buf_slice(&query), "c", &decoded) == QUERY_FOUND, "not found");
    must_be_same(buf_slice(&decoded), shadowed ? SLICE("2") : in, "in a query");
    buf_fini(&encoded);
    buf_fini(&decoded);
    buf_fini(&query);
}

/* Every byte of a query is in one of its pairs, or between two. */
static void must_be_all(struct slice in)
{
    struct slice rest = in, name, value;
    size_t n = 0, separators = 0;
    for (size_t i = 0; i < in.len; i++)
        separators += in.at[i] == '&';
    while (query_next(&rest, &name, &value)) {
        struct buf out = { 0 };
        bool has_equals = value.at > name.at + name.len || (value.len == 0 && value.at < in.at + in.len && value.at > in.at && value.at[-1] == '=');
        n += name.len + value.len + has_equals;
        must(name.at >= in.at && value.at + value.len <= in.at + in.len, "a pair from elsewhere");
        must(!memchr(name.at, '=', name.len), "a name with =");
        percent_decode(value, true, &out);
        must(out.len <= value.len, "longer than before");
        buf_fini(&out);
    }
    must(n + separators == in.len, "%zu bytes in pairs, %zu between, of %zu", n, separators, in.len);
}

/* The same text as the query of a stream. */
static void must_be_taken_apart(struct slice in)
{
    struct http_head http = { 0 };
    struct head head;
    struct stream_request request;
    struct buf text = { 0 };
    size_t used;
    buf_add_str(&text, "GET /sse?");
    buf_add_slice(&text, in);
    buf_add_str(&text, " HTTP/1.1\r\nHost: h\r\n\r\n");
    if (http_head_feed(&http, buf_slice(&text), 65536, &used) == HTTP_HEAD_DONE && !head_read(&http, &head)) {
        must(!stream_request_init(&request, &head, SLICE("peer")), "no memory");
        must(request.n_channels <= in.len / 2 + 1, "%zu channels in %zu bytes", request.n_channels, in.len);
        for (size_t i = 0; i < request.n_channels; i++)
            for (size_t j = 0; j < i && i < 20; j++)
                must(!slice_is(request.channels[i], request.channels[j]), "a channel twice");
        stream_request_fini(&request);
    }
    http_head_fini(&http);
    buf_fini(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = input(data, size);
    must_come_back(in);
    must_be_all(in);
    must_be_taken_apart(in);
    return 0;
}
