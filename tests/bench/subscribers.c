/* subscribers.c — what many subscribers of one channel get: as fast as it goes, how late it comes, and what they had missed. */
#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- fan-out ---- */

static unsigned long segments_in(const struct load *l)
{
    unsigned long sum = 0;
    for (size_t i = 0; i < l->o.n; i++)
        sum += sock_segments_in(&l->subs[i].sock);
    return sum;
}

/* How many may be published now, of `left`, with `under_way` not yet received by all. */
static uint64_t room(const struct load *l, uint64_t left, uint64_t under_way)
{
    if (l->o.bursts && under_way > 0)
        return 0;
    uint64_t free_now = l->o.window > under_way ? l->o.window - under_way : 0;
    return left < free_now ? left : free_now;
}

static void publish_some(struct load *l, uint64_t n)
{
    if (l->o.bursts && n > 0)
        load_publish_together(l, &l->pubs[0], "bench", n);
    for (uint64_t i = 0; !l->o.bursts && i < n; i++)
        load_publish(l, &l->pubs[0], "bench", "");
}

/* Publishes `messages` as the options tell, and waits until all have got all of them. */
static void run_window(struct load *l, uint64_t messages)
{
    uint64_t sent = 0, before = l->received;
    while (l->received - before < messages * l->o.n) {
        uint64_t n = room(l, messages - sent, sent - (l->received - before) / l->o.n);
        publish_some(l, n);
        sent += n;
        load_must_pump(l, "messages are missing");
    }
    if (l->pubs[0].refused > 0)
        die_saying("a publish was refused");
}

int mode_fanout(struct load *l)
{
    load_open_subs(l, "bench", FEW);
    load_open_pubs(l, 1);
    run_window(l, l->o.messages / 10 + 1);
    unsigned long segments = segments_in(l);
    struct measured began = measure_begin(l);
    run_window(l, l->o.messages);
    struct measured took = measure_end(l, began);
    double deliveries = (double)l->o.messages * (double)l->o.n;
    double sends = (double)(segments_in(l) - segments);
    printf("{\"deliveries\":%.0f,\"seconds\":%.3f,\"cpu_us_per_delivery\":%.5f,\"cpu_us_per_send\":%.4f,\"messages_per_send\":%.2f,\"deliveries_per_s\":%.0f}\n",
           deliveries, (double)took.ns / 1e9, (double)took.cpu_ns / 1e3 / deliveries, (double)took.cpu_ns / 1e3 / sends, deliveries / sends,
           deliveries * 1e9 / (double)took.ns);
    return 0;
}

/* ---- latency ---- */

struct latencies {
    uint64_t *ns;
    size_t    n, max;
};

static void on_stamped(void *arg, struct peer *peer, const char *payload, size_t len)
{
    struct latencies *seen = arg;
    const char *stamp = memmem(payload, len, "T=", 2);
    (void)peer;
    if (stamp && seen->n < seen->max)
        seen->ns[seen->n++] = now_ns() - strtoull(stamp + 2, NULL, 10);
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void publish_stamped(struct load *l)
{
    char stamp[40];
    snprintf(stamp, sizeof stamp, "T=%lu;", now_ns());
    load_publish(l, &l->pubs[0], "bench", stamp);
}

int mode_latency(struct load *l)
{
    struct latencies seen = { .max = l->o.messages * l->o.n };
    load_open_subs(l, "bench", FEW);
    load_open_pubs(l, 1);
    seen.ns = malloc(seen.max * sizeof *seen.ns);
    l->on_data = on_stamped;
    l->on_data_arg = &seen;
    struct measured began = measure_begin(l);
    for (uint64_t sent = 0; seen.n < seen.max;) {
        uint64_t due = (now_ns() - began.ns) * l->o.rate / 1000000000u;
        for (; sent < l->o.messages && sent < due; sent++)
            publish_stamped(l);
        if (sent == l->o.messages)
            load_must_pump(l, "messages are missing");
        else
            load_pump(l, 1);
    }
    struct measured took = measure_end(l, began);
    qsort(seen.ns, seen.n, sizeof *seen.ns, by_value);
    printf("{\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"max_ms\":%.3f,\"cpu_us_per_delivery\":%.3f}\n", (double)seen.ns[seen.n / 2] / 1e6,
           (double)seen.ns[seen.n * 99 / 100] / 1e6, (double)seen.ns[seen.n - 1] / 1e6, (double)took.cpu_ns / 1e3 / (double)seen.n);
    return 0;
}

/* ---- resume ---- */

/* Messages to be resumed begin with N=1;, N=2; …: each subscriber must see each of them once, in order. */
static void on_numbered(void *arg, struct peer *peer, const char *payload, size_t len)
{
    const char *number = memmem(payload, len, "N=", 2);
    (void)arg;
    if (!number || strtoull(number + 2, NULL, 10) != ++peer->next)
        die_saying("a message is missing, came twice or out of order");
}

int mode_resume(struct load *l)
{
    l->on_data = on_numbered;
    struct measured began = measure_begin(l);
    load_open_subs(l, "bench", l->o.n);
    while (l->received < l->o.expect * l->o.n)
        load_must_pump(l, "messages are missing");
    struct measured took = measure_end(l, began);
    printf("{\"seconds\":%.3f,\"cpu_s\":%.3f,\"messages\":%lu}\n", (double)took.ns / 1e9, (double)took.cpu_ns / 1e9, l->received);
    return 0;
}
