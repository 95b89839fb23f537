/* newcomer.h — a socket whose request is not known yet: reads one head, answers it or passes it on as a stream. Where the
 * port speaks TLS, its handshake is the beginning of reading, under the same deadline.
 *
 *   READING ─head is whole─> a stream: the socket becomes a line (direct.h, lws.h), the newcomer ends
 *      │ └─ the key of its token is not known yet ──> WAITING (keys_wait.h) ──> a stream, or an answer
 *      └─ anything else ──> ANSWERING ─all sent─> LINGERING ─EOF or deadline─> closed
 *
 * LINGERING reads on and throws away, so that the answer is not lost by a reset when the client is still sending.
 * The places of the public port are one table in newcomer.c.
 *
 * Lifetime   from the socket's letter until it is answered or has become a stream; all of them are in reception->newcomers.
 * Threading  its edge's thread (libev).
 * Limits     limits.header_bytes per head, limits.handshake_timeout until it is whole and again until the answer is taken;
 *            KEYS_WAIT_MS, and KEYS_WAIT_BYTES together, for those that wait. */
#pragma once
#include "hub/base/list.h"
#include "transports/accept.h"

struct edge;
struct ev_loop;
struct files;
struct lines;
struct lws_side;

/* Where newcomers of one edge are received. */
struct reception {
    struct edge         *edge;
    struct ev_loop      *loop;
    struct lines        *lines;
    struct lws_side     *lws;
    const struct files  *files;          /* what the port serves */
    struct link          newcomers;
    size_t               n;
    uint64_t             refused;        /* told to come back, to draw their delays */
};

void reception_init(struct reception *reception, struct lines *lines, struct lws_side *lws, const struct files *files);
/* Takes over the descriptor and the seats; the letter stays the caller's. */
void reception_welcome(struct reception *reception, const struct socket_letter *letter);
/* Nobody is asked in any more: those who have not said what they want are closed; answers under way are finished. */
void reception_close(struct reception *reception);
void reception_fini(struct reception *reception);      /* closes all that is left */
