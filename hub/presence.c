/* A table that finds no memory leaves the new one out (hh.tbl is NULL) instead of ending the process. */
#define HASH_NONFATAL_OOM 1
#include "hub/presence.h"

#include "hub/access/access.h"
#include "hub/base/err.h"
#include "hub/config/config.h"
#include "hub/metrics.h"

#include <stdlib.h>

enum { PAGE_BYTES = 1024 * 1024, MEMBER_BYTES = 160, NO_PLACE = -1 };

struct asker { uint32_t n; uint8_t peer; };

struct hall {
    UT_hash_handle hh;
    struct link    members;
    struct asker  *askers;        /* edges with attendances that ask */
    uint32_t       n_askers;
    uint32_t       n_members;     /* those in their grace included */
    uint64_t       hash;
    uint8_t        name_len;
    char           name[];
};

/* What members are found by: the bytes of the hall's address, the user. */
struct key {
    size_t len;
    char   bytes[sizeof(void *) + 256];
};

struct member {
    UT_hash_handle    hh;
    struct hall      *hall;
    struct link       hall_link;
    struct principal *principal;      /* of the newest attendance; one reference */
    struct link       attendances;    /* oldest first */
    int64_t           since_ms;       /* wall */
    int64_t           leaves_ms;      /* mono; when `place` is one */
    ptrdiff_t         place;          /* in presence->leaving, or NO_PLACE */
    uint32_t          connections;
    uint32_t          under_way;      /* sayings that were given out */
    bool              known;          /* the engine may know of it */
    struct link       unsaid;         /* in presence->unsaid */
    char              key[];
};

/* ---- attendances ---- */

struct attendance *attendance_new(struct slice channel, uint64_t hash, struct principal *principal, uint8_t peer)
{
    struct attendance *a = calloc(1, sizeof *a + channel.len);
    if (!a)
        return NULL;
    a->join.kind = LETTER_JOIN;
    a->leave.kind = LETTER_LEAVE;
    a->principal = principal_ref(principal);
    a->peer = peer;
    a->hash = hash;
    link_init(&a->link);
    link_init(&a->ask_link);
    a->name_len = (uint8_t)channel.len;
    memcpy(a->name, channel.at, channel.len);
    return a;
}

void attendance_free(struct attendance *a)
{
    principal_unref(a->principal);
    free(a);
}

/* ---- halls ---- */

static struct slice hall_name(const struct hall *hall) { return slice(hall->name, hall->name_len); }

static struct hall *hall_find(const struct presence *presence, struct slice channel, uint64_t hash)
{
    struct hall *hall;
    HASH_FIND_BYHASHVALUE(hh, presence->halls, channel.at, (unsigned)channel.len, (unsigned)hash, hall);
    return hall;
}

static struct hall *hall_get(struct presence *presence, struct slice channel, uint64_t hash)
{
    struct hall *hall = hall_find(presence, channel, hash);
    if (hall || !(hall = calloc(1, sizeof *hall + channel.len)))
        return hall;
    link_init(&hall->members);
    hall->hash = hash;
    hall->name_len = (uint8_t)channel.len;
    memcpy(hall->name, channel.at, channel.len);
    HASH_ADD_KEYPTR_BYHASHVALUE(hh, presence->halls, hall->name, hall->name_len, (unsigned)hash, hall);
    if (hall->hh.tbl)
        return hall;
    free(hall);
    return NULL;
}

static void hall_settle(struct presence *presence, struct hall *hall)
{
    if (hall->n_members > 0 || hall->n_askers > 0)
        return;
    HASH_DELETE(hh, presence->halls, hall);
    free(hall->askers);
    free(hall);
}

static struct asker *asker_of(struct hall *hall, uint8_t peer)
{
    for (uint32_t i = 0; i < hall->n_askers; i++)
        if (hall->askers[i].peer == peer)
            return &hall->askers[i];
    return NULL;
}

