/* fetch.c — what is kept of a set of channels after a position, in order, and whether anything may be missing.
 *
 * EXACT.md 3, 5–7, 9, 13:
 *   1. Is the position complete for each channel? If not: a gap, and the channels it concerns are marked.
 *   2. What is kept after it (of a foreign position: everything kept), or from where else it begins (since.h), merged by
 *      number, up to the bounds of the call.
 *   3. `upto`: the head, or the last number in the answer when it was cut.
 *
 * Conflation (lag.policy latest) is LATEST that tells what it leaves out: a gap too (GAP_CONFLATED), in channels of which the newest
 * follows. When the newest itself is gone, it is a gap of history.
 *
 * With a pattern among the channels, 1 looks at channels that have given up something since (gave_up.h), and 2 walks the log of
 * all messages forward: at most hub->look_at entries per call, then there is more (`upto` is how far it looked, perhaps without a
 * message), so that a narrow pattern does not stop the hub. */
#include "hub/base/hash.h"
#include "hub/base/heap.h"
#include "hub/base/name.h"
#include "hub/core.h"

#include <stdlib.h>

enum { LOOK_BACK_AT = 64 * 1024 };      /* entries of the log, to count back (since=-20): what is older is not counted */

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

/* Nothing above it may be missing without a gap; UINT64_MAX: anything may. Who asks on behind a cut answer of LATEST has been told that
 * its stream has begun. */
static uint64_t promised_after(const struct fetch_call *call)
{
    if (call->from == FETCH_AFTER || call->conflates)
        return call->after.seq;
    return call->from == FETCH_LATEST && call->whole_after ? call->whole_after : UINT64_MAX;
}

static bool resumes_foreign(const struct hub *hub, const struct fetch_call *call)
{
    return (call->from == FETCH_AFTER || call->conflates) && is_foreign(hub, call->after);
}

/* `reason`: why, when `dropped` is above what was promised. What has no history tells no gap (EXACT.md 7). */
static void mark(const struct hub *hub, struct fetch_call *call, struct fetch_channel *asked, uint64_t dropped, enum gap_reason reason)
{
    bool foreign = resumes_foreign(hub, call);
    asked->dropped = dropped;
    asked->incomplete = asked->resumable && (foreign || promised_after(call) < dropped);
    if (asked->incomplete && call->gap < (foreign ? GAP_EPOCH : reason))
        call->gap = foreign ? GAP_EPOCH : reason;
}

static bool any_resumable(const struct fetch_call *call)
{
    for (size_t i = 0; i < call->n_channels; i++)
        if (call->channels[i].resumable)
            return true;
    return false;
}

static bool wants_newest(const struct fetch_call *call, const struct fetch_channel *asked) { return call->from == FETCH_LATEST && !asked->whole; }
static bool is_conflated(const struct fetch_call *call, const struct fetch_channel *asked) { return call->conflates && !asked->whole; }

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

/* LATEST: the index of the message that is the newest, or was when what is behind it began to be wanted whole. */
static uint32_t newest_of(const struct fetch_call *call, const struct channel *ch)
{
    uint32_t n = call->whole_after ? channel_first_after(ch, call->whole_after) : ch->n_kept;
    return n > 0 ? n - 1 : 0;
}

static uint32_t first_of_latest(const struct fetch_call *call, const struct channel *ch, uint64_t start)
{
    uint32_t after = channel_first_after(ch, start), newest = newest_of(call, ch);
    return after > newest ? after : newest;
}

