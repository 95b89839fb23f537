/* config_load.h — one loading of the configuration: where values are put, and what was wrong with them.
 *
 * Private to hub/config*.c. The sources (config_file.c, config_outside.c) find assignments and hand each to loader_set(),
 * in rising order of enum config_source; loader_set() knows keys, types and free sections and is the only one that does.
 * Lifetime: on the stack of config.c; the snapshot it fills outlives it. Threading: one thread. */
#pragma once
#include "hub/config/config_key.h"
#include "hub/config/config_snapshot.h"

enum config_source { FROM_DEFAULTS, FROM_FILE, FROM_ENVIRONMENT, FROM_FLAGS };

struct config_loader {
    struct config_snapshot *snapshot;
    struct config_report   *report;
    enum config_source      source;                /* of what is set now */
    struct {
        enum config_source from;
        const char        *where;                  /* "" of defaults */
    } set[CONFIG_KEYS];                            /* who has set each key last */
    struct config_entry    *entries;               /* of free sections; in the snapshot's memory */
    size_t                  entry_count, entry_cap;
    enum config_source     *entry_from;            /* beside entries */
    struct channel_rule    *rules;                 /* begun by their headings, in order; in the snapshot's memory */
    size_t                  rule_count, rule_cap;
    struct room_rule       *room_rules;            /* likewise */
    size_t                  room_rule_count, room_rule_cap;
};

/* One assignment. Every text may be temporary and anything. */
struct config_assignment {
    const char *section, *title, *key, *value;
    const char *where;                             /* "carillon.ini:3": begins the line of every error about it */
};

/* Every key has its default afterwards. */
void loader_init(struct config_loader *loader, struct config_snapshot *snapshot, struct config_report *report);
void loader_set(struct config_loader *loader, struct config_assignment a);
void loader_error(struct config_loader *loader, const char *where, const char *format, ...) __attribute__((format(printf, 3, 4)));
void loader_unknown_section(struct config_loader *loader, const char *where, const char *section);
/* Says "A.B is not a setting; did you mean …?" */
void loader_tell_unknown(struct buf *out, const char *section, const char *key);

void config_file_read(struct config_loader *loader, const char *path);               /* config_file.c */
void config_environment_read(struct config_loader *loader);                          /* config_outside.c */
void config_flags_read(struct config_loader *loader, int argc, char *const *argv);   /* config_outside.c */
/* The file that --config names, else CARILLON_CONFIG, else NULL. */
const char *config_file_named(int argc, char *const *argv);                          /* config_outside.c */
/* config_rule.c: a heading [channel "title"] begins a rule, even if no line follows. */
void config_rule_begin(struct config_loader *loader, const char *title, const char *where);
/* config_rule.c: what the lines of those sections say. After all keys are settled: they are what rules leave unsaid. */
void config_rules_read(struct config_loader *loader);
/* config_room.c: the same for [room "title"]. */
void config_room_rule_begin(struct config_loader *loader, const char *title, const char *where);
void config_room_rules_read(struct config_loader *loader);
/* config_ice.c: what of [ice] belongs together, and the secrets. */
void config_ice_read(struct config_loader *loader);
/* config_entry.c: checks the entries, makes config->keys of those of [keys]. */
void config_entries_read(struct config_loader *loader);
/* config_entry.c: what keys that are beside each other must not say. */
void config_together_check(struct config_loader *loader);
/* config_tls.c: makes config->tls of tls.cert and tls.key; NULL stays NULL without them. */
void config_tls_read(struct config_loader *loader);
/* config_tls.c: what these keys name, into the context; false: a mistake was told. */
bool config_tls_certificate(struct config_loader *loader, struct ssl_ctx_st *context, int key);
bool config_tls_private_key(struct config_loader *loader, struct ssl_ctx_st *context, int key);
/* config_tls.c: a mistake that OpenSSL has found in what `path` names. */
void config_tls_mistake(struct config_loader *loader, int key, const char *path, const char *what);
int  config_tls_no_passphrase(char *out, int size, int writes, void *arg);
/* config_redis.c: makes config->redis and config->redis_tls; NULL stays NULL without redis.url. */
void config_redis_read(struct config_loader *loader);
/* config_jwks.c: what a URL in tokens.jwks must not be. */
void config_jwks_check(struct config_loader *loader);