static int ask(struct presence *presence, struct hall *hall, uint8_t peer)
{
    struct asker *asker = asker_of(hall, peer), *more;
    if (!asker) {
        if (!(more = realloc(hall->askers, (hall->n_askers + 1) * sizeof *more)))
            return ERR_MEMORY;
        hall->askers = more;
        asker = &more[hall->n_askers++];
        *asker = (struct asker){ .peer = peer };
        if (hall->n_askers == 1)
            presence->port->asked(presence->self, hall_name(hall), hall->hash, true);
    }
    asker->n++;
    return 0;
}

static void ask_no_more(struct presence *presence, struct hall *hall, uint8_t peer)
{
    struct asker *asker = asker_of(hall, peer);
    if (--asker->n > 0)
        return;
    *asker = hall->askers[--hall->n_askers];
    if (hall->n_askers == 0)
        presence->port->asked(presence->self, hall_name(hall), hall->hash, false);
}

/* ---- members ---- */

static void key_init(struct key *key, const struct hall *hall, struct slice user)
{
    memcpy(key->bytes, &hall, sizeof hall);
    memcpy(key->bytes + sizeof hall, user.at, user.len);
    key->len = sizeof hall + user.len;
}

static void tell_askers(struct presence *presence, const struct hall *hall, const struct presence_change *change)
{
    for (uint32_t i = 0; i < hall->n_askers; i++)
        presence->port->tell(presence->self, hall->askers[i].peer, change);
}

static void tell(struct presence *presence, const struct member *member, bool joined)
{
    const struct hall *hall = member->hall;
    const struct presence_change change = { hall_name(hall), hall->hash, member->principal, joined };
    presence->port->changed(presence->self, &change);
    tell_askers(presence, hall, &change);
}

static void unsay(struct presence *presence, struct member *member)
{
    bool was_nothing = link_alone(&presence->unsaid);
    if (link_alone(&member->unsaid))
        list_add_last(&presence->unsaid, &member->unsaid);
    if (was_nothing)
        presence->port->unsaid(presence->self);
}

static bool sooner(const void *a, const void *b)
{
    return ((const struct member *)a)->leaves_ms < ((const struct member *)b)->leaves_ms;
}

static void placed(void *item, size_t at) { ((struct member *)item)->place = (ptrdiff_t)at; }

static struct member *member_new(struct presence *presence, struct hall *hall, const struct key *key, struct principal *principal)
{
    /* Room for it among those who leave: leaving then needs no memory. */
    struct member *member = heap_room(&presence->leaving, presence->n_members + 1) ? malloc(sizeof *member + key->len) : NULL;
    if (!member)
        return NULL;
    *member = (struct member){ .hall = hall, .principal = principal_ref(principal), .place = NO_PLACE };
    memcpy(member->key, key->bytes, key->len);
    HASH_ADD_KEYPTR(hh, presence->members, member->key, (unsigned)key->len, member);
    if (!member->hh.tbl) {
        principal_unref(principal);
        free(member);
        return NULL;
    }
    link_init(&member->attendances);
    link_init(&member->hall_link);
    link_init(&member->unsaid);
    list_add_last(&hall->members, &member->hall_link);
    hall->n_members++;
    presence->n_members++;
    metric_add(METRIC_members, 1);
    return member;
}

static void member_free(struct presence *presence, struct member *member)
{
    struct hall *hall = member->hall;
    HASH_DELETE(hh, presence->members, member);
    link_remove(&member->hall_link);
    link_remove(&member->unsaid);
    principal_unref(member->principal);
    free(member);
    hall->n_members--;
    presence->n_members--;
    metric_add(METRIC_members, -1);
    hall_settle(presence, hall);
}

static void take_newest(struct member *member, struct principal *principal)
{
    principal_unref(member->principal);
    member->principal = principal_ref(principal);
}

