#include "redis/parts/redis_listing.h"

#include "hub/base/err.h"
#include "hub/base/name.h"
#include "redis/bus/redis_bus_core.h"
#include "redis/parts/redis_directory.h"
#include "redis/bus/redis_pack.h"

#include <stdlib.h>

enum { MATCH_ON_NODES = 1, MATCH_IN_REDIS = 2 };      /* cursors of a struct match_call */

struct listing {
    struct redis_directory *directory;
    struct call         *call;
    struct redis_ask     ask;
    struct redis_request request;
    unsigned             waiting;        /* for answers */
    int                  err;            /* the first thing that went wrong */
    void               (*next)(struct listing *listing);      /* when all have answered */
    struct names_wish    wish;
    struct buf           names;          /* of all sources: a byte of length and the name, each */
    struct buf           upto;           /* names behind this one may be missing; only if `cut` */
    bool                 cut;
    struct slice        *sorted;         /* those to be answered, in `names` */
    size_t               n;
    struct buf           asked;          /* them, as they are asked for */
    uint32_t            *subscribers;    /* of each */
    bool                *here;           /* a node has it */
    uint64_t             epoch;
    struct channel_info *infos;
    size_t               told;           /* of those, what they keep is known of */
};

static void end(struct listing *listing);

/* ---- waiting ---- */

static void came(struct listing *listing)
{
    if (--listing->waiting == 0)
        listing->err ? end(listing) : listing->next(listing);
}

static void fail(struct listing *listing, int err)
{
    if (!listing->err)
        listing->err = err == ERR_OUTCOME_UNKNOWN ? ERR_REDIS_AWAY : err;      /* nothing was changed */
}

static struct listing *of_ask(struct redis_ask *ask) { return link_of(ask, struct listing, ask); }

static struct nodes_missing *missing_of(struct listing *listing)
{
    return listing->call->letter.kind == CALL_CHANNELS ? &((struct channels_call *)(void *)listing->call)->missing
                                                       : &((struct match_call *)(void *)listing->call)->missing;
}

static void ask_done(struct redis_ask *ask)
{
    struct listing *listing = of_ask(ask);
    struct nodes_missing *missing = missing_of(listing);
    if (ask->err)
        fail(listing, ask->err);
    if (ask->n_missing > missing->n) {
        missing->n = ask->n_missing;
        for (missing->n_named = 0; missing->n_named < ask->n_named && missing->n_named < sizeof missing->named / sizeof *missing->named; missing->n_named++)
            missing->named[missing->n_named] = ask->missing[missing->n_named];
    }
    came(listing);
}

/* One is asked while `waiting` is held by who asks, so nothing ends inside. */
static void ask_others(struct listing *listing, char kind, struct slice body, void (*reply)(struct redis_ask *ask, uint64_t node, struct slice body))
{
    listing->ask = (struct redis_ask){ .kind = kind, .others = true, .body = body, .reply = reply, .done = ask_done };
    int err = redis_ask(listing->directory->asks, &listing->ask);
    if (err)
        fail(listing, err);
    else
        listing->waiting++;
}

static void run(struct listing *listing, enum redis_script script, void (*args)(struct redis_request *request, struct redis_args *args),
                void (*answered)(struct redis_request *request, int err, const struct redisReply *reply))
{
    listing->request = (struct redis_request){ .script = script, .args = args, .answered = answered };
    int err = redis_engine_run(redis_bus_engine(listing->directory->bus), &listing->request);
    if (err)
        fail(listing, err);
    else
        listing->waiting++;
}

/* ---- names ---- */

/* A source ends here, and others may go on. */
static void cut_at(struct listing *listing, struct slice name)
{
    if (listing->cut && names_compare(buf_slice(&listing->upto), name) <= 0)
        return;
    buf_reset(&listing->upto);
    buf_add_slice(&listing->upto, name);
    listing->cut = true;
}

/* `page`: names, as names_here gives them. */
static void take_page(struct listing *listing, struct slice page, bool more)
{
    struct slice last = SLICE(""), rest = page;
    while (rest.len > 0 && rest.at)
        last = take_short(&rest);
    if (!rest.at)
        return;
    buf_add_slice(&listing->names, page);
    if (more)
        cut_at(listing, last);
}

