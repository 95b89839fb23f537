/* How a serving process begins and ends, with the real loop, hub, store and public port: nobody comes in before the hub can give
 * numbers, whoever turns it; and nothing starts any more once the end has begun. The disk writes when the test lets it. */
#include "tests/unit/own_dir.h"      /* first: it asks libc for nftw */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "hub/base/err.h"
#include "hub/base/mail.h"
#include "hub/config/config.h"
#include "hub/hub.h"
#include "hub/metrics.h"
#include "hub/serve.h"
#include "hub/spoke.h"
#include "tests/unit/gate.h"
#include "transports/public.h"

#include <arpa/inet.h>
#include <event2/event.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PATIENCE_S = 5, COMERS = 20, LOOKS = 50 };

/* ---- the disk ---- */

static struct gate disk = GATE_OPEN;

/* SQLite writes its log with this one. */
ssize_t pwrite64(int fd, const void *bytes, size_t n, off64_t at)
{
    gate_pass(&disk);
    return syscall(SYS_pwrite64, fd, bytes, n, at);
}

/* ---- the process ---- */

static struct play {
    struct own_dir  dir;
    const struct config *config;
    struct serving *serving;
    struct event   *act, *deadline;
    bool            started, late;
    /* those who come to the public port as soon as it is bound */
    void           *port;
    int             comers[COMERS], looks;
    int64_t         accepted_before, accepted_at_start;
} play;

static int setup(void **state)
{
    char store[OWN_DIR_MAX + 20];
    struct config_report report = { 0 };
    (void)state;
    play = (struct play){ 0 };
    if (own_dir_make(&play.dir))
        return -1;
    snprintf(store, sizeof store, "--store.dir=%s", play.dir.path);
    char *flags[] = { "--dev", "--public.listen=127.0.0.1:0", "--edge.threads=1", "--log.level=error", store };
    int err = config_load(sizeof flags / sizeof *flags, flags, &report, &play.config);
    config_report_fini(&report);
    if (err)
        own_dir_remove(&play.dir);
    return err;
}

static int teardown(void **state)
{
    (void)state;
    gate_open(&disk);
    for (int i = 0; i < COMERS; i++)
        if (play.comers[i] > 0)
            close(play.comers[i]);
    config_unref(play.config);
    own_dir_remove(&play.dir);
    return 0;
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what, (void)arg;
    play.late = true;
    gate_open(&disk);
    event_base_loopbreak(play.serving->base);
}

static void begin(struct serving *serving, event_callback_fn act)
{
    struct timeval patience = { PATIENCE_S, 0 };
    play.serving = serving;
    play.act = event_new(serving->base, -1, EV_PERSIST, act, NULL);
    play.deadline = event_new(serving->base, -1, 0, on_deadline, NULL);
    event_add(play.deadline, &patience);
    event_active(play.act, EV_TIMEOUT, 0);
}

static int start(void *self)
{
    (void)self;
    play.started = true;
    return 0;
}

static bool done(const void *self)
{
    (void)self;
    return true;
}

static void do_nothing(void *self) { (void)self; }

static void free_events(void *self)
{
    (void)self;
    event_free(play.act);
    event_free(play.deadline);
}

/* ---- a spoke that turns the hub ---- */

/* The answer of the store is taken out of the mailbox here, and by nobody else. */
static void turn_with_the_answer(evutil_socket_t fd, short what, void *arg)
{
    struct pollfd mail = { hub_mailbox(play.serving->hub)->fd, POLLIN, 0 };
    (void)fd, (void)what, (void)arg;
    poll(&mail, 1, PATIENCE_S * 1000);
    play.serving->turn(play.serving);
    if (play.started)
        event_base_loopbreak(play.serving->base);
}

static void let_disk_work(evutil_socket_t fd, short what, void *arg)
{
    gate_open(&disk);
    turn_with_the_answer(fd, what, arg);
}

