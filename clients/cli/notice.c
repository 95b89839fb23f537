#include "clients/cli/notice.h"

#include "clients/cli/payload.h"
#include "hub/base/err.h"
#include "hub/base/json.h"

/* The text of a member for a "%s"; valid until `*room` is freed. */
static const char *text_of(struct slice object, const char *member, struct buf *room)
{
    payload_add_text(room, object, member);
    buf_add_char(room, '\0');
    return room->failed ? "" : room->at;
}

static struct slice member_of(struct slice object, const char *name)
{
    struct json_object members;
    return json_object_parse(object, &members) ? (struct slice){ 0 } : json_member_find(&members, name);
}

static bool number_of(struct slice object, const char *name, int64_t *ret)
{
    uint64_t n;
    struct slice value = member_of(object, name);
    if (!value.at || !slice_u64(value, &n) || n > INT32_MAX)
        return false;
    *ret = (int64_t)n;
    return true;
}

/* ---- bye ---- */

static int close_code_of(struct slice code)
{
    for (int err = ERR_BASE + 1; err < ERR_END; err++)
        if (slice_is(slice_of(err_code(err)), code))
            return err_close_code(err);
    return 0;
}

void notice_bye(const struct cli_command *command, struct slice bye, struct notice_bye *ret)
{
    struct buf code = { 0 }, reason = { 0 };
    int64_t close_code;
    *ret = (struct notice_bye){ .retry_ms = -1 };
    number_of(bye, "retry_ms", &ret->retry_ms);
    cli_warn(command, "%s: %s", text_of(bye, "code", &code), text_of(bye, "reason", &reason));
    if (!number_of(bye, "close", &close_code))
        close_code = code.len ? close_code_of(slice(code.at, code.len - 1)) : 0;
    ret->stay_away = close_code >= 4100 && close_code < 4200;
    buf_fini(&code);
    buf_fini(&reason);
}

/* ---- the others ---- */

static int add_name(void *names, struct slice name)
{
    struct buf *out = names;
    buf_add_str(out, out->len ? ", " : " in ");
    json_unquote(name, out);
    return 0;
}

static void tell_gap(const struct cli_command *command, struct slice gap)
{
    struct buf reason = { 0 }, names = { 0 };
    struct slice channels = member_of(gap, "channels");
    payload_add_text(&reason, gap, "reason");
    if (channels.at)
        json_array_each(channels, add_name, &names);
    cli_warn(command, "gap (%.*s)%.*s: %s", (int)reason.len, reason.at, names.failed ? 0 : (int)names.len, names.at,
             slice_is(buf_slice(&reason), SLICE("epoch"))       ? "the position is not of this hub's present history, messages may be missing here"
             : slice_is(buf_slice(&reason), SLICE("conflated")) ? "this reader is slow, only the newest messages follow"
                                                                : "messages were dropped from history before they could be read, some are missing here");
    buf_fini(&reason);
    buf_fini(&names);
}

static void tell_error(const struct cli_command *command, struct slice error)
{
    struct buf message = { 0 };
    cli_warn(command, "the hub says: %s", text_of(error, "message", &message));
    buf_fini(&message);
}

static void tell_expiring(const struct cli_command *command, struct slice expiring)
{
    int64_t ms = 0;
    number_of(expiring, "expires_ms", &ms);
    cli_warn(command, "the credentials end in %lld s; then others are needed (--token @FILE is read again for each connection)", (long long)(ms + 999) / 1000);
}

static void tell_subscribed(const struct cli_command *command, struct slice event)
{
    struct buf channel = { 0 };
    cli_tell(command, "the hub has subscribed this stream to %s too", text_of(event, "channel", &channel));
    buf_fini(&channel);
}

static void tell_unsubscribed(const struct cli_command *command, struct slice event)
{
    struct buf channel = { 0 }, code = { 0 };
    cli_warn(command, "the hub has ended the subscription to %s (%s)", text_of(event, "channel", &channel), text_of(event, "code", &code));
    buf_fini(&channel);
    buf_fini(&code);
}

static void tell_members_changed(const struct cli_command *command, struct slice event)
{
    struct buf channel = { 0 };
    cli_warn(command, "who came and went in %s was not told whole: ask for its members again", text_of(event, "channel", &channel));
    buf_fini(&channel);
}

void notice_tell(const struct cli_command *command, struct slice type, struct slice data)
{
    static const struct { const char *type; void (*tell)(const struct cli_command *command, struct slice data); } notices[] = {
        { "gap", tell_gap },                   { "error", tell_error },               { "token-expiring", tell_expiring },
        { "subscribed", tell_subscribed },     { "unsubscribed", tell_unsubscribed }, { "members-changed", tell_members_changed },
    };
    for (size_t i = 0; i < sizeof notices / sizeof *notices; i++)
        if (slice_is(slice_of(notices[i].type), type))
            notices[i].tell(command, data);
}
