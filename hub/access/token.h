/* token.h — what a valid token says about its holder: the claims (jwt.h) as what the hub needs of them.
 *
 *   sub                        the user; also subscribe to user.{user}
 *   jti, iat, exp              to take it back, and when it ends
 *   carillon                   an object; all of its members may be missing
 *     subscribe publish …      arrays of patterns (grants.h)
 *     channels                 array of channels that are subscribed to at once, and may be
 *     info                     any JSON, for others to see (presence)
 *     limits                   the name of a tier
 *   tokens.role_claims         roles, whose grants are in the settings
 *
 * What is ours and has the wrong form is refused, not passed over: a token that means something else than it says is worse than
 * none. Claims of roles are the identity provider's, so there whatever is no role of ours is passed over.
 *
 * Lifetime   one block, made by token_read, freed by token_free. Threading: immutable.
 * Limits     TOKEN_NAME_MAX bytes of sub and jti, TOKEN_CHANNELS_MAX channels, TOKEN_ROLES_MAX names of roles, GRANTS_MAX grants. */
#pragma once
#include "hub/base/name.h"

struct config;
struct grants;
struct jwt;
struct jwt_rules;

enum { TOKEN_NAME_MAX = USER_NAME_MAX, TOKEN_TIER_MAX = 64, TOKEN_CHANNELS_MAX = 100, TOKEN_ROLES_MAX = 100 };

struct token {
    struct slice   user, jti, tier;      /* empty: not said */
    struct slice   info;                 /* JSON text; empty: none */
    int64_t        issued_s;             /* iat; 0: not said */
    int64_t        expires_s;            /* exp, and the leeway after it; INT64_MAX: never */
    struct grants *grants;
    char           bytes[];
};

/* How tokens are checked with these settings at this moment. */
struct jwt_rules token_rules(const struct config *config, int64_t now_ms);
/* Of a token that jwt_check found fine. 0; ERR_BAD_TOKEN and a sentence in *why; ERR_MEMORY. `notes` (may be NULL) gets a line for
 * each thing that has no effect: a grant that is void, a role that is not known. */
int  token_read(const struct config *config, const struct jwt *jwt, struct buf *why, struct buf *notes, struct token **ret_token);
void token_free(struct token *token);    /* NULL is fine */
