#include "clients/cli/payload.h"

#include <openssl/evp.h>

#include "hub/base/err.h"
#include "hub/base/json.h"

static int add_base64_decoded(struct buf *out, struct slice text)
{
    char *room = buf_room(out, text.len / 4 * 3 + 3);
    if (!room)
        return ERR_MEMORY;
    int n = text.len % 4 ? -1 : EVP_DecodeBlock((unsigned char *)room, (const unsigned char *)text.at, (int)text.len);
    if (n < 0)
        return ERR_BAD_JSON;
    size_t padding = (text.len && text.at[text.len - 1] == '=') + (text.len > 1 && text.at[text.len - 2] == '=');
    buf_advance(out, (size_t)n - padding);      /* EVP_DecodeBlock counts the padding as zeros */
    return 0;
}

static int add_string(struct buf *out, struct slice quoted, bool base64)
{
    struct buf text = { 0 };
    int rc = json_unquote(quoted, &text) ? ERR_BAD_JSON : text.failed ? ERR_MEMORY : 0;
    if (!rc && base64)
        rc = add_base64_decoded(out, buf_slice(&text));
    else if (!rc)
        buf_add_slice(out, buf_slice(&text));
    buf_fini(&text);
    return rc;
}

int payload_of_message(struct slice object, struct buf *ret_payload)
{
    struct json_object members;
    struct slice data = json_object_parse(object, &members) ? (struct slice){ 0 } : json_member_find(&members, "data");
    int rc = 0;
    if (!data.at)
        return ERR_BAD_JSON;
    if (data.at[0] == '"')
        rc = add_string(ret_payload, data, json_member_find(&members, "encoding").at != NULL);
    else
        buf_add_slice(ret_payload, data);
    return rc ? rc : ret_payload->failed ? ERR_MEMORY : 0;
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
