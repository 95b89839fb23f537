#include "transports/edge/flush.h"

#include "hub/base/err.h"
#include "hub/base/heap.h"
#include "hub/config/config.h"
#include "transports/edge/catchup.h"
#include "transports/edge/edge.h"

#include <assert.h>
#include <stdlib.h>

enum { RUNS_MAX = 64, FINISH_MS = 3000 };

/* Whole frames that lie together. Without bytes: frames that are passed over. */
struct run {
    enum { RUN_OUTBOX, RUN_BATCH, RUN_RING } kind;
    const char   *at;
    size_t        len;
    struct sub   *sub;         /* of a ring */
    struct chunk *chunk;
    uint32_t      index, n;    /* frames: from which on, how many */
};

/* One send. */
struct load {
    struct run      runs[RUNS_MAX];
    int             n;
    size_t          room;      /* bytes it may still get; SIZE_MAX: no limit */
    struct catchup *catchup;   /* whose batch is in it */
    uint32_t   me;        /* the reader as frames name it whom they are not for (exclusion.h); 0: all are for it */
};

/* ---- loading ---- */

static struct run *add_run(struct load *load, const char *at, size_t len)
{
    struct run *run = &load->runs[load->n++];
    *run = (struct run){ .at = at, .len = len };
    load->room = load->room == SIZE_MAX ? SIZE_MAX : load->room > len ? load->room - len : 0;
    return run;
}

static bool is_full(const struct load *load) { return load->n == RUNS_MAX || load->room == 0; }
/* Frames that fit into the room that is left; a frame that is too large fits only alone. */
static bool fits(const struct load *load, size_t len) { return len <= load->room || (load->n == 0 && load->room > 0); }

static void load_outbox(struct load *load, const struct conn *conn)
{
    if (conn->outbox)
        add_run(load, conn->outbox->at, conn->outbox->len)->kind = RUN_OUTBOX;
}

static bool is_wanted(const struct load *load, const struct batch_frame *frame)
{
    return frame->feed && (!load->me || frame->exclude != load->me);
}

/* How many frames from `i` on are in one run: wanted ones (or unwanted ones, which are passed over), as far as there is room. */
static uint32_t batch_run(const struct load *load, const struct batch *b, uint32_t i)
{
    bool wanted = is_wanted(load, &b->frames[i]);
    uint32_t n = 1;
    while (i + n < b->n && is_wanted(load, &b->frames[i + n]) == wanted &&
           (!wanted || b->frames[i + n].end - batch_start(b, i) <= load->room))
        n++;
    return n;
}

static void load_batch(struct load *load, struct catchup *cu)
{
    const struct batch *b = cu->batch;
    load->catchup = cu;
    for (uint32_t i = cu->batch_at, n; i < b->n && !is_full(load); i += n) {
        size_t start = batch_start(b, i);
        bool wanted = is_wanted(load, &b->frames[i]);
        if (wanted && !fits(load, b->frames[i].end - start))
            return;
        n = batch_run(load, b, i);
        struct run *run = add_run(load, b->bytes.at + start, wanted ? b->frames[i + n - 1].end - start : 0);
        run->kind = RUN_BATCH;
        run->index = i;
        run->n = n;
    }
}

/* A frame that is not for this reader. */
static bool leaves_out(const struct load *load, const struct chunk *c, uint32_t i)
{
    return load->me && c->n_excluding > 0 && chunk_frame(c, i)->exclude == load->me;
}

/* How many frames of the chunk from `i` on may go in one run: all, unless there is little room, or another feed's turn comes. */
static uint32_t ring_run(const struct load *load, const struct chunk *c, uint32_t i, uint64_t before)
{
    uint32_t start = frame_start(c, i), n = c->n - i;
    if (c->used - start > load->room)
        while (n > 1 && chunk_frame(c, i + n - 1)->end - start > load->room)
            n--;
    if (before < UINT64_MAX)
        while (n > 1 && chunk_frame(c, i + n - 1)->arrival >= before)
            n--;
    if (!load->me || c->n_excluding == 0)
        return n;
    uint32_t alike = 1;
    while (alike < n && leaves_out(load, c, i + alike) == leaves_out(load, c, i))
        alike++;
    return alike;
}

