/* config_rule.c — the [channel "PATTERN"] sections: read, found by channel, and told about.
 *
 * A heading begins a rule, its lines are read when all general settings are known, because they are what a rule leaves unsaid. */
#include "hub/base/name.h"
#include "hub/base/nearest.h"
#include "hub/config/config_load.h"
#include "hub/config/config_rule.h"
#include "hub/config/config_value.h"

#define GENERAL(key)  .general = &config_keys[CONFIG_KEY_##key]
#define OWN(text)     .general = NULL, .value = text
const struct rule_key rule_keys[RULE_KEYS] = {
#define RULE(member, key, from, w) { .name = key, .what = w, .offset = offsetof(struct channel_rule, member), from },
#include "hub/config/rules.def"
#undef RULE
};
#undef GENERAL
#undef OWN

static const struct config_key own_key = { .type = CONFIG_BOOL };     /* how OWN keys are read and printed */

static const struct config_key *type_of(const struct rule_key *key) { return key->general ? key->general : &own_key; }

void rule_key_print(const struct rule_key *key, const struct channel_rule *rule, struct buf *out)
{
    config_value_print_from(type_of(key), (const char *)rule + key->offset, out);
}

/* ---- the general rule ---- */

static size_t size_of(enum config_type type)
{
    switch (type) {
    case CONFIG_DURATION: return sizeof(int64_t);
    case CONFIG_BOOL:     return sizeof(bool);
    case CONFIG_ENUM:     return sizeof(enum lag_policy);
    default:              return sizeof(size_t);
    }
}

static void find_most(struct config *config)
{
    config->message_most = config->general_rule.message;
    config->last_any = config->general_rule.last;
    config->history_most_ms = config->general_rule.history_ttl_ms;
    for (size_t i = 0; i < config->rule_count; i++) {
        config->last_any |= config->rules[i].last;
        if (config->message_most < config->rules[i].message)
            config->message_most = config->rules[i].message;
        if (config->history_most_ms < config->rules[i].history_ttl_ms)
            config->history_most_ms = config->rules[i].history_ttl_ms;
    }
}

void config_general_rule(struct config *config)
{
    struct channel_rule *rule = &config->general_rule;
    *rule = (struct channel_rule){ .pattern = "", .where = "" };
    for (size_t i = 0; i < RULE_KEYS; i++) {
        const struct rule_key *key = &rule_keys[i];
        void *member = (char *)rule + key->offset;
        if (key->general)
            memcpy(member, (const char *)config + key->general->offset, size_of(key->general->type));
        else
            *(bool *)member = !strcmp(key->value, "true");
    }
    find_most(config);
}

/* ---- reading ---- */

static struct channel_rule *find_begun(struct config_loader *loader, const char *pattern)
{
    for (size_t i = 0; i < loader->rule_count; i++)
        if (!strcmp(loader->rules[i].pattern, pattern))
            return &loader->rules[i];
    return NULL;
}

static struct channel_rule *new_rule(struct config_loader *loader)
{
    if (loader->rule_count == loader->rule_cap) {
        size_t cap = loader->rule_cap ? 2 * loader->rule_cap : 16;
        struct channel_rule *rules = snapshot_alloc(loader->snapshot, cap * sizeof *rules);
        if (loader->rule_count)
            memcpy(rules, loader->rules, loader->rule_count * sizeof *rules);
        loader->rules = rules;
        loader->rule_cap = cap;
    }
    return &loader->rules[loader->rule_count++];
}

void config_rule_begin(struct config_loader *loader, const char *title, const char *where)
{
    if (!*title)
        loader_error(loader, where, "a rule says for which channels it is: [channel \"chat.**\"]");
    else if (pattern_check(slice_of(title)))
        loader_error(loader, where, "channel \"%s\" is not a pattern: segments parted by dots, * for one segment, ** at the end for one or more",
                     title);
    else if (find_begun(loader, title))
        loader_error(loader, where, "channel \"%s\" has a section already, at %s", title, find_begun(loader, title)->where);
    else if (loader->rule_count == CHANNEL_RULES_MAX)
        loader_error(loader, where, "more than %d rules; write fewer, with wider patterns", CHANNEL_RULES_MAX);
    else
        *new_rule(loader) = (struct channel_rule){
            .pattern = snapshot_copy(loader->snapshot, slice_of(title)), .where = snapshot_copy(loader->snapshot, slice_of(where)) };
}

static const struct rule_key *find_key(const char *name)
{
    for (size_t i = 0; i < RULE_KEYS; i++)
        if (!strcmp(rule_keys[i].name, name))
            return &rule_keys[i];
    return NULL;
}

static void tell_unknown(struct config_loader *loader, const struct config_entry *entry)
{
    const char *names[RULE_KEYS];
    for (size_t i = 0; i < RULE_KEYS; i++)
        names[i] = rule_keys[i].name;
    const char *meant = nearest(entry->name, names, RULE_KEYS);
    loader_error(loader, entry->where, "channel \"%s\": %.80s is not a setting of channels; %s%s%s", entry->title, entry->name,
                 meant ? "did you mean " : "carillon help channel shows those there are", meant ? meant : "", meant ? "?" : "");
}

static void read_line(struct config_loader *loader, const struct config_entry *entry)
{
    struct channel_rule *rule = find_begun(loader, entry->title);
    const struct rule_key *key = find_key(entry->name);
    struct buf why = { 0 };
    if (!key)
        tell_unknown(loader, entry);
    else if (!*entry->title)
        loader_error(loader, entry->where, "a rule stands in the file of settings, below [channel \"PATTERN\"]");
    else if (rule && config_value_read_into(loader->snapshot, type_of(key), entry->value, (char *)rule + key->offset, &why))
        loader_error(loader, entry->where, "channel \"%s\": %s: \"%.100s\" %.*s", entry->title, key->name, entry->value, (int)why.len,
                     buf_slice(&why).at);
    buf_fini(&why);
}

