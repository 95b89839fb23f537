#include "hub/metrics.h"

#include "hub/base/buf.h"
#include "hub/version.h"

#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* Upper bounds of the histograms, in microseconds; the last bucket has none. */
static const int64_t bounds_us[] = { 50, 100, 250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000, 2500000, 5000000, 10000000 };
enum { BOUNDS = sizeof bounds_us / sizeof *bounds_us };

/* Only its thread writes; whoever prints reads. Relaxed everywhere: each number is right, together they are of about now. */
struct counters {
    struct counters *next;
    _Atomic int64_t  value[METRICS];
    struct histogram { _Atomic int64_t bucket[BOUNDS + 1], sum_us; } times[METRIC_TIMES];
};

static pthread_mutex_t   lock = PTHREAD_MUTEX_INITIALIZER;
static struct counters  *all;      /* under the lock; never shrinks */
static _Thread_local struct counters *mine;

static struct counters *counters_new(void)
{
    struct counters *c = calloc(1, sizeof *c);
    if (!c)
        abort();     /* once per thread, at its start */
    pthread_mutex_lock(&lock);
    c->next = all;
    all = c;
    pthread_mutex_unlock(&lock);
    return mine = c;
}

/* One writer: a load and a store are enough, and cheaper than an atomic add. */
static void add(_Atomic int64_t *value, int64_t n)
{
    atomic_store_explicit(value, atomic_load_explicit(value, memory_order_relaxed) + n, memory_order_relaxed);
}

void metric_add(enum metric metric, int64_t n)
{
    struct counters *c = mine ? mine : counters_new();
    add(&c->value[metric], n);
}

void metric_set(enum metric metric, int64_t value)
{
    struct counters *c = mine ? mine : counters_new();
    atomic_store_explicit(&c->value[metric], value, memory_order_relaxed);
}

/* Both are in the order of rates.def. */
void metric_rate_limited(unsigned limit) { metric_add((enum metric)(METRIC_rate_publishes_per_connection + limit), 1); }

void metric_time_us(enum metric_time which, int64_t microseconds)
{
    struct counters *c = mine ? mine : counters_new();
    size_t i = 0;
    while (i < BOUNDS && microseconds > bounds_us[i])
        i++;
    add(&c->times[which].bucket[i], 1);
    add(&c->times[which].sum_us, microseconds);
}

/* All threads' values of the counter that lies `offset` bytes into struct counters. */
static int64_t sum_at(size_t offset)
{
    int64_t sum = 0;
    pthread_mutex_lock(&lock);
    for (struct counters *c = all; c; c = c->next)
        sum += atomic_load_explicit((_Atomic int64_t *)(void *)((char *)c + offset), memory_order_relaxed);
    pthread_mutex_unlock(&lock);
    return sum;
}

int64_t metric_sum(enum metric metric)
{
    return sum_at(offsetof(struct counters, value) + (size_t)metric * sizeof(int64_t));
}

/* ---- Prometheus text format 0.0.4 ---- */

enum metric_type { COUNTER, GAUGE, AGE };

static const struct metric_info {
    enum metric_type type;
    const char *family, *labels, *help;
} infos[METRICS] = {
#define METRIC(name, type, family, labels, help) { type, family, labels, help },
#include "hub/metrics.def"
#undef METRIC
};

static void add_head(struct buf *out, const char *family, const char *type, const char *help)
{
    buf_addf(out, "# HELP %s %s\n# TYPE %s %s\n", family, help, family, type);
}

static void add_value(struct buf *out, enum metric_type type, int64_t value, int64_t now_ms)
{
    if (type == AGE)
        buf_addf(out, "%.3f\n", value > 0 && value < now_ms ? (double)(now_ms - value) / 1e3 : 0.0);
    else
        buf_addf(out, "%lld\n", (long long)value);
}

static void add_table(struct buf *out)
{
    const char *family = "";
    struct timespec wall;
    clock_gettime(CLOCK_REALTIME, &wall);
    int64_t now_ms = (int64_t)wall.tv_sec * 1000 + wall.tv_nsec / 1000000;
    for (int i = 0; i < METRICS; i++) {
        const struct metric_info *info = &infos[i];
        if (strcmp(info->family, family))
            add_head(out, info->family, info->type == COUNTER ? "counter" : "gauge", info->help);
        family = info->family;
        buf_addf(out, info->labels[0] ? "%s{%s} " : "%s%s ", info->family, info->labels);
        add_value(out, info->type, metric_sum((enum metric)i), now_ms);
    }
}

