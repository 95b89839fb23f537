#include "redis/redis_scripts.h"

/* The assembler takes the files in as they are; the Makefile names them as what this object depends on. */
#define TAKE_IN(name)                                  \
    __asm__(".section .rodata\n"                       \
            "redis_lua_" #name ":\n"                   \
            ".incbin \"redis/lua/common.lua\"\n"       \
            ".incbin \"redis/lua/" #name ".lua\"\n"    \
            "redis_lua_" #name "_end:\n"               \
            ".byte 0\n"                                \
            ".previous\n");                            \
    extern const char redis_lua_##name[], redis_lua_##name##_end[]

TAKE_IN(publish);
TAKE_IN(fetch);
TAKE_IN(echo);
TAKE_IN(proof);
TAKE_IN(purge);
TAKE_IN(rates);
TAKE_IN(tell);
TAKE_IN(parcel);

struct slice redis_script_text(enum redis_script script)
{
    static const struct { const char *at, *end; } texts[REDIS_SCRIPTS] = {
        [REDIS_PUBLISH] = { redis_lua_publish, redis_lua_publish_end }, [REDIS_FETCH] = { redis_lua_fetch, redis_lua_fetch_end },
        [REDIS_ECHO] = { redis_lua_echo, redis_lua_echo_end },          [REDIS_PROOF] = { redis_lua_proof, redis_lua_proof_end },
        [REDIS_PURGE] = { redis_lua_purge, redis_lua_purge_end },       [REDIS_TELL] = { redis_lua_tell, redis_lua_tell_end },
        [REDIS_PARCEL] = { redis_lua_parcel, redis_lua_parcel_end },    [REDIS_RATES] = { redis_lua_rates, redis_lua_rates_end },
    };
    return slice(texts[script].at, (size_t)(texts[script].end - texts[script].at));
}
