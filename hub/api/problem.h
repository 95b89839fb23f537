/* problem.h — errors as RFC 9457 problem details: everything that is wrong with a request, not the first thing.
 *
 *   {"type":"about:blank","title":"Bad Request","status":400,"code":"bad_event","detail":"…","request_id":"…",
 *    "errors":[{"field":"event","code":"bad_event","detail":"…"}]}
 *
 * The first one added gives the status, the code and the detail. `errors` is there when something can be named.
 * Lifetime: on the stack of a handler; texts are borrowed. Threading: API thread. Limits: PROBLEM_FIELDS_MAX errors. */
#pragma once
#include <stddef.h>

struct api_request;

enum { PROBLEM_FIELDS_MAX = 8 };

struct problem {
    size_t n;
    struct { const char *field, *detail; int err; } found[PROBLEM_FIELDS_MAX];
};

/* `field` NULL: the request as a whole. `detail` NULL: the text of the error. */
void problem_add(struct problem *problem, const char *field, int err, const char *detail);
/* Answers with all that was added (at least one). */
void problem_answer(struct api_request *request, const struct problem *problem);
/* The same for a single error. */
void problem_answer_one(struct api_request *request, const char *field, int err, const char *detail);
