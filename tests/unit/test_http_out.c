/* Requests to other servers: what comes back, what is cut off, and that nothing can hold the thread or the stop up. */
#define _GNU_SOURCE     /* memmem; own_dir.h */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/http_out_rig.h"
#include "tests/unit/own_dir.h"

#include <signal.h>

/* ---- the other server ---- */

static bool do_fine(struct visit *v)     { return say_str(v, "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 5\r\n\r\nhello") && false; }
static bool do_redirect(struct visit *v) { return say_str(v, "HTTP/1.1 302 Found\r\nLocation: /fine\r\nContent-Length: 0\r\n\r\n") && false; }
static bool do_cut(struct visit *v)      { return say_str(v, "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nhello") && false; }
static bool do_rubbish(struct visit *v)  { return say_str(v, "I am no web server\r\n\r\n") && false; }
static bool do_hang_up(struct visit *v)  { return !v; }
static bool do_half(struct visit *v)     { return say_str(v, "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nhello") && hold(v); }
static bool do_long(struct visit *v)     { return say_str(v, "HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n") && hold(v); }
static bool do_endless(struct visit *v)
{
    say_str(v, "HTTP/1.1 200 OK\r\n\r\n");
    while (say_str(v, "and so on and so on and so on and so on "))
        ;
    return false;
}
static bool do_endless_head(struct visit *v)
{
    say_str(v, "HTTP/1.1 200 OK\r\n");
    while (say_str(v, "X-More: and so on and so on and so on\r\n"))
        ;
    return false;
}
static bool do_endless_continue(struct visit *v)
{
    while (say_str(v, "HTTP/1.1 100 Continue\r\n\r\n"))
        ;
    return false;
}
/* A body of two heads: what it was sent. */
static bool do_echo(struct visit *v)
{
    while (!strstr(v->in, "the end") && hear(v))
        ;
    char head[100];
    snprintf(head, sizeof head, "HTTP/1.1 201 Created\r\nContent-Length: %zu\r\n\r\n", v->in_len);
    say_str(v, head);
    say(v, v->in, v->in_len);
    return false;
}

static const struct act acts[] = {
    { "/fine", do_fine }, { "/redirect", do_redirect }, { "/cut", do_cut }, { "/rubbish", do_rubbish }, { "/hang-up", do_hang_up },
    { "/half", do_half }, { "/long", do_long }, { "/endless", do_endless }, { "/endless-head", do_endless_head },
    { "/endless-continue", do_endless_continue }, { "/echo", do_echo }, { "/hold", hold }, { NULL, NULL },
};

/* ---- asking ---- */

static void must_fail(struct rig *rig, const char *path, const char *why)
{
    char url[100];
    url_of(rig, path, url);
    struct http_out_request request = request_for(rig, url);
    ask(rig, &request);
    assert_int_equal(request.err, ERR_UNREACHABLE);
    assert_non_null(strstr(request.why, why));
    assert_null(request.answer.at);
    assert_null(request.answer_head.at);
}

/* ---- what comes back ---- */

static void a_get_brings_status_head_and_body(void **state)
{
    struct rig rig;
    char url[100];
    (void)state;
    setenv("http_proxy", "http://127.0.0.1:9/", 1);      /* has no say */
    rig_open(&rig, NULL, acts);
    url_of(&rig, "/fine", url);
    for (int i = 0; i < 3; i++) {
        struct http_out_request request = request_for(&rig, url);
        ask(&rig, &request);
        assert_int_equal(request.err, 0);
        assert_int_equal(request.status, 200);
        assert_true(slice_is(buf_slice(&request.answer), SLICE("hello")));
        assert_true(slice_is(http_out_header(&request, "cache-control"), SLICE("max-age=60")));
        assert_null(http_out_header(&request, "age").at);
        http_out_answer_fini(&request);
    }
    rig_close(&rig);
    unsetenv("http_proxy");
}

static bool has(const struct http_out_request *request, const char *text)
{
    return memmem(request->answer.at, request->answer.len, text, strlen(text));
}

static void a_post_carries_its_headers_and_its_body(void **state)
{
    struct rig rig;
    char url[100];
    (void)state;
    rig_open(&rig, NULL, acts);
    url_of(&rig, "/echo", url);
    struct http_out_request request = request_for(&rig, url);
    request.method = HTTP_OUT_POST;
    request.headers = SLICE("Content-Type: application/json\nX-Id: 7\n");
    request.body = SLICE("{\"at\":\"the end\"}");
    ask(&rig, &request);
    assert_int_equal(request.status, 201);
    assert_true(has(&request, "POST /echo HTTP/1.1\r\n"));
    assert_true(has(&request, "\r\nContent-Type: application/json\r\nX-Id: 7\r\n"));
    assert_true(has(&request, "\r\nContent-Length: 16\r\n"));
    assert_true(has(&request, "\r\nUser-Agent: carillon/"));
    assert_false(has(&request, "\r\nExpect:"));
    assert_true(has(&request, "\r\n\r\n{\"at\":\"the end\"}"));
    http_out_answer_fini(&request);
    rig_close(&rig);
}

