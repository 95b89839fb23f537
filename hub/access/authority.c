#include "hub/access/authority.h"

#include <stdatomic.h>
#include <stdlib.h>

struct authority {
    atomic_uint version;
};

struct authority *authority_new(void)
{
    struct authority *authority = calloc(1, sizeof *authority);
    if (authority)
        atomic_init(&authority->version, 1);
    return authority;
}

void authority_free(struct authority *authority)
{
    free(authority);
}

unsigned authority_version(const struct authority *authority)
{
    return atomic_load_explicit(&authority->version, memory_order_acquire);
}

int authority_check(struct authority *authority, const struct config *config, struct slice credential, int64_t now_s, struct principal **ret_principal)
{
    (void)authority, (void)now_s;
    return principal_by_key(config, credential, ret_principal);
}
