#include "webhooks/endpoint_form.h"

#include "hub/base/err.h"
#include "hub/base/json.h"
#include "hub/base/name.h"
#include "webhooks/endpoint_url.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

const char *const after_last_names[2] = { [AFTER_LAST_SKIP] = "skip", [AFTER_LAST_BLOCK] = "block" };
const char *const disabled_names[4] = { [DISABLED_NOT] = "", [DISABLED_BY_HAND] = "by_hand", [DISABLED_GONE] = "gone", [DISABLED_FAILING] = "failing" };

void webhook_problem(struct webhook_problems *problems, const char *field, int err, const char *format, ...)
{
    va_list args;
    if (problems->n == WEBHOOK_PROBLEMS)
        return;
    size_t i = problems->n++;
    snprintf(problems->found[i].field, sizeof problems->found[i].field, "%s", field);
    problems->found[i].err = err;
    va_start(args, format);
    vsnprintf(problems->found[i].detail, sizeof problems->found[i].detail, format, args);
    va_end(args);
}

/* ---- life ---- */

static struct endpoint_form *usual(struct endpoint_form *form)
{
    if (form)
        form->concurrency = 8;
    return form;
}

struct endpoint_form *form_new(void) { return usual(calloc(1, sizeof(struct endpoint_form))); }

static size_t copy_slices(struct slice *to, const struct slice *from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] = from[i];
    return n;
}

struct endpoint_form *form_of(const struct endpoint *e)
{
    struct endpoint_form *form = form_new();
    if (!form)
        return NULL;
    form->url = slice_of(e->url);
    form->types = e->types;
    form->n_own_types = copy_slices(form->own_types, e->own_types, e->n_own_types);
    form->n_channels = copy_slices(form->channels, e->channels, e->n_channels);
    form->n_message_events = copy_slices(form->message_events, e->message_events, e->n_message_events);
    form->n_secrets = copy_slices(form->secrets, e->secrets, e->n_secrets);
    form->scheme = e->scheme;
    form->headers = e->headers;
    form->description = e->description;
    form->metadata = e->metadata;
    form->retry_text = e->retry_text;
    form->paused = e->paused;
    form->disabled = e->disabled;
    form->disabled_s = e->disabled_s;
    form->failing_since_s = e->failing_since_s;
    form->ordered = e->ordered;
    form->after_last = e->after_last;
    form->rate = e->rate;
    form->concurrency = e->concurrency;
    form->old_until_s = e->old_until_s;
    form->created_s = e->created_s;
    form->changed_s = e->changed_s;
    form->version = e->version;
    return form;
}

void form_free(struct endpoint_form *form)
{
    if (!form)
        return;
    if (form->scratch.at)
        explicit_bzero(form->scratch.at, form->scratch.len);
    explicit_bzero(form->made, sizeof form->made);
    buf_fini(&form->scratch);
    free(form);
}

/* ---- building ---- */

static size_t bytes_of(const struct slice *slices, size_t n)
{
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++)
        bytes += slices[i].len;
    return bytes;
}

static struct slice put(char **at, struct slice s)
{
    struct slice copy = slice(*at, s.len);
    memcpy(*at, s.at ? s.at : "", s.len);
    *at += s.len;
    return copy;
}

static struct slice *put_all(char **at, const struct slice *slices, size_t n, bool *failed)
{
    struct slice *copies = n > 0 ? calloc(n, sizeof *copies) : NULL;
    *failed |= n > 0 && !copies;
    for (size_t i = 0; i < n && copies; i++)
        copies[i] = put(at, slices[i]);
    return copies;
}

