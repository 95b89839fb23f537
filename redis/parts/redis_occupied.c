#define HASH_NONFATAL_OOM 1      /* what finds no memory is left out of the table: hh.tbl is NULL */
#include "redis/parts/redis_occupied.h"

#include "hub/base/clock.h"
#include "hub/base/hash.h"
#include "hub/engine.h"
#include "redis/bus/redis_engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <uthash.h>

enum { ASKED_AGAIN = 2, AGAIN_S = 3, SCAN_PAGE = 500, SCAN_AFTER_S = 5 };

/* A channel on its way to the script, or until it is asked about again. */
struct asked {
    struct redis_request   request;      /* first */
    struct redis_occupied *occupied;
    UT_hash_handle         hh;           /* in again, while it waits */
    bool                   is_on;
    uint8_t                times, wait_s;
    uint8_t                len;
    char                   channel[];
};

struct redis_occupied {
    struct redis_occupied_setup setup;
    struct redis_part           part;
    struct asked               *again;          /* table by channel */
    struct redis_request        scan;
    bool                        scanning;
    uint8_t                     scan_in_s;      /* 0: no scan is due */
    char                        cursor[24];     /* of the scan under way; "": none is */
    uint64_t                    nodes;          /* which there were: a sum of their numbers */
    size_t                      n_nodes;
};

static int run(struct redis_occupied *occupied, struct redis_request *request)
{
    return redis_engine_run(redis_bus_engine(occupied->setup.bus), request);
}

/* ---- one channel ---- */

static void add_wants(const struct redis_occupied *occupied, struct redis_args *args)
{
    char wants[NOTED_CHANGES + 1];
    engine_wanted_changes(occupied->setup.hub, wants);
    redis_args_addf(args, "%s", wants);
}

static void asked_args(struct redis_request *request, struct redis_args *args)
{
    const struct asked *asked = (const struct asked *)request;
    redis_args_add(args, redis_bus_prefix(asked->occupied->setup.bus));
    redis_args_add(args, slice(asked->channel, asked->len));
    redis_args_add(args, asked->is_on ? SLICE("1") : SLICE("0"));
    redis_args_add(args, !asked->is_on && redis_bus_subscribes(asked->occupied->setup.bus, slice(asked->channel, asked->len)) ? SLICE("1") : SLICE("0"));
    add_wants(asked->occupied, args);
}

static struct asked *waiting(const struct redis_occupied *occupied, struct slice channel)
{
    struct asked *asked = NULL;
    HASH_FIND(hh, occupied->again, channel.at, channel.len, asked);
    return asked;
}

/* What has been asked since, of the same channel, stands. */
static void wait_again(struct asked *asked)
{
    struct redis_occupied *occupied = asked->occupied;
    bool is_old = waiting(occupied, slice(asked->channel, asked->len));
    asked->wait_s = AGAIN_S;
    if (!is_old)
        HASH_ADD_KEYPTR(hh, occupied->again, asked->channel, asked->len, asked);
    if (is_old || !asked->hh.tbl)
        free(asked);
}

/* Whoever could not be asked is asked later: forgetting it would leave the channel as it was told last. */
static void on_asked(struct redis_request *request, int err, const struct redisReply *reply)
{
    struct asked *asked = (struct asked *)request;
    bool done = !err && redis_reply_number(reply, 0) == 1;
    if (err)
        wait_again(asked);
    else if (!done && !asked->is_on && asked->times++ < ASKED_AGAIN)
        wait_again(asked);
    else
        free(asked);
}

static void ask(struct asked *asked)
{
    if (run(asked->occupied, &asked->request))
        wait_again(asked);
}

static void forget(struct redis_occupied *occupied, struct slice channel)
{
    struct asked *asked = waiting(occupied, channel);
    if (asked)
        HASH_DEL(occupied->again, asked);
    free(asked);
}

void redis_occupied_tell(struct redis_occupied *occupied, struct slice channel, bool is_occupied)
{
    struct asked *asked = calloc(1, sizeof *asked + channel.len);
    forget(occupied, channel);
    if (!asked)
        return;      /* found by the next scan, or told with the next change of it */
    asked->request = (struct redis_request){ .script = REDIS_OCCUPIED, .args = asked_args, .answered = on_asked };
    asked->occupied = occupied;
    asked->is_on = is_occupied;
    asked->len = (uint8_t)channel.len;
    memcpy(asked->channel, channel.at, channel.len);
    ask(asked);
}

