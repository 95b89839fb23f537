#include "webhooks/occupancy.h"

#include "hub/base/clock.h"
#include "hub/base/list.h"

#include <event2/event.h>
#include <stdlib.h>
#include <uthash.h>

struct leaving {
    UT_hash_handle hh;
    struct link    link;          /* in occupancy->list: the one that is due first is first */
    int64_t        due_ms;        /* mono */
    size_t         len;
    char           channel[];
};

struct occupancy {
    struct occupancy_setup setup;
    struct leaving        *table;
    struct link            list;
    struct event          *timer;
};

static void forget(struct occupancy *o, struct leaving *leaving)
{
    HASH_DELETE(hh, o->table, leaving);
    link_remove(&leaving->link);
    free(leaving);
}

static void arm(struct occupancy *o)
{
    struct link *first = list_first(&o->list);
    if (!first)
        return;
    int64_t in_ms = link_of(first, struct leaving, link)->due_ms - clock_mono_ms(o->setup.clock);
    in_ms = in_ms > 0 ? in_ms : 0;
    event_add(o->timer, &(struct timeval){ in_ms / 1000, in_ms % 1000 * 1000 });
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct occupancy *o = arg;
    int64_t now_ms = clock_mono_ms(o->setup.clock);
    (void)fd, (void)what;
    for (struct link *first; (first = list_first(&o->list));) {
        struct leaving *leaving = link_of(first, struct leaving, link);
        if (leaving->due_ms > now_ms)
            break;
        hub_tell_occupied(o->setup.hub, slice(leaving->channel, leaving->len), false);
        forget(o, leaving);
    }
    arm(o);
    o->setup.turn(o->setup.arg);
}

static void wait(struct occupancy *o, struct slice channel)
{
    struct leaving *leaving = calloc(1, sizeof *leaving + channel.len);
    if (!leaving) {
        hub_tell_occupied(o->setup.hub, channel, false);
        return;
    }
    leaving->due_ms = clock_mono_ms(o->setup.clock) + o->setup.vacated_after_ms;
    leaving->len = channel.len;
    memcpy(leaving->channel, channel.at, channel.len);
    link_init(&leaving->link);
    HASH_ADD_KEYPTR(hh, o->table, leaving->channel, leaving->len, leaving);
    list_add_last(&o->list, &leaving->link);
    if (list_first(&o->list) == &leaving->link)
        arm(o);
}

void occupancy_note(struct occupancy *o, struct slice channel, bool occupied)
{
    struct leaving *leaving = NULL;
    HASH_FIND(hh, o->table, channel.at, channel.len, leaving);
    if (occupied && leaving)
        forget(o, leaving);
    else if (occupied)
        hub_tell_occupied(o->setup.hub, channel, true);
    else if (!leaving)
        wait(o, channel);
}

struct occupancy *occupancy_new(const struct occupancy_setup *setup)
{
    struct occupancy *o = calloc(1, sizeof *o);
    if (!o || !(o->timer = event_new(setup->base, -1, 0, on_timer, o))) {
        free(o);
        return NULL;
    }
    o->setup = *setup;
    link_init(&o->list);
    return o;
}

void occupancy_free(struct occupancy *o)
{
    if (!o)
        return;
    for (struct link *first; (first = list_first(&o->list));)
        forget(o, link_of(first, struct leaving, link));
    event_free(o->timer);
    free(o);
}

void occupancy_reconfigure(struct occupancy *o, int64_t vacated_after_ms) { o->setup.vacated_after_ms = vacated_after_ms; }
