#include "redis/parts/redis_rates.h"

#include "hub/base/buckets.h"
#include "hub/base/clock.h"
#include "hub/metrics.h"
#include "redis/bus/redis_bus.h"
#include "redis/bus/redis_engine.h"

#include <event2/event.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define NS_PER_MS INT64_C(1000000)
#define NS_PER_US 1000.0
enum { PACKED = BUCKET_NAME + 3 * sizeof(double) };

struct redis_rates {
    struct redis_part part;          /* first */
    struct redis_bus *bus;
    struct buckets   *buckets;
    struct event     *woken, *later;
    int               fd;            /* written to by whoever took a portion */
    unsigned          calls;         /* under way */
    bool              live;
    bool              all;           /* the second's, and not all of them could be sent yet */
};

struct rates_call {
    struct redis_request request;    /* first */
    struct redis_rates  *rates;
    size_t               n;
    struct bucket_report at[RATE_REPORTS];
    char                 packed[RATE_REPORTS * PACKED];
};

static int64_t now_ns(void) { return clock_mono_ms(clock_real()) * NS_PER_MS; }

static void send_reports(struct redis_rates *rates);

/* Little endian, as the script reads it: so are the machines this runs on (store_block.h). */
static void pack(char *out, const struct bucket_report *report)
{
    double numbers[] = { (double)report->spent_ns / NS_PER_US, (double)report->own_ns / NS_PER_US, (double)report->whole_ns / NS_PER_US };
    memcpy(out, report->name, BUCKET_NAME);
    memcpy(out + BUCKET_NAME, numbers, sizeof numbers);
}

static void rates_args(struct redis_request *request, struct redis_args *args)
{
    struct rates_call *call = (struct rates_call *)request;
    for (size_t i = 0; i < call->n; i++)
        pack(call->packed + i * PACKED, &call->at[i]);
    redis_args_add(args, redis_bus_prefix(call->rates->bus));
    redis_args_add(args, slice(call->packed, call->n * PACKED));
}

static void end_call(struct rates_call *call, const double *debts_us)
{
    struct redis_rates *rates = call->rates;
    for (size_t i = 0; i < call->n; i++)
        if (debts_us)
            buckets_reported(rates->buckets, &call->at[i], (int64_t)(debts_us[i] * NS_PER_US));
        else
            buckets_unreported(rates->buckets, &call->at[i]);
    rates->calls--;
    free(call);
}

static void rates_answered(struct redis_request *request, int err, const struct redisReply *reply)
{
    struct rates_call *call = (struct rates_call *)request;
    struct redis_rates *rates = call->rates;
    double debts_us[RATE_REPORTS];
    struct slice packed = err ? SLICE("") : redis_reply_text(reply);
    bool good = packed.len == call->n * sizeof *debts_us;
    if (good)
        memcpy(debts_us, packed.at, packed.len);
    end_call(call, good ? debts_us : NULL);
    if (good)
        send_reports(rates);
}

/* False: there is nothing to be told, or it cannot be. */
static bool send_some(struct redis_rates *rates)
{
    struct rates_call *call = rates->calls < RATE_CALLS ? malloc(sizeof *call) : NULL;
    if (!call)
        return false;
    call->request = (struct redis_request){ .script = REDIS_RATES, .args = rates_args, .answered = rates_answered };
    call->rates = rates;
    call->n = buckets_report(rates->buckets, rates->all, now_ns(), RATE_REPORTS, call->at);
    rates->all &= call->n == RATE_REPORTS;
    if (call->n == 0) {
        free(call);
        return false;
    }
    metric_add(METRIC_redis_rates, (int64_t)call->n);
    rates->calls++;
    bool sent = redis_engine_run(redis_bus_engine(rates->bus), &call->request) == 0;
    if (!sent)
        end_call(call, NULL);
    return sent;
}

static void send_reports(struct redis_rates *rates)
{
    const struct timeval gap = { 0, BUCKET_GAP_MS * 1000 };
    while (rates->live && send_some(rates))
        continue;
    if (rates->live && buckets_due(rates->buckets))
        event_add(rates->later, &gap);
}

/* ---- when ---- */

static void wake(void *arg)      /* any thread */
{
    (void)!write(((struct redis_rates *)arg)->fd, &(uint64_t){ 1 }, sizeof(uint64_t));
}

static void on_woken(evutil_socket_t fd, short what, void *arg)
{
    uint64_t count;
    (void)what;
    (void)!read(fd, &count, sizeof count);
    send_reports(arg);
}

static void on_later(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    send_reports(arg);
}

static void on_tick(struct redis_part *part)
{
    struct redis_rates *rates = (struct redis_rates *)part;
    rates->all = true;
    send_reports(rates);
}

static void on_live(struct redis_part *part, bool is_new)
{
    struct redis_rates *rates = (struct redis_rates *)part;
    (void)is_new;
    rates->live = true;
    buckets_forgive(rates->buckets, now_ns());
    send_reports(rates);
}

static void on_away(struct redis_part *part) { ((struct redis_rates *)part)->live = false; }

struct redis_rates *redis_rates_new(struct event_base *base, struct redis_bus *bus, struct buckets *buckets)
{
    struct redis_rates *rates = calloc(1, sizeof *rates);
    if (!rates)
        return NULL;
    *rates = (struct redis_rates){ .part = { .kind = 'r', .live = on_live, .away = on_away, .tick = on_tick }, .bus = bus, .buckets = buckets };
    rates->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    rates->woken = rates->fd < 0 ? NULL : event_new(base, rates->fd, EV_READ | EV_PERSIST, on_woken, rates);
    rates->later = evtimer_new(base, on_later, rates);
    if (!rates->woken || !rates->later || event_add(rates->woken, NULL) || buckets_share(buckets, wake, rates)) {
        redis_rates_free(rates);
        return NULL;
    }
    redis_bus_add(bus, &rates->part);
    return rates;
}

void redis_rates_free(struct redis_rates *rates)
{
    if (!rates)
        return;
    if (rates->woken)
        event_free(rates->woken);
    if (rates->later)
        event_free(rates->later);
    if (rates->fd >= 0)
        close(rates->fd);
    free(rates);
}
