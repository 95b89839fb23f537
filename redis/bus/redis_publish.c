/* redis_publish.c — a publish and a purge: arguments of the script, and what its answer means. */
#include "hub/base/err.h"
#include "hub/config/config.h"
#include "hub/store/store_block.h"
#include "redis/bus/redis_bus_core.h"
#include "redis/bus/redis_event.h"

#include <event2/util.h>
#include <stdlib.h>

enum { BEFORE_BODY = 24 };      /* seq, prev, time of store_block.h: the script gives those */

struct publish {
    struct redis_request request;
    struct redis_bus    *bus;
    struct publish_call *call;
    size_t               keeps, keeps_bytes;      /* the rule as it was: settings may be read again meanwhile */
    int64_t              keeps_ms;
    char                 proof[REDIS_PROOF_BYTES];
};

static void add_condition(struct redis_args *args, const struct publish_call *call)
{
    if (call->if_position == IF_NEWEST)
        redis_args_addf(args, "%llu %llu", (unsigned long long)call->position.epoch, (unsigned long long)call->position.seq);
    else
        redis_args_add(args, call->if_position == IF_NONE ? SLICE("none") : SLICE(""));
}

void redis_publish_key(const struct redis_bus *bus, const struct idempotency_key *key, struct redis_args *args)
{
    if (idempotency_wanted(key)) {
        redis_args_addf(args, "%016llx%016llx", (unsigned long long)key->id[0], (unsigned long long)key->id[1]);
        redis_args_addf(args, "%016llx%016llx", (unsigned long long)key->content[0], (unsigned long long)key->content[1]);
    } else {
        redis_args_add(args, SLICE(""));
        redis_args_add(args, SLICE(""));
    }
    redis_args_add_u64(args, (uint64_t)bus->setup.config->publish_idempotency_ttl_ms);
}

void redis_publish_pack(struct redis_bus *bus, const struct publish_call *call, struct slice *ret_message, struct slice *ret_event)
{
    struct buf *body = &bus->body, *event = &bus->targets;
    buf_reset(body);
    buf_reset(event);
    store_block_add(body, call->msg);
    if (call->event)
        redis_event_pack(event, call->event, bus->setup.config);
    bool failed = body->failed || event->failed;
    *ret_message = failed ? SLICE("") : slice(body->at + BEFORE_BODY, body->len - BEFORE_BODY);
    *ret_event = failed ? SLICE("") : buf_slice(event);
}

static void publish_args(struct redis_request *request, struct redis_args *args)
{
    struct publish *publish = (struct publish *)request;
    const struct redis_bus_setup *setup = &publish->bus->setup;
    struct slice message, event;
    redis_publish_pack(publish->bus, publish->call, &message, &event);
    evutil_secure_rng_get_bytes(publish->proof, sizeof publish->proof);
    redis_args_add(args, slice_of(publish->bus->prefix));
    redis_args_add(args, msg_channel(publish->call->msg));
    redis_args_add(args, message);
    redis_args_add(args, slice(publish->proof, sizeof publish->proof));
    redis_args_add_u64(args, publish->keeps);
    redis_args_add_u64(args, (uint64_t)publish->keeps_ms);
    redis_args_add_u64(args, publish->keeps_bytes);
    redis_args_add_u64(args, (uint64_t)setup->meta_ms);
    redis_args_add_u64(args, setup->index_length);
    add_condition(args, publish->call);
    redis_publish_key(publish->bus, &publish->call->key, args);
    redis_args_add_u64(args, publish->call->subscribers);
    redis_args_add(args, event);
}

static void set_position(struct msg *m, const struct redisReply *reply)
{
    m->epoch = redis_reply_number(reply, 1);
    m->seq = redis_reply_number(reply, 2);
    m->time_ms = (int64_t)redis_reply_number(reply, 3);
}

