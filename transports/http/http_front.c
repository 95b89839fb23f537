#include "transports/http/http_front.h"

#include "hub/base/clock.h"
#include "hub/base/err.h"
#include "hub/base/log.h"
#include "hub/base/thread.h"
#include "hub/config/config.h"
#include "transports/http/http_conn.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

/* ---- requests, used again and again ---- */

static void request_fini(struct http_request *r)
{
    api_request_fini(&r->api);
    http_head_fini(&r->head);
    buf_fini(&r->body);
    free(r);
}

struct http_request *http_front_request(struct http_front *f)
{
    struct http_request *r = f->spare;
    if (r) {
        f->spare = r->next_spare;
        f->n_spare--;
    } else if ((r = calloc(1, sizeof *r))) {
        link_init(&r->link);
        link_init(&r->waiting_link);
        r->front = f;
    }
    return r;
}

void http_front_give_back(struct http_front *f, struct http_request *r)
{
    enum { BODY_KEPT = 16 * 1024 };
    if (f->n_spare == FRONT_SPARE_REQUESTS) {
        request_fini(r);
        return;
    }
    api_request_reset(&r->api);
    http_head_reset(&r->head);
    if (r->body.cap > BODY_KEPT)
        buf_fini(&r->body);
    buf_reset(&r->body);
    r->finished = r->writes = r->held = r->wants_continue = r->last = r->http10 = r->whole = r->head_out = false;
    r->conn = NULL;
    r->next_spare = f->spare;
    f->spare = r;
    f->n_spare++;
}

/* Twelve hexadecimal digits that do not repeat: a counter through a mix of its bits (SplitMix64). */
void http_front_request_id(struct http_front *f, char out[129])
{
    uint64_t z = f->id_seed + ++f->id_count * UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    z ^= z >> 31;
    for (int i = 0; i < 12; i++, z >>= 4)
        out[i] = "0123456789abcdef"[z & 15];
    out[12] = '\0';
}

struct ssl_ctx_st *http_front_tls(const struct http_front *f)
{
    return config_api_tls(f->config);
}

bool http_front_has_room(struct http_front *f)
{
    bool room = post_has_room(&f->to_hub);
    f->starved = f->starved || !room;
    return room;
}

/* ---- one turn ---- */

void http_front_look_at_clock(struct http_front *f)
{
    f->now_ms = clock_mono_ms(f->clock);
    f->api.now_us = clock_mono_us();
}

static void touch_all(struct http_front *f)
{
    list_each(item, following, &f->conns)
        http_conn_touch(link_of(item, struct http_conn, link));
}

static void tell_date(struct http_front *f)
{
    time_t now = (time_t)(clock_wall_ms(f->clock) / 1000);
    struct tm tm;
    if (now == f->date_s)
        return;
    f->date_s = now;
    strftime(f->date, sizeof f->date, "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", gmtime_r(&now, &tm));
}

static void free_doomed(struct http_front *f)
{
    struct link *first;
    while ((first = list_first(&f->doomed)))
        http_conn_free(link_of(first, struct http_conn, link));
}

static void end_turn(struct http_front *f)
{
    enum { OUT_KEPT = 1024 * 1024 };
    struct link *first;
    tell_date(f);
    while ((first = list_first(&f->touched))) {
        link_remove(first);
        http_conn_end_turn(link_of(first, struct http_conn, touched_link));
    }
    free_doomed(f);
    if (f->out.cap > OUT_KEPT)
        buf_fini(&f->out);
}

static void rest_after_burst(struct http_front *f)
{
    bool burst = f->n_read > 0 && f->api.submitted >= FRONT_BURST_CALLS * f->n_read;
    f->api.submitted = f->n_read = 0;
    if (burst)
        nanosleep(&(struct timespec){ 0, FRONT_REST_US * 1000 }, NULL);
}

static void begin_drain(struct http_front *f)
{
    f->draining = true;
    door_close(&f->door);
    list_each(item, following, &f->conns)
        http_conn_drain(link_of(item, struct http_conn, link));
}

static void take_answers(struct http_front *f)
{
    for (struct letter *letter = mailbox_take(&f->box), *next; letter; letter = next) {
        next = letter->next;
        letter_done(letter);
        if (letter->kind < CALL_KINDS) {
            struct call *call = (struct call *)(void *)letter;
            call->answered(call);
        } else if (letter->kind == LETTER_CONFIG) {
            f->config = f->api.config = ((struct config_letter *)(void *)letter)->config;
            free(letter);
        }
    }
    if (f->starved && post_has_room(&f->to_hub)) {
        f->starved = false;
        touch_all(f);
    }
}

static void on_mail(evutil_socket_t fd, short what, void *arg)
{
    struct http_front *f = arg;
    (void)fd, (void)what;
    http_front_look_at_clock(f);
    take_answers(f);
    if (atomic_load(&f->wish) >= FRONT_DRAIN && !f->draining)
        begin_drain(f);
}

static bool has_ended(const struct http_front *f)
{
    return atomic_load(&f->wish) == FRONT_STOP || (f->draining && link_alone(&f->conns) && link_alone(&f->waiting));
}

static void close_all(struct http_front *f)
{
    list_each(item, following, &f->conns)
        http_conn_close(link_of(item, struct http_conn, link), "the hub stops");
    free_doomed(f);
}

