/* ws_auth.c — the frame `auth`: a connection goes on with other credentials, or shows its first.
 *
 *   auth ─> authority_login ─┬─ good ─> ok, then what ends and begins by it (tenure.h)
 *                            ├─ its key is being fetched ─> nothing is read until it has come (keys_wait.h), then once more
 *                            └─ bad ─> error; who has shown nothing good before is closed with it */
#include "transports/protocol/ws_auth.h"

#include "hub/access/authority.h"
#include "hub/access/rates.h"
#include "hub/base/clock.h"
#include "hub/base/err.h"
#include "hub/metrics.h"
#include "transports/edge/conn.h"
#include "transports/edge/control.h"
#include "transports/edge/edge.h"
#include "transports/edge/tenure.h"
#include "transports/protocol/keys_wait.h"
#include "transports/protocol/ws_say.h"

#include <stdlib.h>

/* One whose key is being fetched. It counts as a call of its connection, which so outlives it. */
struct waiting_auth {
    struct keys_wait wait;
    struct conn     *conn;
    size_t           ref_len, token_len;
    char             bytes[];      /* ref, token */
};

static struct ip address_of(const struct conn *conn)
{
    struct ip none = { 0 };
    return conn->edge->line->address ? conn->edge->line->address(conn) : none;
}

static int authenticate(struct conn *conn, struct slice ref, struct slice token)
{
    struct edge *edge = conn->edge;
    struct principal *principal;
    struct buf object = { 0 };
    struct rate_verdict verdict;
    int err = authority_login(edge->authority, edge->config, token, address_of(conn), edge->clock, &verdict, &principal);
    if (err == ERR_RATE_LIMITED)
        metric_rate_limited(verdict.index);
    if (err)
        return err;
    if ((err = tenure_may_renew(conn, principal))) {
        principal_unref(principal);
        return err;
    }
    control_renewed(&object, ref, principal);
    ws_say(conn, &object);
    tenure_renew(conn, principal);
    return 0;
}

/* Good credentials that a connection has stay what they are until they end. */
static void answer_failed(struct conn *conn, struct slice ref, int err)
{
    struct buf object = { 0 };
    if (err_close_code(err) == err_close_code(ERR_UNAUTHENTICATED) && principal_is_nobody(conn->principal)) {
        conn_close(conn, err);
        return;
    }
    struct rate_verdict verdict;
    struct edge *edge = conn->edge;
    if (err == ERR_RATE_LIMITED && rates_check_login(authority_rates(edge->authority), edge->config, address_of(conn), clock_mono_ms(edge->clock), &verdict))
        control_rate_limited(&object, ref, &verdict);
    else
        control_error(&object, ref, err);
    ws_say(conn, &object);
}

/* How a token counts whose key is not known after all; one that nobody has signed is as wrong as any. */
static int unknown_key(const struct conn *conn, int otherwise)
{
    const struct edge *edge = conn->edge;
    if (otherwise == ERR_BAD_TOKEN)
        rates_failed_login(authority_rates(edge->authority), edge->config, address_of(conn), clock_mono_ms(edge->clock));
    return otherwise;
}

static void on_keys(struct keys_wait *wait, int otherwise)
{
    struct waiting_auth *auth = link_of(wait, struct waiting_auth, wait);
    struct conn *conn = auth->conn;
    struct slice ref = slice(auth->bytes, auth->ref_len), token = slice(auth->bytes + auth->ref_len, auth->token_len);
    int err = conn->conn_state == CONN_OPEN ? authenticate(conn, ref, token) : 0;
    if (err == ERR_KEYS_PENDING && !otherwise && keys_wait_begin(conn->edge, wait, sizeof *auth + ref.len + token.len) == 0)
        return;
    if (err == ERR_KEYS_PENDING && otherwise)
        err = unknown_key(conn, otherwise);
    if (err)
        answer_failed(conn, ref, err);
    explicit_bzero(auth->bytes + auth->ref_len, auth->token_len);
    free(auth);
    conn_hold(conn, false);
    conn_call_done(conn);
}

static int wait_for_key(struct conn *conn, struct slice ref, struct slice token)
{
    struct waiting_auth *auth = malloc(sizeof *auth + ref.len + token.len);
    if (!auth)
        return ERR_MEMORY;
    auth->conn = conn;
    auth->ref_len = ref.len;
    auth->token_len = token.len;
    memcpy(auth->bytes, ref.at, ref.len);
    memcpy(auth->bytes + ref.len, token.at, token.len);
    keys_wait_init(&auth->wait, on_keys);
    int err = keys_wait_begin(conn->edge, &auth->wait, sizeof *auth + ref.len + token.len);
    if (err) {
        free(auth);
        return err;
    }
    conn->calls++;
    conn_hold(conn, true);
    return 0;
}

void ws_auth(struct conn *conn, struct slice ref, struct slice token)
{
    static const struct slice bearer = SLICE("Bearer ");
    if (token.len > bearer.len && slice_is_nocase(slice(token.at, bearer.len), bearer))
        token = slice(token.at + bearer.len, token.len - bearer.len);
    int err = authenticate(conn, ref, token);
    if (err == ERR_KEYS_PENDING)
        err = wait_for_key(conn, ref, token);
    if (err)
        answer_failed(conn, ref, err);
}
