/* redis_rooms.h — rooms over all nodes (hub/rooms.h): a part of the bus.
 *
 *   a call of a member here ──> room_join, room_say, room_leave.lua ──> Redis: who is in the room, what each was told
 *                                        │ reply: the answer                 └ word to the node of each member that is told something
 *   API ──────────────────────> room_admin, rooms.lua                                │
 *                                                                                    v
 *   room_say ──mail──> edge <── a seat: in order of seq ──────────────────────── word(part)
 *
 * Nobody owns a room: each script does all of what is asked, and what it tells has its number (seq) from there. A script keeps what a member was
 * told before it sends the word. So a node that has missed words, because it was away or because their order was broken, asks for what is
 * kept (room_seats.lua), and nobody notices; a hub may end at any moment, and its members come back on another.
 *
 * A seat is a connection of this node in a room:
 *
 *   join ─> (joining) ─ok─> LIVE ──words are missing · live again · it takes more again──> ASKS ──room_seats.lua──> LIVE
 *                            └─ its edge has too much mail: BEHIND in Redis, which keeps for it, and lets senders know when that is full
 *
 * While Redis is away members hear nothing, and what they ask is redis_away. A node that lost its lease finds its members away, or gone, and
 * takes them back with the new one. What is gone (Redis has lost it, or was away for longer than they may be) is told by closing the connection:
 * ERR_ROOM_LOST; its client comes back by itself.
 *
 * Lifetime   redis_rooms_new after the nodes and before redis_bus_open; redis_rooms_free after redis_bus_free. Calls under way then are answered.
 * Threading  the hub's.
 * Limits     rooms.queue and rooms.queue_bytes for each member in Redis (there is no bound for all of them together but Redis's own); a seat about
 *            250 bytes here and 500 in Redis, and what members say of themselves. */
#pragma once
#include "hub/rooms.h"
#include "redis/parts/redis_nodes.h"

struct redis_rooms;

struct redis_rooms_setup {
    struct redis_bus    *bus;
    struct redis_nodes  *nodes;
    struct hub          *hub;
    const struct config *config;
    bool               (*sweeps)(void *owner);      /* of all nodes this is the one that does what one does for all */
    void               (*wake)(void *owner);        /* a turn of the hub is to follow */
    void                *owner;
};

struct redis_rooms *redis_rooms_new(const struct redis_rooms_setup *setup);      /* NULL: no memory */
void redis_rooms_free(struct redis_rooms *rooms);                                /* NULL is fine */
void redis_rooms_reconfigure(struct redis_rooms *rooms, const struct config *config);
struct rooms_port *redis_rooms_port(struct redis_rooms *rooms);
