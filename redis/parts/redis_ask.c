/* redis_ask.c — words of two forms, both of kind 'A':
 *
 *   question   Q · node that asks 8 · number 8 · how 1 · kind 1 · body, or the name of its parcel
 *   reply      R · node that answers 8 · number 8 · how 1 · body, likewise
 *
 * how: 'b' the body follows, 'p' it is a parcel, 'u' (replies) such questions are not known here. Numbers are little-endian, and those
 * of a node that asks are never given twice. Whoever may publish in Redis may send anything: all is checked. */
#include "redis/parts/redis_ask.h"

#include "hub/base/clock.h"
#include "hub/base/err.h"
#include "redis/bus/redis_engine.h"
#include "redis/bus/redis_pack.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>

enum { WORD_KIND = 'A', HOW_BODY = 'b', HOW_PARCEL = 'p', HOW_UNKNOWN = 'u', PARCEL_NAME = 40, WORD_HEAD = 1 + 8 + 8 + 1 };

struct redis_asks {
    struct redis_part part;             /* first */
    struct redis_bus *bus;
    struct link       under_way;        /* redis_asks, oldest first */
    unsigned          n_under_way;
    struct link       answerers;
    struct link       parcels;          /* to be fetched; the first one is being, if `fetching` */
    bool              fetching;
    bool              live;
    uint64_t          number;           /* last one given: to asks, and to parcels */
    size_t          (*list)(void *arg, uint64_t *ret_nodes, size_t most);
    void             *list_arg;
};

static int64_t now_ms(void) { return clock_mono_ms(clock_real()); }

/* ---- words out ---- */

/* A word on its way. Its own memory: the args of a request may be asked for more than once. */
struct tell {
    struct redis_request request;
    struct redis_asks   *asks;
    uint64_t             ask;                     /* whose question it is; 0: a reply */
    char                 subject[REDIS_SUBJECT], parcel[PARCEL_NAME];
    char                 head[2 + WORD_HEAD];     /* with the kinds of part and question */
    size_t               head_len, len;
    char                 body[];
};

static void tell_args(struct redis_request *request, struct redis_args *args)
{
    const struct tell *tell = (const struct tell *)request;
    redis_args_add(args, redis_bus_prefix(tell->asks->bus));
    redis_args_add(args, slice_of(tell->subject));
    redis_args_add(args, slice(tell->head, tell->head_len));
    redis_args_add(args, slice(tell->body, tell->len));
    redis_args_add(args, slice_of(tell->parcel));
    redis_args_add_u64(args, REDIS_PARCEL_MS);
}

static void asked(struct redis_asks *asks, uint64_t number, int err, int64_t heard);

static void tell_answered(struct redis_request *request, int err, const struct redisReply *reply)
{
    struct tell *tell = (struct tell *)request;
    if (tell->ask)
        asked(tell->asks, tell->ask, err, !err && reply->type == REDIS_REPLY_INTEGER ? reply->integer : 0);
    free(tell);
}

static void put_u64(struct tell *tell, uint64_t n)
{
    n = htole64(n);
    memcpy(tell->head + tell->head_len, &n, sizeof n);
    tell->head_len += sizeof n;
}

/* `form` Q or R; `kind` of the question, 0 in a reply; `to` 0: all. */
static int send_word(struct redis_asks *asks, uint64_t to, char form, struct redis_asker of, char how, char kind, struct slice body)
{
    struct tell *tell = calloc(1, sizeof *tell + body.len);
    if (!tell)
        return ERR_MEMORY;
    tell->request = (struct redis_request){ .script = REDIS_TELL, .args = tell_args, .answered = tell_answered };
    tell->asks = asks;
    tell->ask = form == 'Q' ? of.number : 0;
    if (to)
        redis_bus_words_of(asks->bus, to, tell->subject);
    else
        snprintf(tell->subject, sizeof tell->subject, "%.*s", (int)redis_bus_words(asks->bus).len, redis_bus_words(asks->bus).at);
    if (body.len > REDIS_ASK_INLINE) {
        how = HOW_PARCEL;
        snprintf(tell->parcel, sizeof tell->parcel, "%016llx:%llx", (unsigned long long)redis_bus_node(asks->bus), (unsigned long long)++asks->number);
    }
    tell->head[tell->head_len++] = WORD_KIND;
    tell->head[tell->head_len++] = form;
    put_u64(tell, of.node);
    put_u64(tell, of.number);
    tell->head[tell->head_len++] = how;
    if (kind)
        tell->head[tell->head_len++] = kind;
    if (body.len > 0)
        memcpy(tell->body, body.at, body.len);
    tell->len = body.len;
    int err = redis_engine_run(redis_bus_engine(asks->bus), &tell->request);
    if (err)
        free(tell);
    return err;
}

