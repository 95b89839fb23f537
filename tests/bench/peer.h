/* peer.h — the generator's side of one connection: a subscriber that counts messages, or a publisher that counts answers.
 *
 * Both speak only what is needed to be served like everybody else: HTTP/1.1, the WebSocket upgrade, SSE. Bytes are looked at
 * once and dropped. Non-blocking after peer_open; the caller waits with epoll.
 * Lifetime: embedded; peer_close. Threading: one. */
#pragma once
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum peer_kind { PEER_WS, PEER_SSE, PEER_POST };

struct peer {
    int            fd;
    enum peer_kind kind;
    bool           ready;         /* subscribed: hub.ready, or a `subscribed` frame */
    bool           gone;          /* the other side closed, or said something that is not understood */
    uint64_t       messages;      /* messages received; of a publisher: answers with status 2xx */
    uint64_t       refused;       /* of a publisher: other answers */
    /* parser */
    bool           head_taken;    /* the response head has been read */
    char           part[2048];    /* the beginning of what is not complete yet */
    size_t         part_len;
    uint64_t       skip;          /* bytes of a frame or body that are left to be dropped */
};

/* "HOST:PORT" of 127.0.0.0/8. */
struct sockaddr_in peer_address(const char *host_port);
/* Connects (blocking) and sends the request; `path` with its query. -1: errno. */
int  peer_open(struct peer *peer, enum peer_kind kind, const struct sockaddr_in *to, const char *path);
void peer_close(struct peer *peer);
/* Reads what there is; calls on_data(arg, peer, payload) for each message that is complete in one read, if on_data is set. */
typedef void peer_data_fn(void *arg, struct peer *peer, const char *payload, size_t len);
void peer_read(struct peer *peer, peer_data_fn *on_data, void *arg);

uint64_t now_ns(void);
/* CPU time of all threads of a process, ns (its /proc/PID/task/TID/schedstat); 0 if it cannot be read. */
uint64_t cpu_ns(int pid);
