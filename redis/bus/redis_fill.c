/* redis_fill.c — what was missed while there was no live link, before it is live again (EXACT.md 19).
 *
 *   everything up to `head` was delivered ── lost link ──> subscribed again: from here on live ones come, and are kept here
 *     0. when there are many channels: which of them have had messages since, by the index (missed.lua); the others have missed nothing
 *     1. each channel that was served is asked for what came after `head`, BATCH channels in a question, WINDOW of them at a time
 *     2. an echo: all that came before it is here
 *     3. the channels and patterns that have given something up are told to be behind, then all together in order of number, each once:
 *        a reader of a pattern could not see that something is missing before it
 *
 * Numbers go out in order over all channels, so nothing can be delivered before everything is here. More than REDIS_FILL_BYTES is not
 * collected: everybody is behind then, and fetches at his own pace. */
#include "hub/base/err.h"
#include "redis/bus/redis_bus_core.h"

#include <stdlib.h>

enum { BATCH = 100, WINDOW = 4, LOOK_AT = 4096 };      /* LOOK_AT entries of the index: some 8 ms in which Redis does nothing else */

struct question {
    struct redis_fetch   fetch;
    struct fetch_call    call;
    uint64_t             generation;
    struct fetch_channel channels[BATCH];
    struct buf           names;        /* theirs: it may be sent again when the subs are gone */
};

static void question_free(struct question *question)
{
    buf_fini(&question->names);
    free(question);
}

static void clear_messages(struct redis_fill *fill)
{
    for (size_t i = 0; i < fill->n; i++)
        msg_unref(fill->msgs[i]);
    free(fill->msgs);
    fill->msgs = NULL;
    fill->n = fill->cap = fill->bytes = 0;
}

static void overflow(struct redis_fill *fill)
{
    fill->overflow = true;
    clear_messages(fill);
}

void redis_fill_keep(struct redis_bus *bus, struct msg *m)
{
    struct redis_fill *fill = &bus->fill;
    if (!fill->overflow && fill->n == fill->cap) {
        size_t cap = fill->cap ? 2 * fill->cap : 64;
        struct msg **msgs = realloc(fill->msgs, cap * sizeof *msgs);
        if (msgs) {
            fill->msgs = msgs;
            fill->cap = cap;
        } else {
            overflow(fill);
        }
    }
    if (!fill->overflow && fill->bytes + msg_size(m) > REDIS_FILL_BYTES)
        overflow(fill);
    if (fill->overflow) {
        msg_unref(m);
        return;
    }
    fill->msgs[fill->n++] = m;
    fill->bytes += msg_size(m);
}

void redis_fill_stop(struct redis_bus *bus)
{
    struct redis_fill *fill = &bus->fill;
    fill->generation++;
    fill->token = 0;
    fill->under_way = 0;
    free(fill->subs);
    fill->subs = NULL;
    fill->n_subs = fill->next = 0;
    buf_reset(&fill->behind);
}

void redis_fill_drop(struct redis_bus *bus)
{
    redis_fill_stop(bus);
    clear_messages(&bus->fill);
    bus->fill.overflow = false;
    buf_fini(&bus->fill.behind);
}

/* ---- questions ---- */

static void ask_more(struct redis_bus *bus);

/* When the link is lost it all begins anew behind this; what has come stays. */
static void not_sent(struct redis_fill *fill, int err)
{
    if (err != ERR_REDIS_AWAY)
        overflow(fill);
}

static void note_behind(struct redis_bus *bus, const struct fetch_call *call)
{
    for (size_t i = 0; i < call->n_channels; i++) {
        struct slice name = call->channels[i].name;
        if (call->channels[i].dropped <= bus->head)
            continue;
        buf_add_char(&bus->fill.behind, (char)name.len);
        buf_add_slice(&bus->fill.behind, name);
    }
}

static void on_done(struct redis_fetch *fetch, int err)
{
    struct question *question = (struct question *)fetch;
    struct redis_bus *bus = fetch->bus;
    struct fetch_call *call = &question->call;
    bool counts = !bus->freed && question->generation == bus->fill.generation;
    if (counts && !err) {
        note_behind(bus, call);
        for (size_t i = 0; i < call->n_msgs; i++)
            redis_fill_keep(bus, msg_ref(call->msgs[i]));
    } else if (counts && err != ERR_REDIS_AWAY) {
        overflow(&bus->fill);
    }
    bool more = counts && !err && call->more && !bus->fill.overflow;
    if (!err)
        fetch_answer_fini(call);
    if (more) {
        call->after = call->upto;
        err = redis_fetch_send(fetch);
        if (!err)
            return;
        not_sent(&bus->fill, err);
    }
    question_free(question);
    if (!counts || err == ERR_REDIS_AWAY)
        return;
    bus->fill.under_way--;
    ask_more(bus);
}

