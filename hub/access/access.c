#include "hub/access/access.h"

#include "hub/access/grants.h"
#include "hub/access/live_key.h"
#include "hub/access/token.h"
#include "hub/base/err.h"
#include "hub/base/name.h"
#include "hub/config/api_key.h"
#include "hub/config/config.h"

#include <openssl/crypto.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum principal_kind { NOBODY, DEV, KEY, LIVE_KEY, TOKEN, ELSEWHERE };

/* What [access] and keys grant is looked up in the config when it is asked for: lists of patterns are short, and a principal of an
 * idle connection then costs a few dozen bytes. */
struct principal {
    atomic_uint          refs;
    enum principal_kind  kind;
    const struct config *config;
    struct token        *token;     /* of TOKEN; its own */
    const struct api_key *key;      /* of KEY; of LIVE_KEY that in a live_key, to which it holds a reference */
    int64_t              expires_s; /* INT64_MAX: never */
    uint32_t             generation;/* of LIVE_KEY */
    uint8_t              name_len, user_len;
    uint16_t             info_len;  /* of ELSEWHERE; a token has its own */
    char                 bytes[];   /* name, user, info */
};

static struct principal *principal_new(enum principal_kind kind, const struct config *config, const struct api_key *key,
                                       struct slice prefix, struct slice name, struct slice user)
{
    size_t name_len = name.len > UINT8_MAX - prefix.len ? UINT8_MAX - prefix.len : name.len;
    struct principal *p = malloc(sizeof *p + prefix.len + name_len + user.len);
    if (!p)
        return NULL;
    *p = (struct principal){ .kind = kind, .config = config, .key = key, .expires_s = INT64_MAX,
                             .name_len = (uint8_t)(prefix.len + name_len), .user_len = (uint8_t)user.len };
    atomic_init(&p->refs, 1);
    memcpy(p->bytes, prefix.at, prefix.len);
    memcpy(p->bytes + prefix.len, name.at, name_len);
    memcpy(p->bytes + p->name_len, user.at, user.len);
    return p;
}

/* One for all connections of a config. Only the newest config's is kept here; those of older ones live with their holders. */
struct principal *principal_anonymous(const struct config *config)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static struct principal *shared;
    enum principal_kind kind = config->dev ? DEV : NOBODY;
    pthread_mutex_lock(&lock);
    if (!shared || shared->config != config || shared->kind != kind) {
        principal_unref(shared);
        shared = principal_new(kind, config, NULL, config->dev ? SLICE("dev") : SLICE("anonymous"), SLICE(""), SLICE(""));
        if (!shared)
            abort();     /* 64 bytes, once per config */
    }
    struct principal *p = principal_ref(shared);
    pthread_mutex_unlock(&lock);
    return p;
}

int principal_dev_user(const struct config *config, struct slice user, struct principal **ret_principal)
{
    int err = user_name_check(user);
    if (err)
        return err;
    if (!config->dev)
        return ERR_UNAUTHENTICATED;
    struct principal *p = principal_new(DEV, config, NULL, SLICE("dev"), SLICE(""), user);
    if (!p)
        return ERR_MEMORY;
    *ret_principal = p;
    return 0;
}

/* NULL: none has this digest. */
static const struct api_key *find_key(const struct config *config, const uint8_t sha256[32])
{
    const struct api_key *found = NULL;
    for (size_t i = 0; i < config->key_count; i++)     /* all of them, always: time tells nothing about which */
        if (!CRYPTO_memcmp(sha256, config->keys[i].sha256, sizeof config->keys[i].sha256))
            found = &config->keys[i];
    return found;
}

int principal_by_key(const struct config *config, struct slice key, struct principal **ret_principal)
{
    uint8_t digest[32];
    int err = api_key_digest(key, digest);
    if (err)
        return err;
    const struct api_key *found = find_key(config, digest);
    if (!found)
        return ERR_UNAUTHENTICATED;
    struct principal *p = principal_new(KEY, config, found, SLICE("key "), slice_of(found->name), SLICE(""));
    if (!p)
        return ERR_MEMORY;
    *ret_principal = p;
    return 0;
}

int principal_by_token(const struct config *config, struct token *token, struct principal **ret_principal)
{
    bool user = token->user.len > 0;
    struct principal *p = principal_new(TOKEN, config, NULL, user ? SLICE("user ") : SLICE("token"), token->user, token->user);
    if (!p) {
        token_free(token);
        return ERR_MEMORY;
    }
    p->token = token;
    p->expires_s = token->expires_s;
    *ret_principal = p;
    return 0;
}

static struct live_key *live_key_of(const struct principal *p)
{
    return (struct live_key *)((char *)(uintptr_t)p->key - offsetof(struct live_key, key));
}

/* Names of such keys are not unique, their ids are. */
int principal_by_live_key(const struct config *config, struct live_key *key, uint32_t generation, int64_t until_s,
                          struct principal **ret_principal)
{
    char name[128];
    int len = snprintf(name, sizeof name, "%s (%s)", key->key.name, key->item.id);
    struct principal *p = principal_new(LIVE_KEY, config, &key->key, SLICE("key "), slice(name, (size_t)len), SLICE(""));
    if (!p) {
        live_key_unref(key);
        return ERR_MEMORY;
    }
    p->generation = generation;
    p->expires_s = until_s;
    *ret_principal = p;
    return 0;
}

