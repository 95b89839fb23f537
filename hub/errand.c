#include "hub/errand.h"

#include "hub/base/err.h"
#include "hub/core.h"

#include <stdlib.h>

/* One that waits or is under way. Its own memory: who asked may be gone when the hub ends, what the edges filled in must be freed
 * all the same. */
struct errand {
    struct link         link;        /* in hub->errands, oldest first; the first hub->n_errands are under way */
    struct errand_call *call;
    size_t              n_left;      /* parts that are not back */
    size_t              n_parts;
    struct errand_part  parts[];
};

/* ---- out ---- */

static bool is_asked(const struct hub *hub, const struct errand_call *call, uint8_t peer)
{
    const struct peer *asked = &hub->peers[peer];
    return asked->is_edge && !asked->left && (!call->connection || connection_edge(call->connection) == peer);
}

static void send_parts(struct hub *hub, struct errand *errand)
{
    size_t n = 0;
    for (uint8_t peer = 0; peer < hub->n_peers; peer++) {
        if (!is_asked(hub, errand->call, peer) || n == errand->n_parts)
            continue;
        struct errand_part *part = &errand->parts[n++];
        part->letter.kind = LETTER_ERRAND;
        part->under_way = errand;
        part->errand = errand->call;
        hub_send(hub, peer, &part->letter);
    }
    errand->n_parts = errand->n_left = n;      /* an edge may have left while it waited */
}

/* ---- back ---- */

static int outcome(const struct errand_call *call)
{
    for (size_t i = 0; i < call->n_parts; i++)
        if (call->parts[i].err)
            return call->parts[i].err;
    return call->connection && call->n_parts == 0 ? ERR_NOT_FOUND : 0;
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
    hub->n_errands--;
    call->parts = errand->parts;
    call->n_parts = errand->n_parts;
    answer(hub, call, outcome(call));
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
            end(hub, errand);
    }
}

void errand_run(struct hub *hub, struct errand_call *call)
{
    size_t n = 0;
    for (uint8_t peer = 0; peer < hub->n_peers; peer++)
        n += is_asked(hub, call, peer);
    struct errand *errand = calloc(1, sizeof *errand + n * sizeof *errand->parts);
    call->parts = NULL;
    call->n_parts = 0;
    if (!errand) {
        answer(hub, call, ERR_MEMORY);
        return;
    }
    errand->call = call;
    errand->n_parts = n;
    link_init(&errand->link);
    list_add_last(&hub->errands, &errand->link);
    go_on(hub);
}

void errand_part_back(struct hub *hub, struct errand_part *part)
{
    struct errand *errand = part->under_way;
    letter_done(&part->letter);
    if (--errand->n_left > 0)
        return;
    end(hub, errand);
    go_on(hub);
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

void recheck_end_turn(struct hub *hub)
{
    if (!hub->recheck.wanted || hub->recheck.out)
        return;
    hub->recheck = (struct recheck){ .errand = { .call.answered = rechecked, .kind = ERRAND_RECHECK }, .out = true };
    hub_errand(hub, &hub->recheck.errand);
}

void leave_run(struct hub *hub, struct call *call)
{
    hub->peers[call->from].left = true;
    hub_answer(hub, call, 0);
}

/* ---- the answer ---- */

static void parts_fini(struct errand_part *parts, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        buf_fini(&parts[i].text);
        free(parts[i].found);
    }
}

void errand_answer_fini(struct errand_call *call)
{
    if (!call->parts)
        return;
    parts_fini(call->parts, call->n_parts);
    free(link_of(call->parts, struct errand, parts));
    call->parts = NULL;
    call->n_parts = 0;
}

void errands_fini(struct hub *hub)
{
    struct link *first;
    while ((first = list_first(&hub->errands))) {
        struct errand *errand = link_of(first, struct errand, link);
        link_remove(first);
        parts_fini(errand->parts, errand->n_parts);
        free(errand);
    }
}

size_t errand_done(const struct errand_call *call)
{
    size_t sum = 0;
    for (size_t i = 0; i < call->n_parts; i++)
        sum += call->parts[i].n;
    return sum;
}

size_t errand_refused(const struct errand_call *call)
{
    size_t sum = 0;
    for (size_t i = 0; i < call->n_parts; i++)
        sum += call->parts[i].n_refused;
    return sum;
}

/* An edge that was cut by its bytes or its count has more behind its last one: nothing with a greater id may come before that. */
bool errand_list_next(const struct errand_call *call, size_t *at, struct slice *ret_text, uint64_t *ret_id, bool *ret_more)
{
    const struct errand_part *least = NULL;
    *ret_more = false;
    for (size_t i = 0; i < call->n_parts; i++) {
        const struct errand_part *part = &call->parts[i];
        if (at[i] == part->n_found) {
            if (part->more) {
                *ret_more = true;
                return false;
            }
        } else if (!least || part->found[at[i]].id < least->found[at[least - call->parts]].id) {
            least = part;
        }
    }
    if (!least)
        return false;
    size_t place = at[least - call->parts]++, begin = place ? least->found[place - 1].end : 0;
    *ret_text = slice(least->text.at + begin, least->found[place].end - begin);
    *ret_id = least->found[place].id;
    return true;
}
