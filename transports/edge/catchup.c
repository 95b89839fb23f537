/* Happy path of a resume: conn_subscribe makes a RESUME ─> end of turn, catchups_ask: a fetch, or one to share ─> answer,
 * catchup_take: gap and ready are said, its subscriptions go live if nothing is left behind the batch ─> flush.c writes the
 * batch ─> catchup_written: asks on, or ends, and the rings are read.
 *
 * When it goes wrong: history has given up what was needed ─> a gap is told (it begins, or never was live, or lag.policy is
 * skip), it goes on with the newest message of each channel (latest), or the connection is closed (disconnect): lag.h. Messages
 * were lost while the fetch was under way ─> its answer is not the last one (batch->torn). It falls out of a ring while it writes
 * its last batch ─> that is not the last any more. */
#include "transports/edge/catchup.h"

#include "hub/base/err.h"
#include "hub/base/reserve.h"
#include "hub/config/config.h"
#include "hub/metrics.h"
#include "transports/edge/edge.h"
#include "transports/edge/lag.h"

#include <assert.h>
#include <stdlib.h>

#define each_catchup(l, conn) list_each(l, l##_following, (struct link *)&(conn)->catchups)

static struct catchup *catchup_of(struct link *l)  { return link_of(l, struct catchup, link); }
static struct sub     *sub_of(struct link *l)      { return link_of(l, struct sub, catchup_link); }

/* ---- one catch-up ---- */

/* Its beginning counts as one call of the connection, so that a client that subscribes without end is paused. */
struct catchup *catchup_new(struct conn *conn, enum catchup_kind kind, const struct since *since, bool begun, void *tag)
{
    /* Who loses its place in a ring for lack of memory must not lose its connection for it too. */
    struct catchup *cu = begun ? reserve_malloc(sizeof *cu) : malloc(sizeof *cu);
    if (!cu)
        return NULL;
    *cu = (struct catchup){
        .conn = conn, .kind = (uint8_t)kind, .since = *since, .tag = tag,
        .marked = kind == CATCHUP_REPLAY, .begun = begun,
    };
    if (!begun)
        conn->calls++;
    link_init(&cu->link);
    link_init(&cu->wait_link);
    link_init(&cu->subs);
    list_add_last(&conn->catchups, &cu->link);
    return cu;
}

void catchup_add(struct catchup *cu, struct sub *sub) { list_add_last(&cu->subs, &sub->catchup_link); }

static void set_begun(struct catchup *cu)
{
    cu->begun = true;
    conn_call_done(cu->conn);
}

void catchup_put_back(struct catchup *cu)
{
    struct conn *conn = cu->conn;
    const struct batch *b = cu->batch;
    if (cu->kind == CATCHUP_RESUME && cu->stage == CATCHUP_LAST)
        conn_fall_back(conn);      /* what is live behind the batch, also what joined since */
    list_each(l, following, &cu->subs) {
        sub_park(sub_of(l));
        if (cu->kind == CATCHUP_REPLAY)
            sub_of(l)->after = 0;
    }
    if (cu->conflates || cu->since.from == FETCH_LATEST)
        cu->since.from = FETCH_LATEST;
    else
        cu->since.from = FETCH_AFTER;  /* where it begins has been told; the position it came with may have been from the future */
    if (cu->kind == CATCHUP_RESUME)
        cu->since.after = conn->position;
    else
        cu->since.after = cu->batch_at > 0 ? (struct position){ b->fetch.upto.epoch, b->frames[cu->batch_at - 1].seq } : b->fetch.begin;
    batch_leave(cu);
    cu->stage = CATCHUP_WANTS;
}

void catchup_free(struct catchup *cu)
{
    if (!cu->begun)
        set_begun(cu);
    while (!link_alone(&cu->subs))
        link_remove(cu->subs.next);
    batch_leave(cu);
    link_remove(&cu->link);
    free(cu->tag);
    reserve_free(cu);
}

void catchup_each_channel(const struct catchup *cu, void (*each)(void *arg, struct slice channel), void *arg)
{
    list_each(l, following, (struct link *)&cu->subs)
        each(arg, feed_name(sub_of(l)->feed));
}

/* ---- those of a connection ---- */

struct catchup *catchup_resume(const struct conn *conn)
{
    each_catchup(l, conn)
        if (catchup_of(l)->kind == CATCHUP_RESUME)
            return catchup_of(l);
    return NULL;
}

struct catchup *catchup_in_hand(const struct conn *conn)
{
    each_catchup(l, conn)
        if (catchup_of(l)->stage >= CATCHUP_WRITING)
            return catchup_of(l);
    return NULL;
}

