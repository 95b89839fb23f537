/* watch.c — which edges are mailed the messages of a channel and of patterns that match it, and what happens when an edge's mail is full (EXACT.md 15).
 *
 * An edge that has no room left is told once (LETTER_LOST, which always gets through), and is mailed no message until it
 * says that it has put its connections to catching up; their fetches come behind that word, so their answers cover
 * all that was lost. */
#include "hub/base/hash.h"
#include "hub/base/log.h"
#include "hub/base/name.h"
#include "hub/core.h"
#include "hub/metrics.h"

#include <stdlib.h>

/* Who watches a pattern; in hub->patterns while somebody does. */
struct pattern {
    struct watches watches;
    uint8_t        len;
    char           text[];
};

static struct watch *watch_of(const struct watches *watches, uint8_t peer)
{
    for (uint32_t i = 0; i < watches->n; i++)
        if (watches->at[i].peer == peer)
            return &watches->at[i];
    return NULL;
}

static int add(struct watches *watches, const struct watch_call *call)
{
    struct watch *watch = watch_of(watches, call->call.from);
    if (!watch) {
        struct watch *more = realloc(watches->at, (watches->n + 1) * sizeof *more);
        if (!more)
            return ERR_MEMORY;
        watches->at = more;
        watch = &more[watches->n++];
    }
    *watch = (struct watch){ call->call.from, call->subscribers };
    return 0;
}

static void take_out(struct watches *watches, uint8_t peer)
{
    struct watch *watch = watch_of(watches, peer);
    if (!watch)
        return;
    *watch = watches->at[--watches->n];
    if (watches->n > 0)
        return;
    free(watches->at);
    watches->at = NULL;
}

/* ---- of a pattern ---- */

static struct pattern *pattern_new(struct hub *hub, struct slice text)
{
    struct pattern *pattern = calloc(1, sizeof *pattern + text.len);
    if (!pattern)
        return NULL;
    pattern->len = (uint8_t)text.len;
    memcpy(pattern->text, text.at, text.len);
    if (!trie_add(&hub->patterns, text, pattern))
        return pattern;
    free(pattern);
    return NULL;
}

static void pattern_settle(struct hub *hub, struct pattern *pattern)
{
    if (pattern->watches.n > 0)
        return;
    trie_remove(&hub->patterns, slice(pattern->text, pattern->len));
    free(pattern);
}

static int watch_pattern(struct hub *hub, const struct watch_call *call)
{
    struct pattern *pattern = trie_find(&hub->patterns, call->channel);
    if (!pattern && !(pattern = pattern_new(hub, call->channel)))
        return ERR_MEMORY;
    int err = add(&pattern->watches, call);
    pattern_settle(hub, pattern);
    return err;
}

static void unwatch_pattern(struct hub *hub, const struct watch_call *call)
{
    struct pattern *pattern = trie_find(&hub->patterns, call->channel);
    if (!pattern)
        return;
    take_out(&pattern->watches, call->call.from);
    pattern_settle(hub, pattern);
}

static void pattern_free(void *arg, void *value)
{
    struct pattern *pattern = value;
    (void)arg;
    free(pattern->watches.at);
    free(pattern);
}

void watches_fini(struct hub *hub)
{
    trie_each(&hub->patterns, pattern_free, NULL);
    trie_fini(&hub->patterns);
}

/* ---- of a channel ---- */

static void tell_watched(struct hub *hub, struct slice channel, bool on)
{
    if (hub->hook && (hub->hook->wants(hub->hook, EVENT_CHANNEL_OCCUPIED) || hub->hook->wants(hub->hook, EVENT_CHANNEL_VACATED)))
        hub->hook->watched(hub->hook, channel, on);
}

/* Of an engine's channels only when the subscription stands: who looks for subscribers elsewhere finds it then. */
void watch_confirmed(struct hub *hub, const struct watch_call *call)
{
    const struct channel *ch = name_is_pattern(call->channel) ? NULL : channel_find(&hub->channels, call->channel, call->hash);
    if (ch && ch->watches.n > 0)
        tell_watched(hub, call->channel, true);
}

static int watch_channel(struct hub *hub, const struct watch_call *call)
{
    struct channel *ch = channel_get(&hub->channels, call->channel, call->hash);
    if (!ch)
        return ERR_MEMORY;
    bool was_empty = ch->watches.n == 0;
    int err = add(&ch->watches, call);
    if (was_empty && !err && !hub->engine)
        tell_watched(hub, call->channel, true);
    channel_settle(&hub->channels, ch, hub_now_ms(hub));
    return err;
}

static void unwatch_channel(struct hub *hub, const struct watch_call *call)
{
    struct channel *ch = channel_find(&hub->channels, call->channel, call->hash);
    if (!ch)
        return;
    bool was_empty = ch->watches.n == 0;
    take_out(&ch->watches, call->call.from);
    if (!was_empty && ch->watches.n == 0)
        tell_watched(hub, call->channel, false);
    channel_settle(&hub->channels, ch, hub_now_ms(hub));
}

