/* json.h — JSON as bytes: is it valid, and where in it is a member. Payloads travel as the bytes the publisher sent, so
 * nothing here builds values.
 *
 * One pass over the text checks all of RFC 8259: structure, numbers, escapes, control characters, UTF-8, depth, no text after
 * the value; and lone surrogate escapes, which no receiver agrees about. It allocates nothing and is linear in the text. (A
 * tokenizer such as jsmn finds the same slices, but needs memory for each token, is quadratic in a long array of arrays, and
 * leaves all of these checks to us; with them done there is nothing left for it to do.)
 *
 * Threading: pure functions.
 * Limits: JSON_DEPTH_MAX levels; objects that are taken apart have at most JSON_MEMBERS_MAX members. */
#pragma once
#include "hub/base/buf.h"

enum { JSON_DEPTH_MAX = 64, JSON_MEMBERS_MAX = 32 };

bool utf8_valid(struct slice s);                 /* RFC 3629: no overlong, no surrogates, up to U+10FFFF */

/* One JSON value and nothing else (white space around it is fine). 0, ERR_BAD_UTF8, ERR_BAD_JSON. *ret_value: without the white space around. */
int json_check(struct slice text, struct slice *ret_value);

struct json_member {
    struct slice name;       /* without quotes, as written (escapes are not undone: a name with one never equals ours) */
    struct slice value;      /* its bytes as sent; strings with quotes */
};
struct json_object {
    size_t             n;
    struct json_member members[JSON_MEMBERS_MAX];
};
/* The members of an object, one level. 0; ERR_BAD_JSON (invalid), ERR_BAD_UTF8; ERR_BAD_REQUEST: valid, but not an object or
 * one of too many members. */
int json_object_parse(struct slice text, struct json_object *ret_object);
/* {NULL,0}: not there. Of a member that is there twice the last counts (PROTOCOL.md). */
struct slice json_member_find(const struct json_object *object, const char *name);

/* A JSON string without its quotes and escapes, appended to `out`; ERR_BAD_FIELD when it is not a string. */
int json_unquote(struct slice value, struct buf *out);
/* The values of an array, one level; calls each(arg, value) until it returns non-zero, which is returned. ERR_BAD_FIELD: not an array. */
int json_array_each(struct slice value, int (*each)(void *arg, struct slice value), void *arg);
