/* redis_halls.c — channels of which somebody here is told who comes and goes: who this node has told to be there.
 *
 *   followed ─> queued ─page by page─> whole ─── words: joined, left ───> told
 *                 ^                      │
 *                 └─ live again, settled ┘   the difference between what was told and the list is told
 *
 * A page and the words come in order, so a user is there or not as the last of them says. While the first list is not whole, a change is
 * told as it comes. */
#define HASH_NONFATAL_OOM 1
#include "redis/parts/redis_members_core.h"

#include "hub/access/access.h"
#include "hub/base/clock.h"
#include "hub/base/err.h"
#include "hub/metrics.h"
#include "hub/presence.h"

#include <stdlib.h>

enum { AT_ONCE = 8, PAGE = 500 };

struct known {
    UT_hash_handle    hh;
    struct principal *principal;      /* user and newest info */
    uint32_t          round;          /* in which it was seen last */
    char              user[];
};

struct hall {
    UT_hash_handle  hh;
    struct link     queue;            /* in to_load */
    struct known   *users;            /* table by user, as its principal says */
    uint32_t        round;            /* of its lists */
    bool            loading;          /* a page is under way */
    bool            gone;             /* nobody asks any more: freed when that has come */
    bool            whole;            /* `users` are all there were when it was loaded, with what came since */
    bool            leaky;            /* some found no memory */
    uint64_t        hash;
    uint8_t         after_len, name_len;
    char            after[256];
    char            name[];
};

static struct slice hall_name(const struct hall *hall) { return slice(hall->name, hall->name_len); }

/* ---- users ---- */

static void tell(struct redis_members *members, const struct hall *hall, struct principal *who, bool joined)
{
    engine_member(members->setup.hub, &(struct presence_change){ hall_name(hall), hall->hash, who, joined });
    members->setup.wake(members->setup.owner);
}

static struct known *known_find(struct hall *hall, struct slice user)
{
    struct known *known;
    HASH_FIND(hh, hall->users, user.at, (unsigned)user.len, known);
    return known;
}

static void known_free(struct hall *hall, struct known *known)
{
    HASH_DELETE(hh, hall->users, known);
    principal_unref(known->principal);
    free(known);
}

static void known_add(struct hall *hall, struct principal *who)
{
    struct slice user = principal_user(who);
    struct known *known = malloc(sizeof *known + user.len);
    if (known) {
        *known = (struct known){ .principal = principal_ref(who), .round = hall->round };
        memcpy(known->user, user.at, user.len);
        HASH_ADD_KEYPTR(hh, hall->users, known->user, (unsigned)user.len, known);
    }
    if (known && known->hh.tbl)
        return;
    if (known)
        principal_unref(known->principal);
    free(known);
    hall->leaky = true;
}

static void see(struct hall *hall, struct known *known, struct slice info)
{
    known->round = hall->round;
    if (slice_is(principal_info(known->principal), info))
        return;
    struct principal *newer = principal_elsewhere(slice(known->user, known->hh.keylen), info);
    if (!newer)
        return;
    principal_unref(known->principal);
    known->principal = newer;
}

static void appear(struct redis_members *members, struct hall *hall, struct slice user, struct slice info, bool is_news)
{
    struct known *known = known_find(hall, user);
    if (known) {
        see(hall, known, info);
        return;
    }
    struct principal *who = principal_elsewhere(user, info);
    if (!who) {
        hall->leaky = true;
        return;
    }
    known_add(hall, who);
    if (is_news)
        tell(members, hall, who, true);
    principal_unref(who);
}

static void disappear(struct redis_members *members, struct hall *hall, struct slice user, struct slice info)
{
    struct known *known = known_find(hall, user);
    if (!known && hall->whole && !hall->leaky)
        return;
    struct principal *who = principal_elsewhere(user, info);
    if (known)
        known_free(hall, known);
    if (who)
        tell(members, hall, who, false);
    principal_unref(who);
}

void redis_halls_change(struct redis_members *members, struct slice word, bool joined)
{
    struct slice channel = take_short(&word), user = take_short(&word), info = take_long(&word);
    struct hall *hall;
    if (!word.at)
        return;
    HASH_FIND(hh, members->halls, channel.at, (unsigned)channel.len, hall);
    if (!hall)
        return;
    if (joined)
        appear(members, hall, user, info, true);
    else
        disappear(members, hall, user, info);
}

/* ---- lists ---- */

static void pump(struct redis_members *members);

static void hall_free(struct hall *hall)
{
    struct known *known, *next;
    HASH_ITER (hh, hall->users, known, next)
        known_free(hall, known);
    link_remove(&hall->queue);
    free(hall);
}

