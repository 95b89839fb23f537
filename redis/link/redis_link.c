#include "redis/link/redis_link.h"

#include "hub/base/err.h"

#include <assert.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/util.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>

enum { REDIS_WHY = 200, STEADY_MS = 5000 };

struct redis_link {
    struct redis_link_setup setup;
    enum redis_link_state   state;
    struct redis_master    *master;        /* NULL: no Sentinels */
    struct redis_address    address;       /* what was dialed last */
    char                    dialed[256];   /* its name and port, when the Sentinels named it */
    uint16_t                dialed_port;
    struct redis_dial      *dial;          /* while DIALING */
    struct redis_wire      *wire;          /* while GREETING or UP */
    struct event           *timer;         /* while WAITING: again; while UP: it has held STEADY_MS */
    struct event           *look;          /* while UP, with Sentinels: is it still the one they name? */
    int64_t                 pause_ms;      /* before the next try */
    char                    why[REDIS_WHY];
};

#define BIT(state) (1u << (state))
static const uint8_t may_follow[REDIS_LINK_STATES] = {
    [REDIS_OFF]      = BIT(REDIS_FINDING) | BIT(REDIS_DIALING),
    [REDIS_WAITING]  = BIT(REDIS_FINDING) | BIT(REDIS_DIALING) | BIT(REDIS_OFF),
    [REDIS_FINDING]  = BIT(REDIS_DIALING) | BIT(REDIS_WAITING) | BIT(REDIS_OFF),
    [REDIS_DIALING]  = BIT(REDIS_GREETING) | BIT(REDIS_WAITING) | BIT(REDIS_OFF),
    [REDIS_GREETING] = BIT(REDIS_UP) | BIT(REDIS_WAITING) | BIT(REDIS_OFF),
    [REDIS_UP]       = BIT(REDIS_WAITING) | BIT(REDIS_OFF),
};

static void move(struct redis_link *link, enum redis_link_state to)
{
    assert(may_follow[link->state] & BIT(to));
    link->state = to;
}

static void set_timer(struct redis_link *link, int64_t ms)
{
    struct timeval after = { ms / 1000, ms % 1000 * 1000 };
    evtimer_add(link->timer, &after);
}

/* ---- again ---- */

/* Who hears "Connection refused" wants to know by whom. A Sentinel is named already. */
static void say_why(struct redis_link *link, const char *why)
{
    const struct redis_address *address = &link->address;
    if (link->state == REDIS_FINDING)
        snprintf(link->why, sizeof link->why, "%s", why);
    else if (address->unix_path)
        snprintf(link->why, sizeof link->why, "%s: %s", address->unix_path, why);
    else
        snprintf(link->why, sizeof link->why, strchr(address->name, ':') ? "[%s]:%u: %s" : "%s:%u: %s", address->name, address->port, why);
}

/* Half of it to all of it, so that hubs do not come back together. */
static int64_t with_jitter(int64_t ms)
{
    uint32_t random;
    evutil_secure_rng_get_bytes(&random, sizeof random);
    return ms / 2 + (int64_t)(random % (uint64_t)(ms / 2 + 1));
}

static void fall_back(struct redis_link *link, const char *why)
{
    bool was_up = link->state == REDIS_UP;
    if (link->master && (link->state == REDIS_DIALING || link->state == REDIS_GREETING))
        redis_master_doubt(link->master);
    say_why(link, why);
    redis_wire_free(link->wire);
    link->wire = NULL;
    event_del(link->look);
    move(link, REDIS_WAITING);
    set_timer(link, with_jitter(link->pause_ms));
    link->pause_ms = link->pause_ms * 2 < REDIS_PAUSE_MAX_MS ? link->pause_ms * 2 : REDIS_PAUSE_MAX_MS;
    if (was_up)
        link->setup.ops->down(link->setup.owner, link->why);
    else
        link->setup.ops->failed(link->setup.owner, link->why);
}

static void on_broken(void *owner, const char *why) { fall_back(owner, why); }

