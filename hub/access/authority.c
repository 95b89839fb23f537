#include "hub/access/authority.h"

#include "hub/access/jwk.h"
#include "hub/access/jwt.h"
#include "hub/access/key_table.h"
#include "hub/access/rates.h"
#include "hub/access/revocations.h"
#include "hub/access/token.h"
#include "hub/base/clock.h"
#include "hub/base/err.h"
#include "hub/base/log.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

struct authority {
    atomic_uint      version;
    atomic_bool      expects_keys, held;
    pthread_rwlock_t lock;
    struct jwk_set  *sources[KEY_SOURCES];      /* NULL: none yet */
    struct rates    *rates;
    struct jwk_set  *keys;                      /* all of them together: what tokens are checked with */
    struct key_table   *key_table;
    struct revocations *revocations;
    struct taken_back own, whom;                /* what these two tell; whom we tell then */
};

static void on_taken_back(void *arg)
{
    struct authority *authority = arg;
    atomic_fetch_add_explicit(&authority->version, 1, memory_order_release);
    taken_back_tell(&authority->whom);
}

struct authority *authority_new(void)
{
    struct authority *authority = calloc(1, sizeof *authority);
    if (!authority || pthread_rwlock_init(&authority->lock, NULL)) {
        free(authority);
        return NULL;
    }
    atomic_init(&authority->version, 1);
    authority->rates = rates_new();
    authority->keys = jwk_set_new();
    authority->own = (struct taken_back){ on_taken_back, authority };
    authority->key_table = key_table_new(&authority->own);
    authority->revocations = revocations_new(&authority->own);
    if (authority->rates && authority->keys && authority->key_table && authority->revocations)
        return authority;
    authority_free(authority);
    return NULL;
}

void authority_free(struct authority *authority)
{
    if (!authority)
        return;
    for (int source = 0; source < KEY_SOURCES; source++)
        jwk_set_unref(authority->sources[source]);
    jwk_set_unref(authority->keys);
    rates_free(authority->rates);
    pthread_rwlock_destroy(&authority->lock);
    key_table_free(authority->key_table);
    revocations_free(authority->revocations);
    free(authority);
}

struct key_table   *authority_key_table(struct authority *authority)   { return authority->key_table; }
struct revocations *authority_revocations(struct authority *authority) { return authority->revocations; }
void authority_on_taken_back(struct authority *authority, struct taken_back whom) { authority->whom = whom; }

unsigned authority_version(const struct authority *authority)
{
    return atomic_load_explicit(&authority->version, memory_order_acquire);
}

/* ---- keys ---- */

static struct jwk_set *keys_ref(struct authority *authority)
{
    pthread_rwlock_rdlock(&authority->lock);
    struct jwk_set *keys = jwk_set_ref(authority->keys);
    pthread_rwlock_unlock(&authority->lock);
    return keys;
}

static struct jwk_set *all_keys(struct jwk_set *const sources[KEY_SOURCES])
{
    struct jwk_set *all = jwk_set_new();
    for (int source = 0; all && source < KEY_SOURCES; source++)
        if (sources[source] && jwk_set_add_set(all, sources[source])) {
            jwk_set_unref(all);
            return NULL;
        }
    return all;
}

int authority_set_keys(struct authority *authority, enum key_source source, struct jwk_set *keys)
{
    pthread_rwlock_wrlock(&authority->lock);
    struct jwk_set *before = authority->sources[source], *old = authority->keys;
    authority->sources[source] = keys;
    struct jwk_set *all = all_keys(authority->sources);
    if (all)
        authority->keys = all;
    else
        authority->sources[source] = before;
    pthread_rwlock_unlock(&authority->lock);
    jwk_set_unref(all ? before : keys);
    if (!all)
        return ERR_MEMORY;
    jwk_set_unref(old);
    atomic_fetch_add_explicit(&authority->version, 1, memory_order_release);
    return 0;
}

void authority_expect_keys(struct authority *authority, bool expect)
{
    atomic_store_explicit(&authority->expects_keys, expect, memory_order_relaxed);
}

void authority_hold(struct authority *authority, bool hold)
{
    atomic_store_explicit(&authority->held, hold, memory_order_release);
}

static bool is_held(const struct authority *authority) { return atomic_load_explicit(&authority->held, memory_order_acquire); }

bool authority_knows_tokens(struct authority *authority)
{
    if (atomic_load_explicit(&authority->expects_keys, memory_order_relaxed))
        return true;
    pthread_rwlock_rdlock(&authority->lock);
    bool knows = authority->keys->n > 0;
    pthread_rwlock_unlock(&authority->lock);
    return knows;
}

