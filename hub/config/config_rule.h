/* config_rule.h — the table of rules.def at run time.
 *
 * Private to hub/config*.c and their tests. Threading: constants, any thread. */
#pragma once
#include "hub/config/config_key.h"

struct rule_key {
    const char              *name, *what;
    size_t                   offset;      /* of its member in struct channel_rule */
    const struct config_key *general;     /* what gives it type, range and default; NULL: yes or no, with a default of its own */
    const char              *value;       /* that default, when general is NULL */
};

enum {
#define RULE(member, key, from, what) RULE_KEY_##member,
#include "hub/config/rules.def"
#undef RULE
    RULE_KEYS
};

extern const struct rule_key rule_keys[RULE_KEYS];

void rule_key_print(const struct rule_key *key, const struct channel_rule *rule, struct buf *out);
