/* config_help.c — the table of keys as people read it. */
#include "hub/base/err.h"
#include "hub/config/config_key.h"
#include "hub/config/config_room.h"
#include "hub/config/config_rule.h"
#include "hub/config/config_value.h"

enum { WIDTH = 110, NAME_COLUMN = 2, DEFAULT_COLUMN = 35, TEXT_COLUMN = 52, LABEL_COLUMN = 12 };

/* `text` from `column` on, broken at blanks, further lines indented alike. */
static void print_wrapped(FILE *out, const char *text, int column)
{
    while (*text) {
        size_t room = (size_t)(WIDTH - column), len = strlen(text);
        if (len > room) {
            len = room;
            while (len > 0 && text[len] != ' ')
                len--;
            if (len == 0)
                len = strcspn(text, " ");
        }
        fprintf(out, "%.*s\n", (int)len, text);
        text += len + strspn(text + len, " ");
        if (*text)
            fprintf(out, "%*s", column, "");
    }
}

static const char *default_of(const struct config_key *key)
{
    return *key->value ? key->value : key->type == CONFIG_LIST ? "(none)" : "(empty)";
}

static void print_key_line(FILE *out, const struct config_key *key)
{
    int used = fprintf(out, "%*s%-*s %s", NAME_COLUMN, "", DEFAULT_COLUMN - NAME_COLUMN - 1, key->name, default_of(key));
    fprintf(out, "%*s", used < TEXT_COLUMN ? TEXT_COLUMN - used : 1, "");
    print_wrapped(out, key->what, TEXT_COLUMN);
}

static void print_rule_line(FILE *out, const struct rule_key *key)
{
    int used = fprintf(out, "%*s%-*s %s", NAME_COLUMN, "", DEFAULT_COLUMN - NAME_COLUMN - 1, key->name, key->general ? key->general->name : key->value);
    fprintf(out, "%*s", used < TEXT_COLUMN ? TEXT_COLUMN - used : 1, "");
    print_wrapped(out, key->what, TEXT_COLUMN);
}

static void print_section(FILE *out, const struct config_section *section)
{
    fprintf(out, "\n[%s%s]  %s\n", section->name, section->titled ? " \"NAME\"" : "", section->what);
    for (size_t i = 0; i < CONFIG_KEYS; i++)
        if (!strcmp(config_keys[i].section, section->name))
            print_key_line(out, &config_keys[i]);
    if (section->form) {
        fprintf(out, "%*s%s\n%*s", NAME_COLUMN, "", section->form, 2 * NAME_COLUMN, "");
        print_wrapped(out, section->line, 2 * NAME_COLUMN);
    }
    if (!strcmp(section->name, "channel"))
        for (size_t i = 0; i < RULE_KEYS; i++)
            print_rule_line(out, &rule_keys[i]);
    if (!strcmp(section->name, "room"))
        for (size_t i = 0; i < ROOM_RULE_KEYS; i++)
            print_rule_line(out, &room_rule_keys[i]);
}

void config_help(FILE *out)
{
    fprintf(out,
            "Settings. Later ones win: defaults, the INI file (--config FILE or CARILLON_CONFIG), environment variables\n"
            "(CARILLON_SECTION_KEY), flags (--section.key=value). carillon help KEY says more about one of them.\n");
    const struct config_section *section;
    for (size_t i = 0; (section = config_section_each(i)); i++)
        print_section(out, section);
}

static void print_label(FILE *out, const char *label, const char *text)
{
    fprintf(out, "  %-*s", LABEL_COLUMN - 2, label);
    print_wrapped(out, text, LABEL_COLUMN);
}

static void print_range(FILE *out, const struct config_key *key)
{
    char text[128];
    if (!key->min)
        return;
    snprintf(text, sizeof text, *key->max ? "%s to %s" : "%s or more", key->min, key->max);
    print_label(out, "range", text);
}

static void print_ways(FILE *out, const struct config_key *key)
{
    const char *value = *key->value ? key->value : "VALUE";
    char name[128];
    snprintf(name, sizeof name, "CARILLON_%s_%s", key->section, key->key);
    for (char *c = name; *c; c++)
        if (*c >= 'a' && *c <= 'z')
            *c = (char)(*c - 32);
    fprintf(out, "  %-*s[%s]\n%*s%s = %s\n", LABEL_COLUMN - 2, "file", key->section, LABEL_COLUMN, "", key->key, value);
    fprintf(out, "  %-*s%s=%s\n", LABEL_COLUMN - 2, "variable", name, value);
    fprintf(out, "  %-*s--%s=%s\n", LABEL_COLUMN - 2, "flag", key->name, value);
}

static const char *list_form(const struct config_key *key)
{
    switch (key->of) {
    case CONFIG_PATTERNS: return "patterns";
    case CONFIG_ORIGINS:  return "origins";
    default:              return "words";
    }
}

static void print_key(FILE *out, const struct config_key *key)
{
    char text[256];
    fprintf(out, "%s\n  ", key->name);
    print_wrapped(out, key->what, 2);
    fprintf(out, "\n");
    snprintf(text, sizeof text, key->type == CONFIG_LIST ? "%s of %s: %s" : "%s: %s", config_type_name(key),
             key->type == CONFIG_LIST ? list_form(key) : config_type_form(key), config_type_form(key));
    print_label(out, "type", text);
    print_range(out, key);
    print_label(out, "default", default_of(key));
    print_label(out, "change", key->rule == CONFIG_LIVE ? "taken over on SIGHUP" : "takes a restart");
    print_ways(out, key);
}

int config_help_topic(FILE *out, const char *topic, const char **ret_nearest)
{
    const struct config_key *key = config_key_find_name(topic);
    const struct config_section *section = config_section_find(topic);
    if (key)
        print_key(out, key);
    else if (section)
        print_section(out, section);
    else
        *ret_nearest = config_topic_nearest(topic);
    return key || section ? 0 : ERR_NOT_FOUND;
}
