/* hub/base/json.h: it reads what jansson reads, to the byte. They differ where the contract says so: nesting deeper than
 * JSON_DEPTH_MAX is refused, numbers of any size and names with \u0000 are fine. (And jansson takes a NUL byte for the end.) */
#include "hub/base/json.h"

#include "hub/base/err.h"
#include "tests/fuzz/fuzz.h"

#include <jansson.h>

enum { AS_BYTES = JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL };

/* Jansson's own limits, which are not RFC 8259's. */
static bool is_jansson_only(const json_error_t *error)
{
    return json_error_code(error) == json_error_numeric_overflow || json_error_code(error) == json_error_null_byte_in_key;
}

/* As far as counts: beyond JSON_DEPTH_MAX it does not look. */
static bool is_deeper(json_t *value, int than)
{
    size_t i;
    const char *name;
    json_t *item;
    if (!json_is_array(value) && !json_is_object(value))
        return false;
    if (than == 0)
        return true;
    json_array_foreach(value, i, item)
        if (is_deeper(item, than - 1))
            return true;
    json_object_foreach(value, name, item)
        if (is_deeper(item, than - 1))
            return true;
    return false;
}

static void must_be_alike(struct slice value, json_t *theirs);

static void must_be_alike_in_object(struct slice value, json_t *theirs)
{
    struct json_object object;
    int err = json_object_parse(value, &object);
    must(!err || err == ERR_BAD_REQUEST, "a valid object is refused: %d", err);
    for (size_t i = 0; !err && i < object.n; i++) {
        struct slice written = object.members[i].name;
        if (memchr(written.at, '\\', written.len))
            continue;      /* one with an escape may be the same name as another in their eyes, and never is in ours */
        char *key = strndup(written.at, written.len);
        struct slice found = json_member_find(&object, key);
        json_t *their_value = json_object_get(theirs, key);
        must(found.at && their_value, "the member \"%s\" is not found", key);
        if (!memchr(value.at, '\\', value.len))     /* which of two counts, only when no third is in the way */
            must_be_alike(found, their_value);
        free(key);
    }
}

struct items { json_t *theirs; size_t n; };

static int on_item(void *arg, struct slice value)
{
    struct items *items = arg;
    must(items->n < json_array_size(items->theirs), "an item too many");
    must_be_alike(value, json_array_get(items->theirs, items->n++));
    return 0;
}

static void must_be_alike_in_array(struct slice value, json_t *theirs)
{
    struct items items = { theirs, 0 };
    int err = json_array_each(value, on_item, &items);
    must(!err && items.n == json_array_size(theirs), "%zu of %zu items: %d", items.n, json_array_size(theirs), err);
}

static void must_be_alike(struct slice value, json_t *theirs)
{
    struct buf text = { 0 };
    int err = json_unquote(value, &text);
    must(!err == json_is_string(theirs), "a string is one for both: %d", err);
    if (!err)
        must_be_same(buf_slice(&text), slice(json_string_value(theirs), json_string_length(theirs)), "a string");
    else if (json_is_array(theirs))
        must_be_alike_in_array(value, theirs);
    else if (json_is_object(theirs))
        must_be_alike_in_object(value, theirs);
    buf_fini(&text);
}

/* Whatever text becomes JSON here can be read again, and stands in a page without ending a script. */
static void must_come_back(struct slice in)
{
    struct buf quoted = { 0 }, text = { 0 };
    struct slice value;
    if (!utf8_valid(in))
        return;
    buf_add_json(&quoted, in);
    must(!json_check(buf_slice(&quoted), &value) && !json_unquote(value, &text), "what buf_add_json wrote is no JSON string");
    must(!memchr(quoted.at, '<', quoted.len), "a < is escaped");
    must_be_same(buf_slice(&text), in, "written and read");
    buf_fini(&quoted);
    buf_fini(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = input(data, size), value = SLICE("");
    struct json_object object;
    json_error_t error = { 0 };
    json_t *theirs = json_loadb(in.at, in.len, AS_BYTES, &error);
    int err = json_check(in, &value), object_err = json_object_parse(in, &object);

    must((err == ERR_BAD_UTF8) == !utf8_valid(in), "%d, UTF-8 %d", err, utf8_valid(in));
    must(!err || err == ERR_BAD_UTF8 || err == ERR_BAD_JSON, "%d is not in the contract", err);
    must(err == object_err || (!err && object_err == ERR_BAD_REQUEST), "alone %d, as an object %d", err, object_err);
    must(err || theirs || is_jansson_only(&error), "jansson refuses it: %s", error.text);
    must(!err || !theirs || is_deeper(theirs, JSON_DEPTH_MAX) || memchr(in.at, '\0', in.len), "jansson accepts it");
    if (!err && theirs)
        must_be_alike(value, theirs);
    json_decref(theirs);
    must_come_back(in);
    return 0;
}
