/* api.h — the API without its transport: which routes there are, who may use them, and what they answer.
 *
 * The front (transports/http*) parses HTTP and owns the requests; here a request is authorised when its head is complete and
 * run when its body is. A handler answers at once, or submits a call to the hub (call.h) and answers when that comes back:
 *
 *   head complete ─> api_begin ──refused──> answered (problem+json)
 *                        └─ body may come, at most body_max ─> api_run ─> handler ─> api_answer_end
 *                                                                           └─ call ~~hub~~> answered ─> api_answer_end
 *
 * A body that is a stream (NDJSON) is not collected: api_run is called at once, and the body goes through api_feed while results
 * come back in request->answer. The front sends those, removes them, and feeds as long as there is room.
 *
 * api_answer_end calls request->finished once per request, possibly from inside api_begin or api_run; a request whose call has
 * come back may be gone after it.
 *
 * Threading  API thread. Hub state is reached by calls only.
 * Limits     body_max per route; a page of messages is cut at API_PAGE_BYTES. */
#pragma once
#include "hub/access/access.h"
#include "hub/api/api_request.h"

enum { API_PAGE_DEFAULT = 100, API_PAGE_MAX = 1000, API_PAGE_BYTES = 1024 * 1024, API_OBJECT_BYTES = 32 * 1024, API_BESIDE_DATA = 4096 };
enum api_body {
    BODY_NONE,
    BODY_MESSAGE,      /* limits.message and what stands beside it */
    BODY_BATCH,        /* many messages: a document of limits.batch, or a stream (request->stream) */
    BODY_EVENT,        /* an event: a JSON object with data as a message's; who may is judged by what is in it */
    BODY_SIGNAL,       /* what is said in a room: rooms.max_signal and what stands beside it */
    BODY_DOCUMENT,     /* a JSON object of at most API_OBJECT_BYTES */
    BODY_OBJECT,       /* a JSON object of at most API_OBJECT_BYTES, and of so much for each channel that a connection may have */
};
enum { OP_OPEN = ACCESS_OPS };         /* a route that needs no grant */

/* One line of api_routes.def. */
struct api_route {
    const char   *method, *path;       /* {…} in a path is one segment (path_params in api.c) */
    int           op;                  /* enum access_op, or OP_OPEN */
    enum api_body body;
    void        (*run)(struct api_request *request);
    const char   *query;               /* names of the parameters it looks at in the query, parted by spaces */
    const char   *deprecated, *sunset; /* values of the headers of that name (RFC 9745, RFC 8594); "" : not */
    const char   *summary;             /* one line for people */
};
extern const struct api_route api_routes[];
extern const size_t           api_route_count;

/* What one connection was found to be, so that a credential is checked once and not with every request. It ends when it may not be
 * true any more (new settings, a change of the authority, the credential's own end): what was taken back opens nothing, also on a
 * connection that stays. */
struct api_session {
    const struct config *config;       /* the settings it was found with */
    unsigned          version;         /* authority_version() before it was found */
    struct buf        key;             /* the credentials that `principal` came from; empty: none */
    struct principal *principal;       /* NULL: not asked yet */
    struct api_caller *caller;         /* whose requests these are; with the principal; one reference */
};
void api_session_fini(struct api_session *session);

/* 0: a body of at most body_max may come, then api_run. Otherwise an error, and it is answered already. */
int  api_begin(struct api_request *request);
void api_run(struct api_request *request);

/* A body without end, where request->stream.wanted after api_begin: api_run comes first, then the pieces. */
bool   api_feed_has_room(const struct api_request *request);
/* How much of the piece was taken: all, unless there is no room any more (progress tells when there is). */
size_t api_feed(struct api_request *request, struct slice piece);
/* 0: the body has ended. Otherwise why it is not taken any further; what was taken gets its results. finished may run inside. */
void   api_feed_end(struct api_request *request, int err);
/* Credentials that were taken back meanwhile, or have ended: why the request is not to go on, or 0. Under new settings the request is
 * who its credentials say now. */
int    api_still_admitted(struct api_request *request);

/* The handlers (api_publish.c, api_batch.c, api_channels.c, api_nodes.c, api_purge.c, api_presence.c, api_connections.c, api_keys.c,
 * api_revocations.c, api_webhooks.c, api_events.c, api_deliveries.c, api_rooms.c, api_ops.c, api_docs.c). */
void api_publish(struct api_request *request);
void api_publish_batch(struct api_request *request);
void api_list_channels(struct api_request *request);
void api_list_nodes(struct api_request *request);
void api_inspect_channel(struct api_request *request);
void api_read_messages(struct api_request *request);
void api_purge(struct api_request *request);
void api_list_members(struct api_request *request);
void api_list_connections(struct api_request *request);
void api_show_connection(struct api_request *request);
void api_disconnect(struct api_request *request);
void api_renew_connection(struct api_request *request);
void api_change_channels(struct api_request *request);
void api_make_key(struct api_request *request);
void api_list_keys(struct api_request *request);
void api_show_key(struct api_request *request);
void api_rotate_key(struct api_request *request);
void api_remove_key(struct api_request *request);
void api_revoke_tokens(struct api_request *request);
void api_list_revocations(struct api_request *request);
void api_show_revocation(struct api_request *request);
void api_remove_revocation(struct api_request *request);
void api_make_webhook(struct api_request *request);
void api_list_webhooks(struct api_request *request);
void api_show_webhook(struct api_request *request);
void api_change_webhook(struct api_request *request);
void api_remove_webhook(struct api_request *request);
void api_rotate_webhook_secret(struct api_request *request);
void api_test_webhook(struct api_request *request);
void api_replay_webhook(struct api_request *request);
void api_list_replays(struct api_request *request);
void api_show_replay(struct api_request *request);
void api_stop_replay(struct api_request *request);
void api_tell_event(struct api_request *request);
void api_show_event(struct api_request *request);
void api_list_event_types(struct api_request *request);
void api_list_deliveries(struct api_request *request);
void api_show_delivery(struct api_request *request);
void api_redeliver(struct api_request *request);
void api_list_dead_letters(struct api_request *request);
void api_show_dead_letter(struct api_request *request);
void api_redeliver_dead_letters(struct api_request *request);
void api_remove_dead_letters(struct api_request *request);
void api_remove_dead_letter(struct api_request *request);
void api_list_rooms(struct api_request *request);
void api_make_room(struct api_request *request);
void api_show_room(struct api_request *request);
void api_change_room(struct api_request *request);
void api_remove_room(struct api_request *request);
void api_expel(struct api_request *request);
void api_tell_room(struct api_request *request);
void api_make_ice_servers(struct api_request *request);
void api_live(struct api_request *request);
void api_ready(struct api_request *request);
void api_metrics(struct api_request *request);
void api_openapi(struct api_request *request);
void api_docs(struct api_request *request);
void api_root(struct api_request *request);