/* ---- asking ---- */

static void on_timer(evutil_socket_t fd, short what, void *arg);

static struct redis_ask *find(const struct redis_asks *asks, uint64_t number)
{
    list_each(item, next, &((struct redis_asks *)(uintptr_t)asks)->under_way) {
        struct redis_ask *ask = link_of(item, struct redis_ask, link);
        if (ask->number == number)
            return ask;
    }
    return NULL;
}

static void arm(struct redis_ask *ask, int64_t in_ms)
{
    struct timeval in = { in_ms / 1000, in_ms % 1000 * 1000 };
    event_add(ask->timer, &in);
}

static void give_back(struct redis_ask *ask)
{
    if (ask->timer)
        event_free(ask->timer);
    free(ask->awaited);
    free(ask->replied);
    ask->timer = NULL;
    ask->awaited = NULL;
    ask->replied = NULL;
}

static int take_memory(struct redis_ask *ask)
{
    ask->timer = evtimer_new(redis_bus_base(ask->asks->bus), on_timer, ask);
    ask->awaited = calloc(REDIS_ASK_NODES, sizeof *ask->awaited);
    ask->replied = calloc(REDIS_ASK_NODES, sizeof *ask->replied);
    return ask->timer && ask->awaited && ask->replied ? 0 : ERR_MEMORY;
}

static void await(struct redis_ask *ask)
{
    struct redis_asks *asks = ask->asks;
    uint64_t self = redis_bus_node(asks->bus);
    size_t n = asks->list && !ask->to ? asks->list(asks->list_arg, ask->awaited, REDIS_ASK_NODES) : 0;
    ask->n_awaited = 0;
    for (size_t i = 0; i < n; i++)
        if (!ask->others || ask->awaited[i] != self)
            ask->awaited[ask->n_awaited++] = ask->awaited[i];
    if (ask->to)
        ask->awaited[ask->n_awaited++] = ask->to;
    ask->n_known = ask->n_awaited;
}

int redis_ask(struct redis_asks *asks, struct redis_ask *ask)
{
    if (!asks->live)
        return ERR_REDIS_AWAY;
    if (asks->n_under_way >= REDIS_ASKS_AT_ONCE)
        return ERR_BUSY;
    if (ask->body.len > REDIS_ASK_BYTES)
        return ERR_BODY_TOO_LARGE;
    ask->asks = asks;
    ask->number = ++asks->number;
    ask->heard = -1;
    ask->err = 0;
    ask->n_replies = ask->n_unable = ask->n_missing = 0;
    ask->missing = NULL;
    ask->n_named = 0;
    ask->asked_ms = now_ms();
    int err = take_memory(ask);
    if (!err) {
        await(ask);
        err = send_word(asks, ask->to, 'Q', (struct redis_asker){ redis_bus_node(asks->bus), ask->number }, HOW_BODY, ask->kind, ask->body);
    }
    if (err) {
        give_back(ask);
        return err;
    }
    link_init(&ask->link);
    list_add_last(&asks->under_way, &ask->link);
    asks->n_under_way++;
    arm(ask, REDIS_ASK_MS);
    return 0;
}

static void leave(struct redis_ask *ask)
{
    link_remove(&ask->link);
    ask->asks->n_under_way--;
}

void redis_ask_cancel(struct redis_ask *ask)
{
    leave(ask);
    give_back(ask);
}

/* Those with a lease that did not reply are moved to the front. */
static void end(struct redis_ask *ask, int err)
{
    leave(ask);
    ask->err = err;
    for (size_t i = 0; i < ask->n_awaited; i++)
        if (!ask->replied[i])
            ask->awaited[ask->n_named++] = ask->awaited[i];
    int64_t silent = ask->heard - (int64_t)ask->n_replies;
    ask->n_missing = silent > (int64_t)ask->n_named ? (unsigned)silent : (unsigned)ask->n_named;
    uint64_t *missing = ask->awaited;
    ask->missing = missing;
    ask->awaited = NULL;
    give_back(ask);
    ask->done(ask);      /* the ask may be gone now */
    free(missing);
}

