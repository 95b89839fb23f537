/* forward.h — one webhook posted to a developer's own server, for `carillon webhook listen`: the header lines and the signature of the
 * hub's webhooks (signature.h), at most three attempts.
 *
 *   attempt ─2xx─> delivered
 *      │ else, told: 1 s, then 5 s ─> attempt, signed anew ─> … ─> failed
 *      └ 429 or 503 with Retry-After: not before that, neither this one nor the next (an hour at most)
 *
 * A redirect is an answer like any other and is not followed. A status that has come is the answer, whatever its body does then. Ctrl-C
 * (interrupt.h) ends each wait.
 *
 * Lifetime   embedded; init to fini, used for many, one after the other: the connection is kept. Threading: whoever owns it.
 * Limits     timeout_ms for an attempt; FORWARD_ANSWER_BYTES of an answer are read. */
#pragma once
#include <curl/curl.h>

#include "clients/cli/args.h"
#include "hub/signature.h"
#include "hub/trace.h"

enum { FORWARD_ATTEMPTS = 3, FORWARD_ANSWER_BYTES = 64 * 1024 };
enum forward_end { FORWARD_DELIVERED, FORWARD_FAILED, FORWARD_INTERRUPTED };

struct forward {
    const struct cli_command *command;
    const char    *url;
    unsigned       attempts;             /* at most, 1 … FORWARD_ATTEMPTS */
    int64_t        timeout_ms;
    struct signer *signer;               /* the caller's */
    /* inside */
    CURLM         *multi;
    CURL          *curl;
    struct buf     lines;
    size_t         answer_bytes;
    uint64_t       spans;                /* trace_next_span */
    int64_t        asked_until_ms;       /* Retry-After, monotonic */
    char           error[CURL_ERROR_SIZE];
};

/* What became of it: of the last attempt. */
struct forwarded {
    int         status;                  /* 0: none came */
    const char *why;                     /* then; until the next one is sent */
    int64_t     ms;
    unsigned    attempts;                /* there have been */
};

/* The fields above `inside` are set. CLI_GO_ON; or what was wrong has been told, and how to leave. */
int              forward_init(struct forward *forward);
void             forward_fini(struct forward *forward);
/* `signing`: id, event and body; its time is that of each attempt. An attempt after which there is another is told on standard error. */
enum forward_end forward_send(struct forward *forward, struct signing *signing, const char trace[TRACE_BYTES], struct forwarded *ret_forwarded);
