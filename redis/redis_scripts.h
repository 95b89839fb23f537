/* redis_scripts.h — the Lua files of redis/lua, as they are compiled in: each behind common.lua, which they all begin with.
 * Threading: constants. */
#pragma once
#include "hub/base/buf.h"

enum redis_script { REDIS_PUBLISH, REDIS_FETCH, REDIS_ECHO, REDIS_PROOF, REDIS_PURGE, REDIS_TELL, REDIS_PARCEL, REDIS_RATES, REDIS_SCRIPTS };

struct slice redis_script_text(enum redis_script script);
