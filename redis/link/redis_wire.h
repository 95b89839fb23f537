/* redis_wire.h — commands and replies on one connected socket, in order (RESP2, the protocol of Redis up to 6 and beyond).
 *
 *   redis_wire_send ──> out                      pipelined: nobody waits for the reply before
 *   on_reply(arg, reply) <── in                  the oldest command's; what comes when none waits for a reply goes to `push`
 *   broken: on_reply(arg, NULL) for each command without a reply, oldest first, then ops->broken(why), once
 *
 * hiredis formats and parses; the socket is libevent's. A wire breaks when the socket ends, what comes is no RESP, or a command
 * waits for its reply and nothing has come for timeout_ms: a queue that is worked off slowly is no silence. Whether the server has run a command whose reply did not come nobody knows.
 *
 * Lifetime   redis_wire_new … redis_wire_free. In any callback the wire may be freed, or broken by redis_wire_break.
 * Threading  the thread of its loop.
 * Limits     redis_wire_queued tells how much waits for the socket: who sends without end asks. A reply has at most 512 MiB and 7 levels. */
#pragma once
#include "hub/base/buf.h"

#include <hiredis/hiredis.h>

struct bufferevent;
struct event_base;
struct redis_wire;

/* NULL: the wire broke. The reply is valid during the call. */
typedef void redis_reply_fn(void *arg, const struct redisReply *reply);

struct redis_wire_ops {
    /* Of a wire that listens: what comes after the first command without on_reply (SUBSCRIBE), its own replies among it; from then
     * on no command has one. NULL: a wire of commands and replies. */
    void (*push)(void *owner, const struct redisReply *reply);
    void (*broken)(void *owner, const char *why);                   /* one sentence, without its end */
};

enum { REDIS_ARGS_MAX = 64 };

/* Takes over `bev` at once, also when it returns NULL: no memory. */
struct redis_wire *redis_wire_new(struct event_base *base, struct bufferevent *bev, int64_t timeout_ms, const struct redis_wire_ops *ops, void *owner);
void   redis_wire_free(struct redis_wire *wire);      /* no callback comes any more, not even for commands under way; NULL is fine */
/* 0; ERR_MEMORY, or ERR_REDIS_AWAY on a wire that is broken (inside the last callbacks): nothing was sent. n is 1 … REDIS_ARGS_MAX. */
int    redis_wire_send(struct redis_wire *wire, const struct slice *args, size_t n, redis_reply_fn *on_reply, void *arg);
void   redis_wire_break(struct redis_wire *wire, const char *why);
/* Nothing more is given until it is let go: from the next reply on, also of those that are here. What follows waits in the socket. */
void   redis_wire_hold(struct redis_wire *wire, bool held);
size_t redis_wire_queued(const struct redis_wire *wire);       /* bytes */
size_t redis_wire_waiting(const struct redis_wire *wire);      /* commands without their reply */

/* Of an error reply the first word is its kind: LOADING, READONLY, … */
bool   redis_reply_is_error(const struct redisReply *reply, const char *kind);
static inline bool redis_reply_failed(const struct redisReply *reply) { return reply->type == REDIS_REPLY_ERROR; }
static inline struct slice redis_reply_text(const struct redisReply *reply)      /* of a string, status or error; else empty */
{
    return reply->str ? slice(reply->str, reply->len) : slice("", 0);
}
/* Of an array. */
static inline uint64_t redis_reply_number(const struct redisReply *reply, size_t i)      /* 0: there is none */
{
    uint64_t n = 0;
    if (reply->type != REDIS_REPLY_ARRAY || i >= reply->elements)
        return 0;
    if (reply->element[i]->type == REDIS_REPLY_INTEGER)
        return (uint64_t)reply->element[i]->integer;
    slice_u64(redis_reply_text(reply->element[i]), &n);
    return n;
}
static inline struct slice redis_reply_word(const struct redisReply *reply, size_t i)
{
    return reply->type == REDIS_REPLY_ARRAY && i < reply->elements ? redis_reply_text(reply->element[i]) : slice("", 0);
}
