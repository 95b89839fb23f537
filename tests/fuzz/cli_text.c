/* clients/cli/format.h, terminal.h, item.h: whatever was published, and whatever a template says, a terminal is told nothing but text,
 * JSON stays the same JSON, and a payload becomes one line that is one item. */
#include "clients/cli/format.h"
#include "clients/cli/item.h"
#include "clients/cli/payload.h"
#include "clients/cli/terminal.h"
#include "hub/base/err.h"
#include "hub/base/json.h"
#include "tests/fuzz/fuzz.h"

static void must_be_harmless(struct slice text)
{
    must(utf8_valid(text), "no UTF-8");
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.at[i];
        must(c >= 0x20 || c == '\n' || c == '\t', "byte %02x", c);
        must(c != 0x7f && !(c == 0xc2 && (unsigned char)text.at[i + 1] < 0xa0), "DEL or C1");
    }
}

static void must_be_one_line(struct slice text)
{
    must(text.len > 0 && memchr(text.at, '\n', text.len) == text.at + text.len - 1, "not one line");
}

static void terminal_text(struct slice in)
{
    struct buf out = { 0 };
    struct slice value;
    terminal_add(&out, in);
    must_be_harmless(buf_slice(&out));
    must(memchr(in.at, '\r', in.len) || json_check(in, &value) || !json_check(buf_slice(&out), &value), "no JSON any more");     /* a CR between tokens is shown too */
    buf_fini(&out);
}

/* The object without the white space between its tokens. */
static void add_packed(struct buf *out, struct slice json)
{
    bool inside = false;
    for (size_t i = 0; i < json.len; i++) {
        char c = json.at[i];
        if (!inside && strchr(" \t\r\n", c) && c)
            continue;
        buf_add_char(out, c);
        if (inside && c == '\\' && i + 1 < json.len)
            buf_add_char(out, json.at[++i]);
        else if (c == '"')
            inside = !inside;
    }
}

static void must_be_same_tokens(struct slice a, struct slice b)
{
    struct buf one = { 0 }, other = { 0 };
    add_packed(&one, a);
    add_packed(&other, b);
    must_be_same(buf_slice(&one), buf_slice(&other), "tokens");
    buf_fini(&one);
    buf_fini(&other);
}

static void shown(struct slice object, const char *preset, bool terminal, bool pretty)
{
    struct format format;
    struct buf out = { 0 }, wrong = { 0 };
    must(!format_parse(preset, &format, &wrong), "preset");
    format.terminal = terminal;
    format.pretty = pretty;
    int rc = format_add(&format, object, 0, &out);
    must(!rc || (rc == ERR_BAD_JSON && out.len == 0), "%d is not in the contract", rc);
    if (!rc && terminal)
        must_be_harmless(buf_slice(&out));
    if (!rc && !pretty && !strcmp(preset, "json"))
        must_be_one_line(buf_slice(&out));
    if (!rc && !terminal && !strcmp(preset, "json"))
        must_be_same_tokens(buf_slice(&out), object);
    buf_fini(&out);
    format_fini(&format);
}

static void message(struct slice in)
{
    static const char *const presets[] = { "text", "data", "json", "{time}{clock}{ms}{channel}{id}{event}{user}{data}{size}{json}" };
    for (size_t i = 0; i < sizeof presets / sizeof *presets * 4; i++)
        shown(in, presets[i / 4], i & 1, i & 2);
}

static void template(struct slice in)
{
    const struct slice object = SLICE("{\"type\":\"message\",\"channel\":\"c\",\"id\":\"k3q7x2ab.1\",\"data\":1,\"time\":1}");
    struct format format;
    struct buf out = { 0 }, wrong = { 0 };
    char *text = slice_copy(in);
    must(text, "no memory");
    int rc = format_parse(text, &format, &wrong);
    must(!rc == !wrong.len, "a reason, or none");
    if (!rc) {
        must(!format_add(&format, object, 0, &out), "a message");
        format_fini(&format);
    }
    buf_fini(&out);
    buf_fini(&wrong);
    free(text);
}

/* Published and read again it is the same payload. */
static void item(struct slice in)
{
    const struct item_terms terms = { .channel = "a", .event = "e", .key = "k" };
    struct buf line = { 0 }, payload = { 0 };
    struct json_object members;
    bool many;
    must(!item_add_payload(&line, &terms, in, 1), "any bytes are a payload");
    must_be_one_line(buf_slice(&line));
    must(!json_object_parse(buf_slice(&line), &members), "no object");
    if (utf8_valid(in)) {      /* as text; bytes have an encoding that message objects have too */
        must(payload_add_text(&payload, buf_slice(&line), "data"), "no text");
        must_be_same(buf_slice(&payload), in, "text");
    } else {
        must(!payload_of_message(buf_slice(&line), &payload), "no message");
        must_be_same(buf_slice(&payload), in, "bytes");
    }
    buf_reset(&line);
    if (!memchr(in.at, '\n', in.len)) {
        must(!item_add_object(&line, &terms, in, 1, &many), "any line goes");
        must_be_one_line(buf_slice(&line));
        must(json_object_parse(in, &members) || members.n > JSON_MEMBERS_MAX - 3 || !json_object_parse(buf_slice(&line), &members), "an object became none");
    }
    buf_fini(&line);
    buf_fini(&payload);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = input(data, size);
    terminal_text(in);
    message(in);
    template(in);
    item(in);
    return 0;
}
