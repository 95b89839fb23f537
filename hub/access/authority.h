/* authority.h — everything that credentials are checked against, one per process: edges and the API ask it when a connection or a
 * request begins, and keep the principal it makes of the credential.
 *
 *   credential ─ authority_check ─┬─ a token (JWT): keys here, rules of [tokens], what it grants (token.h) ─┬─> principal
 *                                 └─ anything else: an API key, by its fingerprint in [keys] ───────────────┘
 *
 * Lifetime   made before the threads start, freed after they have ended.
 * Threading  any thread may check; what it checks against is changed on any thread and swapped as a whole. */
#pragma once
#include "hub/access/access.h"

#include <stdint.h>

struct authority;
struct jwk_set;

enum key_source {
    KEYS_OF_SETTINGS,      /* [signers], tokens.jwks when it is a file (token_keys.h) */
    KEYS_FETCHED,          /* tokens.jwks when it is an address */
    KEY_SOURCES
};

struct authority *authority_new(void);                  /* NULL: no memory */
void              authority_free(struct authority *authority);     /* NULL is fine */

/* Who holds this credential: 0; ERR_UNAUTHENTICATED (no such key), ERR_BAD_TOKEN, ERR_TOKEN_EXPIRED, ERR_MEMORY. `now_s` is seconds
 * since 1970. Of the credential nothing is kept and nothing is said. */
int authority_check(struct authority *authority, const struct config *config, struct slice credential, int64_t now_s, struct principal **ret_principal);

/* The keys of that source from now on, instead of those it had. Takes the reference over. When two sources have a key of the same kid
 * and algorithm, that of the settings counts. 0; ERR_MEMORY: the ones before stay. */
int  authority_set_keys(struct authority *authority, enum key_source source, struct jwk_set *keys);
/* There are keys to check tokens with. */
bool authority_knows_tokens(struct authority *authority);

/* Changes whenever somebody who was let in might not be let in any more: who keeps a principal that long for other requests checks its
 * credential again then. */
unsigned authority_version(const struct authority *authority);