void watch_run(struct hub *hub, struct watch_call *call)
{
    int err = name_is_pattern(call->channel) ? watch_pattern(hub, call) : watch_channel(hub, call);
    if (!err && hub->engine) {
        engine_watch(hub, call);
        return;
    }
    call->head = hub_head(hub);
    hub_answer(hub, &call->call, err);
}

static void unwatch(struct hub *hub, const struct watch_call *call)
{
    if (name_is_pattern(call->channel))
        unwatch_pattern(hub, call);
    else
        unwatch_channel(hub, call);
}

void unwatch_run(struct hub *hub, struct watch_call *call)
{
    unwatch(hub, call);
    if (hub->engine)
        hub->engine->unsubscribe(hub->engine, call->channel);
    hub_answer(hub, &call->call, 0);
}

void watch_refused(struct hub *hub, const struct watch_call *call) { unwatch(hub, call); }

void loss_seen_run(struct hub *hub, struct call *call)
{
    hub->peers[call->from].lost = false;
    hub_answer(hub, call, 0);
}

void watch_tell_loss(struct hub *hub, uint8_t peer)
{
    struct letter *loss = &hub->peers[peer].loss;
    *loss = (struct letter){ .kind = LETTER_LOST };
    hub->peers[peer].lost = true;
    metric_add(METRIC_mail_lost, 1);
    hub_send(hub, peer, loss);
}

static void mail(struct hub *hub, uint8_t peer, struct msg *m)
{
    struct post *post = &hub->peers[peer].post;
    struct message_letter *letter = post_has_room(post) ? malloc(sizeof *letter) : NULL;
    if (!letter) {
        watch_tell_loss(hub, peer);
        return;
    }
    letter->letter.kind = LETTER_MESSAGE;
    letter->msg = msg_ref(m);
    post_put(post, &letter->letter, sizeof *letter + msg_size(m));
}

static uint32_t subscribers(const struct watches *watches)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < watches->n; i++)
        n += atomic_load_explicit(watches->at[i].subscribers, memory_order_relaxed);
    return n;
}

uint32_t watch_subscribers(const struct channel *ch) { return subscribers(&ch->watches); }

/* All who are to get one message. */
struct audience {
    uint64_t peers[(PEERS_MAX + 63) / 64];
    uint32_t subscribers;
};

static void join(struct audience *audience, const struct watches *watches)
{
    for (uint32_t i = 0; i < watches->n; i++)
        audience->peers[watches->at[i].peer / 64] |= UINT64_C(1) << watches->at[i].peer % 64;
    audience->subscribers += subscribers(watches);
}

static void join_pattern(void *audience, void *pattern) { join(audience, &((struct pattern *)pattern)->watches); }

static struct audience audience_of(const struct hub *hub, struct slice name, const struct channel *ch)
{
    struct audience audience = { 0 };
    if (ch)
        join(&audience, &ch->watches);
    trie_match(&hub->patterns, name, join_pattern, &audience);
    return audience;
}

static bool hears(const struct audience *audience, uint8_t peer) { return audience->peers[peer / 64] >> peer % 64 & 1; }

uint32_t watch_subscribers_all(const struct hub *hub, struct slice name, const struct channel *ch) { return audience_of(hub, name, ch).subscribers; }

/* Each edge is mailed it once, however many of its channels and patterns want it. */
static uint32_t deliver_matching(struct hub *hub, const struct channel *ch, struct msg *m)
{
    struct audience audience = audience_of(hub, msg_channel(m), ch);
    for (uint8_t peer = 0; peer < hub->n_peers; peer++)
        if (hears(&audience, peer) && !hub->peers[peer].lost)
            mail(hub, peer, m);
    return audience.subscribers;
}

void watch_fall_behind(struct hub *hub, struct slice channel)
{
    struct audience audience = { 0 };
    if (channel.len > 0)
        audience = audience_of(hub, channel, channel_find(&hub->channels, channel, hash_bytes(channel)));
    for (uint8_t peer = 0; peer < hub->n_peers; peer++) {
        const struct peer *edge = &hub->peers[peer];
        if (edge->is_edge && !edge->left && !edge->lost && (channel.len == 0 || hears(&audience, peer)))
            watch_tell_loss(hub, peer);
    }
}

uint32_t watch_deliver(struct hub *hub, const struct channel *ch, struct msg *m)
{
    if (hub->patterns.count > 0)
        return deliver_matching(hub, ch, m);
    if (!ch)
        return 0;
    for (uint32_t i = 0; i < ch->watches.n; i++)
        if (!hub->peers[ch->watches.at[i].peer].lost)
            mail(hub, ch->watches.at[i].peer, m);
    return watch_subscribers(ch);
}
