/* redis_rig.h — a real redis-server of a test's own, and a loop to wait in.
 *
 * Each server has its own folder below TMPDIR; it listens on a unix socket and, with `tcp`, on a free port of loopback. It ends with
 * redis_end, and with the test process (PR_SET_PDEATHSIG). Nothing here sleeps: a server is waited for by what changes in its folder,
 * links by what their loops bring. Threading: the test's thread. */
#pragma once
#include "hub/base/clock.h"
#include "tests/unit/own_dir.h"

#include <event2/event.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { REDIS_WAIT_MS = 20 * 1000, SENTINEL_ASK_MS = 20 };

struct redis_server {
    struct own_dir dir;
    char     socket[OWN_DIR_MAX + 8];
    bool     sentinel;    /* with a file `conf` in its folder */
    uint16_t port;        /* 0: none */
    pid_t    pid;
};

static inline uint16_t free_port(void)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    close(fd);
    return ntohs(at.sin_port);
}

static inline bool redis_accepts(const struct redis_server *server)
{
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(to.sun_path, sizeof to.sun_path, "%s", server->socket);
    bool yes = connect(fd, (struct sockaddr *)&to, sizeof to) == 0;
    close(fd);
    return yes;
}

/* Until it accepts connections, which it may do while it still loads its data: it makes its socket and writes its log in the folder that
 * `changes`, an inotify, watches. */
static inline void redis_await(const struct redis_server *server, int changes)
{
    struct pollfd poll_for = { .fd = changes, .events = POLLIN };
    char noted[4096];
    while (!redis_accepts(server)) {
        if (poll(&poll_for, 1, REDIS_WAIT_MS) != 1 || waitpid(server->pid, NULL, WNOHANG) != 0)
            fail_msg("redis-server does not start: %s/log", server->dir.path);
        assert_true(read(changes, noted, sizeof noted) > 0);
    }
}

/* `more`: further arguments for redis-server, parted by spaces. */
static inline void redis_run(struct redis_server *server, const char *more)
{
    int changes = inotify_init1(IN_CLOEXEC);
    assert_true(inotify_add_watch(changes, server->dir.path, IN_CREATE | IN_MODIFY) >= 0);
    char text[1024], *argv[64] = { (char *)"redis-server" };
    int n = 1;
    snprintf(text, sizeof text, "%s%s %s --unixsocket %s --port %u --bind 127.0.0.1 --dir %s --logfile log --daemonize no %s",
             server->sentinel ? server->dir.path : "", server->sentinel ? "/conf --sentinel" : "", server->sentinel ? "" : "--save --appendonly no",
             server->socket, server->port, server->dir.path, more);
    for (char *at = text, *word; (word = strsep(&at, " ")); )
        if (*word)
            argv[n++] = word;
    server->pid = fork();
    if (server->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execvp(argv[0], argv);
        _exit(127);
    }
    redis_await(server, changes);
    close(changes);
}

static inline void redis_stop(struct redis_server *server)      /* as by kill -9 */
{
    if (server->pid <= 0)
        return;
    kill(server->pid, SIGKILL);
    waitpid(server->pid, NULL, 0);
    server->pid = 0;
    unlink(server->socket);
}

static inline void redis_begin(struct redis_server *server, bool tcp, const char *more)
{
    *server = (struct redis_server){ .port = tcp ? free_port() : 0 };
    assert_int_equal(own_dir_make(&server->dir), 0);
    snprintf(server->socket, sizeof server->socket, "%s/r", server->dir.path);
    redis_run(server, more);
}

static inline void redis_end(struct redis_server *server)
{
    redis_stop(server);
    own_dir_remove(&server->dir);
}

/* What redis-cli says to these words, which a shell reads. */
static inline void redis_say(const struct redis_server *server, const char *words)
{
    char command[600];
    snprintf(command, sizeof command, "redis-cli -s %s %s >/dev/null", server->socket, words);
    assert_int_equal(system(command), 0);
}

/* Its replica has everything that it has now. */
static inline void redis_await_replica(const struct redis_server *master)
{
    char command[200];
    snprintf(command, sizeof command, "test $(printf 'ping\nwait 1 %d\n' | redis-cli -s %s | tail -1) = 1", REDIS_WAIT_MS, master->socket);
    assert_int_equal(system(command), 0);
}

/* It knows a replica that it may make the master. A Sentinel finds out by asking, and says so to nobody: it is asked again and again. */
static inline void sentinel_await_replica(const struct redis_server *sentinel)
{
    char ask[200];
    snprintf(ask, sizeof ask, "redis-cli -s %s sentinel replicas mymaster | grep -A1 master-link-status | grep -q ok", sentinel->socket);
    for (int64_t end = clock_mono_ms(clock_real()) + REDIS_WAIT_MS; system(ask); poll(NULL, 0, SENTINEL_ASK_MS))
        assert_true(clock_mono_ms(clock_real()) < end);
}

/* A Sentinel that watches this server under the name mymaster. */
static inline void sentinel_begin(struct redis_server *sentinel, const struct redis_server *master)
{
    char path[OWN_DIR_MAX + 16];
    *sentinel = (struct redis_server){ .port = free_port(), .sentinel = true };
    assert_int_equal(own_dir_make(&sentinel->dir), 0);
    snprintf(sentinel->socket, sizeof sentinel->socket, "%s/r", sentinel->dir.path);
    snprintf(path, sizeof path, "%s/conf", sentinel->dir.path);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file, "sentinel monitor mymaster 127.0.0.1 %u 1\nsentinel down-after-milliseconds mymaster 300\nsentinel failover-timeout mymaster 1000\n",
            master->port);
    fclose(file);
    redis_run(sentinel, "");
}

/* What is ready, or comes within a moment. */
static inline void loop_once(struct event_base *base)
{
    struct timeval soon = { 0, 20 * 1000 };
    event_base_loopexit(base, &soon);
    event_base_loop(base, EVLOOP_ONCE);
}

/* Runs the loop until `*what` is at least `least`. */
static inline void loop_until(struct event_base *base, const unsigned *what, unsigned least)
{
    int64_t end = clock_mono_ms(clock_real()) + REDIS_WAIT_MS;
    while (*what < least) {
        assert_true(clock_mono_ms(clock_real()) < end);
        loop_once(base);
    }
}
