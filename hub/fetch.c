/* fetch.c — what is kept of a set of channels after a position, in order, and whether anything may be missing.
 *
 * EXACT.md 3, 5–7, 9, 13:
 *   1. Is the position complete for each channel? If not: a gap, and the channels it concerns are marked.
 *   2. What is kept after it (of a foreign position: everything kept), or from where else it begins (since.h), merged by
 *      number, up to the bounds of the call.
 *   3. `upto`: the head, or the last number in the answer when it was cut. */
#include "hub/base/hash.h"
#include "hub/base/heap.h"
#include "hub/core.h"

#include <stdlib.h>

/* A channel being merged. */
struct source {
    struct channel *channel;
    uint32_t        at;         /* index of its next kept message; while walking back: of the one before it that was last taken */
};

void fetch_answer_fini(struct fetch_call *fetch)
{
    for (size_t i = 0; i < fetch->n_msgs; i++)
        msg_unref(fetch->msgs[i]);
    free(fetch->msgs);
    fetch->msgs = NULL;
    fetch->n_msgs = 0;
}

/* Nobody has been told a position above the head. A number that is still under way counts as from the future too: it would
 * come to a reader who says that he has it already (EXACT.md 12). */
static bool is_foreign(const struct hub *hub, struct position p)
{
    return p.epoch != hub->epoch || p.seq > hub->head;
}

static bool is_incomplete(const struct hub *hub, const struct fetch_call *call, uint64_t dropped)
{
    if (call->from != FETCH_AFTER || !history_on(hub->config))
        return false;
    return is_foreign(hub, call->after) || call->after.seq < dropped;
}

static bool source_less(const void *a, const void *b)
{
    const struct source *x = a, *y = b;
    return channel_kept(x->channel, x->at)->seq < channel_kept(y->channel, y->at)->seq;
}

static bool source_newer(const void *a, const void *b)
{
    const struct source *x = a, *y = b;
    return channel_kept(x->channel, x->at - 1)->seq > channel_kept(y->channel, y->at - 1)->seq;
}

static bool has_more(const struct source *source) { return source->channel && source->at < source->channel->n_kept; }

/* Index of the first message of the channel that is asked for. */
static uint32_t first_wanted(const struct fetch_call *call, const struct channel *ch, uint64_t start)
{
    uint32_t at;
    switch (call->from) {
    case FETCH_NOW:
    case FETCH_COUNT:     /* walk_back goes on from the end */
        return ch->n_kept;
    case FETCH_ALL:
        return 0;
    case FETCH_TIME:
        return channel_first_from(ch, call->time_ms);
    case FETCH_LATEST:
        at = channel_first_after(ch, start);
        return at + 1 < ch->n_kept ? ch->n_kept - 1 : at;
    default:
        return channel_first_after(ch, start);
    }
}

/* FETCH_COUNT: takes the newest of all sources, one by one, until `count` are wanted. At most SINCE_COUNT_MAX steps. */
static void walk_back(const struct fetch_call *call, struct source *sources, struct heap *heap)
{
    heap->less = source_newer;
    for (size_t i = 0; i < call->n_channels; i++)
        if (sources[i].channel && sources[i].at > 0)
            heap_push(heap, &sources[i]);
    for (uint32_t n = 0; n < call->count && heap->n > 0; n++) {
        struct source *newest = heap->at[0];
        if (--newest->at > 0)
            heap_top_changed(heap);
        else
            heap_pop(heap);
    }
    heap->n = 0;
    heap->less = source_less;
}

/* Marks each channel, and sets up those that have something to give. */
static void look_up(struct hub *hub, struct fetch_call *call, uint64_t start, struct source *sources, struct heap *heap)
{
    bool foreign = call->from == FETCH_AFTER && is_foreign(hub, call->after);
    for (size_t i = 0; i < call->n_channels; i++) {
        struct fetch_channel *asked = &call->channels[i];
        struct channel *ch = channel_find(&hub->channels, asked->name, hash_bytes(asked->name));
        asked->resumable = history_on(hub->config);
        asked->dropped = ch ? ch->dropped : hub->channels.floor;
        asked->incomplete = is_incomplete(hub, call, asked->dropped);
        if (asked->incomplete)
            call->gap = foreign ? GAP_EPOCH : GAP_HISTORY;
        sources[i] = (struct source){ ch, ch ? first_wanted(call, ch, start) : 0 };
    }
    if (call->from == FETCH_COUNT)
        walk_back(call, sources, heap);
    for (size_t i = 0; i < call->n_channels; i++)
        if (has_more(&sources[i]))
            heap_push(heap, &sources[i]);
}

static bool room_for(const struct fetch_call *call, size_t bytes, const struct msg *m)
{
    if (call->n_msgs == 0)
        return true;
    return bytes + msg_size(m) <= call->max_bytes && (call->max_count == 0 || call->n_msgs < call->max_count);
}

static bool add(struct fetch_call *call, size_t *cap, struct msg *m)
{
    if (call->n_msgs == *cap) {
        size_t more = *cap ? *cap * 2 : 16;
        struct msg **msgs = realloc(call->msgs, more * sizeof *msgs);
        if (!msgs)
            return false;
        call->msgs = msgs;
        *cap = more;
    }
    call->msgs[call->n_msgs++] = msg_ref(m);
    return true;
}

/* Merges by number until a bound is reached; then there is more. */
static int merge(struct fetch_call *call, struct heap *heap)
{
    size_t cap = 0, bytes = 0;
    while (heap->n > 0) {
        struct source *source = heap->at[0];
        struct msg *m = channel_kept(source->channel, source->at);
        if (!room_for(call, bytes, m)) {
            call->more = true;
            return 0;
        }
        if (!add(call, &cap, m))
            return ERR_MEMORY;
        bytes += msg_size(m);
        if (++source->at < source->channel->n_kept)
            heap_top_changed(heap);
        else
            heap_pop(heap);
    }
    return 0;
}

static void place(const struct hub *hub, struct fetch_call *call, bool foreign)
{
    uint64_t upto = call->more ? call->msgs[call->n_msgs - 1]->seq : hub->head;
    uint64_t begin = call->after.seq;
    /* Without history nothing comes again, whatever the position was: it begins where it is now. */
    if (call->gap || foreign || call->from != FETCH_AFTER || !history_on(hub->config))
        begin = call->n_msgs ? call->msgs[0]->seq - 1 : upto;
    call->begin = (struct position){ hub->epoch, begin };
    call->upto = (struct position){ hub->epoch, upto > begin ? upto : begin };
}

void fetch_run(struct hub *hub, struct fetch_call *call)
{
    bool foreign = call->from == FETCH_AFTER && is_foreign(hub, call->after);
    uint64_t start = is_foreign(hub, call->after) ? 0 : call->after.seq;      /* of AFTER and LATEST */
    struct source *sources = calloc(call->n_channels, sizeof *sources);
    struct heap heap = { .at = calloc(call->n_channels, sizeof(void *)), .less = source_less };
    int err = ERR_MEMORY;

    call->gap = GAP_NONE;
    call->more = false;
    call->msgs = NULL;
    call->n_msgs = 0;
    if (sources && heap.at) {
        look_up(hub, call, start, sources, &heap);
        err = merge(call, &heap);
        place(hub, call, foreign);
    }
    if (err)
        fetch_answer_fini(call);
    free(sources);
    free(heap.at);
    hub_answer(hub, &call->call, err);
}
