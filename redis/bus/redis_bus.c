/* redis_bus.c — the states of the bus, and what the subscriber link brings.
 *
 * Two links: the engine's, for commands, and the listener. When both are up the node proves (EXACT.md 17), subscribes, fills, is live.
 * Whatever does not fit (a number that went back, another epoch, no data) leads back to PROVING, which settles it: the same way is
 * taken for a restart, a failover and FLUSHALL, and it is the only one that changes the epoch. */
#include "redis/bus/redis_bus_core.h"

#include "hub/base/err.h"
#include "hub/base/log.h"
#include "hub/position.h"

#include <assert.h>
#include <event2/event.h>
#include <event2/util.h>
#include <stdio.h>
#include <stdlib.h>

enum { CONTROLS = 5, WAIT_TICKS = 2 };
#define REDIS_NUMBERS_AHEAD ((uint64_t)1 << 33)      /* more than a leap of proof.lua, and than is published while a link holds */

#define BIT(state) (1u << (state))
static const uint8_t may_follow[REDIS_BUS_STATES] = {
    [REDIS_BUS_AWAY]        = BIT(REDIS_BUS_PROVING),
    [REDIS_BUS_PROVING]     = BIT(REDIS_BUS_SUBSCRIBING) | BIT(REDIS_BUS_AWAY),
    [REDIS_BUS_SUBSCRIBING] = BIT(REDIS_BUS_FILLING) | BIT(REDIS_BUS_PROVING) | BIT(REDIS_BUS_AWAY),
    [REDIS_BUS_FILLING]     = BIT(REDIS_BUS_LIVE) | BIT(REDIS_BUS_PROVING) | BIT(REDIS_BUS_AWAY),
    [REDIS_BUS_LIVE]        = BIT(REDIS_BUS_PROVING) | BIT(REDIS_BUS_AWAY),
};

static void move(struct redis_bus *bus, enum redis_bus_state to)
{
    assert(may_follow[bus->state] & BIT(to));
    bus->state = to;
}

/* ---- away ---- */

/* Whoever waits for an echo waits from the beginning. */
static void leave_live(struct redis_bus *bus, const char *why)
{
    char said[REDIS_WHY];
    snprintf(said, sizeof said, "%.*s", (int)redis_error_reason(why), why);
    bool is_news = bus->told_live || strcmp(bus->why, said);
    memcpy(bus->why, said, sizeof said);
    redis_fill_stop(bus);
    bus->lives++;
    bus->echo_token = 0;
    redis_watches_lost(bus);
    redis_fetches_lost(bus);
    if (bus->over)
        redis_bus_give_up(bus, bus->over);
    if (bus->told_live)
        list_each(item, next, &bus->parts) {
            struct redis_part *part = link_of(item, struct redis_part, link);
            if (part->away)
                part->away(part);
        }
    bus->told_live = false;
    if (!is_news)
        return;
    log_warn("redis", "away: %s", bus->why);
    bus->setup.ops->away(bus->setup.owner, bus->why);
}

static void go_away(struct redis_bus *bus, const char *why)
{
    if (bus->state != REDIS_BUS_AWAY)
        move(bus, REDIS_BUS_AWAY);
    leave_live(bus, why);
}

/* ---- its own requests ---- */

int redis_own_run(struct redis_bus *bus, const struct redis_own *own)
{
    struct redis_own *mine = malloc(sizeof *mine);
    if (!mine)
        return ERR_MEMORY;
    *mine = *own;
    mine->bus = bus;
    int err = redis_engine_run(bus->engine, &mine->request);
    if (err)
        free(mine);
    return err;
}

void redis_bus_tell_refused(struct redis_bus *bus, const char *why)
{
    char said[REDIS_WHY] = "";
    if (why)
        snprintf(said, sizeof said, "%.*s", (int)redis_error_reason(why), why);
    if (!strcmp(bus->refused, said))
        return;
    memcpy(bus->refused, said, sizeof said);
    if (why)
        log_warn("redis", "refuses: %s", bus->refused);
    bus->setup.ops->refused(bus->setup.owner, why ? bus->refused : NULL);
}

/* ---- proving ---- */