static void name_channels(struct redis_fill *fill, struct question *question)
{
    size_t n = 0, at = 0;
    for (; fill->next < fill->n_subs && n < BATCH; n++) {
        struct slice name = redis_sub_name(fill->subs[fill->next++]);
        buf_add_slice(&question->names, name);
        question->channels[n].name.len = name.len;
    }
    for (size_t i = 0; i < n && !question->names.failed; at += question->channels[i++].name.len)
        question->channels[i].name.at = question->names.at + at;
    question->call.n_channels = n;
}

static void ask(struct redis_bus *bus)
{
    struct redis_fill *fill = &bus->fill;
    struct question *question = calloc(1, sizeof *question);
    if (!question) {
        overflow(fill);
        fill->next = fill->n_subs;
        return;
    }
    question->generation = fill->generation;
    link_init(&question->fetch.asked);
    question->fetch.bus = bus;
    question->fetch.call = &question->call;
    question->fetch.done = on_done;
    question->call = (struct fetch_call){ .channels = question->channels, .from = FETCH_AFTER, .after = { bus->epoch, bus->head },
                                          .max_bytes = REDIS_FILL_BYTES / WINDOW };
    name_channels(fill, question);
    int err = question->names.failed ? ERR_MEMORY : redis_fetch_send(&question->fetch);
    if (err) {
        question_free(question);
        not_sent(fill, err);
        return;
    }
    fill->under_way++;
}

static void ask_more(struct redis_bus *bus)
{
    struct redis_fill *fill = &bus->fill;
    while (fill->next < fill->n_subs && fill->under_way < WINDOW && !fill->overflow)
        ask(bus);
    if (fill->under_way == 0 && fill->token == 0)
        fill->token = redis_bus_echo(bus);
}

static bool is_filled(const struct redis_sub *sub) { return sub->state == REDIS_SUB_ON && sub->last > 0 && sub->refs > 0; }

/* Channels first, patterns behind them: those are other questions (a walk over the index). */
static void collect(struct redis_bus *bus, bool patterns)
{
    struct redis_fill *fill = &bus->fill;
    list_each(item, next, &bus->subs.lists[REDIS_SUB_ON]) {
        struct redis_sub *sub = link_of(item, struct redis_sub, link);
        if (is_filled(sub) && sub->is_pattern == patterns)
            fill->subs[fill->n_subs++] = sub;
    }
}

static void ask_all(struct redis_bus *bus)
{
    bus->fill.n_subs = 0;
    collect(bus, false);
    collect(bus, true);
    ask_more(bus);
}

/* ---- which channels it is about ---- */

struct walk {
    struct redis_request request;
    struct redis_bus    *bus;
    uint64_t             generation, upto;      /* it has looked up to this number */
    size_t               left;                  /* entries it may still look at: more, and asking for all channels were cheaper */
};

static size_t entries_of(const struct walk *walk) { return walk->left < LOOK_AT ? walk->left : LOOK_AT; }

static void walk_args(struct redis_request *request, struct redis_args *args)
{
    struct walk *walk = (struct walk *)request;
    redis_args_add(args, slice_of(walk->bus->prefix));
    redis_args_add_u64(args, walk->bus->epoch);
    redis_args_add_u64(args, walk->upto);
    redis_args_add_u64(args, entries_of(walk));
}

static void take_names(struct redis_bus *bus, const struct redisReply *reply)
{
    for (size_t i = 2; i < reply->elements; i++) {
        struct redis_sub *sub = redis_subs_find(&bus->subs, redis_reply_word(reply, i));
        if (sub && is_filled(sub) && !sub->is_pattern)
            bus->fill.subs[bus->fill.n_subs++] = sub;
    }
}

static int by_place(const void *a, const void *b)
{
    const struct redis_sub *x = *(struct redis_sub *const *)a, *y = *(struct redis_sub *const *)b;
    return x < y ? -1 : x > y;
}

