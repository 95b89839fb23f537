/* redis_fetch.c — a question to history: one script (EXACT.md 19), and what it says as the answer of a CALL_FETCH.
 *
 *   redis_fetch_run ──script──> reply: the answer is made ─┐
 *                       └─echo─> the subscriber link ──────┴─> done()       when both are here; messages behind the echo wait for the reply
 *
 * A FETCH_NOW asks nothing but where now is: an echo tells that, and one does for all who ask meanwhile.
 * What is patient and loses Redis on its way begins anew when it is back: a question may be asked twice. */
#include "hub/base/err.h"
#include "hub/config/channel_rule.h"
#include "hub/store/store_block.h"
#include "redis/bus/redis_bus_core.h"

#include <stdlib.h>

_Static_assert(sizeof(struct msg) == 72, "common.lua knows it: size_of");

enum { LOOK_AT = 2 * 1024 };      /* entries of the index per call: some 4 ms in which Redis does nothing else */

static const char *const from_names[] = {
    [FETCH_AFTER] = "after", [FETCH_ALL] = "all", [FETCH_LATEST] = "latest", [FETCH_COUNT] = "count", [FETCH_TIME] = "time",
};

static void add_names(struct redis_args *args, const struct fetch_call *call, struct buf *names)
{
    buf_reset(names);
    for (size_t i = 0; i < call->n_channels; i++) {
        const struct fetch_channel *asked = &call->channels[i];
        buf_add_char(names, asked->whole ? 'w' : asked->from_now ? 'n' : '-');
        buf_add_slice(names, asked->name);
        buf_add_char(names, '\n');
    }
    redis_args_add(args, names->failed ? slice("", 0) : buf_slice(names));
}

static void fetch_args(struct redis_request *request, struct redis_args *args)
{
    struct redis_fetch *fetch = (struct redis_fetch *)request;
    struct redis_bus *bus = fetch->bus;
    const struct fetch_call *call = fetch->call;
    redis_args_add(args, slice_of(bus->prefix));
    redis_args_add(args, slice_of(from_names[call->from]));
    redis_args_add_u64(args, call->after.epoch);
    redis_args_add_u64(args, call->after.seq);
    redis_args_add_u64(args, call->from == FETCH_TIME ? (uint64_t)call->time_ms : call->count);
    redis_args_add_u64(args, call->max_bytes < UINT32_MAX ? call->max_bytes : UINT32_MAX);
    redis_args_add_u64(args, call->max_count);
    redis_args_add_u64(args, LOOK_AT);
    redis_args_add(args, slice_of(bus->own));
    fetch->token = ++bus->token;
    link_remove(&fetch->asked);
    if (fetch->patient)
        list_add_last(&bus->asked, &fetch->asked);
    redis_args_add_u64(args, fetch->token);
    redis_args_add_u64(args, call->from == FETCH_LATEST ? call->whole_after : 0);
    redis_args_add_u64(args, call->conflates);
    add_names(args, call, &bus->body);
}

/* ---- the answer ---- */

/* As hub/fetch.c has these. */
static uint64_t promised_after(const struct fetch_call *call)
{
    if (call->from == FETCH_AFTER || call->conflates)
        return call->after.seq;
    return call->from == FETCH_LATEST && call->whole_after ? call->whole_after : UINT64_MAX;
}

static bool resumes(const struct fetch_call *call) { return call->from == FETCH_AFTER || call->conflates; }

static void mark_rule(const struct redis_bus *bus, struct fetch_channel *asked)
{
    asked->resumable = config_pattern_keeps(bus->setup.config, asked->name);
    asked->loses = config_pattern_loses(bus->setup.config, asked->name);
}

static void mark(struct fetch_call *call, struct fetch_channel *asked, bool foreign, uint64_t dropped, enum gap_reason reason)
{
    bool is_foreign = foreign && resumes(call);
    asked->dropped = dropped;
    asked->incomplete = asked->resumable && (is_foreign || promised_after(call) < dropped);
    if (asked->incomplete && call->gap < (is_foreign ? GAP_EPOCH : reason))
        call->gap = is_foreign ? GAP_EPOCH : reason;
}

/* The first of numbers that are parted by spaces; 0: there is none. */
static uint64_t take_number(struct slice *numbers)
{
    const char *space = memchr(numbers->at, ' ', numbers->len);
    struct slice first = slice(numbers->at, space ? (size_t)(space - numbers->at) : numbers->len);
    uint64_t n = 0;
    *numbers = space ? slice(space + 1, numbers->len - first.len - 1) : slice("", 0);
    slice_u64(first, &n);
    return n;
}

/* What each has given up, and what was left out of it behind that. */
static void mark_all(const struct redis_bus *bus, struct fetch_call *call, bool foreign, struct slice dropped, struct slice left_out)
{
    for (size_t i = 0; i < call->n_channels; i++) {
        struct fetch_channel *asked = &call->channels[i];
        mark_rule(bus, asked);
        mark(call, asked, foreign, take_number(&dropped), GAP_HISTORY);
        uint64_t left = take_number(&left_out);
        if (left > asked->dropped)
            mark(call, asked, foreign, left, GAP_CONFLATED);
    }
}

