/* http_out_rig.h — a hub without anything, the port that makes requests of other servers, and such a server (own_server.h).
 *
 * Lifetime   rig_open … rig_close, which ends the port first: its connections end, so the server's threads do. */
#pragma once
#include "tests/unit/own_server.h"

#include "hub/base/clock.h"
#include "hub/base/err.h"
#include "hub/call.h"
#include "hub/config/config.h"
#include "hub/http_out.h"
#include "hub/hub.h"
#include "webhooks/http_port.h"

#include <poll.h>

enum { MUCH = 100 * 1000 };

struct rig {
    struct config  config;
    struct serving serving;
    void          *port;
    struct server  server;
    struct http_out_rules rules;
    unsigned       n_answered;
};

static inline void rig_open(struct rig *rig, const struct own_certificate *own, const struct act *with)
{
    memset(rig, 0, sizeof *rig);
    rig->config = *config_defaults();
    rig->serving = (struct serving){ .config = &rig->config, .clock = clock_real() };
    rig->serving.hub = hub_new(&rig->config, rig->serving.clock, NULL, (struct hub_start){ .epoch = 1, .next = 1, .reserved = 1 });
    assert_int_equal(http_out_spoke.open(&rig->serving, &rig->port), 0);
    server_start(&rig->server, own, with);
    rig->rules = (struct http_out_rules){ .pool = http_out_pool_new(rig->serving.http_out), .allow_http = true, .timeout_ms = 30000, .max_bytes = MUCH };
    assert_int_equal(http_out_spoke.start(rig->port), 0);
}

static inline void wait_for(struct rig *rig, unsigned n)
{
    struct pollfd mail = { hub_mailbox(rig->serving.hub)->fd, POLLIN, 0 };
    while (rig->n_answered < n) {
        assert_true(poll(&mail, 1, 60000) > 0);
        hub_turn(rig->serving.hub);
    }
}

/* The port first: its connections end, so the server's threads do. */
static inline void rig_close(struct rig *rig)
{
    http_out_spoke.stop(rig->port);
    hub_turn(rig->serving.hub);
    http_out_spoke.free(rig->port);
    server_stop(&rig->server);
    hub_free(rig->serving.hub);
}

static inline void count_answer(struct http_out_request *request)
{
    struct rig *rig = request->owner;
    rig->n_answered++;
}

static inline struct http_out_request request_for(struct rig *rig, const char *url)
{
    return (struct http_out_request){ .rules = &rig->rules, .url = url, .answered = count_answer, .owner = rig };
}

static inline void url_of(const struct rig *rig, const char *path, char url[100])
{
    snprintf(url, 100, "%s://localhost:%d%s", rig->server.tls ? "https" : "http", rig->server.port, path);
}

static inline void ask(struct rig *rig, struct http_out_request *request)
{
    unsigned before = rig->n_answered;
    http_out_send(rig->serving.http_out, request);
    wait_for(rig, before + 1);
}