static void names_replied(struct redis_ask *ask, uint64_t node, struct slice body)
{
    (void)node;
    bool more = take_u8(&body);
    if (body.at)
        take_page(of_ask(ask), body, more);
}

static void names_args(struct redis_request *request, struct redis_args *args)
{
    const struct listing *listing = link_of(request, struct listing, request);
    redis_args_add(args, redis_bus_prefix(listing->directory->bus));
    redis_args_add(args, listing->wish.prefix);
    redis_args_add(args, listing->wish.after);
    redis_args_add(args, listing->wish.pattern);
    bool counts = listing->call->letter.kind == CALL_MATCH;
    redis_args_add_u64(args, counts && listing->wish.limit > LISTING_AT_ONCE ? LISTING_AT_ONCE : listing->wish.limit);
    redis_args_add_u64(args, LISTING_LOOKS);
    redis_args_add_u64(args, counts);
}

static void names_answered(struct redis_request *request, int err, const struct redisReply *reply)
{
    struct listing *listing = link_of(request, struct listing, request);
    if (err || reply->type != REDIS_REPLY_ARRAY || reply->elements < 2) {
        fail(listing, err ? err : ERR_REDIS_AWAY);
    } else {
        for (size_t i = 2; i < reply->elements; i++) {
            struct slice name = redis_reply_word(reply, i);
            buf_add_char(&listing->names, (char)name.len);
            buf_add_slice(&listing->names, name);
        }
        if (redis_reply_number(reply, 0))
            cut_at(listing, redis_reply_word(reply, 1));
    }
    came(listing);
}

static void ask_names(struct listing *listing)
{
    struct buf body = { 0 }, here = { 0 };
    bool more = false;
    pack_short(&body, listing->wish.prefix);
    pack_short(&body, listing->wish.pattern);
    pack_short(&body, listing->wish.after);
    pack_u32(&body, (uint32_t)listing->wish.limit);
    if (body.failed || names_here(listing->directory->hub, &listing->wish, &here, &more))
        fail(listing, ERR_MEMORY);
    else
        take_page(listing, buf_slice(&here), more);
    if (!listing->err)
        ask_others(listing, REDIS_ASK_NAMES, buf_slice(&body), names_replied);
    buf_fini(&body);
    buf_fini(&here);
}

static int by_name(const void *a, const void *b) { return names_compare(*(const struct slice *)a, *(const struct slice *)b); }

/* Sorted, each once, up to where all sources reach, `limit` of them at most. */
static int merge(struct listing *listing)
{
    struct slice rest = buf_slice(&listing->names);
    size_t n = 0, room = 64;
    listing->sorted = malloc(room * sizeof *listing->sorted);
    while (listing->sorted && rest.len > 0) {
        if (n == room) {
            struct slice *larger = realloc(listing->sorted, (room *= 2) * sizeof *larger);
            if (!larger)
                return ERR_MEMORY;
            listing->sorted = larger;
        }
        listing->sorted[n++] = take_short(&rest);
    }
    if (!listing->sorted || listing->names.failed || listing->upto.failed)
        return ERR_MEMORY;
    qsort(listing->sorted, n, sizeof *listing->sorted, by_name);
    for (size_t i = 0; i < n; i++) {
        struct slice name = listing->sorted[i];
        if (listing->cut && names_compare(name, buf_slice(&listing->upto)) > 0)
            break;
        if (listing->n > 0 && slice_is(name, listing->sorted[listing->n - 1]))
            continue;
        if (listing->n == listing->wish.limit) {
            cut_at(listing, listing->sorted[listing->n - 1]);
            break;
        }
        listing->sorted[listing->n++] = name;
    }
    return listing->upto.failed ? ERR_MEMORY : 0;
}

/* ---- what is there of each ---- */

static void counts_replied(struct redis_ask *ask, uint64_t node, struct slice body)
{
    struct listing *listing = of_ask(ask);
    (void)node;
    for (size_t i = 0; i < listing->n; i++) {
        listing->subscribers[i] += take_u32(&body);
        listing->here[i] |= take_u8(&body) != 0;
    }
}