static int enter(struct presence *presence, struct attendance *a, int64_t wall_ms)
{
    struct key key;
    struct member *member;
    key_init(&key, a->hall, principal_user(a->principal));
    HASH_FIND(hh, presence->members, key.bytes, (unsigned)key.len, member);
    bool joined = !member;
    if (joined) {
        if (!(member = member_new(presence, a->hall, &key, a->principal)))
            return ERR_MEMORY;
        member->since_ms = wall_ms;
    }
    if (member->place != NO_PLACE) {
        heap_remove(&presence->leaving, (size_t)member->place);
        member->place = NO_PLACE;
    }
    take_newest(member, a->principal);
    a->member = member;
    member->connections++;
    list_add_last(&member->attendances, &a->link);
    if (presence->outside)
        unsay(presence, member);
    else if (joined)
        tell(presence, member, true);
    return 0;
}

static void end(struct presence *presence, struct member *member)
{
    tell(presence, member, false);
    member_free(presence, member);
}

/* The info of a member is that of the newest who is there; of the last one, while its grace runs. */
static void quit(struct presence *presence, struct attendance *a, int64_t now_ms)
{
    struct member *member = a->member;
    link_remove(&a->link);
    if (--member->connections > 0)
        take_newest(member, link_of(member->attendances.prev, struct attendance, link)->principal);
    if (presence->outside)
        unsay(presence, member);
    if (presence->outside || member->connections > 0)
        return;
    int64_t grace_ms = presence->port->grace_ms(presence->self, hall_name(member->hall), member->hall->hash);
    if (grace_ms <= 0) {
        end(presence, member);
        return;
    }
    member->leaves_ms = now_ms + grace_ms;
    heap_push(&presence->leaving, member);
}

/* ---- in ---- */

/* Who finds no memory is not listed, and not told. */
void presence_join(struct presence *presence, struct attendance *a, int64_t now_ms, int64_t wall_ms)
{
    struct hall *hall = hall_get(presence, slice(a->name, a->name_len), a->hash);
    int err = hall ? 0 : ERR_MEMORY;
    a->hall = hall;
    a->came_ms = now_ms;
    if (!err && a->counts)
        err = enter(presence, a, wall_ms);
    if (!err && a->asks && (err = ask(presence, hall, a->peer)))
        a->asks = false;
    if (!err)
        return;
    metric_add(METRIC_presence_failed, 1);
    if (!a->member)
        a->hall = NULL;
    if (!a->hall && hall)
        hall_settle(presence, hall);
}

void presence_leave(struct presence *presence, struct attendance *a, int64_t now_ms)
{
    struct hall *hall = a->hall;
    if (hall && a->asks)
        ask_no_more(presence, hall, a->peer);
    if (a->member)
        quit(presence, a, now_ms);      /* which may free the hall */
    else if (hall)
        hall_settle(presence, hall);
    attendance_free(a);
}

void presence_tick(struct presence *presence, int64_t now_ms)
{
    while (presence->leaving.n > 0 && ((struct member *)presence->leaving.at[0])->leaves_ms <= now_ms)
        end(presence, heap_pop(&presence->leaving));
}

int64_t presence_due_ms(const struct presence *presence)
{
    return presence->leaving.n > 0 ? ((const struct member *)presence->leaving.at[0])->leaves_ms : INT64_MAX;
}

/* ---- out ---- */

uint32_t presence_count(const struct presence *presence, struct slice channel, uint64_t hash)
{
    const struct hall *hall = hall_find(presence, channel, hash);
    return hall ? hall->n_members : 0;
}

static int compare(struct slice a, struct slice b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common ? memcmp(a.at, b.at, common) : 0;
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

/* The greatest is on top of the heap of a page, because that is the one a smaller one replaces. */
static bool greater(const void *a, const void *b)
{
    return compare(principal_user(((const struct member *)a)->principal), principal_user(((const struct member *)b)->principal)) > 0;
}

static void choose(const struct hall *hall, struct members_call *call, struct heap *heap)
{
    list_each(item, following, &hall->members) {
        struct member *member = link_of(item, struct member, hall_link);
        if (call->after.len > 0 && compare(principal_user(member->principal), call->after) <= 0)
            continue;
        if (heap->n < call->limit) {
            heap_push(heap, member);
            continue;
        }
        call->more = true;
        if (greater(heap->at[0], member)) {
            heap->at[0] = member;
            heap_top_changed(heap);
        }
    }
}

/* As many as fit in a page, one at least. */
static void describe(struct members_call *call, void *const *sorted, size_t n)
{
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++) {
        const struct member *member = sorted[i];
        bytes += MEMBER_BYTES + principal_user(member->principal).len + principal_info(member->principal).len;
        if (i > 0 && bytes > PAGE_BYTES) {
            call->more = true;
            return;
        }
        call->infos[call->n_infos++] = (struct member_info){ principal_ref(member->principal), member->connections, member->since_ms };
    }
}