static bool all_with_leases(const struct redis_ask *ask)
{
    for (size_t i = 0; i < ask->n_awaited; i++)
        if (!ask->replied[i])
            return false;
    return ask->n_awaited > 0;
}

/* `heard` is known soon: then the last of all replies is. Until then those with a lease may be all there are. */
static void look(struct redis_ask *ask)
{
    int64_t since = now_ms() - ask->asked_ms;
    bool all = ask->heard >= 0 && ask->n_replies + ask->n_unable >= ask->heard, leases = all_with_leases(ask);
    if (all || since >= REDIS_ASK_MS || (leases && since >= REDIS_ASK_STRANGERS_MS))
        end(ask, 0);
    else
        arm(ask, (leases ? REDIS_ASK_STRANGERS_MS : REDIS_ASK_MS) - since);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct redis_ask *ask = arg;
    (void)fd, (void)what;
    look(ask);
}

static void asked(struct redis_asks *asks, uint64_t number, int err, int64_t heard)
{
    struct redis_ask *ask = find(asks, number);
    if (!ask)
        return;
    if (err) {
        end(ask, err);
        return;
    }
    ask->heard = heard - (ask->others && heard > 0);
    look(ask);
}

/* Its place among those that were awaited; one more, when there is room. REDIS_ASK_NODES: it is not to be told apart. */
static size_t place_of(struct redis_ask *ask, uint64_t node)
{
    size_t i = 0;
    while (i < ask->n_known && ask->awaited[i] != node)
        i++;
    if (i == ask->n_known && i < REDIS_ASK_NODES)
        ask->awaited[ask->n_known++] = node;
    return i;
}

static void replied(struct redis_asks *asks, uint64_t number, uint64_t node, struct slice body)
{
    struct redis_ask *ask = find(asks, number);
    size_t place = ask ? place_of(ask, node) : REDIS_ASK_NODES;
    if (place == REDIS_ASK_NODES || ask->replied[place])
        return;
    ask->replied[place] = true;
    ask->n_replies++;
    ask->reply(ask, node, body);
    if ((ask = find(asks, number)))      /* not cancelled inside */
        look(ask);
}

/* Such questions are not known there: nobody waits for it, but it is missing. */
static void not_known(struct redis_asks *asks, uint64_t number)
{
    struct redis_ask *ask = find(asks, number);
    if (!ask)
        return;
    ask->n_unable++;
    look(ask);
}

/* ---- answering ---- */

void redis_answer(struct redis_asks *asks, struct redis_asker asker, struct slice body)
{
    if (asks->live && body.len <= REDIS_ASK_BYTES)
        send_word(asks, asker.node, 'R', (struct redis_asker){ redis_bus_node(asks->bus), asker.number }, HOW_BODY, 0, body);
}

static void answer(struct redis_asks *asks, struct redis_asker asker, char kind, struct slice body)
{
    list_each(item, next, &asks->answerers) {
        struct redis_answerer *answerer = link_of(item, struct redis_answerer, link);
        if (answerer->kind == kind) {
            answerer->answer(answerer, asker, body);
            return;
        }
    }
    send_word(asks, asker.node, 'R', (struct redis_asker){ redis_bus_node(asks->bus), asker.number }, HOW_UNKNOWN, 0, SLICE(""));
}

/* ---- parcels: one at a time, so that no more than one is between Redis and here ---- */

struct parcel {
    struct redis_request request;
    struct link          link;
    struct redis_asks   *asks;
    char                 form, kind;
    struct redis_asker   of;
    size_t               len;
    char                 name[];
};

static void take_in(struct redis_asks *asks, char form, struct redis_asker of, char kind, struct slice body)
{
    if (form == 'Q')
        answer(asks, of, kind, body);
    else
        replied(asks, of.number, of.node, body);
}

static void parcel_args(struct redis_request *request, struct redis_args *args)
{
    const struct parcel *parcel = (const struct parcel *)request;
    redis_args_add(args, redis_bus_prefix(parcel->asks->bus));
    redis_args_add(args, slice(parcel->name, parcel->len));
    redis_args_add(args, parcel->form == 'R' ? SLICE("1") : SLICE(""));
}

static void fetch_next(struct redis_asks *asks);

