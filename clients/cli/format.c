#include "clients/cli/format.h"

#include <inttypes.h>
#include <stdio.h>

#include "clients/cli/payload.h"
#include "clients/cli/pretty.h"
#include "clients/cli/terminal.h"
#include "hub/base/err.h"
#include "hub/base/instant.h"
#include "hub/base/json.h"
#include "hub/base/nearest.h"

/* One object on its way out. */
struct shown {
    const struct format *format;
    struct slice         object;
    struct json_object   members;
    struct buf           data;      /* of a message its payload, of a member his info */
    bool                 json;      /* that is JSON */
    int64_t              time_ms;
};

/* ---- fields ---- */

struct format_field {
    const char *name;
    void      (*add)(const struct shown *shown, struct buf *out);
    const char *help;
};

static void add_member(const struct shown *shown, const char *name, struct buf *out) { payload_add_text(out, shown->object, name); }

static void add_channel(const struct shown *shown, struct buf *out) { add_member(shown, "channel", out); }
static void add_id(const struct shown *shown, struct buf *out)      { add_member(shown, "id", out); }
static void add_user(const struct shown *shown, struct buf *out)    { add_member(shown, "user", out); }
static void add_time(const struct shown *shown, struct buf *out)    { buf_add_instant_ms(out, shown->time_ms); }
static void add_clock(const struct shown *shown, struct buf *out)   { terminal_add_clock(out, shown->time_ms); }
static void add_ms(const struct shown *shown, struct buf *out)      { buf_addf(out, "%" PRId64, shown->time_ms); }
static void add_size(const struct shown *shown, struct buf *out)    { buf_add_u64(out, shown->data.len); }

/* A member who came or left is told by an event of the hub's. */
static void add_event(const struct shown *shown, struct buf *out)
{
    add_member(shown, json_member_find(&shown->members, "user").at ? "type" : "event", out);
}

static void add_data(const struct shown *shown, struct buf *out)
{
    if (shown->format->pretty && shown->json)
        pretty_add(out, buf_slice(&shown->data));
    else
        buf_add_slice(out, buf_slice(&shown->data));
}

/* The whole object. A line end between the tokens of a payload is a blank here; inside strings JSON has none. */
static void add_json(const struct shown *shown, struct buf *out)
{
    size_t before = out->len;
    if (shown->format->pretty) {
        pretty_add(out, shown->object);
        return;
    }
    buf_add_slice(out, shown->object);
    for (size_t i = before; i < out->len; i++)
        if (out->at[i] == '\n' || out->at[i] == '\r')
            out->at[i] = ' ';
}

static const struct format_field fields[] = {
    { "time",    add_time,    "when the hub took it: 2026-11-21T10:08:00.123Z" },
    { "clock",   add_clock,   "the same, this place's time of day: 10:08:00" },
    { "ms",      add_ms,      "the same, milliseconds since 1970" },
    { "channel", add_channel, "its channel" },
    { "id",      add_id,      "its id, which --since takes" },
    { "event",   add_event,   "its event name; with --members also member-joined, member-left" },
    { "user",    add_user,    "with --members, who came or left" },
    { "data",    add_data,    "the payload, as it was published" },
    { "size",    add_size,    "bytes of the payload" },
    { "json",    add_json,    "the whole message object" },
};
enum { N_FIELDS = sizeof fields / sizeof *fields };

void format_add_fields_help(struct buf *out)
{
    for (size_t i = 0; i < N_FIELDS; i++)
        buf_addf(out, "  {%s}%*s %s%s", fields[i].name, (int)(9 - strlen(fields[i].name)), "", fields[i].help, i + 1 < N_FIELDS ? "\n" : "");
}

/* ---- templates ---- */

static int add_literal(struct format *format, const char *bytes, size_t len)
{
    struct format_piece *last = format->n ? &format->pieces[format->n - 1] : NULL;
    if (!last || last->field) {
        if (format->n == FORMAT_PIECES)
            return ERR_TOO_MANY_ITEMS;
        last = &format->pieces[format->n++];
        *last = (struct format_piece){ .at = format->literals.len };
    }
    buf_add(&format->literals, bytes, len);
    last->len += len;
    return format->literals.failed ? ERR_MEMORY : 0;
}

