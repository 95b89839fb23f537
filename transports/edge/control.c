#include "transports/edge/control.h"

#include "hub/access/access.h"
#include "hub/access/rates.h"
#include "hub/base/err.h"
#include "hub/base/instant.h"
#include "hub/envelope.h"
#include "hub/member_text.h"
#include "transports/edge/conn.h"

static void begin(struct buf *out, const char *type, struct slice ref)
{
    buf_add_str(out, "{\"type\":\"");
    buf_add_str(out, type);
    buf_add_char(out, '"');
    if (ref.len > 0) {
        buf_add_str(out, ",\"ref\":");
        buf_add_slice(out, ref);
    }
}

static void end(struct buf *out) { buf_add_char(out, '}'); }

static void member(struct buf *out, const char *name, struct slice string)
{
    buf_add_str(out, ",\"");
    buf_add_str(out, name);
    buf_add_str(out, "\":");
    buf_add_json(out, string);
}

static void position_member(struct buf *out, const char *name, struct position p)
{
    char text[POSITION_TEXT];
    member(out, name, slice(text, position_print(text, p)));
}

static void number_member(struct buf *out, const char *name, uint64_t n)
{
    buf_addf(out, ",\"%s\":%llu", name, (unsigned long long)n);
}

static void bool_member(struct buf *out, const char *name, bool yes)
{
    buf_addf(out, ",\"%s\":%s", name, yes ? "true" : "false");
}

static void user_member(struct buf *out, const struct principal *principal)
{
    struct slice user = principal_user(principal);
    if (user.len > 0)
        member(out, "user", user);
    else
        buf_add_str(out, ",\"user\":null");
}

static const char *gap_name(enum gap_reason gap)
{
    static const char *const names[] = { [GAP_CONFLATED] = "conflated", [GAP_HISTORY] = "history", [GAP_EPOCH] = "epoch" };
    return names[gap];
}

static void recovery(struct buf *out, const struct fetch_channel *channel, bool resumed)
{
    bool_member(out, "recovered", resumed && channel->resumable && !channel->incomplete);
    bool_member(out, "resumable", channel->resumable);
}

void control_ready(struct buf *out, const struct conn *conn, const struct fetch_call *answer, bool resumed)
{
    char name[CONNECTION_TEXT];
    begin(out, "ready", SLICE(""));
    position_member(out, "position", answer->begin);
    member(out, "connection", slice(name, conn_name(conn, name)));
    buf_add_str(out, ",\"channels\":[");
    for (size_t i = 0; i < answer->n_channels; i++) {
        buf_add_str(out, i ? ",{\"channel\":" : "{\"channel\":");
        buf_add_json(out, answer->channels[i].name);
        recovery(out, &answer->channels[i], resumed);
        end(out);
    }
    buf_add_char(out, ']');
    end(out);
}

void control_gap(struct buf *out, const struct fetch_call *answer, bool replay)
{
    bool first = true;
    begin(out, "gap", SLICE(""));
    if (replay)
        bool_member(out, "replay", true);
    member(out, "reason", slice_of(gap_name(answer->gap)));
    buf_add_str(out, ",\"channels\":[");
    for (size_t i = 0; i < answer->n_channels; i++) {
        if (!answer->channels[i].incomplete)
            continue;
        if (!first)
            buf_add_char(out, ',');
        buf_add_json(out, answer->channels[i].name);
        first = false;
    }
    buf_add_char(out, ']');
    position_member(out, "position", answer->begin);
    end(out);
}

void control_welcome(struct buf *out, const struct conn *conn, struct position position, int64_t retry_ms)
{
    char name[CONNECTION_TEXT], scratch[CONNECTION_TEXT];
    begin(out, "welcome", SLICE(""));
    member(out, "connection", slice(name, conn_name(conn, name)));
    member(out, "client", conn_client(conn, scratch));
    user_member(out, conn->principal);
    position_member(out, "position", position);
    number_member(out, "retry_ms", (uint64_t)retry_ms);
    end(out);
}

void control_retry(struct buf *out, int64_t retry_ms)
{
    begin(out, "retry", SLICE(""));
    number_member(out, "retry_ms", (uint64_t)retry_ms);
    end(out);
}

void control_subscribed(struct buf *out, struct slice ref, const struct fetch_channel *channel, struct position from, bool resumed, bool replay)
{
    begin(out, "subscribed", ref);
    if (replay)
        bool_member(out, "replay", true);
    member(out, "channel", channel->name);
    position_member(out, "position", from);
    recovery(out, channel, resumed);
    end(out);
}

void control_unsubscribed(struct buf *out, struct slice ref, struct slice channel, int why)
{
    begin(out, "unsubscribed", ref);
    member(out, "channel", channel);
    member(out, "code", slice_of(err_code(why)));
    end(out);
}

void control_position(struct buf *out, struct slice channel, struct position position)
{
    begin(out, "position", SLICE(""));
    if (channel.len > 0)
        member(out, "channel", channel);
    position_member(out, "position", position);
    end(out);
}

void control_history(struct buf *out, struct slice ref, const struct fetch_call *answer, struct slice client)
{
    bool first = true;
    begin(out, "history", ref);
    member(out, "channel", answer->channels[0].name);
    buf_add_str(out, ",\"messages\":[");
    for (size_t i = 0; i < answer->n_msgs; i++) {
        if (slice_is(msg_exclude(answer->msgs[i]), client))
            continue;
        if (!first)
            buf_add_char(out, ',');
        envelope_add(out, answer->msgs[i], SLICE("message"), false);
        first = false;
    }
    buf_add_char(out, ']');
    position_member(out, "position", answer->upto);
    if (answer->gap)
        buf_addf(out, ",\"gap\":{\"reason\":\"%s\"}", gap_name(answer->gap));
    end(out);
}