static void end_round(struct redis_members *members, struct hall *hall)
{
    struct known *known, *next;
    HASH_ITER (hh, hall->users, known, next) {
        if (known->round == hall->round)
            continue;
        tell(members, hall, known->principal, false);      /* before the first list, too: a word may have told that he came */
        known_free(hall, known);
    }
    hall->whole = true;
    hall->after_len = 0;
}

static void settle_soon(struct redis_members *members)
{
    if (members->settled_ms == 0)
        members->settled_ms = clock_mono_ms(clock_real()) + REDIS_SETTLE_MS;
}

/* What was told is compared again when things have settled; who is not known yet is wanted at once. */
static void wait_again(struct redis_members *members, struct hall *hall)
{
    hall->after_len = 0;
    if (hall->whole)
        settle_soon(members);
    else
        list_add_last(&members->to_load, &hall->queue);
}

static void take_page(struct redis_members *members, struct hall *hall, const struct listed *listed)
{
    struct slice rest = listed->records;
    struct listed_member one = { 0 };
    for (uint32_t i = 0; i < listed->n && redis_listed_take(&rest, &one); i++)
        appear(members, hall, one.user, one.info, hall->whole);
    if (!listed->more || !one.user.at) {
        end_round(members, hall);
        return;
    }
    hall->after_len = (uint8_t)one.user.len;
    memcpy(hall->after, one.user.at, one.user.len);
    list_add_last(&members->to_load, &hall->queue);
}

static void on_page(struct member_list *list, int err, const struct listed *listed)
{
    struct redis_members *members = list->members;
    struct hall *hall = list->arg;
    members->loading--;
    hall->loading = false;
    if (hall->gone)
        hall_free(hall);
    else if (err)
        wait_again(members, hall);      /* for tick() */
    else
        take_page(members, hall, listed);
    if (!err)
        pump(members);
}

static void pump(struct redis_members *members)
{
    while (members->loading < AT_ONCE && redis_members_can(members) && !link_alone(&members->to_load)) {
        struct hall *hall = link_of(list_first(&members->to_load), struct hall, queue);
        struct member_list list = { .members = members, .channel = hall_name(hall), .after = slice(hall->after, hall->after_len), .limit = PAGE,
                                   .done = on_page, .arg = hall };
        if (redis_member_list_ask(&list))
            return;
        link_remove(&hall->queue);
        hall->loading = true;
        hall->round += hall->after_len == 0;
        members->loading++;
    }
}

void redis_halls_live(struct redis_members *members)
{
    members->settled_ms = 0;
    for (struct hall *hall = members->halls; hall; hall = hall->hh.next) {
        link_remove(&hall->queue);
        if (!hall->loading)
            wait_again(members, hall);
    }
    pump(members);
}

void redis_halls_tick(struct redis_members *members)
{
    if (members->settled_ms > 0 && clock_mono_ms(clock_real()) >= members->settled_ms) {
        members->settled_ms = 0;
        for (struct hall *hall = members->halls; hall; hall = hall->hh.next)
            if (hall->whole && !hall->loading)
                list_add_last(&members->to_load, &hall->queue);
    }
    pump(members);
}

/* ---- who asks ---- */

static void follow(struct redis_members *members, struct slice channel, uint64_t hash)
{
    struct hall *hall = calloc(1, sizeof *hall + channel.len);
    if (hall) {
        link_init(&hall->queue);
        hall->hash = hash;
        hall->name_len = (uint8_t)channel.len;
        memcpy(hall->name, channel.at, channel.len);
        HASH_ADD_KEYPTR(hh, members->halls, hall->name, hall->name_len, hall);
    }
    if (hall && hall->hh.tbl) {
        list_add_last(&members->to_load, &hall->queue);
        pump(members);
        return;
    }
    free(hall);
    metric_add(METRIC_presence_failed, 1);
}

void redis_members_follow(struct redis_members *members, struct slice channel, uint64_t hash, bool on)
{
    struct hall *hall;
    if (on) {
        follow(members, channel, hash);
        return;
    }
    HASH_FIND(hh, members->halls, channel.at, (unsigned)channel.len, hall);
    if (!hall)
        return;
    HASH_DELETE(hh, members->halls, hall);
    link_remove(&hall->queue);
    hall->gone = true;
    if (!hall->loading)
        hall_free(hall);
}

void redis_halls_free(struct redis_members *members)
{
    struct hall *hall, *next;
    HASH_ITER (hh, members->halls, hall, next) {
        HASH_DELETE(hh, members->halls, hall);
        hall_free(hall);
    }
}
