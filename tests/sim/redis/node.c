#include "tests/sim/redis/fleet.h"

#include "hub/access/authority.h"
#include "hub/base/err.h"
#include "redis/redis_spoke.h"

#include <stdlib.h>

enum { PATIENCE_MS = 10 * 1000 };

static void on_turn(struct serving *serving) { hub_turn(serving->hub); }

static void no_address(const struct serving *serving, const char *spoke, struct buf *out) { (void)serving, (void)spoke, (void)out; }

void node_begin(struct fleet *fleet, struct node *node)
{
    *node = (struct node){ .fleet = fleet, .ticked_ms = fleet->mono_ms, .authority = authority_new() };
    node->hub = hub_new(&fleet->config, &fleet->clock, NULL, (struct hub_start){ .epoch = 1, .next = 1, .reserved = 1 });
    fleet_check(fleet, node->hub, "no hub");
    node->serving = (struct serving){ .config = &fleet->config, .clock = &fleet->clock, .hub = node->hub, .authority = node->authority,
                                      .base = fleet->base, .turn = on_turn, .address = no_address };
    self_init(&node->self, &node->serving);
    node->serving.self = &node->self;
    hub_use_self(node->hub, &node->self);
    fleet_check(fleet, redis_spoke.open(&node->serving, &node->spoke) == 0, "no engine");
    for (int e = 0; e < EDGES; e++) {
        fleet_check(fleet, edge_new(&fleet->config, &fleet->clock, node->hub, node->authority, false, &node->edges[e]) == 0, "no edge");
        node->edges[e]->line = &fleet->line;
    }
    mailbox_init(&node->box, false);
    post_init(&node->to_hub, hub_mailbox(node->hub), SIZE_MAX);
    node->peer = hub_add_peer(node->hub, &node->box, false, SIZE_MAX);
    fleet_check(fleet, redis_spoke.start(node->spoke) == 0, "the engine does not start");
    fleet_trace(fleet, "hub %d begins", (int)(node - fleet->nodes));
}

static void turn_edge(struct node *node, struct edge *edge, bool ticks)
{
    struct fleet *fleet = node->fleet;
    edge_mail(edge);
    for (int i = 0; i < fleet->n_readers; i++)
        if (fleet->readers[i].conn && fleet->readers[i].conn->edge == edge)
            reader_move(&fleet->readers[i]);
    if (ticks)
        edge_tick(edge);
    edge_flush(edge);
}

void node_turn(struct node *node)
{
    struct fleet *fleet = node->fleet;
    bool ticks = fleet->mono_ms >= node->ticked_ms + 1000;
    if (ticks)
        node->ticked_ms = fleet->mono_ms;
    post_flush(&node->to_hub);
    hub_turn(node->hub);
    if (ticks)
        hub_tick(node->hub);
    for (int e = 0; e < EDGES; e++)
        turn_edge(node, node->edges[e], ticks);
    hub_turn(node->hub);
}

void fleet_turn_loop(struct fleet *fleet) { event_base_loop(fleet->base, EVLOOP_NONBLOCK); }

void fleet_patience_ends(evutil_socket_t fd, short what, void *arg) { (void)fd, (void)what, (void)arg; }

void fleet_wait(struct fleet *fleet, int64_t most_ms)
{
    struct timeval most = { most_ms / 1000, most_ms % 1000 * 1000 };
    evtimer_add(fleet->patience, &most);
    event_base_loop(fleet->base, EVLOOP_ONCE);
    evtimer_del(fleet->patience);
}

static bool edges_are_idle(const struct node *node)
{
    for (int e = 0; e < EDGES; e++)
        if (!edge_idle(node->edges[e]))
            return false;
    return true;
}

/* Edges end, then the engine, which answers what is under way. */
void node_end(struct node *node)
{
    struct fleet *fleet = node->fleet;
    fleet_trace(fleet, "hub %d ends", (int)(node - fleet->nodes));
    for (int i = 0; i < fleet->n_readers; i++)
        for (int e = 0; e < EDGES; e++)
            if (fleet->readers[i].conn && fleet->readers[i].conn->edge == node->edges[e])
                reader_cut(&fleet->readers[i]);
    hub_drain(node->hub);
    redis_spoke.drain(node->spoke);
    node_turn(node);
    for (int64_t end = clock_mono_ms(clock_real()) + PATIENCE_MS; !edges_are_idle(node) && clock_mono_ms(clock_real()) < end; node_turn(node))
        fleet_wait(fleet, 1);
    fleet_check(fleet, edges_are_idle(node), "a hub that ends leaves edges without an answer");
    for (int e = 0; e < EDGES; e++) {
        edge_mail(node->edges[e]);      /* the last letters, which nobody waits for */
        edge_flush(node->edges[e]);
        edge_free(node->edges[e]);
    }
    redis_spoke.stop(node->spoke);
    hub_turn(node->hub);
    writer_take(node);
    fleet_check(fleet, node->under_way == 0, "a hub that ends leaves %u publishes without an answer", node->under_way);
    redis_spoke.free(node->spoke);
    hub_free(node->hub);
    authority_free(node->authority);
    mailbox_fini(&node->box);
    node->hub = NULL;
}

/* Each has a head of the newest epoch. */
bool nodes_are_live(const struct fleet *fleet)
{
    uint64_t epoch = fleet->n_epochs ? fleet->epochs[fleet->n_epochs - 1].epoch : 0;
    for (int i = 0; i < fleet->n_nodes; i++)      /* of the first one all know when they are live */
        if (!epoch || hub_head(fleet->nodes[i].hub).epoch != epoch)
            return false;
    return true;
}
