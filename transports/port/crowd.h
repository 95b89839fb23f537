/* crowd.h — all public connections of this hub together: how many there are, how fast more may come in, and how long each of
 * them shall stay away when it is cut.
 *
 * Who is cut together comes back together, unless told otherwise beforehand: after a crash a client uses what it was told last. So
 * each connection is told a delay of its own when it begins (`retry:` of SSE, `retry_ms` of `welcome`), again with a heartbeat or ping
 * when the crowd has grown much since, and with its `bye`:
 *
 *   delay   sse.retry / 2 and a part of the spread, drawn by the connection's id: consecutive ids fall evenly
 *   spread  connections / (accept.per_second / 2), at least sse.retry, at most accept.max_spread
 *
 * Half of accept.per_second, so that a planned return meets no limit: while a hub is away those with short delays come in vain
 * and try again, and the first moment of its return brings more than an even share (about spread / e² later the surplus is largest,
 * an eighth of all, and accept.burst takes it).
 *
 * The gate lets accept.per_second sockets in, and accept.burst at once (GCRA, as in hub/base/buckets.h, with one bucket). It is asked
 * before anything is read or a TLS handshake begins, by the acceptor; for sockets of trusted proxies when their head has been read
 * (newcomer.c), because a proxy makes a 502 of a closed connection, and an EventSource gives up at that.
 *
 * Lifetime   embedded; from before the edges' threads start until after they have ended. All zero is empty.
 * Threading  any thread. */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct config;

struct crowd {
    atomic_uint      conns;        /* open ones of all edges */
    atomic_uint      draining;     /* how many there were when the drain began; 0: there is none */
    _Atomic int64_t  full_ns;      /* the gate: when its bucket is full again, on the mono clock */
    atomic_uint      refused;      /* by the gate, since that was logged last */
    _Atomic int64_t  told_ms;      /* when that was; 0: never */
};

void    crowd_enter(struct crowd *crowd);
void    crowd_leave(struct crowd *crowd);
/* They all go: from now on the spread is for as many as there are now. Again is fine. */
void    crowd_drain(struct crowd *crowd);

int64_t crowd_spread_ms(const struct crowd *crowd, const struct config *config);
/* How long the connection `id` shall stay away. The same while the spread is. */
int64_t crowd_delay_ms(const struct crowd *crowd, const struct config *config, uint64_t id);
/* The same for who is refused (the `n`th): it comes again later than who was served, because more would be too many now. */
int64_t crowd_put_off_ms(const struct crowd *crowd, const struct config *config, uint64_t n);
/* The spread in steps of a factor of √2, 0 … 63: what a connection was told is old when the step is another (crowd_step_is_old). */
uint8_t crowd_step(const struct crowd *crowd, const struct config *config);
/* Grown by a step at least, or shrunk to half: a crowd that wavers about a limit of a step is not told of again and again. */
bool    crowd_step_is_old(uint8_t told, uint8_t now);

/* One more socket? False: it is to be turned away, and has been counted and, rarely, logged. */
bool    crowd_admit(struct crowd *crowd, const struct config *config, int64_t now_ms);
