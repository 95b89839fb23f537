#include "transports/request/stream_request.h"

#include "hub/access/access.h"
#include "hub/base/err.h"
#include "hub/base/query.h"
#include "transports/request/head.h"

#include <stdlib.h>

/* `out` has room for the whole query, so what was decoded before does not move. */
static struct slice decode(struct slice in, struct buf *out)
{
    size_t begin = out->len;
    if (!percent_decode(in, true, out)) {
        out->len = begin;
        buf_add_slice(out, in);
    }
    return slice(out->at + begin, out->len - begin);
}

static void on_channel(struct stream_request *r, struct slice v)  { r->channels[r->n_channels++] = v; }
static void on_position(struct stream_request *r, struct slice v) { r->position = v; }
static void on_since(struct stream_request *r, struct slice v)    { r->since = v; }
static void on_client(struct stream_request *r, struct slice v)   { r->client = v; }
static void on_user(struct stream_request *r, struct slice v)     { r->user = v; }
static void on_format(struct stream_request *r, struct slice v)   { r->format = v; }
static void on_timeout(struct stream_request *r, struct slice v)  { r->timeout = v; }
static void on_token(struct stream_request *r, struct slice v)    { r->key = v; }
static void on_presence(struct stream_request *r, struct slice v) { r->presence = v; }

static const struct parameter {
    struct slice name;
    void       (*take)(struct stream_request *request, struct slice value);
} parameters[] = {
    { SLICE("channel"), on_channel }, { SLICE("last_event_id"), on_position }, { SLICE("lastEventID"), on_position },
    { SLICE("client"), on_client }, { SLICE("user"), on_user }, { SLICE("format"), on_format }, { SLICE("token"), on_token },
    { SLICE("since"), on_since }, { SLICE("timeout"), on_timeout }, { SLICE("presence"), on_presence },
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
    request->cookie = cookie_find(head->cookie, SLICE("token"));
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

static int take_query(struct stream_request *request, struct slice query)
{
    struct slice name, value;
    size_t pairs = 1;
    for (size_t i = 0; i < query.len; i++)
        pairs += query.at[i] == '&';
    request->channels = malloc(pairs * sizeof *request->channels);
    if (!request->channels || !buf_room(&request->decoded, query.len + 1))
        return ERR_MEMORY;
    while (query_next(&query, &name, &value))
        take_parameter(request, name, decode(value, &request->decoded));
    return 0;
}

int stream_request_init(struct stream_request *request, const struct head *head, struct slice peer)
{
    *request = (struct stream_request){ .peer = peer };
    int err = take_query(request, head->query);
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
    principal_unref(request->principal);
    buf_fini(&request->decoded);
    *request = (struct stream_request){ 0 };
}
