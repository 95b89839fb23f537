#define HASH_NONFATAL_OOM 1      /* a sub that finds no memory is left out of the table: hh.tbl is NULL */
#include "redis/bus/redis_subs.h"

#include "hub/base/err.h"
#include "hub/base/name.h"
#include "redis/bus/redis_bus.h"

#include <assert.h>
#include <stdlib.h>

enum { NAMES_MAX = REDIS_ARGS_MAX - 1 };

#define BIT(state) (1u << (state))
static const uint8_t may_follow[REDIS_SUB_STATES] = {
    [REDIS_SUB_OFF]  = BIT(REDIS_SUB_SENT),
    [REDIS_SUB_SENT] = BIT(REDIS_SUB_ON) | BIT(REDIS_SUB_OFF),
    [REDIS_SUB_ON]   = BIT(REDIS_SUB_OFF),
};

static void move(struct redis_subs *subs, struct redis_sub *sub, enum redis_sub_state to)
{
    assert(may_follow[sub->state] & BIT(to));
    sub->state = to;
    list_add_last(&subs->lists[to], &sub->link);
}

void redis_subs_init(struct redis_subs *subs, struct redis_link *link, const char *prefix)
{
    *subs = (struct redis_subs){ .link = link, .prefix = prefix };
    for (size_t i = 0; i < REDIS_SUB_STATES; i++)
        link_init(&subs->lists[i]);
    link_init(&subs->idle);
}

static void forget(struct redis_subs *subs, struct redis_sub *sub)
{
    HASH_DEL(subs->table, sub);
    link_remove(&sub->link);
    link_remove(&sub->idle);
    free(sub);
}

void redis_subs_fini(struct redis_subs *subs)
{
    struct redis_sub *sub, *next;
    HASH_ITER (hh, subs->table, sub, next)
        forget(subs, sub);
}

struct redis_sub *redis_subs_find(const struct redis_subs *subs, struct slice name)
{
    struct redis_sub *sub;
    HASH_FIND(hh, subs->table, name.at, name.len, sub);
    return sub;
}

static struct redis_sub *sub_new(struct redis_subs *subs, struct slice name)
{
    struct redis_sub *sub = calloc(1, sizeof *sub + name.len);
    if (!sub)
        return NULL;
    sub->len = (uint8_t)name.len;
    memcpy(sub->name, name.at, name.len);
    sub->is_pattern = name_is_pattern(name);
    link_init(&sub->link);
    link_init(&sub->idle);
    HASH_ADD_KEYPTR(hh, subs->table, sub->name, sub->len, sub);
    if (!sub->hh.tbl) {
        free(sub);
        return NULL;
    }
    list_add_last(&subs->lists[REDIS_SUB_OFF], &sub->link);
    return sub;
}

struct redis_sub *redis_subs_take(struct redis_subs *subs, struct slice name)
{
    struct redis_sub *sub = redis_subs_find(subs, name);
    if (!sub && !(sub = sub_new(subs, name)))
        return NULL;
    link_remove(&sub->idle);
    subs->n_patterns += sub->refs == 0 && sub->is_pattern;
    sub->refs++;
    return sub;
}

void redis_subs_release(struct redis_subs *subs, struct redis_sub *sub, int64_t now_ms)
{
    assert(sub->refs > 0);
    if (--sub->refs > 0)
        return;
    sub->idle_since_ms = now_ms;
    list_add_last(&subs->idle, &sub->idle);
    if (sub->is_pattern && --subs->n_patterns == 0)
        subs->firehose_idle_ms = now_ms;
}

/* ---- what is sent ---- */

/* Subjects of one command, in memory of their own. */
struct subjects {
    struct buf    text;
    struct slice  args[REDIS_ARGS_MAX];
    size_t        ends[REDIS_ARGS_MAX];
    size_t        n;
};

static void add_subject(struct subjects *subjects, const struct redis_subs *subs, const struct redis_sub *sub)
{
    buf_add_str(&subjects->text, subs->prefix);
    buf_add_str(&subjects->text, "m:");
    buf_add_slice(&subjects->text, redis_sub_name(sub));
    subjects->ends[subjects->n++] = subjects->text.len;
}

static int flush(struct subjects *subjects, const struct redis_subs *subs, struct slice command)
{
    size_t begin = 0;
    if (subjects->n == 0)
        return 0;
    if (subjects->text.failed)
        return ERR_MEMORY;
    subjects->args[0] = command;
    for (size_t i = 0; i < subjects->n; i++) {
        subjects->args[i + 1] = slice(subjects->text.at + begin, subjects->ends[i] - begin);
        begin = subjects->ends[i];
    }
    int err = redis_link_send(subs->link, subjects->args, subjects->n + 1, NULL, NULL);
    subjects->n = 0;
    buf_reset(&subjects->text);
    return err;
}