struct catchup *catchup_beginning_with(const struct conn *conn, const struct sub *sub)
{
    each_catchup(l, conn)
        list_each(s, following, &catchup_of(l)->subs)
            if (sub_of(s) == sub)
                return catchup_of(l)->begun ? NULL : catchup_of(l);
    return NULL;
}

bool catchups_let_rings(const struct conn *conn)
{
    return link_alone(&conn->catchups) || (!catchup_resume(conn) && !catchup_in_hand(conn));
}

static bool batch_is_of(const struct batch *b, const struct feed *feed)
{
    for (size_t i = 0; i < b->fetch.n_channels; i++)
        if (b->feeds[i] == feed)
            return true;
    return false;
}

void catchups_skip(struct conn *conn, const struct feed *feed)
{
    struct catchup *cu = catchup_in_hand(conn);
    if (!cu)
        return;
    struct batch *b = cu->batch;
    if (!b->feed && b->overlaps && batch_is_of(b, feed)) {
        catchup_put_back(cu);      /* which of its messages another feed wants too is found out when it is asked for anew */
        return;
    }
    if (b->feed == feed)
        cu->batch_at = b->n;      /* others write it too; who joined this catch-up meanwhile goes on behind it */
    for (uint32_t i = cu->batch_at; !b->feed && i < b->n; i++)
        if (b->frames[i].feed == feed)
            b->frames[i].feed = NULL;
}

/* ---- asking ---- */

/* No memory. Who is beginning asked for too much and is told so; who was served already waits for the next tick, and loses
 * nothing meanwhile: it is catching up. */
static void starve(struct catchup *cu)
{
    batch_leave(cu);
    cu->stage = CATCHUP_WANTS;
    if (!cu->begun)
        conn_close(cu->conn, ERR_MEMORY);
    cu->conn->starved = cu->conn->edge->starved = true;
}

/* True: it got a batch that had been answered already. */
static bool ask(struct catchup *cu)
{
    if (cu->since.from != FETCH_NOW)
        metric_add(METRIC_catch_ups, 1);
    if (batch_ask(cu)) {
        starve(cu);
        return false;
    }
    cu->stage = CATCHUP_ASKING;
    if (cu->batch->stage == BATCH_ASKING)
        return false;
    catchup_take(cu);
    return true;
}

/* The answer that tells where the stream begins comes before all others. */
static bool begins_just_now(const struct conn *conn)
{
    return conn->position.epoch == 0 && catchup_of(conn->catchups.next)->stage == CATCHUP_ASKING;
}

/* What may be asked now. A RESUME goes alone, a REPLAY beside anything but a RESUME and another REPLAY, a NOW beside anything
 * but a RESUME that is under way or waits for its turn. */
static struct catchup *next_to_ask(const struct conn *conn)
{
    struct catchup *resume = catchup_resume(conn);
    bool busy = false, now_asked = false;
    if (link_alone(&conn->catchups) || begins_just_now(conn))
        return NULL;
    each_catchup(l, conn) {
        struct catchup *cu = catchup_of(l);
        if (cu->kind == CATCHUP_NOW)
            now_asked |= cu->stage == CATCHUP_ASKING;
        else
            busy |= cu->stage != CATCHUP_WANTS;
    }
    if (resume && resume->stage <= CATCHUP_ASKING)
        return resume->stage == CATCHUP_WANTS && !busy && !now_asked ? resume : NULL;
    each_catchup(l, conn) {
        struct catchup *cu = catchup_of(l);
        if (cu->stage == CATCHUP_WANTS && (cu->kind == CATCHUP_NOW || (!resume && !busy)))
            return cu;
    }
    return NULL;
}

bool catchups_ask(struct conn *conn)
{
    struct catchup *cu;
    bool taken = false;
    each_catchup(l, conn)
        if (link_alone(&catchup_of(l)->subs))
            catchup_free(catchup_of(l));
    while (conn->conn_state == CONN_OPEN && !conn->starved && (cu = next_to_ask(conn)))
        taken |= ask(cu);
    return taken;
}

/* ---- the answer ---- */

/* Channels without history lose what came while they were parked; at their very beginning that is nothing (EXACT.md 7).
 * From now on, of a reader that had a position, is a skip: all may miss something. */
static void add_unkept(struct fetch_call *answer, const struct conn *conn)
{
    enum gap_reason reason = conn->position.epoch && conn->position.epoch != answer->upto.epoch ? GAP_EPOCH : GAP_HISTORY;
    for (size_t i = 0; i < answer->n_channels; i++)
        if (answer->channels[i].loses || answer->from == FETCH_NOW) {
            answer->channels[i].incomplete = true;
            if (answer->gap < reason)
                answer->gap = reason;
        }
}

