#include "hub/api/api_caller.h"

#include <stdlib.h>
#define HASH_NONFATAL_OOM 1      /* a caller that finds no memory is left out of the table: hh.tbl is NULL */
#include <uthash.h>

struct api_caller {
    UT_hash_handle      hh;
    struct api_caller **table;
    unsigned            refs;
    size_t              bytes;        /* under way */
    struct link         waiting;      /* for fewer */
    size_t              name_len;
    char                name[];
};

static struct api_caller *caller_new(struct api_caller **callers, struct slice name)
{
    struct api_caller *caller = calloc(1, sizeof *caller + name.len);
    if (!caller)
        return NULL;
    memcpy(caller->name, name.at, name.len);
    caller->name_len = name.len;
    caller->table = callers;
    link_init(&caller->waiting);
    HASH_ADD_KEYPTR(hh, *callers, caller->name, caller->name_len, caller);
    if (caller->hh.tbl)
        return caller;
    free(caller);
    return NULL;
}

struct api_caller *api_caller_get(struct api_caller **callers, struct slice name)
{
    struct api_caller *caller;
    HASH_FIND(hh, *callers, name.at, name.len, caller);
    if (!caller)
        caller = caller_new(callers, name);
    return caller ? api_caller_ref(caller) : NULL;
}

struct slice api_caller_name(const struct api_caller *caller) { return slice(caller->name, caller->name_len); }

struct api_caller *api_caller_ref(struct api_caller *caller)
{
    caller->refs++;
    return caller;
}

void api_caller_unref(struct api_caller *caller)
{
    if (!caller || --caller->refs > 0)
        return;
    HASH_DEL(*caller->table, caller);
    free(caller);
}

bool api_caller_has_room(const struct api_caller *caller, size_t bytes, size_t most)
{
    return caller->bytes == 0 || (caller->bytes < most && bytes <= most - caller->bytes);
}

bool api_caller_take(struct api_caller *caller, size_t bytes, size_t most)
{
    if (!api_caller_has_room(caller, bytes, most))
        return false;
    caller->bytes += bytes;
    return true;
}

bool api_caller_may_take(struct api_caller *caller, size_t bytes, size_t most, struct api_caller_waiter *waiter)
{
    if (api_caller_has_room(caller, bytes, most)) {
        link_remove(&waiter->link);
        return true;
    }
    waiter->bytes = bytes;
    waiter->most = most;
    if (link_alone(&waiter->link))
        list_add_last(&caller->waiting, &waiter->link);
    return false;
}

/* Each that is called may take what there is, and wait again, behind the others. */
void api_caller_give_back(struct api_caller *caller, size_t bytes)
{
    struct link *first;
    caller->bytes -= bytes;
    while ((first = list_first(&caller->waiting))) {
        struct api_caller_waiter *waiter = link_of(first, struct api_caller_waiter, link);
        if (!api_caller_has_room(caller, waiter->bytes, waiter->most))
            return;
        link_remove(&waiter->link);
        waiter->go_on(waiter);
    }
}
