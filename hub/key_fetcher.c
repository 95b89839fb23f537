#include "hub/key_fetcher.h"

#include "hub/access/authority.h"
#include "hub/access/jwk.h"
#include "hub/base/clock.h"
#include "hub/base/err.h"
#include "hub/base/hash.h"
#include "hub/base/log.h"
#include "hub/call.h"
#include "hub/config/config.h"
#include "hub/health.h"
#include "hub/http_out.h"
#include "hub/metrics.h"

#include <stdio.h>
#include <stdlib.h>

enum { RETRY_MS = 1000, RETRY_MAX_MS = 60 * 1000, SOONEST_MS = 60 * 1000 };

struct key_fetcher {
    struct key_fetcher_setup with;
    struct http_out_request request;
    struct http_out_rules   rules;   /* of the request; what may be changed while none is under way */
    unsigned        pool;            /* of connections that were opened with these settings */
    bool            fetching;        /* the request is under way */
    bool            outdated;        /* … and was made with other settings: what it brings is not used */
    bool            stopped;
    bool            has_keys;        /* fetched ones are in force */
    int64_t         began_ms;        /* the newest fetch; INT64_MIN: none yet */
    int64_t         kept_since_ms;   /* the newest fetch that worked began then */
    int64_t         fetch_ms;        /* when the next one is due; INT64_MAX: nothing to fetch from */
    unsigned        failures;        /* in a row */
    uint64_t        hash;            /* of the document in force */
    int64_t         fetched_s;       /* what the metric of that time says now */
    struct letter  *waiting;         /* calls that wait, chained by letter.next */
    struct letter  *late;            /* those that came while a fetch was under way */
};

static int64_t now_ms(const struct key_fetcher *s) { return clock_mono_ms(s->with.clock); }
static int64_t smaller(int64_t a, int64_t b)      { return a < b ? a : b; }
static int64_t larger(int64_t a, int64_t b)       { return a > b ? a : b; }
static bool    is_on(const struct key_fetcher *s)  { return config_jwks_url(s->with.config); }

/* ---- those who wait ---- */

static void answer_all(struct key_fetcher *s, struct letter **list, int err)
{
    while (*list) {
        struct letter *letter = *list;
        *list = letter->next;
        s->with.answer(s->with.arg, (struct call *)(void *)letter, err);
    }
}

static void put(struct letter **list, struct call *call)
{
    call->letter.next = *list;
    *list = &call->letter;
}

/* ---- the keys in force ---- */

static void tell_metrics(struct key_fetcher *s, int64_t fetched_s)
{
    metric_add(METRIC_keys_fetched_at, fetched_s - s->fetched_s);
    s->fetched_s = fetched_s;
}

/* Takes the set over; NULL: none. */
static int put_in_force(struct key_fetcher *s, struct jwk_set *set, uint64_t hash)
{
    bool has_keys = set;
    int err = authority_set_keys(s->with.authority, KEYS_FETCHED, set);
    if (err)
        return err;
    s->has_keys = has_keys;
    s->hash = hash;
    return 0;
}

static void drop_keys(struct key_fetcher *s)
{
    if (!s->has_keys || put_in_force(s, NULL, 0))
        return;        /* without memory they stay, and are dropped at the next tick */
    tell_metrics(s, 0);
}

static int64_t stale_at_ms(const struct key_fetcher *s)
{
    return s->has_keys ? s->kept_since_ms + s->with.config->tokens_stale_ms : INT64_MAX;
}

/* ---- a fetch has ended ---- */

/* Cache-Control: max-age=N (RFC 9111 §5.2.2.1) in ms; -1: not said. */
static int64_t max_age_ms(const struct http_out_request *request)
{
    struct slice value = http_out_header(request, "cache-control"), name = SLICE("max-age=");
    for (size_t i = 0; i + name.len < value.len; i++) {
        size_t digits = 0;
        struct slice rest = slice(value.at + i + name.len, value.len - i - name.len);
        uint64_t seconds;
        if (!slice_is_nocase(slice(value.at + i, name.len), name) || (i > 0 && !strchr(" \t,", value.at[i - 1])))
            continue;
        while (digits < rest.len && rest.at[digits] >= '0' && rest.at[digits] <= '9')
            digits++;
        return slice_u64(slice(rest.at, digits), &seconds) && seconds < INT32_MAX ? (int64_t)seconds * 1000 : -1;
    }
    return -1;
}