static void proof_args(struct redis_request *request, struct redis_args *args)
{
    struct redis_own *own = (struct redis_own *)request;
    struct redis_bus *bus = own->bus;
    evutil_secure_rng_get_bytes(own->proof, sizeof own->proof);
    redis_args_add(args, slice_of(bus->prefix));
    redis_args_add_u64(args, bus->seen.epoch);
    redis_args_add_u64(args, bus->seen.seq);
    redis_args_add(args, slice(bus->seen.proof, sizeof bus->seen.proof));
    redis_args_add_u64(args, epoch_new());
    redis_args_add(args, slice(own->proof, sizeof own->proof));
    redis_args_add(args, slice_of(bus->all));
    redis_args_add_u64(args, bus->setup.index_length);
    redis_args_add(args, slice_of(bus->voucher));
    redis_args_add_u64(args, bus->waited >= WAIT_TICKS);
}

static void when_all_on(struct redis_bus *bus)
{
    if (bus->state != REDIS_BUS_SUBSCRIBING || !redis_subs_settled(&bus->subs))
        return;
    move(bus, REDIS_BUS_FILLING);
    redis_fill_begin(bus);
}

static void adopt(struct redis_bus *bus, const struct redis_sight *sight, bool is_new)
{
    if (bus->epoch != sight->epoch) {
        bus->is_behind = bus->epoch != 0;
        bus->head = sight->seq > bus->head ? sight->seq : bus->head;
        bus->epoch = sight->epoch;
        redis_fill_drop(bus);
        if (bus->is_behind)
            log_warn("redis", "%s", is_new ? "the data is not what this node knows: a new epoch" : "another node has begun a new epoch");
    }
    bus->seen = *sight;
    bus->proven = true;
    bus->waited = 0;
    move(bus, REDIS_BUS_SUBSCRIBING);
    bus->unheard = 0;
    if (redis_watches_send(bus))
        when_all_on(bus);
}

static void on_proof(struct redis_request *request, int err, const struct redisReply *reply)
{
    struct redis_bus *bus = ((struct redis_own *)request)->bus;
    free(request);
    if (bus->freed || bus->state != REDIS_BUS_PROVING)
        return;
    if (!err && slice_is(redis_reply_word(reply, 0), SLICE("wait"))) {
        bus->waited++;
        go_away(bus, "Redis was started again, and no hub has found there what it knows; waiting for one");
        return;
    }
    struct slice proof = err ? slice("", 0) : redis_reply_word(reply, 3);
    if (err || proof.len != REDIS_PROOF_BYTES) {
        go_away(bus, bus->refused[0] ? bus->refused : "Redis does not say what it holds");      /* the tick tries again */
        return;
    }
    struct redis_sight sight = { redis_reply_number(reply, 0), redis_reply_number(reply, 1), { 0 } };
    memcpy(sight.proof, proof.at, sizeof sight.proof);
    struct slice voucher = redis_reply_word(reply, 4);
    snprintf(bus->voucher, sizeof bus->voucher, "%.*s", (int)voucher.len, voucher.at);
    adopt(bus, &sight, redis_reply_number(reply, 2));
}

static void prove(struct redis_bus *bus)
{
    move(bus, REDIS_BUS_PROVING);
    if (redis_own_run(bus, &(struct redis_own){ .request = { .script = REDIS_PROOF, .args = proof_args, .answered = on_proof } }))
        go_away(bus, "Redis could not be asked what it holds");
}

void redis_bus_prove(struct redis_bus *bus, const char *why)
{
    bus->proven = false;
    if (bus->state < REDIS_BUS_SUBSCRIBING)
        return;
    leave_live(bus, why);
    prove(bus);
}

void redis_bus_saw(struct redis_bus *bus, const struct redis_sight *sight)
{
    if (sight->epoch == bus->seen.epoch && sight->seq > bus->seen.seq)
        bus->seen = *sight;
    else if (sight->epoch != bus->seen.epoch)
        redis_bus_prove(bus, "another epoch has begun");
}

static void try_to_begin(struct redis_bus *bus)
{
    if (bus->state == REDIS_BUS_AWAY && redis_engine_ready(bus->engine) && bus->controls == CONTROLS)
        prove(bus);
}

/* ---- messages ---- */

/* Whoever may publish in Redis may say anything. A number beyond all that can have been given would have to be disproved by a new epoch above
 * it, and after some of these there were none left that scripts can count (common.lua). */
bool redis_bus_believes(const struct redis_bus *bus, const struct redis_sight *sight)
{
    bool is = sight->epoch != bus->seen.epoch || sight->seq <= bus->seen.seq + REDIS_NUMBERS_AHEAD;
    if (!is)
        log_warn("redis", "number %llu cannot have been given: somebody else publishes under redis.prefix", (unsigned long long)sight->seq);
    return is;
}

