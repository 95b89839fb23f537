#include "redis/bus/redis_event.h"

#include "hub/base/err.h"
#include "hub/config/config.h"
#include "hub/hub_event.h"
#include "redis/bus/redis_bus_core.h"
#include "redis/bus/redis_pack.h"

#include <event2/util.h>
#include <stdlib.h>

void redis_number_pack(struct buf *out, uint64_t number) { buf_addf(out, "%016llx", (unsigned long long)number); }

uint64_t redis_number_take(struct slice *rest)
{
    struct slice digits = take_bytes(rest, REDIS_NUMBER_TEXT);
    uint64_t number = 0;
    for (size_t i = 0; i < digits.len; i++) {
        char c = digits.at[i];
        number = number << 4 | (uint64_t)(c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= '0' && c <= '9' ? c - '0' : 0);
    }
    return number;
}

void redis_event_pack(struct buf *out, const struct hub_event *event, const struct config *config)
{
    buf_add_char(out, (char)event_type_write((enum event_type)event->type));
    pack_double(out, (double)config->webhooks_queue);
    pack_short(out, msg_event(event->msg));
    for (size_t i = 0; i < event->n_targets; i++) {
        redis_number_pack(out, event->targets[i].endpoint);
        redis_number_pack(out, event->targets[i].lane);
    }
}

struct telling {
    struct redis_request request;
    struct redis_bus    *bus;
    struct publish_call *call;
    uint64_t             outbox;
    char                 proof[REDIS_PROOF_BYTES];
};

static void telling_args(struct redis_request *request, struct redis_args *args)
{
    struct telling *telling = (struct telling *)request;
    struct redis_bus *bus = telling->bus;
    struct slice message, event;
    redis_publish_pack(bus, telling->call, &message, &event);
    evutil_secure_rng_get_bytes(telling->proof, sizeof telling->proof);
    redis_args_add(args, slice_of(bus->prefix));
    redis_args_add(args, msg_channel(telling->call->msg));
    redis_args_add(args, message);
    redis_args_add(args, slice(telling->proof, sizeof telling->proof));
    redis_args_add_u64(args, bus->setup.index_length);
    redis_args_add(args, event);
    redis_publish_key(bus, &telling->call->key, args);
    if (telling->outbox)
        redis_args_add_u64(args, telling->outbox);
    else
        redis_args_add(args, SLICE(""));
}

static void told(struct redis_request *request, int err, const struct redisReply *reply)
{
    struct telling *telling = (struct telling *)request;
    struct redis_bus *bus = telling->bus;
    struct publish_call *call = telling->call;
    if (!err && !bus->freed)
        err = slice_is(redis_reply_word(reply, 0), SLICE("gone")) ? ERR_NOT_FOUND : redis_published(bus, call, telling->proof, reply);
    free(telling);
    redis_bus_answer(bus, &call->call, err);
}

void redis_bus_tell(struct redis_bus *bus, struct publish_call *call, uint64_t outbox)
{
    struct telling *telling = bus->proven ? calloc(1, sizeof *telling) : NULL;
    int err = bus->proven ? ERR_MEMORY : ERR_REDIS_AWAY;
    if (telling) {
        telling->request = (struct redis_request){ .script = REDIS_EVENT, .args = telling_args, .answered = told };
        telling->bus = bus;
        telling->call = call;
        telling->outbox = outbox;
        err = redis_engine_run(bus->engine, &telling->request);
    }
    if (!err)
        return;
    free(telling);
    redis_bus_answer(bus, &call->call, err);
}
