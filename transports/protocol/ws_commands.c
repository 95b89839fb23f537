/* ws_commands.c — what clients may say, one row each. A command is checked completely before anything happens, so that it
 * is done or answered with one `error`; it never disconnects. Its `ref` comes back as the bytes it was. */
#include "hub/access/authority.h"
#include "hub/access/rates.h"
#include "hub/api/problem.h"
#include "hub/api/wish.h"
#include "hub/base/clock.h"
#include "hub/base/err.h"
#include "hub/base/hash.h"
#include "hub/base/json.h"
#include "hub/base/name.h"
#include "hub/config/config.h"
#include "hub/metrics.h"
#include "transports/edge/control.h"
#include "transports/edge/edge.h"
#include "transports/protocol/ws.h"
#include "transports/protocol/ws_auth.h"
#include "transports/protocol/ws_command.h"
#include "transports/protocol/ws_rooms.h"
#include "transports/protocol/ws_say.h"

#include <stdlib.h>

enum { REF_MAX = 256, HISTORY_DEFAULT = 100, HISTORY_MAX = 1000, HISTORY_BYTES = 1024 * 1024, COUNTED_INSIDE = -1 };

static void say_error(struct conn *conn, struct slice ref, int err)
{
    struct buf object = { 0 };
    control_error(&object, ref, err);
    ws_say(conn, &object);
}

/* ---- how often (hub/access/rates.h) ---- */

static int take(struct command *command, enum rate_count what, size_t n)
{
    struct conn *conn = command->conn;
    struct edge *edge = conn->edge;
    struct rate_subject subject = { .connection = conn->id, .principal = conn->principal };
    if (edge->line->address)
        subject.address = edge->line->address(conn);
    int err = rates_take(authority_rates(edge->authority), edge->config, &subject, what, n, clock_mono_ms(edge->clock), &command->verdict);
    if (err)
        metric_rate_limited(command->verdict.index);
    return err;
}

static void say_rate_limited(const struct command *command)
{
    struct buf object = { 0 };
    control_rate_limited(&object, command->ref, &command->verdict);
    ws_say(command->conn, &object);
}

/* ---- members ---- */

/* A member that must be a string; what it stands for is appended. */
int string_member(const struct command *command, const char *name, struct buf *out)
{
    struct slice value = json_member_find(&command->object, name);
    return value.at ? json_unquote(value, out) : ERR_BAD_FIELD;
}

static int since_member(const struct command *command, enum fetch_from without, struct since *ret_since)
{
    struct slice value = json_member_find(&command->object, "since");
    struct buf text = { 0 };
    *ret_since = (struct since){ .from = without };
    if (!is_given(value))
        return 0;
    int err = json_unquote(value, &text);
    if (!err)
        err = since_read(buf_slice(&text), clock_wall_ms(command->conn->edge->clock), ret_since);
    buf_fini(&text);
    return err;
}

/* The names of `channels`: all their bytes in one buf, and where each begins. */
struct names {
    struct buf    bytes, ends;      /* ends: size_t each */
    size_t        n, max;
    struct slice *slices;           /* made when all are known */
};

static int add_name(void *arg, struct slice value)
{
    struct names *names = arg;
    if (names->n++ == names->max)
        return ERR_TOO_MANY_CHANNELS;
    int err = json_unquote(value, &names->bytes);
    buf_add(&names->ends, &names->bytes.len, sizeof names->bytes.len);
    return err;
}

static void names_fini(struct names *names)
{
    buf_fini(&names->bytes);
    buf_fini(&names->ends);
    free(names->slices);
}

