/* endpoint_record.c — an endpoint made of documents and records, and written down as one or the other (endpoint.h). */
#include "hub/base/err.h"
#include "hub/base/instant.h"
#include "hub/base/json.h"
#include "hub/base/name.h"
#include "webhooks/endpoint_form.h"

#include <stdlib.h>

/* ---- making ---- */

static bool make_secret(struct endpoint_form *form)
{
    if (!secret_make(form->made))
        return false;
    form->secrets[0] = slice_of(form->made);
    form->n_secrets = 1;
    return true;
}

static void check_secret(const struct endpoint_form *form, struct webhook_problems *problems)
{
    for (size_t i = 0; i < form->n_secrets; i++) {
        const char *bad = secret_check(form->scheme, form->secrets[i]);
        if (bad)
            webhook_problem(problems, "secret", ERR_BAD_FIELD, "%s", bad);
    }
}

static void check_whole(const struct endpoint_form *form, struct webhook_problems *problems)
{
    if (form->url.len == 0)
        webhook_problem(problems, "url", ERR_BAD_FIELD, "is missing: where is it to be sent?");
    if (form->types == 0)
        webhook_problem(problems, "events", ERR_BAD_FIELD, "is missing: name at least one type of event, such as message.published, or *");
    check_secret(form, problems);
}

static struct endpoint *finish(uint64_t number, struct endpoint_form *form, const struct endpoint_terms *terms, struct webhook_problems *problems)
{
    struct endpoint *endpoint = NULL;
    if (form && form->n_secrets == 0 && !make_secret(form))
        webhook_problem(problems, "secret", ERR_INTERNAL, "the kernel gives no random numbers");
    if (form && problems->n == 0)
        check_whole(form, problems);
    if (form && problems->n == 0) {
        form->version++;
        form->changed_s = terms->now_s;
        endpoint = form_build(number, form);
    }
    form_free(form);
    return endpoint;
}

struct endpoint *endpoint_make(uint64_t number, struct slice document, const struct endpoint_terms *terms, struct webhook_problems *ret_problems)
{
    struct endpoint_form *form = form_new();
    ret_problems->n = 0;
    if (form) {
        form->created_s = terms->now_s;
        form_read(form, document, terms, ret_problems);
    }
    return finish(number, form, terms, ret_problems);
}

static bool has_member(struct slice document, const char *name)
{
    struct json_object object;
    return !json_object_parse(document, &object) && json_member_find(&object, name).at;
}

struct endpoint *endpoint_patch(const struct endpoint *before, struct slice patch, const struct endpoint_terms *terms, struct webhook_problems *ret_problems)
{
    struct endpoint_form *form = form_of(before);
    ret_problems->n = 0;
    if (form)
        form_read(form, patch, terms, ret_problems);
    if (form && has_member(patch, "secret"))
        webhook_problem(ret_problems, "secret", ERR_BAD_FIELD, "is changed with POST …/rotate-secret, which keeps the old one valid for a while");
    return finish(before->number, form, terms, ret_problems);
}

struct endpoint *endpoint_rotate(const struct endpoint *before, struct slice secret, int64_t overlap_ms, const struct endpoint_terms *terms,
                                 struct webhook_problems *ret_problems)
{
    struct endpoint_form *form = form_of(before);
    ret_problems->n = 0;
    if (form) {
        struct slice old = form->secrets[0];
        form->secrets[0] = secret;
        form->n_secrets = secret.len > 0;
        if ((form->n_secrets || make_secret(form)) && overlap_ms > 0) {
            form->secrets[form->n_secrets++] = old;
            form->old_until_s = terms->now_s + overlap_ms / 1000;
        }
    }
    return finish(before->number, form, terms, ret_problems);
}

struct endpoint *endpoint_mark(const struct endpoint *before, enum endpoint_disabled disabled, int64_t failing_since_s, int64_t now_s)
{
    struct endpoint_form *form = form_of(before);
    if (!form)
        return NULL;
    form->disabled = disabled ? disabled : before->disabled;
    form->disabled_s = disabled && !before->disabled ? now_s : before->disabled_s;
    form->failing_since_s = failing_since_s;
    form->version++;
    form->changed_s = now_s;
    struct endpoint *endpoint = form_build(before->number, form);
    form_free(form);
    return endpoint;
}