static void tell_gap(struct catchup *cu, const struct fetch_call *answer)
{
    struct conn *conn = cu->conn;
    if (!cu->marked && conn->was_live && answer->gap != GAP_EPOCH && !lag_apply(cu, answer))
        return;
    metric_add(METRIC_gaps, 1);
    if (!cu->marked)
        conn_move_to(conn, answer->begin);
    conn->protocol->gap(conn, cu, answer);
}

/* There is nothing yet that its position could run ahead of. */
static bool nothing_delivered(const struct conn *conn)
{
    uint32_t at = 0;
    for (const struct sub *sub; (sub = sub_set_next(&conn->subs, &at));)
        if (!sub_is_parked(sub))
            return false;
    return !conn->was_live && !catchup_resume(conn);
}

static void begin(struct catchup *cu, const struct fetch_call *answer)
{
    struct conn *conn = cu->conn;
    if (answer->gap)
        metric_add(METRIC_gaps, 1);
    if (cu->kind == CATCHUP_RESUME)
        conn_move_to(conn, answer->begin);
    else if (conn->position.epoch == 0 || (cu->kind == CATCHUP_NOW && nothing_delivered(conn)))
        conn_move_to(conn, answer->upto);
    set_begun(cu);
    conn->protocol->began(conn, cu, answer);
}

/* The answer's channels that are subscribed still, in order; a gap of others is none, nor is one of messages that came before a
 * subscription began. Only one catch-up reads an answer of several channels. */
static void leave_out_unwanted(const struct catchup *cu, struct fetch_call *answer)
{
    bool incomplete = false;
    size_t n = 0;
    list_each(l, following, (struct link *)&cu->subs)
        for (size_t i = n; i < answer->n_channels; i++)
            if (answer->channels[i].name.at == sub_of(l)->feed->name) {
                struct fetch_channel channel = answer->channels[i];
                if (answer->gap <= GAP_HISTORY && sub_of(l)->after >= channel.dropped)
                    channel.incomplete = false;
                answer->channels[i] = answer->channels[n];
                answer->channels[n++] = channel;
                incomplete |= channel.incomplete;
                break;
            }
    answer->n_channels = n;
    if (!incomplete)
        answer->gap = GAP_NONE;
}

static void go_live(struct catchup *cu)
{
    list_each(l, following, &cu->subs) {
        struct sub *sub = sub_of(l);
        if (cu->kind != CATCHUP_RESUME)
            sub->after = cu->since.after.seq;
        sub_go_live(sub);
    }
}

/* A subscription that begins while a RESUME has more to ask becomes part of it; the rest of the RESUME reaches further. */
static void end_now(struct catchup *cu)
{
    struct conn *conn = cu->conn;
    struct catchup *resume = catchup_resume(conn);
    if (!resume) {
        conn->was_live = true;
        go_live(cu);
    } else if (resume->stage == CATCHUP_LAST) {
        go_live(cu);
    } else {
        assert(resume->stage != CATCHUP_ASKING);
        list_each(l, following, &cu->subs) {
            sub_of(l)->after = cu->since.after.seq;
            resume->debt -= (int64_t)sub_of(l)->feed->seen_bytes;
            catchup_add(resume, sub_of(l));
        }
    }
    catchup_free(cu);
}

/* What is behind the first answer is asked for whole, but of LATEST only what came after that: a client that has read where its
 * stream begins misses nothing of it (EXACT.md 10). Who is conflated asks for the newest until he has been told all there are. */
static void ask_on_from(struct catchup *cu, const struct fetch_call *answer)
{
    struct since *since = &cu->since;
    since->after = answer->upto;
    if (cu->conflates) {
        cu->conflates = answer->more || !answer->conflates;
        since->from = cu->conflates ? FETCH_LATEST : FETCH_AFTER;
        return;
    }
    if (since->from == FETCH_LATEST && answer->more) {
        if (!since->whole_after)
            since->whole_after = cu->conn->edge->head.seq;
        if (since->after.seq < since->whole_after)
            return;
    }
    since->from = FETCH_AFTER;
}

static void take(struct catchup *cu, const struct fetch_call *answer, bool complete)
{
    struct conn *conn = cu->conn;
    ask_on_from(cu, answer);
    cu->batch_at = 0;
    conn_dirty(conn);
    if (cu->kind == CATCHUP_NOW) {
        end_now(cu);
        return;
    }
    cu->stage = CATCHUP_WRITING;
    if (answer->conflates)
        lag_restart(cu);
    if (complete && (cu->kind == CATCHUP_RESUME || !catchup_resume(conn))) {
        cu->stage = CATCHUP_LAST;
        go_live(cu);
    }
}

