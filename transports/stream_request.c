#include "transports/stream_request.h"

#include "hub/base/err.h"
#include "transports/head.h"

#include <stdlib.h>

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Decodes to *out, which moves on; the result is never longer than `s`. */
static struct slice decode(struct slice s, char **out)
{
    char *begin = *out, *to = begin;
    for (size_t i = 0; i < s.len; i++) {
        bool escaped = s.at[i] == '%' && s.len - i > 2 && hex(s.at[i + 1]) >= 0 && hex(s.at[i + 2]) >= 0;
        if (escaped) {
            *to++ = (char)(hex(s.at[i + 1]) << 4 | hex(s.at[i + 2]));
            i += 2;
        } else {
            *to++ = s.at[i] == '+' ? ' ' : s.at[i];
        }
    }
    *out = to;
    return slice(begin, (size_t)(to - begin));
}

/* Takes the next `name=value` off the query, decoded. False: there is none. */
static bool next_parameter(struct slice *query, char **out, struct slice *ret_name, struct slice *ret_value)
{
    if (!query->len)
        return false;
    const char *end = memchr(query->at, '&', query->len);
    size_t len = end ? (size_t)(end - query->at) : query->len;
    const char *mark = len ? memchr(query->at, '=', len) : NULL;
    size_t name_len = mark ? (size_t)(mark - query->at) : len;
    *ret_name = decode(slice(query->at, name_len), out);
    *ret_value = mark ? decode(slice(mark + 1, len - name_len - 1), out) : slice(*out, 0);
    *query = end ? slice(end + 1, query->len - len - 1) : slice(query->at, 0);
    return true;
}

static void on_channel(struct stream_request *r, struct slice v)  { r->channels[r->n_channels++] = v; }
static void on_position(struct stream_request *r, struct slice v) { r->position = v; }
static void on_client(struct stream_request *r, struct slice v)   { r->client = v; }
static void on_user(struct stream_request *r, struct slice v)     { r->user = v; }
static void on_format(struct stream_request *r, struct slice v)   { r->format = v; }
static void on_token(struct stream_request *r, struct slice v)    { r->key = v; }

static const struct parameter {
    struct slice name;
    void       (*take)(struct stream_request *request, struct slice value);
} parameters[] = {
    { SLICE("channel"), on_channel }, { SLICE("last_event_id"), on_position }, { SLICE("lastEventID"), on_position },
    { SLICE("client"), on_client }, { SLICE("user"), on_user }, { SLICE("format"), on_format }, { SLICE("token"), on_token },
};

static void take_parameter(struct stream_request *request, struct slice name, struct slice value)
{
    for (size_t i = 0; i < sizeof parameters / sizeof *parameters; i++)
        if (slice_is(name, parameters[i].name))
            parameters[i].take(request, value);
}

static void take_headers(struct stream_request *request, const struct head *head)
{
    static const struct slice bearer = SLICE("Bearer ");
    struct slice auth = head->authorization;
    if (head->last_event_id.len)
        request->position = head->last_event_id;
    if (head->api_key.len)
        request->key = head->api_key;
    if (auth.len > bearer.len && slice_is_nocase(slice(auth.at, bearer.len), bearer))
        request->key = slice(auth.at + bearer.len, auth.len - bearer.len);
    else if (auth.len)
        request->key = auth;      /* another scheme is no key of ours: it is wrong, not absent */
}

/* ---- the same name twice counts once: sorted by name and place, found, taken out in the order they came ---- */

struct named { struct slice name; size_t place; };

static int by_name_and_place(const void *a, const void *b)
{
    const struct named *x = a, *y = b;
    size_t shorter = x->name.len < y->name.len ? x->name.len : y->name.len;
    int order = shorter ? memcmp(x->name.at, y->name.at, shorter) : 0;
    if (order)
        return order;
    if (x->name.len != y->name.len)
        return x->name.len < y->name.len ? -1 : 1;
    return x->place < y->place ? -1 : 1;
}

static int drop_doubles(struct stream_request *request)
{
    size_t n = request->n_channels, kept = 0;
    struct named *sorted = n > 1 ? malloc(n * sizeof *sorted) : NULL;
    if (n < 2)
        return 0;
    if (!sorted)
        return ERR_MEMORY;
    for (size_t i = 0; i < n; i++)
        sorted[i] = (struct named){ request->channels[i], i };
    qsort(sorted, n, sizeof *sorted, by_name_and_place);
    for (size_t i = 1; i < n; i++)
        if (slice_is(sorted[i].name, sorted[i - 1].name))
            request->channels[sorted[i].place].at = NULL;
    free(sorted);
    for (size_t i = 0; i < n; i++)
        if (request->channels[i].at)
            request->channels[kept++] = request->channels[i];
    request->n_channels = kept;
    return 0;
}

int stream_request_init(struct stream_request *request, const struct head *head, struct slice peer)
{
    struct slice query = head->query, name, value;
    size_t parts = 1;
    for (size_t i = 0; i < query.len; i++)
        parts += query.at[i] == '&';
    *request = (struct stream_request){ .peer = peer };
    request->decoded = malloc(query.len + 1);
    request->channels = malloc(parts * sizeof *request->channels);
    int err = request->decoded && request->channels ? 0 : ERR_MEMORY;
    char *out = request->decoded;
    while (!err && next_parameter(&query, &out, &name, &value))
        take_parameter(request, name, value);
    if (!err) {
        take_headers(request, head);
        request->has_position = request->position.len > 0;
        err = drop_doubles(request);
    }
    if (err)
        stream_request_fini(request);
    return err;
}

void stream_request_fini(struct stream_request *request)
{
    free(request->channels);
    free(request->decoded);
    *request = (struct stream_request){ 0 };
}
