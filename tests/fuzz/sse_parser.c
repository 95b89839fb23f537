/* clients/cli/sse_parser.h: however a stream arrives it is the same events; and whatever payload the hub writes into a block
 * (transports/wire/wire.h), this reader gets that payload and nothing else. */
#include "clients/cli/sse_parser.h"

#include "hub/base/err.h"
#include "tests/fuzz/fuzz.h"
#include "transports/wire/wire.h"

enum { STREAM_MAX = 1000 };

static void add_field(struct buf *log, struct slice field)
{
    buf_addf(log, "%zu:", field.len);
    buf_add_slice(log, field);
}

static int on_event(void *arg, const struct sse_event *event)
{
    struct buf *log = arg;
    add_field(log, event->type);
    add_field(log, event->data);
    add_field(log, event->id);
    buf_add_char(log, '\n');
    return 0;
}

/* What was heard, as text: all events, the last id, the time to wait. */
static int read_stream(struct slice in, size_t max, enum cutting cutting, struct chance *chance, struct buf *log)
{
    struct sse_parser parser;
    int rc = 0;
    sse_parser_init(&parser, max, on_event, log);
    for (size_t at = 0, n; !rc && at < in.len; at += n) {
        n = cut(cutting, chance, in.len - at);
        char *copy = piece_of(slice(in.at + at, n));
        rc = sse_parser_feed(&parser, copy, n);
        free(copy);
    }
    add_field(log, buf_slice(&parser.last_id));
    buf_addf(log, "%lld", (long long)parser.retry_ms);
    sse_parser_fini(&parser);
    return rc;
}

static void must_be_same_in_pieces(struct slice in, struct chance *chance)
{
    struct buf whole = { 0 }, pieces = { 0 };
    int rc = read_stream(in, SIZE_MAX, WHOLE, chance, &whole);
    must(!rc, "refused: %d", rc);
    for (enum cutting cutting = BYTEWISE; cutting < CUTTINGS; cutting++) {
        buf_reset(&pieces);
        must(!read_stream(in, SIZE_MAX, cutting, chance, &pieces), "refused in pieces");
        must_be_same(buf_slice(&whole), buf_slice(&pieces), "events");
        buf_reset(&pieces);
        rc = read_stream(in, STREAM_MAX, cutting, chance, &pieces);
        must(!rc || rc == ERR_MESSAGE_TOO_LARGE, "%d is not in the contract", rc);
    }
    buf_fini(&whole);
    buf_fini(&pieces);
}

static void must_arrive(struct slice payload, struct chance *chance)
{
    struct buf stream = { 0 }, heard = { 0 }, wanted = { 0 }, lines = { 0 };
    for (size_t i = 0; i < payload.len; i++) {      /* every line end arrives as LF */
        bool cr = payload.at[i] == '\r';
        i += cr && i + 1 < payload.len && payload.at[i + 1] == '\n';
        buf_add_char(&lines, cr ? '\n' : payload.at[i]);
    }
    wire_add_sse(&stream, SLICE("a.1"), SLICE("e"), payload);
    on_event(&wanted, &(struct sse_event){ SLICE("e"), buf_slice(&lines), SLICE("a.1") });
    buf_add_str(&wanted, "3:a.1-1");
    must(!read_stream(buf_slice(&stream), SIZE_MAX, BY_CHANCE, chance, &heard), "refused");
    must_be_same(buf_slice(&heard), buf_slice(&wanted), "the block");
    buf_fini(&stream);
    buf_fini(&heard);
    buf_fini(&wanted);
    buf_fini(&lines);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = input(data, size);
    struct chance chance = chance_of(in);
    must_be_same_in_pieces(in, &chance);
    must_arrive(in, &chance);
    return 0;
}
