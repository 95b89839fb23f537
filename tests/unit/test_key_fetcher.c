/* When keys are fetched, what is done with what comes, and what those are told who wait; the other server is a few lines here, and
 * time is moved by hand. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "hub/access/authority.h"
#include "hub/access/base64url.h"
#include "hub/key_fetcher.h"
#include "hub/base/clock.h"
#include "hub/base/err.h"
#include "hub/base/log.h"
#include "hub/call.h"
#include "hub/config/config.h"
#include "hub/health.h"
#include "hub/http_out.h"

#include <stdlib.h>
#include <string.h>

#define KEY(kid) "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"" kid "\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}"
#define SECRET   "{\"kty\":\"oct\",\"alg\":\"HS256\",\"kid\":\"s\",\"k\":\"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow\"}"
#define KEYS(list) "{\"keys\":[" list "]}"
enum { MINUTE = 60 * 1000, NOT_YET = 1 };

struct rig {
    struct clock             clock;        /* first */
    int64_t                  now_ms;
    struct http_out          out;
    struct http_out_request *asked;        /* under way; NULL: nothing */
    unsigned                 n_asked, n_cancelled;
    struct config            config;
    struct authority        *authority;
    struct key_fetcher       *fetcher;
};

static int64_t rig_now(const struct clock *clock) { return ((const struct rig *)(const void *)clock)->now_ms; }
static struct rig *rig_of(struct http_out *out)   { return (struct rig *)(void *)((char *)out - offsetof(struct rig, out)); }

static void rig_send(struct http_out *out, struct http_out_request *request)
{
    struct rig *rig = rig_of(out);
    assert_null(rig->asked);         /* never two at a time */
    rig->asked = request;
    rig->n_asked++;
}

static void rig_cancel(struct http_out *out, struct http_out_request *request)
{
    assert_ptr_equal(rig_of(out)->asked, request);
    rig_of(out)->n_cancelled++;
}

static void on_answer(void *arg, struct call *call, int err)
{
    (void)arg;
    assert_int_equal(call->err, NOT_YET);      /* never twice */
    call->err = err;
}

static struct rig *rig_new(const char *url)
{
    struct rig *rig = calloc(1, sizeof *rig);
    log_setup(LOG_ERROR, LOG_TEXT);
    rig->clock = (struct clock){ rig_now, rig_now };
    rig->now_ms = 1000 * MINUTE;
    rig->out = (struct http_out){ rig_send, rig_cancel, 0 };
    rig->config = *config_defaults();
    rig->config.tokens_jwks = url;
    rig->authority = authority_new();
    rig->fetcher = key_fetcher_new(&(struct key_fetcher_setup){ &rig->config, &rig->clock, &rig->out, rig->authority, on_answer, NULL });
    return rig;
}

static void rig_free(struct rig *rig)
{
    key_fetcher_free(rig->fetcher);
    authority_free(rig->authority);
    free(rig);
}

/* Time passes as the loop would let it: the fetcher is woken when it wants to be. */
static void pass(struct rig *rig, int64_t ms)
{
    int64_t until = rig->now_ms + ms;
    for (int64_t due; (due = key_fetcher_due_ms(rig->fetcher)) <= until;) {
        if (due > rig->now_ms)
            rig->now_ms = due;
        key_fetcher_tick(rig->fetcher);
    }
    rig->now_ms = until;
}

static void reply(struct rig *rig, int err, int status, const char *head, const char *body)
{
    struct http_out_request *request = rig->asked;
    assert_non_null(request);
    rig->asked = NULL;
    request->err = err;
    request->status = status;
    buf_add_str(&request->answer_head, head);
    buf_add_str(&request->answer, body);
    request->answered(request);
    assert_null(request->answer.at);
}
static void reply_keys(struct rig *rig, const char *body) { reply(rig, 0, 200, "HTTP/1.1 200 OK\r\n", body); }
static void fail_fetch(struct rig *rig)                         { reply(rig, ERR_UNREACHABLE, 0, "", ""); }

/* No token here has a good signature: of a key in force it is bad, of one that is not it is pending. */
static bool in_force(struct rig *rig, const char *kid)
{
    struct buf header = { 0 }, token = { 0 };
    struct principal *principal;
    buf_addf(&header, "{\"alg\":\"EdDSA\",\"kid\":\"%s\"}", kid);
    base64url_add(&token, buf_slice(&header));
    buf_add_str(&token, ".e30.AAAA");
    int err = authority_check(rig->authority, &rig->config, buf_slice(&token), 0, &principal);
    buf_fini(&header);
    buf_fini(&token);
    assert_true(err == ERR_BAD_TOKEN || err == ERR_KEYS_PENDING);
    return err == ERR_BAD_TOKEN;
}