/* A turn, and more of them while they find requests, so that the hub is woken once for all. (EVLOOP_NONBLOCK alone does not come
 * back while a socket stays readable, and one whose client has ended does until its turn has ended.) */
static void take_turns(struct http_front *f)
{
    unsigned before = 0;
    event_base_loop(f->base, EVLOOP_ONCE);
    end_turn(f);
    while (f->api.submitted - before >= FRONT_BURST_CALLS && f->api.submitted < FRONT_MAIL_CALLS) {
        before = f->api.submitted;
        event_base_loop(f->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
        end_turn(f);
    }
}

static void *run_thread(void *arg)
{
    struct http_front *f = arg;
    http_front_look_at_clock(f);
    tell_date(f);
    while (!has_ended(f)) {
        take_turns(f);
        post_flush(&f->to_hub);
        rest_after_burst(f);
    }
    door_close(&f->door);
    close_all(f);
    atomic_store(&f->ended, true);
    return NULL;
}

/* ---- accepting ---- */

static void on_socket(void *arg, int fd, const struct sockaddr *from, socklen_t len)
{
    struct http_front *f = arg;
    (void)len;
    http_front_look_at_clock(f);
    if (!http_conn_new(f, fd, ip_of(from)))
        close(fd);
}

/* ---- life ---- */

static int open_loop(struct http_front *f)
{
    struct event_config *options = event_config_new();
    if (!options)
        return ERR_MEMORY;
    event_config_set_flag(options, EVENT_BASE_FLAG_NOLOCK);     /* only its own thread touches it */
    f->base = event_base_new_with_config(options);
    event_config_free(options);
    f->in = malloc(FRONT_READ_BYTES);
    if (!f->in || !f->base || mailbox_init(&f->box, true))
        return ERR_MEMORY;
    f->mail = event_new(f->base, f->box.fd, EV_READ | EV_PERSIST, on_mail, f);
    if (!f->mail)
        return ERR_MEMORY;
    event_add(f->mail, NULL);
    return 0;
}

int http_front_new(const struct config *config, const struct clock *clock, struct authority *authority, struct http_front **ret_front,
                   char *why, size_t why_size)
{
    struct http_front *f = calloc(1, sizeof *f);
    if (!f)
        return ERR_MEMORY;
    *f = (struct http_front){ .config = config, .clock = clock, .box = { .fd = -1 } };
    f->door = (struct door){ .name = "api", .on_socket = on_socket, .arg = f };
    f->api = (struct api){ .config = config, .clock = clock, .authority = authority, .to_hub = &f->to_hub };
    link_init(&f->conns);
    link_init(&f->touched);
    link_init(&f->doomed);
    link_init(&f->waiting);
    if (getrandom(&f->id_seed, sizeof f->id_seed, 0) != sizeof f->id_seed)
        f->id_seed = (uint64_t)clock_wall_ms(clock);
    int err = open_loop(f);
    if (!err)
        err = door_open(&f->door, f->base, &config->api_listen, config->dev, why, why_size);
    if (err) {
        if (err == ERR_MEMORY)
            snprintf(why, why_size, "%s", err_text(err));
        http_front_free(f);
        return err;
    }
    *ret_front = f;
    return 0;
}

void http_front_connect(struct http_front *f, struct mailbox *hub, uint8_t peer)
{
    post_init(&f->to_hub, hub, FRONT_MAIL_BYTES);
    f->api.peer = peer;
}

struct mailbox *http_front_mailbox(struct http_front *f) { return &f->box; }
const char     *http_front_address(const struct http_front *f) { return f->door.listener.text; }

int http_front_start(struct http_front *f)
{
    door_start(&f->door);
    int failed = thread_start(&f->thread, "api", run_thread, f);
    f->started = !failed;
    return failed ? ERR_MEMORY : 0;
}

static void wish(struct http_front *f, enum front_wish what)
{
    uint64_t one = 1;
    atomic_store(&f->wish, what);
    if (write(f->box.fd, &one, sizeof one) < 0)
        log_debug("api", "is awake already");
}

void http_front_drain(struct http_front *f)
{
    if (f->started)
        wish(f, FRONT_DRAIN);
}

bool http_front_done(const struct http_front *f)
{
    return !f->started || atomic_load(&f->ended);
}

void http_front_stop(struct http_front *f)
{
    if (!f->started)
        return;
    wish(f, FRONT_STOP);
    pthread_join(f->thread, NULL);
    f->started = false;
}

/* What the hub answered after the thread had ended; what it never will, because it is gone too. */
static void free_requests(struct http_front *f)
{
    struct link *first;
    if (f->box.fd >= 0)
        take_answers(f);
    while ((first = list_first(&f->waiting))) {
        struct http_request *r = link_of(first, struct http_request, waiting_link);
        link_remove(first);
        if (r->api.call.letter.kind == CALL_PUBLISH)
            msg_unref(r->api.publish.msg);
        request_fini(r);
    }
    while (f->spare) {
        struct http_request *r = f->spare;
        f->spare = r->next_spare;
        request_fini(r);
    }
}

void http_front_free(struct http_front *f)
{
    if (!f)
        return;
    free_requests(f);
    door_close(&f->door);
    if (f->mail)
        event_free(f->mail);
    if (f->base)
        event_base_free(f->base);
    mailbox_fini(&f->box);
    buf_fini(&f->out);
    free(f->in);
    free(f);
}