static int take_messages(struct fetch_call *call, const struct redisReply *reply, size_t first, uint64_t epoch)
{
    size_t n = reply->elements - first;
    int err = 0;
    call->msgs = n ? calloc(n, sizeof *call->msgs) : NULL;
    if (n && !call->msgs)
        return ERR_MEMORY;
    for (size_t i = 0; i < n && !err; i++) {
        struct slice bytes = redis_reply_text(reply->element[first + i]);
        err = store_block_take(&bytes, epoch, &call->msgs[i]);
        call->n_msgs += !err;
    }
    if (err)
        fetch_answer_fini(call);
    return err && err != ERR_MEMORY ? ERR_REDIS_FRAME : err;
}

static bool any_resumable(const struct fetch_call *call)
{
    for (size_t i = 0; i < call->n_channels; i++)
        if (call->channels[i].resumable)
            return true;
    return false;
}

/* As hub/fetch.c places it. */
static void place(struct fetch_call *call, bool foreign, uint64_t epoch, uint64_t head, uint64_t cut)
{
    uint64_t upto = call->more ? cut : head, begin = call->after.seq;
    if (call->gap || foreign || call->from != FETCH_AFTER || !any_resumable(call))
        begin = call->n_msgs ? call->msgs[0]->seq - 1 : upto;
    call->begin = (struct position){ epoch, begin };
    call->upto = (struct position){ epoch, upto > begin ? upto : begin };
}

static void clear(struct fetch_call *call)
{
    call->gap = GAP_NONE;
    call->more = false;
    call->msgs = NULL;
    call->n_msgs = 0;
}

enum { REPLY_EPOCH, REPLY_HEAD, REPLY_FOREIGN, REPLY_MORE, REPLY_CUT, REPLY_DROPPED, REPLY_LEFT_OUT, REPLY_MESSAGES };

static int make_answer(struct redis_fetch *fetch, const struct redisReply *reply)
{
    struct fetch_call *call = fetch->call;
    uint64_t epoch = redis_reply_number(reply, REPLY_EPOCH), head = redis_reply_number(reply, REPLY_HEAD);
    bool foreign = redis_reply_number(reply, REPLY_FOREIGN);
    clear(call);
    call->more = redis_reply_number(reply, REPLY_MORE);
    mark_all(fetch->bus, call, foreign, redis_reply_word(reply, REPLY_DROPPED), redis_reply_word(reply, REPLY_LEFT_OUT));
    int err = take_messages(call, reply, REPLY_MESSAGES, epoch);
    if (!err)
        place(call, foreign, epoch, head, redis_reply_number(reply, REPLY_CUT));
    return err;
}

void redis_fetch_now(struct redis_fetch *fetch)
{
    struct redis_bus *bus = fetch->bus;
    struct fetch_call *call = fetch->call;
    clear(call);
    for (size_t i = 0; i < call->n_channels; i++) {
        struct fetch_channel *asked = &call->channels[i];
        *asked = (struct fetch_channel){ .name = asked->name, .whole = asked->whole, .from_now = asked->from_now };
        mark_rule(bus, asked);
    }
    call->begin = call->upto = redis_bus_head(bus);
    fetch->done(fetch, 0);
}

/* ---- on its way ---- */

void redis_fetch_wait(struct redis_fetch *fetch, int err)
{
    link_remove(&fetch->request.link);
    if (!fetch->patient)
        fetch->done(fetch, err == ERR_OUTCOME_UNKNOWN ? ERR_REDIS_AWAY : err);
    else if (fetch->bus->over)
        fetch->done(fetch, fetch->bus->over);
    else
        list_add_last(&fetch->bus->held, &fetch->request.link);
}

/* It has its reply, or gets none. What was held behind its echo comes after this turn. */
static void let_go(struct redis_fetch *fetch)
{
    struct redis_bus *bus = fetch->bus;
    link_remove(&fetch->asked);
    if (bus->held_for != fetch)
        return;
    bus->held_for = NULL;
    redis_link_hold(bus->listener, false);
}

static void fetch_answered(struct redis_request *request, int err, const struct redisReply *reply)
{
    struct redis_fetch *fetch = (struct redis_fetch *)request;
    struct redis_bus *bus = fetch->bus;
    let_go(fetch);
    if (err == ERR_OUTCOME_UNKNOWN || err == ERR_REDIS_AWAY) {
        redis_fetch_wait(fetch, err);
        return;
    }
    if (!err && reply->elements < REPLY_MESSAGES) {
        redis_fetch_wait(fetch, ERR_REDIS_AWAY);
        redis_bus_prove(bus, "Redis has lost its data");
        return;
    }
    if (!err && fetch->patient && fetch->life != bus->lives) {
        redis_fetch_run(fetch);
        return;
    }
    if (!err)
        err = make_answer(fetch, reply);
    if (!err && fetch->patient && bus->echoed < fetch->token)
        list_add_last(&bus->replied, &request->link);
    else
        fetch->done(fetch, err);
}

