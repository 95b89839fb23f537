/* http_out.h — port: requests that the hub makes of other servers, over HTTP: a document of keys, webhooks.
 *
 * Nothing here waits: a name server that does not answer, a certificate chain, a server that sends a byte a minute are dealt with
 * on a thread of its own (webhooks/), and the hub hears of the end.
 *
 *   hub thread: http_out_send ──letter──> that thread: the request ~~~~ ──same letter──> hub thread: request->answered
 *
 * Every request is answered exactly once, also after cancel and when the hub stops. A redirect is an answer like any other: it is
 * never followed, since where it leads nobody has checked. Proxies of the environment are not used, for the same reason.
 *
 * How requests are made stands in rules that many of them share. Those with the same rules->pool share connections, so that a
 * request may go over one that another has opened; nobody else uses them. Rules that are stricter need another pool: what was
 * opened under the old ones is closed when their last request has ended (HTTP_OUT_POOL_IDLE_MS later).
 *
 * Lifetime   the asker makes the request and owns it again when `answered` is called; in between it and all it points to stay, and
 *            the rules stay as they are. What an answer holds is given back by http_out_answer_fini, or stays in the request for the
 *            next time it is sent, which uses its memory again.
 * Threading  hub thread. `answered` runs in a turn of the hub; `prepare` and `judge` run on the port's thread.
 * Limits     rules->transfers under way at a time in each pool, the others wait their turn (their time begins then); an answer is
 *            cut off at max_bytes, its head at HTTP_OUT_HEAD_BYTES; all of it has timeout_ms; HTTP_OUT_LINES header lines. */
#pragma once
#include "hub/base/buf.h"
#include "hub/base/ip.h"
#include "hub/base/mail.h"

enum { HTTP_OUT_TRANSFERS = 64, HTTP_OUT_HEAD_BYTES = 32 * 1024, HTTP_OUT_LINES = 64, HTTP_OUT_WHY = 200, HTTP_OUT_POOL_IDLE_MS = 120 * 1000 };
enum http_out_method { HTTP_OUT_GET, HTTP_OUT_POST };

/* What kind of thing went wrong; in the words of the API. */
enum http_out_fault { HTTP_OUT_NONE, HTTP_OUT_DNS, HTTP_OUT_CONNECT, HTTP_OUT_TLS, HTTP_OUT_TIMEOUT, HTTP_OUT_TOO_LARGE, HTTP_OUT_BLOCKED, HTTP_OUT_HTTP, HTTP_OUT_FAULTS };
const char *http_out_fault_name(enum http_out_fault fault);      /* "", dns, connect, tls, timeout, too_large, blocked_address, http */

struct http_out_rules {
    unsigned    pool;                    /* http_out_pool_new() */
    size_t      transfers;               /* at a time; 0: HTTP_OUT_TRANSFERS */
    const char *ca_file;                 /* certificates that vouch for the server, instead of the system's; NULL: the system's */
    const char *proxy;                   /* through which all goes; NULL: none. Then nobody is judged: the proxy has that duty */
    const char *source_address;          /* an address of this machine, or the name of an interface; NULL: any */
    bool        allow_http;              /* http:// too; only https:// otherwise */
    bool        http2;                   /* where the server offers it (ALPN); HTTP/1.1 otherwise */
    bool        keep_cut;                /* once a status has come it is the answer, whatever its body does after that: see err */
    /* Asked of each address before it is connected to; NULL: good, else what it is (static text). May be NULL itself: any is good. */
    const char *(*judge)(const void *judge_arg, const struct sockaddr *address);
    const void *judge_arg;
    int64_t     connect_ms;              /* for name, connection and handshake; 0: timeout_ms */
    int64_t     timeout_ms;              /* for all of it, 1 … */
    int64_t     rest_ms;                 /* for the body, since the head has come; 0: timeout_ms */
    size_t      max_bytes;               /* of the answer's body */
};

/* In µs; the time each step took. All but the last two are 0 on a connection that was there already. */
struct http_out_timing { uint32_t dns_us, connect_us, tls_us, first_byte_us, total_us; };

struct http_out_request {
    struct letter         letter;        /* first */
    /* the asker's */
    const struct http_out_rules *rules;
    enum http_out_method  method;
    const char           *url;
    struct slice          headers;       /* further lines, each with its '\n'; may be empty */
    struct slice          body;          /* POST; never looked at by others while it is under way */
    /* Makes url, headers and body at the last moment, such as a signature that has the time in it; NULL: they are there. An error
     * is the answer. */
    int                 (*prepare)(struct http_out_request *request);
    void                (*answered)(struct http_out_request *request);
    void                 *owner;         /* the asker's own; nobody else looks at it */
    atomic_bool           cancelled;     /* set by http_out_cancel */
    /* the answer */
    int                   err;           /* 0: there is a status; with keep_cut `fault` may say what became of its body, then `answer` is
                                            the beginning of it. ERR_UNREACHABLE: what kind is in `fault`, the end of a sentence in `why`.
                                            ERR_GONE: cancelled. ERR_DRAINING: the hub stops. ERR_MEMORY; ERR_BAD_REQUEST: too many lines;
                                            what prepare said */
    int                   status;        /* 0: none came */
    enum http_out_fault   fault;
    bool                  reused;        /* it went over a connection that was there already */
    struct http_out_timing timing;
    struct ip             address;       /* that it was sent to; ip_is_none: it never came so far */
    struct buf            answer_head;   /* header lines as they came, the status line first; http_out_header() finds one */
    struct buf            answer;        /* the body */
    char                  why[HTTP_OUT_WHY];   /* for people and logs: no URL, no secrets */
};

/* One port, two implementations: webhooks/http_port.c (libcurl), and the one of unit tests. */
struct http_out {
    void   (*send)(struct http_out *out, struct http_out_request *request);
    void   (*cancel)(struct http_out *out, struct http_out_request *request);
    unsigned pools;                      /* so many numbers have been given out */
};

static inline void http_out_send(struct http_out *out, struct http_out_request *request)   { out->send(out, request); }
/* Nobody waits for it any more: it is answered soon, with ERR_GONE or with what has come in between. */
static inline void http_out_cancel(struct http_out *out, struct http_out_request *request) { out->cancel(out, request); }
/* A pool that nobody else has. It costs nothing until it is used, nor when it is not used any more. */
static inline unsigned http_out_pool_new(struct http_out *out)                             { return ++out->pools; }

struct slice http_head_find(struct slice head, const char *name);                         /* of lines that end with '\n'; {NULL,0}: not there */
struct slice http_out_header(const struct http_out_request *request, const char *name);   /* of the answer; {NULL,0}: not there */
void         http_out_answer_fini(struct http_out_request *request);                      /* gives back what the answer holds */
