/* room_rule.h — what holds for a room: how many it holds, who opens it, how long one may be away.
 *
 *   [room "class.**"]              the first section whose pattern matches the room's name is its rule; what that does not say, and
 *   capacity = 30                  rooms that no section matches, have the general settings ([rooms])
 *   create   = api
 *
 * room_rules.def is the table of keys.
 *
 * Lifetime   a rule lives as long as the snapshot it came from. Threading: constants, any thread.
 * Limits     ROOM_RULES_MAX; finding a rule looks at each pattern before it once. */
#pragma once
#include "hub/base/buf.h"

struct config;

enum { ROOM_RULES_MAX = 1000 };
enum room_create { CREATE_ANYBODY, CREATE_USERS, CREATE_API };      /* rooms.create */

struct room_rule {
    const char      *pattern;           /* "": the rule of rooms that no section matches */
    const char      *where;             /* carillon.ini:12, the line of its heading; "" of that rule */
    size_t           capacity;
    enum room_create create;
    int64_t          grace_ms;
    int64_t          empty_timeout_ms;
};

/* Makes config->general_room_rule of the general settings. Loading does; tests that change those members of a copy do it again. */
void config_general_room_rule(struct config *config);
const struct room_rule *config_room_rule(const struct config *config, struct slice room);
