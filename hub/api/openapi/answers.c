/* answers.c — what an operation answers. An error is named by its code only: status and text are those of err.def.
 *
 * Which errors an operation can have is the sum of what errors.json says of operations like it, what parameters.json says of its parameters, and
 * what is said of it alone. Problems that are the same everywhere stand once, under components.responses. */
#include "hub/api/openapi/parts.h"

#include <stdio.h>
#include <stdlib.h>

static const struct { const char *code, *text; int status; } errs[] = {
#define ERR(name, code, status, close, text) { code, text, status },
#include "hub/base/err.def"
#undef ERR
};
enum { ERRS = sizeof errs / sizeof *errs, STATUS_MAX = 600 };

struct codes { bool has[ERRS]; };

/* ---- which errors ---- */

static void add_code(struct codes *codes, const char *code, const char *whose)
{
    bool any = false;
    for (size_t i = 0; i < ERRS; i++) {
        bool same = !strcmp(errs[i].code, code);
        codes->has[i] = codes->has[i] || same;
        any = any || same;
    }
    if (!any)
        fail("%s: err.def has no code \"%s\"", whose, code);
}

static void add_codes(struct codes *codes, json_t *list, const char *whose)
{
    size_t i;
    json_t *code;
    json_array_foreach(list, i, code)
        add_code(codes, json_string_value(code), whose);
}

static void add_group(const struct parts *parts, struct codes *codes, const char *group)
{
    json_t *list = json_object_get(parts->errors, group);
    if (!list)
        fail("errors.json has no \"%s\"", group);
    add_codes(codes, list, group);
}

/* A parameter that the operation has changed is known by its place and name. */
static void add_of_parameter(const struct parts *parts, struct codes *codes, json_t *parameter)
{
    char key[128];
    const char *ref = json_string_value(json_object_get(parameter, "$ref")), *at = ref ? strrchr(ref, '/') + 1 : NULL;
    if (!at) {
        snprintf(key, sizeof key, "%s.%s", json_string_value(json_object_get(parameter, "in")), json_string_value(json_object_get(parameter, "name")));
        at = key;
    }
    add_codes(codes, json_object_get(json_object_get(parts->parameters, at), "errors"), at);
}

static struct codes codes_of(const struct parts *parts, const struct api_route *route, const char *whose, json_t *said, json_t *parameters)
{
    struct codes codes = { 0 };
    json_t *parameter;
    size_t i;
    bool is_public = json_object_get(said, "servers");
    add_group(parts, &codes, "always");
    if (is_public)
        add_group(parts, &codes, "public");
    if (!is_public && route->op != OP_OPEN)
        add_group(parts, &codes, "credentials");
    if (route->body != BODY_NONE)
        add_group(parts, &codes, "body");
    if (route->body == BODY_OBJECT || route->body == BODY_DOCUMENT || route->body == BODY_SIGNAL)
        add_group(parts, &codes, "object");
    json_array_foreach(parameters, i, parameter)
        add_of_parameter(parts, &codes, parameter);
    add_codes(&codes, json_object_get(said, "errors"), whose);
    return codes;
}

/* ---- content and examples ---- */

json_t *content_make(json_t *content)
{
    json_t *out = json_object(), *value;
    const char *type;
    json_object_foreach(content, type, value)
        json_object_set_new(out, type, json_is_string(value) ? json_pack("{s:o}", "schema", reference("schemas", json_string_value(value))) : json_deep_copy(value));
    return out;
}

/* As a type is looked for (OpenAPI, "Media Type Object"): itself, all of its kind, anything. */
static json_t *media_of(json_t *content, const char *type)
{
    char kind[64];
    snprintf(kind, sizeof kind, "%.*s/*", (int)strcspn(type, "/"), type);
    json_t *found = json_object_get(content, type);
    if (!found)
        found = json_object_get(content, kind);
    return found ? found : json_object_get(content, "*/*");
}

void example_add(json_t *content, const char *type, json_t *example, const char *member, const char *whose)
{
    json_t *media = media_of(content, type ? type : ""), *examples = json_object_get(media, "examples");
    const char *name = json_string_value(json_object_get(example, "name"));
    if (!media || !name)
        fail("%s: an example has no name, or a type that is not described: %s", whose, type ? type : "none");
    if (!examples) {
        examples = json_object();
        json_object_set_new(media, "examples", examples);
    }
    json_t *out = json_object();
    if (json_object_get(example, "summary"))
        json_object_set(out, "summary", json_object_get(example, "summary"));
    json_object_set(out, "value", json_object_get(example, member));
    json_object_set_new(examples, name, out);
}

/* Those of this status; they go into the type they name as answer_type, or the first one. True: there was one. */
static bool add_examples(json_t *content, json_t *said, int status, const char *whose)
{
    json_t *example;
    size_t i;
    bool any = false;
    json_array_foreach(json_object_get(said, "examples"), i, example) {
        const char *type = json_string_value(json_object_get(example, "answer_type"));
        if (json_integer_value(json_object_get(example, "status")) != status || !json_object_get(example, "answer"))
            continue;
        if (!type)
            type = status >= 400 ? "application/problem+json" : json_object_iter_key(json_object_iter(content));
        example_add(content, type, example, "answer", whose);
        any = true;
    }
    return any;
}

/* ---- headers ---- */

