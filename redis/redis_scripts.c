#include "redis/redis_scripts.h"

/* The assembler takes the files in as they are; the Makefile names them as what this object depends on. */
#define SCRIPT(name, file)                             \
    __asm__(".section .rodata\n"                       \
            "redis_lua_" #file ":\n"                   \
            ".incbin \"redis/lua/common.lua\"\n"       \
            ".incbin \"redis/lua/" #file ".lua\"\n"    \
            "redis_lua_" #file "_end:\n"               \
            ".byte 0\n"                                \
            ".previous\n");                            \
    extern const char redis_lua_##file[], redis_lua_##file##_end[];
#include "redis/scripts.def"
#undef SCRIPT

struct slice redis_script_text(enum redis_script script)
{
    static const struct { const char *at, *end; } texts[REDIS_SCRIPTS] = {
#define SCRIPT(name, file) [REDIS_##name] = { redis_lua_##file, redis_lua_##file##_end },
#include "redis/scripts.def"
#undef SCRIPT
    };
    return slice(texts[script].at, (size_t)(texts[script].end - texts[script].at));
}
