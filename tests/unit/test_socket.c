/* Sockets that are read and written without waiting: plain and TLS behave alike, whatever the kernel takes at a time, and
 * with a malloc that has nothing when the test says so. */
#include <stdlib.h>
static int have_memory = 1;
static void *test_malloc(size_t n)           { return have_memory ? malloc(n) : NULL; }
static void *test_realloc(void *p, size_t n) { return have_memory ? realloc(p, n) : NULL; }
#define malloc test_malloc
#define realloc test_realloc
#define bytes reserve_bytes
#include "hub/base/reserve.c"
#undef bytes
#undef malloc
#undef realloc

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/own_certificate.h"
#include "hub/base/err.h"
#include "transports/port/socket.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MUCH = 300 * 1000 };

/* Our socket, and a client on the other end of a pair. */
struct pair {
    SSL_CTX      *server, *client_context;
    struct socket ours;
    int           theirs;
    SSL          *client;       /* NULL: plain */
};

static void pair_open(struct pair *p, bool tls)
{
    int fds[2], small = 4096;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    *p = (struct pair){ .theirs = fds[1] };
    if (tls) {
        struct own_certificate own = own_certificate_new(3600);
        p->server = SSL_CTX_new(TLS_server_method());
        SSL_CTX_set_mode(p->server, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
        SSL_CTX_use_certificate(p->server, own.certificate);
        SSL_CTX_use_PrivateKey(p->server, own.key);
        own_certificate_free(&own);
        p->client_context = SSL_CTX_new(TLS_client_method());
        p->client = SSL_new(p->client_context);
        SSL_set_fd(p->client, fds[1]);
        SSL_set_connect_state(p->client);
    }
    assert_int_equal(socket_open(fds[0], p->server, &p->ours), 0);
}

static void pair_close(struct pair *p)
{
    socket_close(&p->ours);
    SSL_free(p->client);
    SSL_CTX_free(p->client_context);
    SSL_CTX_free(p->server);
    close(p->theirs);
}

static ssize_t client_read(struct pair *p, void *at, size_t n)
{
    if (!p->client)
        return read(p->theirs, at, n);
    int got = SSL_read(p->client, at, (int)n);
    ERR_clear_error();
    return got;
}

static ssize_t client_write(struct pair *p, const void *at, size_t n)
{
    ssize_t written = p->client ? SSL_write(p->client, at, (int)n) : write(p->theirs, at, n);
    ERR_clear_error();
    return written;
}

static void shake_hands(struct pair *p)
{
    char byte;
    for (int i = 0; i < 100 && p->client && !socket_is_secure(&p->ours); i++) {
        client_read(p, &byte, 1);
        assert_int_equal(socket_read(&p->ours, &byte, 1), SOCKET_LATER);
    }
    assert_true(!p->client || socket_is_secure(&p->ours));
}

static unsigned draw(unsigned below)
{
    static unsigned seed = 7;
    seed = seed * 1103515245u + 12345u;
    return (seed >> 8) % below;
}

/* Offers the bytes in vectors of every shape and drains the other end by fits and starts. */
static void send_all(struct pair *p, const char *bytes, char *got)
{
    struct iovec iov[40];
    size_t sent = 0, received = 0;
    bool waited = false;
    for (int i = 0; i < 1000000 && received < MUCH; i++) {
        int n = 0;
        size_t offered = 0;
        for (n = 0; n < 1 + (int)draw(39) && sent + offered < MUCH; n++) {
            size_t len = draw(3) ? draw(900) : draw(40000);
            len = len < MUCH - sent - offered ? len : MUCH - sent - offered;
            iov[n] = (struct iovec){ (char *)(uintptr_t)bytes + sent + offered, len };
            offered += len;
        }
        if (socket_held(&p->ours) > 0) {
            waited = true;
            assert_true(socket_flush(&p->ours) != SOCKET_BROKEN);
        } else {
            ssize_t taken = socket_write(&p->ours, iov, n);
            assert_in_range(taken, 0, offered);
            sent += (size_t)taken;
        }
        ssize_t n_read = client_read(p, got + received, 1 + draw(9000));
        received += n_read > 0 ? (size_t)n_read : 0;
    }
    assert_int_equal(received, MUCH);
    assert_int_equal(socket_held(&p->ours), 0);
    assert_true(!p->client || waited);
}

static void check_bytes_arrive(bool tls)
{
    struct pair p;
    char *bytes = malloc(MUCH), *got = malloc(MUCH + 9000);
    for (size_t i = 0; i < MUCH; i++)
        bytes[i] = (char)draw(256);
    pair_open(&p, tls);
    shake_hands(&p);
    send_all(&p, bytes, got);
    assert_memory_equal(bytes, got, MUCH);
    pair_close(&p);
    free(bytes);
    free(got);
}

static void what_is_written_arrives_whole_and_in_order_in_the_clear(void **state) { (void)state; check_bytes_arrive(false); }
static void what_is_written_arrives_whole_and_in_order_over_tls(void **state)     { (void)state; check_bytes_arrive(true); }

static void check_reading_and_the_end(bool tls)
{
    struct pair p;
    char bytes[SOCKET_READ_MIN];
    pair_open(&p, tls);
    shake_hands(&p);
    assert_int_equal(socket_read(&p.ours, bytes, sizeof bytes), SOCKET_LATER);
    assert_int_equal(client_write(&p, "hello", 5), 5);
    assert_int_equal(socket_read(&p.ours, bytes, sizeof bytes), 5);
    assert_memory_equal(bytes, "hello", 5);
    if (p.client)
        SSL_shutdown(p.client);
    shutdown(p.theirs, SHUT_WR);
    assert_int_equal(socket_read(&p.ours, bytes, sizeof bytes), SOCKET_ENDED);
    assert_int_equal(socket_write_bytes(&p.ours, "bye", 3), 3);      /* our side is open still */
    assert_int_equal(client_read(&p, bytes, sizeof bytes), 3);
    assert_true(socket_shut(&p.ours));
    assert_true(client_read(&p, bytes, sizeof bytes) <= 0);
    if (p.client)
        assert_int_equal(SSL_get_shutdown(p.client) & SSL_RECEIVED_SHUTDOWN, SSL_RECEIVED_SHUTDOWN);
    pair_close(&p);
}

static void each_side_ends_by_itself_in_the_clear(void **state) { (void)state; check_reading_and_the_end(false); }
static void each_side_ends_by_itself_over_tls(void **state)     { (void)state; check_reading_and_the_end(true); }

static void a_client_that_is_gone_is_told_of_once(void **state)
{
    (void)state;
    for (int tls = 0; tls < 2; tls++) {
        struct pair p;
        char bytes[SOCKET_READ_MIN];
        pair_open(&p, tls);
        shake_hands(&p);
        close(p.theirs);
        p.theirs = -1;
        assert_int_equal(socket_write_bytes(&p.ours, "x", 1), SOCKET_BROKEN);
        assert_int_equal(socket_read(&p.ours, bytes, sizeof bytes), tls ? SOCKET_BROKEN : SOCKET_ENDED);
        pair_close(&p);
    }
}

static void http_in_the_clear_is_recognized_and_can_be_answered(void **state)
{
    struct pair p;
    char bytes[SOCKET_READ_MIN];
    (void)state;
    pair_open(&p, true);
    assert_true(write(p.theirs, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27) > 0);
    assert_int_equal(socket_read(&p.ours, bytes, sizeof bytes), SOCKET_SPEAKS_HTTP);
    assert_int_equal(socket_write_bytes(&p.ours, "no", 2), 2);
    assert_int_equal(read(p.theirs, bytes, sizeof bytes), 2);
    assert_memory_equal(bytes, "no", 2);
    pair_close(&p);
}

static void rubbish_instead_of_a_handshake_is_broken(void **state)
{
    struct pair p;
    char bytes[SOCKET_READ_MIN];
    (void)state;
    pair_open(&p, true);
    memset(bytes, 'z', 2000);
    assert_int_equal(write(p.theirs, bytes, 2000), 2000);
    assert_int_equal(socket_read(&p.ours, bytes, sizeof bytes), SOCKET_BROKEN);
    pair_close(&p);
}

static void without_memory_an_established_connection_goes_on_and_a_new_one_is_refused(void **state)
{
    struct pair p;
    struct socket other;
    char bytes[SOCKET_READ_MIN];
    (void)state;
    pair_open(&p, true);
    shake_hands(&p);
    for (int i = 0; i < 10; i++) {
        have_memory = 0;
        assert_int_equal(socket_write_bytes(&p.ours, "hello", 5), 5);
        assert_int_equal(socket_open(-1, p.server, &other), ERR_MEMORY);
        have_memory = 1;
        assert_int_equal(client_read(&p, bytes, sizeof bytes), 5);
        assert_int_equal(client_write(&p, "how are you", 11), 11);
        have_memory = 0;
        assert_int_equal(socket_read(&p.ours, bytes, sizeof bytes), 11);
        assert_int_equal(socket_read(&p.ours, bytes, sizeof bytes), SOCKET_LATER);
        have_memory = 1;
        assert_int_equal(reserve_used(), 0);
    }
    pair_close(&p);
}

int main(void)
{
    reserve_setup();
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_arrives_whole_and_in_order_in_the_clear),
        cmocka_unit_test(what_is_written_arrives_whole_and_in_order_over_tls),
        cmocka_unit_test(each_side_ends_by_itself_in_the_clear),
        cmocka_unit_test(each_side_ends_by_itself_over_tls),
        cmocka_unit_test(a_client_that_is_gone_is_told_of_once),
        cmocka_unit_test(http_in_the_clear_is_recognized_and_can_be_answered),
        cmocka_unit_test(rubbish_instead_of_a_handshake_is_broken),
        cmocka_unit_test(without_memory_an_established_connection_goes_on_and_a_new_one_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
