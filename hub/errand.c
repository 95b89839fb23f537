#include "hub/errand.h"

#include "hub/base/err.h"
#include "hub/core.h"

#include <stdlib.h>

/* One that waits or is under way. Its own memory: who asked may be gone when the hub ends, what the edges filled in must be freed
 * all the same. */
struct errand {
    struct link         link;        /* in hub->errands, oldest first; the first hub->n_errands are under way. Done here: in errands_out */
    struct link         done;        /* in hub->done or ->settling, once all parts are back */
    struct errand_call *call;
    bool                is_done_here, is_out;      /* by all edges; other nodes are asked */
    int                 err;         /* of one connection of another node */
    struct errand_part *others;      /* parts of other nodes; malloc'ed */
    size_t              n_others;
    size_t              n_left;      /* parts that are not back */
    size_t              n_parts;
    struct errand_part  parts[];
};

/* ---- out ---- */

static bool is_asked(const struct hub *hub, const struct errand_call *call, uint8_t peer)
{
    const struct peer *asked = &hub->peers[peer];
    bool is_its = call->node == hub_node(hub) && connection_edge(call->connection) == peer;
    return asked->is_edge && !asked->left && (!call->connection || is_its);
}

static void send_parts(struct hub *hub, struct errand *errand)
{
    size_t n = 0;
    for (uint8_t peer = 0; peer < hub->n_peers; peer++) {
        if (!is_asked(hub, errand->call, peer) || n == errand->n_parts)
            continue;
        struct errand_part *part = &errand->parts[n++];
        part->letter.kind = LETTER_ERRAND;
        part->node = hub_node(hub);
        part->under_way = errand;
        part->errand = errand->call;
        hub_send(hub, peer, &part->letter);
    }
    errand->n_parts = errand->n_left = n;      /* an edge may have left while it waited */
}

/* ---- back ---- */

static int outcome(const struct errand_call *call)
{
    for (size_t i = 0; i < errand_n_parts(call); i++)
        if (errand_part_at(call, i)->err)
            return errand_part_at(call, i)->err;
    return call->connection && errand_n_parts(call) == 0 ? ERR_NOT_FOUND : 0;
}

static void answer(struct hub *hub, struct errand_call *call, int err)
{
    if (call->call.from < hub->n_peers) {
        hub_answer(hub, &call->call, err);
        return;
    }
    call->call.err = err;
    call->call.answered(&call->call);
}

static void end(struct hub *hub, struct errand *errand)
{
    struct errand_call *call = errand->call;
    link_remove(&errand->link);
    call->parts = errand->parts;
    call->n_parts = errand->n_parts;
    answer(hub, call, errand->err ? errand->err : outcome(call));
}

/* It makes room for the next one, whoever else is waited for. */
static void end_here(struct hub *hub, struct errand *errand)
{
    errand->is_done_here = true;
    hub->n_errands--;
    if (errand->is_out)
        list_add_last(&hub->errands_out, &errand->link);
    else
        end(hub, errand);
}

/* Those that wait go out in order, as others have come back. One without parts ends at once. */
static void go_on(struct hub *hub)
{
    struct link *next = hub->errands.next;
    for (size_t i = 0; i < hub->n_errands; i++)
        next = next->next;
    while (next != &hub->errands && hub->n_errands < ERRANDS_AT_ONCE) {
        struct errand *errand = link_of(next, struct errand, link);
        next = next->next;
        hub->n_errands++;
        send_parts(hub, errand);
        if (errand->n_left == 0)
            end_here(hub, errand);
    }
}

/* ---- other nodes ---- */

void     hub_use_elsewhere(struct hub *hub, struct elsewhere *elsewhere) { hub->elsewhere = elsewhere; }
uint64_t hub_node(const struct hub *hub)                                 { return hub->elsewhere ? hub->elsewhere->node : 0; }

/* The hub's own errands are for its own connections. */
static int send_out(struct hub *hub, struct errand *errand)
{
    struct errand_call *call = errand->call;
    bool is_here = call->connection && (call->node == hub_node(hub) || !call->node);
    if (!hub->elsewhere || call->call.from >= hub->n_peers || is_here)
        return 0;
    int err = hub->elsewhere->run(hub->elsewhere, errand, call);
    errand->is_out = !err;
    return err == ERR_REDIS_AWAY && !call->connection ? 0 : err;
}

void errand_elsewhere(struct hub *hub, struct errand *errand, struct errand_part *parts, size_t n_parts, const struct nodes_missing *missing, int err)
{
    errand->others = parts;
    errand->n_others = n_parts;
    errand->call->missing = *missing;
    errand->err = err;
    errand->is_out = false;
    if (errand->is_done_here)
        end(hub, errand);
}

void errand_run(struct hub *hub, struct errand_call *call)
{
    size_t n = 0;
    for (uint8_t peer = 0; peer < hub->n_peers; peer++)
        n += is_asked(hub, call, peer);
    struct errand *errand = calloc(1, sizeof *errand + n * sizeof *errand->parts);
    call->parts = NULL;
    call->n_parts = 0;
    call->missing = (struct nodes_missing){ .n = 0 };
    if (!errand) {
        answer(hub, call, ERR_MEMORY);
        return;
    }
    errand->call = call;
    errand->n_parts = n;
    int err = send_out(hub, errand);
    if (err) {
        free(errand);
        answer(hub, call, err);
        return;
    }
    link_init(&errand->link);
    link_init(&errand->done);
    list_add_last(&hub->errands, &errand->link);
    go_on(hub);
}

