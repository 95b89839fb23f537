/* purge.c — all that a channel keeps is removed, or what came before a position: for everybody, at once and for good.
 *
 *   CALL_PURGE ─> up to which number? ─> a mark in the hub's next group ─> store ─> given up, edges told ─> answered
 *                                           └─ failed: ERR_STORE_FAILED, nothing is removed
 *
 * It is in order with publishes: what was submitted before it is removed, also when that is still under way, and what comes after it
 * stays. The mark is committed before anything is given up (EXACT.md 8), and synced whatever store.sync says, so what was answered as
 * removed never comes back. Whoever comes later with an older position is told a gap. */
#include "hub/base/hash.h"
#include "hub/core.h"
#include "hub/metrics.h"

#include <stdlib.h>

/* The number of the newest message that goes. What is gone already was given up: a mark for it keeps its rows from coming back. */
static uint64_t find_upto(const struct purge_call *call, const struct channel *ch)
{
    uint64_t gone = ch->dropped;
    if (call->before.epoch == 0)
        return ch->submitted > gone ? ch->submitted : gone;
    uint32_t n = channel_first_after(ch, call->before.seq - 1);
    if (n > 0)
        return channel_kept(ch, n - 1)->seq;
    return gone < call->before.seq ? gone : call->before.seq - 1;
}

/* They hear of it before whoever asked does. */
void purge_tell_edges(struct hub *hub)
{
    for (uint8_t peer = 0; peer < hub->n_peers; peer++) {
        if (!hub->peers[peer].is_edge || hub->peers[peer].left)
            continue;
        struct letter *letter = calloc(1, sizeof *letter);
        if (letter) {
            letter->kind = LETTER_PURGED;
            hub_send(hub, peer, letter);
        } else if (!hub->peers[peer].lost) {
            watch_tell_loss(hub, peer);
        }
        post_flush(&hub->peers[peer].post);
    }
}

static void apply(struct hub *hub, struct purge_call *call)
{
    call->removed = history_purge(&hub->history, call->found, call->row.upto, hub_now_ms(hub));
    metric_add(METRIC_msgs_purged, call->removed);
    if (call->removed > 0)
        purge_tell_edges(hub);
}

static void end(struct hub *hub, struct purge_call *call, int err)
{
    call->upto = (struct position){ hub->epoch, call->row.upto };
    call->found->under_way--;
    if (!err)
        apply(hub, call);
    channel_settle(&hub->channels, call->found, hub_now_ms(hub));
    hub_answer(hub, &call->call, err);
}

static int begin(struct hub *hub, struct purge_call *call)
{
    struct store_group *group = NULL;
    if (hub->draining)
        return ERR_DRAINING;
    if (call->before.epoch && (call->before.epoch != hub->epoch || call->before.seq == 0 || call->before.seq > hub->head))
        return ERR_BAD_POSITION;
    if (hub_keeps(hub) && !(group = publish_group(hub)))
        return ERR_MEMORY;
    struct channel *ch = channel_get(&hub->channels, call->channel, call->hash);
    if (!ch)
        return ERR_MEMORY;
    call->found = ch;
    call->row = (struct store_purge){ .channel = call->channel, .upto = find_upto(call, ch) };
    ch->under_way++;
    channel_settle(&hub->channels, ch, hub_now_ms(hub));      /* not to be forgotten while the call points to it */
    if (!group) {
        end(hub, call, 0);
        return 0;
    }
    struct store_purge **last = &group->purges;
    while (*last)
        last = &(*last)->next;
    *last = &call->row;
    return 0;
}

void purge_run(struct hub *hub, struct purge_call *call)
{
    call->removed = 0;
    if (hub->engine && !hub->draining) {
        hub->engine->purge(hub->engine, call);
        return;
    }
    int err = begin(hub, call);
    if (err)
        hub_answer(hub, &call->call, err);
}

void purges_stored(struct hub *hub, const struct store_group *group, int err)
{
    for (struct store_purge *row = group->purges, *next; row; row = next) {
        next = row->next;
        end(hub, (struct purge_call *)((char *)row - offsetof(struct purge_call, row)), err);
    }
}

int hub_restore_purge(struct hub *hub, struct slice channel, uint64_t upto)
{
    struct channel *ch = channel_get(&hub->channels, channel, hash_bytes(channel));
    if (!ch)
        return ERR_MEMORY;
    history_purge(&hub->history, ch, upto, hub_now_ms(hub));
    channel_settle(&hub->channels, ch, hub_now_ms(hub));
    return 0;
}
