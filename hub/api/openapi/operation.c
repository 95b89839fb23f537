/* operation.c — one operation: from its route what the hub goes by (path, grant, query, body), from its file what is said of it. */
#include "hub/api/openapi/parts.h"

#include <ctype.h>
#include <stdio.h>

/* ---- parameters ---- */

/* The shared one, or with what the operation says differently of it. */
static void add_parameter(const struct parts *parts, json_t *out, const char *place, const char *name, const char *whose, json_t *said)
{
    char key[128];
    snprintf(key, sizeof key, "%s.%s", place, name);
    json_t *other = json_object_get(json_object_get(said, "parameters"), key), *part = shared(parts->parameters, "parameters", key, whose);
    if (other) {
        json_decref(part);
        part = json_deep_copy(json_object_get(parts->parameters, key));
        json_object_del(part, "errors");
        json_object_update(part, other);
    }
    json_array_append_new(out, part);
}

static void add_path_parameters(const struct parts *parts, json_t *out, const struct api_route *route, const char *whose, json_t *said)
{
    char name[64];
    for (const char *at = strchr(route->path, '{'); at; at = strchr(at + 1, '{')) {
        snprintf(name, sizeof name, "%.*s", (int)strcspn(at + 1, "}"), at + 1);
        add_parameter(parts, out, "path", name, whose, said);
    }
}

static void add_query_parameters(const struct parts *parts, json_t *out, const struct api_route *route, const char *whose, json_t *said)
{
    char name[64];
    for (const char *at = route->query; *at; at += strspn(at, " ")) {
        snprintf(name, sizeof name, "%.*s", (int)strcspn(at, " "), at);
        add_parameter(parts, out, "query", name, whose, said);
        at += strlen(name);
    }
}

static json_t *parameters_of(const struct parts *parts, const struct api_route *route, const char *whose, json_t *said)
{
    json_t *out = json_array(), *name;
    size_t i;
    add_path_parameters(parts, out, route, whose, said);
    add_query_parameters(parts, out, route, whose, said);
    json_array_foreach(json_object_get(said, "headers"), i, name)
        add_parameter(parts, out, "header", json_string_value(name), whose, said);
    json_array_extend(out, json_object_get(said, "own_parameters"));
    add_parameter(parts, out, "header", "X-Request-Id", whose, said);
    return out;
}

/* ---- body ---- */

static json_t *body_of(const struct api_route *route, const char *whose, json_t *said)
{
    json_t *body = json_deep_copy(json_object_get(said, "body")), *example;
    size_t i;
    if ((route->body == BODY_NONE) != !body)
        fail("%s: %s", whose, body ? "its route has no body" : "say what its body is");
    if (!body)
        return NULL;
    json_t *content = content_make(json_object_get(body, "content"));
    json_array_foreach(json_object_get(said, "examples"), i, example)
        if (json_object_get(example, "body") && json_integer_value(json_object_get(example, "status")) < 400)      /* else it is a mistake */
            example_add(content, json_string_value(json_object_get(example, "type")), example, "body", whose);
    json_object_set_new(body, "content", content);
    return body;
}

/* ---- all of it ---- */

static json_t *description_of(const struct api_route *route, json_t *said)
{
    const char *own = json_string_value(json_object_get(said, "description"));
    if (route->op == OP_OPEN)
        return text("%s", own ? own : route->summary);
    return text("%s%sNeeds the operation `%s`%s.", own ? own : "", own ? "\n\n" : "", access_op_names[route->op],
                route->op == OP_ADMIN ? ", over all channels" : "");
}

static void set_security(json_t *operation, const struct api_route *route, json_t *said)
{
    json_t *own = json_object_get(said, "security");
    if (own)
        json_object_set(operation, "security", own);
    else if (route->op == OP_OPEN)
        json_object_set_new(operation, "security", json_array());
}

static void copy(json_t *to, json_t *from, const char *name)
{
    json_t *value = json_object_get(from, name);
    if (value)
        json_object_set(to, name, value);
}

static void refuse_unknown(json_t *said, const char *whose)
{
    static const char *const known = " tag operationId description parameters headers own_parameters body answers errors examples summary servers security ";
    const char *name;
    json_t *value;
    char wanted[64];
    json_object_foreach(said, name, value) {
        snprintf(wanted, sizeof wanted, " %s ", name);
        if (!strstr(known, wanted))
            fail("%s: nothing is made of \"%s\"", whose, name);
    }
    if (!json_object_get(said, "tag") || !json_object_get(said, "operationId") || !json_object_get(said, "answers"))
        fail("%s: tag, operationId and answers are needed", whose);
}

json_t *operation_make(const struct parts *parts, const struct api_route *route, const char *key, json_t *said)
{
    refuse_unknown(said, key);
    json_t *operation = json_object(), *parameters = parameters_of(parts, route, key, said), *body = body_of(route, key, said);
    json_object_set_new(operation, "tags", json_pack("[O]", json_object_get(said, "tag")));
    json_object_set_new(operation, "summary", text("%s", route->summary));
    json_object_set_new(operation, "description", description_of(route, said));
    copy(operation, said, "operationId");
    if (route->deprecated[0])
        json_object_set_new(operation, "deprecated", json_true());
    copy(operation, said, "servers");
    set_security(operation, route, said);
    json_object_set_new(operation, "parameters", parameters);
    if (body)
        json_object_set_new(operation, "requestBody", body);
    json_object_set_new(operation, "responses", answers_make(parts, route, key, said, parameters));
    if (json_object_get(said, "examples"))
        json_object_set(operation, "x-examples", json_object_get(said, "examples"));
    return operation;
}