static bool begins_subscriptions(const struct errand_call *call) { return call->kind == ERRAND_CHANNELS || call->kind == ERRAND_TOKEN; }

void errand_part_back(struct hub *hub, struct errand_part *part)
{
    struct errand *errand = part->under_way;
    letter_done(&part->letter);
    if (--errand->n_left > 0)
        return;
    if (hub->engine && begins_subscriptions(errand->call)) {
        list_add_last(&hub->done, &errand->done);
        return;
    }
    end_here(hub, errand);
    go_on(hub);
}

static void end_all(struct hub *hub, struct link *list)
{
    for (struct link *first; (first = list_first(list)); ) {
        link_remove(first);
        end_here(hub, link_of(first, struct errand, done));
    }
    go_on(hub);
}

/* What edges have begun for an errand is under way at the engine still. Who asked may publish at once, and that is to arrive. */
static void settle(struct hub *hub)
{
    if (link_alone(&hub->done) && link_alone(&hub->settling))
        return;
    if (hub->round_left[hub->round ^ 1] == 0)
        end_all(hub, &hub->settling);
    if (!link_alone(&hub->done) && engine_next_round(hub))
        list_move_all(&hub->settling, &hub->done);
    if (hub->round_left[hub->round ^ 1] == 0)
        end_all(hub, &hub->settling);
}

void hub_errand(struct hub *hub, struct errand_call *call)
{
    call->call.from = PEERS_MAX;      /* nobody's: answered here */
    errand_run(hub, call);
}

/* ---- credentials that were taken back ---- */

void hub_recheck(struct hub *hub) { hub->recheck.wanted = true; }

bool hub_wants_recheck(const struct hub *hub) { return hub->recheck.wanted && !hub->recheck.out; }

/* Without memory for the parts it is wanted still. */
static void rechecked(struct call *call)
{
    struct recheck *recheck = link_of(call, struct recheck, errand.call);
    recheck->out = false;
    recheck->wanted |= call->err != 0;
    errand_answer_fini(&recheck->errand);
}

static void recheck_end_turn(struct hub *hub)
{
    if (!hub->recheck.wanted || hub->recheck.out)
        return;
    hub->recheck = (struct recheck){ .errand = { .call.answered = rechecked, .kind = ERRAND_RECHECK }, .out = true };
    hub_errand(hub, &hub->recheck.errand);
}

void errands_end_turn(struct hub *hub)
{
    recheck_end_turn(hub);
    settle(hub);
}

void leave_run(struct hub *hub, struct call *call)
{
    hub->peers[call->from].left = true;
    hub_answer(hub, call, 0);
}

/* ---- the answer ---- */

static struct errand *errand_of(const struct errand_call *call) { return link_of(call->parts, struct errand, parts); }

size_t errand_n_parts(const struct errand_call *call) { return call->parts ? call->n_parts + errand_of(call)->n_others : 0; }

const struct errand_part *errand_part_at(const struct errand_call *call, size_t i)
{
    return i < call->n_parts ? &call->parts[i] : &errand_of(call)->others[i - call->n_parts];
}

static void parts_fini(struct errand_part *parts, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        buf_fini(&parts[i].text);
        free(parts[i].found);
    }
}

static void errand_free(struct errand *errand)
{
    parts_fini(errand->parts, errand->n_parts);
    parts_fini(errand->others, errand->n_others);
    free(errand->others);
    free(errand);
}

void errand_answer_fini(struct errand_call *call)
{
    if (!call->parts)
        return;
    errand_free(errand_of(call));
    call->parts = NULL;
    call->n_parts = 0;
}

void errands_fini(struct hub *hub)
{
    struct link *first;
    list_move_all(&hub->errands, &hub->errands_out);
    while ((first = list_first(&hub->errands))) {
        link_remove(first);
        errand_free(link_of(first, struct errand, link));
    }
}

size_t errand_done(const struct errand_call *call)
{
    size_t sum = 0;
    for (size_t i = 0; i < errand_n_parts(call); i++)
        sum += errand_part_at(call, i)->n;
    return sum;
}

size_t errand_refused(const struct errand_call *call)
{
    size_t sum = 0;
    for (size_t i = 0; i < errand_n_parts(call); i++)
        sum += errand_part_at(call, i)->n_refused;
    return sum;
}

static bool is_before(const struct errand_part *a, size_t at_a, const struct errand_part *b, size_t at_b)
{
    uint64_t id_a = a->found[at_a].id, id_b = b->found[at_b].id;
    return id_a < id_b || (id_a == id_b && a->node < b->node);
}

/* A part that was cut by its bytes or its count has more behind its last one: nothing with a greater id may come before that. */
const struct errand_part *errand_list_next(const struct errand_call *call, size_t *at, struct slice *ret_text, uint64_t *ret_id, bool *ret_more)
{
    const struct errand_part *least = NULL;
    size_t where = 0;
    *ret_more = false;
    for (size_t i = 0; i < errand_n_parts(call); i++) {
        const struct errand_part *part = errand_part_at(call, i);
        if (at[i] == part->n_found) {
            if (part->more) {
                *ret_more = true;
                return NULL;
            }
        } else if (!least || is_before(part, at[i], least, at[where])) {
            least = part;
            where = i;
        }
    }
    if (!least)
        return NULL;
    size_t place = at[where]++, begin = place ? least->found[place - 1].end : 0;
    *ret_text = slice(least->text.at + begin, least->found[place].end - begin);
    *ret_id = least->found[place].id;
    return least;
}
