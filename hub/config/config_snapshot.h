/* config_snapshot.h — a struct config while it is made, and the memory behind it.
 *
 * Private to hub/config*.c. What a snapshot points to (strings, lists, keys) lives in its blocks and goes with it.
 * Small start-up memory: the functions abort when there is none. Threading: its maker's, until it is handed out. */
#pragma once
#include "hub/config/config.h"
#include <stdatomic.h>

struct config_key;
struct config_block;

struct config_snapshot {
    struct config        config;       /* first: a const struct config * is a snapshot */
    atomic_uint          holds;
    const struct config *older;        /* the one it replaced, held by it; NULL: the first */
    struct config_block *blocks;
    int                  argc;         /* what config_load was called with, for config_reload */
    char *const         *argv;         /* borrowed; NULL: made from a file alone */
};

struct config_snapshot *snapshot_new(void);                       /* one hold, every member zero */
struct config_snapshot *snapshot_of(const struct config *config); /* of one that was handed out by config_load */
void                    snapshot_free(struct config_snapshot *snapshot);
void                   *snapshot_alloc(struct config_snapshot *snapshot, size_t bytes);             /* zeroed */
char                   *snapshot_copy(struct config_snapshot *snapshot, struct slice text);         /* NUL-terminated */
/* Splits at blanks and commas. */
struct words            snapshot_words(struct config_snapshot *snapshot, struct slice text);
