#include "hub/api/api.h"

#include "hub/access/authority.h"
#include "hub/api/api_caller.h"
#include "hub/api/problem.h"
#include "hub/base/clock.h"
#include "hub/base/err.h"
#include "hub/base/query.h"
#include "hub/config/config.h"
#include "hub/metrics.h"
#include "hub/webhook_id.h"

#include <openssl/crypto.h>
#include <stdlib.h>

const struct api_route api_routes[] = {
#define ROUTE(method, path, op, body, run, query, deprecated, sunset, summary) { #method, path, op, body, run, query, deprecated, sunset, summary },
#include "hub/api/api_routes.def"
#undef ROUTE
};
const size_t api_route_count = sizeof api_routes / sizeof *api_routes;

/* ---- which route ---- */

/* Takes the segment after the next slash off the front; false: none left. */
static bool next_segment(struct slice *path, struct slice *ret_segment)
{
    if (path->len == 0 || *path->at != '/')
        return false;
    const char *start = path->at + 1, *end = memchr(start, '/', path->len - 1);
    *ret_segment = slice(start, end ? (size_t)(end - start) : path->len - 1);
    *path = slice(start + ret_segment->len, path->len - 1 - ret_segment->len);
    return true;
}

static void take_channel(struct api_request *r, struct slice value);
static void take_user(struct api_request *r, struct slice value);
static void take_connection(struct api_request *r, struct slice value);
static void take_item(struct api_request *r, struct slice value);
static void take_webhook(struct api_request *r, struct slice value);
static void take_delivery(struct api_request *r, struct slice value);
static void take_replay(struct api_request *r, struct slice value);
static void take_event(struct api_request *r, struct slice value);
static void take_room(struct api_request *r, struct slice value);

/* What may stand for a segment of a route's path. `take` gets the segment decoded, or {NULL,0} when its escapes are broken. */
static const struct path_param {
    struct slice name;
    void       (*take)(struct api_request *r, struct slice value);
} path_params[] = {
    { SLICE("{channel}"), take_channel }, { SLICE("{user}"), take_user }, { SLICE("{connection}"), take_connection },
    { SLICE("{key}"), take_item }, { SLICE("{revocation}"), take_item },
    { SLICE("{webhook}"), take_webhook }, { SLICE("{delivery}"), take_delivery }, { SLICE("{replay}"), take_replay }, { SLICE("{event}"), take_event },
    { SLICE("{room}"), take_room },
};

enum { PATH_VALUES_MAX = 2 };

/* The segments that stand for something in the path of the route that was found. */
struct path_values {
    size_t n;
    struct { const struct path_param *param; struct slice segment; } at[PATH_VALUES_MAX];
};

static const struct path_param *path_param_find(struct slice name)
{
    for (size_t i = 0; i < sizeof path_params / sizeof *path_params; i++)
        if (slice_is(name, path_params[i].name))
            return &path_params[i];
    return NULL;
}

static bool path_matches(struct slice wanted, struct slice path, struct path_values *ret_values)
{
    struct path_values values = { 0 };
    struct slice name, segment;
    while (next_segment(&wanted, &name)) {
        if (!next_segment(&path, &segment))
            return false;
        const struct path_param *param = path_param_find(name);
        if (param ? segment.len == 0 : !slice_is(name, segment))
            return false;
        if (param) {
            values.at[values.n].param = param;
            values.at[values.n++].segment = segment;
        }
    }
    if (path.len > 0)
        return false;
    *ret_values = values;
    return true;
}

/* RFC 9112 §3.2: origin-form, absolute-form (whose authority is not looked at), or * for OPTIONS. */
static int split_target(struct api_request *r)
{
    struct slice t = r->target;
    if (slice_begins(t, SLICE("http://")) || slice_begins(t, SLICE("https://"))) {
        const char *authority = (const char *)memchr(t.at, '/', t.len) + 2;
        const char *path = memchr(authority, '/', t.len - (size_t)(authority - t.at));
        t = path ? slice(path, t.len - (size_t)(path - t.at)) : SLICE("/");
    }
    if (t.len == 0 || (*t.at != '/' && !(slice_is(t, SLICE("*")) && slice_is(r->method, SLICE("OPTIONS")))))
        return ERR_BAD_REQUEST;
    const char *mark = memchr(t.at, '?', t.len);
    r->path = slice(t.at, mark ? (size_t)(mark - t.at) : t.len);
    r->query = mark ? slice(mark + 1, t.len - r->path.len - 1) : slice(t.at + t.len, 0);
    return 0;
}