static const char *nearest_field(struct slice name)
{
    const char *names[N_FIELDS];
    char word[32];
    for (size_t i = 0; i < N_FIELDS; i++)
        names[i] = fields[i].name;
    snprintf(word, sizeof word, "%.*s", (int)name.len, name.at);
    return nearest(word, names, N_FIELDS);
}

/* *at is behind the brace, and is moved behind the other one. */
static int take_field(struct format *format, const char **at, struct buf *ret_wrong)
{
    struct slice name = slice(*at, strcspn(*at, "}"));
    *at += name.len;
    if (**at != '}') {
        buf_addf(ret_wrong, "{%.*s has no }; a brace that is meant is \\{", (int)name.len, name.at);
        return ERR_BAD_FIELD;
    }
    ++*at;
    for (size_t i = 0; i < N_FIELDS; i++)
        if (slice_is(slice_of(fields[i].name), name)) {
            if (format->n == FORMAT_PIECES)
                return ERR_TOO_MANY_ITEMS;
            format->pieces[format->n++] = (struct format_piece){ .field = &fields[i] };
            return 0;
        }
    const char *meant = nearest_field(name);
    buf_addf(ret_wrong, "there is no {%.*s}", (int)name.len, name.at);
    buf_addf(ret_wrong, meant ? "; did you mean {%s}?" : "; --help lists the fields", meant);
    return ERR_BAD_FIELD;
}

/* *at is behind the backslash. */
static int take_escape(struct format *format, const char **at, struct buf *ret_wrong)
{
    static const char names[] = "ntr0\\{}", bytes[] = "\n\t\r\0\\{}";
    const char *found = **at ? strchr(names, **at) : NULL;
    if (found) {
        ++*at;
        return add_literal(format, &bytes[found - names], 1);
    }
    int high = **at == 'x' ? hex_value((*at)[1]) : -1, low = high < 0 ? -1 : hex_value((*at)[2]);
    if (low >= 0) {
        char byte = (char)(high * 16 + low);
        *at += 3;
        return add_literal(format, &byte, 1);
    }
    buf_addf(ret_wrong, "\\%.1s is no escape; there are \\n \\t \\r \\0 \\\\ \\{ and \\xHH", *at);
    return ERR_BAD_FIELD;
}

static int parse_template(const char *at, struct format *format, struct buf *ret_wrong)
{
    int rc = 0;
    while (*at && !rc) {
        size_t plain = strcspn(at, "{\\");
        if (plain)
            rc = add_literal(format, at, plain);
        at += plain;
        char c = rc ? '\0' : *at;
        at += c != '\0';
        if (c == '{')
            rc = take_field(format, &at, ret_wrong);
        else if (c == '\\')
            rc = take_escape(format, &at, ret_wrong);
    }
    if (rc == ERR_TOO_MANY_ITEMS)
        buf_addf(ret_wrong, "a template has at most %d pieces", FORMAT_PIECES);
    return rc == ERR_TOO_MANY_ITEMS ? ERR_BAD_FIELD : rc;
}

int format_parse(const char *text, struct format *format, struct buf *ret_wrong)
{
    static const struct { const char *name; enum format_preset preset; } presets[] = {
        { "text", FORMAT_TEXT }, { "data", FORMAT_DATA }, { "json", FORMAT_JSON }, { "ndjson", FORMAT_JSON },
    };
    *format = (struct format){ .preset = FORMAT_TEMPLATE };
    for (size_t i = 0; i < sizeof presets / sizeof *presets; i++)
        if (!strcmp(presets[i].name, text)) {
            format->preset = presets[i].preset;
            return 0;
        }
    if (!strpbrk(text, "{\\")) {
        buf_addf(ret_wrong, "\"%s\" is neither text, data, json or ndjson, nor a template such as '{channel} {data}\\n'", text);
        return ERR_BAD_FIELD;
    }
    int rc = parse_template(text, format, ret_wrong);
    if (rc)
        format_fini(format);
    return rc;
}

void format_fini(struct format *format) { buf_fini(&format->literals); }

/* ---- out ---- */

