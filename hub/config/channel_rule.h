/* channel_rule.h — what holds for a channel: its history, presence, slow readers, and who may do what at all.
 *
 *   [channel "chat.**"]             the first section whose pattern matches the channel's name is its rule; what that does not
 *   history.size = 1000             say, and channels that no section matches, have the general settings ([history], [presence],
 *   lag.policy   = latest           [lag], limits.message)
 *
 * rules.def is the table of keys. Rules only narrow what grants allow: `publish = no` holds whatever a token says.
 *
 * Lifetime   a rule lives as long as the snapshot it came from. Whoever keeps a pointer asks again when settings are reloaded.
 * Threading  constants, any thread.
 * Limits     CHANNEL_RULES_MAX; finding a rule looks at each pattern before it once: keep the pointer where it is asked often. */
#pragma once
#include "hub/base/buf.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct config;

enum { CHANNEL_RULES_MAX = 1000 };

enum lag_policy { LAG_DISCONNECT, LAG_SKIP, LAG_LATEST };   /* lag.policy, the strictest first (EXACT.md 16) */

struct channel_rule {
    const char     *pattern;            /* "": the rule of channels that no section matches */
    const char     *where;              /* carillon.ini:12, the line of its heading; "" of that rule */
    size_t          history_size;       /* any of these three 0: no history (rule_keeps) */
    size_t          history_bytes;
    int64_t         history_ttl_ms;
    bool            presence;
    bool            presence_events;
    int64_t         presence_grace_ms;
    enum lag_policy lag_policy;
    size_t          lag_bytes;          /* 0: as far as history reaches */
    size_t          message;            /* bytes of one payload */
    bool            publish;            /* clients may, where their grants allow it; API keys on the API always may */
    bool            anonymous;          /* clients without credentials may, where [access] allows it */
    bool            last;               /* who subscribes by name and without a position first gets the newest message */
};

/* It keeps messages: its channels can be resumed. */
static inline bool rule_keeps(const struct channel_rule *rule)
{
    return rule->history_size > 0 && rule->history_ttl_ms > 0 && rule->history_bytes > 0;
}

/* The first that matches, else the general one. Never NULL. */
const struct channel_rule *config_channel_rule(const struct config *config, struct slice channel);
/* Of all rules that channels matching `pattern` may have: the one with the strictest lag.policy, among equal ones that with the least
 * lag.bytes (EXACT.md 16). An exact name is a pattern: then it is config_channel_rule's. Never NULL. */
const struct channel_rule *config_pattern_rule(const struct config *config, struct slice pattern);
/* May a channel that matches have history? Have none? An exact name is a pattern too. */
bool config_pattern_keeps(const struct config *config, struct slice pattern);
bool config_pattern_loses(const struct config *config, struct slice pattern);
/* May somebody without credentials use every channel that matches, as far as the rules say? */
bool config_pattern_anonymous(const struct config *config, struct slice pattern);
/* Which section does the channel's rule come from, and what does it say? For people: carillon check-config --channel. */
void config_rule_explain(const struct config *config, struct slice channel, struct buf *out);

/* Makes config->general_rule of the general settings. Loading does; tests that change those members of a copy do it again. */
void config_general_rule(struct config *config);
