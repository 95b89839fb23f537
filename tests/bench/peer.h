/* peer.h — the generator's side of one connection: a subscriber that counts messages, or a publisher that counts answers.
 *
 * All speak only what is needed to be served like everybody else: HTTP/1.1, the WebSocket upgrade, frames, pongs, SSE. Bytes are
 * looked at once and dropped. Non-blocking after peer_open; the caller waits with epoll.
 * Lifetime: embedded; peer_close. Threading: one thread. */
#pragma once
#include "sock.h"

#include <stdint.h>

enum peer_kind {
    PEER_WS, PEER_SSE,            /* subscribers */
    PEER_POLL,                    /* a subscriber that waits: an answer is not understood */
    PEER_POST, PEER_WS_PUBLISH, PEER_LINES,   /* publishers: HTTP requests, WebSocket commands, lines of one request */
    PEER_MEMBER,                  /* of a room, or a client of PeerJS: offers are its messages */
};

struct peer {
    struct sock    sock;
    enum peer_kind kind;
    bool           gone;          /* the other side closed, or said something that is not understood */
    uint64_t       messages;      /* messages received; of a publisher: publishes that were accepted */
    uint64_t       refused;       /* of a publisher, or member: other answers, errors */
    uint64_t       subscribed;    /* channels subscribed (WebSocket), 1 when hub.ready was read (SSE), 1 when it may begin (publishers, members), 1 (polls: nothing tells) */
    uint64_t       joined, told;  /* of a member: rooms it is in; others that came */
    uint64_t       next;          /* for the caller */
    /* parser */
    bool           head_taken;    /* the response head has been read */
    char           part[8192];    /* the beginning of what is not complete yet */
    size_t         part_len;
    uint64_t       skip;          /* bytes of a frame or body that are left to be dropped */
};

/* Connects (blocking) and sends the request; `path` with its query, ignored for PEER_POST and PEER_LINES. -1: errno. */
int  peer_open(struct peer *peer, enum peer_kind kind, const struct sockaddr_in *to, const char *path);
void peer_close(struct peer *peer);      /* a peer that is all zeroes but for sock.fd -1 is fine */

/* Reads what there is; calls on_data(arg, peer, payload) for each message that is complete in one read, if on_data is set. */
typedef void peer_data_fn(void *arg, struct peer *peer, const char *payload, size_t len);
void peer_read(struct peer *peer, peer_data_fn *on_data, void *arg);

/* A masked text frame around `len` bytes of JSON; returns its length. `out` has room for 14 bytes more. */
size_t peer_frame(char *out, const char *json, size_t len);
/* The head of a chunk of `len` bytes, which "\r\n" follows behind them; its length. `out` has room for 20 bytes. */
size_t peer_chunk(char *out, size_t len);
