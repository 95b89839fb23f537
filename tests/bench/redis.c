/* What a publish through Redis costs the hub: `depth` of them under way at a time, over 100 channels, by the bus as the hub has it.
 *
 *   redis SOCKET DEPTH COUNT BYTES [watch]      prints a line of CSV: depth, publishes per second, µs of the hub's CPU for each
 *
 * Beside it stands redis-benchmark with the same script (rows_redis.mjs). With `watch` they are also listened to. */
#include "hub/base/clock.h"
#include "hub/config/config.h"
#include "redis/bus/redis_bus.h"

#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

enum { BENCH_CHANNELS = 100 };

struct bench {
    struct event_base   *base;
    struct redis_bus    *bus;
    struct config        config;
    struct publish_call *calls;
    unsigned             depth, count, sent, answered, failed, came, watching;
    bool                 watch, live;
    char                *text;
    int64_t              began_us, cpu_us;
};

static int64_t cpu_us(void)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000 + used.ru_utime.tv_usec + used.ru_stime.tv_usec;
}

static void send_next(struct bench *bench, struct publish_call *call)
{
    char channel[32];
    int n = snprintf(channel, sizeof channel, "bench.%06u", bench->sent++ % BENCH_CHANNELS);
    *call = (struct publish_call){ .msg = msg_new(&(struct msg_parts){ .channel = slice(channel, (size_t)n), .kind = MSG_TEXT,
                                                                      .data = slice_of(bench->text) }) };
    call->call.owner = bench;
    redis_bus_publish(bench->bus, call, &bench->config.general_rule);
}

static bool is_over(const struct bench *bench)
{
    return bench->answered == bench->count && (!bench->watch || bench->came >= bench->count);
}

static void on_answer(void *owner, struct call *call, int err)
{
    struct bench *bench = owner;
    if (call->owner != bench) {      /* of watch */
        if (++bench->watching == BENCH_CHANNELS)
            event_base_loopbreak(bench->base);
        return;
    }
    struct publish_call *publish = (struct publish_call *)call;
    bench->failed += err != 0;
    bench->answered++;
    msg_unref(publish->msg);
    if (bench->sent < bench->count)
        send_next(bench, publish);
    if (is_over(bench))
        event_base_loopbreak(bench->base);
}

static void on_live(void *owner, struct position head)
{
    struct bench *bench = owner;
    (void)head;
    bench->live = true;
    event_base_loopbreak(bench->base);
}
static void on_away(void *owner, const char *why)              { (void)owner; fprintf(stderr, "away: %s\n", why); }
static void on_head(void *owner, struct position head)         { (void)owner; (void)head; }
static void on_refused(void *owner, const char *why)           { (void)owner; fprintf(stderr, "refused: %s\n", why ? why : "no more"); }
static void on_behind(void *owner, struct slice channel)       { (void)owner; (void)channel; }
static void on_purged(void *owner)                             { (void)owner; }
static void on_message(void *owner, struct msg *m)
{
    struct bench *bench = owner;
    bench->came++;
    msg_unref(m);
    if (is_over(bench))
        event_base_loopbreak(bench->base);
}

static const struct redis_bus_ops ops = { .live = on_live, .head = on_head, .away = on_away, .refused = on_refused, .message = on_message, .behind = on_behind, .purged = on_purged,
                                          .answer = on_answer };

int main(int argc, char **argv)
{
    static struct watch_call watching[BENCH_CHANNELS];
    static char names[BENCH_CHANNELS][32];
    struct bench bench = { .config = { .general_rule = { .pattern = "", .history_size = 100, .history_bytes = 1 << 20, .history_ttl_ms = 300000 } } };
    struct redis_url url;
    char text[300];
    if (argc < 5)
        return 2;
    signal(SIGPIPE, SIG_IGN);
    snprintf(text, sizeof text, "unix:%s", argv[1]);
    bench.depth = (unsigned)atoi(argv[2]);
    bench.count = (unsigned)atoi(argv[3]);
    bench.watch = argc > 5;
    bench.text = calloc(1, (size_t)atoi(argv[4]) + 1);
    bench.calls = calloc(bench.depth, sizeof *bench.calls);
    memset(bench.text, 'x', (size_t)atoi(argv[4]));
    if (redis_url_read(slice_of(text), &url))
        return 2;
    bench.base = event_base_new();
    bench.bus = redis_bus_new(&(struct redis_bus_setup){ .link = { .base = bench.base, .url = &url, .connect_ms = 1000, .command_ms = 10000 },
        .config = &bench.config, .prefix = "bench", .meta_ms = 600000, .index_length = REDIS_INDEX_LENGTH, .ops = &ops, .owner = &bench });
    redis_bus_open(bench.bus);
    while (!bench.live)
        event_base_dispatch(bench.base);
    for (unsigned i = 0; i < BENCH_CHANNELS && bench.watch; i++) {
        int n = snprintf(names[i], sizeof names[i], "bench.%06u", i);
        watching[i] = (struct watch_call){ .channel = slice(names[i], (size_t)n) };
        redis_bus_subscribe(bench.bus, &watching[i]);
    }
    if (bench.watch)
        event_base_dispatch(bench.base);
    bench.began_us = clock_mono_us();
    bench.cpu_us = cpu_us();
    for (unsigned i = 0; i < bench.depth; i++)
        send_next(&bench, &bench.calls[i]);
    event_base_dispatch(bench.base);
    int64_t took = clock_mono_us() - bench.began_us, cpu = cpu_us() - bench.cpu_us;
    printf("%u,%.0f,%.2f,%u\n", bench.depth, bench.count * 1e6 / (double)took, (double)cpu / bench.count, bench.failed);
    redis_bus_free(bench.bus);
    redis_url_fini(&url);
    event_base_free(bench.base);
    free(bench.calls);
    free(bench.text);
    return bench.failed > 0;
}
