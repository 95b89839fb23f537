/* redis_spoke.h — with redis.url, Redis is the engine of the hub (hub/engine.h): the bus, its life, and what health and metrics say of it.
 * Without, it does nothing. Listed before the spokes that have threads: they ask the hub for what comes from here. */
#pragma once

extern const struct spoke redis_spoke;