/* A rule behind one that matches all that it matches is a slip of the pen: the narrow ones come first. */
static void note_shadowed(struct config_loader *loader)
{
    for (size_t i = 1; i < loader->rule_count; i++)
        for (size_t before = 0; before < i; before++)
            if (pattern_covers(slice_of(loader->rules[before].pattern), slice_of(loader->rules[i].pattern))) {
                buf_addf(&loader->report->notes, "%s: [channel \"%s\"] never counts: [channel \"%s\"] at %s comes first\n",
                         loader->rules[i].where, loader->rules[i].pattern, loader->rules[before].pattern, loader->rules[before].where);
                break;
            }
}

void config_rules_read(struct config_loader *loader)
{
    struct config *config = &loader->snapshot->config;
    config_general_rule(config);
    for (size_t i = 0; i < loader->rule_count; i++) {
        struct channel_rule *rule = &loader->rules[i], named = *rule;
        *rule = config->general_rule;
        rule->pattern = named.pattern;
        rule->where = named.where;
    }
    for (size_t i = 0; i < loader->entry_count; i++)
        if (!strcmp(loader->entries[i].section, "channel"))
            read_line(loader, &loader->entries[i]);
    note_shadowed(loader);
    config->rules = loader->rules;
    config->rule_count = loader->rule_count;
    find_most(config);
}

/* ---- finding ---- */

const struct channel_rule *config_channel_rule(const struct config *config, struct slice channel)
{
    for (size_t i = 0; i < config->rule_count; i++)
        if (pattern_matches(slice_of(config->rules[i].pattern), channel))
            return &config->rules[i];
    return &config->general_rule;
}

/* The next rule at or after *at that a channel matching `pattern` may have; NULL: there is none left. */
static const struct channel_rule *next_possible(const struct config *config, struct slice pattern, size_t *at)
{
    while (*at < config->rule_count) {
        const struct channel_rule *rule = &config->rules[(*at)++];
        if (!pattern_overlaps(slice_of(rule->pattern), pattern))
            continue;
        if (pattern_covers(slice_of(rule->pattern), pattern))
            *at = config->rule_count + 1;      /* no channel of `pattern` comes further */
        return rule;
    }
    return (*at)++ == config->rule_count ? &config->general_rule : NULL;
}

static bool is_stricter(const struct channel_rule *a, const struct channel_rule *b)
{
    if (a->lag_policy != b->lag_policy)
        return a->lag_policy < b->lag_policy;
    return a->lag_bytes - 1 < b->lag_bytes - 1;      /* 0 is the most */
}

const struct channel_rule *config_pattern_rule(const struct config *config, struct slice pattern)
{
    size_t at = 0;
    const struct channel_rule *strictest = next_possible(config, pattern, &at);
    for (const struct channel_rule *rule; (rule = next_possible(config, pattern, &at));)
        if (is_stricter(rule, strictest))
            strictest = rule;
    return strictest;
}

static bool any_possible(const struct config *config, struct slice pattern, bool keeps)
{
    size_t at = 0;
    for (const struct channel_rule *rule; (rule = next_possible(config, pattern, &at));)
        if (rule_keeps(rule) == keeps)
            return true;
    return false;
}

bool config_pattern_keeps(const struct config *config, struct slice pattern) { return any_possible(config, pattern, true); }
bool config_pattern_loses(const struct config *config, struct slice pattern) { return any_possible(config, pattern, false); }

bool config_pattern_anonymous(const struct config *config, struct slice pattern)
{
    size_t at = 0;
    for (const struct channel_rule *rule; (rule = next_possible(config, pattern, &at));)
        if (rule != &config->general_rule && !rule->anonymous)      /* only a section can say no */
            return false;
    return true;
}

/* ---- telling ---- */

static const struct config_entry *line_of(const struct config *config, const struct channel_rule *rule, const struct rule_key *key)
{
    for (size_t i = 0; *rule->pattern && i < config->entry_count; i++) {
        const struct config_entry *entry = &config->entries[i];
        if (!strcmp(entry->section, "channel") && !strcmp(entry->title, rule->pattern) && !strcmp(entry->name, key->name))
            return entry;
    }
    return NULL;
}

static void explain_value(const struct config *config, const struct channel_rule *rule, const struct rule_key *key, struct buf *out)
{
    const struct config_entry *line = line_of(config, rule, key);
    struct buf value = { 0 };
    rule_key_print(key, rule, &value);
    buf_addf(out, "  %-16s = %-12.*s ", key->name, (int)value.len, buf_slice(&value).at);
    if (line)
        buf_addf(out, "%s\n", line->where);
    else
        buf_addf(out, key->general ? "as %s\n" : "as everywhere\n", key->general ? key->general->name : NULL);
    buf_fini(&value);
}

void config_rule_explain(const struct config *config, struct slice channel, struct buf *out)
{
    const struct channel_rule *rule = config_channel_rule(config, channel);
    for (size_t i = 0; i < config->rule_count && &config->rules[i] != rule; i++)
        buf_addf(out, "%s: [channel \"%s\"] does not match\n", config->rules[i].where, config->rules[i].pattern);
    if (*rule->pattern)
        buf_addf(out, "%s: [channel \"%s\"] matches %.*s: its rule\n", rule->where, rule->pattern, (int)channel.len, channel.at);
    else
        buf_addf(out, "no [channel \"…\"] section matches %.*s: the general settings hold\n", (int)channel.len, channel.at);
    for (size_t i = 0; i < RULE_KEYS; i++)
        explain_value(config, rule, &rule_keys[i], out);
}