static struct call asked(struct rig *rig, struct call *call)
{
    *call = (struct call){ .err = NOT_YET };
    key_fetcher_ask(rig->fetcher, call);
    return *call;
}

static bool is_red(const char *reason)
{
    struct buf out = { 0 };
    health_print(&out);
    char *text = buf_take(&out);
    const char *tokens = strstr(text, "\"tokens\":{\"status\":\"unavailable\"");
    bool red = tokens && strstr(tokens, reason);
    free(text);
    return red;
}

/* ---- fetching ---- */

static void keys_are_fetched_at_the_start_and_then_again_and_again(void **state)
{
    struct rig *rig = rig_new("https://id/keys");
    (void)state;
    pass(rig, 0);
    assert_int_equal(rig->n_asked, 1);
    assert_string_equal(rig->asked->url, "https://id/keys");
    assert_int_equal(rig->asked->method, HTTP_OUT_GET);
    assert_true(is_red("being fetched"));
    reply_keys(rig, KEYS(KEY("a")));
    assert_true(in_force(rig, "a"));
    assert_false(is_red(""));
    pass(rig, 10 * MINUTE - 1);
    assert_int_equal(rig->n_asked, 1);
    pass(rig, 1);
    assert_int_equal(rig->n_asked, 2);
    reply_keys(rig, KEYS(KEY("b") "," KEY("c")));
    assert_false(in_force(rig, "a"));
    assert_true(in_force(rig, "b") && in_force(rig, "c"));
    rig_free(rig);
}

static void a_file_or_nothing_is_never_fetched(void **state)
{
    (void)state;
    for (const char *const *path = (const char *const[]){ "", "keys.json", "https", NULL }; *path; path++) {
        struct rig *rig = rig_new(*path);
        struct call call;
        assert_true(key_fetcher_due_ms(rig->fetcher) == INT64_MAX);
        assert_false(is_red(""));
        assert_int_equal(asked(rig, &call).err, 0);
        pass(rig, 10000 * MINUTE);
        assert_int_equal(rig->n_asked, 0);
        rig_free(rig);
    }
}

static void the_servers_max_age_counts_within_bounds(void **state)
{
    static const struct { const char *head; int64_t minutes; } cases[] = {
        { "Cache-Control: max-age=120\r\n", 2 },            { "cache-control: public, Max-Age=180 , immutable\r\n", 3 },
        { "Cache-Control: max-age=5\r\n", 1 },              { "Cache-Control: max-age=0\r\n", 1 },
        { "Cache-Control: max-age=86400\r\n", 10 },         { "Cache-Control: no-store\r\n", 10 },
        { "Cache-Control: max-age=99999999999999999999\r\n", 10 }, { "Cache-Control: max-age=\r\n", 10 },
        { "Cache-Control: s-max-age=120\r\n", 10 },         { "Cache-Control: max-age\r\n", 10 },     { "Expires: 0\r\n", 10 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct rig *rig = rig_new("https://id/keys");
        pass(rig, 0);
        reply(rig, 0, 200, cases[i].head, KEYS(KEY("a")));
        pass(rig, cases[i].minutes * MINUTE - 1);
        assert_int_equal(rig->n_asked, 1);
        pass(rig, 1);
        assert_int_equal(rig->n_asked, 2);
        rig_free(rig);
    }
}

/* ---- failures ---- */

static void whatever_is_no_document_of_keys_leaves_the_old_ones_in_force(void **state)
{
    static const struct { int err, status; const char *body; } cases[] = {
        { ERR_UNREACHABLE, 0, "" },          { 0, 500, KEYS(KEY("b")) },     { 0, 302, "" },                 { 0, 404, "not found" },
        { 0, 204, "" },                      { 0, 200, "" },                 { 0, 200, "<html>sign in</html>" }, { 0, 200, "{}" },
        { 0, 200, KEYS("") },                { 0, 200, KEYS("{\"kty\":\"new\"}") }, { 0, 200, "[" KEY("b") "]" }, { 0, 200, KEYS(KEY("b")) "x" },
        { 0, 200, "{\"keys\":[" KEY("b") },  { 0, 200, KEYS(SECRET) },       { 0, 200, SECRET },             { ERR_MEMORY, 0, "" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct rig *rig = rig_new("https://id/keys");
        pass(rig, 0);
        reply(rig, cases[i].err, cases[i].status, "", cases[i].body);
        assert_false(in_force(rig, "b"));
        assert_true(is_red("cannot be fetched: "));
        pass(rig, 1000);
        reply_keys(rig, KEYS(KEY("a")));
        assert_false(is_red(""));
        pass(rig, 10 * MINUTE);
        reply(rig, cases[i].err, cases[i].status, "", cases[i].body);
        assert_true(in_force(rig, "a"));
        assert_false(in_force(rig, "b"));
        assert_false(is_red(""));
        rig_free(rig);
    }
}

static void secrets_in_a_document_are_passed_over(void **state)
{
    struct rig *rig = rig_new("https://id/keys");
    (void)state;
    pass(rig, 0);
    reply_keys(rig, KEYS(SECRET "," KEY("a")));
    assert_true(in_force(rig, "a"));
    assert_false(in_force(rig, "s"));
    rig_free(rig);
}

static void after_failures_it_is_tried_again_ever_less_often(void **state)
{
    static const int64_t pauses_s[] = { 1, 2, 4, 8, 16, 32, 60, 60, 60 };
    struct rig *rig = rig_new("https://id/keys");
    (void)state;
    pass(rig, 0);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < sizeof pauses_s / sizeof *pauses_s; i++) {
            unsigned before = rig->n_asked;
            fail_fetch(rig);
            pass(rig, pauses_s[i] * 1000 - 1);
            assert_int_equal(rig->n_asked, before);
            pass(rig, 1);
            assert_int_equal(rig->n_asked, before + 1);
        }
        reply_keys(rig, KEYS(KEY("a")));
        pass(rig, 10 * MINUTE);
    }
    rig_free(rig);
}

