#include "transports/wire/exclusion.h"

#include "hub/base/err.h"
#include "hub/base/hash.h"

#include <stdlib.h>

#define HASH_NONFATAL_OOM 1      /* what finds no memory is left out of the table: hh.tbl is NULL */
#include <uthash.h>

struct exclusion {
    UT_hash_handle hh;           /* in by_client */
    UT_hash_handle hh_number;    /* in by_number */
    uint32_t       number, refs;
    uint8_t        len;
    char           client[];
};

static struct exclusion *find_client(const struct exclusions *exclusions, struct slice client)
{
    struct exclusion *found = NULL;
    HASH_FIND_BYHASHVALUE(hh, exclusions->by_client, client.at, (unsigned)client.len, (unsigned)hash_bytes(client), found);
    return found;
}

static struct exclusion *find_number(const struct exclusions *exclusions, uint32_t number)
{
    struct exclusion *found = NULL;
    HASH_FIND(hh_number, exclusions->by_number, &number, sizeof number, found);
    return found;
}

static uint32_t new_number(struct exclusions *exclusions)
{
    do
        exclusions->last++;
    while (exclusions->last == 0 || find_number(exclusions, exclusions->last));
    return exclusions->last;
}

static struct exclusion *add(struct exclusions *exclusions, struct slice client)
{
    struct exclusion *exclusion = client.len > UINT8_MAX ? NULL : calloc(1, sizeof *exclusion + client.len);
    if (!exclusion)
        return NULL;
    exclusion->number = new_number(exclusions);
    exclusion->len = (uint8_t)client.len;
    memcpy(exclusion->client, client.at, client.len);
    HASH_ADD_KEYPTR_BYHASHVALUE(hh, exclusions->by_client, exclusion->client, (unsigned)client.len, (unsigned)hash_bytes(client), exclusion);
    if (!exclusion->hh.tbl) {
        free(exclusion);
        return NULL;
    }
    HASH_ADD(hh_number, exclusions->by_number, number, sizeof exclusion->number, exclusion);
    if (!exclusion->hh_number.tbl) {
        HASH_DELETE(hh, exclusions->by_client, exclusion);
        free(exclusion);
        return NULL;
    }
    return exclusion;
}

int exclusion_take(struct exclusions *exclusions, struct slice client, uint32_t *ret_number)
{
    *ret_number = 0;
    if (client.len == 0)
        return 0;
    struct exclusion *exclusion = find_client(exclusions, client);
    if (!exclusion && !(exclusion = add(exclusions, client)))
        return ERR_MEMORY;
    exclusion->refs++;
    *ret_number = exclusion->number;
    return 0;
}

void exclusion_give(struct exclusions *exclusions, uint32_t number)
{
    struct exclusion *exclusion = number ? find_number(exclusions, number) : NULL;
    if (!exclusion || --exclusion->refs > 0)
        return;
    HASH_DELETE(hh, exclusions->by_client, exclusion);
    HASH_DELETE(hh_number, exclusions->by_number, exclusion);
    free(exclusion);
}

uint32_t exclusion_find(const struct exclusions *exclusions, struct slice client)
{
    const struct exclusion *exclusion = find_client(exclusions, client);
    return exclusion ? exclusion->number : 0;
}
