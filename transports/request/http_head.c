#include "transports/request/http_head.h"

#include "hub/base/err.h"

#include <http_parser.h>

enum { HEAD_KEPT = 16 * 1024 };

/* While the parser runs. */
struct reading {
    struct http_head *head;
    unsigned          hosts, lengths, encodings, origins, credentials[2];
    int               err;
};

void http_head_reset(struct http_head *head)
{
    if (head->bytes.cap > HEAD_KEPT)
        buf_fini(&head->bytes);
    buf_reset(&head->bytes);
    head->line = head->n_headers = 0;
}

void http_head_fini(struct http_head *head)
{
    buf_fini(&head->bytes);
}

/* ---- letters ---- */

enum { IS_TOKEN = 1, IS_HOST = 2 };

static const uint8_t letters[256] = {
    ['0' ... '9'] = IS_TOKEN | IS_HOST, ['a' ... 'z'] = IS_TOKEN | IS_HOST, ['A' ... 'Z'] = IS_TOKEN | IS_HOST,
    ['!'] = IS_TOKEN | IS_HOST, ['$'] = IS_TOKEN | IS_HOST, ['%'] = IS_TOKEN | IS_HOST, ['&'] = IS_TOKEN | IS_HOST, ['\''] = IS_TOKEN | IS_HOST,
    ['*'] = IS_TOKEN | IS_HOST, ['+'] = IS_TOKEN | IS_HOST, ['-'] = IS_TOKEN | IS_HOST, ['.'] = IS_TOKEN | IS_HOST, ['_'] = IS_TOKEN | IS_HOST,
    ['~'] = IS_TOKEN | IS_HOST, ['#'] = IS_TOKEN, ['^'] = IS_TOKEN, ['`'] = IS_TOKEN, ['|'] = IS_TOKEN,
    ['('] = IS_HOST, [')'] = IS_HOST, [','] = IS_HOST, [';'] = IS_HOST, ['='] = IS_HOST, [':'] = IS_HOST, ['['] = IS_HOST, [']'] = IS_HOST,
};

static bool all_are(struct slice s, uint8_t kind)
{
    for (size_t i = 0; i < s.len; i++)
        if (!(letters[(unsigned char)s.at[i]] & kind))
            return false;
    return true;
}

/* ---- lines ---- */

/* The line that has just become complete, with its end. A CR elsewhere, or none before the LF, ends it for other readers in
 * other places; a line that begins with space continues the one before for some of them (RFC 9112 §2.2, §5.2). */
static int check_line(const struct http_head *head, struct slice line)
{
    if (line.len < 2 || line.at[line.len - 2] != '\r' || memchr(line.at, '\r', line.len - 2))
        return ERR_BAD_REQUEST;
    if (head->line > 0 && (*line.at == ' ' || *line.at == '\t'))
        return ERR_BAD_REQUEST;
    return 0;
}

static int take_line(struct http_head *head, struct slice bytes, size_t max, size_t *ret_taken, bool *ret_complete)
{
    const char *lf = memchr(bytes.at, '\n', bytes.len);
    size_t n = lf ? (size_t)(lf - bytes.at) + 1 : bytes.len;
    *ret_taken = n;
    *ret_complete = lf != NULL;
    if (head->bytes.len + n > max)
        return ERR_HEAD_TOO_LARGE;
    buf_add(&head->bytes, bytes.at, n);
    if (head->bytes.failed)
        return ERR_MEMORY;
    return 0;
}

/* ---- what the parser finds ---- */

static void add_length(struct reading *r, struct slice value)
{
    uint64_t length;
    if (!slice_u64(value, &length) || r->lengths++ > 0)
        r->err = ERR_BAD_REQUEST;
}

static void add_encoding(struct reading *r, struct slice value)
{
    if (!slice_is_nocase(value, SLICE("chunked")) || r->encodings++ > 0)
        r->err = ERR_BAD_REQUEST;
    r->head->chunked = true;
}