void redis_bus_deliver(struct redis_bus *bus, struct msg *m)
{
    struct redis_sub *sub = redis_subs_find(&bus->subs, msg_channel(m));
    bus->head = m->seq;
    if (sub)
        sub->last = m->seq;
    if ((sub && sub->refs > 0) || bus->subs.n_patterns > 0)
        bus->setup.ops->message(bus->setup.owner, m);
    else
        msg_unref(m);
}

static bool was_missed(const struct redis_bus *bus, const struct msg *m)
{
    const struct redis_sub *sub = redis_subs_find(&bus->subs, msg_channel(m));
    return sub && sub->last > 0 && m->prev > sub->last && m->prev > bus->live_at;
}

/* Of its channel something was missed. Above the head it can be fetched before anything else goes out; below it others have gone out
 * with higher numbers, so its readers have to be told. The link brings everything in order: neither should ever happen. */
static void on_missed(struct redis_bus *bus, struct msg *m)
{
    log_warn("redis", "message %llu was missed before %llu", (unsigned long long)m->prev, (unsigned long long)m->seq);
    if (m->prev > bus->head) {
        redis_fill_keep(bus, m);
        redis_bus_prove(bus, "a message was missed");
    } else {
        bus->setup.ops->behind(bus->setup.owner, msg_channel(m));
        redis_bus_deliver(bus, m);
    }
}

static void on_message(struct redis_bus *bus, struct slice frame)
{
    struct redis_sight sight;
    struct msg *m;
    if (frame.len == 0)
        return;      /* somebody's rights were tried (proof.lua) */
    int err = redis_frame_message(frame, &sight, &m);
    if (err) {
        log_warn("redis", "%s", err_text(err));
        if (err == ERR_MEMORY)
            redis_link_again(bus->listener, "no memory for a message");      /* which fetches it */
        return;
    }
    if (!redis_bus_believes(bus, &sight)) {
        msg_unref(m);
        return;
    }
    redis_bus_saw(bus, &sight);
    bool is_copy = bus->state == REDIS_BUS_LIVE && m->seq == bus->head;
    if (is_copy) {      /* by the channel and by the firehose */
        msg_unref(m);
    } else if (bus->state == REDIS_BUS_LIVE && m->seq < bus->head) {
        msg_unref(m);
        redis_bus_prove(bus, "numbers went back");
    } else if (bus->state != REDIS_BUS_LIVE) {
        redis_fill_keep(bus, m);
    } else if (was_missed(bus, m)) {
        on_missed(bus, m);
    } else {
        redis_bus_deliver(bus, m);
    }
}

/* ---- the listener ---- */

static void on_word(struct redis_bus *bus, struct slice payload)
{
    list_each(item, next, &bus->parts) {
        struct redis_part *part = link_of(item, struct redis_part, link);
        if (payload.len > 0 && part->kind == *payload.at && part->word)
            part->word(part, slice(payload.at + 1, payload.len - 1));
    }
}

static void on_published(struct redis_bus *bus, struct slice subject, struct slice payload)
{
    struct redis_sight sight;
    uint64_t token;
    bool own = slice_is(subject, slice_of(bus->own));
    if (slice_is(subject, slice_of(bus->words)) || slice_is(subject, slice_of(bus->own_words)))
        on_word(bus, payload);
    else if (slice_is(subject, slice_of(bus->purged)))
        bus->setup.ops->purged(bus->setup.owner);
    else if (!own && !slice_is(subject, slice_of(bus->all)))
        on_message(bus, payload);
    else if (redis_frame_echo(payload, &sight, &token))
        redis_echo_came(bus, &sight, own ? token : 0);
}

static void on_push(void *owner, const struct redisReply *reply)
{
    struct redis_bus *bus = owner;
    bus->came_ms = redis_now_ms();
    struct slice kind = redis_reply_word(reply, 0), subject = redis_reply_word(reply, 1);
    if (redis_reply_failed(reply)) {
        redis_link_again(bus->listener, reply->str);
    } else if (slice_is(kind, SLICE("message"))) {
        on_published(bus, subject, redis_reply_word(reply, 2));
    } else if (slice_is(kind, SLICE("pmessage"))) {
        on_published(bus, redis_reply_word(reply, 2), redis_reply_word(reply, 3));
    } else if (bus->controls < CONTROLS) {
        bus->controls++;
        try_to_begin(bus);
    } else {
        redis_subs_confirmed(&bus->subs, kind, subject, redis_watches_on, bus);
        when_all_on(bus);
    }
}

