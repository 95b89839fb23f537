/* redis_member_list.c — pages of the members of a channel: asked for by the link of commands, brought by the listener, in order with the words
 * of who comes and goes (lua/members.lua). */
#include "redis/parts/redis_members_core.h"

#include "hub/access/access.h"
#include "hub/base/err.h"

#include <stdlib.h>

enum { LISTS = 4096 };

static void list_args(struct redis_request *request, struct redis_args *args)
{
    struct member_list *list = link_of(request, struct member_list, request);
    struct redis_bus *bus = list->members->setup.bus;
    char subject[REDIS_SUBJECT];
    uint64_t token = htole64(list->token);
    redis_bus_words_of(bus, redis_bus_node(bus), subject);
    redis_args_add(args, redis_bus_prefix(bus));
    redis_args_addf(args, "%s", subject);
    redis_args_add_bytes(args, slice((const char *)&token, sizeof token));
    redis_args_add(args, list->ended ? SLICE("") : list->channel);      /* its asker's are gone then */
    redis_args_add(args, list->ended ? SLICE("") : list->after);
    redis_args_add_u64(args, list->limit);
    redis_args_add_u64(args, REDIS_PAGE_BYTES);
}

static void end(struct member_list *list, int err, const struct listed *listed)
{
    list->ended = true;
    link_remove(&list->link);
    list->members->n_lists--;
    list->done(list, err, listed);
    if (list->replied)
        free(list);
}

static void on_reply(struct redis_request *request, int err, const struct redisReply *reply)
{
    struct member_list *list = link_of(request, struct member_list, request);
    (void)reply;
    list->replied = true;
    if (list->ended)
        free(list);
    else if (err)
        end(list, err, NULL);
}

int redis_member_list_ask(const struct member_list *wanted)
{
    struct redis_members *members = wanted->members;
    if (redis_bus_state(members->setup.bus) != REDIS_BUS_LIVE)
        return ERR_REDIS_AWAY;
    if (members->n_lists >= LISTS)
        return ERR_BUSY;
    struct member_list *list = malloc(sizeof *list);
    if (!list)
        return ERR_MEMORY;
    *list = *wanted;
    list->request = (struct redis_request){ .script = REDIS_MEMBERS, .args = list_args, .answered = on_reply };
    list->token = ++members->token;
    int err = redis_engine_run(redis_bus_engine(members->setup.bus), &list->request);
    if (err) {
        free(list);
        return err;
    }
    link_init(&list->link);
    list_add_last(&members->lists, &list->link);
    members->n_lists++;
    return 0;
}

void redis_member_list_came(struct redis_members *members, struct slice page)
{
    uint64_t token = take_u64(&page);
    struct listed listed;
    listed.count = take_u32(&page);
    listed.more = take_u8(&page);
    listed.n = take_u32(&page);
    listed.records = page;
    if (!page.at)
        return;
    list_each(item, next, &members->lists) {
        struct member_list *list = link_of(item, struct member_list, link);
        if (list->token == token) {
            end(list, 0, &listed);
            return;
        }
    }
}

static void end_waiting(struct redis_members *members, int err);

void redis_member_lists_end(struct redis_members *members, int err)
{
    end_waiting(members, err);
    for (struct link *first; (first = list_first(&members->lists)); )
        end(link_of(first, struct member_list, link), err, NULL);
}

bool redis_listed_take(struct slice *rest, struct listed_member *ret)
{
    struct listed_member one = { .user = take_short(rest) };
    one.since_ms = (int64_t)take_u64(rest);
    one.connections = take_u32(rest);
    one.info = take_long(rest);
    *ret = one;
    return rest->at;
}

/* ---- the hub's question ---- */

static int fill_in(struct members_call *call, const struct listed *listed)
{
    struct slice rest = listed->records;
    struct listed_member one;
    call->infos = calloc(listed->n ? listed->n : 1, sizeof *call->infos);
    while (call->infos && call->n_infos < listed->n && redis_listed_take(&rest, &one)) {
        struct principal *who = principal_elsewhere(one.user, one.info);
        if (!who)
            break;
        call->infos[call->n_infos++] = (struct member_info){ who, one.connections, one.since_ms };
    }
    call->count = listed->count;
    call->more = listed->more;
    if (call->infos && call->n_infos == listed->n)
        return 0;
    members_answer_fini(call);
    return ERR_MEMORY;
}

static void answer(struct redis_members *members, struct members_call *call, int err)
{
    engine_answer(members->setup.hub, &call->call, err);
    members->setup.wake(members->setup.owner);
}

static void on_listed(struct member_list *list, int err, const struct listed *listed)
{
    struct members_call *call = list->arg;
    answer(list->members, call, err ? err : fill_in(call, listed));
}

/* Who is a member here is in the list, so that has been said before. */
static void ask_now(struct redis_members *members, struct members_call *call)
{
    redis_members_say_all(members);
    struct member_list list = { .members = members, .channel = call->channel, .after = call->after, .limit = call->limit,
                               .done = on_listed, .arg = call };
    int err = redis_member_list_ask(&list);
    if (err)
        answer(members, call, err);
}

static struct call *take_waiting(struct redis_members *members)
{
    struct call *first = members->waiting;
    if (first)
        members->waiting = (struct call *)first->letter.next;
    return first;
}

static void end_waiting(struct redis_members *members, int err)
{
    for (struct call *call; (call = take_waiting(members)); )
        answer(members, (struct members_call *)call, err);
}

void redis_member_lists_go_on(struct redis_members *members)
{
    bool can = redis_members_can(members);
    for (struct call *call; (call = take_waiting(members)); )
        if (can)
            ask_now(members, (struct members_call *)call);
        else
            answer(members, (struct members_call *)call, ERR_REDIS_AWAY);
}

void redis_members_list(struct redis_members *members, struct members_call *call)
{
    call->infos = NULL;
    call->n_infos = 0;
    if (redis_members_can(members)) {
        ask_now(members, call);
    } else if (redis_bus_state(members->setup.bus) == REDIS_BUS_LIVE) {
        call->call.letter.next = (struct letter *)members->waiting;
        members->waiting = &call->call;
    } else {
        answer(members, call, ERR_REDIS_AWAY);
    }
}
