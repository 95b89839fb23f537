/* memory.h — the guard of all memory together (limits.memory): says no before the kernel kills the process.
 *
 * What a client can grow has its own bound each, but many clients within their bounds may be more than the machine has. So
 * once a second, and whenever history has grown by a thirty-second of the limit, the resident memory of the process is
 * looked up (a read of /proc/self/statm, some microseconds). There are three levels:
 *
 *   ENOUGH ─above limits.memory─> SHORT ─above it by an eighth, or half of the reserve used (reserve.h)─> OUT
 *      └<──below it by an eighth──┘                                                                 │
 *      └<──────────────────────────below again──────────────────────────────────────────────────────┘
 *
 *   SHORT   streams are told to come back later (SSE: 200, hub.bye; WebSocket: 503), publishes that history would keep get 503
 *           `busy`, readiness is red. Whoever is connected is served on.
 *   OUT     new public sockets are closed at accept as well.
 *
 * Each change is logged once. What malloc holds on to is given back by tidy.c, which is less patient while memory is short, else it
 * would stay short for ever.
 *
 * The kernel's socket buffers are not resident memory of the process: limits.memory should leave room for them, and the default
 * does.
 *
 * Threading  memory_check, memory_grew: the hub thread. memory_level: any. Lifetime: static. */
#pragma once
#include <stddef.h>

struct config;

enum memory_level { MEMORY_ENOUGH, MEMORY_SHORT, MEMORY_OUT };

enum memory_level memory_level(void);
void memory_check(const struct config *config);
/* History has `kept` bytes now: checks when that is much more than at the last check. Cheap otherwise. */
void memory_grew(const struct config *config, size_t kept);
