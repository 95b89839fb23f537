#include "redis/parts/redis_senders.h"

#include "hub/access/access.h"
#include "hub/base/err.h"
#include "hub/base/log.h"
#include "hub/engine.h"
#include "hub/hook.h"
#include "redis/bus/redis_event.h"
#include "redis/bus/redis_pack.h"

#include <stdlib.h>

enum { UNCLAIMED_S = 5, STANDING_BYTES = 4 + 1 + 8, OUTBOX_PAGE = 100 };
enum { CLAIMS, RELEASES, SAYS, REMOVED, SWEPT, LISTS };      /* as senders.lua wants them */
enum { REPLY_HELD, REPLY_OUTBOX, REPLY_SENDERS, REPLY_QUEUE, REPLY_STANDINGS };

/* An endpoint as this node knows it. */
struct stand {
    uint64_t                 endpoint;
    bool                     is_ours;        /* by Redis's word */
    bool                     is_assigned;    /* the hook sends */
    bool                     is_held;        /* by anybody whose lease is held, as far as is known */
    uint8_t                  unclaimed_s;
    uint8_t                  astray_s;       /* ours, and another node is closer: so long */
    struct endpoint_standing said, now;
};

/* Endpoints, a few; what finds no room waits for a later beat. */
struct numbers { uint64_t at[EVENT_TARGETS]; size_t n, told; };

struct redis_senders {
    struct redis_senders_setup setup;
    struct redis_part          part;
    struct redis_nodes_watcher watcher;
    struct redis_request       beat, look;
    bool                       beating, looking;
    bool                       wants_beat, wants_look;      /* once more, when that has come back */
    struct stand               stands[EVENT_TARGETS];
    size_t                     n;
    struct numbers             removed, swept;              /* to be told with the next beat */
    struct numbers             sweeping;                    /* under way here */
    struct buf                 lists[LISTS];                /* of the beat under way */
    char                       wants[NOTED_CHANGES + 1];
    uint64_t                   outbox;                      /* number up to which it was read */
};

static bool numbers_have(const struct numbers *numbers, uint64_t number)
{
    for (size_t i = 0; i < numbers->n; i++)
        if (numbers->at[i] == number)
            return true;
    return false;
}

static bool numbers_add(struct numbers *numbers, uint64_t number)
{
    if (numbers->n == EVENT_TARGETS)
        return false;
    numbers->at[numbers->n++] = number;
    return true;
}

static void numbers_take_out(struct numbers *numbers, uint64_t number)
{
    for (size_t i = 0; i < numbers->n; i++)
        if (numbers->at[i] == number)
            numbers->at[i--] = numbers->at[--numbers->n];
}

/* The first n, in order. */
static void numbers_drop(struct numbers *numbers, size_t n)
{
    numbers->n -= n;
    memmove(numbers->at, numbers->at + n, numbers->n * sizeof *numbers->at);
    numbers->told = 0;
}

static struct hook *hook_of(const struct redis_senders *senders) { return hub_hook(senders->setup.hub); }
static const char *lease_of(const struct redis_senders *senders) { return redis_nodes_lease(senders->setup.nodes); }

static int run(struct redis_senders *senders, struct redis_request *request)
{
    return redis_engine_run(redis_bus_engine(senders->setup.bus), request);
}

static struct stand *find(struct redis_senders *senders, uint64_t endpoint)
{
    for (size_t i = 0; i < senders->n; i++)
        if (senders->stands[i].endpoint == endpoint)
            return &senders->stands[i];
    return NULL;
}

static void assign(struct redis_senders *senders, struct stand *stand, bool is_ours)
{
    if (stand->is_assigned == is_ours)
        return;
    stand->is_assigned = is_ours;
    hook_of(senders)->assign(hook_of(senders), stand->endpoint, is_ours);
}

static void let_go_of_all(struct redis_senders *senders)
{
    for (size_t i = 0; i < senders->n; i++) {
        assign(senders, &senders->stands[i], false);
        senders->stands[i].is_ours = senders->stands[i].is_held = false;
        senders->stands[i].unclaimed_s = senders->stands[i].astray_s = 0;
    }
}

/* ---- which endpoints there are ---- */

static void know_endpoints(struct redis_senders *senders)
{
    uint64_t numbers[EVENT_TARGETS];
    struct stand stands[EVENT_TARGETS];
    size_t n = hook_of(senders)->endpoints(hook_of(senders), EVENT_TARGETS, numbers);
    for (size_t i = 0; i < n; i++) {
        const struct stand *known = find(senders, numbers[i]);
        stands[i] = known ? *known : (struct stand){ .endpoint = numbers[i] };
    }
    memcpy(senders->stands, stands, n * sizeof *stands);
    senders->n = n;
}

/* ---- who is closest ---- */

