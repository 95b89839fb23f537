/* redis_echo.c — words to oneself, once round: the heartbeat, and what tells that all that was to come before has come. */
#include "redis/bus/redis_bus_core.h"

#include "hub/base/err.h"

#include <stdlib.h>

static void echo_args(struct redis_request *request, struct redis_args *args)
{
    struct redis_own *own = (struct redis_own *)request;
    struct redis_bus *bus = own->bus;
    redis_args_add(args, slice_of(bus->prefix));
    redis_args_add(args, slice_of(bus->own));
    redis_args_add_u64(args, own->token);
    redis_args_add(args, own->is_beat ? SLICE("1") : SLICE(""));
}

static void on_echo_reply(struct redis_request *request, int err, const struct redisReply *reply)
{
    struct redis_own *own = (struct redis_own *)request;
    struct redis_bus *bus = own->bus;
    bool is_beat = own->is_beat;
    uint64_t token = own->token;
    free(own);
    if (err || bus->freed)
        return;
    if (!bus->unheard && token > bus->echoed) {
        bus->unheard = token;
        bus->unheard_ms = redis_now_ms();
    }
    if (reply->elements < 2) {
        redis_bus_prove(bus, "Redis has lost its data");
    } else if (is_beat) {
        struct slice refused = redis_reply_word(reply, 2);
        redis_bus_tell_refused(bus, refused.len > 0 ? refused.at : NULL);
        if (refused.len > 0 && redis_error_kind(refused) == ERR_REDIS_AWAY)
            redis_engine_again(bus->engine, refused.at);
    }
}

static uint64_t send_echo(struct redis_bus *bus, bool is_beat)
{
    struct redis_own own = { .request = { .script = REDIS_ECHO, .args = echo_args, .answered = on_echo_reply }, .is_beat = is_beat,
                             .token = ++bus->token };
    return redis_own_run(bus, &own) ? 0 : own.token;
}

void redis_echo_beat(struct redis_bus *bus) { send_echo(bus, true); }

uint64_t redis_bus_echo(struct redis_bus *bus)
{
    uint64_t token = send_echo(bus, false);
    if (token == 0 && redis_engine_ready(bus->engine))
        redis_engine_again(bus->engine, "no room for an echo");
    return token;
}

void redis_bus_want_echo(struct redis_bus *bus)
{
    if (bus->state != REDIS_BUS_LIVE || bus->echo_token > bus->echoed || (link_alone(&bus->fetches_next) && !bus->watches_next))
        return;
    list_move_all(&bus->fetches_now, &bus->fetches_next);
    bus->watches_now = bus->watches_next;
    bus->watches_next = NULL;
    bus->echo_token = redis_bus_echo(bus);
}

/* Those who waited for one. */
static void end_echo(struct redis_bus *bus)
{
    struct call *watches = bus->watches_now;
    bus->watches_now = NULL;
    redis_watches_answer(bus, watches, 0);
    for (struct link *first; (first = list_first(&bus->fetches_now)); ) {
        link_remove(first);
        redis_fetch_now(link_of(first, struct redis_fetch, request.link));
    }
    redis_fetches_unblock(bus);
    redis_bus_want_echo(bus);
}

void redis_echo_came(struct redis_bus *bus, const struct redis_sight *sight, uint64_t token)
{
    if (token > bus->token || !redis_bus_believes(bus, sight))
        return;      /* nobody has asked for it */
    if (token > bus->echoed) {
        bus->echoed = token;
        if (bus->echoed >= bus->unheard)
            bus->unheard = 0;
    }
    redis_bus_saw(bus, sight);
    if (bus->state == REDIS_BUS_FILLING && bus->fill.token > 0 && token >= bus->fill.token) {
        redis_fill_echoed(bus, sight->seq);
        return;
    }
    if (bus->state != REDIS_BUS_LIVE)
        return;
    if (sight->seq < bus->head) {
        redis_bus_prove(bus, "numbers went back");
        return;
    }
    if (sight->seq > bus->head) {
        bus->head = sight->seq;
        bus->setup.ops->head(bus->setup.owner, redis_bus_head(bus));
    }
    redis_fetches_echoed(bus);
    if (bus->echo_token > 0 && bus->echo_token <= bus->echoed)
        end_echo(bus);
}
