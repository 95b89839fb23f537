/* api_keys.c — API keys made at run time: made, listed, shown, rotated, removed. The secret is in one answer and nowhere else.
 *
 * Nobody gives more than he has: scopes of a new key must be within those of who makes it, and only who may do all that a key may
 * can rotate it (he learns its secret) or remove it. */
#include "hub/access/access.h"
#include "hub/access/authority.h"
#include "hub/api/api.h"
#include "hub/api/api_body.h"
#include "hub/api/api_list.h"
#include "hub/api/problem.h"
#include "hub/base/clock.h"
#include "hub/base/err.h"
#include "hub/base/instant.h"
#include "hub/config/config.h"

#include <stdio.h>
#include <stdlib.h>

static const int64_t YEARS_MS = INT64_C(3650) * 24 * 60 * 60 * 1000, OVERLAP_MS = 24 * 60 * 60 * 1000;

static int64_t wall_s(const struct api_request *r) { return clock_wall_ms(r->api->clock) / 1000; }

static struct key_table *table_of(const struct api_request *r) { return authority_key_table(r->api->authority); }

/* ---- what a key looks like ---- */

/* Without its closing brace. */
static void add_key(struct buf *out, struct live_key *key)
{
    int64_t used_s = atomic_load_explicit(&key->used_s, memory_order_relaxed);
    buf_addf(out, "{\"id\":\"%s\",\"name\":\"%s\",\"hint\":\"%s\",\"scopes\":[", key->item.id, key->key.name, key->hint);
    for (size_t i = 0; i < key->key.scopes.count; i++) {
        if (i > 0)
            buf_add_char(out, ',');
        buf_add_json(out, slice_of(key->key.scopes.at[i]));
    }
    buf_add_str(out, "],\"tier\":");
    if (key->tier.len > 0)
        buf_add_json(out, key->tier);
    else
        buf_add_str(out, "null");
    buf_add_instant_member(out, "created", key->created_s);
    buf_add_instant_member(out, "expires", key->expires_s);
    buf_add_instant_member(out, "last_used", used_s ? used_s : INT64_MAX);
    buf_add_instant_member(out, "old_until", key->old_until_s ? key->old_until_s : INT64_MAX);
}

static void answer_key(struct api_request *r, struct live_key *key)
{
    struct buf *out = api_answer_begin(r, 200, "application/json");
    add_key(out, key);
    buf_add_str(out, "}\n");
    api_answer_end(r);
}

/* The only answer that has the key itself. */
static void answer_secret(struct api_request *r, int status, struct live_key *key)
{
    struct buf *out = api_answer_begin(r, status, "application/json");
    add_key(out, key);
    buf_addf(out, ",\"key\":\"%s\",\"durable\":%s}\n", r->secret, r->record.durable ? "true" : "false");
    explicit_bzero(r->secret, sizeof r->secret);
    r->item = slice_of(key->item.id);
    api_answer_end(r);
    live_key_unref(key);
}

static bool make_secret(struct api_request *r)
{
    if (api_key_make(r->secret)) {
        problem_answer_one(r, NULL, ERR_INTERNAL, "the kernel gives no random numbers");
        return false;
    }
    int err = api_key_digest(slice_of(r->secret), r->sha256);
    if (err) {
        explicit_bzero(r->secret, sizeof r->secret);
        problem_answer_one(r, NULL, err, NULL);
    }
    return !err;
}

static void submit(struct api_request *r, struct slice id, void (*answered)(struct call *call))
{
    r->record = (struct record_call){ .kind = RECORD_KEY, .key = id, .ask = &r->key_ask };
    api_submit(r, CALL_RECORD, sizeof r->record + r->body.len, answered);
}

static void answer_failed(struct api_request *r)
{
    static const struct { int err; const char *detail; } details[] = {
        { ERR_NOT_FOUND, "there is no such key" },
        { ERR_FORBIDDEN, "this key may do what you may not" },
        { ERR_STORE_FAILED, "the store cannot write now; nothing has changed" },
    };
    const char *detail = NULL;
    for (size_t i = 0; i < sizeof details / sizeof *details; i++)
        if (details[i].err == r->call.err)
            detail = details[i].detail;
    explicit_bzero(r->secret, sizeof r->secret);
    problem_answer_one(r, NULL, r->call.err, detail);
}

