#include "redis/bus/redis_scripts.h"

/* The assembler takes the files in as they are; the Makefile names them as what this object depends on. */
#define TAKE_IN(file) ".incbin \"redis/lua/" file ".lua\"\n"
#define BEHIND_ALONE  ""
#define BEHIND_KEPT   TAKE_IN("kept")
#define BEHIND_AGE    TAKE_IN("age")
#define BEHIND_QUEUE  TAKE_IN("queue")
#define BEHIND_KEPT_QUEUE TAKE_IN("kept") TAKE_IN("queue")
#define BEHIND_CHANGE TAKE_IN("age") TAKE_IN("change")
#define BEHIND_MEMBER TAKE_IN("age") TAKE_IN("change") TAKE_IN("member")
#define BEHIND_ROOM   TAKE_IN("age") TAKE_IN("change") TAKE_IN("room")

#define SCRIPT(name, file, behind)                     \
    __asm__(".section .rodata\n"                       \
            "redis_lua_" #file ":\n"                   \
            TAKE_IN("common")                          \
            BEHIND_##behind                            \
            TAKE_IN(#file)                             \
            "redis_lua_" #file "_end:\n"               \
            ".byte 0\n"                                \
            ".previous\n");                            \
    extern const char redis_lua_##file[], redis_lua_##file##_end[];
#include "redis/bus/scripts.def"
#undef SCRIPT

struct slice redis_script_text(enum redis_script script)
{
    static const struct { const char *at, *end; } texts[REDIS_SCRIPTS] = {
#define SCRIPT(name, file, behind) [REDIS_##name] = { redis_lua_##file, redis_lua_##file##_end },
#include "redis/bus/scripts.def"
#undef SCRIPT
    };
    return slice(texts[script].at, (size_t)(texts[script].end - texts[script].at));
}