struct principal *principal_elsewhere(struct slice user, struct slice info)
{
    struct principal *p = user.len <= UINT8_MAX && info.len <= UINT16_MAX ? malloc(sizeof *p + user.len + info.len) : NULL;
    if (!p)
        return NULL;
    *p = (struct principal){ .kind = ELSEWHERE, .expires_s = INT64_MAX, .user_len = (uint8_t)user.len, .info_len = (uint16_t)info.len };
    atomic_init(&p->refs, 1);
    memcpy(p->bytes, user.at, user.len);
    memcpy(p->bytes + user.len, info.at, info.len);
    return p;
}

struct principal *principal_ref(struct principal *p)
{
    atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
    return p;
}

void principal_unref(struct principal *p)
{
    if (!p || atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) != 1)
        return;
    token_free(p->token);
    if (p->kind == LIVE_KEY)
        live_key_unref(live_key_of(p));
    free(p);
}

static bool any_matches(struct words patterns, struct slice channel)
{
    for (size_t i = 0; i < patterns.count; i++)
        if (pattern_covers(slice_of(patterns.at[i]), channel))
            return true;
    return false;
}

static bool nobody_may(const struct config *config, enum access_op op, struct slice channel)
{
    switch (op) {
    case OP_SUBSCRIBE: return any_matches(config->access_subscribe, channel);
    case OP_PUBLISH:   return any_matches(config->access_publish, channel);
    case OP_HISTORY:   return any_matches(config->access_history, channel);
    case OP_PRESENCE:  return any_matches(config->access_presence, channel);
    case OP_JOIN:      return any_matches(config->access_join, channel);
    default:           return false;     /* admin, kick: for nobody in particular there is none */
    }
}

/* `OPERATION` or `OPERATION:PATTERN`, where `*` is every operation. */
static bool scope_grants(struct slice scope, enum access_op op, struct slice channel)
{
    const char *colon = memchr(scope.at, ':', scope.len);
    struct slice name = slice(scope.at, colon ? (size_t)(colon - scope.at) : scope.len);
    if (!slice_is(name, SLICE("*")) && !slice_is(name, slice_of(access_op_names[op])))
        return false;
    if (!colon)
        return true;
    struct slice pattern = slice(colon + 1, scope.len - name.len - 1);
    return pattern_covers(pattern, channel);
}

static bool key_may(const struct api_key *key, enum access_op op, struct slice channel)
{
    for (size_t i = 0; i < key->scopes.count; i++)
        if (scope_grants(slice_of(key->scopes.at[i]), op, channel))
            return true;
    return key->scopes.count == 0;
}

/* Without a channel only what covers all channels will do: an empty name is one segment too, which `*` would match. */
int principal_may(const struct principal *p, enum access_op op, struct slice channel)
{
    if (channel.len == 0)
        channel = SLICE("**");
    switch (p->kind) {
    case DEV:    return 0;
    case KEY:
    case LIVE_KEY: return key_may(p->key, op, channel) ? 0 : ERR_FORBIDDEN;
    case TOKEN:
        return p->config->dev || grants_cover(p->token->grants, op, channel) || nobody_may(p->config, op, channel) ? 0 : ERR_FORBIDDEN;
    case NOBODY: return nobody_may(p->config, op, channel) && (op == OP_JOIN || config_pattern_anonymous(p->config, channel)) ? 0 : ERR_UNAUTHENTICATED;
    default:     return ERR_FORBIDDEN;
    }
}

struct slice principal_user(const struct principal *p) { return slice(p->bytes + p->name_len, p->user_len); }
struct slice principal_info(const struct principal *p)
{
    return p->token ? p->token->info : slice(p->bytes + p->name_len + p->user_len, p->info_len);
}
struct slice principal_name(const struct principal *p) { return slice(p->bytes, p->name_len); }
bool         principal_is_nobody(const struct principal *p) { return p->kind == NOBODY || (p->kind == DEV && p->user_len == 0); }
bool         principal_is_client(const struct principal *p) { return p->kind == TOKEN || p->kind == NOBODY; }
int64_t      principal_expires_s(const struct principal *p) { return p->expires_s; }

struct slice principal_key(const struct principal *p)
{
    const size_t prefix = sizeof "key " - 1;
    return p->kind == KEY || p->kind == LIVE_KEY ? slice(p->bytes + prefix, p->name_len - prefix) : slice(p->bytes, 0);
}

bool principal_key_is_gone(const struct principal *p, const struct config *config)
{
    return p->kind == KEY && p->config != config && !find_key(config, p->key->sha256);
}

struct slice principal_tier(const struct principal *p)
{
    switch (p->kind) {
    case KEY:      return p->key->tier ? slice_of(p->key->tier) : SLICE("");
    case LIVE_KEY: return live_key_of(p)->tier;
    case TOKEN:    return p->token->tier;
    default:       return SLICE("");
    }
}

const struct token *principal_token(const struct principal *p) { return p->token; }

const struct live_key *principal_live_key(const struct principal *p, uint32_t *ret_generation)
{
    if (p->kind != LIVE_KEY)
        return NULL;
    *ret_generation = p->generation;
    return live_key_of(p);
}

void principal_note_use(const struct principal *p, int64_t now_s)
{
    if (p->kind == LIVE_KEY)
        atomic_store_explicit(&live_key_of(p)->used_s, now_s, memory_order_relaxed);
}
