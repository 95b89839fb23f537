#include "hub/config/config_load.h"

#include "hub/config/config_value.h"
#include <stdarg.h>

enum { ERRORS_SHOWN = 1000 };

void loader_error(struct config_loader *loader, const char *where, const char *format, ...)
{
    char line[1024];
    va_list args;

    if (++loader->report->error_count > ERRORS_SHOWN)
        return;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    for (char *c = line; *c; c++)     /* one error, one line, whatever bytes the value had */
        if ((unsigned char)*c < 0x20 || *c == 0x7F)
            *c = '?';
    buf_addf(&loader->report->errors, "%s: %s\n", where, line);
    if (loader->report->error_count == ERRORS_SHOWN)
        buf_add_str(&loader->report->errors, "… and more; these first\n");
}

void loader_tell_unknown(struct buf *out, const char *section, const char *key)
{
    const char *meant = config_key_nearest(section, key);
    buf_addf(out, "%.80s.%.80s is not a setting", section, key);
    if (meant)
        buf_addf(out, "; did you mean %s?", meant);
    else if (config_section_find(section))
        buf_addf(out, "; carillon help %s shows those there are", section);
    else
        buf_add_str(out, "; carillon help shows all there are");
    buf_add_char(out, '\0');
}

void loader_unknown_section(struct config_loader *loader, const char *where, const char *section)
{
    const char *meant = config_section_nearest(section);
    if (meant)
        loader_error(loader, where, "there is no section [%.80s]; did you mean [%s]?", section, meant);
    else
        loader_error(loader, where, "there is no section [%.80s]; carillon help shows all there are", section);
}

/* ---- entries of free sections ---- */

static struct config_entry *find_entry(struct config_loader *loader, struct config_assignment a)
{
    for (size_t i = 0; i < loader->entry_count; i++) {
        struct config_entry *e = &loader->entries[i];
        if (!strcmp(e->section, a.section) && !strcmp(e->title, a.title) && !strcmp(e->name, a.key))
            return e;
    }
    return NULL;
}

static struct config_entry *new_entry(struct config_loader *loader)
{
    if (loader->entry_count == loader->entry_cap) {
        size_t cap = loader->entry_cap ? 2 * loader->entry_cap : 16;
        struct config_entry *entries = snapshot_alloc(loader->snapshot, cap * sizeof *entries);
        enum config_source *from = snapshot_alloc(loader->snapshot, cap * sizeof *from);
        if (loader->entry_count) {
            memcpy(entries, loader->entries, loader->entry_count * sizeof *entries);
            memcpy(from, loader->entry_from, loader->entry_count * sizeof *from);
        }
        loader->entries = entries;
        loader->entry_from = from;
        loader->entry_cap = cap;
    }
    return &loader->entries[loader->entry_count++];
}

/* A later source replaces a line; twice in the same source is a mistake, because nobody could tell which one counts. */
static void set_entry(struct config_loader *loader, const struct config_section *section, struct config_assignment a)
{
    struct config_snapshot *snapshot = loader->snapshot;
    struct config_entry *e = find_entry(loader, a);
    if (e && loader->entry_from[e - loader->entries] == loader->source) {
        loader_error(loader, a.where, "%s.%s is there already, at %s", a.section, a.key, e->where);
        return;
    }
    if (!e) {
        e = new_entry(loader);
        e->section = section->name;
        e->title = snapshot_copy(snapshot, slice_of(a.title));
        e->name = snapshot_copy(snapshot, slice_of(a.key));
    }
    loader->entry_from[e - loader->entries] = loader->source;
    e->value = snapshot_copy(snapshot, slice_of(a.value));
    e->where = snapshot_copy(snapshot, slice_of(a.where));
}

/* ---- keys ---- */

static void set_key(struct config_loader *loader, const struct config_key *key, struct config_assignment a)
{
    size_t i = (size_t)(key - config_keys);
    struct buf why = { 0 };

    if (config_value_read(loader->snapshot, key, a.value, loader->set[i].from == loader->source, &why)) {
        const char *comment = loader->source == FROM_FILE && strstr(a.value, " #") ? " (a comment behind a value begins with ;)" : "";
        loader_error(loader, a.where, "%s: \"%.100s\" %.*s%s", key->name, a.value, (int)why.len, buf_slice(&why).at, comment);
    } else {
        loader->set[i].from = loader->source;
        loader->set[i].where = snapshot_copy(loader->snapshot, slice_of(a.where));
    }
    buf_fini(&why);
}

void loader_set(struct config_loader *loader, struct config_assignment a)
{
    const struct config_section *section = config_section_find(a.section);
    const struct config_key *key = config_key_find(a.section, a.key);
    struct buf unknown = { 0 };

    if (section && section->form) {
        set_entry(loader, section, a);
    } else if (key) {
        set_key(loader, key, a);
    } else {
        loader_tell_unknown(&unknown, a.section, a.key);
        loader_error(loader, a.where, "%s", buf_slice(&unknown).at);
        buf_fini(&unknown);
    }
}

void loader_init(struct config_loader *loader, struct config_snapshot *snapshot, struct config_report *report)
{
    *loader = (struct config_loader){ .snapshot = snapshot, .report = report, .source = FROM_DEFAULTS };
    for (size_t i = 0; i < CONFIG_KEYS; i++)
        loader_set(loader, (struct config_assignment){
            .section = config_keys[i].section, .title = "", .key = config_keys[i].key, .value = config_keys[i].value,
            .where = "config.def" });
}