static int names_member(const struct command *command, struct names *ret_names)
{
    struct slice value = json_member_find(&command->object, "channels");
    struct names *names = ret_names;
    *names = (struct names){ .max = command->conn->edge->config->limits_channels };
    int err = value.at ? json_array_each(value, add_name, names) : ERR_BAD_FIELD;
    if (err)
        return err;
    if (names->n == 0)
        return ERR_BAD_FIELD;
    names->slices = calloc(names->n, sizeof *names->slices);
    if (!names->slices || names->bytes.failed || names->ends.failed)
        return ERR_MEMORY;
    for (size_t i = 0, begin = 0; i < names->n; i++) {
        size_t end = ((const size_t *)(const void *)names->ends.at)[i];
        names->slices[i] = slice(buf_slice(&names->bytes).at + begin, end - begin);
        begin = end;
    }
    return 0;
}

static int asks_member(const struct command *command, bool *ret_asks)
{
    struct slice value = json_member_find(&command->object, "presence");
    *ret_asks = slice_is(value, SLICE("true"));
    return !is_given(value) || *ret_asks || slice_is(value, SLICE("false")) ? 0 : ERR_BAD_FIELD;
}

/* ---- subscribe, unsubscribe ---- */

static int run_subscribe(struct command *command)
{
    struct names names;
    struct since since;
    bool asks = false;
    char *tag = command->ref.len > 0 ? slice_copy(command->ref) : NULL;
    int err = names_member(command, &names);
    if (!err)
        err = since_member(command, FETCH_NOW, &since);
    if (!err && command->ref.len > 0 && !tag)
        err = ERR_MEMORY;
    if (!err)
        err = asks_member(command, &asks);
    if (!err && asks)
        err = conn_may_ask(command->conn, names.slices, names.n);
    if (!err)
        err = take(command, RATE_SUBSCRIPTIONS, names.n);
    if (!err)
        err = conn_subscribe(command->conn, names.slices, names.n, &since, true, tag);
    if (err)
        free(tag);
    else if (asks && conn_ask(command->conn, names.slices, names.n))
        conn_close(command->conn, ERR_MEMORY);
    names_fini(&names);
    return err;
}

static int check_subscribed(const struct conn *conn, const struct names *names)
{
    int err = 0;
    for (size_t i = 0; i < names->n && !err; i++) {
        err = pattern_check(names->slices[i]);
        if (!err && !conn_is_subscribed(conn, names->slices[i]))
            err = ERR_NOT_SUBSCRIBED;
    }
    return err;
}

static int run_unsubscribe(struct command *command)
{
    struct names names;
    int err = names_member(command, &names);
    if (!err)
        err = check_subscribed(command->conn, &names);
    for (size_t i = 0; i < names.n && !err; i++) {
        struct buf object = { 0 };
        if (conn_unsubscribe(command->conn, names.slices[i]))
            continue;      /* named twice */
        control_unsubscribed(&object, command->ref, names.slices[i], ERR_NORMAL);
        ws_say(command->conn, &object);
    }
    names_fini(&names);
    return err;
}

/* ---- publish ---- */

/* A publish under way, with the ref of its frame. */
struct publishing {
    struct publish_call publish;
    int64_t             began_us;
    size_t              ref_len;
    char                ref[];
};

static void publish_answered(struct call *call)
{
    struct publishing *publishing = (struct publishing *)call;
    struct conn *conn = call->owner;
    struct slice ref = slice(publishing->ref, publishing->ref_len);
    if (conn->conn_state == CONN_OPEN) {
        struct buf object = { 0 };
        if (call->err)
            control_not_published(&object, ref, &publishing->publish);
        else
            control_published(&object, ref, &publishing->publish);
        ws_say(conn, &object);
    }
    metric_time_us(TIME_PUBLISH, clock_mono_us() - publishing->began_us);
    msg_unref(publishing->publish.msg);
    free(publishing);
    conn_call_done(conn);
}

/* Whose key it is: of those without credentials, the client's that says who it is. */
static struct slice scope_of(const struct conn *conn, struct buf *scratch)
{
    size_t before = scratch->len;
    if (!principal_is_nobody(conn->principal) || !conn->extra || !conn->extra->client[0])
        return principal_name(conn->principal);
    buf_add_str(scratch, "client ");
    buf_add_str(scratch, conn->extra->client);
    return slice(scratch->at + before, scratch->len - before);
}

