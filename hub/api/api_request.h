/* api_request.h — one request to the API and the answer to it: what the front, api.c and the handlers hand one another.
 *
 * Lifetime   requests are the front's: memory is reused from one to the next (api_request_reset). What a handler borrows from
 *            head and body is valid until finished; a connection that is gone does not end its requests.
 * Threading  API thread. Hub state is reached by calls only. */
#pragma once
#include "hub/access/cors.h"
#include "hub/access/key_table.h"
#include "hub/access/rates.h"
#include "hub/access/revocations.h"
#include "hub/base/ip.h"
#include "hub/base/line_reader.h"
#include "hub/base/name.h"
#include "hub/base/query.h"
#include "hub/call.h"
#include "hub/config/api_key.h"
#include "hub/errand.h"
#include "hub/records.h"
#include "hub/trace.h"

struct api_caller;
struct api_route;
struct api_session;
struct authority;
struct batch;
struct clock;
struct config;

struct api {                           /* one per API thread */
    const struct config *config;
    const struct clock  *clock;
    struct authority    *authority;    /* checks credentials */
    struct post         *to_hub;       /* flushed by the front, once for all that it finds to do */
    unsigned             submitted;    /* calls since the front last looked */
    uint8_t              peer;         /* its number at the hub */
    struct api_caller   *callers;      /* table by name (api_caller.h) */
    int64_t              now_us;       /* clock_mono_us() when the callback began that is running */
};

enum { PATH_BYTES = CHANNEL_NAME_MAX + 256 };

struct api_header { struct slice name, value; };

struct api_request {
    /* the front's, before api_begin */
    struct api              *api;
    struct api_session      *session;  /* of its connection; NULL when that is gone */
    void                   (*finished)(struct api_request *request);
    void                   (*progress)(struct api_request *request);   /* of a stream: it has more of its answer, or room again */
    int64_t                  arrived_us;     /* mono clock */
    struct slice             method, target; /* target as sent: origin-form, absolute-form or * */
    const struct api_header *headers;
    size_t                   n_headers;
    char                     id[129];        /* X-Request-Id, terminated */
    bool                     head_only;      /* HEAD: runs as GET; the answer's body is counted, not sent */
    struct ip                address;        /* the client's, also behind a proxy; no address: a unix socket */
    struct cors              cors;           /* whose page asks; not a foreign one */
    struct slice             cookie;         /* Cookie, where it may stand for credentials (cors_cookie_counts); else empty */
    /* the front's, before api_run */
    struct slice             body;
    /* from api_begin */
    const struct api_route  *route;
    struct slice             path, query;
    size_t                   body_max;       /* 0: this request has no body */
    char                     path_bytes[PATH_BYTES];   /* the decoded values of the path */
    size_t                   path_len;
    struct slice             channel;        /* {channel}; empty with channel_err */
    struct rate_verdict      rate;           /* of the limit that is nearest, or that refused it */
    int                      channel_err;    /* ERR_BAD_CHANNEL: not a channel name */
    struct slice             user;           /* {user}; `channel` is the user's own then, where the route is about its messages */
    int                      user_err;       /* ERR_BAD_FIELD: nothing that a user could be called */
    uint64_t                 connection;     /* {connection}; 0: there is none of that id, ever */
    uint64_t                 node;           /* and which hub has it */
    struct slice             room;           /* {room}; empty: not the name of one */
    struct slice             item;           /* {key}, {revocation}, {webhook}, {delivery}; empty: nothing that could be one */
    uint64_t                 webhook, delivery, replay;      /* {webhook}, {delivery}, {replay}; 0: there is none of that id, ever */
    uint64_t                 event, event_epoch;             /* {event}; likewise */
    struct principal        *principal;      /* of routes for OP_ADMIN, and of batches; one reference */
    struct api_caller       *caller;         /* not of open routes; one reference */
    bool                     waits_for_key;  /* whose it is will be known when the key of its token has come */
    /* the handler's */
    struct buf               scratch;        /* decoded values */
    char                     trace[TRACE_BYTES];     /* what api_request_trace tells of */
    struct batch            *batch;          /* NULL: it is none */
    size_t                   taken;          /* items of a document that are in it */
    struct {
        struct line_reader         lines;
        bool                 wanted;         /* from api_begin: the body goes to api_feed, not into `body` */
        bool                 begun;          /* the answer has: what is in `answer` may be sent, and is to be removed then */
        bool                 ended;          /* nothing more is taken */
        int                  err;            /* why it ended before its body did; 0: it did not */
    }                        stream;
    union {
        struct call          call;
        struct publish_call  publish;
        struct fetch_call    fetch;
        struct channels_call channels;
        struct nodes_call    nodes;
        struct errand_call   errand;
        struct members_call  members;
        struct purge_call    purge;
        struct {
            struct deliveries_call deliveries;
            unsigned rounds;                 /* how often it may still be asked on, when nothing was found */
        };
        struct {
            struct record_call record;
            union {
                struct key_ask        key_ask;
                struct revocation_ask revocation_ask;
            };
            char     secret[API_KEY_TEXT];   /* of a key that is being made; shown once */
            uint8_t  sha256[32];             /* its fingerprint */
        };
    };
    struct fetch_channel     fetch_channel;
    size_t                   limit;          /* of the page that was asked for */
    /* the answer */
    int                      status;
    int                      err;            /* what the problem was; 0: none */
    const char              *content_type;   /* NULL: no body */
    struct buf               answer;         /* its body */
    struct buf               headers_out;    /* further header lines, each with its CRLF */
    bool                     is_page;        /* how long it may be kept, and its Content-Security-Policy, are among those */
};

/* Does its route look at a parameter of that name? What api_routes.def does not say is not looked at. */
bool             api_query_takes(const struct api_request *request, struct slice name);
/* The value of such a one, decoded and appended to request->scratch. */
enum query_found api_query_find(struct api_request *request, const char *name);

/* Ready for the next one; keeps memory, but not much of it. */
void api_request_reset(struct api_request *request);
void api_request_fini(struct api_request *request);

struct slice api_header_find(const struct api_request *request, const char *name);   /* {NULL,0}: not there */
/* Of its `traceparent` (trace.h); empty: it has none, more than one, or one that is wrong. Valid as long as the request. */
struct slice api_request_trace(struct api_request *request);
bool         api_header_only(const struct api_request *request, const char *name, struct slice *ret);     /* false: it is there twice */

/* The answer: begin, append to the buf, end. A buf that found no memory becomes a problem. */
struct buf *api_answer_begin(struct api_request *request, int status, const char *content_type);
void        api_answer_header(struct api_request *request, const char *name, const char *value);
void        api_answer_end(struct api_request *request);
const char *api_reason(int status);    /* "Not Found" */
/* What is told of a message that was published: members `id` to `subscribers`. */
void        buf_add_published(struct buf *out, const struct publish_call *publish);
/* A member `position`: the newest message of a channel, what a condition would have to say now. */
void        buf_add_newest(struct buf *out, struct position newest);

/* Mails request->call to the hub; `answered` runs on this thread when it is back and finds the request in call->owner. */
void api_submit(struct api_request *request, enum letter_kind kind, size_t bytes, void (*answered)(struct call *call));
/* The same of a call that is not in the request; it has an owner of its own. */
void api_submit_apart(struct api_request *request, struct call *call, enum letter_kind kind, size_t bytes, void (*answered)(struct call *call));
