#include "transports/http/api_port.h"

#include "hub/base/err.h"
#include "hub/hub.h"
#include "transports/http/http_front.h"

#include <stdio.h>

static bool is_unix(const char *address) { return !strncmp(address, "unix:", strlen("unix:")); }

static void print_url(const struct http_front *front, char *out, size_t size)
{
    const char *address = http_front_address(front);
    snprintf(out, size, "%s%s", is_unix(address) ? "" : http_front_tls(front) ? "https://" : "http://", address);
}

static int port_open(struct serving *serving, void **ret_self)
{
    struct http_front *front;
    int err = http_front_new(serving->config, serving->clock, serving->authority, &front, serving->why, sizeof serving->why);
    if (err)
        return err;
    http_front_connect(front, hub_mailbox(serving->hub), hub_add_peer(serving->hub, http_front_mailbox(front), false, SIZE_MAX));
    print_url(front, serving->api, sizeof serving->api);
    *ret_self = front;
    return 0;
}

static int  port_start(void *self)                          { return http_front_start(self); }
static void port_address(const void *self, struct buf *out) { buf_add_str(out, http_front_address(self)); }
static void port_hint(const void *self, struct buf *out)
{
    char api[sizeof ((struct serving *)0)->api];
    print_url(self, api, sizeof api);
    if (is_unix(api))
        buf_addf(out, "  publish  curl -d hello --unix-socket %s http://localhost/v1/channels/news/messages\n", api + strlen("unix:"));
    else
        buf_addf(out, "  publish  curl -d hello %s/v1/channels/news/messages\n", api);
}
static void port_drain(void *self)                          { http_front_drain(self); }
static bool port_done(const void *self)                     { return http_front_done(self); }
static void port_stop(void *self)                           { http_front_stop(self); }
static void port_free(void *self)                           { http_front_free(self); }

const struct spoke api_spoke = {
    .name = "api", .outlasts = true, .open = port_open, .start = port_start, .address = port_address, .hint = port_hint,
    .drain = port_drain, .done = port_done, .stop = port_stop, .free = port_free,
};
