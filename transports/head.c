#include "transports/head.h"

#include "hub/base/err.h"

#include <http_parser.h>

/* While parsing: which header the next value belongs to. */
struct reader {
    struct head  *head;
    struct slice  target, name;
    unsigned      hosts;
    bool          connection_upgrade, upgrade_websocket;
    bool          length, transfer;       /* there is a Content-Length that is not 0, a Transfer-Encoding */
    int           err;
};

size_t head_end(struct slice bytes, size_t seen)
{
    for (size_t i = seen > 3 ? seen - 3 : 0; i < bytes.len; i++) {
        if (bytes.at[i] != '\n')
            continue;
        size_t next = i + 1;
        if (next < bytes.len && bytes.at[next] == '\r')
            next++;
        if (next < bytes.len && bytes.at[next] == '\n')
            return next + 1;
    }
    return 0;
}

/* RFC 9110 §5.6.2 */
static bool is_token(struct slice s)
{
    static const char marks[] = "!#$%&'*+-.^_`|~";
    for (size_t i = 0; i < s.len; i++) {
        char c = s.at[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c && strchr(marks, c))))
            return false;
    }
    return s.len > 0;
}

static struct slice trim(struct slice s)
{
    while (s.len && (*s.at == ' ' || *s.at == '\t'))
        s.at++, s.len--;
    while (s.len && (s.at[s.len - 1] == ' ' || s.at[s.len - 1] == '\t'))
        s.len--;
    return s;
}

/* Is `word` one of a list parted by commas? */
static bool lists(struct slice list, struct slice word)
{
    while (list.len) {
        const char *comma = memchr(list.at, ',', list.len);
        size_t len = comma ? (size_t)(comma - list.at) : list.len;
        if (slice_is_nocase(trim(slice(list.at, len)), word))
            return true;
        list = comma ? slice(comma + 1, list.len - len - 1) : slice(list.at, 0);
    }
    return false;
}

static void on_host(struct reader *r, struct slice v)           { r->head->host = v; r->hosts++; }
static void on_origin(struct reader *r, struct slice v)         { r->head->origin = v; }
static void on_last_event_id(struct reader *r, struct slice v)  { r->head->last_event_id = v; }
static void on_authorization(struct reader *r, struct slice v)  { r->head->authorization = v; }
static void on_api_key(struct reader *r, struct slice v)        { r->head->api_key = v; }
static void on_ws_key(struct reader *r, struct slice v)         { r->head->ws_key = v; }
static void on_ws_version(struct reader *r, struct slice v)     { r->head->ws_version = v; }
static void on_length(struct reader *r, struct slice v)         { r->length |= !slice_is(v, SLICE("0")); }
static void on_transfer(struct reader *r, struct slice v)       { r->transfer = true; (void)v; }
static void on_connection(struct reader *r, struct slice v)     { r->connection_upgrade |= lists(v, SLICE("upgrade")); }
static void on_upgrade(struct reader *r, struct slice v)        { r->upgrade_websocket |= lists(v, SLICE("websocket")); }
static void on_ws_protocol(struct reader *r, struct slice v)
{
    r->head->offers_protocols = true;
    r->head->offers_carillon |= lists(v, SLICE("carillon.v1"));
}

static const struct header {
    struct slice name;
    void       (*take)(struct reader *reader, struct slice value);
} headers[] = {
    { SLICE("host"), on_host },
    { SLICE("origin"), on_origin },
    { SLICE("last-event-id"), on_last_event_id },
    { SLICE("authorization"), on_authorization },
    { SLICE("x-api-key"), on_api_key },
    { SLICE("content-length"), on_length },
    { SLICE("transfer-encoding"), on_transfer },
    { SLICE("connection"), on_connection },
    { SLICE("upgrade"), on_upgrade },
    { SLICE("sec-websocket-key"), on_ws_key },
    { SLICE("sec-websocket-version"), on_ws_version },
    { SLICE("sec-websocket-protocol"), on_ws_protocol },
};

static int on_target(http_parser *parser, const char *at, size_t len)
{
    struct reader *reader = parser->data;
    reader->target = slice(at, len);
    return 0;
}

static int on_name(http_parser *parser, const char *at, size_t len)
{
    struct reader *reader = parser->data;
    reader->name = slice(at, len);
    if (!is_token(reader->name))
        reader->err = ERR_BAD_REQUEST;
    return reader->err;
}

