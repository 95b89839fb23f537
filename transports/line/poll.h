/* poll.h — long poll, GET /poll: one answer with what has come since a position, held back until there is something to tell.
 *
 * A poll is a connection like any other (conn.h): it resumes from its position and then waits in the rings. Only its line differs: it
 * does not send what the connection gives it, it collects it, and when the connection is at its end with something collected, or the
 * answer is full, or the time is up, the connection is closed and its farewell is the answer, with everything that was collected.
 *
 *   asked ─began, nothing since─> waits ─message─> collected ─end of the turn─> answered, closed
 *     ├─ something or a gap since ─────────────────────┘          ▲
 *     └─ timeout=0, or `timeout` has passed: a fresh position ────┘
 *
 * So consecutive polls by the returned position miss nothing and repeat nothing, for the reasons for which streams do not.
 *
 * Lifetime   as lines (line.h). Threading: its edge's thread.
 * Limits     POLL_BYTES of messages per answer (the last may pass it), which has to be taken at POLL_BYTES_PER_MS at least; limits.channels; timeout at most POLL_TIMEOUT_MAX_MS. */
#pragma once
#include "transports/line/line.h"

struct cors;
struct stream_request;

enum { POLL_BYTES = 1024 * 1024, POLL_TIMEOUT_MS = 25 * 1000, POLL_TIMEOUT_MAX_MS = 60 * 1000, POLL_BYTES_PER_MS = 16, POLL_KNOWN = 256 };

/* Whether such a poll may begin: 0, those of stream_check, or ERR_BAD_FIELD (timeout). */
int  poll_check(struct edge *edge, const struct stream_request *request);
/* Takes over the socket and the seats, whatever happens. `cors` and `if_none_match` (a header's value, or empty; one over 256 bytes is as if empty) are copied. */
void poll_open(struct lines *lines, struct socket socket, struct seats seats, const struct stream_request *request, const struct cors *cors,
               struct slice if_none_match);
/* End of turn, after edge_flush: ends those whose answer is complete. True: flush again. */
bool polls_settle(struct lines *lines);
