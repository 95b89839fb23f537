/* sender.h — what the attempts of one endpoint have in common: where to and how (http_out.h), and the keys they are signed with. One for
 * each version of the endpoint, and another when a secret that was rotated out has ended.
 *
 *   sender_new(endpoint) ─> each attempt: sender_begin(request) … on the port's thread: body, signature of this moment ─> on its way
 *
 * Lifetime   reference-counted: its queue has one, and each attempt under way.
 * Threading  the hub's, but sender_prepare, which runs on the port's thread and is the only user of the signer.
 * Limits     one HMAC key schedule for each secret. */
#pragma once
#include "hub/http_out.h"
#include "webhooks/endpoint.h"

struct sender;

/* NULL: no memory. Takes a reference of the endpoint; the rules are the dispatcher's and outlive all senders. */
struct sender *sender_new(struct endpoint *endpoint, const struct http_out_rules *rules, int64_t now_s);
struct sender *sender_ref(struct sender *sender);
void           sender_unref(struct sender *sender);      /* NULL is fine */
const struct endpoint *sender_endpoint(const struct sender *sender);
const struct http_out_rules *sender_rules(const struct sender *sender);
/* A secret has ended since it was made: time for another. */
bool           sender_is_stale(const struct sender *sender, int64_t now_s);

/* What one attempt sends; `lines` and `body` belong to it and are kept for the next. */
struct sending {
    struct sender    *sender;          /* a reference */
    enum event_type   type;
    struct msg       *msg;             /* likewise */
    struct buf        lines, body;
};
/* In request->prepare: makes url, headers and body of `sending`. 0 or ERR_MEMORY. */
int            sender_prepare(struct http_out_request *request, struct sending *sending);