static bool put_texts(struct endpoint *e, const struct endpoint_form *form)
{
    size_t bytes = form->url.len + 1 + bytes_of(form->own_types, form->n_own_types) + bytes_of(form->channels, form->n_channels) +
                   bytes_of(form->message_events, form->n_message_events) + bytes_of(form->secrets, form->n_secrets) + form->headers.len +
                   form->description.len + form->metadata.len + form->retry_text.len;
    char *at = e->bytes = malloc(bytes);
    bool failed = !at;
    if (failed)
        return false;
    e->url = at;
    put(&at, form->url);
    *at++ = '\0';
    e->own_types = put_all(&at, form->own_types, e->n_own_types = form->n_own_types, &failed);
    e->channels = put_all(&at, form->channels, e->n_channels = form->n_channels, &failed);
    e->message_events = put_all(&at, form->message_events, e->n_message_events = form->n_message_events, &failed);
    for (size_t i = 0; i < form->n_secrets; i++)
        e->secrets[i] = put(&at, form->secrets[i]);
    e->n_secrets = form->n_secrets;
    e->headers = put(&at, form->headers);
    e->description = put(&at, form->description);
    e->metadata = put(&at, form->metadata);
    e->retry_text = put(&at, form->retry_text);
    return !failed;
}

struct endpoint *form_build(uint64_t number, const struct endpoint_form *form)
{
    struct endpoint *e = calloc(1, sizeof *e);
    if (!e)
        return NULL;
    atomic_init(&e->refs, 1);
    if (!put_texts(e, form)) {
        endpoint_unref(e);
        return NULL;
    }
    e->number = number;
    e->version = form->version;
    e->types = form->types;
    e->scheme = form->scheme;
    e->old_until_s = form->old_until_s;
    e->paused = form->paused;
    e->disabled = form->disabled;
    e->disabled_s = form->disabled_s;
    e->failing_since_s = form->failing_since_s;
    e->rate = form->rate;
    e->concurrency = form->concurrency;
    e->ordered = form->ordered;
    e->after_last = form->after_last;
    e->created_s = form->created_s;
    e->changed_s = form->changed_s;
    if (e->retry_text.len > 0)
        schedule_parse(e->retry_text, &e->retry);
    return e;
}

/* ---- members ---- */

/* One member that is being read. A value of null puts back what is usual. */
struct member {
    struct endpoint_form        *form;
    const struct endpoint_terms *terms;
    struct webhook_problems     *problems;
    const char                  *name;
    struct slice                 value;
    /* of a list */
    struct slice                *list;
    size_t                       n, most;
};

static bool is_null(const struct member *m) { return slice_is(m->value, SLICE("null")); }

static void wrong(const struct member *m, int err, const char *text) { webhook_problem(m->problems, m->name, err, "%s", text); }

/* A string that is not longer than `most`; a problem otherwise. Null: empty. */
static bool read_text(struct member *m, size_t most, struct slice *ret)
{
    size_t from = m->form->scratch.len;
    *ret = SLICE("");
    if (is_null(m))
        return true;
    if (json_unquote(m->value, &m->form->scratch)) {
        wrong(m, ERR_BAD_FIELD, "is a string");
        return false;
    }
    *ret = slice(m->form->scratch.at + from, m->form->scratch.len - from);
    if (ret->len <= most)
        return true;
    webhook_problem(m->problems, m->name, ERR_BAD_FIELD, "is at most %zu bytes", most);
    return false;
}

static void read_url(struct member *m)
{
    char why[160];
    struct slice url;
    if (!read_text(m, ENDPOINT_URL_MAX, &url))
        return;
    const char *bad = m->terms->guard ? endpoint_url_check(url, m->terms->guard, m->terms->allow_http, why) : NULL;      /* it was checked when it was registered */
    if (bad)
        webhook_problem(m->problems, m->name, ERR_BAD_FIELD, "%s", bad);
    m->form->url = url;
}

static void read_bool(struct member *m, bool usual_value, bool *ret)
{
    bool yes = slice_is(m->value, SLICE("true")), no = slice_is(m->value, SLICE("false"));
    if (!yes && !no && !is_null(m))
        wrong(m, ERR_BAD_FIELD, "is true or false");
    *ret = is_null(m) ? usual_value : yes;
}

static void read_enabled(struct member *m)
{
    bool enabled;
    read_bool(m, true, &enabled);
    if (!enabled && !m->form->disabled)
        m->form->disabled_s = m->terms->now_s;
    if (enabled)
        m->form->disabled_s = m->form->failing_since_s = 0;
    m->form->disabled = enabled ? DISABLED_NOT : m->form->disabled ? m->form->disabled : DISABLED_BY_HAND;
}