/* The same on every node, unlike hash_bytes(): a step of splitmix64 for each of the two. */
static uint64_t mixed(uint64_t n)
{
    n += 0x9e3779b97f4a7c15;
    n = (n ^ n >> 30) * 0xbf58476d1ce4e5b9;
    n = (n ^ n >> 27) * 0x94d049bb133111eb;
    return n ^ n >> 31;
}

static uint64_t distance(uint64_t node, uint64_t endpoint) { return mixed(mixed(node) ^ endpoint); }

/* The node that all nodes with the same list agree on; 0: no node is known. */
static uint64_t closest(const struct redis_senders *senders, uint64_t endpoint)
{
    const struct redis_node *list;
    size_t n = redis_nodes_list(senders->setup.nodes, &list);
    uint64_t best = 0;
    for (size_t i = 0; i < n; i++)
        if (best == 0 || distance(list[i].number, endpoint) < distance(best, endpoint))
            best = list[i].number;
    return best;
}

/* ---- the beat ---- */

static bool is_busy(const struct redis_senders *senders, uint64_t endpoint)
{
    struct endpoint_standing standing;
    return hook_of(senders)->describe(hook_of(senders), endpoint, &standing) && standing.sending > 0;
}

/* Two beats, in case the list is just changing. */
static void look_at_own(struct redis_senders *senders, struct stand *stand, bool is_closest)
{
    stand->astray_s = is_closest ? 0 : stand->astray_s + (stand->astray_s < UINT8_MAX);
    if (stand->astray_s < 2)
        return;
    assign(senders, stand, false);
    if (!is_busy(senders, stand->endpoint))
        redis_number_pack(&senders->lists[RELEASES], stand->endpoint);
}

static void say_own(struct redis_senders *senders, struct stand *stand)
{
    struct endpoint_standing now;
    if (!hook_of(senders)->describe(hook_of(senders), stand->endpoint, &now))
        return;
    const struct endpoint_standing *said = &stand->said;
    if (now.breaker == said->breaker && now.sending == said->sending && now.paused_until_ms == said->paused_until_ms)
        return;
    stand->said = now;
    redis_number_pack(&senders->lists[SAYS], stand->endpoint);
    pack_u16(&senders->lists[SAYS], STANDING_BYTES);
    pack_u32(&senders->lists[SAYS], now.sending);
    buf_add_char(&senders->lists[SAYS], (char)now.breaker);
    pack_u64(&senders->lists[SAYS], (uint64_t)now.paused_until_ms);
}

static void look_at(struct redis_senders *senders, struct stand *stand)
{
    uint64_t best = closest(senders, stand->endpoint);
    bool is_closest = best == redis_bus_node(senders->setup.bus);
    if (stand->is_ours) {
        say_own(senders, stand);
        look_at_own(senders, stand, is_closest || best == 0);
        return;
    }
    stand->said.sending = UINT32_MAX;      /* what the one before has said is there still */
    stand->unclaimed_s = stand->is_held ? 0 : stand->unclaimed_s + (stand->unclaimed_s < UINT8_MAX);
    if (is_closest || stand->unclaimed_s > UNCLAIMED_S)
        redis_number_pack(&senders->lists[CLAIMS], stand->endpoint);
}

static void beat_args(struct redis_request *request, struct redis_args *args)
{
    struct redis_senders *senders = link_of(request, struct redis_senders, beat);
    char subject[REDIS_SUBJECT];
    redis_bus_words_of(senders->setup.bus, redis_bus_node(senders->setup.bus), subject);
    redis_args_add(args, redis_bus_prefix(senders->setup.bus));
    redis_args_add(args, slice_of(lease_of(senders)));
    redis_args_addf(args, "%s", subject);
    redis_args_add(args, slice_of(senders->wants));
    for (size_t i = 0; i < LISTS; i++)
        redis_args_add(args, buf_slice(&senders->lists[i]));
}

/* Without memory for them nothing is said; the next second tries again. */
static bool make_lists(struct redis_senders *senders)
{
    bool failed = false;
    for (size_t i = 0; i < LISTS; i++)
        buf_reset(&senders->lists[i]);
    know_endpoints(senders);
    for (size_t i = 0; i < senders->n; i++)
        look_at(senders, &senders->stands[i]);
    for (size_t i = 0; i < senders->removed.n; i++)
        redis_number_pack(&senders->lists[REMOVED], senders->removed.at[i]);
    for (size_t i = 0; i < senders->swept.n; i++)
        redis_number_pack(&senders->lists[SWEPT], senders->swept.at[i]);
    senders->removed.told = senders->removed.n;
    senders->swept.told = senders->swept.n;
    for (size_t i = 0; i < LISTS; i++)
        failed |= senders->lists[i].failed;
    for (size_t i = 0; i < LISTS && failed; i++)
        buf_fini(&senders->lists[i]);
    return !failed;
}