/* ---- make ---- */

/* The scopes as they come, into the form of the key. */
struct scopes {
    struct body_reader *body;
    struct slice     at[KEY_SCOPES_MAX];
    size_t           n;
};

static int take_scope(void *arg, struct slice value)
{
    struct scopes *scopes = arg;
    struct buf *scratch = &scopes->body->request->scratch, why = { 0 };
    size_t before = scratch->len;
    bool good = scopes->n < KEY_SCOPES_MAX && !json_unquote(value, scratch);
    struct slice scope = slice(scratch->at + before, scratch->len - before);
    good = good && !api_key_scope_check(scope, &why);
    buf_fini(&why);
    if (!good)
        return ERR_BAD_FIELD;
    scopes->at[scopes->n++] = scope;
    return 0;
}

static void read_scopes(struct body_reader *body, struct scopes *scopes)
{
    struct slice value = api_body_find(body, "scopes");
    if (!value.at || json_array_each(value, take_scope, scopes) || scopes->n == 0) {
        problem_add(body->problem, "scopes", ERR_BAD_FIELD, "1 to 100 scopes: OPERATION, OPERATION:PATTERN or *; operations are subscribe, "
                    "publish, history, presence, join and admin");
        return;
    }
    for (size_t i = 0; i < scopes->n; i++)
        if (!scope_is_within(scopes->at[i], body->request->principal)) {
            problem_add(body->problem, "scopes", ERR_FORBIDDEN, "you cannot give a scope that you do not have yourself");
            return;
        }
}

static void read_expiry(struct body_reader *body, int64_t now, struct key_form *form)
{
    int64_t in_ms;
    bool in = api_body_duration(body, "expires_in", YEARS_MS, &in_ms), at = api_body_moment(body, "expires", &form->expires_s);
    if (in && at)
        problem_add(body->problem, "expires", ERR_BAD_FIELD, "say expires or expires_in, not both");
    else if (in)
        form->expires_s = now + in_ms / 1000;
    if ((in || at) && form->expires_s <= now)
        problem_add(body->problem, in ? "expires_in" : "expires", ERR_BAD_FIELD, "the key would have expired already");
}

static void read_name(struct body_reader *body, const char *member, bool must, struct slice *ret_name)
{
    static const char form[] = "1 to 64 of A-Z a-z 0-9 . _ -";
    struct slice name = api_body_string(body, member, 64, form);
    if ((name.at && !api_key_name_check(name)) || (must && !api_body_find(body, member).at))
        problem_add(body->problem, member, ERR_BAD_FIELD, form);
    else if (name.at)
        *ret_name = name;
}

static void made(struct call *call)
{
    struct api_request *r = call->owner;
    struct live_key *key = r->key_ask.key;
    if (call->err) {
        live_key_unref(key);
        answer_failed(r);
    } else {
        answer_secret(r, 201, key);
    }
}

static void make(struct api_request *r, const struct key_form *asked)
{
    char id[KEY_ID_TEXT];
    if (!make_secret(r))
        return;
    if (key_id_make(clock_wall_ms(r->api->clock), id)) {
        problem_answer_one(r, NULL, ERR_INTERNAL, NULL);
        return;
    }
    struct key_form form = *asked;
    form.id = slice_of(id);
    form.hint = slice(r->secret, KEY_HINT_TEXT - 1);
    form.sha256 = r->sha256;
    r->key_ask = (struct key_ask){ .change = KEY_ADD, .most = r->api->config->limits_keys, .key = live_key_new(&form) };
    if (r->key_ask.key)
        submit(r, slice_of(r->key_ask.key->item.id), made);
    else
        problem_answer_one(r, NULL, ERR_MEMORY, NULL);
}

/* A secret is shown once and not kept, so the answer could not be given again: better to say so than to make two. */
static void refuse_idempotency_key(const struct api_request *r, struct problem *problem)
{
    if (api_header_find(r, "idempotency-key").at)
        problem_add(problem, "Idempotency-Key", ERR_BAD_KEY, "this request cannot be replayed, because a key is shown only once");
}