static uint32_t add_ring_run(struct load *load, struct sub *sub, struct chunk *c, uint32_t i, uint32_t n, bool pass_over)
{
    uint32_t start = frame_start(c, i);
    struct run *run = add_run(load, c->bytes + start, pass_over ? 0 : chunk_frame(c, i + n - 1)->end - start);
    run->kind = RUN_RING;
    run->sub = sub;
    run->chunk = c;
    run->index = i;
    run->n = n;
    return n;
}

static bool frame_fits(const struct load *load, const struct chunk *c, uint32_t i)
{
    return fits(load, chunk_frame(c, i)->end - frame_start(c, i));
}

static void load_ring(struct load *load, struct sub *sub)
{
    struct chunk *c = sub->reader.chunk;
    for (uint32_t i = sub->reader.index; c; c = c->next, i = 0)
        while (i < c->n) {
            bool not_mine = leaves_out(load, c, i);
            if (is_full(load) || (!not_mine && !frame_fits(load, c, i)))
                return;
            i += add_ring_run(load, sub, c, i, ring_run(load, c, i, UINT64_MAX), not_mine);
        }
}

/* ---- merging several feeds ---- */

struct place {
    struct sub   *sub;
    struct chunk *chunk;
    uint32_t      index;
};

struct merge {
    size_t        cap;
    void        **heap;       /* of cap */
    struct place  places[];
};

static uint64_t arrival_of(const struct place *p)            { return chunk_frame(p->chunk, p->index)->arrival; }
static bool     place_less(const void *a, const void *b)     { return arrival_of(a) < arrival_of(b); }

void flush_fini(struct edge *edge)
{
    if (edge->merge)
        free(edge->merge->heap);
    free(edge->merge);
    edge->merge = NULL;
}

static struct merge *merge_room(struct edge *edge, size_t n)
{
    if (edge->merge && edge->merge->cap >= n)
        return edge->merge;
    flush_fini(edge);
    size_t cap = 16;
    while (cap < n)
        cap *= 2;
    struct merge *merge = malloc(sizeof *merge + cap * sizeof merge->places[0]);
    void **heap = malloc(cap * sizeof *heap);
    if (!merge || !heap) {
        free(merge);
        free(heap);
        return NULL;
    }
    *merge = (struct merge){ .cap = cap, .heap = heap };
    edge->merge = merge;
    return merge;
}

/* Moves the place of the heap's top on by n frames; a feed without more leaves the heap. */
static void move_top(struct heap *heap, uint32_t n)
{
    struct place *p = heap->at[0];
    p->index += n;
    while (p->chunk && p->index == p->chunk->n) {
        p->chunk = p->chunk->next;
        p->index = 0;
    }
    if (p->chunk)
        heap_top_changed(heap);
    else
        heap_pop(heap);
}

static uint64_t second_arrival(const struct heap *heap)
{
    uint64_t least = UINT64_MAX;
    for (size_t i = 1; i < heap->n && i <= 2; i++)
        least = arrival_of(heap->at[i]) < least ? arrival_of(heap->at[i]) : least;
    return least;
}

/* A message of several feeds that an earlier send took from one of them: it had no room to pass over it in the others. */
static bool had_before(const struct conn *conn, const struct place *p)
{
    return chunk_frame(p->chunk, p->index)->seq <= conn->position.seq;
}

