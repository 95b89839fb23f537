/* api.h — the API without its transport: which routes there are, who may use them, and what they answer.
 *
 * The front (transports/http*) parses HTTP and owns the requests; here a request is authorised when its head is complete and
 * run when its body is. A handler answers at once, or submits a call to the hub (call.h) and answers when that comes back:
 *
 *   head complete ─> api_begin ──refused──> answered (problem+json)
 *                        └─ body may come, at most body_max ─> api_run ─> handler ─> api_answer_end
 *                                                                           └─ call ~~hub~~> answered ─> api_answer_end
 *
 * api_answer_end calls request->finished once per request, possibly from inside api_begin or api_run; a request whose call has
 * come back may be gone after it.
 *
 * Lifetime   requests are the front's: memory is reused from one to the next (api_request_reset). What a handler borrows from
 *            head and body is valid until finished; a connection that is gone does not end its requests.
 * Threading  API thread. Hub state is reached by calls only.
 * Limits     body_max per route; a page of messages is cut at API_PAGE_BYTES. */
#pragma once
#include "hub/access.h"
#include "hub/call.h"
#include "hub/name.h"

struct api_request;
struct clock;
struct config;

enum { API_PAGE_DEFAULT = 100, API_PAGE_MAX = 1000, API_PAGE_BYTES = 1024 * 1024 };

struct api {                           /* one per API thread */
    const struct config *config;
    const struct clock  *clock;
    struct post         *to_hub;       /* flushed by the front, once per turn of its loop */
    uint8_t              peer;         /* its number at the hub */
};

struct api_header { struct slice name, value; };

enum api_body { BODY_NONE, BODY_MESSAGE };
enum { OP_OPEN = ACCESS_OPS };         /* a route that needs no grant */

/* One line of api_routes.def. */
struct api_route {
    const char   *method, *path;       /* "{channel}" in a path is one segment */
    int           op;                  /* enum access_op, or OP_OPEN */
    enum api_body body;
    void        (*run)(struct api_request *request);
    const char   *deprecated, *sunset; /* values of the headers of that name (RFC 9745, RFC 8594); "" : not */
    const char   *summary;             /* one line for people */
};
extern const struct api_route api_routes[];
extern const size_t           api_route_count;

/* What one connection was found to be, so that a key is hashed once and not with every request. New settings end it: a key that
 * was taken out of them opens nothing any more, also on a connection that stays. */
struct api_session {
    const struct config *config;       /* the settings it was found with */
    struct buf        key;             /* the credentials that `principal` came from; empty: none */
    struct principal *principal;       /* NULL: not asked yet */
};
void api_session_fini(struct api_session *session);

struct api_request {
    /* the front's, before api_begin */
    struct api              *api;
    struct api_session      *session;  /* used inside api_begin only */
    void                   (*finished)(struct api_request *request);
    int64_t                  arrived_us;     /* mono clock */
    struct slice             method, target; /* target as sent: origin-form, absolute-form or * */
    const struct api_header *headers;
    size_t                   n_headers;
    char                     id[129];        /* X-Request-Id, terminated */
    bool                     head_only;      /* HEAD: runs as GET; the answer's body is counted, not sent */
    /* the front's, before api_run */
    struct slice             body;
    /* from api_begin */
    const struct api_route  *route;
    struct slice             path, query;
    size_t                   body_max;       /* 0: this request has no body */
    char                     channel_bytes[CHANNEL_NAME_MAX];
    struct slice             channel;        /* decoded {channel}; to be checked by the handler */
    int                      channel_err;    /* ERR_BAD_CHANNEL: not a channel name */
    /* the handler's */
    struct buf               scratch;        /* decoded values */
    union {
        struct call          call;
        struct publish_call  publish;
        struct fetch_call    fetch;
        struct channels_call channels;
    };
    struct fetch_channel     fetch_channel;
    size_t                   limit;          /* of the page that was asked for */
    /* the answer */
    int                      status;
    const char              *content_type;   /* NULL: no body */
    struct buf               answer;         /* its body */
    struct buf               headers_out;    /* further header lines, each with its CRLF */
};

/* 0: a body of at most body_max may come, then api_run. Otherwise an error, and it is answered already. */
int  api_begin(struct api_request *request);
void api_run(struct api_request *request);
/* Ready for the next one; keeps memory, but not much of it. */
void api_request_reset(struct api_request *request);
void api_request_fini(struct api_request *request);

struct slice api_header_find(const struct api_request *request, const char *name);   /* {NULL,0}: not there */

/* The answer: begin, append to the buf, end. A buf that found no memory becomes a problem. */
struct buf *api_answer_begin(struct api_request *request, int status, const char *content_type);
void        api_answer_header(struct api_request *request, const char *name, const char *value);
void        api_answer_end(struct api_request *request);
const char *api_reason(int status);    /* "Not Found" */

/* Mails request->call to the hub; `answered` runs on this thread when it is back and finds the request in call->owner. */
void api_submit(struct api_request *request, enum letter_kind kind, size_t bytes, void (*answered)(struct call *call));

/* The handlers (api_publish.c, api_channels.c, api_ops.c). */
void api_publish(struct api_request *request);
void api_list_channels(struct api_request *request);
void api_inspect_channel(struct api_request *request);
void api_read_messages(struct api_request *request);
void api_live(struct api_request *request);
void api_ready(struct api_request *request);
void api_metrics(struct api_request *request);
void api_root(struct api_request *request);
