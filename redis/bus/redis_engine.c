#include "redis/bus/redis_engine.h"

#include "hub/base/err.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct redis_engine {
    struct redis_link             *link;
    const struct redis_engine_ops *ops;
    void                          *owner;
    char                           sha[REDIS_SCRIPTS][41];
    unsigned                       to_load;      /* SCRIPT LOADs without their reply; 0: all are there */
    bool                           ready;
    bool                           has_refused;
    struct link                    sent;         /* requests under way, oldest first */
    struct link                    redo;         /* those that met no script, in order */
    struct link                    held;         /* those that came since then */
};

void redis_args_add(struct redis_args *args, struct slice s)
{
    assert(args->n < REDIS_ARGS);
    args->at[args->n++] = s;
}

void redis_args_addf(struct redis_args *args, const char *format, ...)
{
    char *to = args->text + args->used;
    size_t room = sizeof args->text - args->used;
    va_list values;
    va_start(values, format);
    int n = vsnprintf(to, room, format, values);
    va_end(values);
    assert(n >= 0 && (size_t)n < room);
    redis_args_add(args, slice(to, (size_t)n));
    args->used += (size_t)n;
}

void redis_args_add_bytes(struct redis_args *args, struct slice bytes)
{
    assert(args->used + bytes.len <= sizeof args->text);
    memcpy(args->text + args->used, bytes.at, bytes.len);
    redis_args_add(args, slice(args->text + args->used, bytes.len));
    args->used += bytes.len;
}

void redis_args_add_u64(struct redis_args *args, uint64_t n)
{
    char digits[20], *to = digits + sizeof digits;
    do
        *--to = (char)('0' + n % 10);
    while (n /= 10);
    size_t len = (size_t)(digits + sizeof digits - to);
    assert(args->used + len <= sizeof args->text);
    memcpy(args->text + args->used, to, len);
    redis_args_add(args, slice(args->text + args->used, len));
    args->used += len;
}

/* ---- what an error means ---- */

static const struct { const char *kind; int err; } kinds[] = {
    { "READONLY", ERR_REDIS_AWAY }, { "MASTERDOWN", ERR_REDIS_AWAY }, { "LOADING", ERR_REDIS_AWAY }, { "NOAUTH", ERR_REDIS_AWAY },
    { "WRONGPASS", ERR_REDIS_AWAY }, { "MOVED", ERR_REDIS_AWAY },     { "CLUSTERDOWN", ERR_REDIS_AWAY },
};

/* Redis 7.0, and later ones: a command inside of a script. */
static const char *const half_done[] = { "user executing the script", "ACL failure in script" };

static bool is_half_done(const struct redisReply *reply)
{
    for (size_t i = 0; i < sizeof half_done / sizeof *half_done; i++)
        if (strstr(reply->str, half_done[i]))
            return true;
    return false;
}

int redis_error_kind(struct slice error)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (slice_begins(error, slice_of(kinds[i].kind)))
            return kinds[i].err;
    return ERR_REDIS_REFUSED;
}

size_t redis_error_reason(const char *error)
{
    const char *where = strstr(error, " script: ");
    return where ? (size_t)(where - error) : strlen(error);
}

/* ---- scripts ---- */

static void send_again(struct redis_engine *engine);
static void on_reply(void *arg, const struct redisReply *reply);

static void tell_refused(struct redis_engine *engine, const char *why)
{
    if (!why && !engine->has_refused)
        return;
    engine->has_refused = why;
    engine->ops->refused(engine->owner, why);
}

static void on_loaded(void *arg, const struct redisReply *reply)
{
    struct redis_engine *engine = arg;
    struct slice sha = reply ? redis_reply_text(reply) : slice("", 0);
    if (!reply)
        return;      /* on_down tells */
    if (redis_reply_failed(reply) || sha.len >= sizeof engine->sha[0]) {
        redis_link_again(engine->link, redis_reply_failed(reply) ? reply->str : "it does not load scripts");
        return;
    }
    enum redis_script script = REDIS_SCRIPTS - engine->to_load--;
    memcpy(engine->sha[script], sha.at, sha.len);
    if (engine->to_load > 0)
        return;
    if (engine->ready) {
        send_again(engine);
        return;
    }
    engine->ready = true;
    engine->ops->ready(engine->owner);
}

static void load_scripts(struct redis_engine *engine)
{
    engine->to_load = REDIS_SCRIPTS;
    for (enum redis_script script = 0; script < REDIS_SCRIPTS; script++) {
        struct slice load[] = { SLICE("SCRIPT"), SLICE("LOAD"), redis_script_text(script) };
        if (redis_link_send(engine->link, load, 3, on_loaded, engine)) {
            redis_link_again(engine->link, "no memory to load scripts");
            return;
        }
    }
}

