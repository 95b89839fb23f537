/* access_records.h — the kinds of records (records.h) that say who may come in: keys made at run time and revocations, whose tables
 * are in hub/access and know nothing of the hub.
 *
 * Threading: hub thread. Lifetime: the authority outlives the hub. */
#pragma once
#include "hub/records.h"

struct authority;

void   hub_add_access(struct hub *hub, struct authority *authority);
/* Removes what has expired and notes what was used, some at a time; how many changes were begun. */
size_t hub_sweep_access(struct hub *hub, struct authority *authority, int64_t now_s);
