/* redis_scripts.h — the Lua files of redis/lua (scripts.def), as they are compiled in: each behind common.lua, which they all begin
 * with. Threading: constants. */
#pragma once
#include "hub/base/buf.h"

enum redis_script {
#define SCRIPT(name, file, behind) REDIS_##name,
#include "redis/bus/scripts.def"
#undef SCRIPT
    REDIS_SCRIPTS
};

struct slice redis_script_text(enum redis_script script);
