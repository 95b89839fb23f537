/* config_entry.c — the lines of sections whose names are the user's own: one check per section, and what is made of them;
 * and the checks of keys that belong together. */
#include "hub/base/name.h"
#include "hub/base/nearest.h"
#include "hub/config/api_key.h"
#include "hub/config/config_load.h"

/* ---- [tier "…"] ---- */

static const char *const rate_names[RATE_LIMITS] = {
#define RATE(name, counted, who, value, what) #name,
#include "hub/config/rates.def"
#undef RATE
};

static void read_tier(struct config_loader *loader, const struct config_entry *entry, struct config_tier *tier)
{
    size_t limit = 0;
    while (limit < RATE_LIMITS && strcmp(rate_names[limit], entry->name))
        limit++;
    if (limit == RATE_LIMITS) {
        const char *meant = nearest(entry->name, rate_names, RATE_LIMITS);
        loader_error(loader, entry->where, "tier \"%s\": %.80s is not a limit; %s%s%s", tier->name, entry->name,
                     meant ? "did you mean " : "carillon help rates shows those there are", meant ? meant : "", meant ? "?" : "");
        return;
    }
    const char *fault = rate_read(slice_of(entry->value), &tier->rates[limit]);
    tier->has[limit] = !fault;
    if (fault)
        loader_error(loader, entry->where, "tier \"%s\": %s: \"%.100s\" %s", tier->name, entry->name, entry->value, fault);
}

static struct config_tier *find_tier(struct config_tier *tiers, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (!strcmp(tiers[i].name, name))
            return &tiers[i];
    return NULL;
}

static void read_tiers(struct config_loader *loader)
{
    struct config_tier *tiers = snapshot_alloc(loader->snapshot, (loader->entry_count + 1) * sizeof *tiers);
    size_t count = 0;
    for (size_t i = 0; i < loader->entry_count; i++) {
        const struct config_entry *entry = &loader->entries[i];
        if (strcmp(entry->section, "tier"))
            continue;
        if (!*entry->title) {
            loader_error(loader, entry->where, "a tier has a name: [tier \"gold\"], in the file of settings");
            continue;
        }
        struct config_tier *tier = find_tier(tiers, count, entry->title);
        if (!tier) {
            tier = &tiers[count++];
            tier->name = entry->title;
        }
        read_tier(loader, entry, tier);
    }
    loader->snapshot->config.tiers = tiers;
    loader->snapshot->config.tier_count = count;
}

/* ---- [keys] ---- */

/* The words without tier=NAME, wherever that stands. */
static struct words take_tier(struct config_loader *loader, struct words words, const char **ret_tier)
{
    const char **kept = snapshot_alloc(loader->snapshot, (words.count + 1) * sizeof *kept);
    size_t n = 0;
    *ret_tier = "";
    for (size_t i = 0; i < words.count; i++)
        if (!strncmp(words.at[i], "tier=", 5))
            *ret_tier = words.at[i] + 5;
        else
            kept[n++] = words.at[i];
    return (struct words){ kept, n };
}

static void read_key(struct config_loader *loader, const struct config_entry *entry, struct api_key *ret_key)
{
    struct buf why = { 0 };
    struct slice rest;

    ret_key->name = entry->name;
    if (api_key_read_digest(slice_of(entry->value), ret_key->sha256, &rest)) {
        loader_error(loader, entry->where, "keys.%s: a line is NAME = sha256:HEX [SCOPE...] [tier=NAME], with 64 hexadecimal digits; "
                     "carillon key new --name %s makes one", entry->name, entry->name);
        return;
    }
    ret_key->scopes = take_tier(loader, snapshot_words(loader->snapshot, rest), &ret_key->tier);
    if (*ret_key->tier && !config_tier_find(&loader->snapshot->config, slice_of(ret_key->tier)))
        loader_error(loader, entry->where, "keys.%s: there is no [tier \"%.80s\"]", entry->name, ret_key->tier);
    for (size_t i = 0; i < ret_key->scopes.count; i++)
        if (api_key_scope_check(slice_of(ret_key->scopes.at[i]), &why)) {
            loader_error(loader, entry->where, "keys.%s: \"%.100s\" %.*s", entry->name, ret_key->scopes.at[i], (int)why.len,
                         buf_slice(&why).at);
            buf_reset(&why);
        }
    buf_fini(&why);
}