static void keys_that_cannot_be_fetched_for_long_are_given_up(void **state)
{
    struct rig *rig = rig_new("https://id/keys");
    (void)state;
    rig->config.tokens_stale_ms = 30 * MINUTE;
    pass(rig, 0);
    reply_keys(rig, KEYS(KEY("a")));
    pass(rig, 10 * MINUTE);
    while (rig->now_ms < 1030 * MINUTE - 1) {
        fail_fetch(rig);
        int64_t next = key_fetcher_due_ms(rig->fetcher) - rig->now_ms, left = 1030 * MINUTE - 1 - rig->now_ms;
        pass(rig, next < left ? next : left);
        if (!rig->asked)
            break;
    }
    assert_true(in_force(rig, "a"));
    pass(rig, 1);
    assert_false(in_force(rig, "a"));
    assert_true(is_red("tokens.stale"));
    pass(rig, MINUTE);
    reply_keys(rig, KEYS(KEY("a")));
    assert_true(in_force(rig, "a"));
    assert_false(is_red(""));
    rig_free(rig);
}

/* ---- those who wait ---- */

static void an_unknown_key_is_looked_for_at_once(void **state)
{
    struct rig *rig = rig_new("https://id/keys");
    struct call first, second;
    (void)state;
    pass(rig, 0);
    reply_keys(rig, KEYS(KEY("a")));
    pass(rig, MINUTE);
    assert_int_equal(asked(rig, &first).err, NOT_YET);
    assert_int_equal(asked(rig, &second).err, NOT_YET);
    pass(rig, 0);
    assert_int_equal(rig->n_asked, 2);
    reply_keys(rig, KEYS(KEY("a") "," KEY("b")));
    assert_int_equal(first.err, 0);
    assert_int_equal(second.err, 0);
    assert_true(in_force(rig, "b"));
    rig_free(rig);
}

/* What the server is saying now may have been written before the key was made. */
static void who_asks_while_a_fetch_is_under_way_may_ask_again(void **state)
{
    struct rig *rig = rig_new("https://id/keys");
    struct call call;
    (void)state;
    pass(rig, 0);
    asked(rig, &call);
    reply_keys(rig, KEYS(KEY("a")));
    assert_int_equal(call.err, ERR_KEYS_PENDING);
    assert_int_equal(asked(rig, &call).err, NOT_YET);
    pass(rig, 4999);
    assert_int_equal(rig->n_asked, 1);
    pass(rig, 1);
    assert_int_equal(rig->n_asked, 2);
    reply_keys(rig, KEYS(KEY("a")));
    assert_int_equal(call.err, 0);
    rig_free(rig);
}

static void who_waits_is_told_when_a_fetch_fails(void **state)
{
    struct rig *rig = rig_new("https://id/keys");
    struct call early, late;
    (void)state;
    asked(rig, &early);
    pass(rig, 0);
    asked(rig, &late);
    fail_fetch(rig);
    assert_int_equal(early.err, ERR_KEYS_PENDING);
    assert_int_equal(late.err, ERR_KEYS_PENDING);
    rig_free(rig);
}

static unsigned fetches_in_a_minute_of_flood(bool failing)
{
    enum { CALLS = 1000 };
    struct call *calls = calloc(CALLS, sizeof *calls);
    struct rig *rig = rig_new("https://id/keys");
    pass(rig, 0);
    reply_keys(rig, KEYS(KEY("a")));
    for (int second = 0; second < 60; second++) {
        for (int i = 0; i < CALLS; i++)
            if (second == 0 || calls[i].err != NOT_YET)
                asked(rig, &calls[i]);
        pass(rig, 1000);
        if (rig->asked && failing)
            fail_fetch(rig);
        else if (rig->asked)
            reply_keys(rig, KEYS(KEY("a")));
    }
    unsigned n = rig->n_asked;
    rig_free(rig);
    free(calls);
    return n;
}