static void load_merged(struct load *load, struct conn *conn)
{
    size_t n = 0;
    for (struct link *l = conn->pending.next; l != &conn->pending; l = l->next)
        n++;
    struct merge *merge = merge_room(conn->edge, n);
    if (!merge) {
        conn_close(conn, ERR_MEMORY);
        return;
    }
    struct heap heap = { .at = merge->heap, .less = place_less };
    for (struct link *l = conn->pending.next; l != &conn->pending; l = l->next) {
        struct sub *sub = link_of(l, struct sub, pending_link);
        struct place *place = &merge->places[heap.n];
        *place = (struct place){ sub, sub->reader.chunk, sub->reader.index };
        heap_push(&heap, place);
    }
    for (uint64_t last = 0; heap.n > 0 && !is_full(load);) {
        struct place *p = heap.at[0];
        bool again = arrival_of(p) == last || had_before(conn, p);
        bool pass_over = again || leaves_out(load, p->chunk, p->index);
        if (!pass_over && !frame_fits(load, p->chunk, p->index))
            return;
        uint32_t run = again ? 1 : ring_run(load, p->chunk, p->index, second_arrival(&heap));
        last = chunk_frame(p->chunk, p->index + run - 1)->arrival;
        add_ring_run(load, p->sub, p->chunk, p->index, run, pass_over);
        move_top(&heap, run);
    }
}

static void load_rings(struct load *load, struct conn *conn)
{
    struct link *first = list_first(&conn->pending);
    if (!first)
        return;
    struct sub *sub = link_of(first, struct sub, pending_link);
    if (first == conn->pending.prev && chunk_frame(sub->reader.chunk, sub->reader.index)->seq > conn->position.seq)
        load_ring(load, sub);
    else
        load_merged(load, conn);
}

static void load_conn(struct load *load, struct conn *conn)
{
    size_t max_run = conn->edge->line->max_run;
    load->n = 0;
    load->room = max_run ? max_run : SIZE_MAX;
    load->catchup = NULL;
    load->me = conn_exclusion(conn);
    load_outbox(load, conn);
    struct catchup *cu = catchup_in_hand(conn);
    if (cu && !is_full(load))
        load_batch(load, cu);
    else if (!cu && !is_full(load) && catchups_let_rings(conn))
        load_rings(load, conn);
}

/* ---- accounting ---- */

/* The reader has everything up to this frame now, and its id told it so. */
static void told(struct conn *conn, uint64_t seq)
{
    conn->position.seq = seq;
    conn->told = true;
}

static size_t frame_end(const struct load *load, const struct run *run, uint32_t i)
{
    if (run->kind == RUN_RING)
        return chunk_frame(run->chunk, run->index + i)->end - frame_start(run->chunk, run->index);
    const struct batch *b = load->catchup->batch;
    return b->frames[run->index + i].end - batch_start(b, run->index);
}

static void took_batch(struct conn *conn, struct load *load, const struct run *run, uint32_t n)
{
    struct catchup *cu = load->catchup;
    cu->batch_at = run->index + n;
    if (n == 0)
        return;
    if (run->len > 0)
        conn->edge->msgs_out += n;
    if (cu->marked || !cu->batch->frames[run->index].feed)
        return;
    if (run->len > 0)
        told(conn, cu->batch->frames[run->index + n - 1].seq);
    cu->debt -= (int64_t)frame_end(load, run, n - 1);
}

static void took_ring(struct conn *conn, const struct run *run, uint32_t n)
{
    if (n == 0)
        return;
    if (run->len > 0) {
        assert(chunk_frame(run->chunk, run->index)->seq > conn->position.seq);       /* EXACT.md 12 */
        conn->edge->msgs_out += n;
        told(conn, chunk_frame(run->chunk, run->index + n - 1)->seq);
    } else {      /* what is not for it counts as delivered, but no id has told so */
        conn_move_to(conn, (struct position){ conn->position.epoch, chunk_frame(run->chunk, run->index + n - 1)->seq });
    }
    if (reader_advance(&run->sub->reader, run->chunk, run->index + n))
        link_remove(&run->sub->pending_link);
}