/* The number just before the first message of the batch that is for this reader. */
static uint64_t before_first(const struct batch *b, const struct conn *conn, uint64_t otherwise)
{
    uint32_t me = conn_exclusion(conn);
    for (uint32_t i = 0; i < b->n; i++)
        if (!me || b->frames[i].exclude != me)
            return b->frames[i].seq - 1;
    return otherwise;
}

/* Where its subscriptions began is a number of another epoch: a hub that knew none of its numbers may have begun this one below it. */
static void begin_anew(struct catchup *cu)
{
    list_each(l, following, &cu->subs)
        sub_of(l)->after = 0;
}

void catchup_take(struct catchup *cu)
{
    struct conn *conn = cu->conn;
    const struct batch *b = cu->batch;
    struct fetch_call answer = b->fetch;
    struct fetch_channel only;
    bool complete = batch_is_complete(b), probe = cu->probe;
    cu->probe = false;
    if (conn->conn_state != CONN_OPEN)
        return;
    if (answer.call.err == ERR_MEMORY) {
        starve(cu);
        return;
    }
    if (answer.call.err) {
        conn_close(conn, err_close_code(answer.call.err) ? answer.call.err : ERR_BUSY);
        return;
    }
    if (link_alone(&cu->subs) || (cu->kind == CATCHUP_NOW && !complete)) {
        batch_leave(cu);
        cu->stage = CATCHUP_WANTS;
        conn_dirty(conn);
        return;
    }
    if (complete && b->feed && answer.upto.epoch == conn->edge->head.epoch)
        answer.upto = conn->edge->head;      /* nothing came since, up to here */
    if (answer.from == FETCH_NOW)
        answer.begin = answer.upto;
    if (b->feed) {
        only = answer.channels[0];           /* others read it too */
        answer.channels = &only;
    } else {
        leave_out_unwanted(cu, &answer);
    }
    if (answer.gap == GAP_EPOCH)
        begin_anew(cu);
    if (cu->begun && lag_conflates(cu, &answer))
        return;
    if (cu->begun)
        add_unkept(&answer, conn);
    if (answer.gap)      /* just before the first that follows for this reader (EXACT.md 9) */
        answer.begin.seq = before_first(b, conn, answer.upto.seq);
    if (!cu->begun)
        begin(cu, &answer);
    else if (answer.gap)
        tell_gap(cu, &answer);
    if (conn->conn_state != CONN_OPEN)
        return;
    bool too_old = cu->conflates && !answer.conflates;      /* what it has fallen behind of was under way */
    take(cu, &answer, complete);
    if (probe || too_old)
        catchup_put_back(cu);
}

void catchup_written(struct catchup *cu)
{
    struct conn *conn = cu->conn;
    batch_leave(cu);
    conn_dirty(conn);
    if (cu->kind == CATCHUP_RESUME)
        conn_move_to(conn, cu->since.after);
    if (cu->stage == CATCHUP_WRITING) {
        cu->stage = CATCHUP_WANTS;
        return;
    }
    conn->was_live = true;
    if (cu->kind == CATCHUP_REPLAY)
        conn->protocol->replayed(conn, cu, cu->since.after);
    catchup_free(cu);
}

/* ---- falling back ---- */

void conn_fall_back(struct conn *conn)
{
    const struct since since = { .from = FETCH_AFTER, .after = conn->position };
    struct catchup *resume = catchup_resume(conn);
    each_catchup(l, conn)
        if (catchup_of(l)->stage == CATCHUP_LAST)
            catchup_of(l)->stage = CATCHUP_WRITING;
    uint32_t at = 0;
    for (struct sub *sub; (sub = sub_set_next(&conn->subs, &at));) {
        if (sub_is_parked(sub))
            continue;
        uint64_t behind = reader_lag(&sub->reader);
        sub_park(sub);
        if (!link_alone(&sub->catchup_link))
            continue;      /* its catch-up goes on */
        if (!resume && !(resume = catchup_new(conn, CATCHUP_RESUME, &since, true, NULL))) {
            conn_close(conn, ERR_MEMORY);
            return;
        }
        resume->debt += (int64_t)behind - (int64_t)sub->feed->seen_bytes;
        catchup_add(resume, sub);
    }
    conn_dirty(conn);
}

void catchup_probe(struct conn *conn)
{
    struct catchup *resume = catchup_resume(conn);
    if (!resume || resume->stage != CATCHUP_WANTS || resume->conflates || !conn->was_live || lag_strictest(conn) != LAG_DISCONNECT)
        return;
    resume->probe = true;
    catchups_ask(conn);
    conn_dirty(conn);      /* to the end of the turn, if that closed it */
}
