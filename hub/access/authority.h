/* authority.h — everything that credentials are checked against, one per process: edges and the API ask it when a connection or a
 * request begins, and keep the principal it makes of the credential.
 *
 *   credential ─ authority_check ─┬─ a token (JWT): keys here, rules of [tokens], what it grants (token.h),   ─┬─> principal
 *                                 │  unless it was revoked (revocations.h)                                      │
 *                                 └─ anything else: an API key, by its fingerprint in key_table.h or [keys] ────┘
 *
 * What was good may be taken back: a key removed, a token revoked. First the table changes, then the version, then whoever is
 * connected is looked at again (authority_admits), so nobody slips through between.
 *
 * Lifetime   made before the threads start, freed after they have ended.
 * Threading  any thread may check; what it checks against is changed on any thread and swapped as a whole. */
#pragma once
#include "hub/access/access.h"
#include "hub/access/taken_back.h"
#include "hub/base/ip.h"

#include <stdbool.h>
#include <stdint.h>

struct authority;
struct clock;
struct jwk_set;
struct key_table;
struct rate_verdict;
struct rates;
struct revocations;

enum key_source {
    KEYS_OF_SETTINGS,      /* [signers], tokens.jwks when it is a file (token_keys.h) */
    KEYS_FETCHED,          /* tokens.jwks when it is an address */
    KEY_SOURCES
};

struct authority *authority_new(void);                  /* NULL: no memory */
void              authority_free(struct authority *authority);     /* NULL is fine */

/* Who holds this credential: 0; ERR_UNAUTHENTICATED (no such key), ERR_KEY_EXPIRED, ERR_BAD_TOKEN, ERR_TOKEN_EXPIRED,
 * ERR_TOKEN_REVOKED, ERR_KEYS_PENDING (the key of the token is not known, but may be fetched: ask the hub with CALL_KEYS, then check
 * again), ERR_MEMORY. `now_s` is seconds
 * since 1970. Of the credential nothing is kept and nothing is said. */
int authority_check(struct authority *authority, const struct config *config, struct slice credential, int64_t now_s, struct principal **ret_principal);

/* The same for somebody at an address, where too many wrong ones from there are ERR_RATE_LIMITED, unseen (rates.h). */
int authority_login(struct authority *authority, const struct config *config, struct slice credential, struct ip from, const struct clock *clock,
                    struct rate_verdict *ret_verdict, struct principal **ret_principal);
struct rates *authority_rates(const struct authority *authority);      /* NULL: of no authority */

/* The keys of that source from now on, instead of those it had. Takes the reference over. When two sources have a key of the same kid
 * and algorithm, that of the settings counts. 0; ERR_MEMORY: the ones before stay. */
int  authority_set_keys(struct authority *authority, enum key_source source, struct jwk_set *keys);
/* Whether a key that is not known may be fetched. Hub thread. */
void authority_expect_keys(struct authority *authority, bool expect);
/* While it is held nobody comes in whose credentials may have been taken back: what was is not known yet. ERR_REDIS_AWAY, but for the keys
 * of the settings. Hub thread. */
void authority_hold(struct authority *authority, bool hold);
/* There are keys to check tokens with, or there will be. */
bool authority_knows_tokens(struct authority *authority);

/* Why somebody who was let in is not let in any more, or 0: credentials are taken back while they are in use. A key that these settings
 * do not have any more is one of them; the key that a token was signed with is not asked about again. */
int authority_admits(struct authority *authority, const struct config *config, const struct principal *principal, int64_t now_s);

/* What is changed at run time; their record_ops are to be registered with the hub. */
struct key_table   *authority_key_table(struct authority *authority);
struct revocations *authority_revocations(struct authority *authority);
/* Told after credentials were taken back. Before the threads start; copied. */
void authority_on_taken_back(struct authority *authority, struct taken_back whom);

/* Changes whenever somebody who was let in might not be let in any more: who keeps a principal that long for other requests checks its
 * credential again then. */
unsigned authority_version(const struct authority *authority);