static void add_field(const struct shown *shown, void (*add)(const struct shown *, struct buf *), struct buf *out)
{
    struct buf raw = { 0 };
    if (!shown->format->terminal) {
        add(shown, out);
        return;
    }
    add(shown, &raw);
    terminal_add(out, buf_slice(&raw));
    out->failed |= raw.failed;
    buf_fini(&raw);
}

static void add_template(const struct shown *shown, struct buf *out)
{
    const struct format *format = shown->format;
    for (size_t i = 0; i < format->n; i++)
        if (format->pieces[i].field)
            add_field(shown, format->pieces[i].field->add, out);
        else
            buf_add(out, format->literals.at + format->pieces[i].at, format->pieces[i].len);
}

static void add_coloured(const struct shown *shown, const char *colour, void (*add)(const struct shown *, struct buf *), struct buf *out)
{
    buf_add_str(out, shown->format->colours ? colour : "");
    add_field(shown, add, out);
    buf_add_str(out, shown->format->colours ? COLOUR_OFF : "");
}

/* What comes behind a line end is indented: no payload can pass for a message of its own. */
static void add_indented(struct slice text, struct buf *out)
{
    for (const char *end; (end = text.len ? memchr(text.at, '\n', text.len) : NULL);) {
        size_t len = (size_t)(end - text.at) + 1;
        buf_add(out, text.at, len);
        buf_add_str(out, "         ");
        text = slice(text.at + len, text.len - len);
    }
    buf_add_slice(out, text);
}

static void add_text_line(const struct shown *shown, struct buf *out)
{
    struct buf name = { 0 }, data = { 0 };
    bool is_member = json_member_find(&shown->members, "user").at;
    add_channel(shown, &name);
    add_coloured(shown, COLOUR_DIM, add_clock, out);
    buf_add_char(out, ' ');
    add_coloured(shown, terminal_colour_of(buf_slice(&name)), add_channel, out);
    buf_add_char(out, ' ');
    if (is_member || json_member_find(&shown->members, "event").at) {
        buf_add_char(out, '[');
        add_coloured(shown, COLOUR_BOLD, add_event, out);
        buf_add_str(out, "] ");
    }
    if (is_member) {
        add_field(shown, add_user, out);
        buf_add_char(out, ' ');
    }
    add_field(shown, add_data, &data);
    add_indented(buf_slice(&data), out);
    out->failed |= name.failed || data.failed;
    buf_fini(&name);
    buf_fini(&data);
    buf_add_char(out, '\n');
}

/* A preset of lines cannot show a member as data: it is shown as what it is. */
static void add_shown(const struct shown *shown, struct buf *out)
{
    enum format_preset preset = shown->format->preset;
    if (preset == FORMAT_TEMPLATE) {
        add_template(shown, out);
    } else if (preset == FORMAT_TEXT) {
        add_text_line(shown, out);
    } else {
        bool whole = preset == FORMAT_JSON || json_member_find(&shown->members, "user").at;
        add_field(shown, whole ? add_json : add_data, out);
        buf_add_char(out, '\n');
    }
}

static int read_object(const struct format *format, struct slice object, int64_t now_ms, struct shown *shown)
{
    uint64_t ms;
    *shown = (struct shown){ .format = format, .object = object, .time_ms = now_ms };
    if (json_object_parse(object, &shown->members))
        return ERR_BAD_JSON;
    struct slice time = json_member_find(&shown->members, "time"), info = json_member_find(&shown->members, "info"), data;
    if (time.at && slice_u64(time, &ms) && ms < INT64_MAX)
        shown->time_ms = (int64_t)ms;
    if (json_member_find(&shown->members, "user").at) {
        buf_add_slice(&shown->data, info.at ? info : SLICE("null"));
        shown->json = true;
        return 0;
    }
    data = json_member_find(&shown->members, "data");
    shown->json = data.at && data.at[0] != '"';
    return payload_of_message(object, &shown->data);
}

int format_add(const struct format *format, struct slice object, int64_t now_ms, struct buf *out)
{
    struct shown shown;
    size_t before = out->len;
    int rc = read_object(format, object, now_ms, &shown);
    if (!rc)
        add_shown(&shown, out);
    if (!rc && (out->failed || shown.data.failed))
        rc = ERR_MEMORY;
    if (rc)
        out->len = before;
    buf_fini(&shown.data);
    return rc;
}