/* ---- requests ---- */

static int send_now(struct redis_engine *engine, struct redis_request *request)
{
    struct redis_args args = { .n = 3 };
    args.at[0] = SLICE("EVALSHA");
    args.at[1] = slice_of(engine->sha[request->script]);
    args.at[2] = SLICE("1");
    request->args(request, &args);
    int err = redis_link_send(engine->link, args.at, args.n, on_reply, request);
    if (!err)
        list_add_last(&engine->sent, &request->link);
    return err;
}

static void end(struct redis_request *request, int err, const struct redisReply *reply)
{
    link_remove(&request->link);
    request->answered(request, err, reply);
}

static void send_again(struct redis_engine *engine)
{
    struct link all;
    link_init(&all);
    list_move_all(&all, &engine->redo);
    list_move_all(&all, &engine->held);
    for (struct link *first; (first = list_first(&all)); ) {
        struct redis_request *request = link_of(first, struct redis_request, link);
        int err = send_now(engine, request);
        if (err)
            end(request, err, NULL);
    }
}

static void on_reply(void *arg, const struct redisReply *reply)
{
    struct redis_request *request = arg;
    struct redis_engine *engine = request->engine;
    if (!reply) {
        end(request, ERR_OUTCOME_UNKNOWN, NULL);
    } else if (!redis_reply_failed(reply)) {
        if (request->script == REDIS_PUBLISH)
            tell_refused(engine, NULL);
        end(request, 0, reply);
    } else if (redis_reply_is_error(reply, "NOSCRIPT")) {
        list_add_last(&engine->redo, &request->link);
        if (engine->to_load == 0)
            load_scripts(engine);
    } else if (is_half_done(reply)) {
        tell_refused(engine, REDIS_NOPERM " the user of redis.url may not run all that the scripts need");
        end(request, ERR_OUTCOME_UNKNOWN, NULL);
    } else {
        int err = redis_error_kind(redis_reply_text(reply));
        if (err == ERR_REDIS_REFUSED)
            tell_refused(engine, reply->str);
        end(request, err, NULL);
        if (err == ERR_REDIS_AWAY)
            redis_link_again(engine->link, reply->str);
    }
}

int redis_engine_run(struct redis_engine *engine, struct redis_request *request)
{
    if (!engine->ready)
        return ERR_REDIS_AWAY;
    request->engine = engine;
    link_init(&request->link);
    if (engine->to_load == 0)
        return send_now(engine, request);
    list_add_last(&engine->held, &request->link);
    return 0;
}

/* ---- the link ---- */

static void on_up(void *owner) { load_scripts(owner); }

static void end_all(struct link *list, int err)
{
    struct link all;
    link_init(&all);
    list_move_all(&all, list);
    for (struct link *first; (first = list_first(&all)); )
        end(link_of(first, struct redis_request, link), err, NULL);
}

/* What was sent has been answered by the link: redo and held were never run. */
static void on_down(void *owner, const char *why)
{
    struct redis_engine *engine = owner;
    engine->ready = false;
    engine->to_load = 0;
    end_all(&engine->redo, ERR_REDIS_AWAY);
    end_all(&engine->held, ERR_REDIS_AWAY);
    engine->ops->down(engine->owner, why);
}

static const struct redis_link_ops link_ops = { .up = on_up, .down = on_down, .failed = on_down };

struct redis_engine *redis_engine_new(const struct redis_link_setup *link, const struct redis_engine_ops *ops, void *owner)
{
    struct redis_engine *engine = calloc(1, sizeof *engine);
    struct redis_link_setup setup = *link;
    if (!engine)
        return NULL;
    setup.ops = &link_ops;
    setup.owner = engine;
    engine->ops = ops;
    engine->owner = owner;
    link_init(&engine->sent);
    link_init(&engine->redo);
    link_init(&engine->held);
    engine->link = redis_link_new(&setup);
    if (engine->link)
        return engine;
    free(engine);
    return NULL;
}

void redis_engine_free(struct redis_engine *engine)
{
    if (!engine)
        return;
    redis_link_free(engine->link);
    engine->ready = false;
    end_all(&engine->sent, ERR_OUTCOME_UNKNOWN);
    end_all(&engine->redo, ERR_OUTCOME_UNKNOWN);
    end_all(&engine->held, ERR_OUTCOME_UNKNOWN);
    free(engine);
}

void redis_engine_open(struct redis_engine *engine)                    { redis_link_open(engine->link); }
bool redis_engine_ready(const struct redis_engine *engine)             { return engine->ready; }
void redis_engine_again(struct redis_engine *engine, const char *why)  { redis_link_again(engine->link, why); }
