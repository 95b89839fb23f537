#include "hub/member_text.h"

#include "hub/access/access.h"
#include "hub/base/instant.h"

void member_text_who(struct buf *out, const struct principal *principal)
{
    struct slice info = principal_info(principal);
    buf_add_str(out, "\"user\":");
    buf_add_json(out, principal_user(principal));
    buf_add_str(out, ",\"info\":");
    buf_add_slice(out, info.len > 0 ? info : SLICE("null"));
}

void member_text_event(struct buf *out, const struct principal *principal)
{
    buf_add_char(out, '{');
    member_text_who(out, principal);
    buf_add_char(out, '}');
}

struct slice member_text_cursor(const struct members_call *call)
{
    return call->more && call->n_infos > 0 ? principal_user(call->infos[call->n_infos - 1].principal) : SLICE("");
}

void member_text_page(struct buf *out, const struct members_call *call)
{
    struct slice cursor = member_text_cursor(call);
    buf_add_str(out, "\"data\":[");
    for (size_t i = 0; i < call->n_infos; i++) {
        const struct member_info *info = &call->infos[i];
        buf_add_str(out, i > 0 ? ",{" : "{");
        member_text_who(out, info->principal);
        buf_addf(out, ",\"connections\":%u", info->connections);
        buf_add_instant_member(out, "since", info->since_ms / 1000);
        buf_add_char(out, '}');
    }
    buf_addf(out, "],\"count\":%u,\"next_cursor\":", call->count);
    if (cursor.len > 0)
        buf_add_json(out, cursor);
    else
        buf_add_str(out, "null");
}
