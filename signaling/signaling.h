/* signaling.h — the spoke that has the rooms: what edges and the API ask comes in by the port (hub/rooms.h), time by a timer of the loop. */
#pragma once
#include "hub/spoke.h"

extern const struct spoke signaling_spoke;      /* after webhooks, which are told of rooms; before those who ask */