static const struct redis_wire_ops wire_ops = { .broken = on_broken };

static void on_push(void *owner, const struct redisReply *reply)
{
    struct redis_link *link = owner;
    link->setup.ops->push(link->setup.owner, reply);
}

static const struct redis_wire_ops listening_ops = { .push = on_push, .broken = on_broken };

/* ---- greeting ---- */

static void on_accepted(void *arg, const struct redisReply *reply)
{
    struct redis_link *link = arg;
    if (reply && redis_reply_failed(reply))
        redis_wire_break(link->wire, reply->str);
}

/* A name is for people: who may not set it goes without. */
static void on_named(void *arg, const struct redisReply *reply)
{
    (void)arg;
    (void)reply;
}

static bool is_role(const struct redisReply *role, const char *name)
{
    return role->type == REDIS_REPLY_ARRAY && role->elements > 0 && slice_is(redis_reply_text(role->element[0]), slice_of(name));
}

static void look_later(struct redis_link *link)
{
    struct timeval after = { REDIS_LOOK_MS / 1000, REDIS_LOOK_MS % 1000 * 1000 };
    if (link->master)
        evtimer_add(link->look, &after);
}

/* Whom an ACL does not allow to ask for it hears of a replica by its READONLY. */
static void on_role(void *arg, const struct redisReply *reply)
{
    struct redis_link *link = arg;
    if (!reply)
        return;
    if (redis_reply_failed(reply) && !redis_reply_is_error(reply, "NOPERM")) {
        redis_wire_break(link->wire, reply->str);
    } else if (!redis_reply_failed(reply) && !is_role(reply, "master")) {
        redis_wire_break(link->wire, is_role(reply, "sentinel") ? "it is a Sentinel: redis.url is to begin with redis+sentinel://"
                                                                : "it is a replica, not a master");
    } else {
        move(link, REDIS_UP);
        link->why[0] = '\0';
        set_timer(link, STEADY_MS);
        look_later(link);
        link->setup.ops->up(link->setup.owner);
    }
}

static int greet(struct redis_link *link)
{
    const struct redis_url *url = link->setup.url;
    char db[16];
    snprintf(db, sizeof db, "%u", url->db);
    struct slice auth[] = { SLICE("AUTH"), slice_of(url->user ? url->user : "default"), slice_of(url->password ? url->password : "") };
    struct slice select[] = { SLICE("SELECT"), slice_of(db) };
    struct slice name[] = { SLICE("CLIENT"), SLICE("SETNAME"), slice_of(link->setup.client_name) };
    struct slice role[] = { SLICE("ROLE") };
    int err = url->password ? redis_wire_send(link->wire, auth, 3, on_accepted, link) : 0;
    if (!err && url->db)
        err = redis_wire_send(link->wire, select, 2, on_accepted, link);
    if (!err)
        err = redis_wire_send(link->wire, name, 3, on_named, link);
    return err ? err : redis_wire_send(link->wire, role, 1, on_role, link);
}

/* A peer that is gone without a word: the kernel gives up as soon as we would, and looks for it when we say nothing. */
static void watch_silence(int fd, int64_t ms)
{
    int on = 1, idle = 1, times = 2;
    unsigned timeout = (unsigned)ms;
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &idle, sizeof idle);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &times, sizeof times);
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, sizeof timeout);
}

/* ---- to a server ---- */

static void on_dialed(void *arg, struct bufferevent *bev, const char *why)
{
    struct redis_link *link = arg;
    link->dial = NULL;
    if (!bev) {
        fall_back(link, why);
        return;
    }
    if (!link->address.unix_path)
        watch_silence(bufferevent_getfd(bev), link->setup.command_ms);
    move(link, REDIS_GREETING);
    link->wire = redis_wire_new(link->setup.base, bev, link->setup.command_ms, link->setup.ops->push ? &listening_ops : &wire_ops, link);
    if (!link->wire || greet(link))
        fall_back(link, "no memory for a connection");
}

