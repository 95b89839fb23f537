#include "transports/request/head.h"

#include "hub/base/err.h"
#include "transports/request/http_head.h"

struct reading {
    struct head *head;
    bool         connection_upgrade, upgrade_websocket;
    unsigned     ws_keys, ws_versions;
};

/* Is `word` one of a list parted by commas? */
static bool lists(struct slice list, struct slice word)
{
    while (list.len) {
        const char *comma = memchr(list.at, ',', list.len);
        size_t len = comma ? (size_t)(comma - list.at) : list.len;
        if (slice_is_nocase(slice_trim(slice(list.at, len)), word))
            return true;
        list = comma ? slice(comma + 1, list.len - len - 1) : slice(list.at, 0);
    }
    return false;
}

static void on_host(struct reading *r, struct slice v)           { r->head->host = v; }
static void on_origin(struct reading *r, struct slice v)         { r->head->origin = v; }
static void on_fetch_site(struct reading *r, struct slice v)     { r->head->fetch_site = v; }
static void on_cookie(struct reading *r, struct slice v)         { r->head->cookie = v; }
static void on_last_event_id(struct reading *r, struct slice v)  { r->head->last_event_id = v; }
static void on_authorization(struct reading *r, struct slice v)  { r->head->authorization = v; }
static void on_api_key(struct reading *r, struct slice v)        { r->head->api_key = v; }
static void on_if_none_match(struct reading *r, struct slice v)  { r->head->if_none_match = v; }
static void on_ws_key(struct reading *r, struct slice v)         { r->head->ws_key = v; r->ws_keys++; }
static void on_ws_version(struct reading *r, struct slice v)     { r->head->ws_version = v; r->ws_versions++; }
static void on_connection(struct reading *r, struct slice v)     { r->connection_upgrade |= lists(v, SLICE("upgrade")); }
static void on_upgrade(struct reading *r, struct slice v)        { r->upgrade_websocket |= lists(v, SLICE("websocket")); }
static void on_accept(struct reading *r, struct slice v)         { r->head->wants_stream |= lists(v, SLICE("text/event-stream")); }
static void on_ws_protocol(struct reading *r, struct slice v)
{
    r->head->offers_protocols = true;
    r->head->offers_carillon |= lists(v, SLICE("carillon.v1"));
}

static const struct header {
    struct slice name;
    void       (*take)(struct reading *reading, struct slice value);
} headers[] = {
    { SLICE("host"), on_host },
    { SLICE("origin"), on_origin },
    { SLICE("sec-fetch-site"), on_fetch_site },
    { SLICE("cookie"), on_cookie },
    { SLICE("last-event-id"), on_last_event_id },
    { SLICE("authorization"), on_authorization },
    { SLICE("x-api-key"), on_api_key },
    { SLICE("if-none-match"), on_if_none_match },
    { SLICE("accept"), on_accept },
    { SLICE("connection"), on_connection },
    { SLICE("upgrade"), on_upgrade },
    { SLICE("sec-websocket-key"), on_ws_key },
    { SLICE("sec-websocket-version"), on_ws_version },
    { SLICE("sec-websocket-protocol"), on_ws_protocol },
};

static void take_header(struct reading *reading, const struct api_header *header)
{
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++)
        if (slice_is_nocase(header->name, headers[i].name))
            headers[i].take(reading, header->value);
}

static struct slice after_authority(struct slice target, size_t scheme)
{
    const char *at = target.at + scheme, *end = target.at + target.len;
    while (at < end && *at != '/' && *at != '?')
        at++;
    return slice(at, (size_t)(end - at));
}

/* The authority of an absolute-form is not looked at: this port has one host. */
static int split_target(struct slice target, struct head *head)
{
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

int head_read(const struct http_head *http, struct head *ret_head)
{
    struct head head = { 0 };
    struct reading reading = { .head = &head };
    for (size_t i = 0; i < http->n_headers; i++)
        take_header(&reading, &http->headers[i]);
    head.method = slice_is(http->method, SLICE("GET")) ? HEAD_METHOD_GET
                : slice_is(http->method, SLICE("HEAD")) ? HEAD_METHOD_HEAD
                : slice_is(http->method, SLICE("OPTIONS")) ? HEAD_METHOD_OPTIONS : HEAD_METHOD_OTHER;
    head.has_body = http->chunked || http->content_length > 0;
    head.upgrade_websocket = reading.upgrade_websocket && reading.connection_upgrade;
    head.ws_sound = reading.ws_keys == 1 && reading.ws_versions == 1 && !http->http10;
    int err = split_target(http->target, &head);
    if (!err)
        *ret_head = head;
    return err;
}
