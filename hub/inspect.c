/* inspect.c — the channels that are alive: one page by name, for those who administer, and all that match a pattern, for those who
 * publish to it; and what the other nodes want to know of them (directory.h).
 *
 * The table is not sorted. A page is found in one pass over all channels with a heap of the page's size, so a page of 100
 * out of 100,000 channels costs a few milliseconds of the hub thread, and nothing is kept sorted for it. What matches a pattern is
 * found in pieces, with other work in between (channels_scan). */
#include "hub/base/hash.h"
#include "hub/base/heap.h"
#include "hub/base/name.h"
#include "hub/core.h"
#include "hub/self.h"

#include <stdlib.h>

int names_compare(struct slice a, struct slice b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common ? memcmp(a.at, b.at, common) : 0;      /* an empty slice may point nowhere */
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

/* The heap has the greatest name on top, because that is the one a smaller name replaces. */
static bool greater(const void *a, const void *b)
{
    return names_compare(channel_name(a), channel_name(b)) > 0;
}

static bool is_alive(const struct channel *ch)
{
    return ch->n_kept > 0 || watch_subscribers(ch) > 0;
}

static void describe(const struct hub *hub, const struct channel *ch, struct channel_info *info)
{
    *info = (struct channel_info){
        .name_len = ch->name_len, .subscribers = watch_subscribers_all(hub, channel_name(ch), ch),
        .members = presence_count(&hub->presence, channel_name(ch), ch->hash), .kept = ch->n_kept, .kept_bytes = ch->kept_bytes,
        .last = { hub->epoch, ch->last }, .resumable = rule_keeps(ch->rule), .rule = ch->rule,
    };
    memcpy(info->name, ch->name, ch->name_len);
}

static int one_channel(struct hub *hub, struct channels_call *call)
{
    struct channel *ch = channel_find(&hub->channels, call->exact, hash_bytes(call->exact));
    if (!ch || !is_alive(ch))
        return ERR_NOT_FOUND;
    if (!(call->infos = calloc(1, sizeof *call->infos)))
        return ERR_MEMORY;
    describe(hub, ch, call->infos);
    call->n_infos = 1;
    return 0;
}

static bool is_wanted(const struct names_wish *wish, const struct channel *ch)
{
    struct slice name = channel_name(ch);
    return slice_begins(name, wish->prefix) && names_compare(name, wish->after) > 0 && is_alive(ch) &&
           (wish->pattern.len == 0 || pattern_matches(wish->pattern, name));
}

/* Leaves the smallest names after the cursor in the heap, which has room for `limit`. Whether there are more. */
static bool choose(struct hub *hub, const struct names_wish *wish, struct heap *heap)
{
    bool more = false;
    for (struct channel *ch = hub->channels.table; ch; ch = ch->hh.next) {
        if (!is_wanted(wish, ch))
            continue;
        if (heap->n < wish->limit) {
            heap_push(heap, ch);
            continue;
        }
        more = true;
        if (greater(heap->at[0], ch)) {
            heap->at[0] = ch;
            heap_top_changed(heap);
        }
    }
    return more;
}

static void end_page(struct channels_call *call)
{
    const struct channel_info *last = &call->infos[call->n_infos - 1];
    memcpy(call->upto, last->name, last->name_len);
    call->upto_len = last->name_len;
}

static int page(struct hub *hub, struct channels_call *call)
{
    const struct names_wish wish = { .prefix = call->prefix, .after = call->after, .limit = call->limit };
    struct heap heap = { .at = calloc(call->limit, sizeof(void *)), .less = greater };
    call->infos = calloc(call->limit, sizeof *call->infos);
    bool done = heap.at && call->infos;
    if (done) {
        call->more = choose(hub, &wish, &heap);
        call->n_infos = heap.n;
        while (heap.n > 0) {
            size_t last = heap.n - 1;
            describe(hub, heap_pop(&heap), &call->infos[last]);
        }
        if (call->more)
            end_page(call);
    }
    free(heap.at);
    if (done)
        return 0;
    free(call->infos);
    call->infos = NULL;
    return ERR_MEMORY;
}

void channels_run(struct hub *hub, struct channels_call *call)
{
    call->infos = NULL;
    call->n_infos = 0;
    call->more = false;
    hub_answer(hub, &call->call, call->exact.len ? one_channel(hub, call) : page(hub, call));
}

/* ---- what matches a pattern ---- */

/* Here a message under way is enough: what one publisher sends first is there for what it sends next. */
struct search {
    struct match_call *call;
    size_t             looked_at, found;
};

static void look_at(void *arg, struct channel *ch)
{
    struct search *search = arg;
    struct buf *names = &search->call->names;
    search->looked_at++;
    if ((!is_alive(ch) && ch->under_way == 0) || !pattern_matches(search->call->pattern, channel_name(ch)))
        return;
    search->found++;
    buf_add_char(names, (char)ch->name_len);
    buf_add_slice(names, channel_name(ch));
}

void match_run(struct hub *hub, struct match_call *call)
{
    struct search search = { .call = call };
    call->names = (struct buf){ 0 };
    do {
        call->cursor = channels_scan(&hub->channels, call->cursor, look_at, &search);
        search.looked_at++;         /* a bucket with nobody in it is a look too */
    } while (call->cursor && search.looked_at < MATCH_LOOKS && search.found < call->limit && !call->names.failed);
    int err = call->names.failed ? ERR_MEMORY : 0;
    if (err)
        buf_fini(&call->names);
    hub_answer(hub, &call->call, err);
}

/* ---- for other nodes ---- */

void hub_use_directory(struct hub *hub, struct directory *directory) { hub->directory = directory; }

void directory_answer(struct hub *hub, struct call *call, int err)
{
    struct channels_call *channels = call->letter.kind == CALL_CHANNELS ? (struct channels_call *)(void *)call : NULL;
    for (size_t i = 0; channels && !err && i < channels->n_infos; i++) {
        struct channel_info *info = &channels->infos[i];
        struct slice name = slice(info->name, info->name_len);
        info->rule = config_channel_rule(hub->config, name);
        info->resumable = rule_keeps(info->rule);
    }
    hub_answer(hub, call, err);
}

int names_here(struct hub *hub, const struct names_wish *wish, struct buf *ret_names, bool *ret_more)
{
    struct heap heap = { .at = calloc(wish->limit, sizeof(void *)), .less = greater };
    if (!heap.at)
        return ERR_MEMORY;
    *ret_more = choose(hub, wish, &heap);
    size_t n = heap.n;
    while (heap.n > 0) {
        void *greatest = heap_pop(&heap);
        heap.at[heap.n] = greatest;      /* what was popped has left its place at the end */
    }
    for (size_t i = 0; i < n; i++) {
        struct slice name = channel_name(heap.at[i]);
        buf_add_char(ret_names, (char)name.len);
        buf_add_slice(ret_names, name);
    }
    free(heap.at);
    return ret_names->failed ? ERR_MEMORY : 0;
}

uint32_t subscribers_here(struct hub *hub, struct slice channel)
{
    return watch_subscribers_all(hub, channel, channel_find(&hub->channels, channel, hash_bytes(channel)));
}

bool channel_is_here(struct hub *hub, struct slice channel)
{
    const struct channel *ch = channel_find(&hub->channels, channel, hash_bytes(channel));
    return ch && is_alive(ch);
}

/* ---- nodes ---- */

void nodes_run(struct hub *hub, struct nodes_call *call)
{
    call->infos = calloc(1, sizeof *call->infos);
    call->n_infos = 0;
    if (call->infos && hub->self) {
        self_describe(hub->self, call->infos);
        call->infos->is_self = true;
        call->n_infos = 1;
    }
    hub_answer(hub, &call->call, call->infos ? 0 : ERR_MEMORY);
}

void hub_use_self(struct hub *hub, const struct self *self) { hub->self = self; }
