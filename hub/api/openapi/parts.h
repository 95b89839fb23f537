/* parts.h — what the OpenAPI document is made of: the JSON files of this folder, and the document as it grows.
 *
 * All of it is the program that writes openapi.json while the hub is built; nothing of it is in the hub. What is missing or wrong ends it with
 * a sentence, and the build with it.
 *
 *   api_routes.def ──┐
 *   err.def ─────────┼─> make_openapi ─> build/openapi.json ─> api_docs.c
 *   openapi/ *.json ─┘
 *
 * Lifetime   that of the process: nothing is freed. Threading: one. */
#pragma once
#include "hub/api/api.h"

#include <jansson.h>

struct parts {
    json_t *parameters;    /* parameters.json: "query.limit", …; what it says under "errors" is said of every operation that has it */
    json_t *headers;       /* headers.json: of answers; "on" says of which */
    json_t *errors;        /* errors.json: codes that whole groups of operations can answer */
    json_t *operations;    /* operations/ *.json: "METHOD path" -> what there is to say of it; taken out when used */
    json_t *document;      /* what is written in the end */
};

_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
json_t *component(const struct parts *parts, const char *kind);                   /* components.KIND of the document */
json_t *reference(const char *kind, const char *name);                            /* {"$ref":"#/components/KIND/NAME"} */
json_t *shared(json_t *from, const char *kind, const char *name, const char *whose);   /* the same of a name that `from` must know */
json_t *text(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* operation.c: of a route and what its file says. */
json_t *operation_make(const struct parts *parts, const struct api_route *route, const char *key, json_t *said);

/* answers.c: what it answers, by status (`whose`: "METHOD path"): what `said` says, and a problem for each status of the errors that it can have. */
json_t *answers_make(const struct parts *parts, const struct api_route *route, const char *whose, json_t *said, json_t *parameters);
/* {"content":{"TYPE":"Schema" or a whole media type object}} as OpenAPI has it; what `said` lists under "examples" is not in it yet. */
json_t *content_make(json_t *content);
void    example_add(json_t *content, const char *type, json_t *example, const char *member, const char *whose);