static int submit_publish(struct command *command, struct slice channel, const struct wish *wish, struct buf *scratch)
{
    char client[CONNECTION_TEXT];
    struct publishing *publishing = calloc(1, sizeof *publishing + command->ref.len);
    struct msg *m = publishing ? wish_message(wish, channel, conn_client(command->conn, client)) : NULL;
    int err = m ? wish_terms(wish, scope_of(command->conn, scratch), channel, &publishing->publish) : ERR_MEMORY;
    if (!err) {
        publishing->publish.call.letter.kind = CALL_PUBLISH;
        publishing->publish.call.answered = publish_answered;
        publishing->publish.call.owner = command->conn;
        publishing->publish.msg = m;
        publishing->began_us = clock_mono_us();
        publishing->ref_len = command->ref.len;
        memcpy(publishing->ref, command->ref.at, command->ref.len);
        err = conn_call(command->conn, &publishing->publish.call, msg_size(m), OP_PUBLISH, channel);
    }
    if (!err)
        return 0;
    msg_unref(m);
    free(publishing);
    return err;
}

static int read_publish(const struct command *command, struct buf *scratch, struct slice *ret_channel, struct wish *wish)
{
    struct problem problem = { 0 };
    size_t before = scratch->len;
    int err = string_member(command, "channel", scratch);
    *ret_channel = slice(scratch->at + before, scratch->len - before);
    if (!err)
        err = channel_name_check(*ret_channel);
    if (err)
        return err;
    const struct channel_rule *rule = config_channel_rule(command->conn->edge->config, *ret_channel);
    wish_read(&command->object, scratch, wish, &problem);
    wish_check(wish, rule->message, &problem);
    return problem.n > 0 ? problem.found[0].err : rule->publish ? 0 : ERR_NO_PUBLISH;
}

/* For all strings of the frame without their escapes, and what scope_of adds. */
static bool scratch_room(const struct command *command, struct buf *scratch)
{
    size_t total = sizeof "client " + CLIENT_ID_MAX;
    for (size_t i = 0; i < command->object.n; i++)
        total += command->object.members[i].value.len;
    return buf_room(scratch, total);
}

static int run_publish(struct command *command)
{
    struct buf scratch = { 0 };
    struct slice channel;
    struct wish wish;
    int err = scratch_room(command, &scratch) ? read_publish(command, &scratch, &channel, &wish) : ERR_MEMORY;
    if (!err)
        err = submit_publish(command, channel, &wish, &scratch);
    buf_fini(&scratch);
    return err;
}

/* ---- history ---- */

/* A history command under way, with its channel's name and the ref of its frame. */
struct reading {
    struct fetch_call    fetch;
    struct fetch_channel channel;
    size_t               ref_len;
    char                *ref;           /* behind the name */
    char                 bytes[];       /* name, ref */
};

static void history_answered(struct call *call)
{
    struct reading *reading = (struct reading *)call;
    struct conn *conn = call->owner;
    if (conn->conn_state == CONN_OPEN) {
        struct buf object = { 0 };
        char scratch[CONNECTION_TEXT];
        struct slice ref = slice(reading->ref, reading->ref_len);
        if (call->err)
            control_error(&object, ref, call->err);
        else
            control_history(&object, ref, &reading->fetch, conn_client(conn, scratch));
        ws_say(conn, &object);
    }
    fetch_answer_fini(&reading->fetch);
    free(reading);
    conn_hold(conn, false);
    conn_call_done(conn);
}

