/* redis_event.h — events on their way into the queue that all nodes share (lua/queue.lua): with the message that they are of, or alone.
 *
 * Threading  the bus's. */
#pragma once
#include "redis/bus/redis_bus.h"

struct config;
struct hub_event;

/* What an event is and whom it is for, as scripts read it. */
void redis_event_pack(struct buf *out, const struct hub_event *event, const struct config *config);
enum { REDIS_NUMBER_TEXT = 16 };      /* of an endpoint, or a lane: so many hexadecimal digits */
void     redis_number_pack(struct buf *out, uint64_t number);
uint64_t redis_number_take(struct slice *rest);

/* As engine->tell says (hub/engine.h). */
void redis_bus_tell(struct redis_bus *bus, struct publish_call *call, uint64_t outbox);
