#include "peer.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { READ_BYTES = 256 * 1024 };

uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t cpu_ns(int pid)
{
    char path[300];
    uint64_t sum = 0, ns;
    struct dirent *entry;
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *dir = opendir(path);
    while (dir && (entry = readdir(dir))) {
        snprintf(path, sizeof path, "/proc/%d/task/%s/schedstat", pid, entry->d_name);
        FILE *file = entry->d_name[0] == '.' ? NULL : fopen(path, "r");
        if (file && fscanf(file, "%lu", &ns) == 1)
            sum += ns;
        if (file)
            fclose(file);
    }
    if (dir)
        closedir(dir);
    return sum;
}

struct sockaddr_in peer_address(const char *host_port)
{
    struct sockaddr_in to = { .sin_family = AF_INET };
    char host[64];
    const char *colon = strrchr(host_port, ':');
    if (!colon || (size_t)(colon - host_port) >= sizeof host) {
        fprintf(stderr, "not HOST:PORT: %s\n", host_port);
        exit(2);
    }
    snprintf(host, sizeof host, "%.*s", (int)(colon - host_port), host_port);
    to.sin_port = htons((uint16_t)atoi(colon + 1));
    if (inet_pton(AF_INET, host, &to.sin_addr) != 1 || (ntohl(to.sin_addr.s_addr) >> 24) != 127) {
        fprintf(stderr, "only loopback addresses: %s\n", host_port);
        exit(2);
    }
    return to;
}

static int send_request(int fd, enum peer_kind kind, const char *path)
{
    char head[1024];
    static const char upgrade[] = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                                  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    if (kind == PEER_POST)
        return 0;
    int n = snprintf(head, sizeof head, "GET %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n", path, kind == PEER_WS ? upgrade : "");
    return send(fd, head, (size_t)n, MSG_NOSIGNAL) == n ? 0 : -1;
}

int peer_open(struct peer *peer, enum peer_kind kind, const struct sockaddr_in *to, const char *path)
{
    int one = 1;
    *peer = (struct peer){ .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), .kind = kind, .ready = kind == PEER_POST };
    if (peer->fd < 0)
        return -1;
    setsockopt(peer->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(peer->fd, (const struct sockaddr *)to, sizeof *to) || send_request(peer->fd, kind, path)) {
        close(peer->fd);
        return -1;
    }
    fcntl(peer->fd, F_SETFL, O_NONBLOCK);
    return 0;
}

void peer_close(struct peer *peer)
{
    if (peer->fd >= 0)
        close(peer->fd);
    peer->fd = -1;
}

/* Each take_… looks at complete text and returns how many bytes it used up; 0: not complete. */

static size_t take_head(struct peer *peer, const char *at, size_t len)
{
    const char *end = memmem(at, len, "\r\n\r\n", 4);
    if (!end)
        return 0;
    if (memcmp(at, peer->kind == PEER_WS ? "HTTP/1.1 101" : "HTTP/1.1 200", 12))
        peer->gone = true;
    return (size_t)(end - at) + 4;
}

static size_t take_answer(struct peer *peer, const char *at, size_t len)
{
    const char *end = memmem(at, len, "\r\n\r\n", 4);
    if (!end)
        return 0;
    const char *length = memmem(at, (size_t)(end - at), "ontent-", 7);
    while (length && strncasecmp(length, "ontent-length:", 14))
        length = memmem(length + 7, (size_t)(end - length - 7), "ontent-", 7);
    if (at[9] == '2')
        peer->messages++;
    else
        peer->refused++;
    peer->skip = length ? strtoull(length + 14, NULL, 10) : 0;
    return (size_t)(end - at) + 4;
}

static size_t take_frame(struct peer *peer, const char *at, size_t len, peer_data_fn *on_data, void *arg)
{
    static const char message[] = "{\"type\":\"message\"", subscribed[] = "{\"type\":\"subscribed\"";
    size_t head = 2;
    if (len < 2)
        return 0;
    uint64_t size = (unsigned char)at[1] & 127;
    if (size >= 126) {
        size_t wide = size == 126 ? 2 : 8;
        if (len < 2 + wide)
            return 0;
        size = 0;
        for (size_t i = 0; i < wide; i++)
            size = size << 8 | (unsigned char)at[2 + i];
        head += wide;
    }
    if (len < head + size && len < head + 64)
        return 0;
    if ((at[0] & 15) == 8)
        peer->gone = true;
    if (size >= sizeof message && !memcmp(at + head, message, sizeof message - 1)) {
        peer->messages++;
        if (on_data && len >= head + size)
            on_data(arg, peer, at + head, size);
    } else if (size >= sizeof subscribed && !memcmp(at + head, subscribed, sizeof subscribed - 1)) {
        peer->ready = true;
    }
    if (len >= head + size)
        return head + size;
    peer->skip = head + size - len;
    return len;
}

static size_t take_block(struct peer *peer, const char *at, size_t len, peer_data_fn *on_data, void *arg)
{
    const char *end = memmem(at, len, "\n\n", 2);
    if (!end)
        return 0;
    size_t size = (size_t)(end - at) + 2;
    if (memmem(at, size, "\nevent: hub.ready\n", 18)) {
        peer->ready = true;
    } else if (memmem(at, size, "\nevent: hub.bye\n", 16)) {
        peer->gone = true;
    } else if (memmem(at, size, "\ndata: ", 7)) {
        peer->messages++;
        if (on_data)
            on_data(arg, peer, at, size);
    }
    return size;
}

static size_t take(struct peer *peer, const char *at, size_t len, peer_data_fn *on_data, void *arg)
{
    if (peer->kind == PEER_POST)
        return take_answer(peer, at, len);
    if (!peer->head_taken) {
        size_t used = take_head(peer, at, len);
        peer->head_taken = used > 0;
        return used;
    }
    return peer->kind == PEER_WS ? take_frame(peer, at, len, on_data, arg) : take_block(peer, at, len, on_data, arg);
}

static void consume(struct peer *peer, const char *at, size_t len, peer_data_fn *on_data, void *arg)
{
    while (len > 0 && !peer->gone) {
        size_t used = peer->skip < len ? (size_t)peer->skip : len;
        if (peer->skip == 0)
            used = take(peer, at, len, on_data, arg);
        else
            peer->skip -= used;
        if (used == 0)
            break;
        at += used;
        len -= used;
    }
    if (len >= sizeof peer->part)
        peer->gone = true;
    else
        memmove(peer->part, at, peer->part_len = len);
}

void peer_read(struct peer *peer, peer_data_fn *on_data, void *arg)
{
    static char bytes[sizeof peer->part + READ_BYTES];
    memcpy(bytes, peer->part, peer->part_len);
    ssize_t n = recv(peer->fd, bytes + peer->part_len, READ_BYTES, 0);
    if (n == 0 || (n < 0 && errno != EAGAIN))
        peer->gone = true;
    if (n > 0)
        consume(peer, bytes, peer->part_len + (size_t)n, on_data, arg);
}
