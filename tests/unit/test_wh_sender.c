/* How webhooks go out: every class of fault, what is cut and still an answer, addresses that are judged, connections that are kept,
 * proxies and source addresses. */
#define _GNU_SOURCE     /* memmem; own_dir.h */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "hub/signature.h"
#include "tests/unit/http_out_rig.h"
#include "tests/unit/own_dir.h"
#include "webhooks/guard.h"
#include "webhooks/verify.h"

#include <arpa/inet.h>
#include <signal.h>

enum { CUT_AT = 1000 };

/* ---- the receiver ---- */

static bool do_fine(struct visit *v)     { return hear_body(v) && say_str(v, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"); }
static bool do_gone(struct visit *v)     { return hear_body(v) && say_str(v, "HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n"); }
static bool do_redirect(struct visit *v) { return hear_body(v) && say_str(v, "HTTP/1.1 307 Temporary Redirect\r\nLocation: /fine\r\nContent-Length: 0\r\n\r\n"); }
static bool do_rubbish(struct visit *v)  { return say_str(v, "\x16\x03\x01 I am no web server\r\n\r\n") && false; }
static bool do_hang_up(struct visit *v)  { return !v; }
static bool do_half(struct visit *v)     { return say_str(v, "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nhello") && false; }
static bool do_long(struct visit *v)     { return say_str(v, "HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n") && hold(v); }
static bool do_closes(struct visit *v)   { return hear_body(v) && say_str(v, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello") && false; }
static bool do_early(struct visit *v)
{
    return say_str(v, "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello") && false;
}
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
static bool do_drip(struct visit *v)
{
    say_str(v, "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
    while (say_str(v, "."))
        poll(NULL, 0, 5);
    return false;
}
/* The first request of a connection is answered, the second finds it dead. */
static bool do_once(struct visit *v)
{
    return do_fine(v) && hear(v) && false;
}
/* What it was sent, and from where. */
static bool do_echo(struct visit *v)
{
    struct sockaddr_in from;
    socklen_t len = sizeof from;
    char head[100], text[INET_ADDRSTRLEN];
    getpeername(v->fd, (struct sockaddr *)&from, &len);
    inet_ntop(AF_INET, &from.sin_addr, text, sizeof text);
    while (!strstr(v->in, "the end") && hear(v))
        ;
    snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nFrom: %s\r\nContent-Length: %zu\r\n\r\n", text, v->in_len);
    return say_str(v, head) && say(v, v->in, v->in_len) && false;
}
static bool do_refuse(struct visit *v) { return say_str(v, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n") && false; }

static const struct act acts[] = {
    { "/fine", do_fine }, { "/gone", do_gone }, { "/redirect", do_redirect }, { "/rubbish", do_rubbish }, { "/hang-up", do_hang_up }, { "/half", do_half },
    { "/long", do_long }, { "/closes", do_closes }, { "/early", do_early }, { "/endless", do_endless }, { "/endless-head", do_endless_head }, { "/drip", do_drip },
    { "/once", do_once }, { "/echo", do_echo }, { "/hold", hold },
    { "http://partner.invalid/hook", do_fine }, { "partner.invalid:443", do_refuse },      /* as a proxy */
    { NULL, NULL },
};

/* ---- the sender ---- */

struct sender {
    struct rig    rig;
    struct guard *guard;
    char          url[200];
};

static const char *judge(const void *arg, const struct sockaddr *address) { return guard_judge(arg, address); }

static void sender_open(struct sender *s, const struct own_certificate *own)
{
    rig_open(&s->rig, own, acts);
    s->guard = guard_new();
    assert_null(guard_allow(s->guard, SLICE("127.0.0.0/8")));
    struct http_out_rules *rules = &s->rig.rules;
    rules->keep_cut = rules->http2 = true;
    rules->judge = judge;
    rules->judge_arg = s->guard;
    rules->max_bytes = CUT_AT;
}

static void sender_close(struct sender *s)
{
    rig_close(&s->rig);
    guard_free(s->guard);
}

static struct http_out_request post_to(struct sender *s, const char *host, const char *path)
{
    snprintf(s->url, sizeof s->url, "%s://%s:%d%s", s->rig.server.tls ? "https" : "http", host, s->rig.server.port, path);
    struct http_out_request request = request_for(&s->rig, s->url);
    request.method = HTTP_OUT_POST;
    request.headers = SLICE("Content-Type: application/json\n");
    request.body = SLICE("{\"at\":\"the end\"}");
    return request;
}

static struct http_out_request posted(struct sender *s, const char *host, const char *path)
{
    struct http_out_request request = post_to(s, host, path);
    ask(&s->rig, &request);
    return request;
}

static void must_be(struct http_out_request *request, int err, int status, const char *fault)
{
    if (request->err != err || request->status != status || strcmp(http_out_fault_name(request->fault), fault) != 0)
        fail_msg("%s: err %d, status %d, fault \"%s\", %s", request->url, request->err, request->status, http_out_fault_name(request->fault), request->why);
    if (*fault)
        assert_true(request->why[0]);
    http_out_answer_fini(request);
}

/* ---- what comes back ---- */

static void an_answer_has_status_head_body_times_and_an_address(void **state)
{
    struct sender s;
    char address[IP_TEXT];
    (void)state;
    sender_open(&s, NULL);
    struct http_out_request request = posted(&s, "127.0.0.1", "/fine");
    assert_true(slice_is(buf_slice(&request.answer), SLICE("hello")));
    assert_true(slice_begins(buf_slice(&request.answer_head), SLICE("HTTP/1.1 200 OK\r\n")));
    assert_true(request.timing.total_us > 0 && request.timing.first_byte_us > 0 && request.timing.tls_us == 0);
    ip_print(request.address, address);
    assert_string_equal(address, "127.0.0.1");
    must_be(&request, 0, 200, "");
    request = posted(&s, "127.0.0.1", "/gone");
    must_be(&request, 0, 410, "");
    request = posted(&s, "127.0.0.1", "/early");
    assert_true(slice_begins(buf_slice(&request.answer_head), SLICE("HTTP/1.1 200 OK\r\n")));
    must_be(&request, 0, 200, "");
    sender_close(&s);
}

static void each_fault_has_its_class(void **state)
{
    static const char long_label[] = "http://aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.invalid/";      /* no name server is asked */
    struct sender s;
    (void)state;
    sender_open(&s, NULL);
    struct http_out_request request = request_for(&s.rig, long_label);
    ask(&s.rig, &request);
    must_be(&request, ERR_UNREACHABLE, 0, "dns");
    request = request_for(&s.rig, "http://127.0.0.1:1/");
    ask(&s.rig, &request);
    must_be(&request, ERR_UNREACHABLE, 0, "connect");
    request = posted(&s, "127.0.0.1", "/rubbish");
    must_be(&request, ERR_UNREACHABLE, 0, "http");
    request = posted(&s, "127.0.0.1", "/hang-up");
    must_be(&request, ERR_UNREACHABLE, 0, "http");
    request = posted(&s, "127.0.0.1", "/endless-head");
    must_be(&request, ERR_UNREACHABLE, 0, "too_large");
    request = request_for(&s.rig, "ftp://127.0.0.1/");
    ask(&s.rig, &request);
    must_be(&request, ERR_UNREACHABLE, 0, "http");
    sender_close(&s);
}

static void a_receiver_that_never_answers_is_a_timeout(void **state)
{
    struct sender s;
    (void)state;
    sender_open(&s, NULL);
    s.rig.rules.timeout_ms = 100;
    struct http_out_request request = posted(&s, "127.0.0.1", "/hold");
    must_be(&request, ERR_UNREACHABLE, 0, "timeout");
    sender_close(&s);
}

/* Its kernel takes connections, nobody speaks TLS on them. */
static void a_handshake_that_never_ends_has_the_time_to_connect(void **state)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t len = sizeof address;
    int silent = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sender s;
    (void)state;
    sender_open(&s, NULL);
    assert_int_equal(bind(silent, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(silent, 5), 0);
    getsockname(silent, (struct sockaddr *)&address, &len);
    s.rig.rules.connect_ms = 100;
    snprintf(s.url, sizeof s.url, "https://127.0.0.1:%d/", ntohs(address.sin_port));
    struct http_out_request request = request_for(&s.rig, s.url);
    ask(&s.rig, &request);
    must_be(&request, ERR_UNREACHABLE, 0, "timeout");
    close(silent);
    sender_close(&s);
}

static void a_certificate_that_nobody_vouches_for_is_a_fault_of_tls(void **state)
{
    struct own_certificate own = own_certificate_new(3600);
    struct sender s;
    (void)state;
    sender_open(&s, &own);
    struct http_out_request request = posted(&s, "localhost", "/fine");
    must_be(&request, ERR_UNREACHABLE, 0, "tls");
    assert_int_equal(atomic_load(&s.rig.server.n_heads), 0);
    sender_close(&s);
    own_certificate_free(&own);
}

static void over_tls_the_handshake_is_measured_and_the_connection_kept(void **state)
{
    char cert[OWN_FILE_MAX], key[OWN_FILE_MAX];
    struct own_certificate own = own_certificate_new(3600);
    struct sender s;
    own_certificate_write(&own, own_dir_file(*state, "cert.pem", cert), own_dir_file(*state, "key.pem", key));
    sender_open(&s, &own);
    s.rig.rules.ca_file = cert;
    s.rig.rules.allow_http = false;
    assert_null(guard_allow(s.guard, SLICE("::1")));
    struct http_out_request request = posted(&s, "localhost", "/fine");
    assert_true(request.timing.tls_us > 0 && !request.reused);
    must_be(&request, 0, 200, "");
    request = posted(&s, "localhost", "/fine");
    assert_true(request.timing.tls_us == 0 && request.reused);
    must_be(&request, 0, 200, "");
    sender_close(&s);
    own_certificate_free(&own);
}

/* ---- what is cut ---- */

static void a_body_that_is_too_long_is_cut_and_the_status_counts(void **state)
{
    struct sender s;
    (void)state;
    sender_open(&s, NULL);
    struct http_out_request request = posted(&s, "127.0.0.1", "/endless");
    assert_int_equal(request.answer.len, CUT_AT);
    assert_true(slice_begins(buf_slice(&request.answer), SLICE("and so on ")));
    must_be(&request, 0, 200, "too_large");
    request = posted(&s, "127.0.0.1", "/half");
    assert_true(slice_is(buf_slice(&request.answer), SLICE("hello")));
    must_be(&request, 0, 200, "http");
    sender_close(&s);
}

static void a_body_that_drips_or_never_comes_has_its_time_and_the_status_counts(void **state)
{
    struct sender s;
    (void)state;
    sender_open(&s, NULL);
    s.rig.rules.rest_ms = 100;
    for (int i = 0; i < 2; i++) {
        struct http_out_request request = posted(&s, "127.0.0.1", i ? "/drip" : "/long");
        must_be(&request, 0, 200, "timeout");
    }
    sender_close(&s);
}

static void many_bodies_that_drip_hold_nothing_up(void **state)
{
    enum { MANY = 20 };
    struct http_out_request dripping[MANY];
    struct sender s;
    char drip_url[200];
    (void)state;
    sender_open(&s, NULL);
    s.rig.rules.rest_ms = 200;
    struct http_out_request drip = post_to(&s, "127.0.0.1", "/drip");
    drip.url = memcpy(drip_url, s.url, sizeof drip_url);
    for (int i = 0; i < MANY; i++) {
        dripping[i] = drip;
        http_out_send(s.rig.serving.http_out, &dripping[i]);
    }
    while (atomic_load(&s.rig.server.n_heads) < MANY)
        poll(NULL, 0, 1);
    unsigned before = s.rig.n_answered;
    struct http_out_request fine = post_to(&s, "127.0.0.1", "/fine");
    http_out_send(s.rig.serving.http_out, &fine);
    wait_for(&s.rig, before + 1);
    wait_for(&s.rig, MANY + 1);
    must_be(&fine, 0, 200, "");
    for (int i = 0; i < MANY; i++)
        must_be(&dripping[i], 0, 200, "timeout");
    sender_close(&s);
}

/* ---- where it may go ---- */

static void an_address_that_may_not_be_connected_to_is_blocked_however_it_is_written(void **state)
{
    static const char *const hosts[] = { "127.0.0.1", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "0x7f.1", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::1]",
        "localhost", "0.0.0.0", "[::]", "169.254.169.254", "10.255.255.1" };
    struct sender s;
    (void)state;
    sender_open(&s, NULL);
    struct guard *closed = guard_new();
    s.rig.rules.judge_arg = closed;
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        struct http_out_request request = posted(&s, hosts[i], "/fine");
        assert_non_null(strstr(request.why, "it leads to a"));
        assert_true(ip_is_none(request.address));
        must_be(&request, ERR_UNREACHABLE, 0, "blocked_address");
    }
    assert_int_equal(atomic_load(&s.rig.server.n_heads), 0);
    sender_close(&s);
    assert_int_equal(s.rig.server.n_visits, 0);
    guard_free(closed);
}

/* Only ::1 is refused, so the other address is tried; and the server has only that. */
static void of_several_addresses_those_that_may_be_connected_to_are(void **state)
{
    struct sender s;
    (void)state;
    sender_open(&s, NULL);
    struct http_out_request request = posted(&s, "localhost", "/fine");
    must_be(&request, 0, 200, "");
    sender_close(&s);
}

static void a_connection_of_another_pool_is_never_used(void **state)
{
    struct sender s;
    (void)state;
    sender_open(&s, NULL);
    struct guard *closed = guard_new();
    struct http_out_rules strict = s.rig.rules;
    strict.judge_arg = closed;
    strict.pool = http_out_pool_new(s.rig.serving.http_out);
    struct http_out_request request = posted(&s, "127.0.0.1", "/fine");
    must_be(&request, 0, 200, "");
    request = post_to(&s, "127.0.0.1", "/fine");
    request.rules = &strict;
    ask(&s.rig, &request);
    must_be(&request, ERR_UNREACHABLE, 0, "blocked_address");
    request = posted(&s, "127.0.0.1", "/fine");
    assert_true(request.reused);
    must_be(&request, 0, 200, "");
    sender_close(&s);
    guard_free(closed);
}

static void a_redirect_is_an_answer(void **state)
{
    struct sender s;
    (void)state;
    sender_open(&s, NULL);
    struct http_out_request request = posted(&s, "127.0.0.1", "/redirect");
    must_be(&request, 0, 307, "");
    assert_int_equal(atomic_load(&s.rig.server.n_heads), 1);
    sender_close(&s);
}

/* ---- connections ---- */

static void connections_are_kept_and_used_again(void **state)
{
    struct sender s;
    (void)state;
    sender_open(&s, NULL);
    for (int i = 0; i < 20; i++) {
        struct http_out_request request = posted(&s, "127.0.0.1", "/fine");
        assert_int_equal(request.reused, i > 0);
        assert_int_equal(request.timing.connect_us > 0, i == 0);
        must_be(&request, 0, 200, "");
    }
    sender_close(&s);
    assert_int_equal(s.rig.server.n_visits, 1);
}

/* More often than libcurl would bear it. */
static void a_kept_connection_that_is_dead_costs_nothing(void **state)
{
    struct sender s;
    (void)state;
    sender_open(&s, NULL);
    for (int i = 0; i < 60; i++) {
        struct http_out_request request = posted(&s, "127.0.0.1", i % 2 ? "/closes" : "/once");
        must_be(&request, 0, 200, "");
    }
    sender_close(&s);
}

/* Over a new connection there is no second time: the receiver may have taken it. */
static void a_new_connection_that_dies_is_told_at_once(void **state)
{
    struct sender s;
    (void)state;
    sender_open(&s, NULL);
    struct http_out_request request = posted(&s, "127.0.0.1", "/hang-up");
    must_be(&request, ERR_UNREACHABLE, 0, "http");
    assert_int_equal(atomic_load(&s.rig.server.n_heads), 1);
    sender_close(&s);
}

static void the_memory_of_an_answer_is_used_again(void **state)
{
    struct sender s;
    (void)state;
    sender_open(&s, NULL);
    struct http_out_request request = posted(&s, "127.0.0.1", "/fine");
    const char *at = request.answer.at;
    ask(&s.rig, &request);
    assert_ptr_equal(request.answer.at, at);
    assert_true(slice_is(buf_slice(&request.answer), SLICE("hello")));
    must_be(&request, 0, 200, "");
    sender_close(&s);
}

static void a_pool_that_is_full_of_hanging_requests_does_not_delay_another(void **state)
{
    enum { MANY = 30 };
    struct http_out_request hanging[MANY];
    struct sender s;
    char hold_url[200];
    (void)state;
    sender_open(&s, NULL);
    struct http_out_rules few = s.rig.rules;
    few.pool = http_out_pool_new(s.rig.serving.http_out);
    few.transfers = 3;
    for (int i = 0; i < MANY; i++) {
        hanging[i] = post_to(&s, "127.0.0.1", "/hold");
        hanging[i].rules = &few;
    }
    memcpy(hold_url, s.url, sizeof hold_url);
    for (int i = 0; i < MANY; i++) {
        hanging[i].url = hold_url;
        http_out_send(s.rig.serving.http_out, &hanging[i]);
    }
    struct http_out_request request = posted(&s, "127.0.0.1", "/fine");
    must_be(&request, 0, 200, "");
    while (atomic_load(&s.rig.server.n_heads) < 1 + 3)
        poll(NULL, 0, 1);
    for (int i = MANY - 1; i >= 0; i--)      /* those that wait, and those under way */
        http_out_cancel(s.rig.serving.http_out, &hanging[i]);
    wait_for(&s.rig, MANY + 1);
    for (int i = 0; i < MANY; i++)
        must_be(&hanging[i], ERR_GONE, 0, "");
    assert_int_equal(atomic_load(&s.rig.server.n_heads), 1 + 3);
    sender_close(&s);
}

/* ---- at the last moment ---- */

struct signed_post {
    struct http_out_request request;       /* first */
    struct signer          *signer;
    struct buf              lines;
    int                     err;
};

static int sign(struct http_out_request *request)
{
    struct signed_post *post = (struct signed_post *)(void *)request;
    buf_reset(&post->lines);
    buf_add_str(&post->lines, "Content-Type: application/json\n");
    signer_add_headers(post->signer, &(struct signing){ SLICE("evt_1"), 1700000000, SLICE("test"), request->body }, &post->lines);
    request->headers = buf_slice(&post->lines);
    return post->err;
}

static void a_request_is_signed_when_it_begins_and_the_receiver_can_verify_it(void **state)
{
    struct slice secret = SLICE("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    struct signed_post post = { .signer = signer_new(SIGNATURE_STANDARD, &secret, 1) };
    struct buf why = { 0 };
    struct sender s;
    (void)state;
    sender_open(&s, NULL);
    post.request = post_to(&s, "127.0.0.1", "/echo");
    post.request.prepare = sign;
    ask(&s.rig, &post.request);
    assert_int_equal(post.request.status, 200);
    struct verifying with = { .scheme = SIGNATURE_STANDARD, .secrets = { secret }, .n_secrets = 1, .head = buf_slice(&post.request.answer),
        .body = post.request.body, .now_s = 1700000000, .tolerance_s = 300 };
    assert_int_equal(signature_verify(&with, &why), VERDICT_GOOD);
    post.err = ERR_STORE_FAILED;
    ask(&s.rig, &post.request);
    assert_int_equal(post.request.err, ERR_STORE_FAILED);
    assert_int_equal(atomic_load(&s.rig.server.n_heads), 1);
    http_out_answer_fini(&post.request);
    sender_close(&s);
    buf_fini(&why);
    buf_fini(&post.lines);
    signer_free(post.signer);
}

static void more_header_lines_than_there_may_be_are_refused(void **state)
{
    struct buf lines = { 0 };
    struct sender s;
    (void)state;
    sender_open(&s, NULL);
    for (int i = 0; i < HTTP_OUT_LINES; i++)
        buf_addf(&lines, "X-Line-%d: %d\n", i, i);
    struct http_out_request request = post_to(&s, "127.0.0.1", "/echo");
    request.headers = buf_slice(&lines);
    s.rig.rules.max_bytes = MUCH;
    ask(&s.rig, &request);
    assert_non_null(memmem(request.answer.at, request.answer.len, "\r\nX-Line-63: 63\r\n", 17));
    must_be(&request, 0, 200, "");
    buf_add_str(&lines, "X-One: more\n");
    request.headers = buf_slice(&lines);
    ask(&s.rig, &request);
    assert_int_equal(request.err, ERR_BAD_REQUEST);
    http_out_answer_fini(&request);
    sender_close(&s);
    buf_fini(&lines);
}

/* ---- other ways ---- */

static void through_a_proxy_the_proxy_is_connected_to_and_nobody_is_judged(void **state)
{
    struct sender s;
    char proxy[100];
    (void)state;
    sender_open(&s, NULL);
    struct guard *closed = guard_new();
    snprintf(proxy, sizeof proxy, "http://127.0.0.1:%d", s.rig.server.port);
    setenv("no_proxy", "*", 1);      /* has no say */
    s.rig.rules.proxy = proxy;
    s.rig.rules.judge_arg = closed;
    struct http_out_request request = request_for(&s.rig, "http://partner.invalid/hook");
    ask(&s.rig, &request);
    must_be(&request, 0, 200, "");
    request = request_for(&s.rig, "https://partner.invalid/hook");
    ask(&s.rig, &request);
    must_be(&request, ERR_UNREACHABLE, 0, "connect");
    unsetenv("no_proxy");
    sender_close(&s);
    guard_free(closed);
}

static void the_source_address_is_the_one_that_was_asked_for(void **state)
{
    struct sender s;
    (void)state;
    sender_open(&s, NULL);
    s.rig.rules.source_address = "127.0.0.2";
    struct http_out_request request = posted(&s, "127.0.0.1", "/echo");
    assert_true(slice_is(http_out_header(&request, "from"), SLICE("127.0.0.2")));
    must_be(&request, 0, 200, "");
    s.rig.rules.pool = http_out_pool_new(s.rig.serving.http_out);
    s.rig.rules.source_address = "203.0.113.77";      /* not of this machine */
    request = posted(&s, "127.0.0.1", "/echo");
    must_be(&request, ERR_UNREACHABLE, 0, "connect");
    sender_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_has_status_head_body_times_and_an_address),
        cmocka_unit_test(each_fault_has_its_class),
        cmocka_unit_test(a_receiver_that_never_answers_is_a_timeout),
        cmocka_unit_test(a_handshake_that_never_ends_has_the_time_to_connect),
        cmocka_unit_test(a_certificate_that_nobody_vouches_for_is_a_fault_of_tls),
        IN_OWN_DIR(over_tls_the_handshake_is_measured_and_the_connection_kept),
        cmocka_unit_test(a_body_that_is_too_long_is_cut_and_the_status_counts),
        cmocka_unit_test(a_body_that_drips_or_never_comes_has_its_time_and_the_status_counts),
        cmocka_unit_test(many_bodies_that_drip_hold_nothing_up),
        cmocka_unit_test(an_address_that_may_not_be_connected_to_is_blocked_however_it_is_written),
        cmocka_unit_test(of_several_addresses_those_that_may_be_connected_to_are),
        cmocka_unit_test(a_connection_of_another_pool_is_never_used),
        cmocka_unit_test(a_redirect_is_an_answer),
        cmocka_unit_test(connections_are_kept_and_used_again),
        cmocka_unit_test(a_kept_connection_that_is_dead_costs_nothing),
        cmocka_unit_test(a_new_connection_that_dies_is_told_at_once),
        cmocka_unit_test(the_memory_of_an_answer_is_used_again),
        cmocka_unit_test(a_pool_that_is_full_of_hanging_requests_does_not_delay_another),
        cmocka_unit_test(a_request_is_signed_when_it_begins_and_the_receiver_can_verify_it),
        cmocka_unit_test(more_header_lines_than_there_may_be_are_refused),
        cmocka_unit_test(through_a_proxy_the_proxy_is_connected_to_and_nobody_is_judged),
        cmocka_unit_test(the_source_address_is_the_one_that_was_asked_for),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