static void add_method(struct buf *allow, const char *method)
{
    if (allow->len > 0)
        buf_add_str(allow, ", ");
    buf_add_str(allow, method);
    if (!strcmp(method, "GET"))
        buf_add_str(allow, ", HEAD");
}

/* The methods that the path knows go into request->scratch; empty: it is no path of ours. */
static void find_route(struct api_request *r, struct path_values *ret_values)
{
    struct slice method = r->head_only ? SLICE("GET") : r->method;
    bool any = slice_is(r->path, SLICE("*"));
    for (size_t i = 0; i < api_route_count && !r->route; i++) {
        const struct api_route *route = &api_routes[i];
        if (!any && !path_matches(slice_of(route->path), r->path, ret_values))
            continue;
        if (slice_is(method, slice_of(route->method)))
            r->route = route;
        else if (!any)
            add_method(&r->scratch, route->method);
    }
}

/* ---- what stands in its path ---- */

/* Decoded values live in the request; one that has no room there is too long for anything. */
static struct slice keep_value(struct api_request *r, struct slice value)
{
    if (!value.at || value.len > sizeof r->path_bytes - r->path_len)
        return slice(NULL, 0);
    char *at = r->path_bytes + r->path_len;
    memcpy(at, value.at, value.len);
    r->path_len += value.len;
    return slice(at, value.len);
}

static void take_channel(struct api_request *r, struct slice value)
{
    struct slice name = keep_value(r, value);
    r->channel_err = channel_name_check(name);
    r->channel = r->channel_err ? slice("", 0) : name;
}

/* Messages to a user go to the user's own channel. */
static void take_user(struct api_request *r, struct slice value)
{
    struct slice before = keep_value(r, SLICE(USER_CHANNEL_PREFIX)), user = keep_value(r, value);
    r->user_err = user.len > 0 ? 0 : ERR_BAD_FIELD;
    r->user = user.len > 0 ? user : slice("", 0);
    struct slice channel = slice(before.at, before.len + user.len);
    if (r->route->op == OP_ADMIN)
        return;
    r->channel_err = user.len > 0 ? channel_name_check(channel) : ERR_BAD_CHANNEL;
    r->channel = r->channel_err ? slice("", 0) : channel;
}

static void take_connection(struct api_request *r, struct slice value) { r->connection = connection_parse(value, &r->node); }

/* A key in place of its id must not get into the audit log. */
static void take_item(struct api_request *r, struct slice value)
{
    struct slice id = keep_value(r, value);
    r->item = id.len <= ROLL_ID_MAX && (slice_begins(id, SLICE("key_")) || slice_begins(id, SLICE("rv_"))) ? id : slice("", 0);
}

static void take_webhook(struct api_request *r, struct slice value)
{
    r->webhook = webhook_id_read(value);
    r->item = r->webhook ? keep_value(r, value) : slice("", 0);
}

static void take_delivery(struct api_request *r, struct slice value)
{
    r->delivery = delivery_id_read(value);
    r->item = r->delivery ? keep_value(r, value) : slice("", 0);
}

static void take_replay(struct api_request *r, struct slice value) { r->replay = replay_id_read(value); }
static void take_event(struct api_request *r, struct slice value)  { r->event = event_id_read(value, &r->event_epoch); }

static void take_room(struct api_request *r, struct slice value)
{
    struct slice name = keep_value(r, value);
    r->item = r->room = channel_name_check(name) ? slice("", 0) : name;
}

/* Nothing beyond here knows an escape: %2F is a slash of the name, %00 a byte that no name may have. */
static void take_path_values(struct api_request *r, const struct path_values *values)
{
    for (size_t i = 0; i < values->n; i++) {
        buf_reset(&r->scratch);
        bool good = percent_decode(values->at[i].segment, false, &r->scratch) && !r->scratch.failed;
        values->at[i].param->take(r, good ? buf_slice(&r->scratch) : slice(NULL, 0));
    }
    buf_reset(&r->scratch);
}

