/* redis_scripts.h — the scripts of redis/lua, each with common.lua before it, as they were when the hub was built. scripts.def lists them.
 * Threading: constants. */
#pragma once
#include "hub/base/buf.h"

enum redis_script {
#define SCRIPT(name, file) REDIS_##name,
#include "redis/scripts.def"
#undef SCRIPT
    REDIS_SCRIPTS
};

struct slice redis_script_text(enum redis_script script);