/* A channel may have been found by several questions. */
static void ask_found(struct redis_bus *bus)
{
    struct redis_fill *fill = &bus->fill;
    size_t n = 0;
    qsort(fill->subs, fill->n_subs, sizeof *fill->subs, by_place);
    for (size_t i = 0; i < fill->n_subs; i++)
        if (i == 0 || fill->subs[i] != fill->subs[i - 1])
            fill->subs[n++] = fill->subs[i];
    fill->n_subs = n;
    collect(bus, true);
    ask_more(bus);
}

static void on_walked(struct redis_request *request, int err, const struct redisReply *reply)
{
    struct walk *walk = (struct walk *)request;
    struct redis_bus *bus = walk->bus;
    bool counts = !bus->freed && walk->generation == bus->fill.generation;
    struct slice what = err ? slice("", 0) : redis_reply_word(reply, 0);
    bool is_end = slice_is(what, SLICE("end")), is_told = is_end || slice_is(what, SLICE("more"));
    if (counts && is_told) {
        take_names(bus, reply);
        walk->upto = redis_reply_number(reply, 1);
        walk->left -= entries_of(walk);
        if (!is_end && walk->left > 0 && !redis_engine_run(bus->engine, request))
            return;
    }
    free(walk);
    if (counts && is_end)
        ask_found(bus);
    else if (counts)
        ask_all(bus);
}

static bool walk(struct redis_bus *bus, size_t channels)
{
    struct walk *walk = calloc(1, sizeof *walk);
    if (!walk)
        return false;
    *walk = (struct walk){ .request = { .script = REDIS_MISSED, .args = walk_args, .answered = on_walked }, .bus = bus,
                           .generation = bus->fill.generation, .upto = bus->head, .left = channels };
    bool sent = !redis_engine_run(bus->engine, &walk->request);
    if (!sent)
        free(walk);
    return sent;
}

void redis_fill_begin(struct redis_bus *bus)
{
    struct redis_fill *fill = &bus->fill;
    redis_fill_stop(bus);
    if (bus->is_behind || fill->overflow) {
        ask_more(bus);
        return;
    }
    size_t channels = HASH_COUNT(bus->subs.table);
    fill->subs = calloc(2 * channels + 1, sizeof *fill->subs);      /* a walk finds one for each entry at most; patterns stand behind */
    if (!fill->subs) {
        overflow(fill);
        ask_more(bus);
    } else if (channels <= BATCH || !walk(bus, channels)) {
        ask_all(bus);
    }
}

/* ---- all is here ---- */

static int by_number(const void *a, const void *b)
{
    const struct msg *x = *(struct msg *const *)a, *y = *(struct msg *const *)b;
    return x->seq < y->seq ? -1 : x->seq > y->seq;
}

static void deliver_all(struct redis_bus *bus)
{
    struct redis_fill *fill = &bus->fill;
    size_t n = fill->n;
    struct msg **msgs = fill->msgs;
    if (n > 0)
        qsort(msgs, n, sizeof *msgs, by_number);
    fill->msgs = NULL;
    fill->n = fill->cap = fill->bytes = 0;
    for (size_t i = 0; i < n; i++)
        if (msgs[i]->seq > bus->head && msgs[i]->epoch == bus->epoch)
            redis_bus_deliver(bus, msgs[i]);
        else
            msg_unref(msgs[i]);
    free(msgs);
}

static void tell_behind(struct redis_bus *bus, struct buf *names)
{
    const struct redis_bus_setup *setup = &bus->setup;
    for (size_t at = 0; at < names->len; at += 1 + (uint8_t)names->at[at])
        setup->ops->behind(setup->owner, slice(names->at + at + 1, (uint8_t)names->at[at]));
}

void redis_fill_echoed(struct redis_bus *bus, uint64_t seq)
{
    struct redis_fill *fill = &bus->fill;
    struct buf behind = fill->behind;
    bool all = fill->overflow || bus->is_behind || behind.failed;
    fill->behind = (struct buf){ .at = NULL };
    if (all) {
        bus->setup.ops->behind(bus->setup.owner, slice("", 0));
    } else {
        tell_behind(bus, &behind);
        deliver_all(bus);
    }
    redis_fill_drop(bus);
    buf_fini(&behind);
    redis_bus_filled(bus, seq);
}
