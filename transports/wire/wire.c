#include "transports/wire/wire.h"

#include "hub/envelope.h"

/* RFC 6455 §5.2: FIN and opcode, then the length in 7 bits, or 126 and 16 bits, or 127 and 64 bits, big-endian. */
enum { WS_FIN = 0x80, WS_HEADER_MAX = 10 };

static size_t ws_header(unsigned char at[WS_HEADER_MAX], enum ws_opcode opcode, uint64_t len)
{
    size_t wide = len < 126 ? 0 : len <= UINT16_MAX ? 2 : 8;
    at[0] = (unsigned char)(WS_FIN | opcode);
    at[1] = wide == 0 ? (unsigned char)len : wide == 2 ? 126 : 127;
    for (size_t i = 0; i < wide; i++)
        at[2 + i] = (unsigned char)(len >> 8 * (wide - 1 - i));
    return 2 + wide;
}

void wire_add_ws(struct buf *out, enum ws_opcode opcode, struct slice payload)
{
    unsigned char header[WS_HEADER_MAX];
    size_t n = ws_header(header, opcode, payload.len);
    if (!buf_room(out, n + payload.len))
        return;
    buf_add(out, header, n);
    buf_add_slice(out, payload);
}

/* The length of an envelope is known when it is written. Most need two bytes of it, so room for those is left and the
 * envelope moves only when it turns out shorter or longer. */
static void add_ws_envelope(struct buf *out, const struct msg *m, bool replay)
{
    enum { USUAL = 4 };
    unsigned char header[WS_HEADER_MAX];
    size_t start = out->len;
    if (!buf_room(out, WS_HEADER_MAX))
        return;
    buf_advance(out, USUAL);
    envelope_add(out, m, SLICE("message"), replay);
    if (out->failed)
        return;
    size_t len = out->len - start - USUAL, n = ws_header(header, WS_TEXT, len);
    if (n > USUAL && !buf_room(out, n - USUAL))
        return;
    if (n != USUAL)
        memmove(out->at + start + n, out->at + start + USUAL, len);
    memcpy(out->at + start, header, n);
    out->len = start + n + len;
}

/* The first line of `*rest`, which moves behind its end (CRLF, LF or CR). False: that was the last. */
static bool cut_line(struct slice *rest, struct slice *ret_line)
{
    size_t n = 0;
    while (n < rest->len && rest->at[n] != '\n' && rest->at[n] != '\r')
        n++;
    *ret_line = slice(rest->at, n);
    if (n == rest->len)
        return false;
    n += rest->at[n] == '\r' && n + 1 < rest->len && rest->at[n + 1] == '\n' ? 2 : 1;
    *rest = slice(rest->at + n, rest->len - n);
    return true;
}

static void add_field(struct buf *out, struct slice name, struct slice value)
{
    buf_add_slice(out, name);
    buf_add_slice(out, value);
    buf_add_char(out, '\n');
}

static void add_sse_head(struct buf *out, struct slice id, struct slice event)
{
    if (id.len > 0)
        add_field(out, SLICE("id: "), id);
    if (event.len > 0)
        add_field(out, SLICE("event: "), event);
}

static void add_sse_data(struct buf *out, struct slice data)
{
    struct slice line;
    bool more;
    do {
        more = cut_line(&data, &line);
        add_field(out, SLICE("data: "), line);
    } while (more);
}

void wire_add_sse(struct buf *out, struct slice id, struct slice event, struct slice data)
{
    add_sse_head(out, id, event);
    if (data.at)
        add_sse_data(out, data);
    buf_add_char(out, '\n');
}

void wire_add_sse_retry(struct buf *out, int64_t retry_ms, const struct position *after)
{
    buf_addf(out, "retry: %lld\n", (long long)retry_ms);
    if (after) {
        buf_add_str(out, "id: ");
        buf_add_position(out, *after);
        buf_add_char(out, '\n');
    }
    buf_add_char(out, '\n');
}

static bool has_line_end(struct slice s)
{
    return s.len > 0 && (memchr(s.at, '\n', s.len) || memchr(s.at, '\r', s.len));
}

/* An envelope has line ends only where a JSON payload has them between its tokens; then it is written aside and split. */
static void add_sse_envelope(struct buf *out, const struct msg *m)
{
    if (m->kind != MSG_JSON || !has_line_end(msg_data(m))) {
        buf_add_slice(out, SLICE("data: "));
        envelope_add(out, m, SLICE("message"), false);
        buf_add_char(out, '\n');
        return;
    }
    struct buf aside = { 0 };
    envelope_add(&aside, m, SLICE("message"), false);
    if (aside.failed)
        out->failed = true;
    else
        add_sse_data(out, buf_slice(&aside));
    buf_fini(&aside);
}

static void add_sse_bare(struct buf *out, const struct msg *m)
{
    if (m->kind != MSG_BINARY) {
        add_sse_data(out, msg_data(m));
        return;
    }
    buf_add_slice(out, SLICE("data: "));
    buf_add_base64(out, msg_data(m).at, m->data_len);
    buf_add_char(out, '\n');
}

void wire_add(struct buf *out, enum wire_format format, const struct msg *m)
{
    if (format == WIRE_WS || format == WIRE_WS_REPLAY) {
        add_ws_envelope(out, m, format == WIRE_WS_REPLAY);
        return;
    }
    if (format == WIRE_POLL) {
        buf_add_char(out, ',');
        envelope_add(out, m, SLICE("message"), false);
        return;
    }
    char id[POSITION_TEXT];
    size_t n = position_print(id, (struct position){ m->epoch, m->seq });
    add_sse_head(out, slice(id, n), msg_event(m));
    if (format == WIRE_SSE_BARE)
        add_sse_bare(out, m);
    else
        add_sse_envelope(out, m);
    buf_add_char(out, '\n');
}
