#include "transports/http/api_port.h"

#include "hub/base/err.h"
#include "hub/hub.h"
#include "transports/http/http_front.h"

#include <stdio.h>

static int port_open(struct serving *serving, void **ret_self)
{
    struct http_front *front;
    int err = http_front_new(serving->config, serving->clock, serving->authority, &front, serving->why, sizeof serving->why);
    if (err)
        return err;
    http_front_connect(front, hub_mailbox(serving->hub), hub_add_peer(serving->hub, http_front_mailbox(front), false, SIZE_MAX));
    *ret_self = front;
    return 0;
}

static int  port_start(void *self)                          { return http_front_start(self); }
static void port_address(const void *self, struct buf *out) { buf_add_str(out, http_front_address(self)); }
static void port_hint(const void *self, struct buf *out)
{
    const char *address = http_front_address(self), *scheme = http_front_tls(self) ? "https" : "http";
    bool is_unix = !strncmp(address, "unix:", 5);
    buf_addf(out, "  publish  curl -d hello %s%s%s%s://%s/v1/channels/news/messages\n", is_unix ? "--unix-socket " : "",
             is_unix ? address + 5 : "", is_unix ? " " : "", scheme, is_unix ? "localhost" : address);
}
static void port_drain(void *self)                          { http_front_drain(self); }
static bool port_done(const void *self)                     { return http_front_done(self); }
static void port_stop(void *self)                           { http_front_stop(self); }
static void port_free(void *self)                           { http_front_free(self); }

const struct spoke api_spoke = {
    .name = "api", .outlasts = true, .open = port_open, .start = port_start, .address = port_address, .hint = port_hint,
    .drain = port_drain, .done = port_done, .stop = port_stop, .free = port_free,
};