static int count(struct listing *listing)
{
    listing->subscribers = calloc(listing->n + 1, sizeof *listing->subscribers);
    listing->here = calloc(listing->n + 1, sizeof *listing->here);
    if (!listing->subscribers || !listing->here)
        return ERR_MEMORY;
    for (size_t i = 0; i < listing->n; i++) {
        listing->subscribers[i] = subscribers_here(listing->directory->hub, listing->sorted[i]);
        listing->here[i] = channel_is_here(listing->directory->hub, listing->sorted[i]);
        pack_short(&listing->asked, listing->sorted[i]);
    }
    if (listing->asked.failed)
        return ERR_MEMORY;
    if (listing->n > 0)
        ask_others(listing, REDIS_ASK_COUNTS, buf_slice(&listing->asked), counts_replied);
    return 0;
}

/* ---- channels ---- */

static struct channels_call *channels_of(const struct listing *listing) { return (struct channels_call *)(void *)listing->call; }

static size_t at_once(const struct listing *listing)
{
    size_t left = listing->n - listing->told;
    return left < LISTING_AT_ONCE ? left : LISTING_AT_ONCE;
}

static void channels_args(struct redis_request *request, struct redis_args *args)
{
    struct listing *listing = link_of(request, struct listing, request);
    buf_reset(&listing->asked);
    for (size_t i = 0; i < at_once(listing); i++) {
        buf_add_slice(&listing->asked, listing->sorted[listing->told + i]);
        buf_add_char(&listing->asked, '\n');
    }
    redis_args_add(args, redis_bus_prefix(listing->directory->bus));
    redis_args_add(args, buf_slice(&listing->asked));
}

static void ask_what_is_kept(struct listing *listing);

static void channels_answered(struct redis_request *request, int err, const struct redisReply *reply)
{
    struct listing *listing = link_of(request, struct listing, request);
    uint64_t epoch = err ? 0 : redis_reply_number(reply, 0);
    size_t n = at_once(listing);
    if (err || epoch == 0 || reply->elements != 1 + n) {
        fail(listing, err ? err : ERR_REDIS_AWAY);
        came(listing);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        struct channel_info *info = &listing->infos[listing->told + i];
        unsigned long long last = 0, members = 0, kept = 0, bytes = 0;
        sscanf(redis_reply_word(reply, 1 + i).at, "%llu %llu %llu %llu", &last, &members, &kept, &bytes);
        info->last = (struct position){ epoch, last };
        info->members = (uint32_t)members;
        info->kept = (uint32_t)kept;
        info->kept_bytes = bytes;
    }
    listing->told += n;
    ask_what_is_kept(listing);
    came(listing);
}

static void ask_what_is_kept(struct listing *listing)
{
    if (listing->told < listing->n)
        run(listing, REDIS_CHANNELS, channels_args, channels_answered);
}

static void channels_counted(struct listing *listing)
{
    struct channels_call *call = channels_of(listing);
    size_t n = 0;
    for (size_t i = 0; i < listing->n; i++) {
        struct channel_info *info = &listing->infos[n];
        *info = listing->infos[i];
        if (!listing->here[i] && info->kept == 0)
            continue;
        info->name_len = (uint8_t)listing->sorted[i].len;
        memcpy(info->name, listing->sorted[i].at, info->name_len);
        info->subscribers = listing->subscribers[i];
        n++;
    }
    call->n_infos = n;
    if (call->exact.len && n == 0) {
        fail(listing, ERR_NOT_FOUND);
    } else {
        call->infos = listing->infos;
        listing->infos = NULL;
        call->more = listing->cut;
        call->upto_len = (uint8_t)listing->upto.len;
        memcpy(call->upto, buf_slice(&listing->upto).at, listing->upto.len);
    }
    end(listing);
}

static void ask_what_is_there(struct listing *listing)
{
    listing->infos = calloc(listing->n + 1, sizeof *listing->infos);
    listing->waiting++;
    listing->next = channels_counted;
    int err = listing->infos ? count(listing) : ERR_MEMORY;
    if (err)
        fail(listing, err);
    else
        ask_what_is_kept(listing);
    came(listing);
}

