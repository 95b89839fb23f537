/* config_key.h — the table of config.def at run time: which keys and sections there are, and what each promises.
 *
 * Private to hub/config*.c and their tests. Threading: constants, any thread. */
#pragma once
#include "hub/config/config.h"

enum config_type {
    CONFIG_COUNT, CONFIG_BYTES, CONFIG_DURATION, CONFIG_BOOL, CONFIG_TEXT, CONFIG_PATH, CONFIG_ADDRESS, CONFIG_ENUM, CONFIG_LIST, CONFIG_RATE
};
enum config_list { CONFIG_WORDS, CONFIG_PATTERNS, CONFIG_ORIGINS, CONFIG_NETWORKS };   /* what a LIST is of */
enum config_rule { CONFIG_LIVE, CONFIG_RESTART };

struct config_key {
    const char      *section, *key;
    const char      *name;          /* history.size */
    const char      *value;         /* the default, as one would write it */
    const char      *what;
    enum config_rule rule;
    size_t           offset;        /* of its member in struct config */
    enum config_type type;
    enum config_list of;            /* LIST only */
    const char      *min, *max;     /* COUNT, BYTES, DURATION; written like values, max "" is none */
    const char      *values;        /* ENUM: a|b|c */
};

struct config_section {
    const char *name, *what;
    const char *form, *line;        /* FREE sections: how a line looks and what it says; else NULL */
    bool        titled;             /* headings are [name "title"] */
};

/* Index of each key, for tables beside this one: CONFIG_KEY_history_size. */
enum {
#define SECTION(name, what)
#define CONFIG(section, key, type, value, rule, what) CONFIG_KEY_##section##_##key,
#define FREE(section, title, what, form, line)
#include "hub/config/config.def"
#undef SECTION
#undef CONFIG
#undef FREE
    CONFIG_KEYS
};

extern const struct config_key config_keys[CONFIG_KEYS];

const struct config_key     *config_key_find(const char *section, const char *key);     /* may be NULL */
const struct config_key     *config_key_find_name(const char *name);                    /* history.size; may be NULL */
const struct config_section *config_section_find(const char *name);                     /* may be NULL */
const struct config_section *config_section_each(size_t i);                             /* NULL after the last */

/* What was meant: the same key in another section, else the nearest name. NULL: nothing is near. */
const char *config_key_nearest(const char *section, const char *key);
const char *config_section_nearest(const char *name);
/* A key or a section, for help. */
const char *config_topic_nearest(const char *topic);