static int open_turner(struct serving *serving, void **ret_self)
{
    *ret_self = &play;
    begin(serving, let_disk_work);
    gate_shut(&disk);      /* the store is open; numbers are asked for next */
    return 0;
}

static const struct spoke turner = {
    .name = "turner", .open = open_turner, .start = start, .drain = do_nothing, .done = done, .stop = do_nothing, .free = free_events,
};

static void the_hub_is_ready_also_when_a_spoke_has_turned_it(void **state)
{
    static const struct spoke *const spokes[] = { &turner };
    (void)state;
    assert_int_equal(serve_run(play.config, spokes, 1), 0);
    assert_false(play.late);
    assert_true(play.started);
}

/* ---- a public port that is wanted at once ---- */

static void come(void)
{
    struct buf address = { 0 };
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    public_spoke.address(play.port, &address);
    buf_add_char(&address, '\0');
    to.sin_port = htons((uint16_t)atoi(strrchr(address.at, ':') + 1));
    buf_fini(&address);
    for (int i = 0; i < COMERS; i++) {
        play.comers[i] = socket(AF_INET, SOCK_STREAM, 0);
        assert_int_equal(connect(play.comers[i], (struct sockaddr *)&to, sizeof to), 0);
    }
}

static int64_t accepted(void) { return metric_sum(METRIC_accepted) - play.accepted_before; }

/* The loop looks at its sockets before each call of this. */
static void look_for_a_while(evutil_socket_t fd, short what, void *arg)
{
    struct timeval soon = { 0, 1000 };
    (void)fd, (void)what, (void)arg;
    if (++play.looks == LOOKS)
        gate_open(&disk);
    if (play.started && accepted() == COMERS)
        event_base_loopbreak(play.serving->base);
    event_add(play.act, &soon);
}

static int open_public(struct serving *serving, void **ret_self)
{
    int err = public_spoke.open(serving, &play.port);
    if (err)
        return err;
    *ret_self = play.port;
    play.accepted_before = metric_sum(METRIC_accepted);
    begin(serving, look_for_a_while);
    come();
    gate_shut(&disk);
    return 0;
}

static int start_public(void *self)
{
    play.started = true;
    play.accepted_at_start = accepted();
    return public_spoke.start(self);
}

static void free_public(void *self)
{
    free_events(self);
    public_spoke.free(self);
}

static void whoever_comes_before_the_hub_is_ready_waits_outside(void **state)
{
    struct spoke wanted = public_spoke;
    const struct spoke *const spokes[] = { &wanted };
    (void)state;
    wanted.open = open_public;
    wanted.start = start_public;
    wanted.free = free_public;
    assert_int_equal(serve_run(play.config, spokes, 1), 0);
    assert_false(play.late);
    assert_true(play.looks >= LOOKS);
    assert_int_equal(play.accepted_at_start, 0);
    assert_int_equal(accepted(), COMERS);
}

/* ---- an end before the beginning ---- */

static void turn_at_the_end(void *self)
{
    (void)self;
    gate_open(&disk);
    turn_with_the_answer(-1, 0, NULL);
}

static void end_now(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what, (void)arg;
    event_base_loopbreak(play.serving->base);
}

static int open_short_lived(struct serving *serving, void **ret_self)
{
    *ret_self = &play;
    begin(serving, end_now);
    gate_shut(&disk);
    return 0;
}

static const struct spoke short_lived = {
    .name = "short-lived", .open = open_short_lived, .start = start, .drain = do_nothing, .done = done, .stop = turn_at_the_end, .free = free_events,
};

static void nothing_starts_once_the_end_has_begun(void **state)
{
    static const struct spoke *const spokes[] = { &short_lived };
    (void)state;
    assert_int_equal(serve_run(play.config, spokes, 1), 0);
    assert_false(play.late);
    assert_false(play.started);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_hub_is_ready_also_when_a_spoke_has_turned_it),
        TEST(whoever_comes_before_the_hub_is_ready_waits_outside),
        TEST(nothing_starts_once_the_end_has_begun),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