/* ---- checking ---- */

/* API keys as they are made here have no dot (api_key.h); tokens have two, and begin with {" in base64url. */
static bool is_token(struct slice credential)
{
    const char *dot = credential.len > 0 ? memchr(credential.at, '.', credential.len) : NULL;
    bool two = dot && memchr(dot + 1, '.', credential.len - (size_t)(dot + 1 - credential.at));
    return two || slice_begins(credential, SLICE("eyJ"));
}

static int principal_of(struct authority *authority, const struct config *config, const struct jwt *jwt, struct principal **ret_principal)
{
    struct token *token;
    struct buf why = { 0 };
    int err = token_read(config, jwt, &why, NULL, &token);
    if (err)
        log_debug("access", "a token is refused: %.*s", (int)why.len, buf_slice(&why).at);
    buf_fini(&why);
    if (err)
        return err;
    bool held = is_held(authority);      /* before the table is looked at: what is read afterwards is whole */
    err = revocations_check(authority->revocations, token->jti, token->user, token->issued_s);
    if (!err && held)
        err = ERR_REDIS_AWAY;
    if (!err)
        return principal_by_token(config, token, ret_principal);
    token_free(token);
    return err;
}

/* Secrets are never fetched. */
static bool may_come(const struct authority *authority, const struct jwt *jwt)
{
    return atomic_load_explicit(&authority->expects_keys, memory_order_relaxed) && !jwa_is_secret(jwt->algorithm);
}

static int check_token(struct authority *authority, const struct config *config, struct slice text, int64_t now_s, struct principal **ret_principal)
{
    struct jwk_set *keys = keys_ref(authority);
    struct jwt_rules rules = token_rules(config, now_s * 1000);
    struct jwt jwt;
    enum jwt_fault fault = jwt_check(keys, &rules, text, &jwt);
    int err = fault ? jwt_fault_error(fault) : principal_of(authority, config, &jwt, ret_principal);
    if (fault == JWT_UNKNOWN_KEY && may_come(authority, &jwt))
        err = ERR_KEYS_PENDING;
    else if (fault)
        log_debug("access", "a token is refused: %s", jwt_fault_text(fault));
    jwt_fini(&jwt);
    jwk_set_unref(keys);
    return err;
}

static int check_key(struct authority *authority, const struct config *config, struct slice text, int64_t now_s,
                     struct principal **ret_principal)
{
    struct live_key *key;
    uint32_t generation;
    int64_t until_s;
    bool held = is_held(authority);      /* before the table is looked at: what is read afterwards is whole */
    int err = held ? ERR_UNAUTHENTICATED : key_table_check(authority->key_table, text, now_s, &key, &generation, &until_s);
    if (!err)
        return principal_by_live_key(config, key, generation, until_s, ret_principal);
    if (err == ERR_UNAUTHENTICATED)
        err = principal_by_key(config, text, ret_principal);
    return err == ERR_UNAUTHENTICATED && held ? ERR_REDIS_AWAY : err;
}

int authority_check(struct authority *authority, const struct config *config, struct slice credential, int64_t now_s,
                    struct principal **ret_principal)
{
    if (is_token(credential))
        return check_token(authority, config, credential, now_s, ret_principal);
    return check_key(authority, config, credential, now_s, ret_principal);
}

int authority_admits(struct authority *authority, const struct config *config, const struct principal *principal, int64_t now_s)
{
    uint32_t generation;
    const struct live_key *key = principal_live_key(principal, &generation);
    const struct token *token = principal_token(principal);
    if (principal_key_is_gone(principal, config))
        return ERR_KEY_REVOKED;
    if (key)
        return key_table_admits(authority->key_table, slice_of(key->item.id), generation, now_s);
    return token ? revocations_check(authority->revocations, token->jti, token->user, token->issued_s) : 0;
}

struct rates *authority_rates(const struct authority *authority) { return authority ? authority->rates : NULL; }

int authority_login(struct authority *authority, const struct config *config, struct slice credential, struct ip from, const struct clock *clock,
                    struct rate_verdict *ret_verdict, struct principal **ret_principal)
{
    int64_t now_ms = clock_mono_ms(clock);
    int err = rates_check_login(authority->rates, config, from, now_ms, ret_verdict);
    if (err)
        return err;
    err = authority_check(authority, config, credential, clock_wall_ms(clock) / 1000, ret_principal);
    if (err == ERR_UNAUTHENTICATED || err == ERR_BAD_TOKEN)
        rates_failed_login(authority->rates, config, from, now_ms);
    return err;
}
