#include "hub/config/config_key.h"

#include "hub/base/nearest.h"
#include <stdio.h>
#include <string.h>

#define KEY_COUNT(low, high)    .type = CONFIG_COUNT, .min = low, .max = high
#define KEY_BYTES(low, high)    .type = CONFIG_BYTES, .min = low, .max = high
#define KEY_DURATION(low, high) .type = CONFIG_DURATION, .min = low, .max = high
#define KEY_BOOL                .type = CONFIG_BOOL
#define KEY_TEXT                .type = CONFIG_TEXT
#define KEY_PATH                .type = CONFIG_PATH
#define KEY_ADDRESS             .type = CONFIG_ADDRESS
#define KEY_ENUM(c_type, all)   .type = CONFIG_ENUM, .values = all
#define KEY_RATE                .type = CONFIG_RATE
#define KEY_LIST(item)          .type = CONFIG_LIST, .of = CONFIG_##item

const struct config_key config_keys[CONFIG_KEYS] = {
#define SECTION(name, what)
#define CONFIG(s, k, t, v, r, w)                                                       \
    { .section = #s, .key = #k, .name = #s "." #k, .value = v, .rule = CONFIG_##r, .what = w, \
      .offset = offsetof(struct config, CONFIG_MEMBER(s, k, t)), KEY_##t },
#define FREE(section, title, what, form, line)
#include "hub/config/config.def"
#undef SECTION
#undef CONFIG
#undef FREE
};

enum { NO_TITLE, TITLED };

static const struct config_section sections[] = {
#define SECTION(n, w) { .name = #n, .what = w },
#define CONFIG(section, key, type, value, rule, what)
#define FREE(n, t, w, f, l) { .name = #n, .what = w, .form = f, .line = l, .titled = t },
#include "hub/config/config.def"
#undef SECTION
#undef CONFIG
#undef FREE
};
enum { SECTIONS = sizeof sections / sizeof sections[0] };

const struct config_key *config_key_find(const char *section, const char *key)
{
    for (size_t i = 0; i < CONFIG_KEYS; i++)
        if (!strcmp(config_keys[i].section, section) && !strcmp(config_keys[i].key, key))
            return &config_keys[i];
    return NULL;
}

const struct config_key *config_key_find_name(const char *name)
{
    for (size_t i = 0; i < CONFIG_KEYS; i++)
        if (!strcmp(config_keys[i].name, name))
            return &config_keys[i];
    return NULL;
}

const struct config_section *config_section_each(size_t i)
{
    return i < SECTIONS ? &sections[i] : NULL;
}

const struct config_section *config_section_find(const char *name)
{
    for (size_t i = 0; i < SECTIONS; i++)
        if (!strcmp(sections[i].name, name))
            return &sections[i];
    return NULL;
}

const char *config_section_nearest(const char *name)
{
    const char *names[SECTIONS];
    for (size_t i = 0; i < SECTIONS; i++)
        names[i] = sections[i].name;
    return nearest(name, names, SECTIONS);
}

/* A mistyped section, then a right key in the wrong section, then a mistyped key. */
const char *config_key_nearest(const char *section, const char *key)
{
    const char *names[CONFIG_KEYS], *meant = config_section_nearest(section);
    const struct config_key *there = meant ? config_key_find(meant, key) : NULL;
    char name[128];

    for (size_t i = 0; i < CONFIG_KEYS; i++) {
        names[i] = config_keys[i].name;
        if (!there && !strcmp(config_keys[i].key, key))
            there = &config_keys[i];
    }
    if (there)
        return there->name;
    snprintf(name, sizeof name, "%s.%s", section, key);
    return nearest(name, names, CONFIG_KEYS);
}

const char *config_topic_nearest(const char *topic)
{
    const char *names[CONFIG_KEYS + SECTIONS];
    for (size_t i = 0; i < CONFIG_KEYS; i++)
        names[i] = config_keys[i].name;
    for (size_t i = 0; i < SECTIONS; i++)
        names[CONFIG_KEYS + i] = sections[i].name;
    for (size_t i = 0; i < CONFIG_KEYS; i++)
        if (!strcmp(config_keys[i].key, topic))
            return config_keys[i].name;
    return nearest(topic, names, CONFIG_KEYS + SECTIONS);
}
