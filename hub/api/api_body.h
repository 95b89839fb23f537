/* api_body.h — the body of an administrative request: one JSON object, of which every member is looked at.
 *
 * What is decoded goes into request->scratch, which gets its size before the first value, so slices of it do not move; values of the
 * query find room behind those of the body. A member that is not known is an error: a misspelt `expires_in` would make a key that
 * never expires.
 *
 * Threading: API thread. */
#pragma once
#include "hub/api/api_request.h"
#include "hub/base/json.h"

struct problem;

struct body_reader {
    struct api_request *request;
    struct problem     *problem;       /* what is wrong, so far */
    struct json_object  object;
};

/* `known` ends with NULL. An absent body is an object without members. False: no memory, and that is answered. */
bool         api_body_begin(struct api_request *request, struct problem *problem, const char *const *known, struct body_reader *ret_body);
/* As it was sent; {NULL,0}: not there, or null. */
struct slice api_body_find(const struct body_reader *body, const char *name);
/* Unquoted; {NULL,0}: not there, or wrong (at most `most` bytes of UTF-8, and not empty; `form` says so). */
struct slice api_body_string(struct body_reader *body, const char *name, size_t most, const char *form);
/* A length of time: a string ("24h") or a number of seconds. False: not there, or wrong. */
bool         api_body_duration(struct body_reader *body, const char *name, int64_t most_ms, int64_t *ret_ms);
/* A moment: RFC 3339, or a number: seconds since 1970, as in tokens. Likewise. */
bool         api_body_moment(struct body_reader *body, const char *name, int64_t *ret_s);