static void beat(struct redis_senders *senders)
{
    if (!hook_of(senders) || !redis_nodes_has_lease(senders->setup.nodes) || !senders->setup.knows(senders->setup.owner))
        return;
    senders->wants_beat = senders->beating;
    if (senders->beating || !make_lists(senders))
        return;
    engine_wanted_changes(senders->setup.hub, senders->wants);
    senders->beating = !run(senders, &senders->beat);
}

/* ---- what comes back ---- */

static const struct redisReply *list_of(const struct redisReply *reply, size_t i)
{
    return i < reply->elements && reply->element[i]->type == REDIS_REPLY_ARRAY ? reply->element[i] : NULL;
}

static void take_senders(struct redis_senders *senders, const struct redisReply *list)
{
    for (size_t i = 0; i < senders->n; i++)
        senders->stands[i].is_ours = senders->stands[i].is_held = false;
    for (size_t i = 0; list && i + 1 < list->elements; i += 2) {
        struct slice number = redis_reply_word(list, i), packed = redis_reply_word(list, i + 1);
        struct stand *stand = find(senders, redis_number_take(&number));
        if (!stand)
            continue;
        stand->is_held = true;      /* if its lease is not, whoever is closest claims it anyway */
        stand->is_ours = slice_is(take_short(&packed), slice_of(lease_of(senders)));
    }
    for (size_t i = 0; i < senders->n; i++) {
        struct stand *stand = &senders->stands[i];
        assign(senders, stand, stand->is_ours && stand->astray_s < 2);
    }
}

static void sweep(struct redis_senders *senders, uint64_t endpoint)
{
    if (!senders->setup.sweeps(senders->setup.owner) || numbers_have(&senders->sweeping, endpoint) || !numbers_add(&senders->sweeping, endpoint))
        return;
    hook_of(senders)->sweep(hook_of(senders), endpoint);
}

static void take_queue(struct redis_senders *senders, const struct redisReply *list)
{
    for (size_t i = 0; i < senders->n; i++)
        senders->stands[i].now.pending = senders->stands[i].now.dead = 0;
    for (size_t i = 0; list && i + 1 < list->elements; i += 2) {
        struct slice field = redis_reply_word(list, i);
        uint8_t what = take_u8(&field);
        if (field.len != REDIS_NUMBER_TEXT)
            continue;
        uint64_t endpoint = redis_number_take(&field), n = redis_reply_number(list, i + 1);
        struct stand *stand = find(senders, endpoint);
        if (what == 'r')
            sweep(senders, endpoint);
        else if (stand && what == 'p')
            stand->now.pending = n;
        else if (stand && what == 'd')
            stand->now.dead = n;
    }
}

static void take_standings(struct redis_senders *senders, const struct redisReply *list)
{
    for (size_t i = 0; list && i + 1 < list->elements; i += 2) {
        struct slice number = redis_reply_word(list, i), packed = redis_reply_word(list, i + 1);
        struct stand *stand = find(senders, redis_number_take(&number));
        if (!stand)
            continue;
        stand->now.sending = take_u32(&packed);
        stand->now.breaker = take_u8(&packed);
        stand->now.paused_until_ms = (int64_t)take_u64(&packed);
    }
}

static void tell_standings(struct redis_senders *senders)
{
    for (size_t i = 0; i < senders->n; i++)
        hook_of(senders)->stands(hook_of(senders), senders->stands[i].endpoint, &senders->stands[i].now);
}

static void look(struct redis_senders *senders);

static void take_beat(struct redis_senders *senders, const struct redisReply *reply)
{
    numbers_drop(&senders->removed, senders->removed.told);
    numbers_drop(&senders->swept, senders->swept.told);
    take_senders(senders, list_of(reply, REPLY_SENDERS));
    take_queue(senders, list_of(reply, REPLY_QUEUE));
    take_standings(senders, list_of(reply, REPLY_STANDINGS));
    tell_standings(senders);
    if (redis_reply_number(reply, REPLY_OUTBOX) > 0)
        look(senders);
}

/* What was said is said again. */
static void forget_said(struct redis_senders *senders)
{
    for (size_t i = 0; i < senders->n; i++)
        senders->stands[i].said.sending = UINT32_MAX;
}

static void on_beat(struct redis_request *request, int err, const struct redisReply *reply)
{
    struct redis_senders *senders = link_of(request, struct redis_senders, beat);
    senders->beating = false;
    if (err) {
        forget_said(senders);
        return;
    }
    if (!redis_nodes_has_lease(senders->setup.nodes))
        return;
    if (redis_reply_number(reply, REPLY_HELD) == 1)
        take_beat(senders, reply);
    else
        let_go_of_all(senders);      /* the node takes another lease */
    if (senders->wants_beat)
        beat(senders);
    senders->setup.wake(senders->setup.owner);
}

