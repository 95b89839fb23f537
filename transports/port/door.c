#define _GNU_SOURCE      /* accept4 */
#include "transports/port/door.h"

#include "hub/base/clock.h"
#include "hub/base/err.h"
#include "hub/base/log.h"
#include "hub/metrics.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { AWAY_MAX = 4096 };

static void open_spare(struct door *door)
{
    if (door->spare < 0)
        door->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

void door_turn_away(int fd)
{
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){ .l_onoff = 1, .l_linger = 0 }, sizeof(struct linger));
    close(fd);
}

/* Those who wait are told at once instead of being left hanging, as far as the spare descriptor goes. */
static void turn_away_waiting(struct door *door, int listening)
{
    for (int i = 0; i < AWAY_MAX && door->spare >= 0; i++) {
        close(door->spare);
        door->spare = -1;
        int fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0) {
            door_turn_away(fd);
            metric_add(METRIC_away_files, 1);
        }
        open_spare(door);
        if (fd < 0)
            return;
    }
}

static void log_failed(struct door *door, int error)
{
    int64_t now = clock_mono_ms(clock_real());
    if (!door->failed_ms || now - door->failed_ms > DOOR_QUIET_MS)
        log_warn(door->name, "cannot accept: %s; who comes is turned away until there is room (limits.files)", strerror(error));
    door->failed_ms = now;
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address, int len, void *arg)
{
    struct door *door = arg;
    (void)listener;
    door->on_socket(door->arg, fd, address, (socklen_t)len);
    if (++door->round >= DOOR_ROUND && !event_pending(door->rest, EV_TIMEOUT, NULL))
        door_rest(door, 0);
}

static void on_error(struct evconnlistener *listener, void *arg)
{
    struct door *door = arg;
    int error = errno;
    log_failed(door, error);
    if (error == EMFILE || error == ENFILE)
        turn_away_waiting(door, evconnlistener_get_fd(listener));
    door_rest(door, DOOR_REST_MS);
}

void door_rest(struct door *door, int ms)
{
    for (int i = 0; i < door->listener.n; i++)
        evconnlistener_disable(door->listeners[i]);
    event_add(door->rest, &(struct timeval){ ms / 1000, ms % 1000 * 1000 });
}

static void on_rested(evutil_socket_t fd, short what, void *arg)
{
    struct door *door = arg;
    (void)fd, (void)what;
    door_start(door);
}

void door_start(struct door *door)
{
    open_spare(door);
    door->round = 0;
    for (int i = 0; i < door->listener.n; i++)
        evconnlistener_enable(door->listeners[i]);
}

static int open_listeners(struct door *door, struct event_base *base)
{
    if (!(door->rest = event_new(base, -1, 0, on_rested, door)))
        return ERR_MEMORY;
    for (int i = 0; i < door->listener.n; i++) {
        door->listeners[i] = evconnlistener_new(base, on_accept, door, LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_DISABLED, 0, door->listener.fds[i]);
        if (!door->listeners[i])
            return ERR_MEMORY;
        evconnlistener_set_error_cb(door->listeners[i], on_error);
    }
    return 0;
}

int door_open(struct door *door, struct event_base *base, const struct address *address, bool dev, char *why, size_t why_size)
{
    door->spare = -1;
    int err = listen_open(address, dev, &door->listener, why, why_size);
    if (err)
        return err;
    err = open_listeners(door, base);
    if (err) {
        snprintf(why, why_size, "%s", err_text(err));
        door_close(door);
    }
    return err;
}

void door_close(struct door *door)
{
    if (!door->rest)
        return;
    for (int i = 0; i < LISTEN_MAX; i++)
        if (door->listeners[i])
            evconnlistener_free(door->listeners[i]);
    memset(door->listeners, 0, sizeof door->listeners);
    event_free(door->rest);
    door->rest = NULL;
    listen_close(&door->listener);
    if (door->spare >= 0)
        close(door->spare);
    door->spare = -1;
}