static void read_paused(struct member *m)  { read_bool(m, false, &m->form->paused); }
static void read_ordered(struct member *m) { read_bool(m, false, &m->form->ordered); }

static uint64_t read_number(struct member *m, uint64_t usual_value, uint64_t least, uint64_t most)
{
    uint64_t n = usual_value;
    if (!is_null(m) && (!slice_u64(m->value, &n) || n < least || n > most))
        webhook_problem(m->problems, m->name, ERR_BAD_FIELD, "is a whole number from %llu to %llu", (unsigned long long)least, (unsigned long long)most);
    return n;
}

static void read_rate(struct member *m)        { m->form->rate = (uint32_t)read_number(m, 0, 0, 100000); }
static void read_concurrency(struct member *m) { m->form->concurrency = (uint16_t)read_number(m, 8, 1, ENDPOINT_CONCURRENCY); }

static void read_after_last(struct member *m)
{
    struct slice name;
    if (!read_text(m, 16, &name))
        return;
    m->form->after_last = slice_is(name, SLICE("block")) ? AFTER_LAST_BLOCK : AFTER_LAST_SKIP;
    if (name.len > 0 && !slice_is(name, slice_of(after_last_names[m->form->after_last])))
        wrong(m, ERR_BAD_FIELD, "is skip or block");
}

static void read_signature(struct member *m)
{
    struct slice name;
    if (!read_text(m, 32, &name))
        return;
    m->form->scheme = SIGNATURE_STANDARD;
    if (name.len > 0 && !signature_scheme_find(name, &m->form->scheme))
        wrong(m, ERR_BAD_FIELD, "is standard, x-webhook, x-webhook-sha256, timestamped, github or stripe");
}

static void read_secret(struct member *m)
{
    struct slice secret;
    if (!is_null(m) && read_text(m, SECRET_MAX, &secret)) {
        m->form->secrets[0] = secret;
        m->form->n_secrets = 1;
    }
}

static void read_description(struct member *m) { read_text(m, ENDPOINT_DESCRIPTION, &m->form->description); }

static void read_metadata(struct member *m)
{
    struct json_object object;
    m->form->metadata = is_null(m) ? SLICE("") : m->value;
    if (is_null(m))
        return;
    if (m->value.len > ENDPOINT_METADATA)
        webhook_problem(m->problems, m->name, ERR_BAD_FIELD, "is at most %d bytes", ENDPOINT_METADATA);
    else if (json_object_parse(m->value, &object))
        wrong(m, ERR_BAD_FIELD, "is an object of at most 32 members");
}

/* ---- lists ---- */

static int take_item(void *arg, struct slice value)
{
    struct member *m = arg;
    size_t from = m->form->scratch.len;
    if (m->n == m->most)
        return ERR_TOO_MANY_ITEMS;
    if (json_unquote(value, &m->form->scratch))
        return ERR_BAD_FIELD;
    m->list[m->n++] = slice(m->form->scratch.at + from, m->form->scratch.len - from);
    return 0;
}

static bool read_list(struct member *m, struct slice *list, size_t most)
{
    m->list = list;
    m->n = 0;
    m->most = most;
    int err = is_null(m) ? 0 : json_array_each(m->value, take_item, m);
    if (err)
        webhook_problem(m->problems, m->name, ERR_BAD_FIELD, "is an array of at most %zu strings", most);
    return !err;
}

/* The hub's own that a pattern stands for, a bit for each. */
static uint32_t types_like(struct slice pattern)
{
    uint32_t types = 0;
    for (int type = 0; type < EVENT_OWN; type++)
        types |= (uint32_t)pattern_matches(pattern, slice_of(event_type_text((enum event_type)type))) << type;
    return types;
}

