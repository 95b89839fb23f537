#include "transports/protocol/stream.h"

#include "hub/access/authority.h"
#include "hub/access/rates.h"
#include "hub/base/clock.h"
#include "hub/base/err.h"
#include "hub/base/name.h"
#include "hub/config/config.h"
#include "hub/metrics.h"
#include "transports/edge/conn.h"
#include "transports/edge/edge.h"
#include "transports/request/outset.h"

static int find_principal(struct edge *edge, const struct stream_request *request, struct principal **ret_principal)
{
    const struct config *config = edge->config;
    struct rate_verdict verdict;
    int err = request->client.len > 0 ? client_id_check(request->client) : 0;
    if (err)
        return err;
    struct slice credential = request->key;
    if (credential.len == 0 && request->cookie.len > 0 && authority_knows_tokens(edge->authority))
        credential = request->cookie;      /* else it may be of another service on this host */
    if (credential.len > 0)
        return authority_login(edge->authority, config, credential, request->ip, edge->clock, &verdict, ret_principal);
    if (config->dev && request->user.len > 0)
        return principal_dev_user(config, request->user, ret_principal);
    *ret_principal = principal_anonymous(config);
    return 0;
}

int stream_identify(struct edge *edge, struct stream_request *request)
{
    request->refused = find_principal(edge, request, &request->principal);
    request->identified = true;
    return request->refused;
}

int stream_principal(struct edge *edge, const struct stream_request *request, struct principal **ret_principal)
{
    if (!request->identified)
        return find_principal(edge, request, ret_principal);
    if (!request->refused)
        *ret_principal = principal_ref(request->principal);
    return request->refused;
}

int stream_take(struct edge *edge, const struct principal *principal, const struct stream_request *request, size_t n)
{
    const struct rate_subject subject = { .principal = principal, .address = request->ip };
    struct rate_verdict verdict;
    int err = n == 0 ? 0 : rates_take(authority_rates(edge->authority), edge->config, &subject, RATE_SUBSCRIPTIONS, n, clock_mono_ms(edge->clock), &verdict);
    if (err)
        metric_rate_limited(verdict.index);
    return err;
}

bool stream_after(const struct stream_request *request, struct position *ret_after)
{
    if (!request->has_position || request->position.len == 0)
        return false;
    *ret_after = position_parse(request->position);
    return true;
}

int stream_since(const struct edge *edge, const struct stream_request *request, struct since *ret_since)
{
    struct position after;
    *ret_since = (struct since){ .from = FETCH_NOW };
    if (stream_after(request, &after))
        *ret_since = (struct since){ .from = FETCH_AFTER, .after = after };
    else if (request->since.len > 0)
        return since_read(request->since, clock_wall_ms(edge->clock), ret_since);
    return 0;
}

static int check_channels(const struct edge *edge, const struct outset *outset, const struct principal *principal)
{
    int err = 0;
    if (outset->n == 0)
        return ERR_NO_CHANNEL;
    err = subscriptions_check(edge->config, outset->names, outset->n, &(struct sub_set){ 0 });
    for (size_t i = 0; i < outset->n && !err; i++)
        err = principal_may(principal, OP_SUBSCRIBE, outset->names[i]);
    return err;
}

int stream_check(struct edge *edge, const struct stream_request *request, bool is_stream)
{
    struct outset outset;
    struct since since;
    struct principal *principal;
    int err = stream_principal(edge, request, &principal);
    if (err)
        return err;
    err = stream_since(edge, request, &since);
    if (!err)
        err = outset_init(&outset, request, principal, is_stream);
    if (!err) {
        err = check_channels(edge, &outset, principal);
        if (!err)
            err = stream_asks(request, principal, &(bool){ false });
        if (!err)
            err = stream_take(edge, principal, request, outset.n);
        outset_fini(&outset);
    }
    principal_unref(principal);
    return err;
}

int stream_asks(const struct stream_request *request, const struct principal *principal, bool *ret_asks)
{
    bool asks = slice_is(request->presence, SLICE("true"));
    int err = asks || request->presence.len == 0 || slice_is(request->presence, SLICE("false")) ? 0 : ERR_BAD_FIELD;
    for (size_t i = 0; i < request->n_channels && asks && !err; i++)
        err = name_is_pattern(request->channels[i]) ? ERR_NO_PATTERN : principal_may(principal, OP_PRESENCE, request->channels[i]);
    if (!err)
        *ret_asks = asks;
    return err;
}

int stream_seconds(int64_t ms) { return ms < 1000 ? 1 : (int)(ms / 1000); }
