/* item.h — a message as an item of POST /v1/messages (PROTOCOL.md §8), one line of NDJSON.
 *
 * What the command line says comes first in the object, what an item of standard input says itself behind it: of a member that is there
 * twice the last one counts, so an item can have its own event, or key. Where it goes is one member only: an item that names any of
 * channel, channels, pattern and user keeps it.
 *
 * Threading: pure functions. Limits: linear in the message. */
#pragma once
#include "hub/base/buf.h"

enum item_kind { ITEM_ANY /* text where it is UTF-8, else binary */, ITEM_JSON, ITEM_TEXT };

struct item_terms {
    const char    *channel, *user;              /* one of them, or neither; a channel with an asterisk is a pattern */
    const char    *event, *exclude, *ttl;       /* NULL: none */
    const char    *key;                         /* idempotency key, to which the item's number is added; NULL: none */
    enum item_kind kind;
};

bool item_is_pattern(const char *channel);
/* Appends the item of a payload, with a line end. 0; ERR_BAD_JSON, ERR_BAD_UTF8: the payload is not what `kind` says; ERR_MEMORY.
 * Nothing is appended on failure. */
int  item_add_payload(struct buf *out, const struct item_terms *terms, struct slice payload, uint64_t number);
/* Appends an item that is one already. What is no object goes as it is: the hub says what is wrong with it. 0 or ERR_MEMORY.
 * *ret_many: it may have several results. */
int  item_add_object(struct buf *out, const struct item_terms *terms, struct slice object, uint64_t number, bool *ret_many);