static void on_listener_up(void *owner)
{
    struct redis_bus *bus = owner;
    struct slice subscribe[] = { SLICE("SUBSCRIBE"), slice_of(bus->own), slice_of(bus->all), slice_of(bus->purged),
                                 slice_of(bus->words), slice_of(bus->own_words) };
    if (redis_link_send(bus->listener, subscribe, 1 + CONTROLS, NULL, NULL))
        redis_link_again(bus->listener, "no memory to subscribe");
}

static void on_listener_down(void *owner, const char *why)
{
    struct redis_bus *bus = owner;
    bus->controls = 0;
    go_away(bus, why);
    redis_fill_drop(bus);
    redis_subs_lost(&bus->subs);
}

static const struct redis_link_ops listener_ops = { .up = on_listener_up, .down = on_listener_down, .failed = on_listener_down, .push = on_push };

static void on_engine_ready(void *owner)                   { try_to_begin(owner); }
static void on_engine_down(void *owner, const char *why)
{
    struct redis_bus *bus = owner;
    bus->proven = false;
    go_away(bus, why);
}
/* A right that is missing has to be there again before anything else is tried: half of a script is worse than none. */
static void on_refused(void *owner, const char *why)
{
    struct redis_bus *bus = owner;
    bool is_right = why && !strncmp(why, REDIS_NOPERM, strlen(REDIS_NOPERM));
    if (is_right && bus->state >= REDIS_BUS_SUBSCRIBING)
        redis_bus_prove(bus, why);      /* which says what is missing */
    else
        redis_bus_tell_refused(bus, why);
}
static const struct redis_engine_ops engine_ops = { .ready = on_engine_ready, .down = on_engine_down, .refused = on_refused };

/* ---- live ---- */

void redis_bus_filled(struct redis_bus *bus, uint64_t head)
{
    bus->head = head > bus->head ? head : bus->head;
    bus->live_at = bus->head;
    bool is_new = bus->live_epoch != bus->epoch;
    bus->live_epoch = bus->epoch;
    bus->is_behind = false;
    move(bus, REDIS_BUS_LIVE);
    bus->told_live = true;
    bus->why[0] = '\0';
    log_info("redis", "live");
    list_each(item, next, &bus->parts) {
        struct redis_part *part = link_of(item, struct redis_part, link);
        if (part->live)
            part->live(part, is_new);
    }
    bus->setup.ops->purged(bus->setup.owner);      /* nobody has heard whether there was one */
    bus->setup.ops->live(bus->setup.owner, redis_bus_head(bus));
    redis_fetches_again(bus);
    redis_bus_want_echo(bus);
    event_active(bus->soon, EV_TIMEOUT, 0);
}

/* An echo was sent out by Redis and does not come, nor anything else. When much comes, it may be behind that for a while. */
static bool is_deaf(const struct redis_bus *bus, int64_t now)
{
    if (!bus->unheard)
        return false;
    int64_t since = bus->unheard_ms > bus->came_ms ? bus->unheard_ms : bus->came_ms;
    return now - since > REDIS_DEAF_MS || now - bus->unheard_ms > 3 * REDIS_DEAF_MS;
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct redis_bus *bus = arg;
    try_to_begin(bus);
    if (bus->state < REDIS_BUS_SUBSCRIBING)
        return;
    if (is_deaf(bus, redis_now_ms())) {
        redis_link_again(bus->listener, "it is deaf: no word has come round");
        return;
    }
    redis_echo_beat(bus);      /* if it cannot be sent, it is missed */
    if (bus->state != REDIS_BUS_LIVE)
        return;
    redis_subs_forget_idle(&bus->subs, redis_now_ms());
    list_each(item, next, &bus->parts) {
        struct redis_part *part = link_of(item, struct redis_part, link);
        if (part->tick)
            part->tick(part);
    }
}

void redis_bus_give_up(struct redis_bus *bus, int err)
{
    bus->over = err;
    redis_watches_end(bus, err);
    redis_fetches_end(bus, err);
}

/* ---- the owner's ---- */

static void name_subjects(struct redis_bus *bus, const struct redis_bus_setup *setup)
{
    bus->node = epoch_new();
    snprintf(bus->prefix, sizeof bus->prefix, "%.*s:{0}:", REDIS_PREFIX_MAX, setup->prefix);
    snprintf(bus->own, sizeof bus->own, "%secho:%llx", bus->prefix, (unsigned long long)bus->node);
    snprintf(bus->all, sizeof bus->all, "%sall", bus->prefix);
    snprintf(bus->purged, sizeof bus->purged, "%spurged", bus->prefix);
    snprintf(bus->words, sizeof bus->words, "%swords", bus->prefix);
    redis_bus_words_of(bus, bus->node, bus->own_words);
}

