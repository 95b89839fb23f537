/* redis_members.h — who is in a channel, over all nodes (hub/presence.h): a part of the bus.
 *
 *   hub: a member is unsaid ─> say.lua, some hundred at once ─> Redis: how each stands, by lease ─> word: joined ─> every node ─> engine_member,
 *   node dies: its lease is buried (redis_nodes.h) ─> bury.lua ──┐                                                                where somebody asks
 *   last connection gone: grace ─> sweep.lua, by any node ───────┴─> word: left ──────────────────────────────────────────────────┘
 *
 * A script decides who joins and leaves, so that is told once, and alternates. Words are lost while a node is away; so each node knows of
 * the channels that are followed here who it has told (redis_halls.c), and after it is live again tells the difference.
 *
 * What is guaranteed: clients/PROTOCOL.md §6. Sayings are states, not changes: whatever is unknown after a loss is said again. When Redis
 * has lost some of it (seen by the number of changes that the lease had), the node takes another lease and says all.
 *
 * Lifetime   redis_members_new after the nodes and before redis_bus_open; redis_members_free after redis_bus_free, answers what waits.
 * Threading  the hub's.
 * Limits     the hub's members; BATCHES under way; LISTS questions under way (ERR_BUSY); a member of a channel that is followed costs about 170
 *            bytes and its info here. */
#pragma once
#include "hub/engine.h"
#include "redis/parts/redis_nodes.h"

struct redis_members;

struct redis_members_setup {
    struct redis_bus   *bus;
    struct redis_nodes *nodes;
    struct event_base  *base;
    struct hub         *hub;
    void              (*wake)(void *owner);      /* the hub has been told something: a turn is to follow */
    void               *owner;
};

struct redis_members *redis_members_new(const struct redis_members_setup *setup);      /* NULL: no memory */
void redis_members_free(struct redis_members *members);                                /* NULL is fine */

/* Of struct engine. */
void redis_members_say(struct redis_members *members);
void redis_members_follow(struct redis_members *members, struct slice channel, uint64_t hash, bool on);
void redis_members_list(struct redis_members *members, struct members_call *call);

/* A clean stop: what is left to say is said, then the lease is given back (redis_nodes_leave). */
void redis_members_leave(struct redis_members *members);
