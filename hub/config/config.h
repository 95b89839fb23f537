/* config.h — what the operator decided: one immutable snapshot of all settings, shared by all threads.
 *
 * hub/config/config.def is the table of keys; everything here and in the config*.c files comes from it. Later values win:
 *
 *   defaults  <  INI file (--config FILE or CARILLON_CONFIG)  <  CARILLON_SECTION_KEY  <  --section.key=value
 *
 * A key `history.size` is `config->history_size`; durations end in _ms: `history.ttl` is `config->history_ttl_ms`.
 * A list that a later source names replaces the whole list; named again in the same source, it grows.
 * Nothing stops at the first mistake: all of them are in the report, each with file:line, variable or flag.
 *
 * Lifetime   config_load() and config_reload() give a snapshot with one hold; config_ref/unref add and give up holds,
 *            and the last one frees it with every string in it. Code that stores a string of it beyond a reload keeps a hold.
 *            config_defaults() lives for ever. Tests copy it: `struct config config = *config_defaults();` and change
 *            members; such a copy is never unref'ed.
 * Threading  loading and reloading: one thread at a time (libinih has global settings). Reading, ref, unref: any.
 * Limits     a file up to 1 MiB, lines up to 4,000 bytes; 1,000 mistakes are reported. */
#pragma once
#include "hub/base/buf.h"
#include "hub/base/log.h"
#include "hub/config/access_op.h"
#include "hub/config/channel_rule.h"
#include "hub/config/rate.h"
#include "hub/config/room_rule.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum store_sync { STORE_SYNC_OFF, STORE_SYNC_BATCH, STORE_SYNC_EACH };   /* store.sync */
enum ice_policy { ICE_ALL, ICE_RELAY };                                  /* ice.policy */
enum ice_bundle { ICE_BALANCED, ICE_MAX_COMPAT, ICE_MAX_BUNDLE };        /* ice.bundle */
enum proxy_header { PROXY_X_FORWARDED_FOR, PROXY_FORWARDED };            /* public.proxy_header, api.proxy_header */

struct address {            /* where to listen */
    const char *text;       /* as written, for logs and messages */
    const char *host;       /* name or number without brackets; "" is all addresses; of unix: the path */
    uint16_t    port;       /* 0: the kernel picks one; of unix: 0 */
    bool        is_unix;
};

struct words {              /* a list */
    const char *const *at;
    size_t             count;
};

/* One line of a section whose names are the user's own, such as [keys], in the order of the file.
 * [channel "chat.**"] has section channel and title chat.** */
struct config_entry {
    const char *section, *title;   /* title: "" when the heading has none */
    const char *name, *value;
    const char *where;             /* carillon.ini:12, CARILLON_KEYS_SHOP, --keys.shop: for messages */
};

/* A line of [keys], read. `scopes` are checked words: `OPERATION`, `OPERATION:PATTERN`, `*`; none means everything. */
struct api_key {
    const char  *name;
    uint8_t      sha256[32];
    struct words scopes;
    const char  *tier;      /* tier=NAME; "": none */
};

/* A [role "NAME"]: patterns per operation, which may have {user} in them. */
struct config_role {
    const char  *name;
    struct words grants[ACCESS_OPS];
};

/* The limits of [rates], for what has one place for each. */
enum {
#define RATE(name, counted, who, value, what) RATE_LIMIT_##name,
#include "hub/config/rates.def"
#undef RATE
    RATE_LIMITS
};

/* A [tier "NAME"] section: the limits it has, and what they are. */
struct config_tier {
    const char *name;
    bool        has[RATE_LIMITS];
    struct rate rates[RATE_LIMITS];
};

/* How each TYPE of config.def is declared, and what follows its name. */
#define CONFIG_C_COUNT(min, max)    size_t
#define CONFIG_C_BYTES(min, max)    size_t
#define CONFIG_C_DURATION(min, max) int64_t
#define CONFIG_C_BOOL               bool
#define CONFIG_C_TEXT               const char *
#define CONFIG_C_PATH               const char *
#define CONFIG_C_ADDRESS            struct address
#define CONFIG_C_ENUM(type, values) type
#define CONFIG_C_LIST(of)           struct words
#define CONFIG_C_RATE               struct rate
#define CONFIG_UNIT_COUNT(min, max)
#define CONFIG_UNIT_BYTES(min, max)
#define CONFIG_UNIT_DURATION(min, max) _ms
#define CONFIG_UNIT_BOOL
#define CONFIG_UNIT_TEXT
#define CONFIG_UNIT_PATH
#define CONFIG_UNIT_ADDRESS
#define CONFIG_UNIT_ENUM(type, values)
#define CONFIG_UNIT_LIST(of)
#define CONFIG_UNIT_RATE
#define CONFIG_JOIN_(name, unit) name##unit
#define CONFIG_JOIN(name, unit)  CONFIG_JOIN_(name, unit)
#define CONFIG_MEMBER(section, key, type) CONFIG_JOIN(section##_##key, CONFIG_UNIT_##type)

