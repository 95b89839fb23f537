/* redis_errands.c — what goes between nodes (redis_pack.h):
 *
 *   question   version 1 · kind 1 · connection 8 · after 8 · after_node 8 · limit 4 · close_err 4 · close_code 4 · user, channel, reason,
 *              credential (each behind 4 bytes of length) · names to add, to remove (4 bytes: how many; each behind 1 byte of length)
 *   reply      version 1 · err 4 · done 4 · refused 4 · more 1 · connections 4 · {id 8, end of its text 4} of each · text behind 4 bytes of length
 *
 * Of another version, or not to be read: no answer, and that node is missing in the other's.
 */
#include "redis/parts/redis_errands.h"

#include "hub/access/access.h"
#include "hub/access/authority.h"
#include "hub/base/clock.h"
#include "hub/base/err.h"
#include "hub/base/name.h"
#include "hub/spoke.h"
#include "redis/parts/redis_nodes.h"
#include "redis/bus/redis_pack.h"

#include <stdlib.h>

enum { VERSION = 1, LIMIT_MOST = 1000, SHARE_LEAST = 16 };

static struct redis_errands *of_port(struct elsewhere *port) { return (struct redis_errands *)port; }

/* ---- asking ---- */

/* One that others are asked to do. */
struct far_errand {
    struct redis_ask      ask;          /* first */
    struct redis_errands *errands;
    struct errand        *errand;
    struct errand_part   *parts;
    size_t                n_parts;
    unsigned              n_lost;       /* replies that could not be read or kept */
};

static void pack_names(struct buf *out, const struct slice *names, size_t n)
{
    pack_u32(out, (uint32_t)n);
    for (size_t i = 0; i < n; i++)
        pack_short(out, names[i]);
}

static void pack_question(struct buf *out, const struct errand_call *call)
{
    buf_add_char(out, VERSION);
    buf_add_char(out, (char)call->kind);
    pack_u64(out, call->connection);
    pack_u64(out, call->after);
    pack_u64(out, call->after_node);
    pack_u32(out, (uint32_t)call->limit);
    pack_u32(out, (uint32_t)call->close_err);
    pack_u32(out, (uint32_t)call->close_code);
    pack_long(out, call->user);
    pack_long(out, call->channel);
    pack_long(out, call->reason);
    pack_long(out, call->credential);
    pack_names(out, call->add, call->n_add);
    pack_names(out, call->remove, call->n_remove);
}

/* The texts of a list end where they say, one behind the other. */
static int take_found(struct errand_part *part, struct slice *rest)
{
    part->n_found = take_u32(rest);
    if (!rest->at || part->n_found > LIMIT_MOST)
        return ERR_REDIS_FRAME;
    part->found = calloc(part->n_found + 1, sizeof *part->found);
    for (size_t i = 0; part->found && i < part->n_found; i++) {
        part->found[i].id = take_u64(rest);
        part->found[i].end = take_u32(rest);
    }
    return part->found ? 0 : ERR_MEMORY;
}

static bool is_in_order(const struct errand_part *part)
{
    size_t end = 0;
    for (size_t i = 0; i < part->n_found; end = part->found[i++].end)
        if (part->found[i].end < end || part->found[i].end > part->text.len || (i > 0 && part->found[i].id <= part->found[i - 1].id))
            return false;
    return part->n_found > 0 || !part->more;
}

static int take_reply(struct errand_part *part, struct slice body)
{
    if (take_u8(&body) != VERSION)
        return ERR_REDIS_FRAME;
    part->err = (int)take_u32(&body);
    part->n = take_u32(&body);
    part->n_refused = take_u32(&body);
    part->more = take_u8(&body);
    int err = take_found(part, &body);
    struct slice text = take_long(&body);
    if (err || !body.at)
        return err ? err : ERR_REDIS_FRAME;
    buf_add_slice(&part->text, text);
    if (part->text.failed)
        return ERR_MEMORY;
    return is_in_order(part) ? 0 : ERR_REDIS_FRAME;
}

static void on_reply(struct redis_ask *ask, uint64_t node, struct slice body)
{
    struct far_errand *far = (struct far_errand *)ask;
    struct errand_part *parts = realloc(far->parts, (far->n_parts + 1) * sizeof *parts), part = { .node = node };
    if (parts)
        far->parts = parts;
    if (parts && !take_reply(&part, body)) {
        parts[far->n_parts++] = part;
        return;
    }
    buf_fini(&part.text);
    free(part.found);
    far->n_lost++;
}

static bool has_lease(const struct redis_errands *errands, uint64_t node)
{
    const struct redis_node *list;
    size_t n = redis_nodes_list(errands->nodes, &list);
    for (size_t i = 0; i < n; i++)
        if (list[i].number == node)
            return true;
    return false;
}

/* Of the one node that has the connection: there is none of that number, or it is silent. */
static int why_not(const struct far_errand *far)
{
    const struct redis_ask *ask = &far->ask;
    if (!ask->to || far->n_parts > 0)
        return 0;
    if (ask->err && ask->err != ERR_OUTCOME_UNKNOWN)
        return ask->err;
    return !ask->err && ask->heard == 0 && !has_lease(far->errands, ask->to) ? ERR_NOT_FOUND : ERR_NODE_SILENT;
}