static void read_keys(struct config_loader *loader)
{
    struct api_key *keys = snapshot_alloc(loader->snapshot, (loader->entry_count + 1) * sizeof *keys);
    size_t count = 0;
    for (size_t i = 0; i < loader->entry_count; i++)
        if (!strcmp(loader->entries[i].section, "keys"))
            read_key(loader, &loader->entries[i], &keys[count++]);
    loader->snapshot->config.keys = keys;
    loader->snapshot->config.key_count = count;
}

static struct config_role *find_role(struct config_role *roles, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (!strcmp(roles[i].name, name))
            return &roles[i];
    return NULL;
}

static void read_role(struct config_loader *loader, const struct config_entry *entry, struct config_role *role)
{
    int op = access_op_find(slice_of(entry->name));
    if (op < 0) {
        const char *meant = nearest(entry->name, access_op_names, ACCESS_OPS);
        loader_error(loader, entry->where, "role \"%s\": %.80s is not an operation; %s%s%s", role->name, entry->name,
                     meant ? "did you mean " : "there are subscribe, publish, history, presence, join, kick and admin", meant ? meant : "", meant ? "?" : "");
        return;
    }
    role->grants[op] = snapshot_words(loader->snapshot, slice_of(entry->value));
    for (size_t i = 0; i < role->grants[op].count; i++)
        if (pattern_check(slice_of(role->grants[op].at[i])))
            loader_error(loader, entry->where, "role \"%s\": \"%.100s\" is not a pattern: segments parted by dots, * for one segment, "
                         "** at the end for one or more", role->name, role->grants[op].at[i]);
}

static void read_roles(struct config_loader *loader)
{
    struct config_role *roles = snapshot_alloc(loader->snapshot, (loader->entry_count + 1) * sizeof *roles);
    size_t count = 0;
    for (size_t i = 0; i < loader->entry_count; i++) {
        const struct config_entry *entry = &loader->entries[i];
        if (strcmp(entry->section, "role"))
            continue;
        if (!*entry->title) {
            loader_error(loader, entry->where, "a role has a name: [role \"editor\"], in the file of settings");
            continue;
        }
        struct config_role *role = find_role(roles, count, entry->title);
        if (!role) {
            role = &roles[count++];
            role->name = entry->title;
        }
        read_role(loader, entry, role);
    }
    loader->snapshot->config.roles = roles;
    loader->snapshot->config.role_count = count;
}

const struct config_tier *config_tier_find(const struct config *config, struct slice name)
{
    for (size_t i = 0; name.len > 0 && i < config->tier_count; i++)
        if (slice_is(slice_of(config->tiers[i].name), name))
            return &config->tiers[i];
    return NULL;
}

void config_entries_read(struct config_loader *loader)
{
    loader->snapshot->config.entries = loader->entries;
    loader->snapshot->config.entry_count = loader->entry_count;
    read_tiers(loader);
    read_keys(loader);
    read_roles(loader);
}

/* ---- keys that belong together ---- */

/* `*` is every page there is, and `null` what any page can make itself: with cookies either would give visitors away. */
static void check_credentials(struct config_loader *loader, const struct words *origins, bool credentials, int origins_key, int credentials_key)
{
    for (size_t i = 0; credentials && i < origins->count; i++)
        if (!strcmp(origins->at[i], "*") || !strcmp(origins->at[i], "null"))
            loader_error(loader, loader->set[credentials_key].where, "%s: cannot be on while %s has \"%s\": every page there is could use a "
                         "visitor's cookies; name the origins", config_keys[credentials_key].name, config_keys[origins_key].name, origins->at[i]);
}

void config_together_check(struct config_loader *loader)
{
    const struct config *config = &loader->snapshot->config;
    check_credentials(loader, &config->public_origins, config->public_cors_credentials, CONFIG_KEY_public_origins, CONFIG_KEY_public_cors_credentials);
    check_credentials(loader, &config->api_origins, config->api_cors_credentials, CONFIG_KEY_api_origins, CONFIG_KEY_api_cors_credentials);
}
