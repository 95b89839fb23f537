/* config_outside.c — what does not stand in the file: CARILLON_SECTION_KEY and --section.key=value. */
#include "hub/base/nearest.h"
#include "hub/config/config_load.h"

#include <stdlib.h>

extern char **environ;

enum { NAME_MAX_BYTES = 256 };

/* ---- environment ---- */

static void lower(char *text)
{
    for (; *text; text++)
        if (*text >= 'A' && *text <= 'Z')
            *text = (char)(*text + 32);
}

/* A variable that no key belongs to is only noted: container platforms set such names by themselves (CARILLON_API_PORT
 * where a service is called carillon-api). */
static void note_unknown_variable(struct config_loader *loader, const char *variable, const char *section, const char *key)
{
    struct buf unknown = { 0 };
    if (!strcmp(variable, "CARILLON_API_URL"))      /* for `carillon pub`, in whose shell a hub may be started too */
        return;
    loader_tell_unknown(&unknown, section, key);
    buf_addf(&loader->report->notes, "%s: %s (ignored)\n", variable, buf_slice(&unknown).at);
    buf_fini(&unknown);
}

/* `name` is CARILLON_HISTORY_SIZE. Of a section with names of the user's own they are lower case here. */
static void take_variable(struct config_loader *loader, const char *name, const char *value)
{
    char words[NAME_MAX_BYTES];
    snprintf(words, sizeof words, "%s", name + strlen("CARILLON_"));
    lower(words);
    char *key = strchr(words, '_');
    if (!key || !key[1])
        return;
    *key++ = '\0';
    const struct config_section *section = config_section_find(words);
    if (!section)
        return;
    if (!section->form && !config_key_find(words, key))
        note_unknown_variable(loader, name, words, key);
    else
        loader_set(loader, (struct config_assignment){ .section = words, .title = "", .key = key, .value = value, .where = name });
}

void config_environment_read(struct config_loader *loader)
{
    char name[NAME_MAX_BYTES];
    for (char **at = environ; at && *at; at++) {
        const char *equals = strchr(*at, '=');
        if (strncmp(*at, "CARILLON_", 9) || !equals || equals - *at >= NAME_MAX_BYTES)
            continue;
        snprintf(name, sizeof name, "%.*s", (int)(equals - *at), *at);
        take_variable(loader, name, equals + 1);
    }
}

/* ---- flags ---- */

struct flags {
    int          argc, at;
    char *const *argv;
};

/* The name of argv[at] without what follows its '='. */
static bool flag_is(const char *arg, const char *name)
{
    size_t len = strlen(name);
    return !strncmp(arg, name, len) && (arg[len] == '\0' || arg[len] == '=');
}

/* What stands behind '=', or in the next argument, which is then taken; NULL: nothing. */
static const char *flag_value(struct flags *flags)
{
    const char *equals = strchr(flags->argv[flags->at], '=');
    if (equals)
        return equals + 1;
    if (flags->at + 1 < flags->argc && strncmp(flags->argv[flags->at + 1], "--", 2))
        return flags->argv[++flags->at];
    return NULL;
}

const char *config_file_named(int argc, char *const *argv)
{
    const char *named = getenv("CARILLON_CONFIG");
    for (struct flags flags = { argc, 0, argv }; flags.at < argc; flags.at++)
        if (flag_is(argv[flags.at], "--config")) {
            const char *value = flag_value(&flags);
            named = value ? value : named;
        }
    return named && *named ? named : NULL;
}

static void unknown_flag(struct config_loader *loader, const char *arg, const char *name)
{
    static const char *const plain[] = { "config", "dev", "help" };
    char key[NAME_MAX_BYTES];
    snprintf(key, sizeof key, "%s", name);
    char *dot = strchr(key, '.');
    const char *meant = nearest(key, plain, sizeof plain / sizeof plain[0]);
    if (dot) {
        *dot = '\0';
        meant = config_key_nearest(key, dot + 1);
    } else if (!meant) {
        meant = config_topic_nearest(key);     /* --size is asked for often: history.size */
        meant = meant && strchr(meant, '.') ? meant : NULL;
    }
    if (meant)
        loader_error(loader, arg, "there is no such flag; did you mean --%s?", meant);
    else
        loader_error(loader, arg, "there is no such flag; carillon --help shows all there are");
}

/* --section.key=value, or the value as the next argument; a yes/no alone is yes. */
static void take_key_flag(struct config_loader *loader, struct flags *flags)
{
    char where[NAME_MAX_BYTES], name[NAME_MAX_BYTES];
    snprintf(where, sizeof where, "%.*s", (int)strcspn(flags->argv[flags->at], "="), flags->argv[flags->at]);
    snprintf(name, sizeof name, "%s", where + 2);
    char *key = strchr(name, '.');
    if (!key) {
        unknown_flag(loader, where, name);
        return;
    }
    *key++ = '\0';
    const struct config_section *section = config_section_find(name);
    const struct config_key *known = config_key_find(name, key);
    if (!known && !(section && section->form)) {
        unknown_flag(loader, where, where + 2);
        flag_value(flags);
        return;
    }
    bool yes_no = known && known->type == CONFIG_BOOL;
    const char *value = flag_value(flags);
    if (!value && !yes_no)
        loader_error(loader, where, "a value must follow: %s=VALUE", where);
    else
        loader_set(loader, (struct config_assignment){
            .section = name, .title = "", .key = key, .value = value ? value : "true", .where = where });
}

void config_flags_read(struct config_loader *loader, int argc, char *const *argv)
{
    for (struct flags flags = { argc, 0, argv }; flags.at < argc; flags.at++) {
        const char *arg = argv[flags.at];
        if (!strcmp(arg, "--dev"))
            loader->snapshot->config.dev = true;
        else if (flag_is(arg, "--dev"))
            loader_error(loader, "--dev", "this flag has no value: it is there or not");
        else if (flag_is(arg, "--config")) {
            if (!flag_value(&flags))
                loader_error(loader, "--config", "a file must follow: --config FILE");
        } else if (!strncmp(arg, "--", 2) && arg[2])
            take_key_flag(loader, &flags);
        else
            loader_error(loader, arg, "this is not a flag; settings are written --section.key=value");
    }
}