/* Index of the first message of the channel that is asked for. */
static uint32_t first_wanted(const struct fetch_call *call, const struct fetch_channel *asked, const struct channel *ch, uint64_t start)
{
    switch (call->from) {
    case FETCH_NOW:
    case FETCH_COUNT:     /* walk_back goes on from the end */
        return ch->n_kept;
    case FETCH_ALL:
        return 0;
    case FETCH_TIME:
        return channel_first_from(ch, call->time_ms);
    case FETCH_LATEST:
        if (asked->from_now)
            return call->whole_after ? channel_first_after(ch, call->whole_after > start ? call->whole_after : start) : ch->n_kept;
        return asked->whole ? channel_first_after(ch, start) : first_of_latest(call, ch, start);
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

/* What is left out of a channel of which only the newest is given: all before it. */
static void mark_channel(const struct hub *hub, struct fetch_call *call, struct fetch_channel *asked, const struct source *source)
{
    const struct channel *ch = source->channel;
    uint64_t dropped = ch ? ch->dropped : hub->channels.floor;
    if (is_conflated(call, asked) && has_more(source))
        mark(hub, call, asked, channel_kept(ch, source->at)->prev, GAP_CONFLATED);
    else
        mark(hub, call, asked, dropped, GAP_HISTORY);
}

/* Marks each channel, and sets up those that have something to give. */
static void look_up(struct hub *hub, struct fetch_call *call, uint64_t start, struct source *sources, struct heap *heap)
{
    for (size_t i = 0; i < call->n_channels; i++) {
        struct fetch_channel *asked = &call->channels[i];
        struct channel *ch = channel_find(&hub->channels, asked->name, hash_bytes(asked->name));
        asked->resumable = rule_keeps(ch ? ch->rule : config_channel_rule(hub->config, asked->name));
        asked->loses = !asked->resumable;
        sources[i] = (struct source){ ch, ch ? first_wanted(call, asked, ch, start) : 0 };
        mark_channel(hub, call, asked, &sources[i]);
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

/* `cut`: how far it reaches when there is more. */
static void place(const struct hub *hub, struct fetch_call *call, bool foreign, uint64_t cut)
{
    uint64_t upto = call->more ? cut : hub->head;
    uint64_t begin = call->after.seq;
    /* Without history nothing comes again, whatever the position was: it begins where it is now. What was only looked at is not
     * for these channels. */
    if (call->gap || foreign || call->from != FETCH_AFTER || !any_resumable(call))
        begin = call->n_msgs ? call->msgs[0]->seq - 1 : upto;
    call->begin = (struct position){ hub->epoch, begin };
    call->upto = (struct position){ hub->epoch, upto > begin ? upto : begin };
}

static int fetch_channels(struct hub *hub, struct fetch_call *call, uint64_t start, uint64_t *ret_cut)
{
    struct source *sources = calloc(call->n_channels, sizeof *sources);
    struct heap heap = { .at = calloc(call->n_channels, sizeof(void *)), .less = source_less };
    int err = ERR_MEMORY;
    if (sources && heap.at) {
        look_up(hub, call, start, sources, &heap);
        err = merge(call, &heap);
        *ret_cut = call->n_msgs ? call->msgs[call->n_msgs - 1]->seq : start;
    }
    free(sources);
    free(heap.at);
    return err;
}

/* ---- patterns ---- */

/* The channels and patterns of one call, by what they match. */
struct wanted {
    struct hub        *hub;
    struct fetch_call *call;
    struct trie        trie;          /* struct fetch_channel */
    struct channel    *giver;         /* the channel that is looked at */
    uint64_t           left_out;      /* number of a message of `giver` that is not given */
};

static bool has_pattern(const struct fetch_call *call)
{
    for (size_t i = 0; i < call->n_channels; i++)
        if (name_is_pattern(call->channels[i].name))
            return true;
    return false;
}

static int add_wanted(struct wanted *wanted)
{
    struct fetch_call *call = wanted->call;
    for (size_t i = 0; i < call->n_channels; i++)
        if (trie_add(&wanted->trie, call->channels[i].name, &call->channels[i]))
            return ERR_MEMORY;
    return 0;
}

static void on_gave_up(void *arg, void *value)
{
    struct wanted *wanted = arg;
    struct fetch_channel *asked = value;
    const struct channel *giver = wanted->giver;
    bool newest_follows = is_conflated(wanted->call, asked) && giver->n_kept > 0;
    uint64_t *dropped = newest_follows ? &asked->left_out : &asked->dropped;
    if (*dropped < giver->dropped && name_is_pattern(asked->name))
        *dropped = giver->dropped;
}

static bool on_giver(void *arg, struct channel *ch)
{
    struct wanted *wanted = arg;
    const struct fetch_call *call = wanted->call;
    if (call->n_channels == 1 && ch->gave_up_at <= call->channels[0].dropped)
        return false;
    wanted->giver = ch;
    trie_match(&wanted->trie, channel_name(ch), on_gave_up, wanted);
    return true;
}

/* EXACT.md 6. Whether what a channel gave up is left out or gone changes when its newest message goes: that is not remembered. */
static void find_dropped(struct wanted *wanted, uint64_t after)
{
    struct gave_up *gave_up = &wanted->hub->history.gave_up;
    struct fetch_call *call = wanted->call;
    if (call->conflates)
        gave_up_each(gave_up, after, 0, on_giver, wanted);
    else
        gave_up_find(gave_up, &wanted->trie, call->channels, call->n_channels, after);
}

static void mark_incomplete(struct wanted *wanted)
{
    struct hub *hub = wanted->hub;
    struct fetch_call *call = wanted->call;
    uint64_t start = is_foreign(hub, call->after) ? 0 : call->after.seq;
    for (size_t i = 0; i < call->n_channels; i++) {
        struct fetch_channel *asked = &call->channels[i];
        struct channel *ch = name_is_pattern(asked->name) ? NULL : channel_find(&hub->channels, asked->name, hash_bytes(asked->name));
        bool newest_follows = ch && is_conflated(call, asked) && ch->n_kept > 0 && channel_kept(ch, ch->n_kept - 1)->seq > start;
        asked->resumable = ch ? rule_keeps(ch->rule) : config_pattern_keeps(hub->config, asked->name);
        asked->loses = ch ? !rule_keeps(ch->rule) : config_pattern_loses(hub->config, asked->name);
        asked->left_out = newest_follows ? ch->dropped : 0;
        asked->dropped = newest_follows ? 0 : ch ? ch->dropped : hub->channels.floor;
    }
    if (!resumes_foreign(hub, call))
        find_dropped(wanted, promised_after(call));
    for (size_t i = 0; i < call->n_channels; i++)
        mark(hub, call, &call->channels[i], call->channels[i].dropped, GAP_HISTORY);
}

/* After the walk: what was left out because newer ones follow. */
static void mark_left_out(const struct wanted *wanted)
{
    struct fetch_call *call = wanted->call;
    for (size_t i = 0; i < call->n_channels && call->conflates; i++) {
        struct fetch_channel *asked = &call->channels[i];
        if (asked->left_out > asked->dropped)
            mark(wanted->hub, call, asked, asked->left_out, GAP_CONFLATED);
    }
}

static void on_wanted(void *arg, void *value)
{
    struct wanted *wanted = arg;
    const struct fetch_channel *asked = value;
    wanted->giver->fetched = true;
    wanted->giver->fetched_newest |= !asked->from_now;
    wanted->giver->fetched_whole |= !asked->from_now && !wants_newest(wanted->call, asked);
}

/* Is it wanted by any of them? Each channel is looked up once per call. */
static bool is_wanted(struct wanted *wanted, struct channel *ch)
{
    if (ch->fetch != wanted->hub->fetches) {
        ch->fetch = wanted->hub->fetches;
        ch->fetched = ch->fetched_newest = ch->fetched_whole = ch->left_out = false;
        wanted->giver = ch;
        trie_match(&wanted->trie, channel_name(ch), on_wanted, wanted);
    }
    return ch->fetched;
}

static void on_left_out(void *arg, void *value)
{
    struct wanted *wanted = arg;
    struct fetch_channel *asked = value;
    if (is_conflated(wanted->call, asked) && asked->left_out < wanted->left_out)
        asked->left_out = wanted->left_out;
}

/* Told once per channel and call, as the number before the one that follows. */
static void leave_out(struct wanted *wanted, struct channel *ch)
{
    if (ch->left_out || !wanted->call->conflates)
        return;
    ch->left_out = true;
    wanted->left_out = channel_kept(ch, ch->n_kept - 1)->prev;
    trie_match(&wanted->trie, channel_name(ch), on_left_out, wanted);
}

static struct msg *message_of(const struct log_entry *entry)
{
    return channel_kept(entry->channel, channel_first_after(entry->channel, entry->seq - 1));
}

static bool is_given(struct wanted *wanted, const struct log_entry *entry)
{
    const struct fetch_call *call = wanted->call;
    struct channel *ch = entry->channel;
    if (!log_entry_is_live(entry) || !is_wanted(wanted, ch))
        return false;
    if (ch->fetched_whole || (call->whole_after && entry->seq > call->whole_after))
        return true;
    if (!ch->fetched_newest)
        return false;
    if (entry->seq == channel_kept(ch, newest_of(call, ch))->seq)
        return true;
    leave_out(wanted, ch);
    return false;
}

/* The place from which on there are `count` that are wanted. */
static size_t count_back(struct wanted *wanted)
{
    const struct log_index *index = &wanted->hub->history.index;
    size_t place = index->n, last = index->n > LOOK_BACK_AT ? index->n - LOOK_BACK_AT : 0;
    for (uint32_t n = 0; place > last && n < wanted->call->count; )
        n += is_given(wanted, log_index_at(index, --place));
    return place;
}

static size_t first_place(struct wanted *wanted, uint64_t start)
{
    const struct log_index *index = &wanted->hub->history.index;
    switch (wanted->call->from) {
    case FETCH_NOW:
        return index->n;
    case FETCH_ALL:
        return 0;
    case FETCH_TIME:
        return log_index_from(index, wanted->call->time_ms);
    case FETCH_COUNT:
        return count_back(wanted);
    default:
        return log_index_after(index, start);
    }
}

static int walk_log(struct wanted *wanted, uint64_t start, uint64_t *ret_cut)
{
    const struct log_index *index = &wanted->hub->history.index;
    struct fetch_call *call = wanted->call;
    size_t cap = 0, bytes = 0, begin = first_place(wanted, start);
    for (size_t i = begin; i < index->n; i++) {
        const struct log_entry *entry = log_index_at(index, i);
        struct msg *m = is_given(wanted, entry) ? message_of(entry) : NULL;
        if (i - begin >= wanted->hub->look_at || (m && !room_for(call, bytes, m))) {
            call->more = true;
            return 0;
        }
        if (m && !add(call, &cap, m))
            return ERR_MEMORY;
        bytes += m ? msg_size(m) : 0;
        *ret_cut = entry->seq;
    }
    return 0;
}

static int fetch_patterns(struct hub *hub, struct fetch_call *call, uint64_t start, uint64_t *ret_cut)
{
    struct wanted wanted = { .hub = hub, .call = call };
    int err = add_wanted(&wanted);
    hub->fetches++;
    if (!err) {
        mark_incomplete(&wanted);
        err = walk_log(&wanted, start, ret_cut);
        mark_left_out(&wanted);
    }
    trie_fini(&wanted.trie);
    return err;
}

void fetch_run(struct hub *hub, struct fetch_call *call)
{
    bool foreign = call->from == FETCH_AFTER && is_foreign(hub, call->after);
    uint64_t start = is_foreign(hub, call->after) ? 0 : call->after.seq, cut = start;      /* of AFTER and LATEST */

    call->gap = GAP_NONE;
    call->more = false;
    call->msgs = NULL;
    call->n_msgs = 0;
    int err = has_pattern(call) ? fetch_patterns(hub, call, start, &cut) : fetch_channels(hub, call, start, &cut);
    if (err)
        fetch_answer_fini(call);
    else
        place(hub, call, foreign, cut);
    hub_answer(hub, &call->call, err);
}
