/* redis_fill.c — what was missed while there was no live link, before it is live again (EXACT.md 19).
 *
 *   everything up to `head` was delivered ── lost link ──> subscribed again: from here on live ones come, and are kept here
 *     1. each channel that was served is asked for what came after `head`, BATCH channels in a question, WINDOW of them at a time
 *     2. an echo: all that came before it is here
 *     3. all together in order of number, each once; then the channels that have given something up are told to be behind
 *
 * Numbers go out in order over all channels, so nothing can be delivered before everything is here. More than REDIS_FILL_BYTES is not
 * collected: everybody is behind then, and fetches at his own pace. */
#include "hub/base/err.h"
#include "redis/redis_bus_core.h"

#include <stdlib.h>

enum { BATCH = 100, WINDOW = 4 };

struct question {
    struct redis_fetch   fetch;
    struct fetch_call    call;
    uint64_t             generation;
    struct fetch_channel channels[BATCH];
};

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
        overflow(&bus->fill);
    }
    free(question);
    if (!counts)
        return;
    bus->fill.under_way--;
    ask_more(bus);
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
    while (fill->next < fill->n_subs && question->call.n_channels < BATCH)
        question->channels[question->call.n_channels++] = (struct fetch_channel){ .name = redis_sub_name(fill->subs[fill->next++]) };
    if (redis_fetch_send(&question->fetch)) {
        free(question);
        overflow(fill);
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

/* Channels first, patterns behind them: those are other questions (a walk over the index). */
static void collect(struct redis_bus *bus, bool patterns)
{
    struct redis_fill *fill = &bus->fill;
    list_each(item, next, &bus->subs.lists[REDIS_SUB_ON]) {
        struct redis_sub *sub = link_of(item, struct redis_sub, link);
        if (sub->last > 0 && sub->refs > 0 && sub->is_pattern == patterns)
            fill->subs[fill->n_subs++] = sub;
    }
}

void redis_fill_begin(struct redis_bus *bus)
{
    struct redis_fill *fill = &bus->fill;
    redis_fill_stop(bus);
    if (!bus->is_behind && !fill->overflow) {
        fill->subs = calloc(HASH_COUNT(bus->subs.table) + 1, sizeof *fill->subs);
        if (fill->subs) {
            collect(bus, false);
            collect(bus, true);
        } else {
            overflow(fill);
        }
    }
    ask_more(bus);
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
    if (!all)
        deliver_all(bus);
    redis_fill_drop(bus);
    if (all)
        bus->setup.ops->behind(bus->setup.owner, slice("", 0));
    else
        tell_behind(bus, &behind);
    buf_fini(&behind);
    redis_bus_filled(bus, seq);
}
