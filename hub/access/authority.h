/* authority.h — everything that credentials are checked against, one per process: edges and the API ask it when a connection or a
 * request begins.
 *
 *   credential ─ authority_check ─> principal
 *
 * Lifetime   made before the threads start, freed after they have ended.
 * Threading  any thread may check; what it checks against is changed on the hub thread. */
#pragma once
#include "hub/access/access.h"

#include <stdint.h>

struct authority;

struct authority *authority_new(void);                  /* NULL: no memory */
void              authority_free(struct authority *authority);     /* NULL is fine */

/* Who holds this credential, an API key: 0, ERR_UNAUTHENTICATED, ERR_MEMORY. `now_s` is seconds since 1970. */
int authority_check(struct authority *authority, const struct config *config, struct slice credential, int64_t now_s, struct principal **ret_principal);

/* Changes whenever somebody who was let in might not be let in any more: who keeps a principal that long for other requests checks its
 * credential again then. */
unsigned authority_version(const struct authority *authority);