static bool is_on(const char *on, const char *what)
{
    const char *at = strstr(on, what);
    return at && (at[strlen(what)] == ' ' || at[strlen(what)] == '\0');
}

static json_t *headers_of(const struct parts *parts, const struct api_route *route, json_t *said, int status, bool is_public, const char *whose)
{
    char number[16];
    const char *name;
    json_t *out = json_object(), *header;
    size_t i;
    snprintf(number, sizeof number, "%d", status);
    json_object_foreach(parts->headers, name, header) {
        const char *on = json_string_value(json_object_get(header, "on"));
        if ((is_on(on, "always") && !is_public) || is_on(on, number) || (is_on(on, "counted") && route->op != OP_OPEN))
            json_object_set_new(out, name, reference("headers", name));
    }
    json_array_foreach(json_object_get(said, "headers"), i, header)
        json_object_set_new(out, json_string_value(header), shared(parts->headers, "headers", json_string_value(header), whose));
    return out;
}

/* ---- problems ---- */

/* What each code means, and the codes as a schema. */
static json_t *describe(const struct codes *codes, int status, json_t *ret_codes)
{
    json_t *lines = json_string("");
    for (size_t i = 0; i < ERRS; i++) {
        if (!codes->has[i] || errs[i].status != status)
            continue;
        bool again = json_array_size(ret_codes) > 0 && !strcmp(errs[i].code, json_string_value(json_array_get(ret_codes, json_array_size(ret_codes) - 1)));
        if (!again)
            json_array_append_new(ret_codes, text("%s", errs[i].code));
        lines = text("%s%s- `%s`: %s", json_string_value(lines), json_string_length(lines) > 0 ? "\n" : "", errs[i].code, errs[i].text);
    }
    return lines;
}

static json_t *problem_make(const struct parts *parts, const struct api_route *route, const struct codes *codes, int status, bool is_public)
{
    json_t *list = json_array(), *lines = describe(codes, status, list);
    json_t *narrower = json_pack("{s:{s:{s:i},s:{s:o}}}", "properties", "status", "const", status, "code", "enum", list);
    json_t *media = json_pack("{s:{s:[o,o]}}", "schema", "allOf", reference("schemas", is_public ? "PublicProblem" : "Problem"), narrower);
    return json_pack("{s:o,s:o,s:{s:o}}", "description", lines, "headers", headers_of(parts, route, NULL, status, is_public, ""), "content",
                     "application/problem+json", media);
}

/* The same problem of another operation, if there is one; else it becomes one. */
static json_t *share(const struct parts *parts, json_t *problem, int status)
{
    json_t *all = component(parts, "responses"), *other;
    const char *name;
    char own[32];
    int n = 1;
    snprintf(own, sizeof own, "problem-%d", status);
    json_object_foreach(all, name, other) {
        if (json_equal(other, problem))
            return reference("responses", name);
        n += !strncmp(name, own, strlen(own));
    }
    if (n > 1)
        snprintf(own + strlen(own), sizeof own - strlen(own), "-%d", n);
    json_object_set_new(all, own, problem);
    return reference("responses", own);
}

static bool has_status(const struct codes *codes, int status)
{
    for (size_t i = 0; i < ERRS; i++)
        if (codes->has[i] && errs[i].status == status)
            return true;
    return false;
}

/* ---- all of them ---- */

static json_t *success_make(const struct parts *parts, const struct api_route *route, json_t *said, json_t *answer, int status, const char *whose)
{
    json_t *out = json_object(), *content = json_object_get(answer, "content"), *own = NULL;
    json_object_set(out, "description", json_object_get(answer, "description"));
    json_object_set_new(out, "headers", headers_of(parts, route, answer, status, json_object_get(said, "servers"), whose));
    if (content) {
        own = content_make(content);
        json_object_set_new(out, "content", own);
    }
    if (own)
        add_examples(own, said, status, whose);
    if (json_object_get(answer, "links"))
        json_object_set(out, "links", json_object_get(answer, "links"));
    return out;
}

/* One status may be an answer as well as a problem. */
static void merge(json_t *answer, json_t *problem)
{
    json_t *lines = text("%s\n\n%s", json_string_value(json_object_get(answer, "description")), json_string_value(json_object_get(problem, "description")));
    json_object_set_new(answer, "description", lines);
    json_object_update(json_object_get(answer, "content"), json_object_get(problem, "content"));
    json_object_update(json_object_get(answer, "headers"), json_object_get(problem, "headers"));
}

json_t *answers_make(const struct parts *parts, const struct api_route *route, const char *whose, json_t *said, json_t *parameters)
{
    struct codes codes = codes_of(parts, route, whose, said, parameters);
    bool is_public = json_object_get(said, "servers");
    json_t *out = json_object();
    char number[16];
    for (int status = 100; status < STATUS_MAX; status++) {
        snprintf(number, sizeof number, "%d", status);
        json_t *answer = json_object_get(json_object_get(said, "answers"), number);
        json_t *problem = has_status(&codes, status) ? problem_make(parts, route, &codes, status, is_public) : NULL;
        if (answer) {
            answer = success_make(parts, route, said, answer, status, whose);
            if (problem)
                merge(answer, problem);
        } else if (problem) {
            answer = add_examples(json_object_get(problem, "content"), said, status, whose) ? problem : share(parts, problem, status);
        } else {
            continue;
        }
        json_object_set_new(out, number, answer);
    }
    return out;
}
