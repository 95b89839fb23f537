/* http_out.h — port: requests that the hub makes of other servers, over HTTP: a document of keys, later the webhooks.
 *
 * Nothing here waits: a name server that does not answer, a certificate chain, a server that sends a byte a minute are dealt with
 * on a thread of its own (webhooks/), and the hub hears of the end.
 *
 *   hub thread: http_out_send ──letter──> that thread: the request ~~~~ ──same letter──> hub thread: request->answered
 *
 * Every request is answered exactly once, also after cancel and when the hub stops. A redirect is an answer like any other: it is
 * never followed, since where it leads nobody has checked. Proxies of the environment are not used, for the same reason.
 *
 * Lifetime   the asker makes the request and owns it again when `answered` is called; in between it and all it points to stay.
 * Threading  hub thread. `answered` runs in a turn of the hub.
 * Limits     HTTP_OUT_TRANSFERS under way at a time, the others wait their turn (their time begins then); an answer is cut off
 *            at max_bytes, its head at HTTP_OUT_HEAD_BYTES; all of it has timeout_ms. */
#pragma once
#include "hub/base/buf.h"
#include "hub/base/mail.h"

enum { HTTP_OUT_TRANSFERS = 64, HTTP_OUT_HEAD_BYTES = 32 * 1024, HTTP_OUT_WHY = 200 };
enum http_out_method { HTTP_OUT_GET, HTTP_OUT_POST };

struct http_out_request {
    struct letter         letter;        /* first */
    /* the asker's */
    enum http_out_method  method;
    const char           *url;
    struct slice          headers;       /* further lines, each with its '\n'; may be empty */
    struct slice          body;          /* POST; never looked at by others while it is under way */
    const char           *ca_file;       /* certificates that vouch for the server, instead of the system's; NULL: the system's */
    bool                  allow_http;    /* http:// too; only https:// otherwise */
    int64_t               timeout_ms;    /* 1 … */
    size_t                max_bytes;     /* of the answer's body */
    void                (*answered)(struct http_out_request *request);
    void                 *owner;         /* the asker's own; nobody else looks at it */
    atomic_bool           cancelled;     /* set by http_out_cancel */
    /* the answer */
    int                   err;           /* 0: there is a status. ERR_UNREACHABLE: with the end of a sentence in `why`. ERR_GONE: cancelled.
                                            ERR_DRAINING: the hub stops. ERR_MEMORY */
    int                   status;
    struct buf            answer_head;   /* header lines as they came, after the status line; http_out_header() finds one */
    struct buf            answer;        /* the body */
    char                  why[HTTP_OUT_WHY];   /* for people and logs: no URL, no secrets */
};

/* One port, two implementations: webhooks/http_port.c (libcurl), and the one of unit tests. */
struct http_out {
    void (*send)(struct http_out *out, struct http_out_request *request);
    void (*cancel)(struct http_out *out, struct http_out_request *request);
};

static inline void http_out_send(struct http_out *out, struct http_out_request *request)   { out->send(out, request); }
/* Nobody waits for it any more: it is answered soon, with ERR_GONE or with what has come in between. */
static inline void http_out_cancel(struct http_out *out, struct http_out_request *request) { out->cancel(out, request); }

struct slice http_head_find(struct slice head, const char *name);                         /* of lines that end with '\n'; {NULL,0}: not there */
struct slice http_out_header(const struct http_out_request *request, const char *name);   /* of the answer; {NULL,0}: not there */
void         http_out_answer_fini(struct http_out_request *request);                      /* gives back what the answer holds */