static void a_flood_of_unknown_keys_costs_one_fetch_per_interval(void **state)
{
    (void)state;
    assert_in_range(fetches_in_a_minute_of_flood(false), 12, 13);      /* every five seconds, and the start */
    assert_in_range(fetches_in_a_minute_of_flood(true), 12, 17);       /* and the first attempts after a failure, which come sooner */
}

static void nobody_waits_when_no_fetch_can_come_in_time(void **state)
{
    struct rig *rig = rig_new("https://id/keys");
    struct call call;
    (void)state;
    rig->config.tokens_refetch_ms = 60 * MINUTE;
    pass(rig, 0);
    reply_keys(rig, KEYS(KEY("a")));
    assert_int_equal(asked(rig, &call).err, 0);
    rig_free(rig);
}

/* ---- new settings, and the end ---- */

static void a_reload_fetches_and_another_address_ends_the_old_keys(void **state)
{
    struct rig *rig = rig_new("https://id/keys");
    struct config other = rig->config, off = rig->config;
    struct call call;
    (void)state;
    other.tokens_jwks = "https://other/keys";
    off.tokens_jwks = "keys.json";
    pass(rig, 0);
    reply_keys(rig, KEYS(KEY("a")));
    key_fetcher_reconfigure(rig->fetcher, &rig->config);
    assert_true(in_force(rig, "a"));
    pass(rig, 0);
    assert_int_equal(rig->n_asked, 2);
    asked(rig, &call);
    key_fetcher_reconfigure(rig->fetcher, &other);
    assert_int_equal(rig->n_cancelled, 1);
    assert_false(in_force(rig, "a"));
    reply_keys(rig, KEYS(KEY("a")));
    assert_false(in_force(rig, "a"));
    assert_int_equal(call.err, ERR_KEYS_PENDING);
    pass(rig, 0);
    assert_string_equal(rig->asked->url, "https://other/keys");
    reply_keys(rig, KEYS(KEY("b")));
    assert_true(in_force(rig, "b"));
    pass(rig, 5000);
    asked(rig, &call);
    key_fetcher_reconfigure(rig->fetcher, &off);
    assert_int_equal(call.err, 0);
    authority_expect_keys(rig->authority, true);       /* as in_force() wants it */
    assert_false(in_force(rig, "b"));
    assert_true(key_fetcher_due_ms(rig->fetcher) == INT64_MAX);
    rig_free(rig);
}

static void a_hub_that_goes_away_lets_nobody_wait(void **state)
{
    struct rig *rig = rig_new("https://id/keys");
    struct call early, late;
    (void)state;
    asked(rig, &early);
    pass(rig, 0);
    asked(rig, &late);
    key_fetcher_stop(rig->fetcher);
    assert_int_equal(early.err, ERR_DRAINING);
    assert_int_equal(late.err, ERR_DRAINING);
    assert_int_equal(rig->n_cancelled, 1);
    reply(rig, ERR_GONE, 0, "", "");
    pass(rig, 100 * MINUTE);
    key_fetcher_reconfigure(rig->fetcher, &rig->config);
    pass(rig, 100 * MINUTE);
    assert_int_equal(rig->n_asked, 1);
    rig_free(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_fetched_at_the_start_and_then_again_and_again),
        cmocka_unit_test(a_file_or_nothing_is_never_fetched),
        cmocka_unit_test(the_servers_max_age_counts_within_bounds),
        cmocka_unit_test(whatever_is_no_document_of_keys_leaves_the_old_ones_in_force),
        cmocka_unit_test(secrets_in_a_document_are_passed_over),
        cmocka_unit_test(after_failures_it_is_tried_again_ever_less_often),
        cmocka_unit_test(keys_that_cannot_be_fetched_for_long_are_given_up),
        cmocka_unit_test(an_unknown_key_is_looked_for_at_once),
        cmocka_unit_test(who_asks_while_a_fetch_is_under_way_may_ask_again),
        cmocka_unit_test(who_waits_is_told_when_a_fetch_fails),
        cmocka_unit_test(a_flood_of_unknown_keys_costs_one_fetch_per_interval),
        cmocka_unit_test(nobody_waits_when_no_fetch_can_come_in_time),
        cmocka_unit_test(a_reload_fetches_and_another_address_ends_the_old_keys),
        cmocka_unit_test(a_hub_that_goes_away_lets_nobody_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
