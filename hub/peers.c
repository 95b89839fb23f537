/* peers.c — the threads the hub talks to: edges and the API, each with its mail. */
#include "hub/core.h"

#include <stdlib.h>

uint8_t hub_add_peer(struct hub *hub, struct mailbox *box, bool is_edge, size_t mail_bytes)
{
    if (hub->n_peers == PEERS_MAX)
        abort();
    struct peer *peer = &hub->peers[hub->n_peers];
    peer->is_edge = is_edge;
    post_init(&peer->post, box, mail_bytes);
    return hub->n_peers++;
}

void hub_send(struct hub *hub, uint8_t peer, struct letter *letter)
{
    post_put(&hub->peers[peer].post, letter, sizeof *letter);
}

void hub_answer(struct hub *hub, struct call *call, int err)
{
    call->err = err;
    letter_done(&call->letter);
    post_put(&hub->peers[call->from].post, &call->letter, 0);
}

void peers_end_turn(struct hub *hub)
{
    for (uint8_t i = 0; i < hub->n_peers; i++)
        post_flush(&hub->peers[i].post);
}

struct position hub_head(const struct hub *hub) { return (struct position){ hub->epoch, hub->head }; }