/* As the document's server says, but never later than the operator wants, and not so often that it would be a burden. */
static int64_t next_fetch_ms(const struct key_fetcher *s)
{
    int64_t refresh_ms = s->with.config->tokens_refresh_ms, age_ms = max_age_ms(&s->request);
    if (age_ms < 0)
        return s->began_ms + refresh_ms;
    return s->began_ms + smaller(refresh_ms, larger(age_ms, SOONEST_MS));
}

/* Puts the keys of the document in force. 0, or an error and the end of a sentence in `why`. */
static int take_document(struct key_fetcher *s, struct buf *why)
{
    const struct http_out_request *request = &s->request;
    if (request->err || request->status != 200) {
        if (request->err)
            buf_add_str(why, request->why[0] ? request->why : err_text(request->err));
        else
            buf_addf(why, "its answer has the status %d%s", request->status, request->status / 100 == 3 ? ", and redirects are not followed" : "");
        return ERR_UNREACHABLE;
    }
    uint64_t hash = hash_bytes(buf_slice(&request->answer));
    if (s->has_keys && hash == s->hash)
        return 0;
    struct jwk_set *set = jwk_set_new();
    int err = set ? jwk_set_add_json(set, buf_slice(&request->answer), why) : ERR_MEMORY;
    if (!err && jwk_set_drop_secrets(set) == 0) {
        buf_add_str(why, "has no key but secrets, which are not taken from a URL");
        err = ERR_BAD_FIELD;
    }
    if (err)
        jwk_set_unref(set);
    else
        err = put_in_force(s, set, hash);
    if (err && why->len == 0)
        buf_add_str(why, err_text(err));
    return err;
}

static void fetched(struct key_fetcher *s)
{
    metric_add(METRIC_keys_fetched, 1);
    if (s->failures > 0 || s->fetched_s == 0)
        log_info("tokens", "the keys of tokens.jwks are fetched");
    s->failures = 0;
    s->kept_since_ms = s->began_ms;
    s->fetch_ms = next_fetch_ms(s);
    tell_metrics(s, clock_wall_ms(s->with.clock) / 1000);
    health_set(HEALTH_TOKENS, NULL);
    answer_all(s, &s->waiting, 0);
    answer_all(s, &s->late, ERR_KEYS_PENDING);
}

/* The log hears of the first failure of a row, not of each. */
static void failed(struct key_fetcher *s, struct slice why)
{
    char reason[256];
    metric_add(METRIC_keys_failed, 1);
    snprintf(reason, sizeof reason, "the keys of tokens.jwks cannot be fetched: %.*s", (int)smaller((int64_t)why.len, 180), why.at);
    if (s->failures == 0)
        log_warn("tokens", "%s; %s", reason, s->has_keys ? "the old ones stay in force" : "there are none, so their tokens are not accepted");
    else
        log_debug("tokens", "%s", reason);
    if (!s->has_keys)
        health_set(HEALTH_TOKENS, reason);
    s->fetch_ms = now_ms(s) + smaller((int64_t)RETRY_MS << (s->failures < 6 ? s->failures : 6), RETRY_MAX_MS);
    s->failures++;
    answer_all(s, &s->waiting, ERR_KEYS_PENDING);
    answer_all(s, &s->late, ERR_KEYS_PENDING);
}

static void on_answered(struct http_out_request *request)
{
    struct key_fetcher *s = request->owner;
    struct buf why = { 0 };
    s->fetching = false;
    if (s->outdated || s->stopped) {
        answer_all(s, &s->waiting, ERR_KEYS_PENDING);
        answer_all(s, &s->late, ERR_KEYS_PENDING);
    } else if (take_document(s, &why)) {
        failed(s, buf_slice(&why));
    } else {
        fetched(s);
    }
    http_out_answer_fini(request);
    buf_fini(&why);
}

/* ---- a fetch begins ---- */