/* P may hold any byte, and a pattern of Redis gives some of them a meaning. */
static int send_firehose(struct redis_subs *subs, struct slice command)
{
    struct buf subject = { .at = NULL };
    for (const char *c = subs->prefix; *c; c++) {
        if (strchr("*?[]\\^", *c))
            buf_add_char(&subject, '\\');
        buf_add_char(&subject, *c);
    }
    buf_add_str(&subject, "m:*");
    struct slice args[] = { command, buf_slice(&subject) };
    int err = subject.failed ? ERR_MEMORY : redis_link_send(subs->link, args, 2, NULL, NULL);
    buf_fini(&subject);
    return err;
}

/* ---- what comes back ---- */

static void turn_on(struct redis_subs *subs, struct redis_sub *sub, redis_sub_on_fn *on, void *arg)
{
    move(subs, sub, REDIS_SUB_ON);
    on(arg, sub);
}

static void turn_patterns_on(struct redis_subs *subs, redis_sub_on_fn *on, void *arg)
{
    list_each(item, next, &subs->lists[REDIS_SUB_SENT]) {
        struct redis_sub *sub = link_of(item, struct redis_sub, link);
        if (sub->is_pattern)
            turn_on(subs, sub, on, arg);
    }
}

void redis_subs_confirmed(struct redis_subs *subs, struct slice kind, struct slice subject, redis_sub_on_fn *on, void *arg)
{
    size_t before = strlen(subs->prefix) + 2;
    if (slice_is(kind, SLICE("psubscribe"))) {
        subs->firehose = REDIS_SUB_ON;
        turn_patterns_on(subs, on, arg);
    } else if (slice_is(kind, SLICE("subscribe")) && subject.len > before) {
        struct redis_sub *sub = redis_subs_find(subs, slice(subject.at + before, subject.len - before));
        if (sub && sub->state == REDIS_SUB_SENT)
            turn_on(subs, sub, on, arg);
    }
}

int redis_subs_send(struct redis_subs *subs, redis_sub_on_fn *on, void *arg)
{
    struct subjects subjects = { .n = 0 };
    int err = 0;
    list_each(item, next, &subs->lists[REDIS_SUB_OFF]) {
        struct redis_sub *sub = link_of(item, struct redis_sub, link);
        if (sub->refs == 0) {      /* since the link was lost; a pattern that nobody wants would never be confirmed */
            forget(subs, sub);
            continue;
        }
        move(subs, sub, REDIS_SUB_SENT);
        if (!sub->is_pattern)
            add_subject(&subjects, subs, sub);
        if (subjects.n == NAMES_MAX && (err = flush(&subjects, subs, SLICE("SUBSCRIBE"))))
            break;
    }
    if (!err)
        err = flush(&subjects, subs, SLICE("SUBSCRIBE"));
    if (!err && subs->n_patterns > 0 && subs->firehose == REDIS_SUB_OFF) {
        err = send_firehose(subs, SLICE("PSUBSCRIBE"));
        subs->firehose = REDIS_SUB_SENT;
    }
    if (subs->firehose == REDIS_SUB_ON)
        turn_patterns_on(subs, on, arg);
    buf_fini(&subjects.text);
    return err;
}

bool redis_subs_settled(const struct redis_subs *subs)
{
    return link_alone(&subs->lists[REDIS_SUB_SENT]) && subs->firehose != REDIS_SUB_SENT;
}

void redis_subs_lost(struct redis_subs *subs)
{
    subs->firehose = REDIS_SUB_OFF;
    list_each(item, next, &subs->idle)
        forget(subs, link_of(item, struct redis_sub, idle));
    for (enum redis_sub_state state = REDIS_SUB_SENT; state < REDIS_SUB_STATES; state++)
        list_each(item, next, &subs->lists[state])
            move(subs, link_of(item, struct redis_sub, link), REDIS_SUB_OFF);
}

/* ---- nobody wants it any more ---- */

void redis_subs_forget_idle(struct redis_subs *subs, int64_t now_ms)
{
    struct subjects subjects = { .n = 0 };
    list_each(item, next, &subs->idle) {
        struct redis_sub *sub = link_of(item, struct redis_sub, idle);
        if (sub->idle_since_ms + REDIS_IDLE_MS > now_ms)
            break;
        if (sub->state == REDIS_SUB_SENT)      /* its confirmation must not be taken for that of the next one */
            continue;
        if (sub->state == REDIS_SUB_ON && !sub->is_pattern)
            add_subject(&subjects, subs, sub);
        forget(subs, sub);
        if (subjects.n == NAMES_MAX)
            flush(&subjects, subs, SLICE("UNSUBSCRIBE"));
    }
    flush(&subjects, subs, SLICE("UNSUBSCRIBE"));      /* should it fail, something comes that nobody wants */
    buf_fini(&subjects.text);
    if (subs->n_patterns == 0 && subs->firehose == REDIS_SUB_ON && subs->firehose_idle_ms + REDIS_IDLE_MS <= now_ms
        && !send_firehose(subs, SLICE("PUNSUBSCRIBE")))
        subs->firehose = REDIS_SUB_OFF;
}
