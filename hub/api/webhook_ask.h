/* webhook_ask.h — what an administrator asks of the webhooks, on its way from a request to the hub and back (webhook_call.h).
 *
 *   handler ─> webhook_ask_new ─> what it needs ─> webhook_ask_submit ~~hub~~> done(request, ask)     0: the handler answers
 *                                                                       └────> problem+json           else it is answered, with all that is wrong
 *
 * The call is beside the request and not in it, because it is larger than all others and rare.
 *
 * Lifetime   freed when done() has returned; its texts are the call's.
 * Threading  API thread. */
#pragma once
#include "hub/api/api_request.h"
#include "hub/webhook_call.h"

/* NULL: no memory, and that is answered. */
struct webhook_call *webhook_ask_new(struct api_request *request, enum webhook_order order);
void webhook_ask_submit(struct webhook_call *ask, void (*done)(struct api_request *request, struct webhook_call *ask));

/* The usual done(): 200 or 202 with the text as it came. */
void webhook_ask_answer(struct api_request *request, struct webhook_call *ask);
void webhook_ask_answer_later(struct api_request *request, struct webhook_call *ask);

/* 404: there is no such thing as the route is about. */
void webhook_answer_not_found(struct api_request *request, const char *what);
