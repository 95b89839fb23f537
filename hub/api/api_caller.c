#include "hub/api/api_caller.h"

#include <stdlib.h>
#define HASH_NONFATAL_OOM 1      /* a caller that finds no memory is left out of the table: hh.tbl is NULL */
#include <uthash.h>

struct api_caller {
    UT_hash_handle hh;
    size_t         bytes;        /* under way */
    size_t         name_len;
    char           name[];
};

struct api_caller *api_caller_get(struct api_caller **callers, struct slice name)
{
    struct api_caller *caller;
    HASH_FIND(hh, *callers, name.at, name.len, caller);
    if (caller)
        return caller;
    if (!(caller = calloc(1, sizeof *caller + name.len)))
        return NULL;
    memcpy(caller->name, name.at, name.len);
    caller->name_len = name.len;
    HASH_ADD_KEYPTR(hh, *callers, caller->name, caller->name_len, caller);
    if (!caller->hh.tbl) {
        free(caller);
        return NULL;
    }
    return caller;
}

void api_callers_free(struct api_caller **callers)
{
    struct api_caller *caller, *next;
    HASH_ITER(hh, *callers, caller, next) {
        HASH_DEL(*callers, caller);
        free(caller);
    }
}

bool api_caller_take(struct api_caller *caller, size_t bytes, size_t most)
{
    if (caller->bytes > 0 && (caller->bytes >= most || bytes > most - caller->bytes))
        return false;
    caller->bytes += bytes;
    return true;
}

void api_caller_give_back(struct api_caller *caller, size_t bytes) { caller->bytes -= bytes; }
