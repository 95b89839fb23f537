/* holders.c — connections that are only there: what they cost while they do nothing, and what coming and going costs. */
#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

/* Every WebSocket subscribes to o.channels channels of its own, or patterns: o.form with 0, 1, … over all connections. */
static void subscribe_many(struct load *l)
{
    size_t room = 100 + l->o.channels * (24 + strlen(l->o.form));
    char *json = malloc(room), *frame = malloc(room + 14);
    for (size_t i = 0; i < l->o.n; i++) {
        size_t used = (size_t)sprintf(json, "{\"type\":\"subscribe\",\"channels\":[");
        for (size_t k = 0; k < l->o.channels; k++) {
            used += (size_t)sprintf(json + used, k > 0 ? ",\"" : "\"");
            used += (size_t)sprintf(json + used, l->o.form, i * l->o.channels + k);
            used += (size_t)sprintf(json + used, "\"");
        }
        used += (size_t)sprintf(json + used, "]}");
        size_t len = peer_frame(frame, json, used);
        if (sock_send(&l->subs[i].sock, frame, len) != (ssize_t)len)
            die("send");
        while (l->subscribed < l->o.n + (i + 1) * l->o.channels)
            load_must_pump(l, "not all channels were subscribed");
    }
    free(json);
    free(frame);
}

/* Reads and answers pings until standard input ends; each line that comes there is answered with what has been received. */
static void hold(struct load *l)
{
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = NULL };
    struct epoll_event ready[2];
    int both = epoll_create1(EPOLL_CLOEXEC);
    epoll_ctl(both, EPOLL_CTL_ADD, STDIN_FILENO, &event);
    event.data.ptr = l;
    epoll_ctl(both, EPOLL_CTL_ADD, l->epoll, &event);
    for (;;) {
        int n = epoll_wait(both, ready, 2, -1);
        for (int i = 0; i < n; i++) {
            char line[16];
            if (ready[i].data.ptr)
                load_pump(l, 0);
            else if (read(STDIN_FILENO, line, sizeof line) <= 0)
                return;
            else
                printf("{\"received\":%lu}\n", l->received), fflush(stdout);
        }
    }
}

int mode_hold(struct load *l)
{
    load_open_subs(l, "idle", FEW);
    if (l->o.channels > 0)
        subscribe_many(l);
    printf("{\"ready\":%zu}\n", l->o.n);
    fflush(stdout);
    hold(l);
    return 0;
}

int mode_accept(struct load *l)
{
    char path[1500];
    uint64_t done = 0;
    snprintf(path, sizeof path, "%s?channel=bench%s%s", l->o.kind == PEER_WS ? "/ws" : "/sse", l->o.token ? "&token=" : "", l->o.token ? l->o.token : "");
    l->subs = calloc(l->o.conns, sizeof *l->subs);
    for (size_t i = 0; i < l->o.conns; i++)
        l->subs[i].sock.fd = -1;
    struct measured began = measure_begin(l);
    while (done < l->o.messages) {
        for (size_t i = 0; i < l->o.conns; i++) {
            struct peer *peer = &l->subs[i];
            if (peer->sock.fd >= 0 && !peer->subscribed)
                continue;
            done += peer->sock.fd >= 0;
            peer_close(peer);
            if (peer_open(peer, l->o.kind, &l->sub_to, path))
                die("connect");
            load_watch(l, peer);
        }
        load_must_pump(l, "no answer");
    }
    struct measured took = measure_end(l, began);
    printf("{\"accepts_per_s\":%.0f,\"cpu_us\":%.2f}\n", (double)done * 1e9 / (double)took.ns, (double)took.cpu_ns / 1e3 / (double)done);
    return 0;
}