int redis_published(struct redis_bus *bus, struct publish_call *call, const char *proof, const struct redisReply *reply)
{
    struct slice word = redis_reply_word(reply, 0);
    if (slice_is(word, SLICE("ok"))) {
        set_position(call->msg, reply);
        struct redis_sight sight = { call->msg->epoch, call->msg->seq, { 0 } };
        memcpy(sight.proof, proof, sizeof sight.proof);
        redis_bus_saw(bus, &sight);
        return 0;
    }
    if (slice_is(word, SLICE("replay"))) {
        set_position(call->msg, reply);
        call->subscribers = (uint32_t)redis_reply_number(reply, 4);
        call->replayed = true;
        return 0;
    }
    if (slice_is(word, SLICE("reused")))
        return ERR_KEY_REUSED;
    if (slice_is(word, SLICE("memory")))
        return ERR_MEMORY;
    if (slice_is(word, SLICE("changed"))) {
        call->position = (struct position){ redis_reply_number(reply, 1), redis_reply_number(reply, 2) };
        return ERR_POSITION_CHANGED;
    }
    redis_bus_prove(bus, "Redis has lost its data");
    return ERR_REDIS_AWAY;
}

static void publish_answered(struct redis_request *request, int err, const struct redisReply *reply)
{
    struct publish *publish = (struct publish *)request;
    struct redis_bus *bus = publish->bus;
    struct call *call = &publish->call->call;
    if (!err && !bus->freed)
        err = redis_published(bus, publish->call, publish->proof, reply);
    free(publish);
    redis_bus_answer(bus, call, err);
}

void redis_bus_publish(struct redis_bus *bus, struct publish_call *call, const struct channel_rule *rule)
{
    struct publish *publish = bus->proven ? calloc(1, sizeof *publish) : NULL;
    int err = bus->proven ? ERR_MEMORY : ERR_REDIS_AWAY;
    if (publish) {
        publish->request = (struct redis_request){ .script = REDIS_PUBLISH, .args = publish_args, .answered = publish_answered };
        publish->bus = bus;
        publish->call = call;
        if (rule_keeps(rule)) {
            publish->keeps = rule->history_size;
            publish->keeps_ms = rule->history_ttl_ms;
            publish->keeps_bytes = rule->history_bytes;
        }
        err = redis_engine_run(bus->engine, &publish->request);
    }
    if (!err)
        return;
    free(publish);
    redis_bus_answer(bus, &call->call, err);
}

/* ---- purge ---- */

struct purge {
    struct redis_request request;
    struct redis_bus    *bus;
    struct purge_call   *call;
};

static void purge_args(struct redis_request *request, struct redis_args *args)
{
    const struct purge *purge = (struct purge *)request;
    redis_args_add(args, slice_of(purge->bus->prefix));
    redis_args_add(args, purge->call->channel);
    redis_args_add_u64(args, purge->call->before.epoch);
    redis_args_add_u64(args, purge->call->before.seq);
    redis_args_add(args, slice_of(purge->bus->purged));
}

static int purged(struct purge *purge, const struct redisReply *reply)
{
    struct purge_call *call = purge->call;
    struct slice word = redis_reply_word(reply, 0);
    if (slice_is(word, SLICE("position")))
        return ERR_BAD_POSITION;
    if (!slice_is(word, SLICE("ok"))) {
        redis_bus_prove(purge->bus, "Redis has lost its data");
        return ERR_REDIS_AWAY;
    }
    call->upto = (struct position){ redis_reply_number(reply, 1), redis_reply_number(reply, 2) };
    call->removed = (uint32_t)redis_reply_number(reply, 3);
    if (call->removed > 0)
        purge->bus->setup.ops->purged(purge->bus->setup.owner);      /* before whoever asked hears of it; the word to all nodes may come later */
    return 0;
}

static void purge_answered(struct redis_request *request, int err, const struct redisReply *reply)
{
    struct purge *purge = (struct purge *)request;
    struct redis_bus *bus = purge->bus;
    struct call *call = &purge->call->call;
    if (!err && !bus->freed)
        err = purged(purge, reply);
    free(purge);
    redis_bus_answer(bus, call, err);
}

void redis_bus_purge(struct redis_bus *bus, struct purge_call *call)
{
    struct purge *purge = bus->proven ? calloc(1, sizeof *purge) : NULL;
    int err = bus->proven ? ERR_MEMORY : ERR_REDIS_AWAY;
    call->removed = 0;
    if (purge) {
        purge->request = (struct redis_request){ .script = REDIS_PURGE, .args = purge_args, .answered = purge_answered };
        purge->bus = bus;
        purge->call = call;
        err = redis_engine_run(bus->engine, &purge->request);
    }
    if (!err)
        return;
    free(purge);
    redis_bus_answer(bus, &call->call, err);
}