static void ask_again(struct redis_occupied *occupied)
{
    struct asked *asked, *next;
    HASH_ITER(hh, occupied->again, asked, next) {
        if (--asked->wait_s > 0)
            continue;
        HASH_DEL(occupied->again, asked);
        memset(&asked->hh, 0, sizeof asked->hh);
        ask(asked);
    }
}

/* ---- all of them ---- */

static void scan_args(struct redis_request *request, struct redis_args *args)
{
    struct redis_occupied *occupied = link_of(request, struct redis_occupied, scan);
    redis_args_add(args, redis_bus_prefix(occupied->setup.bus));
    redis_args_add(args, slice_of(occupied->cursor));
    redis_args_add_u64(args, SCAN_PAGE);
    add_wants(occupied, args);
}

static void scan(struct redis_occupied *occupied)
{
    if (!occupied->scanning && occupied->cursor[0] && redis_nodes_has_lease(occupied->setup.nodes))
        occupied->scanning = !run(occupied, &occupied->scan);
}

/* What cannot be looked at now is with the next second. */
static void on_scanned(struct redis_request *request, int err, const struct redisReply *reply)
{
    struct redis_occupied *occupied = link_of(request, struct redis_occupied, scan);
    struct slice cursor = err ? SLICE("") : redis_reply_text(reply);
    occupied->scanning = false;
    if (err || cursor.len == 0 || cursor.len >= sizeof occupied->cursor)
        return;
    bool is_over = slice_is(cursor, SLICE("0"));
    snprintf(occupied->cursor, sizeof occupied->cursor, "%.*s", is_over ? 0 : (int)cursor.len, cursor.at);
    scan(occupied);
}

/* Nodes that are new have nobody to leave behind; that one is gone may take its readers some seconds to come back elsewhere. */
static void look_at_nodes(struct redis_occupied *occupied)
{
    const struct redis_node *list;
    size_t n = redis_nodes_list(occupied->setup.nodes, &list);
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += hash_bytes(slice((const char *)&list[i].number, sizeof list[i].number));
    if (sum != occupied->nodes && n <= occupied->n_nodes)
        occupied->scan_in_s = SCAN_AFTER_S;
    occupied->nodes = sum;
    occupied->n_nodes = n;
}

static void on_tick(struct redis_part *part)
{
    struct redis_occupied *occupied = link_of(part, struct redis_occupied, part);
    ask_again(occupied);
    look_at_nodes(occupied);
    if (occupied->scan_in_s > 0 && --occupied->scan_in_s == 0 && occupied->setup.sweeps(occupied->setup.owner) && !occupied->cursor[0])
        snprintf(occupied->cursor, sizeof occupied->cursor, "b");
    scan(occupied);
}

static void say(void *owner, struct slice channel) { redis_occupied_tell(owner, channel, true); }

static bool is_wanted(const struct redis_occupied *occupied)
{
    char wants[NOTED_CHANGES + 1];
    engine_wanted_changes(occupied->setup.hub, wants);
    return strchr(wants, NOTED_OCCUPIED) || strchr(wants, NOTED_VACATED);
}

/* Words and subscriptions were lost with the link: who has gone meanwhile is not known. In a new epoch it is not known who is there either. */
static void on_live(struct redis_part *part, bool is_new)
{
    struct redis_occupied *occupied = link_of(part, struct redis_occupied, part);
    occupied->scan_in_s = SCAN_AFTER_S;
    if (is_new && is_wanted(occupied))
        redis_bus_each_channel(occupied->setup.bus, say, occupied);
}

/* ---- life ---- */

struct redis_occupied *redis_occupied_new(const struct redis_occupied_setup *setup)
{
    struct redis_occupied *occupied = calloc(1, sizeof *occupied);
    if (!occupied)
        return NULL;
    *occupied = (struct redis_occupied){ .setup = *setup, .part = { .live = on_live, .tick = on_tick },
                                         .scan = { .script = REDIS_VACATED, .args = scan_args, .answered = on_scanned } };
    redis_bus_add(setup->bus, &occupied->part);
    return occupied;
}

void redis_occupied_free(struct redis_occupied *occupied)
{
    struct asked *asked, *next;
    if (!occupied)
        return;
    HASH_ITER(hh, occupied->again, asked, next) {
        HASH_DEL(occupied->again, asked);
        free(asked);
    }
    free(occupied);
}