static void channels_named(struct listing *listing)
{
    int err = merge(listing);
    if (err)
        fail(listing, err);
    err ? end(listing) : ask_what_is_there(listing);
}

static void begin_channels(struct listing *listing)
{
    struct channels_call *call = channels_of(listing);
    call->infos = NULL;
    call->n_infos = 0;
    call->more = false;
    call->missing = (struct nodes_missing){ .n = 0 };
    listing->next = channels_named;
    if (call->exact.len > 0) {
        pack_short(&listing->names, call->exact);
        listing->wish.limit = 1;
        return;
    }
    listing->wish = (struct names_wish){ .prefix = call->prefix, .after = call->after, .limit = call->limit };
    ask_names(listing);
    if (!listing->err)
        run(listing, REDIS_NAMES, names_args, names_answered);
}

/* ---- what matches ---- */

static struct match_call *match_of(const struct listing *listing) { return (struct match_call *)(void *)listing->call; }

/* Those with kept messages: not again those that some node has. */
static void match_counted(struct listing *listing)
{
    struct match_call *call = match_of(listing);
    for (size_t i = 0; i < listing->n; i++)
        if (call->cursor == MATCH_ON_NODES || !listing->here[i])
            pack_short(&call->names, listing->sorted[i]);
    if (listing->cut) {
        call->after_len = (uint8_t)listing->upto.len;
        memcpy(call->after, buf_slice(&listing->upto).at, listing->upto.len);
    } else {
        call->after_len = 0;
        call->cursor = call->cursor == MATCH_ON_NODES ? MATCH_IN_REDIS : 0;
    }
    if (call->names.failed)
        fail(listing, ERR_MEMORY);
    end(listing);
}

static void match_named(struct listing *listing)
{
    int err = merge(listing);
    listing->next = match_counted;
    if (!err && match_of(listing)->cursor == MATCH_IN_REDIS && listing->n > 0) {
        listing->waiting++;
        err = count(listing);
        if (err)
            fail(listing, err);
        came(listing);
        return;
    }
    if (err)
        fail(listing, err);
    err ? end(listing) : match_counted(listing);
}

static void begin_match(struct listing *listing)
{
    struct match_call *call = match_of(listing);
    const char *star = memchr(call->pattern.at, '*', call->pattern.len);
    if (call->cursor == 0)
        call->cursor = MATCH_ON_NODES;
    call->names = (struct buf){ 0 };
    call->missing = (struct nodes_missing){ .n = 0 };
    listing->wish = (struct names_wish){ .prefix = slice(call->pattern.at, star ? (size_t)(star - call->pattern.at) : call->pattern.len),
                                         .pattern = call->pattern, .after = slice(call->after, call->after_len), .limit = call->limit };
    listing->next = match_named;
    if (call->cursor == MATCH_ON_NODES)
        ask_names(listing);
    else
        run(listing, REDIS_NAMES, names_args, names_answered);
}

/* ---- its life ---- */

static void end(struct listing *listing)
{
    struct redis_directory *directory = listing->directory;
    if (listing->err && listing->call->letter.kind == CALL_MATCH)
        buf_fini(&match_of(listing)->names);
    directory_answer(directory->hub, listing->call, listing->err);
    directory->turn(directory->turn_arg);
    directory->listings--;
    buf_fini(&listing->names);
    buf_fini(&listing->upto);
    buf_fini(&listing->asked);
    free(listing->sorted);
    free(listing->subscribers);
    free(listing->here);
    free(listing->infos);
    free(listing);
}

void redis_listing_begin(struct redis_directory *directory, struct call *call)
{
    struct listing *listing = directory->listings < LISTINGS_AT_ONCE ? calloc(1, sizeof *listing) : NULL;
    if (!listing) {
        directory_answer(directory->hub, call, directory->listings < LISTINGS_AT_ONCE ? ERR_MEMORY : ERR_BUSY);
        return;
    }
    *listing = (struct listing){ .directory = directory, .call = call, .waiting = 1 };
    directory->listings++;
    call->letter.kind == CALL_CHANNELS ? begin_channels(listing) : begin_match(listing);
    came(listing);
}