static bool open_parts(struct redis_bus *bus)
{
    struct redis_link_setup link = bus->setup.link;
    struct timeval every = { REDIS_BEAT_MS / 1000, REDIS_BEAT_MS % 1000 * 1000 };
    link.client_name = "carillon:commands";
    bus->engine = redis_engine_new(&link, &engine_ops, bus);
    link.client_name = "carillon:listener";
    link.ops = &listener_ops;
    link.owner = bus;
    bus->listener = redis_link_new(&link);
    bus->tick = event_new(link.base, -1, EV_PERSIST, on_tick, bus);
    bus->soon = evtimer_new(link.base, redis_watches_soon, bus);
    redis_subs_init(&bus->subs, bus->listener, bus->prefix);
    return bus->engine && bus->listener && bus->tick && bus->soon && !evtimer_add(bus->tick, &every);
}

struct redis_bus *redis_bus_new(const struct redis_bus_setup *setup)
{
    struct redis_bus *bus = calloc(1, sizeof *bus);
    if (!bus)
        return NULL;
    bus->setup = *setup;
    link_init(&bus->fetches_now);
    link_init(&bus->fetches_next);
    link_init(&bus->asked);
    link_init(&bus->replied);
    link_init(&bus->held);
    link_init(&bus->blocked);
    link_init(&bus->parts);
    name_subjects(bus, setup);
    if (open_parts(bus))
        return bus;
    redis_bus_free(bus);
    return NULL;
}

void redis_bus_free(struct redis_bus *bus)
{
    if (!bus)
        return;
    bus->freed = true;
    redis_engine_free(bus->engine);
    redis_link_free(bus->listener);
    redis_watches_lost(bus);
    redis_fetches_lost(bus);
    redis_bus_give_up(bus, ERR_DRAINING);
    redis_fill_drop(bus);
    redis_subs_fini(&bus->subs);
    buf_fini(&bus->body);
    buf_fini(&bus->targets);
    if (bus->tick)
        event_free(bus->tick);
    if (bus->soon)
        event_free(bus->soon);
    free(bus);
}

void redis_bus_open(struct redis_bus *bus)
{
    redis_engine_open(bus->engine);
    redis_link_open(bus->listener);
}

bool redis_bus_subscribes(const struct redis_bus *bus, struct slice channel)
{
    const struct redis_sub *sub = redis_subs_find(&bus->subs, channel);
    return sub && sub->state == REDIS_SUB_ON;
}

void redis_bus_each_channel(const struct redis_bus *bus, void (*tell)(void *arg, struct slice channel), void *arg)
{
    const struct redis_sub *sub, *next;
    HASH_ITER(hh, bus->subs.table, sub, next)
        if (sub->refs > 0 && !sub->is_pattern)
            tell(arg, slice(sub->name, sub->len));
}

void redis_bus_reconfigure(struct redis_bus *bus, const struct config *config) { bus->setup.config = config; }

enum redis_bus_state redis_bus_state(const struct redis_bus *bus) { return bus->state; }
void redis_bus_add(struct redis_bus *bus, struct redis_part *part)
{
    link_init(&part->link);
    list_add_last(&bus->parts, &part->link);
}

struct redis_engine *redis_bus_engine(struct redis_bus *bus)      { return bus->engine; }
struct event_base *redis_bus_base(const struct redis_bus *bus)    { return bus->setup.link.base; }
struct slice redis_bus_prefix(const struct redis_bus *bus)        { return slice_of(bus->prefix); }
uint64_t     redis_bus_node(const struct redis_bus *bus)          { return bus->node; }
struct slice redis_bus_words(const struct redis_bus *bus)         { return slice_of(bus->words); }
void redis_bus_words_of(const struct redis_bus *bus, uint64_t node, char ret_subject[REDIS_SUBJECT])
{
    snprintf(ret_subject, REDIS_SUBJECT, "%swords:%016llx", bus->prefix, (unsigned long long)node);
}

struct position redis_bus_head(const struct redis_bus *bus)       { return (struct position){ bus->epoch, bus->head }; }
const char *redis_bus_why(const struct redis_bus *bus)            { return bus->state == REDIS_BUS_LIVE ? bus->refused : bus->why; }