void control_messages(struct buf *out, struct slice messages, struct position position, enum gap_reason gap, int64_t retry_ms)
{
    buf_add_str(out, "{\"messages\":[");
    if (messages.len > 0)
        buf_add(out, messages.at + 1, messages.len - 1);
    buf_add_char(out, ']');
    position_member(out, "position", position);
    if (gap)
        buf_addf(out, ",\"gap\":{\"reason\":\"%s\"}", gap_name(gap));
    if (retry_ms > 0)
        number_member(out, "retry_ms", (uint64_t)retry_ms);
    end(out);
}

void control_member(struct buf *out, const char *type, struct slice channel, const struct principal *principal)
{
    begin(out, type, SLICE(""));
    member(out, "channel", channel);
    buf_add_char(out, ',');
    member_text_who(out, principal);
    end(out);
}

void control_members_changed(struct buf *out, struct slice channel)
{
    begin(out, "members-changed", SLICE(""));
    member(out, "channel", channel);
    end(out);
}

void control_presence(struct buf *out, struct slice ref, const struct members_call *answer)
{
    begin(out, "presence", ref);
    member(out, "channel", answer->channel);
    buf_add_char(out, ',');
    member_text_page(out, answer);
    end(out);
}

static void error_members(struct buf *out, struct slice ref, int err)
{
    begin(out, "error", ref);
    member(out, "code", slice_of(err_code(err)));
    member(out, "message", slice_of(err_text(err)));
    if (err_status(err) == 503 || err_status(err) == 429)
        number_member(out, "retry_after", 1);
}

void control_published(struct buf *out, struct slice ref, const struct publish_call *answer)
{
    const struct msg *m = answer->msg;
    begin(out, "ok", ref);
    position_member(out, "id", (struct position){ m->epoch, m->seq });
    member(out, "channel", msg_channel(m));
    number_member(out, "time", (uint64_t)m->time_ms);
    number_member(out, "subscribers", answer->subscribers);
    if (answer->replayed)
        buf_add_str(out, ",\"replayed\":true");
    end(out);
}

void control_not_published(struct buf *out, struct slice ref, const struct publish_call *answer)
{
    error_members(out, ref, answer->call.err);
    if (answer->call.err == ERR_POSITION_CHANGED && answer->position.seq)
        position_member(out, "position", answer->position);
    else if (answer->call.err == ERR_POSITION_CHANGED)
        buf_add_str(out, ",\"position\":null");
    end(out);
}

void control_renewed(struct buf *out, struct slice ref, const struct principal *principal)
{
    begin(out, "ok", ref);
    user_member(out, principal);
    buf_add_instant_member(out, "expires", principal_expires_s(principal));
    end(out);
}

void control_expiring(struct buf *out, int64_t ends_ms, int64_t left_ms)
{
    begin(out, "token-expiring", SLICE(""));
    buf_add_instant_member(out, "expires", ends_ms / 1000);
    number_member(out, "expires_ms", (uint64_t)left_ms);
    end(out);
}

void control_pong(struct buf *out, struct slice ref)
{
    begin(out, "pong", ref);
    end(out);
}

void control_error(struct buf *out, struct slice ref, int err)
{
    error_members(out, ref, err);
    end(out);
}

void control_rate_limited(struct buf *out, struct slice ref, const struct rate_verdict *verdict)
{
    begin(out, "error", ref);
    member(out, "code", slice_of(err_code(ERR_RATE_LIMITED)));
    member(out, "message", slice_of(err_text(ERR_RATE_LIMITED)));
    member(out, "limit", slice_of(verdict->limit));
    number_member(out, "retry_after", (uint64_t)verdict->retry_s);
    end(out);
}

void control_room(struct buf *out, const char *type, struct slice ref, struct slice text)
{
    begin(out, type, ref);
    buf_add_slice(out, text);
    end(out);
}

void control_room_error(struct buf *out, struct slice ref, int err, struct slice text)
{
    error_members(out, ref, err);
    buf_add_slice(out, text);
    end(out);
}

int parting_code(const struct parting *parting)
{
    int code = parting->close_code ? parting->close_code : err_close_code(parting->err);
    return code ? code : 1011;
}

bool parting_says_bye(const struct parting *parting)
{
    int code = parting_code(parting);
    return (code >= 4000 && code < 4100) || code == 1011 || code == 1013;
}

static struct slice reason(const struct parting *parting)
{
    return parting->reason.len > 0 ? parting->reason : slice_of(err_text(parting->err));
}

/* The close code, where it is not that of the error: a stream has no close frame to read it from. */
static void own_code(struct buf *out, const struct parting *parting)
{
    if (parting->close_code)
        number_member(out, "close", (uint64_t)parting->close_code);
}

void control_bye(struct buf *out, const struct parting *parting, int64_t retry_ms)
{
    begin(out, "bye", SLICE(""));
    member(out, "code", slice_of(err_code(parting->err)));
    member(out, "reason", reason(parting));
    number_member(out, "retry_ms", (uint64_t)retry_ms);
    own_code(out, parting);
    end(out);
}

void control_last_error(struct buf *out, const struct parting *parting)
{
    begin(out, "error", SLICE(""));
    member(out, "code", slice_of(err_code(parting->err)));
    member(out, "message", reason(parting));
    own_code(out, parting);
    end(out);
}