void api_make_key(struct api_request *r)
{
    static const char *const known[] = { "name", "scopes", "tier", "expires", "expires_in", NULL };
    struct problem problem = { 0 };
    struct body_reader body;
    struct scopes scopes = { .body = &body };
    int64_t now = wall_s(r);
    struct key_form form = { .tier = SLICE(""), .scopes = scopes.at, .created_s = now, .expires_s = INT64_MAX, .generation = 1 };
    if (!api_body_begin(r, &problem, known, &body))
        return;
    refuse_idempotency_key(r, &problem);
    read_name(&body, "name", true, &form.name);
    read_name(&body, "tier", false, &form.tier);
    read_scopes(&body, &scopes);
    read_expiry(&body, now, &form);
    form.n_scopes = scopes.n;
    if (problem.n > 0)
        problem_answer(r, &problem);
    else
        make(r, &form);
}

/* ---- rotate ---- */

static void rotated(struct call *call)
{
    struct api_request *r = call->owner;
    if (call->err)
        answer_failed(r);
    else
        answer_secret(r, 200, r->key_ask.ret_key);
}

void api_rotate_key(struct api_request *r)
{
    static const char *const known[] = { "overlap", NULL };
    struct problem problem = { 0 };
    struct body_reader body;
    int64_t overlap_ms = OVERLAP_MS, now = wall_s(r);
    if (!api_body_begin(r, &problem, known, &body))
        return;
    refuse_idempotency_key(r, &problem);
    api_body_duration(&body, "overlap", YEARS_MS, &overlap_ms);
    if (problem.n > 0) {
        problem_answer(r, &problem);
        return;
    }
    if (!make_secret(r))
        return;
    r->key_ask = (struct key_ask){ .change = KEY_ROTATE, .by = r->principal, .sha256 = r->sha256, .now_s = now,
                                   .old_until_s = overlap_ms >= 1000 ? now + overlap_ms / 1000 : 0 };
    snprintf(r->key_ask.hint, sizeof r->key_ask.hint, "%.*s", KEY_HINT_TEXT - 1, r->secret);
    submit(r, r->item, rotated);
}

/* ---- remove ---- */

static void removed(struct call *call)
{
    struct api_request *r = call->owner;
    if (call->err) {
        answer_failed(r);
        return;
    }
    api_answer_begin(r, 204, NULL);
    api_answer_end(r);
}

void api_remove_key(struct api_request *r)
{
    r->key_ask = (struct key_ask){ .change = KEY_REMOVE, .by = r->principal };
    submit(r, r->item, removed);
}

/* ---- show, list ---- */

void api_show_key(struct api_request *r)
{
    struct live_key *key = key_table_find(table_of(r), r->item);
    if (key)
        answer_key(r, key);
    else
        problem_answer_one(r, NULL, ERR_NOT_FOUND, "there is no such key");
    live_key_unref(key);
}

static void add_page(struct api_request *r, struct live_key **keys, size_t n, bool more)
{
    struct buf *out = api_answer_begin(r, 200, "application/json");
    buf_add_str(out, "{\"data\":[");
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            buf_add_char(out, ',');
        add_key(out, keys[i]);
        buf_add_char(out, '}');
    }
    if (more) {
        buf_addf(out, "],\"next_cursor\":\"%s\"}\n", keys[n - 1]->item.id);
        api_list_link(r, NULL, 0, slice_of(keys[n - 1]->item.id));
    } else {
        buf_add_str(out, "],\"next_cursor\":null}\n");
    }
}

void api_list_keys(struct api_request *r)
{
    struct problem problem = { 0 };
    bool more;
    if (!api_list_begin(r))
        return;
    api_list_limit(r, &problem);
    struct slice cursor = api_list_value(r, "cursor", &problem);
    if (problem.n > 0) {
        problem_answer(r, &problem);
        return;
    }
    struct live_key **keys = calloc(r->limit, sizeof *keys);
    if (!keys) {
        problem_answer_one(r, NULL, ERR_MEMORY, NULL);
        return;
    }
    size_t n = key_table_page(table_of(r), cursor, r->limit, keys, &more);
    add_page(r, keys, n, more);
    for (size_t i = 0; i < n; i++)
        live_key_unref(keys[i]);
    free(keys);
    api_answer_end(r);
}