static void dial(struct redis_link *link)
{
    move(link, REDIS_DIALING);
    link->dial = redis_dial(link->setup.base, &link->address, link->setup.connect_ms, on_dialed, link);
    if (!link->dial)
        fall_back(link, "no memory for a connection");
}

/* A master that was replaced while it stood still, or was cut off, goes on as if it were one: whoever stays with it hears nothing of
 * what the others say. Sentinels that do not answer are no reason to leave. */
static void looked(struct redis_link *link, const struct redis_host *host)
{
    if (host && (host->port != link->dialed_port || strcmp(host->name, link->dialed)))
        redis_link_again(link, "the Sentinels name another master");
    else
        look_later(link);
}

static void on_look(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct redis_link *link = arg;
    redis_master_look(link->master);
}

static void on_found(void *arg, const struct redis_host *host, const char *why)
{
    struct redis_link *link = arg;
    if (link->state == REDIS_UP) {
        looked(link, host);
        return;
    }
    if (link->state != REDIS_FINDING)
        return;      /* a look that the link did not outlive */
    if (!host) {
        fall_back(link, why);
        return;
    }
    snprintf(link->dialed, sizeof link->dialed, "%s", host->name);
    link->dialed_port = host->port;
    link->address = (struct redis_address){ .name = link->dialed, .port = host->port, .tls = link->setup.tls };
    dial(link);
}

static void begin(struct redis_link *link)
{
    const struct redis_url *url = link->setup.url;
    if (link->master) {
        move(link, REDIS_FINDING);
        redis_master_find(link->master);
        return;
    }
    link->address = (struct redis_address){ .unix_path = url->unix_path, .tls = link->setup.tls };
    if (!url->unix_path) {
        link->address.name = url->hosts[0].name;
        link->address.port = url->hosts[0].port;
    }
    dial(link);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct redis_link *link = arg;
    if (link->state == REDIS_WAITING)
        begin(link);
    else if (link->state == REDIS_UP)
        link->pause_ms = REDIS_PAUSE_MS;
}

/* ---- the owner's ---- */

struct redis_link *redis_link_new(const struct redis_link_setup *setup)
{
    struct redis_link *link = calloc(1, sizeof *link);
    if (!link)
        return NULL;
    link->setup = *setup;
    link->pause_ms = REDIS_PAUSE_MS;
    link->timer = evtimer_new(setup->base, on_timer, link);
    link->look = evtimer_new(setup->base, on_look, link);
    bool sentinels = setup->url->master;
    if (sentinels)
        link->master = redis_master_new(&(struct redis_master_setup){ setup->base, setup->url, setup->tls, setup->sentinel_user,
                                        setup->sentinel_password }, on_found, link);
    if (link->timer && link->look && (link->master || !sentinels))
        return link;
    redis_link_free(link);
    return NULL;
}

void redis_link_free(struct redis_link *link)
{
    if (!link)
        return;
    redis_dial_drop(link->dial);
    redis_wire_free(link->wire);
    redis_master_free(link->master);
    if (link->timer)
        event_free(link->timer);
    if (link->look)
        event_free(link->look);
    free(link);
}

void redis_link_open(struct redis_link *link)
{
    if (link->state == REDIS_OFF)
        begin(link);
}

void redis_link_again(struct redis_link *link, const char *why)
{
    if (link->state == REDIS_UP)
        redis_wire_break(link->wire, why);
}

enum redis_link_state redis_link_state(const struct redis_link *link) { return link->state; }
const char *redis_link_why(const struct redis_link *link)             { return link->why; }

void redis_link_hold(struct redis_link *link, bool held)
{
    if (link->wire)
        redis_wire_hold(link->wire, held);
}

int redis_link_send(struct redis_link *link, const struct slice *args, size_t n, redis_reply_fn *on_reply, void *arg)
{
    if (link->state != REDIS_UP)
        return ERR_REDIS_AWAY;
    if (redis_wire_queued(link->wire) > REDIS_QUEUE_BYTES)
        return ERR_BUSY;
    return redis_wire_send(link->wire, args, n, on_reply, arg);
}