/* ---- the outbox ---- */

static void look_args(struct redis_request *request, struct redis_args *args)
{
    struct redis_senders *senders = link_of(request, struct redis_senders, look);
    redis_args_add(args, redis_bus_prefix(senders->setup.bus));
    redis_args_add_u64(args, senders->outbox);
    redis_args_add_u64(args, OUTBOX_PAGE);
}

static void look(struct redis_senders *senders)
{
    senders->wants_look = senders->looking;
    if (!senders->looking && hook_of(senders) && redis_nodes_has_lease(senders->setup.nodes) && senders->setup.knows(senders->setup.owner) &&
        senders->setup.sweeps(senders->setup.owner))
        senders->looking = !run(senders, &senders->look);
}

static void make_event(struct redis_senders *senders, uint64_t number, struct slice change)
{
    uint8_t what = take_u8(&change);
    struct slice channel = take_short(&change), user = take_short(&change);
    struct principal *who = change.at && user.len > 0 ? principal_elsewhere(user, change) : NULL;
    if (change.at && (who || user.len == 0))
        engine_noted(senders->setup.hub, number, (enum noted_change)what, channel, who, who ? SLICE("") : change);
    principal_unref(who);
}

static void on_looked(struct redis_request *request, int err, const struct redisReply *reply)
{
    struct redis_senders *senders = link_of(request, struct redis_senders, look);
    senders->looking = false;
    size_t n = !err && reply->type == REDIS_REPLY_ARRAY ? reply->elements / 2 : 0;
    for (size_t i = 0; i < n; i++) {
        senders->outbox = redis_reply_number(reply, 2 * i);
        make_event(senders, senders->outbox, redis_reply_word(reply, 2 * i + 1));
    }
    if (n == OUTBOX_PAGE || senders->wants_look)
        look(senders);
    if (n > 0)
        senders->setup.wake(senders->setup.owner);
}

/* ---- the bus and the nodes tell ---- */

static void on_held(struct redis_nodes_watcher *watcher, bool is_new, uint64_t changes)
{
    struct redis_senders *senders = link_of(watcher, struct redis_senders, watcher);
    (void)is_new, (void)changes;
    senders->outbox = 0;      /* what could not be made an event of is still there */
    forget_said(senders);
    beat(senders);
}

static void on_away(struct redis_part *part)
{
    struct redis_senders *senders = link_of(part, struct redis_senders, part);
    if (hook_of(senders))
        let_go_of_all(senders);
    senders->setup.wake(senders->setup.owner);
}

static void on_tick(struct redis_part *part) { beat(link_of(part, struct redis_senders, part)); }

static void on_due(struct redis_senders *senders, struct slice endpoints, bool earlier)
{
    struct hook *hook = hook_of(senders);
    while (hook && endpoints.len >= REDIS_NUMBER_TEXT) {
        const struct stand *stand = find(senders, redis_number_take(&endpoints));
        if (stand && stand->is_assigned)
            hook->due(hook, stand->endpoint, earlier);
    }
    senders->setup.wake(senders->setup.owner);
}

static void on_word(struct redis_part *part, struct slice body)
{
    struct redis_senders *senders = link_of(part, struct redis_senders, part);
    uint8_t what = take_u8(&body);
    if (what == 'n' || what == 'a')
        on_due(senders, body, what == 'a');
    else if (what == 'c')
        look(senders);
}

/* ---- life ---- */

void redis_senders_look(struct redis_senders *senders) { beat(senders); }

void redis_senders_removed(struct redis_senders *senders, uint64_t endpoint)
{
    if (!numbers_have(&senders->removed, endpoint))
        numbers_add(&senders->removed, endpoint);
    beat(senders);
}

void redis_senders_swept(struct redis_senders *senders, uint64_t endpoint)
{
    numbers_take_out(&senders->sweeping, endpoint);
    numbers_add(&senders->swept, endpoint);
}

struct redis_senders *redis_senders_new(const struct redis_senders_setup *setup)
{
    struct redis_senders *senders = calloc(1, sizeof *senders);
    if (!senders)
        return NULL;
    *senders = (struct redis_senders){
        .setup = *setup, .part = { .kind = 'q', .away = on_away, .tick = on_tick, .word = on_word }, .watcher = { .held = on_held },
        .beat = { .script = REDIS_SENDERS, .args = beat_args, .answered = on_beat },
        .look = { .script = REDIS_OUTBOX, .args = look_args, .answered = on_looked } };
    redis_bus_add(setup->bus, &senders->part);
    redis_nodes_watch(setup->nodes, &senders->watcher);
    return senders;
}

void redis_senders_free(struct redis_senders *senders)
{
    if (!senders)
        return;
    for (size_t i = 0; i < LISTS; i++)
        buf_fini(&senders->lists[i]);
    free(senders);
}
