/* metrics.h — counters of one table (metrics.def), each thread its own, summed when somebody looks.
 *
 * metric_add() is one relaxed add on memory of the calling thread: cheap enough for every send. Gauges are added to and
 * subtracted from; the sum over threads is what is open.
 * Threading: metric_add any thread; a thread's counters are made at its first add and live on after it ends.
 * metrics_print: any thread. */
#pragma once
#include <stdint.h>
struct buf;

enum metric {
#define METRIC(name, type, family, labels, help) METRIC_##name,
#include "hub/metrics.def"
#undef METRIC
    METRICS
};

void    metric_add(enum metric metric, int64_t n);
int64_t metric_sum(enum metric metric);
/* Of a gauge, or an age (wall clock, ms, when it began; 0: nothing has), that only one thread writes. */
void    metric_set(enum metric metric, int64_t value);
/* A limit of [rates] has refused something: RATE_LIMIT_… (config.h). */
void    metric_rate_limited(unsigned limit);
/* Histograms: from a publish's arrival at the API or edge to its answer; of an attempt to deliver a webhook; from an event to its arrival; from a
 * relayed frame's arrival at an edge to when its receiver's edge has it. */
enum metric_time { TIME_PUBLISH, TIME_ATTEMPT, TIME_DELIVERY, TIME_RELAY, METRIC_TIMES };
void    metric_time_us(enum metric_time which, int64_t microseconds);
void    metrics_print(struct buf *out);      /* Prometheus text format 0.0.4, with process_* and build info */
