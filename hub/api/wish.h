/* wish.h — what a publisher asks for in one JSON object: a message, before it is one, and under which terms. The body of a publish
 * is such an object, so is each item of a batch, and the frame of a WebSocket.
 *
 *   {"data":…, "encoding"?, "event"?, "exclude"?, "ttl"?, "idempotency_key"?, "if_position"?}
 *
 * No value is built: slices point into the object's text (the payload: the exact bytes of `data`) or, where there were escapes or
 * base64 to undo, into `scratch`.
 *
 * Lifetime   on the stack of a handler; valid as long as the text, and as `scratch` does not move: the caller gives it room for all
 *            of the text before the first value is read.
 * Threading  pure functions, but for what they append. */
#pragma once
#include "hub/base/json.h"
#include "hub/call.h"

struct problem;

/* Text that a field of the object or a header of the request gave, and its name for whoever is told that it is wrong. */
struct term {
    struct slice text;                           /* at NULL: not there */
    const char  *field;
};

struct wish {
    struct slice     data, event, exclude, ttl;  /* at NULL: not there */
    struct slice     trace;                      /* of the request (trace.h); empty: none */
    enum msg_kind    kind;
    struct term      key, condition;             /* idempotency_key, if_position */
    /* from wish_check */
    int64_t          ttl_ms;                     /* 0: none */
    enum if_position if_position;
    struct position  position;
};

/* All that is wrong is added to `problem`; a member that is null is as if absent, but for data. */
void wish_read(const struct json_object *object, struct buf *scratch, struct wish *ret_wish, struct problem *problem);
/* A string member without its quotes and escapes; `ret` stays as it is when it is absent, null, or no string (a problem). */
void wish_read_string(const struct json_object *object, const char *name, struct buf *scratch, struct slice *ret, struct problem *problem);
/* Is each part what it should be? Finds ttl_ms and the condition. `most`: the largest payload. */
void wish_check(struct wish *wish, size_t most, struct problem *problem);
/* The message it becomes; NULL: no memory. `client`: of the publisher, or empty. */
struct msg *wish_message(const struct wish *wish, struct slice channel, struct slice client);
/* Its terms: what the call needs to know beside the message. `scope` is who asks. 0 or ERR_MEMORY. */
int wish_terms(const struct wish *wish, struct slice scope, struct slice channel, struct publish_call *call);
