#include "clients/cli/result.h"

#include <inttypes.h>

#include "clients/cli/payload.h"
#include "hub/base/json.h"

static void read_number(const struct json_object *members, const char *name, uint64_t *ret)
{
    struct slice value = json_member_find(members, name);
    if (value.at)
        slice_u64(value, ret);
}

bool result_read(struct slice line, struct result *ret)
{
    struct json_object members;
    if (json_object_parse(line, &members) || !json_member_find(&members, "index").at)
        return false;
    *ret = (struct result){ .text = line };
    read_number(&members, "index", &ret->index);
    read_number(&members, "status", &ret->status);
    read_number(&members, "retry_after", &ret->retry_s);
    read_number(&members, "channels", &ret->channels);
    payload_add_text(&ret->id, line, "id");
    payload_add_text(&ret->code, line, "code");
    payload_add_text(&ret->detail, line, "detail");
    payload_add_text(&ret->pattern, line, "pattern");
    ret->replayed = slice_is(json_member_find(&members, "replayed"), SLICE("true"));
    return true;
}

void result_fini(struct result *result)
{
    struct buf *all[] = { &result->id, &result->code, &result->detail, &result->pattern };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        buf_fini(all[i]);
}

bool result_is_good(const struct result *result) { return result->status >= 200 && result->status < 300 && result->code.len == 0; }

bool result_is_passing(const struct result *result)
{
    return !result_is_good(result) && (result->status == 429 || result->status == 503 || slice_is(buf_slice(&result->code), SLICE("idempotency_in_progress")));
}

void result_print(const struct result *result, uint64_t line, struct buf *out)
{
    const char *comma = memchr(result->text.at, ',', result->text.len);
    buf_addf(out, "{\"line\":%" PRIu64, line);
    if (comma && slice_begins(result->text, SLICE("{\"index\":")))
        buf_add(out, comma, result->text.len - (size_t)(comma - result->text.at));
    else
        buf_add_char(out, '}');
    buf_add_char(out, '\n');
}