static int on_value(http_parser *parser, const char *at, size_t len)
{
    struct reader *reader = parser->data;
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++)
        if (slice_is_nocase(reader->name, headers[i].name))
            headers[i].take(reader, trim(slice(at, len)));
    return 0;
}

static int on_complete(http_parser *parser)
{
    (void)parser;
    return 1;        /* whatever follows is not looked at */
}

/* Every line ends with CRLF, and none is folded; the parser would let both through. */
static bool lines_are_sound(struct slice bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        if (bytes.at[i] == '\0' || (bytes.at[i] == '\r' && (i + 1 == bytes.len || bytes.at[i + 1] != '\n')))
            return false;
        if (bytes.at[i] == '\n' && (i == 0 || bytes.at[i - 1] != '\r'))
            return false;
        if (bytes.at[i] == '\n' && i + 1 < bytes.len && (bytes.at[i + 1] == ' ' || bytes.at[i + 1] == '\t'))
            return false;
    }
    return true;
}

static struct slice after_authority(struct slice target, size_t scheme)
{
    const char *at = target.at + scheme, *end = target.at + target.len;
    while (at < end && *at != '/' && *at != '?')
        at++;
    return slice(at, (size_t)(end - at));
}

/* origin-form, or absolute-form whose authority is not looked at (RFC 9112 §3.2.2). */
static int split_target(struct slice target, struct head *head)
{
    for (size_t i = 0; i < target.len; i++)
        if (target.at[i] <= ' ' || target.at[i] > '~' || target.at[i] == '#')
            return ERR_BAD_REQUEST;
    if (slice_begins(target, SLICE("http://")))
        target = after_authority(target, 7);
    else if (slice_begins(target, SLICE("https://")))
        target = after_authority(target, 8);
    else if (!target.len || *target.at != '/')
        return ERR_BAD_REQUEST;
    const char *mark = target.len ? memchr(target.at, '?', target.len) : NULL;
    size_t len = mark ? (size_t)(mark - target.at) : target.len;
    head->path = len ? slice(target.at, len) : SLICE("/");
    head->query = mark ? slice(mark + 1, target.len - len - 1) : slice(target.at, 0);
    return 0;
}

static int parse_error(const http_parser *parser, const struct reader *reader)
{
    if (reader->err)
        return reader->err;
    switch (HTTP_PARSER_ERRNO(parser)) {
    case HPE_OK:                        return 0;
    case HPE_HEADER_OVERFLOW:           return ERR_HEAD_TOO_LARGE;
    case HPE_INVALID_METHOD:            return ERR_NOT_IMPLEMENTED;
    case HPE_UNEXPECTED_CONTENT_LENGTH: return ERR_LENGTH_CONFLICT;
    default:                            return ERR_BAD_REQUEST;
    }
}

static enum head_method method_of(const http_parser *parser)
{
    return parser->method == HTTP_GET ? HEAD_METHOD_GET : parser->method == HTTP_HEAD ? HEAD_METHOD_HEAD : HEAD_METHOD_OTHER;
}

int head_parse(struct slice bytes, struct head *ret_head)
{
    static const http_parser_settings settings = {
        .on_url = on_target, .on_header_field = on_name, .on_header_value = on_value, .on_headers_complete = on_complete,
    };
    struct head head = { 0 };
    struct reader reader = { .head = &head };
    http_parser parser;
    if (!lines_are_sound(bytes))
        return ERR_BAD_REQUEST;
    http_parser_init(&parser, HTTP_REQUEST);
    parser.data = &reader;
    http_parser_execute(&parser, &settings, bytes.at, bytes.len);
    int err = parse_error(&parser, &reader);
    if (err)
        return err;
    if (parser.http_major != 1 || parser.http_minor > 1)
        return ERR_NOT_IMPLEMENTED;
    if (reader.hosts > 1 || (!reader.hosts && parser.http_minor == 1))
        return ERR_BAD_REQUEST;
    if (reader.transfer && reader.length)
        return ERR_LENGTH_CONFLICT;
    head.method = method_of(&parser);
    head.has_body = reader.length || reader.transfer;
    head.upgrade_websocket = reader.upgrade_websocket && reader.connection_upgrade;
    err = split_target(reader.target, &head);
    if (!err)
        *ret_head = head;
    return err;
}
