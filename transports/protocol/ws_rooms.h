/* ws_rooms.h — the commands of rooms (PROTOCOL.md, "Signaling"): what a client says becomes a call to the hub (hub/rooms.h), or one that
 * is relayed as the bytes it came in, without the members that are the hub's to say.
 *
 * Threading: the edge's thread. Limits: rooms.max_signal and its like; while a join is not answered nothing more is read. */
#pragma once
#include "transports/protocol/ws_command.h"

run_fn run_join, run_leave, run_offer, run_answer, run_candidate, run_signal, run_broadcast, run_state, run_kick, run_ice_servers;