static void a_redirect_is_an_answer_and_is_not_followed(void **state)
{
    struct rig rig;
    char url[100];
    (void)state;
    rig_open(&rig, NULL, acts);
    url_of(&rig, "/redirect", url);
    struct http_out_request request = request_for(&rig, url);
    ask(&rig, &request);
    assert_int_equal(request.err, 0);
    assert_int_equal(request.status, 302);
    assert_int_equal(atomic_load(&rig.server.n_heads), 1);
    http_out_answer_fini(&request);
    rig_close(&rig);
}

/* ---- what is cut off ---- */

static void what_is_too_large_or_never_ends_is_cut_off(void **state)
{
    struct rig rig;
    (void)state;
    rig_open(&rig, NULL, acts);
    must_fail(&rig, "/long", "too large");
    must_fail(&rig, "/endless", "too large");
    must_fail(&rig, "/endless-head", "too large");
    must_fail(&rig, "/endless-continue", "too large");
    rig_close(&rig);
}

static void what_is_no_answer_is_told_as_unreachable(void **state)
{
    static const char *const urls[] = { "ftp://localhost/x", "file:///etc/passwd", "gopher://localhost/x", "http://", "no url at all", "" };
    struct rig rig;
    (void)state;
    rig_open(&rig, NULL, acts);
    must_fail(&rig, "/cut", "");
    must_fail(&rig, "/rubbish", "");
    must_fail(&rig, "/hang-up", "");
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        struct http_out_request request = request_for(&rig, urls[i]);
        ask(&rig, &request);
        assert_int_equal(request.err, ERR_UNREACHABLE);
        assert_true(request.why[0]);
    }
    rig_close(&rig);
}

static void a_server_that_is_silent_has_its_time(void **state)
{
    struct rig rig;
    char url[100];
    (void)state;
    rig_open(&rig, NULL, acts);
    rig.rules.timeout_ms = 200;
    for (const char *const *path = (const char *const[]){ "/hold", "/half", NULL }; *path; path++) {
        url_of(&rig, *path, url);
        struct http_out_request request = request_for(&rig, url);
        ask(&rig, &request);
        assert_int_equal(request.err, ERR_UNREACHABLE);
        assert_non_null(strstr(request.why, "timed out"));
    }
    rig_close(&rig);
}

static void http_is_refused_unless_it_is_allowed(void **state)
{
    struct rig rig;
    char url[100];
    (void)state;
    rig_open(&rig, NULL, acts);
    url_of(&rig, "/fine", url);
    struct http_out_request request = request_for(&rig, url);
    rig.rules.allow_http = false;
    ask(&rig, &request);
    assert_int_equal(request.err, ERR_UNREACHABLE);
    assert_int_equal(atomic_load(&rig.server.n_heads), 0);
    rig_close(&rig);
}

/* ---- TLS ---- */

static void over_tls_the_server_must_be_vouched_for_and_have_the_right_name(void **state)
{
    char cert[OWN_FILE_MAX], key[OWN_FILE_MAX], url[100], by_address[100];
    struct own_certificate own = own_certificate_new(3600);
    struct rig rig;
    own_certificate_write(&own, own_dir_file(*state, "cert.pem", cert), own_dir_file(*state, "key.pem", key));
    rig_open(&rig, &own, acts);
    url_of(&rig, "/fine", url);
    snprintf(by_address, sizeof by_address, "https://127.0.0.1:%d/fine", rig.server.port);
    struct http_out_request good = request_for(&rig, url), stranger = request_for(&rig, url), misnamed = request_for(&rig, by_address),
                            no_file = request_for(&rig, url);
    struct http_out_rules vouched = rig.rules, by_nobody = rig.rules;
    vouched.pool = http_out_pool_new(rig.serving.http_out);
    vouched.allow_http = false;
    vouched.ca_file = cert;
    by_nobody.pool = http_out_pool_new(rig.serving.http_out);
    by_nobody.ca_file = "/nonexistent/ca.pem";
    good.rules = misnamed.rules = &vouched;
    no_file.rules = &by_nobody;
    ask(&rig, &good);
    assert_int_equal(good.err, 0);
    assert_int_equal(good.status, 200);
    http_out_answer_fini(&good);
    ask(&rig, &stranger);
    assert_int_equal(stranger.err, ERR_UNREACHABLE);
    ask(&rig, &misnamed);
    assert_int_equal(misnamed.err, ERR_UNREACHABLE);
    ask(&rig, &no_file);
    assert_int_equal(no_file.err, ERR_UNREACHABLE);
    assert_int_equal(atomic_load(&rig.server.n_heads), 1);
    rig_close(&rig);
    own_certificate_free(&own);
}

