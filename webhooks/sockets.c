#include "webhooks/sockets.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct watched {
    struct sockets *all;
    struct event   *event;
    short           events;      /* of `event`, which is pending; 0: it is not */
    short           wanted;      /* by libcurl; 0: nothing now */
    bool            ours;        /* we opened it, and are told when it is closed */
};

struct sockets {
    struct event_base *base;
    CURLM             *multi;
    struct event      *timer;
    bool               due;      /* now */
    struct watched   **by_fd;
    size_t             n;        /* room in it */
};

/* ---- one socket ---- */

static struct watched *find(const struct sockets *all, curl_socket_t fd)
{
    return (size_t)fd < all->n ? all->by_fd[fd] : NULL;
}

static bool has_room(struct sockets *all, curl_socket_t fd)
{
    size_t n = all->n ? all->n : 64;
    while (n <= (size_t)fd)
        n *= 2;
    if (n == all->n)
        return true;
    struct watched **longer = realloc(all->by_fd, n * sizeof *longer);
    if (!longer)
        return false;
    memset(longer + all->n, 0, (n - all->n) * sizeof *longer);
    all->by_fd = longer;
    all->n = n;
    return true;
}

static void act(struct sockets *all, curl_socket_t fd, int what)
{
    int running;
    curl_multi_socket_action(all->multi, fd, what, &running);
}

static void on_ready(evutil_socket_t fd, short what, void *arg)
{
    struct watched *w = arg;
    if (w->wanted) {
        act(w->all, fd, (what & EV_READ ? CURL_CSELECT_IN : 0) | (what & EV_WRITE ? CURL_CSELECT_OUT : 0));
    } else {
        event_del(w->event);
        w->events = 0;
    }
}

static struct watched *add(struct sockets *all, curl_socket_t fd, bool ours)
{
    struct watched *w = has_room(all, fd) ? calloc(1, sizeof *w) : NULL;
    if (!w || !(w->event = event_new(all->base, fd, EV_READ | EV_PERSIST, on_ready, w))) {
        free(w);
        return NULL;
    }
    w->all = all;
    w->ours = ours;
    return all->by_fd[fd] = w;
}

static void drop(struct sockets *all, curl_socket_t fd)
{
    struct watched *w = find(all, fd);
    if (!w)
        return;
    event_free(w->event);
    free(w);
    all->by_fd[fd] = NULL;
}

static int watch(struct watched *w, curl_socket_t fd, short events)
{
    w->wanted = events;
    if (w->events == events)
        return 0;
    event_del(w->event);
    w->events = 0;
    if (event_assign(w->event, w->all->base, fd, (short)(events | EV_PERSIST), on_ready, w) || event_add(w->event, NULL))
        return -1;
    w->events = events;
    return 0;
}

/* ---- what libcurl wants ---- */

static int set_watched(CURL *curl, curl_socket_t fd, int what, void *arg, void *known)
{
    struct sockets *all = arg;
    struct watched *w = find(all, fd);
    (void)curl, (void)known;
    if (what == CURL_POLL_REMOVE) {
        if (w && w->ours)
            w->wanted = 0;
        else
            drop(all, fd);
        return 0;
    }
    if (!w && !(w = add(all, fd, false)))
        return -1;      /* libcurl ends all transfers, which is what no memory costs here */
    return watch(w, fd, (short)((what & CURL_POLL_IN ? EV_READ : 0) | (what & CURL_POLL_OUT ? EV_WRITE : 0)));
}

static int set_timer(CURLM *multi, long in_ms, void *arg)
{
    struct sockets *all = arg;
    struct timeval tv = { in_ms / 1000, in_ms % 1000 * 1000 };
    (void)multi;
    all->due = in_ms == 0;
    if (in_ms > 0)
        event_add(all->timer, &tv);
    else
        event_del(all->timer);
    return 0;
}

static void on_time(evutil_socket_t fd, short what, void *arg)
{
    struct sockets *all = arg;
    (void)fd, (void)what;
    all->due = true;
}

bool sockets_turn(struct sockets *all)
{
    if (!all->due)
        return false;
    all->due = false;
    act(all, CURL_SOCKET_TIMEOUT, 0);
    return true;
}

/* ---- opening and closing ---- */

curl_socket_t sockets_open(struct sockets *all, const struct curl_sockaddr *address)
{
    int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    if (fd < 0)
        return CURL_SOCKET_BAD;
    if (add(all, fd, true))
        return fd;
    close(fd);
    return CURL_SOCKET_BAD;
}

int sockets_close(void *sockets, curl_socket_t fd)
{
    drop(sockets, fd);
    return close(fd);
}

struct sockets *sockets_new(struct event_base *base, CURLM *multi)
{
    struct sockets *all = calloc(1, sizeof *all);
    if (!all || !(all->timer = evtimer_new(base, on_time, all))) {
        free(all);
        return NULL;
    }
    all->base = base;
    all->multi = multi;
    curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, set_watched);
    curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, all);
    curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, set_timer);
    curl_multi_setopt(multi, CURLMOPT_TIMERDATA, all);
    return all;
}

void sockets_free(struct sockets *all)
{
    if (!all)
        return;
    for (size_t fd = 0; fd < all->n; fd++)
        drop(all, (curl_socket_t)fd);
    event_free(all->timer);
    free(all->by_fd);
    free(all);
}