static void parcel_answered(struct redis_request *request, int err, const struct redisReply *reply)
{
    struct parcel *parcel = (struct parcel *)request;
    struct redis_asks *asks = parcel->asks;
    link_remove(&parcel->link);
    asks->fetching = false;
    if (!err && reply->type == REDIS_REPLY_STRING)
        take_in(asks, parcel->form, parcel->of, parcel->kind, redis_reply_text(reply));
    free(parcel);
    fetch_next(asks);
}

static void fetch_next(struct redis_asks *asks)
{
    for (struct link *first; !asks->fetching && (first = list_first(&asks->parcels)); ) {
        struct parcel *parcel = link_of(first, struct parcel, link);
        asks->fetching = asks->live && !redis_engine_run(redis_bus_engine(asks->bus), &parcel->request);
        if (!asks->fetching) {
            link_remove(first);
            free(parcel);
        }
    }
}

static void fetch_parcel(struct redis_asks *asks, char form, struct redis_asker of, char kind, struct slice name)
{
    struct parcel *parcel = name.len < PARCEL_NAME ? calloc(1, sizeof *parcel + name.len) : NULL;
    if (!parcel)
        return;
    parcel->request = (struct redis_request){ .script = REDIS_PARCEL, .args = parcel_args, .answered = parcel_answered };
    parcel->asks = asks;
    parcel->form = form;
    parcel->of = of;
    parcel->kind = kind;
    parcel->len = name.len;
    memcpy(parcel->name, name.at, name.len);
    link_init(&parcel->link);
    list_add_last(&asks->parcels, &parcel->link);
    fetch_next(asks);
}

/* ---- words in ---- */

/* A question to all others comes to who asked, too. */
static bool is_for_others(const struct redis_asks *asks, struct redis_asker asker)
{
    const struct redis_ask *own = asker.node == redis_bus_node(asks->bus) ? find(asks, asker.number) : NULL;
    return own && own->others;
}

static void on_word(struct redis_part *part, struct slice word)
{
    struct redis_asks *asks = (struct redis_asks *)part;
    if (word.len < WORD_HEAD || (*word.at == 'Q' && word.len == WORD_HEAD))
        return;
    char form = (char)take_u8(&word);
    struct redis_asker of;
    of.node = take_u64(&word);
    of.number = take_u64(&word);
    char how = (char)take_u8(&word), kind = form == 'Q' ? (char)take_u8(&word) : 0;
    if ((form != 'Q' && form != 'R') || (form == 'Q' && is_for_others(asks, of)))
        return;
    if (how == HOW_BODY)
        take_in(asks, form, of, kind, word);
    else if (how == HOW_PARCEL)
        fetch_parcel(asks, form, of, kind, word);
    else if (how == HOW_UNKNOWN && form == 'R')
        not_known(asks, of.number);
}

/* ---- its life ---- */

static void end_all(struct redis_asks *asks, int err)
{
    struct link all;
    link_init(&all);
    list_move_all(&all, &asks->under_way);
    for (struct link *first; (first = list_first(&all)); )
        end(link_of(first, struct redis_ask, link), err);
}

static void on_live(struct redis_part *part, bool is_new)
{
    (void)is_new;
    ((struct redis_asks *)part)->live = true;
}

/* Words may be lost from now on. */
static void on_away(struct redis_part *part)
{
    struct redis_asks *asks = (struct redis_asks *)part;
    asks->live = false;
    end_all(asks, ERR_OUTCOME_UNKNOWN);
}

struct redis_asks *redis_asks_new(struct redis_bus *bus)
{
    struct redis_asks *asks = calloc(1, sizeof *asks);
    if (!asks)
        return NULL;
    asks->part = (struct redis_part){ .kind = WORD_KIND, .live = on_live, .away = on_away, .word = on_word };
    asks->bus = bus;
    link_init(&asks->under_way);
    link_init(&asks->answerers);
    link_init(&asks->parcels);
    redis_bus_add(bus, &asks->part);
    return asks;
}

void redis_asks_free(struct redis_asks *asks)
{
    if (!asks)
        return;
    asks->live = false;
    end_all(asks, ERR_OUTCOME_UNKNOWN);
    fetch_next(asks);      /* which gives back those that wait */
    free(asks);
}

void redis_asks_add(struct redis_asks *asks, struct redis_answerer *answerer)
{
    link_init(&answerer->link);
    list_add_last(&asks->answerers, &answerer->link);
}

void redis_asks_know(struct redis_asks *asks, size_t (*list)(void *arg, uint64_t *ret_nodes, size_t most), void *arg)
{
    asks->list = list;
    asks->list_arg = arg;
}
