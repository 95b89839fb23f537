/* members.c — connections that leave a channel and come to it again, over and over: as users who are members of it, or as nobody. */
#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char leave[] = "{\"type\":\"unsubscribe\",\"channels\":[\"bench\"]}", join[] = "{\"type\":\"subscribe\",\"channels\":[\"bench\"]}";

/* They read what they are told and count none of it. */
static void open_askers(struct load *l)
{
    struct peer *askers = calloc(l->o.conns + 1, sizeof *askers);
    uint64_t before = l->subscribed;
    for (size_t i = 0; i < l->o.conns; i++) {
        if (peer_open(&askers[i], PEER_WS, &l->sub_to, "/ws?channel=bench&presence=true"))
            die("connect");
        load_watch(l, &askers[i]);
    }
    while (l->subscribed < before + l->o.conns)
        load_must_pump(l, "not all askers became ready");
}

/* Everybody is there, or is on his way: whoever has come leaves, and comes again with the same send(). */
static void come_and_go(struct load *l, uint64_t times)
{
    char frames[sizeof leave + sizeof join + 28];
    size_t len = peer_frame(frames, leave, sizeof leave - 1);
    len += peer_frame(frames + len, join, sizeof join - 1);
    for (uint64_t until = l->subscribed + times; l->subscribed < until;) {
        for (size_t i = 0; i < l->o.n; i++) {
            struct peer *peer = &l->subs[i];
            if (peer->subscribed == peer->next)
                continue;
            peer->next = peer->subscribed;
            if (sock_send(&peer->sock, frames, len) != (ssize_t)len)
                die("send");
        }
        load_must_pump(l, "no answer");
    }
}

int mode_members(struct load *l)
{
    load_open_subs(l, "bench", FEW);
    open_askers(l);
    come_and_go(l, l->o.messages / 10);
    struct measured began = measure_begin(l);
    come_and_go(l, l->o.messages);
    struct measured took = measure_end(l, began);
    printf("{\"per_s\":%.0f,\"cpu_us\":%.3f}\n", (double)l->o.messages * 1e9 / (double)took.ns, (double)took.cpu_ns / 1e3 / (double)l->o.messages);
    return 0;
}