static void add_host(struct reading *r, struct slice value)
{
    if (!all_are(value, IS_HOST) || r->hosts++ > 0)
        r->err = ERR_BAD_REQUEST;
}

static void add_expect(struct reading *r, struct slice value)
{
    r->head->expect = slice_is_nocase(value, SLICE("100-continue")) ? EXPECT_CONTINUE : EXPECT_OTHER;
}

/* Two of a kind: of two readers each might believe another. */
static void count_once(struct reading *r, unsigned *count)
{
    if ((*count)++ > 0)
        r->err = ERR_BAD_REQUEST;
}

static void add_authorization(struct reading *r, struct slice value) { (void)value; count_once(r, &r->credentials[0]); }
static void add_api_key(struct reading *r, struct slice value)       { (void)value; count_once(r, &r->credentials[1]); }
static void add_origin(struct reading *r, struct slice value)        { (void)value; count_once(r, &r->origins); }

/* Headers that decide where a request ends, for whom it is, who sends it, or whose page. */
static const struct {
    struct slice name;
    void       (*add)(struct reading *r, struct slice value);
} checked[] = {
    { SLICE("host"), add_host }, { SLICE("content-length"), add_length }, { SLICE("transfer-encoding"), add_encoding }, { SLICE("expect"), add_expect },
    { SLICE("authorization"), add_authorization }, { SLICE("x-api-key"), add_api_key }, { SLICE("origin"), add_origin },
};

static struct slice trim_end(struct slice s)
{
    while (s.len > 0 && (s.at[s.len - 1] == ' ' || s.at[s.len - 1] == '\t'))
        s.len--;
    return s;
}

static int on_url(http_parser *parser, const char *at, size_t len)
{
    struct reading *r = parser->data;
    r->head->target = slice(at, len);
    return 0;
}

static int on_name(http_parser *parser, const char *at, size_t len)
{
    struct reading *r = parser->data;
    if (r->head->n_headers == HTTP_HEADERS_MAX)
        r->err = ERR_HEAD_TOO_LARGE;
    else if (!all_are(slice(at, len), IS_TOKEN))
        r->err = ERR_BAD_REQUEST;
    else
        r->head->headers[r->head->n_headers] = (struct api_header){ slice(at, len), slice(at, 0) };
    return r->err;
}

static int on_value(http_parser *parser, const char *at, size_t len)
{
    struct reading *r = parser->data;
    struct api_header *header = &r->head->headers[r->head->n_headers++];
    header->value = trim_end(slice(at, len));
    for (size_t i = 0; i < sizeof checked / sizeof *checked; i++)
        if (slice_is_nocase(header->name, checked[i].name))
            checked[i].add(r, header->value);
    return r->err;
}

/* Bodies are not the parser's: its chunked reader takes any two bytes for the CRLF behind a chunk (http_chunk.h). */
static int on_headers_complete(http_parser *parser)
{
    struct reading *r = parser->data;
    r->head->keep_alive = http_should_keep_alive(parser);
    r->head->http10 = parser->http_minor == 0;
    r->head->content_length = r->head->chunked || r->lengths == 0 ? 0 : parser->content_length;
    return 1;
}

/* The parser has one error for Content-Length twice and for Content-Length beside Transfer-Encoding. */
static int parser_error(const http_parser *parser, const struct reading *r)
{
    switch (HTTP_PARSER_ERRNO(parser)) {
    case HPE_UNEXPECTED_CONTENT_LENGTH: return r->encodings > 0 ? ERR_LENGTH_CONFLICT : ERR_BAD_REQUEST;
    case HPE_HEADER_OVERFLOW:           return ERR_HEAD_TOO_LARGE;
    case HPE_INVALID_METHOD:
    case HPE_INVALID_VERSION:           return ERR_NOT_IMPLEMENTED;
    default:                            return ERR_BAD_REQUEST;
    }
}

static int check_target(struct slice target)
{
    for (size_t i = 0; i < target.len; i++)
        if (target.at[i] <= ' ' || target.at[i] > '~' || target.at[i] == '#')
            return ERR_BAD_REQUEST;
    return target.len > 0 ? 0 : ERR_BAD_REQUEST;
}