static void name_missing(struct nodes_missing *missing, const uint64_t *nodes, size_t n)
{
    for (size_t i = 0; i < n && missing->n_named < sizeof missing->named / sizeof *missing->named; i++)
        missing->named[missing->n_named++] = nodes[i];
}

static void on_done(struct redis_ask *ask)
{
    struct far_errand *far = (struct far_errand *)ask;
    struct redis_errands *errands = far->errands;
    struct nodes_missing missing = { .n = ask->n_missing + far->n_lost };
    name_missing(&missing, ask->missing, ask->n_named);
    errand_elsewhere(errands->serving->hub, far->errand, far->parts, far->n_parts, &missing, why_not(far));
    errands->turn(errands->turn_arg);
    free(far);
}

/* Redis is away: all that were there, but for this one. */
static void miss_all(const struct redis_errands *errands, struct nodes_missing *missing)
{
    const struct redis_node *list;
    size_t n = redis_nodes_list(errands->nodes, &list);
    for (size_t i = 0; i < n; i++)
        if (list[i].number != errands->port.node) {
            name_missing(missing, &list[i].number, 1);
            missing->n++;
        }
    missing->n += n == 0;      /* nobody knows */
}

static int ask_others(struct elsewhere *port, struct errand *errand, struct errand_call *call)
{
    struct redis_errands *errands = of_port(port);
    struct far_errand *far = calloc(1, sizeof *far);
    struct buf question = { 0 };
    int err = far ? ERR_DRAINING : ERR_MEMORY;
    pack_question(&question, call);
    if (far && errands->asks) {
        far->ask = (struct redis_ask){ .kind = REDIS_ASK_ERRAND, .to = call->connection ? call->node : 0, .others = !call->connection, .body = buf_slice(&question),
                                       .reply = on_reply, .done = on_done };
        far->errands = errands;
        far->errand = errand;
        err = question.failed ? ERR_MEMORY : redis_ask(errands->asks, &far->ask);
    }
    buf_fini(&question);
    if (err)
        free(far);
    if (err == ERR_REDIS_AWAY)
        miss_all(errands, &call->missing);
    return err;
}

/* ---- asked ---- */

/* One that another node has asked for. */
struct asked_errand {
    struct errand_call    call;         /* first */
    struct link           link;
    struct redis_errands *errands;
    struct redis_asker    asker;
    struct slice         *names;
    char                  body[];
};

static void forget(struct asked_errand *asked)
{
    link_remove(&asked->link);
    asked->errands->n_asked--;
    if (asked->call.principal)
        principal_unref(asked->call.principal);
    free(asked->names);
    free(asked);
}

static size_t take_names(struct slice *rest, struct slice *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        names[i] = take_short(rest);
        if (pattern_check(names[i]))
            *rest = slice(NULL, 0);
    }
    return n;
}

static int take_lists(struct asked_errand *asked, struct slice *rest)
{
    struct slice ahead = *rest;
    size_t n = take_u32(&ahead), room = rest->len;      /* a name takes a byte at least */
    if (!ahead.at || n > room)
        return ERR_REDIS_FRAME;
    asked->names = calloc(room + 1, sizeof *asked->names);
    if (!asked->names)
        return ERR_MEMORY;
    asked->call.add = asked->names;
    asked->call.n_add = take_names(rest, asked->names, take_u32(rest));
    size_t n_remove = take_u32(rest);
    if (!rest->at || n + n_remove > room)
        return ERR_REDIS_FRAME;
    asked->call.remove = asked->names + n;
    asked->call.n_remove = take_names(rest, asked->names + n, n_remove);
    return rest->at ? 0 : ERR_REDIS_FRAME;
}

static int take_question(struct asked_errand *asked, struct slice rest)
{
    struct errand_call *call = &asked->call;
    uint8_t version = take_u8(&rest), kind = take_u8(&rest);
    call->kind = (enum errand_kind)kind;
    call->connection = take_u64(&rest);
    call->after = take_u64(&rest);
    call->after_node = take_u64(&rest);
    call->limit = take_u32(&rest);
    call->close_err = (int)take_u32(&rest);
    call->close_code = (int)take_u32(&rest);
    call->user = take_long(&rest);
    call->channel = take_long(&rest);
    call->reason = take_long(&rest);
    call->credential = take_long(&rest);
    if (!rest.at || version != VERSION || kind > ERRAND_TOKEN || (kind == ERRAND_LIST && (call->limit == 0 || call->limit > LIMIT_MOST)) ||
        call->reason.len > CLOSE_REASON_MAX)
        return ERR_REDIS_FRAME;
    if ((kind == ERRAND_SHOW || kind == ERRAND_TOKEN) && !call->connection)
        return ERR_REDIS_FRAME;
    return take_lists(asked, &rest);
}

