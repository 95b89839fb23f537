/* follow.h — a subscription over SSE that comes back when its stream ends, for `carillon sub` and `carillon webhook listen`.
 *
 *   connect with the last position ─> 200: events, positions ─> stream ends ─> wait ─> connect …
 *
 * - The position is the parser's last id: heartbeats move it too, a block that was cut does not. So no event is given
 *   twice and nothing is missed without a gap being told.
 * - A stream that ended, a hub that is away, 429 and 5xx: wait as long as the hub asked (`retry:`, `hub.bye`), longer after
 *   each failure in a row up to 30 s, each wait spread by chance, so that many of us do not come back at once. Of several
 *   URLs the next one is tried.
 * - A certificate that is not trusted from the beginning, any other refusal, and a bye that says not to come back (4100–4199):
 *   the words for it, and the end.
 * - A stream without a byte for 60 s is dead, whatever TCP thinks: the hub's heartbeats are more frequent.
 * - What the hub says of itself (a gap, a bye) is told on standard error in a sentence.
 *
 * Lifetime   embedded; init to fini, run once. Threading: whoever owns it.
 * Limits     an event of 16 MiB. */
#pragma once
#include "clients/cli/output.h"
#include "clients/cli/request.h"
#include "clients/cli/sse_parser.h"

/* A message, or with ?presence=true a member who came or left. CLI_GO_ON, or what the follower is to end with. It may take its time and wait
 * for others: nothing is read meanwhile, and a hub that cuts a slow reader is come back to with the position of this event. */
typedef int follow_event_fn(void *arg, const struct sse_event *event);

struct follow {
    const struct cli_command *command;
    follow_event_fn   *on_event;
    void              *arg;
    struct output     *output;          /* flushed after each piece of the stream, or earlier by on_event; when nobody reads it any more, that is the end */
    int64_t            until_ms;        /* monotonic; then the end is CLI_GO_ON; INT64_MAX: never */
    int64_t            idle_ms;         /* the same when a stream that is ready has had no event for so long; 0: never */
    /* inside */
    struct cli_request request;
    struct sse_parser  parser;
    int                done;            /* CLI_GO_ON as long as nothing else was said */
    int                err;             /* of the parser */
    int64_t            bye_ms;          /* wait that a bye asked for, -1: none */
    int64_t            event_ms;        /* of the last event, or of ready */
    unsigned           failures;        /* streams in a row that never became ready */
    bool               stay_away;       /* a bye said so */
    bool               ready;           /* this stream has become ready */
    bool               was_ready;       /* some stream has: what is wrong now is no misuse */
    bool               away;            /* that it was lost has been told */
};

/* CLI_GO_ON, or how to leave. The caller then adds the path to `request`. */
int  follow_init(struct follow *follow, const struct cli_command *command, const struct cli_target *target);
void follow_fini(struct follow *follow);
/* An enum cli_exit; or CLI_GO_ON: time was up. */
int  follow_run(struct follow *follow);