/* ---- many, cancelled, stopped ---- */

static void many_at_once_are_all_answered(void **state)
{
    enum { MANY = 4 * HTTP_OUT_TRANSFERS };
    struct http_out_request *requests = calloc(MANY, sizeof *requests);
    struct rig rig;
    char url[100];
    (void)state;
    rig_open(&rig, NULL, acts);
    url_of(&rig, "/fine", url);
    for (int i = 0; i < MANY; i++) {
        requests[i] = request_for(&rig, url);
        http_out_send(rig.serving.http_out, &requests[i]);
    }
    wait_for(&rig, MANY);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(requests[i].err, 0);
        http_out_answer_fini(&requests[i]);
    }
    rig_close(&rig);
    free(requests);
}

static void what_is_cancelled_ends_and_the_others_go_on(void **state)
{
    struct rig rig;
    char hold_url[100], fine_url[100];
    (void)state;
    rig_open(&rig, NULL, acts);
    url_of(&rig, "/hold", hold_url);
    url_of(&rig, "/fine", fine_url);
    struct http_out_request held = request_for(&rig, hold_url), other = request_for(&rig, hold_url), fine = request_for(&rig, fine_url);
    http_out_send(rig.serving.http_out, &held);
    http_out_send(rig.serving.http_out, &other);
    ask(&rig, &fine);
    assert_int_equal(fine.status, 200);
    http_out_answer_fini(&fine);
    http_out_cancel(rig.serving.http_out, &held);
    http_out_cancel(rig.serving.http_out, &held);
    wait_for(&rig, 2);
    assert_int_equal(held.err, ERR_GONE);
    http_out_cancel(rig.serving.http_out, &other);
    wait_for(&rig, 3);
    assert_int_equal(other.err, ERR_GONE);
    ask(&rig, &fine);
    assert_int_equal(fine.status, 200);
    http_out_answer_fini(&fine);
    rig_close(&rig);
}

/* More than may be under way at a time, so some have not even begun. */
static void a_stop_answers_all_that_is_left(void **state)
{
    enum { MANY = HTTP_OUT_TRANSFERS + 20 };
    struct http_out_request requests[MANY];
    struct rig rig;
    char url[100];
    (void)state;
    rig_open(&rig, NULL, acts);
    url_of(&rig, "/hold", url);
    for (int i = 0; i < MANY; i++) {
        requests[i] = request_for(&rig, url);
        http_out_send(rig.serving.http_out, &requests[i]);
    }
    while (atomic_load(&rig.server.n_heads) < HTTP_OUT_TRANSFERS)
        poll(NULL, 0, 1);
    rig_close(&rig);
    assert_int_equal(rig.n_answered, MANY);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(requests[i].err, ERR_DRAINING);
}

static void a_stop_without_a_start_answers_too(void **state)
{
    struct config config = *config_defaults();
    struct serving serving = { .config = &config, .clock = clock_real() };
    struct rig rig = { 0 };
    void *port;
    (void)state;
    serving.hub = hub_new(&config, serving.clock, NULL, (struct hub_start){ .epoch = 1, .next = 1, .reserved = 1 });
    assert_int_equal(http_out_spoke.open(&serving, &port), 0);
    struct http_out_rules rules = { .pool = http_out_pool_new(serving.http_out), .allow_http = true, .timeout_ms = 1000 };
    struct http_out_request request = request_for(&rig, "http://localhost:1/");
    request.rules = &rules;
    http_out_send(serving.http_out, &request);
    http_out_spoke.stop(port);
    hub_turn(serving.hub);
    assert_int_equal(rig.n_answered, 1);
    assert_int_equal(request.err, ERR_DRAINING);
    http_out_spoke.free(port);
    hub_free(serving.hub);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_get_brings_status_head_and_body),
        cmocka_unit_test(a_post_carries_its_headers_and_its_body),
        cmocka_unit_test(a_redirect_is_an_answer_and_is_not_followed),
        cmocka_unit_test(what_is_too_large_or_never_ends_is_cut_off),
        cmocka_unit_test(what_is_no_answer_is_told_as_unreachable),
        cmocka_unit_test(a_server_that_is_silent_has_its_time),
        cmocka_unit_test(http_is_refused_unless_it_is_allowed),
        IN_OWN_DIR(over_tls_the_server_must_be_vouched_for_and_have_the_right_name),
        cmocka_unit_test(many_at_once_are_all_answered),
        cmocka_unit_test(what_is_cancelled_ends_and_the_others_go_on),
        cmocka_unit_test(a_stop_answers_all_that_is_left),
        cmocka_unit_test(a_stop_without_a_start_answers_too),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