/* ---- who may ---- */

void api_session_fini(struct api_session *session)
{
    buf_fini(&session->key);
    principal_unref(session->principal);
    api_caller_unref(session->caller);
    session->principal = NULL;
    session->caller = NULL;
}

/* The key or token that the request carries; {NULL,0}: none. ERR_UNAUTHENTICATED: credentials of another kind. */
static int find_key(const struct api_request *r, struct slice *ret_key)
{
    struct slice authorization = api_header_find(r, "authorization"), cookie = cookie_find(r->cookie, SLICE("token"));
    *ret_key = api_header_find(r, "x-api-key");
    if (!authorization.at) {
        if (!ret_key->at && cookie.len > 0 && authority_knows_tokens(r->api->authority))
            *ret_key = cookie;      /* else it may be of another service on this host */
        return 0;
    }
    if (authorization.len <= 7 || !slice_is_nocase(slice(authorization.at, 7), SLICE("Bearer ")))
        return ERR_UNAUTHENTICATED;
    *ret_key = slice(authorization.at + 7, authorization.len - 7);
    while (ret_key->len > 0 && *ret_key->at == ' ')
        *ret_key = slice(ret_key->at + 1, ret_key->len - 1);
    return 0;
}

static bool same_key(const struct api_session *session, struct slice key)
{
    return session->key.len == key.len && (key.len == 0 || !CRYPTO_memcmp(session->key.at, key.at, key.len));
}

static int64_t now_s(const struct api *api) { return clock_wall_ms(api->clock) / 1000; }

static bool still_true(const struct api_session *session, const struct api *api)
{
    return session->principal && session->config == api->config && session->version == authority_version(api->authority) &&
           (principal_expires_s(session->principal) == INT64_MAX || now_s(api) < principal_expires_s(session->principal));
}

/* The clock is looked at for keys made at run time only. */
static void note_use(const struct api_request *r)
{
    uint32_t generation;
    if (principal_live_key(r->session->principal, &generation))
        principal_note_use(r->session->principal, now_s(r->api));
}

/* With --dev nobody needs credentials, so whatever a client sends along does no harm. */
static int find_principal(struct api_request *r)
{
    struct api_session *session = r->session;
    const struct config *config = r->api->config;
    struct slice key = { 0 };
    int err = config->dev ? 0 : find_key(r, &key);
    if (err)
        return err;
    if (still_true(session, r->api) && same_key(session, key)) {
        note_use(r);
        return 0;
    }
    struct principal *principal = NULL;
    unsigned version = authority_version(r->api->authority);
    err = key.at ? authority_login(r->api->authority, config, key, r->address, r->api->clock, &r->rate, &principal) : 0;
    if (err)
        return err;
    if (!key.at)
        principal = principal_anonymous(config);
    api_session_fini(session);
    session->principal = principal;
    session->config = config;
    session->version = version;
    session->caller = api_caller_get(&r->api->callers, principal_name(principal));
    if (key.at)
        buf_add_slice(&session->key, key);
    if (session->key.failed || !session->caller)
        api_session_fini(session);
    return session->principal ? 0 : ERR_MEMORY;
}

/* Also what is then not allowed counts. */
static int take_rate(struct api_request *r)
{
    const struct rate_subject subject = { .principal = r->session->principal, .address = r->address };
    enum rate_count what = r->route->op == OP_PUBLISH && r->route->body != BODY_BATCH ? RATE_PUBLISHES : RATE_COMMANDS;
    return rates_take(authority_rates(r->api->authority), r->api->config, &subject, what, 1, clock_mono_ms(r->api->clock), &r->rate);
}