static struct reading *reading_new(struct command *command, struct slice channel)
{
    struct reading *reading = calloc(1, sizeof *reading + channel.len + command->ref.len);
    if (!reading)
        return NULL;
    memcpy(reading->bytes, channel.at, channel.len);
    reading->ref = reading->bytes + channel.len;
    reading->ref_len = command->ref.len;
    memcpy(reading->ref, command->ref.at, command->ref.len);
    reading->channel.name = slice(reading->bytes, channel.len);
    reading->fetch.channels = &reading->channel;
    reading->fetch.n_channels = 1;
    reading->fetch.max_bytes = HISTORY_BYTES;
    reading->fetch.call.letter.kind = CALL_FETCH;
    reading->fetch.call.answered = history_answered;
    reading->fetch.call.owner = command->conn;
    return reading;
}

static int limit_member(const struct command *command, size_t *ret_limit)
{
    struct slice value = json_member_find(&command->object, "limit");
    uint64_t limit = HISTORY_DEFAULT;
    if (is_given(value) && (!slice_u64(value, &limit) || limit == 0 || limit > HISTORY_MAX))
        return ERR_BAD_FIELD;
    *ret_limit = limit;
    return 0;
}

/* An answer may be large, so nothing more is read before it has been said: a client that asks for many has one in memory. */
static int read_history(struct command *command, struct slice channel)
{
    struct since since;
    struct reading *reading = reading_new(command, channel);
    if (!reading)
        return ERR_MEMORY;
    int err = limit_member(command, &reading->fetch.max_count);
    if (!err)
        err = since_member(command, FETCH_ALL, &since);
    if (!err)
        fetch_begin(&reading->fetch, &since);
    if (!err)
        err = conn_call(command->conn, &reading->fetch.call, sizeof *reading, OP_HISTORY, reading->channel.name);
    if (err)
        free(reading);
    else
        conn_hold(command->conn, true);
    return err;
}

static int run_history(struct command *command)
{
    struct buf channel = { 0 };
    int err = string_member(command, "channel", &channel);
    if (!err)
        err = channel_name_check(buf_slice(&channel));
    if (!err)
        err = read_history(command, buf_slice(&channel));
    buf_fini(&channel);
    return err;
}

/* ---- presence ---- */

/* A presence command under way, with its channel, cursor and ref. */
struct listing {
    struct members_call members;
    struct slice        ref;
    char                bytes[];       /* channel, cursor, ref */
};

static void members_answered(struct call *call)
{
    struct listing *listing = (struct listing *)call;
    struct conn *conn = call->owner;
    if (conn->conn_state == CONN_OPEN) {
        struct buf object = { 0 };
        if (call->err)
            control_error(&object, listing->ref, call->err);
        else
            control_presence(&object, listing->ref, &listing->members);
        ws_say(conn, &object);
    }
    if (!call->err)
        members_answer_fini(&listing->members);
    free(listing);
    conn_hold(conn, false);
    conn_call_done(conn);
}

static struct slice put(char **at, struct slice text)
{
    struct slice copy = slice(*at, text.len);
    if (text.len > 0)
        memcpy(*at, text.at, text.len);
    *at += text.len;
    return copy;
}

/* Like history: what may be large is answered before more is read. */
static int list_members(struct command *command, struct slice channel, struct slice cursor, size_t limit)
{
    struct listing *listing = calloc(1, sizeof *listing + channel.len + cursor.len + command->ref.len);
    if (!listing)
        return ERR_MEMORY;
    char *at = listing->bytes;
    listing->members = (struct members_call){
        .call = { .letter.kind = CALL_MEMBERS, .answered = members_answered, .owner = command->conn },
        .channel = put(&at, channel), .after = put(&at, cursor), .hash = hash_bytes(channel), .limit = limit,
    };
    listing->ref = put(&at, command->ref);
    int err = conn_call(command->conn, &listing->members.call, sizeof *listing, OP_PRESENCE, listing->members.channel);
    if (err)
        free(listing);
    else
        conn_hold(command->conn, true);
    return err;
}

static int members_limit(const struct command *command, size_t *ret_limit)
{
    if (!slice_is(json_member_find(&command->object, "limit"), SLICE("0")))
        return limit_member(command, ret_limit);
    *ret_limit = 0;
    return 0;
}