/* ---- writing ---- */

static void add_list(struct buf *out, const char *name, const struct slice *list, size_t n)
{
    buf_addf(out, ",\"%s\":[", name);
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            buf_add_char(out, ',');
        buf_add_json(out, list[i]);
    }
    buf_add_char(out, ']');
}

/* As it was said, so that a type that a later version brings is in it too. */
static bool is_in_pattern(const struct endpoint *e, struct slice type)
{
    for (size_t i = 0; i < e->n_own_types; i++)
        if (name_is_pattern(e->own_types[i]) && pattern_matches(e->own_types[i], type))
            return true;
    return false;
}

static void add_events(struct buf *out, const struct endpoint *e)
{
    const char *parting = "";
    buf_add_str(out, ",\"events\":[");
    for (int type = 0; type < EVENT_OWN; type++)
        if (e->types >> type & 1 && !is_in_pattern(e, slice_of(event_type_text((enum event_type)type)))) {
            buf_addf(out, "%s\"%s\"", parting, event_type_text((enum event_type)type));
            parting = ",";
        }
    for (size_t i = 0; i < e->n_own_types; i++) {
        buf_add_str(out, parting);
        buf_add_json(out, slice_is(e->own_types[i], SLICE("**")) ? SLICE("*") : e->own_types[i]);
        parting = ",";
    }
    buf_add_char(out, ']');
}

static void add_headers(struct buf *out, struct slice lines)
{
    const char *parting = "";
    buf_add_str(out, ",\"headers\":{");
    for (const char *end; lines.len > 0 && (end = memchr(lines.at, '\n', lines.len)); parting = ",") {
        struct slice line = slice(lines.at, (size_t)(end - lines.at));
        size_t name = (size_t)((const char *)memchr(line.at, ':', line.len) - line.at);
        buf_add_str(out, parting);
        buf_add_json(out, slice(line.at, name));
        buf_add_char(out, ':');
        buf_add_json(out, slice(line.at + name + 2, line.len - name - 2));
        lines = slice(end + 1, lines.len - line.len - 1);
    }
    buf_add_char(out, '}');
}

static void add_string(struct buf *out, const char *name, struct slice value)
{
    buf_addf(out, ",\"%s\":", name);
    if (value.len > 0)
        buf_add_json(out, value);
    else
        buf_add_str(out, "null");
}

static const char *yes_no(bool yes) { return yes ? "true" : "false"; }

/* Members, the first without a comma. */
static void add_document(struct buf *out, const struct endpoint *e)
{
    buf_add_str(out, "\"url\":");
    buf_add_json(out, slice_of(e->url));
    add_events(out, e);
    const struct slice all = SLICE("**");
    add_list(out, "channels", e->n_channels ? e->channels : &all, e->n_channels ? e->n_channels : 1);
    add_list(out, "message_events", e->message_events, e->n_message_events);
    buf_addf(out, ",\"signature\":\"%s\"", signature_forms[e->scheme].name);
    add_headers(out, e->headers);
    buf_addf(out, ",\"enabled\":%s,\"paused\":%s,\"rate\":%u,\"concurrency\":%u,\"ordered\":%s,\"after_last\":\"%s\"", yes_no(!e->disabled), yes_no(e->paused),
             e->rate, e->concurrency, yes_no(e->ordered), after_last_names[e->after_last]);
    add_string(out, "retry", e->retry_text);
    add_string(out, "description", e->description);
    buf_add_str(out, ",\"metadata\":");
    buf_add_slice(out, e->metadata.len > 0 ? e->metadata : SLICE("null"));
}

void endpoint_print_record(const struct endpoint *e, struct buf *out)
{
    buf_add_str(out, "{\"document\":{");
    add_document(out, e);
    buf_add_char(out, '}');
    add_list(out, "secrets", e->secrets, e->n_secrets);
    buf_addf(out, ",\"old_until\":%lld,\"disabled\":\"%s\",\"disabled_at\":%lld,\"failing_since\":%lld,\"created\":%lld,\"changed\":%lld,\"version\":%u}",
             (long long)e->old_until_s, disabled_names[e->disabled], (long long)e->disabled_s, (long long)e->failing_since_s, (long long)e->created_s,
             (long long)e->changed_s, e->version);
}

