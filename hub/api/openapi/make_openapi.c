/* make_openapi.c — writes the OpenAPI document:   make-openapi FOLDER OUT
 *
 * Every route of api_routes.def is in it, or there is none: a route that nothing is said of, and what is said of no route, end the build. */
#include "hub/api/openapi/parts.h"
#include "hub/version.h"

#include <ctype.h>
#include <glob.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static const struct api_route routes[] = {
#define ROUTE(method, path, op, body, run, query, deprecated, sunset, summary) { #method, path, op, body, NULL, query, deprecated, sunset, summary },
#include "hub/api/api_routes.def"
#undef ROUTE
};

/* ---- what all of it uses ---- */

void fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("openapi: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}

json_t *text(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    json_t *value = json_vsprintf(format, args);
    va_end(args);
    if (!value)
        fail("a text is not UTF-8, or there is no memory: %s", format);
    return value;
}

json_t *component(const struct parts *parts, const char *kind)
{
    json_t *components = json_object_get(parts->document, "components"), *found = json_object_get(components, kind);
    if (!found) {
        found = json_object();
        json_object_set_new(components, kind, found);
    }
    return found;
}

json_t *reference(const char *kind, const char *name) { return json_pack("{s:o}", "$ref", text("#/components/%s/%s", kind, name)); }

json_t *shared(json_t *from, const char *kind, const char *name, const char *whose)
{
    if (!json_object_get(from, name))
        fail("%s: there is no %s in %s.json", whose, name, kind);
    return reference(kind, name);
}

/* ---- reading ---- */

static json_t *load(const char *folder, const char *name)
{
    char path[4096];
    json_error_t error;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    json_t *value = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    if (!json_is_object(value))
        fail("%s:%d: %s", path, error.line, value ? "not an object" : error.text);
    return value;
}

static json_t *load_operations(const char *folder)
{
    char pattern[4096];
    glob_t files;
    json_t *all = json_object(), *said;
    const char *key;
    snprintf(pattern, sizeof pattern, "%s/operations/*.json", folder);
    if (glob(pattern, 0, NULL, &files))
        fail("nothing matches %s", pattern);
    for (size_t i = 0; i < files.gl_pathc; i++) {
        json_t *one = load(folder, files.gl_pathv[i] + strlen(folder) + 1);
        json_object_foreach(one, key, said)
            if (json_object_get(all, key) || json_object_set(all, key, said))
                fail("%s: %s is described already", files.gl_pathv[i], key);
    }
    return all;
}

/* A schema that says "extends" has all of the other one's members too. */
static void extend(json_t *schemas, json_t *schema)
{
    const char *base = json_string_value(json_object_get(schema, "extends"));
    if (!base)
        return;
    json_t *of = json_object_get(schemas, base), *properties = json_deep_copy(json_object_get(of, "properties"));
    json_t *required = json_deep_copy(json_object_get(of, "required"));
    if (!required)
        required = json_array();
    if (!properties || json_object_get(of, "extends"))
        fail("schemas.json: %s cannot be extended", base);
    json_object_update(properties, json_object_get(schema, "properties"));
    json_array_extend(required, json_object_get(schema, "required"));
    json_object_set_new(schema, "properties", properties);
    json_object_set_new(schema, "required", required);
    json_object_del(schema, "extends");
}

/* Shared parts without what is for this program only. */
static void publish_shared(const struct parts *parts, const char *kind, json_t *from, const char *hidden)
{
    const char *name;
    json_t *value;
    json_object_foreach(from, name, value) {
        json_t *copy = json_deep_copy(value);
        json_object_del(copy, hidden);
        json_object_set_new(component(parts, kind), name, copy);
    }
}

/* "query.limit" is what it is called and where it stands. */
static void name_parameters(json_t *parameters)
{
    const char *key;
    json_t *parameter;
    json_object_foreach(parameters, key, parameter) {
        const char *dot = strchr(key, '.');
        if (!dot)
            fail("parameters.json: %s is not PLACE.NAME", key);
        json_object_set_new(parameter, "name", text("%s", dot + 1));
        json_object_set_new(parameter, "in", text("%.*s", (int)(dot - key), key));
        if (!strncmp(key, "path.", 5))
            json_object_set_new(parameter, "required", json_true());
    }
}

static struct parts read_parts(const char *folder)
{
    struct parts parts = {
        .parameters = load(folder, "parameters.json"), .headers = load(folder, "headers.json"), .errors = load(folder, "errors.json"),
        .operations = load_operations(folder), .document = load(folder, "document.json"),
    };
    json_t *schemas = load(folder, "schemas.json"), *schema;
    const char *name;
    json_object_foreach(schemas, name, schema)
        extend(schemas, schema);
    json_object_set_new(json_object_get(parts.document, "info"), "version", text("%s", CARILLON_VERSION));
    name_parameters(parts.parameters);
    publish_shared(&parts, "schemas", schemas, "");
    publish_shared(&parts, "parameters", parts.parameters, "errors");
    publish_shared(&parts, "headers", parts.headers, "on");
    return parts;
}

/* ---- writing ---- */

static void add_operation(const struct parts *parts, const struct api_route *route, const char *key, json_t *said)
{
    json_t *paths = json_object_get(parts->document, "paths"), *item = json_object_get(paths, route->path);
    char method[16] = { 0 };
    for (size_t i = 0; route->method[i] && i < sizeof method - 1; i++)
        method[i] = (char)tolower((unsigned char)route->method[i]);
    if (!item) {
        item = json_object();
        json_object_set_new(paths, route->path, item);
    }
    json_object_set_new(item, method, operation_make(parts, route, key, said));
}

static void add_routes(const struct parts *parts)
{
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
        char key[256];
        snprintf(key, sizeof key, "%s %s", routes[i].method, routes[i].path);
        json_t *said = json_object_get(parts->operations, key);
        if (!said)
            fail("nothing is said of the route %s: hub/api/README.md tells what to write", key);
        add_operation(parts, &routes[i], key, json_incref(said));
        json_object_del(parts->operations, key);
    }
}

/* What is left must be of the public port, whose table is its own. */
static void add_public(const struct parts *parts)
{
    const char *key;
    json_t *said;
    json_object_foreach(parts->operations, key, said) {
        const char *path = strchr(key, '/'), *summary = json_string_value(json_object_get(said, "summary"));
        if (!json_object_get(said, "servers") || strncmp(key, "GET ", 4) || !summary)
            fail("%s is described, but there is no such route", key);
        add_operation(parts, &(struct api_route){ "GET", path, OP_OPEN, BODY_NONE, NULL, "", "", "", summary }, key, said);
    }
}

static void refuse_unused(const struct parts *parts)
{
    char *all = json_dumps(parts->document, JSON_COMPACT), wanted[256];
    const char *kind, *name;
    json_t *of_kind, *value;
    json_object_foreach(json_object_get(parts->document, "components"), kind, of_kind)
        json_object_foreach(of_kind, name, value) {
            snprintf(wanted, sizeof wanted, "\"#/components/%s/%s\"", kind, name);
            if (strcmp(kind, "securitySchemes") != 0 && !strstr(all, wanted))
                fail("nothing uses %s of %s.json", name, kind);
        }
    free(all);
}

int main(int argc, char **argv)
{
    if (argc != 3)
        fail("make-openapi FOLDER OUT");
    struct parts parts = read_parts(argv[1]);
    add_routes(&parts);
    add_public(&parts);
    refuse_unused(&parts);
    if (json_dump_file(parts.document, argv[2], JSON_COMPACT))
        fail("%s cannot be written", argv[2]);
    return 0;
}
