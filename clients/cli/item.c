#include "clients/cli/item.h"

#include "hub/base/err.h"
#include "hub/base/json.h"

bool item_is_pattern(const char *channel) { return strchr(channel, '*') != NULL; }

static void add_member(struct buf *out, const char *name, const char *value)
{
    if (!value)
        return;
    buf_addf(out, "\"%s\":", name);
    buf_add_json(out, slice_of(value));
    buf_add_char(out, ',');
}

static void add_key(struct buf *out, const char *key, uint64_t number)
{
    struct buf text = { 0 };
    if (!key)
        return;
    buf_addf(&text, "%s-%llu", key, (unsigned long long)number);
    buf_add_str(out, "\"idempotency_key\":");
    buf_add_json(out, buf_slice(&text));
    buf_add_char(out, ',');
    out->failed |= text.failed;
    buf_fini(&text);
}

/* All that the command line says, each member with a comma behind it. */
static void add_terms(struct buf *out, const struct item_terms *terms, uint64_t number, bool with_target)
{
    if (with_target && terms->channel)
        add_member(out, item_is_pattern(terms->channel) ? "pattern" : "channel", terms->channel);
    if (with_target)
        add_member(out, "user", terms->user);
    add_member(out, "event", terms->event);
    add_member(out, "exclude", terms->exclude);
    add_member(out, "ttl", terms->ttl);
    add_key(out, terms->key, number);
}

/* On one line: a line end between two tokens of JSON is a blank here. */
static void add_json_payload(struct buf *out, struct slice json)
{
    size_t before = out->len;
    buf_add_slice(out, json);
    for (size_t i = before; i < out->len; i++)
        if (out->at[i] == '\n' || out->at[i] == '\r')
            out->at[i] = ' ';
}

static int check_payload(const struct item_terms *terms, struct slice payload, struct slice *ret_json)
{
    if (terms->kind == ITEM_JSON)
        return json_check(payload, ret_json);
    return terms->kind == ITEM_TEXT && !utf8_valid(payload) ? ERR_BAD_UTF8 : 0;
}

int item_add_payload(struct buf *out, const struct item_terms *terms, struct slice payload, uint64_t number)
{
    struct slice json;
    size_t before = out->len;
    int rc = check_payload(terms, payload, &json);
    if (rc)
        return rc;
    buf_add_char(out, '{');
    add_terms(out, terms, number, true);
    if (terms->kind == ITEM_JSON) {
        buf_add_str(out, "\"data\":");
        add_json_payload(out, json);
    } else if (utf8_valid(payload)) {
        buf_add_str(out, "\"encoding\":\"text\",\"data\":");
        buf_add_json(out, payload);
    } else {
        buf_add_str(out, "\"encoding\":\"base64\",\"data\":\"");
        buf_add_base64(out, payload.at, payload.len);
        buf_add_char(out, '"');
    }
    buf_add(out, "}\n", 2);
    if (!out->failed)
        return 0;
    out->len = before;
    return ERR_MEMORY;
}

int item_add_object(struct buf *out, const struct item_terms *terms, struct slice object, uint64_t number, bool *ret_many)
{
    static const char *const targets[] = { "channel", "channels", "pattern", "user" };
    struct json_object members;
    size_t before = out->len;
    bool is_object = !json_object_parse(object, &members), with_target = true;
    *ret_many = false;
    for (size_t i = 0; is_object && i < sizeof targets / sizeof *targets; i++)
        with_target = with_target && !json_member_find(&members, targets[i]).at;
    if (is_object && members.n > 0) {
        const char *brace = memchr(object.at, '{', object.len);
        *ret_many = json_member_find(&members, "channels").at != NULL;
        buf_add_char(out, '{');
        add_terms(out, terms, number, with_target);
        buf_add(out, brace + 1, object.len - (size_t)(brace + 1 - object.at));
    } else {
        buf_add_slice(out, object);
    }
    buf_add_char(out, '\n');
    if (!out->failed)
        return 0;
    out->len = before;
    return ERR_MEMORY;
}