static int authorise(struct api_request *r)
{
    if (r->route->op == OP_OPEN)
        return 0;
    int err = find_principal(r);
    r->caller = err ? NULL : api_caller_ref(r->session->caller);
    bool later = r->route->body == BODY_BATCH || r->route->body == BODY_EVENT;      /* by what is in it, each message by itself, and counted beside it */
    if (!err && (r->route->op == OP_ADMIN || later))
        r->principal = principal_ref(r->session->principal);
    if (!err)
        err = take_rate(r);
    if (err == ERR_RATE_LIMITED)
        metric_rate_limited(r->rate.index);
    if (err != ERR_KEYS_PENDING)
        rates_add_headers(&r->headers_out, &r->rate);
    struct slice where = r->route->op == OP_ADMIN ? SLICE("") : r->channel;      /* administration is of the whole hub */
    return err || later ? err : principal_may(r->session->principal, (enum access_op)r->route->op, where);
}

/* Its body may have taken long: nothing is done any more for credentials that were taken back meanwhile. Without a body there was no
 * time, and the session may be of a later request by now. */
static int still_admitted(const struct api_request *r)
{
    struct authority *authority = r->api->authority;
    const struct config *config = r->api->config;
    if (r->route->body == BODY_NONE || !authority || (r->session->version == authority_version(authority) && r->session->config == config))
        return 0;
    return authority_admits(authority, config, r->session->principal, now_s(r->api));
}

static int check_old(const struct api_request *r)
{
    if (now_s(r->api) >= principal_expires_s(r->principal))
        return principal_token(r->principal) ? ERR_TOKEN_EXPIRED : ERR_KEY_EXPIRED;
    return r->api->authority ? authority_admits(r->api->authority, r->api->config, r->principal, now_s(r->api)) : 0;
}

int api_still_admitted(struct api_request *r)
{
    if (still_true(r->session, r->api))
        return 0;
    int err = check_old(r);
    if (!err)
        err = find_principal(r);
    if (err)
        return err == ERR_KEYS_PENDING ? 0 : err;      /* the key of a good token is being fetched: it was good */
    principal_unref(r->principal);
    r->principal = principal_ref(r->session->principal);
    return 0;
}

/* ---- the life of a request ---- */

static const struct slice stream_types[] = {
    SLICE("application/x-ndjson"), SLICE("application/ndjson"), SLICE("application/jsonl"), SLICE("application/x-jsonlines"), SLICE("application/jsonlines"),
};

static bool wants_stream(const struct api_request *r)
{
    struct slice type = api_header_find(r, "content-type");
    const char *end = type.len ? memchr(type.at, ';', type.len) : NULL;
    size_t len = end ? (size_t)(end - type.at) : type.len;
    while (len > 0 && (type.at[len - 1] == ' ' || type.at[len - 1] == '\t'))
        len--;
    for (size_t i = 0; i < sizeof stream_types / sizeof *stream_types; i++)
        if (slice_is_nocase(slice(type.at, len), stream_types[i]))
            return true;
    return false;
}

static size_t body_max(const struct api_request *r)
{
    if (r->route->body == BODY_NONE)
        return 0;
    if (r->route->body == BODY_SIGNAL)
        return API_OBJECT_BYTES + r->api->config->rooms_max_signal;
    if (r->route->body == BODY_DOCUMENT)
        return API_OBJECT_BYTES;
    if (r->route->body == BODY_OBJECT)
        return API_OBJECT_BYTES + r->api->config->limits_channels * (CHANNEL_NAME_MAX + 4);
    if (r->stream.wanted)
        return SIZE_MAX;
    if (r->route->body == BODY_BATCH)
        return r->api->config->limits_batch;
    struct slice type = api_header_find(r, "content-type");
    /* a form may escape every byte of its data */
    size_t times = slice_begins(type, SLICE("application/x-www-form")) ? 3 : 1;
    return r->api->config->message_most * times + API_BESIDE_DATA;
}

static bool path_takes_body(const struct api_request *r)
{
    struct path_values values;
    for (size_t i = 0; i < api_route_count; i++)
        if (api_routes[i].body != BODY_NONE && path_matches(slice_of(api_routes[i].path), r->path, &values))
            return true;
    return false;
}

