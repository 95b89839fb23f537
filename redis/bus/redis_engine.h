/* redis_engine.h — runs the scripts on the link of commands, in order, and says what became of each.
 *
 *   redis_engine_run ──EVALSHA──> Redis ──reply──> answered(request, 0, reply)
 *                                          └─error, by its kind:
 *     NOSCRIPT (a restart, SCRIPT FLUSH)       all scripts are loaded again, and what was refused runs once more, in its order, before
 *                                              what came meanwhile: nobody notices
 *     READONLY MASTERDOWN LOADING NOAUTH …     this server is left, and another looked for: ERR_REDIS_AWAY
 *     OOM MISCONF NOREPLICAS NOPERM …          it stays: ERR_REDIS_REFUSED, and ops->refused() says why
 *     a right was missing in a script's middle it stays: ERR_OUTCOME_UNKNOWN, and ops->refused() says so
 *   the link is lost before the reply: ERR_OUTCOME_UNKNOWN, what waited for the scripts ERR_REDIS_AWAY. Nothing is sent twice (EXACT.md 21).
 *
 * Lifetime   redis_engine_new … redis_engine_free, which answers what is under way with ERR_OUTCOME_UNKNOWN. Callbacks may run more, but
 *            not free it.
 * Threading  the thread of its loop.
 * Limits     those of redis_link_send, for what waits for the scripts too. */
#pragma once
#include "hub/base/list.h"
#include "redis/link/redis_link.h"
#include "redis/bus/redis_scripts.h"

enum { REDIS_ARGS = 24, REDIS_ARG_TEXT = 512 };

/* What a script is called with: slices of the caller's, and numbers printed here. */
struct redis_args {
    struct slice at[REDIS_ARGS];
    size_t       n, used;
    char         text[REDIS_ARG_TEXT];
};
void redis_args_add(struct redis_args *args, struct slice s);
void redis_args_add_bytes(struct redis_args *args, struct slice bytes);      /* copied here */
void redis_args_add_u64(struct redis_args *args, uint64_t n);
void redis_args_addf(struct redis_args *args, const char *format, ...) __attribute__((format(printf, 2, 3)));

struct redis_request;
struct redis_request {               /* embedded in what asks; its own until it is answered */
    struct link       link;
    enum redis_script script;
    struct redis_engine *engine;
    /* Adds KEYS[1] and ARGV. Called each time it is sent. */
    void (*args)(struct redis_request *request, struct redis_args *args);
    /* Never from inside redis_engine_run. `reply` is valid during the call, and NULL with an err. */
    void (*answered)(struct redis_request *request, int err, const struct redisReply *reply);
};

struct redis_engine_ops {
    void (*ready)(void *owner);
    void (*down)(void *owner, const char *why);      /* also when it could not become ready */
    void (*refused)(void *owner, const char *why);   /* it will not do what a script wanted; NULL: it did again */
};

struct redis_engine *redis_engine_new(const struct redis_link_setup *link, const struct redis_engine_ops *ops, void *owner);  /* NULL: no memory */
void redis_engine_free(struct redis_engine *engine);      /* NULL is fine */
void redis_engine_open(struct redis_engine *engine);
bool redis_engine_ready(const struct redis_engine *engine);
/* 0: it will be answered; ERR_REDIS_AWAY, ERR_BUSY, ERR_MEMORY: it will not. */
int  redis_engine_run(struct redis_engine *engine, struct redis_request *request);
void redis_engine_again(struct redis_engine *engine, const char *why);
#define REDIS_NOPERM "NOPERM"      /* what the reason of a refusal begins with when a right is missing */
/* What a server that says this is good for; ERR_REDIS_AWAY: it is to be left. */
int  redis_error_kind(struct slice error);
/* How long its part for people is: without where in which script it was. */
size_t redis_error_reason(const char *error);
