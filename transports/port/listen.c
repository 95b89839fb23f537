#include "transports/port/listen.h"

#include "hub/base/err.h"
#include "hub/config/config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 4096 };

struct opening {
    const struct address *address;
    struct listener      *listener;
    char                 *why;
    size_t                why_size;
};

static int refuse(const struct opening *o, const char *reason)
{
    snprintf(o->why, o->why_size, "cannot listen at %s: %s", o->address->text, reason);
    return ERR_ADDRESS;
}

static const char *reason_of(int number)
{
    switch (number) {
    case EADDRINUSE: return "the address is in use";
    case EACCES:     return "permission denied";
    default:         return strerror(number);
    }
}

/* Bound and listening; -1 and errno. */
static int socket_at(const struct sockaddr *at, socklen_t len, bool both_families)
{
    int on = 1, off = 0;
    int fd = socket(at->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (at->sa_family != AF_UNIX) {
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
    if (at->sa_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, both_families ? &off : &on, sizeof on);
    if (bind(fd, at, len) == 0 && (at->sa_family != AF_UNIX || chmod(((const struct sockaddr_un *)(const void *)at)->sun_path, 0660) == 0) &&
        listen(fd, BACKLOG) == 0)
        return fd;
    int number = errno;
    close(fd);
    errno = number;
    return -1;
}

/* ---- unix ---- */

/* A file that nobody listens on any more: its process was killed. */
static bool is_stale(const struct sockaddr_un *un)
{
    struct stat st;
    if (lstat(un->sun_path, &st) || !S_ISSOCK(st.st_mode))
        return false;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool stale = fd >= 0 && connect(fd, (const struct sockaddr *)un, sizeof *un) < 0 && errno == ECONNREFUSED;
    if (fd >= 0)
        close(fd);
    return stale;
}

static int open_unix(const struct opening *o)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    struct listener *l = o->listener;
    if (strlen(o->address->host) >= sizeof un.sun_path)
        return refuse(o, "the path is too long for a socket");
    memcpy(un.sun_path, o->address->host, strlen(o->address->host));
    int fd = socket_at((const struct sockaddr *)&un, sizeof un, false);
    if (fd < 0 && errno == EADDRINUSE && is_stale(&un) && unlink(un.sun_path) == 0)
        fd = socket_at((const struct sockaddr *)&un, sizeof un, false);
    if (fd < 0)
        return refuse(o, reason_of(errno));
    l->fds[l->n++] = fd;
    snprintf(l->path, sizeof l->path, "%s", un.sun_path);
    snprintf(l->text, sizeof l->text, "unix:%s", un.sun_path);
    return 0;
}

/* ---- TCP ---- */

static bool is_loopback(const struct sockaddr *at)
{
    if (at->sa_family == AF_INET)
        return ntohl(((const struct sockaddr_in *)(const void *)at)->sin_addr.s_addr) >> 24 == 127;
    return at->sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)(const void *)at)->sin6_addr);
}

static int port_of(int fd)
{
    struct sockaddr_storage at;
    socklen_t len = sizeof at;
    if (getsockname(fd, (struct sockaddr *)&at, &len))
        return 0;
    return ntohs(at.ss_family == AF_INET ? ((struct sockaddr_in *)(void *)&at)->sin_port : ((struct sockaddr_in6 *)(void *)&at)->sin6_port);
}

static void tell_address(struct listener *l)
{
    struct sockaddr_storage at;
    socklen_t len = sizeof at;
    char host[NI_MAXHOST] = "?";
    if (getsockname(l->fds[0], (struct sockaddr *)&at, &len) == 0)
        getnameinfo((struct sockaddr *)&at, len, host, sizeof host, NULL, 0, NI_NUMERICHOST);
    snprintf(l->text, sizeof l->text, at.ss_family == AF_INET6 ? "[%.100s]:%d" : "%.100s:%d", host, port_of(l->fds[0]));
}

/* All addresses of `host`, "" is every one of the machine. `required`: one that cannot be had is an error. */
static int open_host(const struct opening *o, const char *host, bool dev, bool required)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV }, *found = NULL;
    struct listener *l = o->listener;
    char port[8];
    int err = 0, number = EADDRNOTAVAIL;
    snprintf(port, sizeof port, "%d", l->n > 0 ? port_of(l->fds[0]) : o->address->port);
    int failed = getaddrinfo(*host ? host : NULL, port, &hints, &found);
    if (failed)
        return required ? refuse(o, gai_strerror(failed)) : 0;
    for (struct addrinfo *a = found; a && !err && l->n < LISTEN_MAX; a = a->ai_next) {
        if (dev && !is_loopback(a->ai_addr)) {
            err = refuse(o, "with --dev everything is open, so only loopback addresses are allowed");
            continue;
        }
        int fd = socket_at(a->ai_addr, a->ai_addrlen, false);
        if (fd >= 0)
            l->fds[l->n++] = fd;
        else if ((number = errno) == EADDRINUSE && (required || o->address->port != 0))
            err = refuse(o, reason_of(number));
    }
    freeaddrinfo(found);
    if (!err && required && l->n == 0)
        err = refuse(o, reason_of(number));
    return err;
}

/* One socket for both families where the kernel has IPv6, else IPv4 alone. */
static int open_everywhere(const struct opening *o)
{
    struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_port = htons(o->address->port), .sin6_addr = in6addr_any };
    struct sockaddr_in four = { .sin_family = AF_INET, .sin_port = htons(o->address->port) };
    int fd = socket_at((const struct sockaddr *)&six, sizeof six, true);
    if (fd < 0 && errno != EADDRINUSE)
        fd = socket_at((const struct sockaddr *)&four, sizeof four, false);
    if (fd < 0)
        return refuse(o, reason_of(errno));
    o->listener->fds[o->listener->n++] = fd;
    return 0;
}

static int open_tcp(const struct opening *o, bool dev)
{
    const char *host = o->address->host;
    int err;
    if (!dev)
        err = *host ? open_host(o, host, false, true) : open_everywhere(o);
    else
        err = open_host(o, *host ? host : "127.0.0.1", true, true);
    if (!err && dev && (!*host || !strcmp(host, "127.0.0.1")))
        err = open_host(o, "::1", true, false);
    if (!err)
        tell_address(o->listener);
    return err;
}

int listen_open(const struct address *address, bool dev, struct listener *ret_listener, char *why, size_t why_size)
{
    struct listener listener = { .n = 0 };
    const struct opening o = { address, &listener, why, why_size };
    int err = address->is_unix ? open_unix(&o) : open_tcp(&o, dev);
    if (err)
        listen_close(&listener);
    else
        *ret_listener = listener;
    return err;
}

void listen_close(struct listener *l)
{
    if (l->n > 0 && l->path[0])
        unlink(l->path);
    while (l->n > 0)
        close(l->fds[--l->n]);
}
