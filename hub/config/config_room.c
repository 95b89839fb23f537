/* config_room.c — [room "class.**"] sections: rules for some rooms.
 *
 * Like those for channels (config_rule.c): a heading begins a rule, its lines are read when all general settings are known. */
#include "hub/base/name.h"
#include "hub/base/nearest.h"
#include "hub/config/config_load.h"
#include "hub/config/config_room.h"
#include "hub/config/config_value.h"

const struct rule_key room_rule_keys[ROOM_RULE_KEYS] = {
#define ROOM_RULE(member, key, from, w) { .name = key, .what = w, .offset = offsetof(struct room_rule, member), .general = &config_keys[CONFIG_KEY_##from] },
#include "hub/config/room_rules.def"
#undef ROOM_RULE
};

static struct room_rule *find_begun(struct config_loader *loader, const char *pattern)
{
    for (size_t i = 0; i < loader->room_rule_count; i++)
        if (!strcmp(loader->room_rules[i].pattern, pattern))
            return &loader->room_rules[i];
    return NULL;
}

static struct room_rule *new_rule(struct config_loader *loader)
{
    if (loader->room_rule_count == loader->room_rule_cap) {
        size_t cap = loader->room_rule_cap ? 2 * loader->room_rule_cap : 16;
        struct room_rule *rules = snapshot_alloc(loader->snapshot, cap * sizeof *rules);
        if (loader->room_rule_count)
            memcpy(rules, loader->room_rules, loader->room_rule_count * sizeof *rules);
        loader->room_rules = rules;
        loader->room_rule_cap = cap;
    }
    return &loader->room_rules[loader->room_rule_count++];
}

void config_room_rule_begin(struct config_loader *loader, const char *title, const char *where)
{
    if (!*title)
        loader_error(loader, where, "a rule says for which rooms it is: [room \"class.**\"]");
    else if (pattern_check(slice_of(title)))
        loader_error(loader, where, "room \"%s\" is not a pattern: segments parted by dots, * for one segment, ** at the end for one or more", title);
    else if (find_begun(loader, title))
        loader_error(loader, where, "room \"%s\" has a section already, at %s", title, find_begun(loader, title)->where);
    else if (loader->room_rule_count == ROOM_RULES_MAX)
        loader_error(loader, where, "more than %d rules; write fewer, with wider patterns", ROOM_RULES_MAX);
    else
        *new_rule(loader) = (struct room_rule){
            .pattern = snapshot_copy(loader->snapshot, slice_of(title)), .where = snapshot_copy(loader->snapshot, slice_of(where)) };
}

static void take_general(const struct config *config, struct room_rule *rule)
{
    rule->capacity = config->rooms_capacity;
    rule->create = config->rooms_create;
    rule->grace_ms = config->rooms_grace_ms;
    rule->empty_timeout_ms = config->rooms_empty_timeout_ms;
}

static const struct rule_key *find_key(const char *name)
{
    for (size_t i = 0; i < ROOM_RULE_KEYS; i++)
        if (!strcmp(room_rule_keys[i].name, name))
            return &room_rule_keys[i];
    return NULL;
}

static void tell_unknown(struct config_loader *loader, const struct config_entry *entry)
{
    const char *names[ROOM_RULE_KEYS];
    for (size_t i = 0; i < ROOM_RULE_KEYS; i++)
        names[i] = room_rule_keys[i].name;
    const char *meant = nearest(entry->name, names, ROOM_RULE_KEYS);
    loader_error(loader, entry->where, "room \"%s\": %.80s is not a setting of rooms; %s%s%s", entry->title, entry->name,
                 meant ? "did you mean " : "carillon help room shows those there are", meant ? meant : "", meant ? "?" : "");
}

static void read_line(struct config_loader *loader, const struct config_entry *entry)
{
    struct room_rule *rule = find_begun(loader, entry->title);
    const struct rule_key *key = find_key(entry->name);
    struct buf why = { 0 };
    if (!key)
        tell_unknown(loader, entry);
    else if (!*entry->title)
        loader_error(loader, entry->where, "a rule stands in the file of settings, below [room \"PATTERN\"]");
    else if (rule && config_value_read_into(loader->snapshot, key->general, entry->value, (char *)rule + key->offset, &why))
        loader_error(loader, entry->where, "room \"%s\": %s: \"%.100s\" %.*s", entry->title, key->name, entry->value, (int)why.len, buf_slice(&why).at);
    buf_fini(&why);
}

void config_general_room_rule(struct config *config)
{
    config->general_room_rule = (struct room_rule){ .pattern = "", .where = "" };
    take_general(config, &config->general_room_rule);
}

void config_room_rules_read(struct config_loader *loader)
{
    struct config *config = &loader->snapshot->config;
    config_general_room_rule(config);
    for (size_t i = 0; i < loader->room_rule_count; i++)
        take_general(config, &loader->room_rules[i]);
    for (size_t i = 0; i < loader->entry_count; i++)
        if (!strcmp(loader->entries[i].section, "room"))
            read_line(loader, &loader->entries[i]);
    config->room_rules = loader->room_rules;
    config->room_rule_count = loader->room_rule_count;
}

const struct room_rule *config_room_rule(const struct config *config, struct slice room)
{
    for (size_t i = 0; i < config->room_rule_count; i++)
        if (pattern_matches(slice_of(config->room_rules[i].pattern), room))
            return &config->room_rules[i];
    return &config->general_room_rule;
}
