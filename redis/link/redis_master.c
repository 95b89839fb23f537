#include "redis/link/redis_master.h"

#include "redis/link/redis_wire.h"

#include <stdio.h>
#include <stdlib.h>

enum { REDIS_WHY = 200 };

struct redis_master {
    struct redis_master_setup setup;
    redis_found_fn       *done;
    void                 *arg;
    size_t                at, tried;         /* the Sentinel that is asked, and how many were before it */
    bool                  is_look;           /* nobody but this one is asked */
    struct redis_address  address;           /* of that one */
    struct redis_dial    *dial;              /* at most one of the two */
    struct redis_wire    *wire;
    struct redis_host     found;
    char                  why[REDIS_WHY];
};

static void ask_next(struct redis_master *master);

static void hang_up(struct redis_master *master)
{
    redis_dial_drop(master->dial);
    redis_wire_free(master->wire);
    master->dial = NULL;
    master->wire = NULL;
}

static void fail_here(struct redis_master *master, const char *why)
{
    hang_up(master);
    snprintf(master->why, sizeof master->why, "Sentinel %s:%u: %s", master->address.name, master->address.port, why);
    if (master->is_look) {
        master->done(master->arg, NULL, master->why);
        return;
    }
    master->at = (master->at + 1) % master->setup.url->n_hosts;
    master->tried++;
    ask_next(master);
}

static void on_broken(void *owner, const char *why) { fail_here(owner, why); }

static const struct redis_wire_ops wire_ops = { .broken = on_broken };

static bool is_address(const struct redisReply *reply)
{
    return reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 && reply->element[0]->type == REDIS_REPLY_STRING
        && reply->element[1]->type == REDIS_REPLY_STRING;
}

static void on_master(void *arg, const struct redisReply *reply)
{
    struct redis_master *master = arg;
    uint64_t port = 0;
    char why[REDIS_WHY];
    if (!reply)
        return;      /* on_broken tells */
    if (redis_reply_failed(reply)) {
        fail_here(master, strstr(reply->str, "unknown command") ? "it is no Sentinel" : reply->str);
        return;
    }
    if (!is_address(reply) || !slice_u64(redis_reply_text(reply->element[1]), &port) || port == 0 || port > UINT16_MAX) {
        snprintf(why, sizeof why, "it knows no master of the name %s", master->setup.url->master);
        fail_here(master, why);
        return;
    }
    free(master->found.name);
    master->found = (struct redis_host){ slice_copy(redis_reply_text(reply->element[0])), (uint16_t)port };
    hang_up(master);
    master->done(master->arg, master->found.name ? &master->found : NULL, "no memory");
}

static void on_auth(void *arg, const struct redisReply *reply)
{
    if (reply && redis_reply_failed(reply))
        fail_here(arg, reply->str);
}

static void on_dialed(void *arg, struct bufferevent *bev, const char *why)
{
    struct redis_master *master = arg;
    const struct redis_master_setup *setup = &master->setup;
    master->dial = NULL;
    if (!bev) {
        fail_here(master, why);
        return;
    }
    struct slice auth[] = { SLICE("AUTH"), slice_of(setup->user ? setup->user : "default"), slice_of(setup->password ? setup->password : "") };
    struct slice ask[] = { SLICE("SENTINEL"), SLICE("get-master-addr-by-name"), slice_of(setup->url->master) };
    master->wire = redis_wire_new(setup->base, bev, REDIS_SENTINEL_MS, &wire_ops, master);
    int err = master->wire ? 0 : -1;
    if (!err && setup->password)
        err = redis_wire_send(master->wire, auth, 3, on_auth, master);
    if (!err)
        err = redis_wire_send(master->wire, ask, 3, on_master, master);
    if (err)
        fail_here(master, "no memory to ask it");
}

static void ask_next(struct redis_master *master)
{
    const struct redis_master_setup *setup = &master->setup;
    if (master->tried >= setup->url->n_hosts) {
        master->done(master->arg, NULL, master->why);
        return;
    }
    const struct redis_host *host = &setup->url->hosts[master->at];
    master->address = (struct redis_address){ .name = host->name, .port = host->port, .tls = setup->tls };
    master->dial = redis_dial(setup->base, &master->address, REDIS_SENTINEL_MS, on_dialed, master);
    if (!master->dial) {
        snprintf(master->why, sizeof master->why, "no memory to ask a Sentinel");
        master->done(master->arg, NULL, master->why);
    }
}

static void ask(struct redis_master *master, bool is_look)
{
    hang_up(master);
    master->tried = 0;
    master->is_look = is_look;
    ask_next(master);
}

void redis_master_find(struct redis_master *master) { ask(master, false); }
void redis_master_look(struct redis_master *master) { ask(master, true); }

void redis_master_doubt(struct redis_master *master) { master->at = (master->at + 1) % master->setup.url->n_hosts; }

struct redis_master *redis_master_new(const struct redis_master_setup *setup, redis_found_fn *done, void *arg)
{
    struct redis_master *master = calloc(1, sizeof *master);
    if (!master)
        return NULL;
    master->setup = *setup;
    master->done = done;
    master->arg = arg;
    return master;
}

void redis_master_free(struct redis_master *master)
{
    if (!master)
        return;
    hang_up(master);
    free(master->found.name);
    free(master);
}