struct config {
    bool dev;               /* --dev: loopback only, everything open (access.* are **), said loudly */
#define SECTION(name, what)
#define CONFIG(section, key, type, value, reload, what) CONFIG_C_##type CONFIG_MEMBER(section, key, type);
#define FREE(section, title, what, form, line)
#include "hub/config/config.def"
#undef SECTION
#undef CONFIG
#undef FREE
    const struct config_entry *entries;   /* all lines of FREE sections */
    size_t                     entry_count;
    const struct api_key      *keys;      /* the lines of [keys] */
    size_t                     key_count;
    const struct config_role  *roles;     /* the [role "…"] sections */
    size_t                     role_count;
    const struct config_tier  *tiers;     /* the [tier "…"] sections */
    size_t                     tier_count;
    const struct channel_rule *rules;     /* the [channel "…"] sections, in the order of the file; asked by config_channel_rule */
    size_t                     rule_count;
    struct channel_rule        general_rule;   /* of channels that none of them matches */
    const struct room_rule    *room_rules;     /* the [room "…"] sections, in the order of the file; asked by config_room_rule */
    size_t                     room_rule_count;
    struct room_rule           general_room_rule;
    const struct slice        *ice_keys;       /* the secrets of ice.secrets, read */
    size_t                     ice_key_count;
    const struct redis_url    *redis;          /* redis.url; NULL: none */
    struct ssl_ctx_st         *redis_tls;      /* of redis.ca, redis.cert; NULL: redis.url is none of TLS */
    int64_t                    history_most_ms;   /* the longest history.ttl of all rules */
    size_t                     message_most;   /* the largest limits.message of all rules */
    bool                       last_any;       /* some rule says `last` */
    struct ssl_ctx_st         *tls;            /* of tls.cert and tls.key (OpenSSL's SSL_CTX; any thread may make connections of it); NULL: no TLS */
};

const struct config_tier *config_tier_find(const struct config *config, struct slice name);     /* NULL: there is none of this name */

/* What new connections of each port speak TLS with; NULL: they are in the clear, as on a unix: socket always. */
struct ssl_ctx_st *config_public_tls(const struct config *config);
struct ssl_ctx_st *config_api_tls(const struct config *config);

/* tokens.jwks when it is a URL; NULL: it is not. */
const char *config_jwks_url(const struct config *config);

/* What was wrong or worth knowing, one line each. Zero-filled is empty and valid; config_report_fini frees. */
struct config_report {
    struct buf errors;      /* "carillon.ini:3: history.sise is not a setting; did you mean history.size?\n" … */
    struct buf notes;       /* nothing wrong, but said: a variable that looks like a key, a change that waits for a restart */
    size_t     error_count;
};
void config_report_fini(struct config_report *report);

const struct config *config_defaults(void);

/* The snapshot that arguments (without the names of program and subcommand), environment and file make together.
 * Flags besides the keys: --config FILE, --dev. The arguments are read again by config_reload, so they stay where they are.
 * 0, or ERR_CONFIG with everything that is wrong in the report. */
int config_load(int argc, char *const *argv, struct config_report *report, const struct config **ret_config);
/* One file alone, without environment and flags: carillon check-config. */
int config_load_file(const char *path, struct config_report *report, const struct config **ret_config);
/* config_load again, for SIGHUP: keys that need a restart keep the value of `old` (so a snapshot always tells what is in
 * force) and each such change is a note. On ERR_CONFIG `old` simply stays in force. The new one holds `old`, because principals
 * and messages under way point into that: snapshots go together, at the end. The caller's hold on `old` stays his. */
int config_reload(const struct config *old, struct config_report *report, const struct config **ret_config);

const struct config *config_ref(const struct config *config);
void                 config_unref(const struct config *config);   /* NULL is fine */

/* carillon --help: every section and key with its default. */
void config_help(FILE *out);
/* carillon help TOPIC: one key or one section. 0, or ERR_NOT_FOUND with the nearest name, or NULL, in *ret_nearest. */
int  config_help_topic(FILE *out, const char *topic, const char **ret_nearest);