int presence_list(const struct presence *presence, struct members_call *call)
{
    const struct hall *hall = hall_find(presence, call->channel, call->hash);
    call->infos = NULL;
    call->n_infos = 0;
    call->more = false;
    call->count = hall ? hall->n_members : 0;
    size_t room = call->count < call->limit ? call->count : call->limit;
    if (room == 0)
        return 0;
    struct heap heap = { .at = calloc(room, sizeof(void *)), .less = greater };
    void **sorted = calloc(room, sizeof(void *));
    call->infos = calloc(room, sizeof *call->infos);
    bool done = heap.at && sorted && call->infos;
    if (done) {
        choose(hall, call, &heap);
        size_t n = heap.n;
        for (size_t i = n; i-- > 0;)
            sorted[i] = heap_pop(&heap);
        describe(call, sorted, n);
    } else {
        free(call->infos);
        call->infos = NULL;
    }
    free(heap.at);
    free(sorted);
    return done ? 0 : ERR_MEMORY;
}

void members_answer_fini(struct members_call *call)
{
    for (size_t i = 0; i < call->n_infos; i++)
        principal_unref(call->infos[i].principal);
    free(call->infos);
    call->infos = NULL;
    call->n_infos = 0;
}

/* ---- beside an engine outside ---- */

struct member *presence_unsaid(struct presence *presence, struct member_saying *ret_saying)
{
    for (struct link *first; (first = list_first(&presence->unsaid)); ) {
        struct member *member = link_of(first, struct member, unsaid);
        link_remove(first);
        if (member->connections > 0 || member->known) {
            *ret_saying = (struct member_saying){ hall_name(member->hall), member->hall->hash, member->principal, member->connections, 0 };
            if (member->connections > 0)
                ret_saying->came_ms = link_of(member->attendances.prev, struct attendance, link)->came_ms;
            member->known = true;
            member->under_way++;
            return member;
        }
        if (member->under_way == 0)      /* it came and went, and nobody has heard of it */
            member_free(presence, member);
    }
    return NULL;
}

void presence_said(struct presence *presence, struct member *member, bool done)
{
    member->under_way--;
    if (!done)
        unsay(presence, member);
    else if (member->connections == 0 && member->under_way == 0 && link_alone(&member->unsaid))
        member_free(presence, member);
}

void presence_say_again(struct presence *presence)
{
    for (struct member *member = presence->members; member; member = member->hh.next) {
        member->known = false;
        unsay(presence, member);
    }
}

void presence_tell(struct presence *presence, const struct presence_change *change)
{
    const struct hall *hall = hall_find(presence, change->channel, change->hash);
    if (hall)
        tell_askers(presence, hall, change);
}

/* ---- life ---- */

void presence_init(struct presence *presence, const struct presence_port *port, void *self)
{
    *presence = (struct presence){ .port = port, .self = self, .leaving = { .less = sooner, .placed = placed } };
    link_init(&presence->unsaid);
}

/* Attendances that only ask are known to their edges alone, which are gone by now; the process ends. */
void presence_fini(struct presence *presence)
{
    struct hall *hall, *next;
    HASH_ITER(hh, presence->halls, hall, next) {
        hall->n_askers = 1;      /* so that it stays while its members go */
        list_each(item, following, &hall->members) {
            struct member *member = link_of(item, struct member, hall_link);
            list_each(l, after, &member->attendances)
                attendance_free(link_of(l, struct attendance, link));
            member_free(presence, member);
        }
        hall->n_askers = 0;
        hall_settle(presence, hall);
    }
    free(presence->leaving.at);
}