int redis_fetch_send(struct redis_fetch *fetch)
{
    fetch->request.script = REDIS_FETCH;
    fetch->request.args = fetch_args;
    fetch->request.answered = fetch_answered;
    int err = redis_engine_run(fetch->bus->engine, &fetch->request);
    if (err)
        let_go(fetch);      /* its echo will not come */
    return err;
}

/* Between its answer and theirs, messages would come to nobody. */
static bool is_behind_watches(struct redis_fetch *fetch)
{
    for (; fetch->clear < fetch->call->n_channels; fetch->clear++) {
        const struct redis_sub *sub = redis_subs_find(&fetch->bus->subs, fetch->call->channels[fetch->clear].name);
        if (sub && sub->unanswered > 0)
            return true;
    }
    return false;
}

void redis_fetch_run(struct redis_fetch *fetch)
{
    struct redis_bus *bus = fetch->bus;
    int err = ERR_REDIS_AWAY;
    link_init(&fetch->request.link);
    link_init(&fetch->asked);
    fetch->life = bus->lives;
    if (bus->state == REDIS_BUS_LIVE && fetch->patient && is_behind_watches(fetch)) {
        list_add_last(&bus->blocked, &fetch->request.link);
        return;
    }
    if (bus->state == REDIS_BUS_LIVE && fetch->call->from == FETCH_NOW) {
        list_add_last(&bus->fetches_next, &fetch->request.link);
        redis_bus_want_echo(bus);
        return;
    }
    if (bus->state == REDIS_BUS_LIVE)
        err = redis_fetch_send(fetch);
    if (err == ERR_REDIS_AWAY)
        redis_fetch_wait(fetch, err);
    else if (err)
        fetch->done(fetch, err);
}

void redis_fetches_echoed(struct redis_bus *bus)
{
    for (struct link *first; (first = list_first(&bus->replied)); ) {
        struct redis_fetch *fetch = link_of(first, struct redis_fetch, request.link);
        if (fetch->token > bus->echoed)
            return;
        link_remove(first);
        fetch->done(fetch, 0);
    }
    /* An edge goes live with the answer, behind all that it was mailed before: a message above the answer's number must not be among that. */
    struct link *next = list_first(&bus->asked);
    struct redis_fetch *fetch = next ? link_of(next, struct redis_fetch, asked) : NULL;
    if (fetch && fetch->token <= bus->echoed && fetch->life == bus->lives) {
        bus->held_for = fetch;
        redis_link_hold(bus->listener, true);
    }
}

static void run_all(struct link *list)
{
    struct link all;
    link_init(&all);
    list_move_all(&all, list);
    for (struct link *first; (first = list_first(&all)); ) {
        link_remove(first);
        redis_fetch_run(link_of(first, struct redis_fetch, request.link));
    }
}

void redis_fetches_again(struct redis_bus *bus)   { run_all(&bus->held); }
void redis_fetches_unblock(struct redis_bus *bus) { run_all(&bus->blocked); }

void redis_fetches_end(struct redis_bus *bus, int err)
{
    struct link all;
    link_init(&all);
    list_move_all(&all, &bus->held);
    list_move_all(&all, &bus->blocked);
    list_move_all(&all, &bus->fetches_now);
    list_move_all(&all, &bus->fetches_next);
    for (struct link *first; (first = list_first(&all)); ) {
        struct redis_fetch *fetch = link_of(first, struct redis_fetch, request.link);
        link_remove(first);
        fetch->done(fetch, err);
    }
}

void redis_fetches_lost(struct redis_bus *bus)
{
    for (struct link *first; (first = list_first(&bus->asked)); )
        let_go(link_of(first, struct redis_fetch, asked));
    for (struct link *first; (first = list_first(&bus->replied)); ) {
        struct redis_fetch *fetch = link_of(first, struct redis_fetch, request.link);
        fetch_answer_fini(fetch->call);
        redis_fetch_wait(fetch, ERR_REDIS_AWAY);
    }
    for (struct link *first; (first = list_first(&bus->fetches_now)) || (first = list_first(&bus->fetches_next)); )
        redis_fetch_wait(link_of(first, struct redis_fetch, request.link), ERR_REDIS_AWAY);
}

static void answer_owner(struct redis_fetch *fetch, int err)
{
    struct redis_bus *bus = fetch->bus;
    struct fetch_call *call = fetch->call;
    free(fetch);
    redis_bus_answer(bus, &call->call, err);
}

void redis_bus_fetch(struct redis_bus *bus, struct fetch_call *call)
{
    struct redis_fetch *fetch = calloc(1, sizeof *fetch);
    if (!fetch) {
        redis_bus_answer(bus, &call->call, ERR_MEMORY);
        return;
    }
    fetch->bus = bus;
    fetch->call = call;
    fetch->done = answer_owner;
    fetch->patient = call->patient;
    redis_fetch_run(fetch);
}
