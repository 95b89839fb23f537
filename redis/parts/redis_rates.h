/* redis_rates.h — limits of rate that hold over all nodes: tells Redis what was taken of shared buckets here, and the buckets what was
 * taken everywhere (hub/base/buckets.h; rates.lua does the sum).
 *
 *   rates_take (any thread) ── at once, by what is known here ──> 0 or refused
 *        └─ a portion was taken ─wake─> report ─rates.lua─> debts ──> buckets_reported
 *           each second: the rest ──────┘
 *
 * Nobody waits for Redis. A user on one node gets exactly what he would get of a hub alone. Over several nodes each may give away, of
 * what others have taken, an eighth of the bucket and what is asked of it during one round trip; that is waited for afterwards, so that in
 * the long run the rate holds. While Redis is away each node goes by its own bucket: availability before exactness.
 *
 * Lifetime   redis_rates_new before redis_bus_open and the threads … redis_rates_free after redis_bus_free and their end.
 * Threading  the hub's, but for the wake.
 * Limits     RATE_REPORTS buckets in a call of the script, RATE_CALLS calls under way; a bucket is in one each BUCKET_GAP_MS at most, and
 *            each second at least while more than a trifle is taken. In Redis 164 bytes per bucket that is not full. */
#pragma once

struct buckets;
struct event_base;
struct redis_bus;
struct redis_rates;

enum { RATE_REPORTS = 64, RATE_CALLS = 16 };

struct redis_rates *redis_rates_new(struct event_base *base, struct redis_bus *bus, struct buckets *buckets);      /* NULL: no memory */
void                redis_rates_free(struct redis_rates *rates);      /* NULL is fine */
