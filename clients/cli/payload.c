#include "clients/cli/payload.h"

#include "hub/base/base64.h"
#include "hub/base/err.h"
#include "hub/base/json.h"

static int add_string(struct buf *out, struct slice quoted, bool base64)
{
    size_t before = out->len, len = 0;
    if (json_unquote(quoted, out))
        return ERR_BAD_JSON;
    if (out->failed)
        return ERR_MEMORY;
    if (base64 && base64_decode(out->at + before, out->len - before, &len))
        return ERR_BAD_JSON;
    if (base64)
        out->len = before + len;
    return 0;
}

int payload_of_message(struct slice object, struct buf *ret_payload)
{
    struct json_object members;
    struct slice data = json_object_parse(object, &members) ? (struct slice){ 0 } : json_member_find(&members, "data");
    size_t before = ret_payload->len;
    int rc = 0;
    if (!data.at)
        return ERR_BAD_JSON;
    if (data.at[0] == '"')
        rc = add_string(ret_payload, data, json_member_find(&members, "encoding").at != NULL);
    else
        buf_add_slice(ret_payload, data);
    if (!rc && ret_payload->failed)
        rc = ERR_MEMORY;
    if (rc)
        ret_payload->len = before;
    return rc;
}

bool payload_add_text(struct buf *out, struct slice object, const char *member)
{
    struct json_object members;
    struct slice value = json_object_parse(object, &members) ? (struct slice){ 0 } : json_member_find(&members, member);
    size_t before = out->len;
    if (value.at && !json_unquote(value, out) && !out->failed)
        return true;
    out->len = before;
    return false;
}