static void fetch(struct key_fetcher *s)
{
    const struct config *config = s->with.config;
    s->fetching = true;
    s->outdated = false;
    s->began_ms = now_ms(s);
    s->fetch_ms = INT64_MAX;
    s->rules = (struct http_out_rules){
        .pool = s->pool, .ca_file = config->tokens_jwks_ca[0] ? config->tokens_jwks_ca : NULL, .allow_http = true,     /* as config_tokens.c has allowed it */
        .timeout_ms = KEY_FETCHER_FETCH_MS, .max_bytes = KEY_FETCHER_BYTES,
    };
    s->request = (struct http_out_request){
        .rules = &s->rules, .method = HTTP_OUT_GET, .url = config_jwks_url(config), .headers = SLICE("Accept: application/jwk-set+json, application/json\n"),
        .answered = on_answered, .owner = s,
    };
    http_out_send(s->with.http_out, &s->request);
}

/* When a fetch for the sake of an unknown key may begin. */
static int64_t may_fetch_ms(const struct key_fetcher *s)
{
    return s->began_ms == INT64_MIN ? now_ms(s) : s->began_ms + s->with.config->tokens_refetch_ms;
}

void key_fetcher_ask(struct key_fetcher *s, struct call *call)
{
    if (!is_on(s) || (!s->fetching && may_fetch_ms(s) > now_ms(s) + KEYS_WAIT_MS)) {
        s->with.answer(s->with.arg, call, 0);
    } else if (s->fetching) {
        put(&s->late, call);
    } else {
        put(&s->waiting, call);
        s->fetch_ms = smaller(s->fetch_ms, larger(may_fetch_ms(s), now_ms(s)));
    }
}

int64_t key_fetcher_due_ms(const struct key_fetcher *s)
{
    return smaller(s->fetching ? INT64_MAX : s->fetch_ms, stale_at_ms(s));
}

void key_fetcher_tick(struct key_fetcher *s)
{
    if (now_ms(s) >= stale_at_ms(s)) {
        log_error("tokens", "the keys of tokens.jwks are older than tokens.stale and have not been fetched since: their tokens are not accepted any more");
        drop_keys(s);
        health_set(HEALTH_TOKENS, "the keys of tokens.jwks are older than tokens.stale");
    }
    if (!s->fetching && now_ms(s) >= s->fetch_ms)
        fetch(s);
}

void key_fetcher_stop(struct key_fetcher *s)
{
    s->stopped = true;
    s->fetch_ms = INT64_MAX;
    answer_all(s, &s->waiting, ERR_DRAINING);
    answer_all(s, &s->late, ERR_DRAINING);
    if (s->fetching)
        http_out_cancel(s->with.http_out, &s->request);
}

/* ---- life ---- */

/* Fetches now, or never. */
static void begin(struct key_fetcher *s)
{
    bool on = is_on(s);
    if (on)
        s->pool = http_out_pool_new(s->with.http_out);
    authority_expect_keys(s->with.authority, on);
    s->fetch_ms = on ? now_ms(s) : INT64_MAX;
    health_set(HEALTH_TOKENS, on && !s->has_keys ? "the keys of tokens.jwks are being fetched" : NULL);
    if (!on) {
        answer_all(s, &s->waiting, 0);
        answer_all(s, &s->late, 0);
    }
}

struct key_fetcher *key_fetcher_new(const struct key_fetcher_setup *setup)
{
    struct key_fetcher *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    *s = (struct key_fetcher){ .with = *setup, .began_ms = INT64_MIN };
    begin(s);
    return s;
}

void key_fetcher_free(struct key_fetcher *s)
{
    free(s);
}

void key_fetcher_reconfigure(struct key_fetcher *s, const struct config *config)
{
    const char *old = config_jwks_url(s->with.config), *new = config_jwks_url(config);
    if (s->stopped)
        return;
    s->with.config = config;
    if (old && (!new || strcmp(old, new))) {
        drop_keys(s);
        s->failures = 0;
    }
    if (s->fetching) {
        s->outdated = true;
        http_out_cancel(s->with.http_out, &s->request);
    }
    begin(s);
}
