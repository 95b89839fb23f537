#include "transports/public.h"

#include "hub/base/err.h"
#include "hub/call.h"
#include "hub/config/config.h"
#include "hub/hub.h"
#include "transports/accept.h"
#include "transports/edge/edge.h"
#include "transports/edge_thread.h"
#include "transports/files/files.h"
#include "transports/port/crowd.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { EDGES_MAX = 64, EDGES_DEFAULT_MAX = 8 };

struct public_port {
    struct serving     *serving;
    struct acceptor    *acceptor;
    struct edge        *edges[EDGES_MAX];
    struct edge_thread *threads[EDGES_MAX];    /* NULL: not started */
    size_t              n_edges;
    struct crowd        crowd;
    struct files        files;
};

static size_t edges_wanted(const struct config *config)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    if (config->edge_threads)
        return config->edge_threads;
    return cores < 1 ? 1 : cores > EDGES_DEFAULT_MAX ? EDGES_DEFAULT_MAX : (size_t)cores;
}

static void public_free(void *self)
{
    struct public_port *port = self;
    accept_free(port->acceptor);
    for (size_t i = 0; i < port->n_edges; i++)
        edge_free(port->edges[i]);
    files_fini(&port->files);
    free(port);
}

static int open_edges(struct public_port *port)
{
    const struct serving *serving = port->serving;
    int err = 0;
    for (size_t wanted = edges_wanted(serving->config); !err && port->n_edges < wanted;) {
        err = edge_new(serving->config, serving->clock, serving->hub, serving->authority, true, &port->edges[port->n_edges]);
        if (!err)
            port->edges[port->n_edges++]->crowd = &port->crowd;
    }
    return err;
}

static int public_open(struct serving *serving, void **ret_self)
{
    struct public_port *port = calloc(1, sizeof *port);
    const char *why = NULL;
    if (!port)
        return ERR_MEMORY;
    port->serving = serving;
    int err = open_edges(port);
    if (!err)
        err = accept_new(serving, port->edges, port->n_edges, &port->crowd, &port->acceptor, &why);
    if (err) {
        snprintf(serving->why, sizeof serving->why, "%s", why ? why : err_text(err));
        public_free(port);
        return err;
    }
    *ret_self = port;
    return 0;
}

static int public_start(void *self)
{
    struct public_port *port = self;
    int err = files_init(&port->files, port->serving->api);
    for (size_t i = 0; !err && i < port->n_edges; i++)
        err = edge_thread_start(port->edges[i], &port->files, &port->threads[i]);
    if (!err)
        accept_start(port->acceptor);
    return err;
}

static void public_reload(void *self, const struct config *config)
{
    struct public_port *port = self;
    accept_reconfigure(port->acceptor, config);
}

static void public_address(const void *self, struct buf *out)
{
    const struct public_port *port = self;
    buf_add_str(out, accept_address(port->acceptor));
}

static void public_hint(const void *self, struct buf *out)
{
    const struct public_port *port = self;
    const char *address = accept_address(port->acceptor), *scheme = config_public_tls(port->serving->config) ? "https" : "http";
    if (port->serving->config->public_listen.is_unix) {
        buf_addf(out, "  listen   curl -N --unix-socket %s 'http://localhost/sse?channel=news'\n", address + strlen("unix:"));
        return;
    }
    buf_addf(out, "  open     %s://%s/\n", scheme, address);
    buf_addf(out, "  listen   curl -N '%s://%s/sse?channel=news'\n", scheme, address);
}

static void tell_edges(struct public_port *port, enum letter_kind kind)
{
    for (size_t i = 0; i < port->n_edges; i++) {
        struct letter *letter = port->threads[i] ? calloc(1, sizeof *letter) : NULL;
        if (!letter)
            continue;
        letter->kind = kind;
        hub_send(port->serving->hub, port->edges[i]->peer, letter);
    }
    port->serving->turn(port->serving);
}

static void public_drain(void *self)
{
    struct public_port *port = self;
    accept_stop(port->acceptor);
    tell_edges(port, LETTER_DRAIN);
}

static bool public_done(const void *self)
{
    const struct public_port *port = self;
    for (size_t i = 0; i < port->n_edges; i++)
        if (port->threads[i] && !edge_thread_done(port->threads[i]))
            return false;
    return true;
}

static void public_stop(void *self)
{
    struct public_port *port = self;
    accept_stop(port->acceptor);
    tell_edges(port, LETTER_STOP);
    for (size_t i = 0; i < port->n_edges; i++)
        if (port->threads[i])
            edge_thread_join(port->threads[i]);
}

const struct spoke public_spoke = {
    .name = "public", .open = public_open, .start = public_start, .reload = public_reload, .address = public_address, .hint = public_hint,
    .drain = public_drain, .done = public_done, .stop = public_stop, .free = public_free,
};
