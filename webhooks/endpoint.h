/* endpoint.h — one endpoint: where a partner wants to be told of what, signed how, how fast; what an administrator has said.
 *
 *   document = {"url":…,"events":[…],"channels":[…],"message_events":[…],"signature":…,"headers":{…},"enabled":bool,"paused":bool,"rate":n,
 *               "concurrency":n,"ordered":bool,"after_last":"skip|block","retry":"0,5s,…","description":…,"metadata":{…}}
 *   record   = {"document":…,"secrets":[…],"old_until":s,"disabled":"gone|failing","disabled_at":s,"failing_since":s,"created":s,"changed":s,"version":n}
 *   what is shown: the document with the rest, secrets masked, and its state (breaker, pending, dead letters) added by who shows it
 *
 * Immutable: a change makes another one of the same number and a higher version.
 *
 * Lifetime   reference-counted: the table has one, and each attempt under way.
 * Threading  the hub's; requests that are being sent read it on the port's thread (url, headers, signer).
 * Limits     ENDPOINT_*; a record is at most ENDPOINT_RECORD_MAX bytes. */
#pragma once
#include "hub/signature.h"
#include "hub/webhook_call.h"
#include "hub/webhook_id.h"
#include "webhooks/schedule.h"

#include <stdatomic.h>

enum {
    ENDPOINT_EVENTS = 64, ENDPOINT_CHANNELS = 100, ENDPOINT_HEADERS = 20, ENDPOINT_CONCURRENCY = 256,
    ENDPOINT_DESCRIPTION = 500, ENDPOINT_METADATA = 4096, ENDPOINT_RECORD_MAX = 32 * 1024,
};
enum endpoint_after_last { AFTER_LAST_SKIP, AFTER_LAST_BLOCK };
enum endpoint_disabled   { DISABLED_NOT, DISABLED_BY_HAND, DISABLED_GONE /* it answered 410 */, DISABLED_FAILING };

struct guard;

struct endpoint {
    atomic_uint          refs;
    uint64_t             number;             /* below 2^63, not 0 */
    uint32_t             version;            /* 1, 2, …; its ETag */
    char                *url;
    uint32_t             types;              /* a bit for each enum event_type; OWN: `own_types` says which */
    struct slice        *own_types;          /* names or patterns (order.*) */
    size_t               n_own_types;
    struct slice        *channels;           /* patterns; none: all */
    size_t               n_channels;
    struct slice        *message_events;     /* of message.published only those with one of these event names; none: all */
    size_t               n_message_events;
    enum signature_scheme scheme;
    struct slice         secrets[SECRETS_MAX];       /* the newest first */
    size_t               n_secrets;
    int64_t              old_until_s;        /* the second one is valid so long */
    struct slice         headers;            /* further header lines, "Name: value\n" each */
    bool                 paused;
    enum endpoint_disabled disabled;
    int64_t              disabled_s, failing_since_s;      /* 0: not */
    uint32_t             rate;               /* deliveries per second; 0: no limit */
    uint16_t             concurrency;        /* attempts at a time */
    bool                 ordered;
    enum endpoint_after_last after_last;     /* ordered: what comes after the last attempt */
    struct schedule      retry;              /* of retry_text */
    struct slice         retry_text;         /* its own schedule, as it was written; empty: that of the settings */
    int64_t              created_s, changed_s;
    struct slice         description, metadata;      /* metadata: a JSON object as it was sent; empty: none */
    char                *bytes;              /* what the slices point into */
};

struct endpoint *endpoint_ref(struct endpoint *endpoint);
void             endpoint_unref(struct endpoint *endpoint);      /* NULL is fine */

struct endpoint_terms {                      /* what the settings say */
    const struct guard    *guard;            /* NULL: URLs are not looked at */
    bool                   allow_http;
    int64_t                now_s;
};

/* A new endpoint of a document (JSON object); without a secret one is made. NULL: problems (n 0: no memory). */
struct endpoint *endpoint_make(uint64_t number, struct slice document, const struct endpoint_terms *terms, struct webhook_problems *ret_problems);
/* `before` with the members of a merge patch (RFC 7396): null puts back what is usual. Likewise. */
struct endpoint *endpoint_patch(const struct endpoint *before, struct slice patch, const struct endpoint_terms *terms, struct webhook_problems *ret_problems);
/* `before` with another secret (empty: one is made); the one it has stays valid for overlap_ms. Likewise. */
struct endpoint *endpoint_rotate(const struct endpoint *before, struct slice secret, int64_t overlap_ms, const struct endpoint_terms *terms,
                                 struct webhook_problems *ret_problems);
/* `before`, disabled (not by hand) or failing since: what the hub itself changes. NULL: no memory. */
struct endpoint *endpoint_mark(const struct endpoint *before, enum endpoint_disabled disabled, int64_t failing_since_s, int64_t now_s);

void endpoint_print_record(const struct endpoint *endpoint, struct buf *out);
/* 0, ERR_STORE_OPEN (no such record was ever written), ERR_MEMORY. */
int  endpoint_read_record(uint64_t number, struct slice record, struct endpoint **ret_endpoint);
/* Members of the JSON object that is shown, without braces: with its secret only when `with_secret`. */
void endpoint_print(const struct endpoint *endpoint, bool with_secret, struct buf *out);

/* Is this for it? Whether it is enabled does not count. */
bool     endpoint_wants(const struct endpoint *endpoint, enum event_type type, const struct msg *m);
/* The lane of an event at this endpoint: 0 unless it is ordered; else of its channel. */
uint64_t endpoint_lane(const struct endpoint *endpoint, const struct msg *m);
