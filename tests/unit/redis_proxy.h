/* redis_proxy.h — between a node and its server: drops what is said to who listens, or lets replies to commands wait.
 *
 * proxy_begin before the node is opened, proxy_end before it is closed. Threading: the test's thread, in the loop of that node. */
#pragma once
#include "tests/unit/redis_bus_rig.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>

struct proxy_pair { struct proxy *proxy; struct bufferevent *client, *server; bool listens, was_muted; };

struct proxy {
    struct event_base     *base;
    struct evconnlistener *listener;
    struct world          *world;
    char                   server[OWN_DIR_MAX + 8], path[OWN_DIR_MAX + 16];
    struct proxy_pair      pairs[64];
    unsigned               n;
    bool                   mute;      /* what listens now hears nothing any more */
    bool                   late;      /* replies to commands wait until proxy_hurry */
    unsigned               heard;     /* how often something came for who listens */
};

static inline void from_client(struct bufferevent *bev, void *arg)
{
    struct proxy_pair *pair = arg;
    struct evbuffer *in = bufferevent_get_input(bev);
    pair->listens |= evbuffer_search(in, "SUBSCRIBE", 9, NULL).pos >= 0;
    evbuffer_add_buffer(bufferevent_get_output(pair->server), in);
}

static inline void from_server(struct bufferevent *bev, void *arg)
{
    struct proxy_pair *pair = arg;
    struct evbuffer *in = bufferevent_get_input(bev);
    pair->was_muted |= pair->listens && pair->proxy->mute;
    pair->proxy->heard += pair->listens;
    if (pair->proxy->late && !pair->listens)
        return;
    if (pair->was_muted)
        evbuffer_drain(in, evbuffer_get_length(in));
    else
        evbuffer_add_buffer(bufferevent_get_output(pair->client), in);
    if (pair->was_muted)
        pair->proxy->mute = false;
}

static inline void pair_ended(struct bufferevent *bev, short events, void *arg)
{
    struct proxy_pair *pair = arg;
    (void)bev;
    if (!(events & (BEV_EVENT_EOF | BEV_EVENT_ERROR)) || !pair->client)
        return;
    bufferevent_free(pair->client);
    bufferevent_free(pair->server);
    pair->client = pair->server = NULL;
}

static inline void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *from, int len, void *arg)
{
    struct proxy *proxy = arg;
    struct proxy_pair *pair = &proxy->pairs[proxy->n++];
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    (void)listener, (void)from, (void)len;
    assert_true(proxy->n <= 64);
    snprintf(to.sun_path, sizeof to.sun_path, "%s", proxy->server);
    *pair = (struct proxy_pair){ proxy, bufferevent_socket_new(proxy->base, fd, BEV_OPT_CLOSE_ON_FREE),
                                 bufferevent_socket_new(proxy->base, -1, BEV_OPT_CLOSE_ON_FREE), false, false };
    bufferevent_setcb(pair->client, from_client, NULL, pair_ended, pair);
    bufferevent_setcb(pair->server, from_server, NULL, pair_ended, pair);
    assert_int_equal(bufferevent_socket_connect(pair->server, (struct sockaddr *)&to, sizeof to), 0);
    bufferevent_enable(pair->client, EV_READ | EV_WRITE);
    bufferevent_enable(pair->server, EV_READ | EV_WRITE);
}

/* Nodes opened from now on go through it. It lives in the loop of this one, which is opened next. */
static inline void proxy_begin(struct proxy *proxy, struct world *world, struct node *node)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    node->base = event_base_new();
    *proxy = (struct proxy){ .base = node->base, .world = world };
    snprintf(proxy->server, sizeof proxy->server, "%s", world->server.socket);
    snprintf(proxy->path, sizeof proxy->path, "%s/proxy", world->server.dir.path);
    snprintf(at.sun_path, sizeof at.sun_path, "%s", proxy->path);
    proxy->listener = evconnlistener_new_bind(proxy->base, on_accept, proxy, LEV_OPT_CLOSE_ON_FREE, -1, (struct sockaddr *)&at, sizeof at);
    assert_non_null(proxy->listener);
    world->proxied = (struct redis_url){ .unix_path = proxy->path };
}

/* A reply waits. */
static inline bool proxy_holds(const struct proxy *proxy)
{
    for (unsigned i = 0; i < proxy->n; i++)
        if (proxy->pairs[i].server && !proxy->pairs[i].listens && evbuffer_get_length(bufferevent_get_input(proxy->pairs[i].server)) > 0)
            return true;
    return false;
}

static inline void proxy_hurry(struct proxy *proxy)
{
    proxy->late = false;
    for (unsigned i = 0; i < proxy->n; i++)
        if (proxy->pairs[i].server)
            from_server(proxy->pairs[i].server, &proxy->pairs[i]);
}

static inline void proxy_end(struct proxy *proxy)
{
    for (unsigned i = 0; i < proxy->n; i++)
        if (proxy->pairs[i].client)
            pair_ended(NULL, BEV_EVENT_EOF, &proxy->pairs[i]);
    evconnlistener_free(proxy->listener);
    proxy->world->proxied = (struct redis_url){ .unix_path = NULL };
}
