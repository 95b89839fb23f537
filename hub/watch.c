/* watch.c — which edges are mailed a channel's messages, and what happens when an edge's mail is full (EXACT.md 15).
 *
 * An edge that has no room left is told once (LETTER_LOST, which always gets through), and is mailed no message until it
 * says that it has put its connections to catching up; their fetches come behind that word, so their answers cover
 * all that was lost. */
#include "hub/base/log.h"
#include "hub/core.h"
#include "hub/metrics.h"

#include <stdlib.h>

static struct watch *watch_of(const struct channel *ch, uint8_t peer)
{
    for (uint32_t i = 0; i < ch->n_watches; i++)
        if (ch->watches[i].peer == peer)
            return &ch->watches[i];
    return NULL;
}

static int watch_add(struct hub *hub, const struct watch_call *call)
{
    struct channel *ch = channel_get(&hub->channels, call->channel, call->hash);
    if (!ch)
        return ERR_MEMORY;
    struct watch *watch = watch_of(ch, call->call.from), *more;
    if (!watch) {
        more = realloc(ch->watches, (ch->n_watches + 1) * sizeof *more);
        if (!more) {
            channel_settle(&hub->channels, ch, hub_now_ms(hub));
            return ERR_MEMORY;
        }
        ch->watches = more;
        watch = &more[ch->n_watches++];
    }
    *watch = (struct watch){ call->call.from, call->subscribers };
    channel_settle(&hub->channels, ch, hub_now_ms(hub));
    return 0;
}

void watch_run(struct hub *hub, struct watch_call *call)
{
    int err = watch_add(hub, call);
    call->head = hub_head(hub);
    hub_answer(hub, &call->call, err);
}

void unwatch_run(struct hub *hub, struct watch_call *call)
{
    struct channel *ch = channel_find(&hub->channels, call->channel, call->hash);
    struct watch *watch = ch ? watch_of(ch, call->call.from) : NULL;
    if (watch) {
        *watch = ch->watches[--ch->n_watches];
        if (ch->n_watches == 0) {
            free(ch->watches);
            ch->watches = NULL;
        }
        channel_settle(&hub->channels, ch, hub_now_ms(hub));
    }
    hub_answer(hub, &call->call, 0);
}

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

uint32_t watch_subscribers(const struct channel *ch)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < ch->n_watches; i++)
        n += atomic_load_explicit(ch->watches[i].subscribers, memory_order_relaxed);
    return n;
}

uint32_t watch_deliver(struct hub *hub, struct channel *ch, struct msg *m)
{
    for (uint32_t i = 0; i < ch->n_watches; i++)
        if (!hub->peers[ch->watches[i].peer].lost)
            mail(hub, ch->watches[i].peer, m);
    return watch_subscribers(ch);
}