/* Enough to tell which one it is. */
static void add_secret(struct buf *out, const struct endpoint *e, bool whole)
{
    struct slice secret = e->secrets[0];
    size_t shown = slice_begins(secret, SLICE("whsec_")) ? 10 : 4;
    buf_add_str(out, ",\"secret\":");
    if (whole) {
        buf_add_json(out, secret);
        return;
    }
    struct buf masked = { 0 };
    buf_add_slice(&masked, slice(secret.at, shown < secret.len ? shown : secret.len));
    buf_add_str(&masked, "…");
    buf_add_json(out, buf_slice(&masked));
    buf_fini(&masked);
}

void endpoint_print(const struct endpoint *e, bool with_secret, struct buf *out)
{
    char id[WEBHOOK_ID_TEXT];
    webhook_id_print(e->number, id);
    buf_addf(out, "\"id\":\"%s\",", id);
    add_document(out, e);
    add_secret(out, e, with_secret);
    buf_add_instant_member(out, "old_secret_until", e->n_secrets > 1 ? e->old_until_s : INT64_MAX);
    add_string(out, "disabled_reason", slice_of(disabled_names[e->disabled]));
    buf_add_instant_member(out, "disabled_at", e->disabled ? e->disabled_s : INT64_MAX);
    buf_add_instant_member(out, "failing_since", e->failing_since_s ? e->failing_since_s : INT64_MAX);
    buf_add_instant_member(out, "created", e->created_s);
    buf_add_instant_member(out, "changed", e->changed_s);
    buf_addf(out, ",\"version\":%u", e->version);
}

/* ---- reading ---- */

struct secrets { struct endpoint_form *form; };

static int take_secret(void *arg, struct slice value)
{
    struct endpoint_form *form = ((struct secrets *)arg)->form;
    size_t from = form->scratch.len;
    if (form->n_secrets == SECRETS_MAX || json_unquote(value, &form->scratch))
        return ERR_STORE_OPEN;
    form->secrets[form->n_secrets++] = slice(form->scratch.at + from, form->scratch.len - from);
    return 0;
}

static int64_t number_at(const struct json_object *object, const char *name)
{
    uint64_t n = 0;
    return slice_u64(json_member_find(object, name), &n) && n <= INT64_MAX ? (int64_t)n : 0;
}

static enum endpoint_disabled disabled_at(const struct json_object *object)
{
    struct slice text = json_member_find(object, "disabled");
    for (int i = DISABLED_BY_HAND; i <= DISABLED_FAILING; i++)
        if (text.len == strlen(disabled_names[i]) + 2 && !memcmp(text.at + 1, disabled_names[i], text.len - 2))
            return (enum endpoint_disabled)i;
    return DISABLED_NOT;
}

static int read_rest(struct endpoint_form *form, const struct json_object *object)
{
    struct slice secrets = json_member_find(object, "secrets");
    if (!secrets.at || json_array_each(secrets, take_secret, &(struct secrets){ form }) || form->n_secrets == 0)
        return ERR_STORE_OPEN;
    form->old_until_s = number_at(object, "old_until");
    form->disabled = disabled_at(object);
    form->disabled_s = number_at(object, "disabled_at");
    form->failing_since_s = number_at(object, "failing_since");
    form->created_s = number_at(object, "created");
    form->changed_s = number_at(object, "changed");
    form->version = (uint32_t)number_at(object, "version");
    return 0;
}

int endpoint_read_record(uint64_t number, struct slice record, struct endpoint **ret_endpoint)
{
    struct json_object object;
    struct webhook_problems problems = { 0 };
    if (json_object_parse(record, &object) || !json_member_find(&object, "document").at)
        return ERR_STORE_OPEN;
    struct endpoint_form *form = form_new();
    if (!form || !buf_room(&form->scratch, 3 * record.len + 128)) {
        form_free(form);
        return ERR_MEMORY;
    }
    form_read(form, json_member_find(&object, "document"), &(struct endpoint_terms){ 0 }, &problems);
    int err = problems.n > 0 ? ERR_STORE_OPEN : read_rest(form, &object);
    struct endpoint *endpoint = err ? NULL : form_build(number, form);
    form_free(form);
    if (endpoint)
        *ret_endpoint = endpoint;
    return err ? err : endpoint ? 0 : ERR_MEMORY;
}