static size_t share(const struct redis_errands *errands, size_t limit)
{
    const struct redis_node *list;
    size_t n = redis_nodes_list(errands->nodes, &list), mine = 2 * limit / (n > 0 ? n : 1) + SHARE_LEAST;
    return mine < limit ? mine : limit;
}

/* A page of all edges, no longer than a part may be. */
static bool pack_list(struct buf *found, struct buf *text, const struct errand_call *call, size_t *ret_n)
{
    size_t *at = calloc(errand_n_parts(call) + 1, sizeof *at);
    struct slice one;
    uint64_t id;
    bool more = false;
    *ret_n = 0;
    text->failed |= !at;
    while (at && *ret_n < call->limit && text->len < ERRAND_PART_BYTES && errand_list_next(call, at, &one, &id, &more)) {
        buf_add_slice(text, one);
        pack_u64(found, id);
        pack_u32(found, (uint32_t)text->len);
        ++*ret_n;
    }
    if (at && !more)
        more = errand_list_next(call, at, &one, &id, &more) || more;
    free(at);
    return more;
}

static void join_texts(struct buf *text, const struct errand_call *call)
{
    for (size_t i = 0; i < errand_n_parts(call); i++) {
        struct slice part = buf_slice(&errand_part_at(call, i)->text);
        if (part.len > 0 && text->len > 0)
            buf_add_char(text, ',');
        buf_add_slice(text, part);
    }
}

static void pack_reply(struct buf *out, const struct errand_call *call)
{
    struct buf found = { 0 }, text = { 0 };
    size_t n_found = 0;
    bool more = false;
    if (call->kind == ERRAND_LIST)
        more = pack_list(&found, &text, call, &n_found);
    else
        join_texts(&text, call);
    bool failed = found.failed || text.failed;
    buf_add_char(out, VERSION);
    pack_u32(out, (uint32_t)(failed ? ERR_MEMORY : call->call.err));
    pack_u32(out, (uint32_t)errand_done(call));
    pack_u32(out, (uint32_t)errand_refused(call));
    buf_add_char(out, (char)(more && !failed));
    pack_u32(out, (uint32_t)(failed ? 0 : n_found));
    buf_add_slice(out, failed ? slice("", 0) : buf_slice(&found));
    pack_long(out, failed ? slice("", 0) : buf_slice(&text));
    buf_fini(&found);
    buf_fini(&text);
}

static void answered(struct call *call)
{
    struct asked_errand *asked = (struct asked_errand *)(void *)call;
    struct redis_errands *errands = asked->errands;
    struct buf reply = { 0 };
    pack_reply(&reply, &asked->call);
    if (errands->asks && !reply.failed)
        redis_answer(errands->asks, asked->asker, buf_slice(&reply));
    buf_fini(&reply);
    errand_answer_fini(&asked->call);
    forget(asked);
}

/* Who asked has looked at it already; here it may have been taken back. */
static int take_credential(struct asked_errand *asked)
{
    const struct serving *serving = asked->errands->serving;
    if (asked->call.kind != ERRAND_TOKEN)
        return 0;
    return authority_check(serving->authority, serving->config, asked->call.credential, clock_wall_ms(serving->clock) / 1000, &asked->call.principal);
}

static void run(struct asked_errand *asked)
{
    struct redis_errands *errands = asked->errands;
    asked->call.node = asked->call.connection ? errands->port.node : 0;
    if (asked->call.kind == ERRAND_LIST)
        asked->call.limit = share(errands, asked->call.limit);
    asked->call.call.err = take_credential(asked);
    asked->call.call.answered = answered;
    if (asked->call.call.err) {
        answered(&asked->call.call);
        return;
    }
    hub_errand(errands->serving->hub, &asked->call);
    errands->turn(errands->turn_arg);
}

static void on_question(struct redis_answerer *self, struct redis_asker asker, struct slice body)
{
    struct redis_errands *errands = link_of(self, struct redis_errands, answerer);
    struct asked_errand *asked = errands->n_asked < ERRANDS_ASKED ? calloc(1, sizeof *asked + body.len) : NULL;
    if (!asked)
        return;
    asked->errands = errands;
    asked->asker = asker;
    memcpy(asked->body, body.at, body.len);
    link_init(&asked->link);
    list_add_last(&errands->asked, &asked->link);
    errands->n_asked++;
    if (take_question(asked, slice(asked->body, body.len)))
        forget(asked);
    else
        run(asked);
}

/* ---- its life ---- */

void redis_errands_init(struct redis_errands *errands)
{
    errands->port = (struct elsewhere){ .node = redis_bus_node(errands->bus), .run = ask_others };
    errands->answerer = (struct redis_answerer){ .kind = REDIS_ASK_ERRAND, .answer = on_question };
    link_init(&errands->asked);
    redis_asks_add(errands->asks, &errands->answerer);
    hub_use_elsewhere(errands->serving->hub, &errands->port);
}

void redis_errands_fini(struct redis_errands *errands)
{
    if (!errands->bus)
        return;
    for (struct link *first; (first = list_first(&errands->asked)); )
        forget(link_of(first, struct asked_errand, link));
}