static void add_histogram(struct buf *out, enum metric_time which)
{
    static const struct { const char *family, *help; } of[METRIC_TIMES] = {
        [TIME_PUBLISH] = { "carillon_publish_seconds", "time from a publish's arrival to its answer" },
        [TIME_RELAY] = { "carillon_room_relay_seconds", "time from the arrival of a member's frame to when it is on its way to a receiver" },
        [TIME_ATTEMPT] = { "carillon_webhook_attempt_seconds", "time of an attempt to deliver a webhook, from its beginning to its end" },
        [TIME_DELIVERY] = { "carillon_webhook_delivery_seconds", "time from an event to its arrival, for each delivery that has arrived" },
    };
    const char *family = of[which].family;
    size_t at = offsetof(struct counters, times) + which * sizeof(struct histogram);
    int64_t below = 0;
    add_head(out, family, "histogram", of[which].help);
    for (size_t i = 0; i <= BOUNDS; i++) {
        below += sum_at(at + offsetof(struct histogram, bucket) + i * sizeof(int64_t));
        if (i < BOUNDS)
            buf_addf(out, "%s_bucket{le=\"%g\"} %lld\n", family, (double)bounds_us[i] / 1e6, (long long)below);
        else
            buf_addf(out, "%s_bucket{le=\"+Inf\"} %lld\n", family, (long long)below);
    }
    buf_addf(out, "%s_sum %.6f\n", family, (double)sum_at(at + offsetof(struct histogram, sum_us)) / 1e6);
    buf_addf(out, "%s_count %lld\n", family, (long long)below);
}

static long open_files(void)
{
    DIR *dir = opendir("/proc/self/fd");
    long n = -3;     /* ".", ".." and the directory itself */
    if (!dir)
        return 0;
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

/* Seconds since 1970 when the machine started: what /proc counts a process's start from. */
static double boot_time(void)
{
    struct timespec wall, boot;
    clock_gettime(CLOCK_REALTIME, &wall);
    clock_gettime(CLOCK_BOOTTIME, &boot);
    return (double)(wall.tv_sec - boot.tv_sec) + (double)(wall.tv_nsec - boot.tv_nsec) / 1e9;
}

/* proc(5), /proc/pid/stat: fields 14, 15 (CPU ticks), 22 (start, ticks since boot), 23 (bytes), 24 (pages). */
static void add_process(struct buf *out)
{
    unsigned long user = 0, system = 0, vsize = 0;
    unsigned long long start = 0;
    long resident = 0;
    double tick = (double)sysconf(_SC_CLK_TCK);
    char line[1024] = "";
    FILE *stat = fopen("/proc/self/stat", "re");
    size_t len = stat ? fread(line, 1, sizeof line - 1, stat) : 0;
    if (stat)
        fclose(stat);
    line[len] = '\0';
    const char *after_name = strrchr(line, ')');     /* a name may have spaces and brackets */
    if (!after_name || sscanf(after_name + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %*d %*d %*d %*d %*d %*d %llu %lu %ld",
                              &user, &system, &start, &vsize, &resident) != 5)
        return;
    add_head(out, "process_cpu_seconds_total", "counter", "user and system CPU time");
    buf_addf(out, "process_cpu_seconds_total %.2f\n", (double)(user + system) / tick);
    add_head(out, "process_resident_memory_bytes", "gauge", "resident memory");
    buf_addf(out, "process_resident_memory_bytes %lld\n", (long long)resident * sysconf(_SC_PAGESIZE));
    add_head(out, "process_virtual_memory_bytes", "gauge", "virtual memory");
    buf_addf(out, "process_virtual_memory_bytes %lu\n", vsize);
    add_head(out, "process_start_time_seconds", "gauge", "start time, seconds since 1970");
    buf_addf(out, "process_start_time_seconds %.2f\n", boot_time() + (double)start / tick);
    add_head(out, "process_open_fds", "gauge", "open file descriptors");
    buf_addf(out, "process_open_fds %ld\n", open_files());
    add_head(out, "process_max_fds", "gauge", "most file descriptors that may be open");
    buf_addf(out, "process_max_fds %ld\n", sysconf(_SC_OPEN_MAX));
}

void metrics_print(struct buf *out)
{
    add_table(out);
    for (int i = 0; i < METRIC_TIMES; i++)
        add_histogram(out, (enum metric_time)i);
    add_process(out);
    add_head(out, "carillon_build_info", "gauge", "always 1; what is running");
    buf_add_str(out, "carillon_build_info{version=\"" CARILLON_VERSION "\"} 1\n");
}