static int run_presence(struct command *command)
{
    struct buf channel = { 0 }, cursor = { 0 };
    size_t limit = 0;
    int err = string_member(command, "channel", &channel);
    if (!err)
        err = channel_name_check(buf_slice(&channel));
    if (!err && is_given(json_member_find(&command->object, "cursor")))
        err = string_member(command, "cursor", &cursor);
    if (!err && cursor.len > CHANNEL_NAME_MAX)
        err = ERR_BAD_FIELD;
    if (!err)
        err = members_limit(command, &limit);
    if (!err)
        err = channel.failed || cursor.failed ? ERR_MEMORY : list_members(command, buf_slice(&channel), buf_slice(&cursor), limit);
    buf_fini(&channel);
    buf_fini(&cursor);
    return err;
}

static int run_ping(struct command *command)
{
    struct buf object = { 0 };
    control_pong(&object, command->ref);
    ws_say(command->conn, &object);
    return 0;
}

static int run_auth(struct command *command)
{
    struct buf token = { 0 };
    int err = string_member(command, "token", &token);
    if (!err && token.failed)
        err = ERR_MEMORY;
    if (!err)
        ws_auth(command->conn, command->ref, buf_slice(&token));
    buf_fini(&token);
    return err;
}

/* ---- the table ---- */

static const struct {
    const char *type;
    run_fn     *run;
    int         counts_as;      /* enum rate_count, or COUNTED_INSIDE */
} commands[] = {
    { "publish", run_publish, RATE_PUBLISHES },       { "subscribe", run_subscribe, COUNTED_INSIDE },
    { "unsubscribe", run_unsubscribe, RATE_COMMANDS }, { "history", run_history, RATE_COMMANDS },
    { "presence", run_presence, RATE_COMMANDS },
    { "ping", run_ping, RATE_COMMANDS },               { "auth", run_auth, RATE_COMMANDS },
    { "offer", run_offer, RATE_SIGNALS },             { "answer", run_answer, RATE_SIGNALS },
    { "ice-candidate", run_candidate, RATE_SIGNALS }, { "signal", run_signal, RATE_SIGNALS },
    { "broadcast", run_broadcast, RATE_SIGNALS },     { "state", run_state, RATE_SIGNALS },
    { "join", run_join, RATE_COMMANDS },              { "leave", run_leave, RATE_COMMANDS },
    { "kick", run_kick, RATE_COMMANDS },              { "ice-servers", run_ice_servers, RATE_COMMANDS },
};

static int run(struct command *command)
{
    struct buf type = { 0 };
    int err = string_member(command, "type", &type) ? ERR_BAD_REQUEST : ERR_UNKNOWN_TYPE;
    for (size_t i = 0; err == ERR_UNKNOWN_TYPE && i < sizeof commands / sizeof *commands; i++) {
        if (!slice_is(buf_slice(&type), slice_of(commands[i].type)))
            continue;
        buf_fini(&type);
        err = commands[i].counts_as == COUNTED_INSIDE ? 0 : take(command, (enum rate_count)commands[i].counts_as, 1);
        return err ? err : commands[i].run(command);
    }
    buf_fini(&type);
    return err;
}

void ws_on_message(struct conn *conn, struct slice text)
{
    struct json_object object;
    conn->missed = 0;
    if (conn->conn_state != CONN_OPEN)
        return;
    int err = json_object_parse(text, &object);
    if (err) {
        say_error(conn, SLICE(""), err);
        return;
    }
    struct slice ref = json_member_find(&object, "ref");
    struct command command = { .conn = conn, .object = object, .size = text.len, .ref = ref.at && ref.len <= REF_MAX ? ref : SLICE("") };
    err = ref.at && ref.len > REF_MAX ? ERR_BAD_FIELD : run(&command);
    if (err == ERR_RATE_LIMITED)
        say_rate_limited(&command);
    else if (err)
        say_error(conn, command.ref, err);
}
