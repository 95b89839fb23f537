/* config_room.h — the table of room_rules.def at run time.
 *
 * Private to hub/config*.c and their tests. Threading: constants, any thread. */
#pragma once
#include "hub/config/config_rule.h"

enum {
#define ROOM_RULE(member, key, from, what) ROOM_RULE_KEY_##member,
#include "hub/config/room_rules.def"
#undef ROOM_RULE
    ROOM_RULE_KEYS
};

extern const struct rule_key room_rule_keys[ROOM_RULE_KEYS];
