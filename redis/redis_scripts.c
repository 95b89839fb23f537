#include "redis/redis_scripts.h"

/* The assembler takes the files in as they are; the Makefile names them as what this object depends on. */
#define TAKE_IN(file) ".incbin \"redis/lua/" file ".lua\"\n"
#define SCRIPT_BEHIND(before, file)                    \
    __asm__(".section .rodata\n"                       \
            "redis_lua_" #file ":\n"                   \
            TAKE_IN("common")                          \
            before                                     \
            TAKE_IN(#file)                             \
            "redis_lua_" #file "_end:\n"               \
            ".byte 0\n"                                \
            ".previous\n");                            \
    extern const char redis_lua_##file[], redis_lua_##file##_end[];
#define SCRIPT(name, file)     SCRIPT_BEHIND("", file)
#define SCRIPT_AGE(name, file) SCRIPT_BEHIND(TAKE_IN("age"), file)
#define SCRIPT_KEPT(name, file) SCRIPT_BEHIND(TAKE_IN("kept"), file)
#include "redis/scripts.def"
#undef SCRIPT_AGE
#undef SCRIPT_KEPT
#undef SCRIPT

struct slice redis_script_text(enum redis_script script)
{
    static const struct { const char *at, *end; } texts[REDIS_SCRIPTS] = {
#define SCRIPT(name, file) [REDIS_##name] = { redis_lua_##file, redis_lua_##file##_end },
#define SCRIPT_AGE SCRIPT
#define SCRIPT_KEPT SCRIPT
#include "redis/scripts.def"
#undef SCRIPT_AGE
#undef SCRIPT_KEPT
#undef SCRIPT
    };
    return slice(texts[script].at, (size_t)(texts[script].end - texts[script].at));
}