static void read_event(struct member *m, struct slice name)
{
    struct endpoint_form *form = m->form;
    enum event_type type = event_type_find(name);
    if (slice_is(name, SLICE("*"))) {
        form->types = (1U << EVENT_TYPES) - 1;
        form->own_types[form->n_own_types++] = SLICE("**");
    } else if (type != EVENT_OWN) {
        form->types |= 1U << type;
    } else if (name.len > 0 && name.len <= EVENT_NAME_MAX && (name_is_pattern(name) ? !pattern_check(name) : !event_type_check(name))) {
        form->types |= 1U << EVENT_OWN | (name_is_pattern(name) ? types_like(name) : 0);
        form->own_types[form->n_own_types++] = name;
    } else {
        webhook_problem(m->problems, m->name, ERR_BAD_EVENT, "%.*s: there is no such type, and your own may not be called so", (int)(name.len < 64 ? name.len : 64), name.at);
    }
}

static void read_events(struct member *m)
{
    struct slice names[ENDPOINT_EVENTS];
    m->form->types = 0;
    m->form->n_own_types = 0;
    if (!read_list(m, names, ENDPOINT_EVENTS))
        return;
    for (size_t i = 0; i < m->n; i++)
        read_event(m, names[i]);
}

static void read_channels(struct member *m)
{
    m->form->n_channels = 0;
    if (!read_list(m, m->form->channels, ENDPOINT_CHANNELS))
        return;
    bool all = false;
    for (size_t i = 0; i < m->n; i++) {
        int err = pattern_check(m->form->channels[i]);
        if (err)
            webhook_problem(m->problems, m->name, err, "%s", err_text(err));
        all |= slice_is(m->form->channels[i], SLICE("**"));
    }
    m->form->n_channels = all ? 0 : m->n;
}

static void read_message_events(struct member *m)
{
    m->form->n_message_events = 0;
    if (!read_list(m, m->form->message_events, ENDPOINT_EVENTS))
        return;
    m->form->n_message_events = m->n;
    for (size_t i = 0; i < m->n; i++)
        if (event_name_check(m->form->message_events[i]))
            wrong(m, ERR_BAD_EVENT, err_text(ERR_BAD_EVENT));
}

static void read_retry(struct member *m)
{
    struct schedule schedule;
    struct slice steps[SCHEDULE_MAX];
    const char *bad = NULL;
    if (m->value.len > 0 && m->value.at[0] == '[') {
        if (!read_list(m, steps, SCHEDULE_MAX))
            return;
        size_t from = m->form->scratch.len;
        for (size_t i = 0; i < m->n; i++) {
            if (i > 0)
                buf_add_char(&m->form->scratch, ',');
            buf_add_slice(&m->form->scratch, steps[i]);
        }
        m->form->retry_text = slice(m->form->scratch.at + from, m->form->scratch.len - from);
    } else if (!read_text(m, 512, &m->form->retry_text)) {
        return;
    }
    if (!is_null(m) && (bad = schedule_parse(m->form->retry_text, &schedule)))
        wrong(m, ERR_BAD_FIELD, bad);
}

/* ---- headers ---- */

/* RFC 9110 §5.6.2: a token. */
static bool is_token(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.at[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && !strchr("!#$%&'*+-.^_`|~", c))
            return false;
    }
    return s.len > 0 && s.len <= 100 && !memchr(s.at, '\0', s.len);
}

static bool is_value(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.at[i] < 0x20 || s.at[i] == 0x7f)
            return false;
    return s.len <= 1000;
}

/* Those that say how the request travels, or that it is ours. */
static bool is_forbidden(struct slice name)
{
    static const char *const ours[] = { "host", "content-length", "content-type", "transfer-encoding", "connection", "keep-alive", "te", "trailer", "upgrade",
                                        "expect", "user-agent", "accept-encoding", "content-encoding", "proxy-authorization", "proxy-connection", "traceparent", "tracestate" };
    static const char *const signatures[] = { "webhook-", "x-webhook-", "x-signature", "x-timestamp", "x-hub-signature", "stripe-signature" };
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        if (slice_is_nocase(name, slice_of(ours[i])))
            return true;
    for (size_t i = 0; i < sizeof signatures / sizeof *signatures; i++)
        if (name.len >= strlen(signatures[i]) && slice_is_nocase(slice(name.at, strlen(signatures[i])), slice_of(signatures[i])))
            return true;
    return false;
}