/* Also what a browser asks before a page elsewhere may send its request (Fetch, CORS preflight): that needs no credentials. */
static void answer_options(struct api_request *r, bool known)
{
    struct slice headers = path_takes_body(r) ? SLICE("Authorization, Content-Type, Idempotency-Key, If-Match, If-Position, Traceparent, X-API-Key, X-Request-Id")
                                              : SLICE("Authorization, If-Match, X-API-Key, X-Request-Id");
    if (known)
        add_method(&r->scratch, "OPTIONS");
    else
        buf_add_str(&r->scratch, "GET, HEAD, POST, PATCH, DELETE, OPTIONS");
    size_t len = r->scratch.len;
    buf_add_char(&r->scratch, '\0');
    api_answer_begin(r, 204, NULL);
    if (!r->scratch.failed) {
        api_answer_header(r, "Allow", r->scratch.at);
        cors_add_preflight(&r->headers_out, &r->cors, slice(r->scratch.at, len), headers);
    }
    api_answer_end(r);
}

static void refuse_method(struct api_request *r)
{
    add_method(&r->scratch, "OPTIONS");
    buf_add_char(&r->scratch, '\0');
    if (!r->scratch.failed)
        api_answer_header(r, "Allow", r->scratch.at);
    problem_answer_one(r, NULL, ERR_METHOD_NOT_ALLOWED, NULL);
}

static int refuse(struct api_request *r, int err)
{
    problem_answer_one(r, NULL, err, NULL);
    return err;
}

int api_begin(struct api_request *r)
{
    struct path_values values = { 0 };
    int err = split_target(r);
    if (err)
        return refuse(r, err);
    find_route(r, &values);
    if (slice_is(r->method, SLICE("OPTIONS")) && (r->scratch.len > 0 || *r->path.at == '*')) {
        answer_options(r, r->scratch.len > 0);
        return ERR_NORMAL;
    }
    if (!r->route && r->scratch.len == 0)
        return refuse(r, ERR_NOT_FOUND);
    if (!r->route) {
        refuse_method(r);
        return ERR_METHOD_NOT_ALLOWED;
    }
    take_path_values(r, &values);
    err = authorise(r);
    r->waits_for_key = err == ERR_KEYS_PENDING;
    if (err && !r->waits_for_key)
        return refuse(r, err);
    r->stream.wanted = r->route->body == BODY_BATCH && wants_stream(r);
    r->body_max = body_max(r);
    if (r->route->deprecated[0])
        api_answer_header(r, "Deprecation", r->route->deprecated);
    if (r->route->sunset[0])
        api_answer_header(r, "Sunset", r->route->sunset);
    return 0;
}

/* ---- a token whose key is not known yet ---- */

static void ask_for_keys(struct api_request *r);

/* How a token counts whose key is still unknown; 0: it may wait again. */
static int how_unknown_counts(const struct api_request *r, int answer)
{
    if (answer == 0)
        return ERR_BAD_TOKEN;
    if (answer == ERR_DRAINING)
        return answer;
    return r->api->now_us - r->arrived_us >= KEYS_WAIT_MS * INT64_C(1000) ? ERR_KEYS_PENDING : 0;
}

/* One that nobody has signed is as wrong as any. */
static void refuse_unknown(struct api_request *r, int err)
{
    if (err == ERR_BAD_TOKEN)
        rates_failed_login(authority_rates(r->api->authority), r->api->config, r->address, clock_mono_ms(r->api->clock));
    refuse(r, err);
}

static void keys_looked_for(struct call *call)
{
    struct api_request *r = call->owner;
    int err = r->session ? authorise(r) : ERR_GONE;
    metric_add(METRIC_keys_waiting, -1);
    if (err == ERR_KEYS_PENDING && !(err = how_unknown_counts(r, call->err)))
        ask_for_keys(r);
    else if (err)
        refuse_unknown(r, err);
    else
        r->route->run(r);
}

static void ask_for_keys(struct api_request *r)
{
    metric_add(METRIC_keys_waiting, 1);
    api_submit(r, CALL_KEYS, 0, keys_looked_for);
}

void api_run(struct api_request *r)
{
    int err = r->waits_for_key ? 0 : still_admitted(r);
    if (err)
        refuse(r, err);
    else if (r->waits_for_key)
        ask_for_keys(r);
    else
        r->route->run(r);
}
