/* timers.c — libevent's timers under the simulation's clock: the functions of libevent that webhooks/ uses for time, in place of those of the
 * library. */
#include "tests/sim/webhooks/sim.h"

#include <event2/event.h>
#include <stdlib.h>

struct event {
    struct link       link;
    event_callback_fn act;
    void             *arg;
    int64_t           due_ms;      /* mono */
};

static struct link armed = { &armed, &armed };

struct event *event_new(struct event_base *base, evutil_socket_t fd, short events, event_callback_fn act, void *arg)
{
    struct event *timer = calloc(1, sizeof *timer);
    (void)base;
    sim_check(fd == -1 && events == 0, "an event of a socket in a simulation without sockets");
    sim_check(timer, "no memory");
    link_init(&timer->link);
    timer->act = act;
    timer->arg = arg;
    return timer;
}

int event_add(struct event *timer, const struct timeval *in)
{
    timer->due_ms = sim.mono_ms + in->tv_sec * 1000 + in->tv_usec / 1000;
    list_add_last(&armed, &timer->link);
    return 0;
}

int event_del(struct event *timer)
{
    link_remove(&timer->link);
    return 0;
}

void event_free(struct event *timer)
{
    link_remove(&timer->link);
    free(timer);
}

static struct event *first(void)
{
    struct event *found = NULL;
    list_each(at, next, &armed) {
        struct event *timer = link_of(at, struct event, link);
        if (!found || timer->due_ms < found->due_ms)
            found = timer;
    }
    return found;
}

int64_t timers_due_ms(void)
{
    const struct event *timer = first();
    return timer ? timer->due_ms : INT64_MAX;
}

bool timers_fire(void)
{
    struct event *timer = first();
    if (!timer || timer->due_ms > sim.mono_ms)
        return false;
    link_remove(&timer->link);
    timer->act(-1, EV_TIMEOUT, timer->arg);
    return true;
}