static void read_header(struct member *m, const struct json_member *header, struct buf *lines)
{
    struct buf value = { 0 };
    bool is_text = !json_unquote(header->value, &value);
    int shown = (int)(header->name.len < 60 ? header->name.len : 60);
    if (!is_token(header->name))
        webhook_problem(m->problems, m->name, ERR_BAD_FIELD, "%.*s: is not the name of a header", shown, header->name.at);
    else if (is_forbidden(header->name))
        webhook_problem(m->problems, m->name, ERR_BAD_FIELD, "%.*s: this header is the hub's", shown, header->name.at);
    else if (!is_text || !is_value(buf_slice(&value)))
        webhook_problem(m->problems, m->name, ERR_BAD_FIELD, "%.*s: its value is a string of at most 1,000 bytes without line ends and control characters", shown, header->name.at);
    buf_add_slice(lines, header->name);
    buf_add_str(lines, ": ");
    buf_add_slice(lines, buf_slice(&value));
    buf_add_char(lines, '\n');
    buf_fini(&value);
}

static void read_headers(struct member *m)
{
    struct json_object object = { 0 };
    struct buf lines = { 0 };
    m->form->headers = SLICE("");
    if (is_null(m))
        return;
    if (json_object_parse(m->value, &object) || object.n > ENDPOINT_HEADERS) {
        webhook_problem(m->problems, m->name, ERR_BAD_FIELD, "is an object of at most %d names with their values", ENDPOINT_HEADERS);
        return;
    }
    for (size_t i = 0; i < object.n; i++)
        read_header(m, &object.members[i], &lines);
    size_t from = m->form->scratch.len;
    buf_add_slice(&m->form->scratch, buf_slice(&lines));      /* it is no longer than the document: there is room */
    m->form->headers = slice(m->form->scratch.at + from, m->form->scratch.len - from);
    buf_fini(&lines);
}

/* ---- the document ---- */

static const struct { const char *name; void (*read)(struct member *m); } members[] = {
    { "url", read_url }, { "events", read_events }, { "channels", read_channels }, { "message_events", read_message_events }, { "secret", read_secret },
    { "signature", read_signature }, { "headers", read_headers }, { "enabled", read_enabled }, { "paused", read_paused }, { "rate", read_rate },
    { "concurrency", read_concurrency }, { "ordered", read_ordered }, { "after_last", read_after_last }, { "retry", read_retry },
    { "description", read_description }, { "metadata", read_metadata },
};

static void read_member(struct member *m, struct slice name)
{
    size_t i = 0;
    while (i < sizeof members / sizeof *members && !slice_is(name, slice_of(members[i].name)))
        i++;
    if (i == sizeof members / sizeof *members) {
        char shown[32];
        snprintf(shown, sizeof shown, "%.*s", (int)(name.len < 31 ? name.len : 31), name.at);
        webhook_problem(m->problems, utf8_valid(slice_of(shown)) ? shown : "?", ERR_BAD_FIELD, "there is no such member");
        return;
    }
    m->name = members[i].name;
    members[i].read(m);
}

/* Slices of it must not move while the form is used: everything that is decoded is shorter than it was in the document. */
static bool make_room(struct endpoint_form *form, struct slice document)
{
    return buf_room(&form->scratch, 2 * document.len + 64);
}

void form_read(struct endpoint_form *form, struct slice document, const struct endpoint_terms *terms, struct webhook_problems *problems)
{
    struct json_object object = { 0 };
    struct member m = { .form = form, .terms = terms, .problems = problems };
    int err = json_object_parse(document, &object);
    if (err || !make_room(form, document)) {
        webhook_problem(problems, "", err ? err : ERR_MEMORY, "%s", err_text(err ? err : ERR_MEMORY));
        return;
    }
    for (size_t i = 0; i < object.n; i++) {
        m.value = object.members[i].value;
        read_member(&m, object.members[i].name);
    }
}