static void took(struct conn *conn, struct load *load, const struct run *run, uint32_t n)
{
    switch (run->kind) {
    case RUN_OUTBOX: conn_drop_outbox(conn); break;
    case RUN_BATCH:  took_batch(conn, load, run, n); break;
    case RUN_RING:   took_ring(conn, run, n); break;
    }
}

/* The line took `len` bytes of this run, not all: the frame that is cut goes as a whole. */
static void took_part(struct conn *conn, struct load *load, const struct run *run, size_t len)
{
    uint32_t n = 0;
    size_t end = run->len;
    if (run->kind != RUN_OUTBOX)
        for (end = 0; end < len; n++)
            end = frame_end(load, run, n);
    if (len == 0)
        return;
    if (end > len) {
        conn->edge->line->keep(conn, run->at + len, end - len);
        conn->edge->bytes_out += end - len;
    }
    took(conn, load, run, n);
}

/* True: all of it. */
static bool account(struct conn *conn, struct load *load, size_t sent)
{
    conn->edge->bytes_out += sent;
    for (int i = 0; i < load->n; i++) {
        const struct run *run = &load->runs[i];
        if (run->len > sent) {
            took_part(conn, load, run, sent);
            return false;
        }
        sent -= run->len;
        took(conn, load, run, run->n);
    }
    return true;
}

/* ---- sending ---- */

/* True: the line took all that was loaded. */
static bool send_load(struct conn *conn, struct load *load)
{
    struct iovec iov[RUNS_MAX];
    const struct line_ops *line = conn->edge->line;
    int n = 0;
    for (int i = 0; i < load->n; i++)
        if (load->runs[i].len > 0)
            iov[n++] = (struct iovec){ (char *)(uintptr_t)load->runs[i].at, load->runs[i].len };
    ssize_t sent = n > 0 ? line->send(conn, iov, n) : 0;
    if (sent < 0) {
        conn->choked = true;      /* conn_gone will follow */
        return false;
    }
    if (account(conn, load, (size_t)sent))
        return true;
    conn->choked = true;
    line->want_writable(conn);
    struct catchup *cu = catchup_in_hand(conn);
    if (cu && conn->edge->batch_bytes > conn->edge->config->edge_pool_bytes)
        catchup_put_back(cu);
    return false;
}

/* The last words follow what is kept, whether the line takes anything now or not. */
static void finish(struct conn *conn)
{
    if (conn->finished)
        return;
    conn->finished = true;
    if (conn->outbox) {
        struct iovec iov = { conn->outbox->at, conn->outbox->len };
        ssize_t sent = conn->choked ? 0 : conn->edge->line->send(conn, &iov, 1);
        if (sent >= 0 && (size_t)sent < iov.iov_len)
            conn->edge->line->keep(conn, conn->outbox->at + sent, iov.iov_len - (size_t)sent);
        conn->edge->bytes_out += iov.iov_len;
        conn_drop_outbox(conn);
    }
    conn->edge->line->finish(conn, FINISH_MS);
}

void conn_flush(struct conn *conn)
{
    struct load load;
    struct catchup *cu;
    if (conn->conn_state == CONN_OPEN && conn->edge->draining)
        conn_close(conn, ERR_DRAINING);
    while (conn->conn_state == CONN_OPEN && !conn->choked) {
        if (!link_alone(&conn->catchups))
            catchups_ask(conn);
        if (conn->conn_state != CONN_OPEN)
            break;
        load_conn(&load, conn);
        if (conn->conn_state != CONN_OPEN || (load.n == 0 && !catchup_in_hand(conn)))
            break;
        if (!send_load(conn, &load))
            break;
        if ((cu = catchup_in_hand(conn)) && cu->batch_at == cu->batch->n)
            catchup_written(cu);
    }
    if (conn->conn_state != CONN_OPEN)
        conn_leave(conn);
    else if (conn->paused || conn->outbox)      /* it is read on, or what waits was not taken */
        conn_mind_input(conn);
    if (conn->conn_state == CONN_CLOSING)
        finish(conn);
}
