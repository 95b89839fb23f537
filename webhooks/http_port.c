#include "webhooks/http_port.h"

#include "hub/base/err.h"
#include "hub/base/log.h"
#include "hub/base/thread.h"
#include "hub/call.h"
#include "hub/http_out.h"
#include "hub/hub.h"
#include "webhooks/transfers.h"

#include <curl/curl.h>
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <unistd.h>

enum { STAND_BACK = 5 };      /* steps of nice(), which on Linux is the thread's own: a third of the weight of the others */

struct http_port {
    struct http_out    out;              /* first */
    struct mailbox     box;              /* requests, from the hub */
    struct post        from_hub, to_hub;
    struct letter      cancel, stop;
    atomic_bool        cancelling;       /* `cancel` is in the mail */
    struct event_base *base;
    struct event      *mail;
    struct transfers  *transfers;
    pthread_t          thread;
    bool               started;
    bool               stopping;         /* the thread's */
};

/* ---- the hub's side ---- */

static void put(struct http_port *port, struct letter *letter)
{
    post_put(&port->from_hub, letter, 0);
    post_flush(&port->from_hub);
}

static void out_send(struct http_out *out, struct http_out_request *request)
{
    request->letter.kind = LETTER_HTTP_OUT;
    request->err = request->status = 0;
    request->fault = HTTP_OUT_NONE;
    request->reused = false;
    request->timing = (struct http_out_timing){ 0 };
    request->address = (struct ip){ 0 };
    request->why[0] = '\0';
    buf_reset(&request->answer_head);
    buf_reset(&request->answer);
    atomic_store(&request->cancelled, false);
    put((struct http_port *)out, &request->letter);
}

static void out_cancel(struct http_out *out, struct http_out_request *request)
{
    struct http_port *port = (struct http_port *)out;
    atomic_store(&request->cancelled, true);
    if (!atomic_exchange(&port->cancelling, true))
        put(port, &port->cancel);
}

/* ---- the thread ---- */

static void answer(void *arg, struct http_out_request *request)
{
    struct http_port *port = arg;
    letter_done(&request->letter);
    post_put(&port->to_hub, &request->letter, 0);
}

static void take_mail(struct http_port *port)
{
    for (struct letter *letter = mailbox_take(&port->box), *next; letter; letter = next) {
        next = letter->next;
        if (letter == &port->stop) {
            port->stopping = true;
        } else if (letter == &port->cancel) {
            atomic_store(&port->cancelling, false);      /* before the look: what is cancelled from here on is told again */
            transfers_drop_cancelled(port->transfers);
        } else {
            transfers_add(port->transfers, (struct http_out_request *)(void *)letter);
        }
    }
}

static void on_mail(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    take_mail(arg);
}

/* Where there is not CPU enough for all, publishing and fan-out go first: a webhook waits for its receiver's answer anyway, they wait for a core
 * that this thread keeps busy as long as there is something to send. Where nobody waits it takes all there is, as before. */
static void stand_back(void)
{
    errno = 0;
    if (nice(STAND_BACK) == -1 && errno)
        log_warn("http-out", "its thread has the priority of all others: %s", strerror(errno));
}

static void *run(void *arg)
{
    struct http_port *port = arg;
    stand_back();
    while (!port->stopping) {
        event_base_loop(port->base, EVLOOP_ONCE);
        transfers_turn(port->transfers);
        post_flush(&port->to_hub);
    }
    transfers_end_all(port->transfers, ERR_DRAINING);
    post_flush(&port->to_hub);
    return NULL;
}

/* ---- the spoke ---- */

static void port_free(void *self)
{
    struct http_port *port = self;
    transfers_free(port->transfers);
    if (port->mail)
        event_free(port->mail);
    if (port->base)
        event_base_free(port->base);
    mailbox_fini(&port->box);
    free(port);
}

static int open_loop(struct http_port *port)
{
    struct event_config *options = event_config_new();
    if (!options)
        return ERR_MEMORY;
    event_config_set_flag(options, EVENT_BASE_FLAG_NOLOCK);     /* only its own thread touches it; others send letters */
    port->base = event_base_new_with_config(options);
    event_config_free(options);
    if (!port->base || mailbox_init(&port->box, true))
        return ERR_MEMORY;
    port->mail = event_new(port->base, port->box.fd, EV_READ | EV_PERSIST, on_mail, port);
    port->transfers = transfers_new(port->base, answer, port);
    return port->mail && port->transfers && !event_add(port->mail, NULL) ? 0 : ERR_MEMORY;
}

static int port_open(struct serving *serving, void **ret_self)
{
    struct http_port *port = calloc(1, sizeof *port);
    if (!port || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        free(port);
        return ERR_MEMORY;
    }
    *port = (struct http_port){ .out = { out_send, out_cancel, 0 }, .box = { .fd = -1 } };
    if (open_loop(port)) {
        port_free(port);
        return ERR_MEMORY;
    }
    post_init(&port->from_hub, &port->box, SIZE_MAX);
    post_init(&port->to_hub, hub_mailbox(serving->hub), SIZE_MAX);
    serving->http_out = &port->out;
    *ret_self = port;
    return 0;
}

static int port_start(void *self)
{
    struct http_port *port = self;
    port->started = !thread_start(&port->thread, "http-out", run, port);
    return port->started ? 0 : ERR_MEMORY;
}

/* Requests that were sent before it began are answered too. */
static void port_stop(void *self)
{
    struct http_port *port = self;
    if (!port->started) {
        take_mail(port);
        transfers_end_all(port->transfers, ERR_DRAINING);
        post_flush(&port->to_hub);
        return;
    }
    put(port, &port->stop);
    pthread_join(port->thread, NULL);
    port->started = false;
}

static void port_drain(void *self)      { (void)self; }
static bool port_done(const void *self) { return self; }

const struct spoke http_out_spoke = {
    .name = "http-out", .open = port_open, .start = port_start, .drain = port_drain, .done = port_done, .stop = port_stop, .free = port_free,
};