/* One space between method, target and version, and none behind (RFC 9112 §3). */
static bool request_line_is_exact(const struct http_head *head)
{
    enum { VERSION = sizeof "HTTP/1.1\r\n" - 1 };
    const char *lf = memchr(head->bytes.at, '\n', head->bytes.len);
    size_t exact = head->method.len + 1 + head->target.len + 1 + VERSION;
    return head->target.at == head->bytes.at + head->method.len + 1 && (size_t)(lf + 1 - head->bytes.at) == exact;
}

static int check_whole(const http_parser *parser, const struct reading *r)
{
    const struct http_head *head = r->head;
    if (parser->http_major != 1)
        return ERR_NOT_IMPLEMENTED;
    if (parser->method == HTTP_CONNECT || parser->method == HTTP_TRACE)
        return ERR_NOT_IMPLEMENTED;
    if (!request_line_is_exact(head))
        return ERR_BAD_REQUEST;
    if (r->encodings > 0 && r->lengths > 0)
        return ERR_LENGTH_CONFLICT;
    if (r->encodings > 0 && parser->http_minor == 0)
        return ERR_BAD_REQUEST;
    if (r->hosts != 1 && parser->http_minor > 0)
        return ERR_BAD_REQUEST;
    return check_target(head->target);
}

static int parse(struct http_head *head)
{
    static const http_parser_settings settings = {
        .on_url = on_url, .on_header_field = on_name, .on_header_value = on_value, .on_headers_complete = on_headers_complete,
    };
    struct reading r = { .head = head };
    http_parser parser;
    http_parser_init(&parser, HTTP_REQUEST);
    parser.data = &r;
    head->target = slice("", 0);
    head->chunked = head->keep_alive = false;
    head->content_length = 0;
    head->expect = EXPECT_NOTHING;
    http_parser_execute(&parser, &settings, head->bytes.at, head->bytes.len);
    if (r.err)
        return r.err;
    if (HTTP_PARSER_ERRNO(&parser) != HPE_OK)
        return parser_error(&parser, &r);
    const char *method = http_method_str((enum http_method)parser.method);
    head->method = slice(method, strlen(method));
    return check_whole(&parser, &r);
}

/* A method is letters; whatever begins otherwise is no HTTP (a TLS greeting, a line of another protocol) and need not be
 * waited for. */
static bool begins_badly(const struct http_head *head)
{
    char c = head->bytes.len > 0 ? *head->bytes.at : 'G';
    return !((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '\r');
}

int http_head_feed(struct http_head *head, struct slice bytes, size_t max, size_t *ret_used)
{
    size_t used = 0, taken;
    bool complete = true;
    int err = 0;
    while (used < bytes.len && complete) {
        err = take_line(head, slice(bytes.at + used, bytes.len - used), max, &taken, &complete);
        used += taken;
        if (!err && begins_badly(head))
            err = ERR_BAD_REQUEST;
        if (!err && complete)
            err = check_line(head, slice(head->bytes.at + head->line, head->bytes.len - head->line));
        if (err || !complete)
            break;
        bool empty = head->bytes.len - head->line == 2;
        head->line = head->bytes.len;
        if (empty && head->line > 2) {
            err = parse(head);
            *ret_used = used;
            return err ? err : HTTP_HEAD_DONE;
        }
        if (empty)
            http_head_reset(head);     /* an empty line before a request is skipped (RFC 9112 §2.2) */
    }
    *ret_used = used;
    return err;
}

struct ip http_head_client(const struct http_head *head, const struct proxies *proxies, struct ip peer)
{
    struct slice lines[HTTP_HEADERS_MAX];
    size_t n = 0;
    if (!proxies_trust(proxies, peer))
        return peer;
    for (size_t i = 0; i < head->n_headers; i++)
        if (slice_is_nocase(head->headers[i].name, proxies_header(proxies)))
            lines[n++] = head->headers[i].value;
    return forwarded_client(proxies, peer, lines, n);
}
