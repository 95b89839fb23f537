/* api_connections.c — connections seen and changed from outside: which there are, one of them, close, subscribe and unsubscribe, a new token;
 * by id, or all those of a user. What is asked becomes an errand (hub/errand.h), which the edges do. */
#include "hub/access/authority.h"
#include "hub/api/api.h"
#include "hub/api/api_body.h"
#include "hub/api/api_list.h"
#include "hub/api/problem.h"
#include "hub/base/clock.h"
#include "hub/base/err.h"
#include "hub/base/instant.h"
#include "hub/base/json.h"
#include "hub/base/name.h"
#include "hub/base/query.h"
#include "hub/config/config.h"

#include <stdlib.h>

enum { CLOSE_CODE_MIN = 4000, CLOSE_CODE_MAX = 4199 };
static const char REASON_FORM[] = "reason is a string of 1 to 120 bytes of UTF-8";

/* ---- whose ---- */

/* An errand that names nobody would concern everybody, so what does not name anybody never becomes one. */
static bool is_of_somebody(struct api_request *r)
{
    if (r->connection || (r->user.len > 0 && !r->user_err))
        return true;
    if (r->user_err)
        problem_answer_one(r, "user", r->user_err, "not a user");
    else
        problem_answer_one(r, NULL, ERR_NOT_FOUND, "there is no such connection");
    return false;
}

static void submit(struct api_request *r, void (*answered)(struct call *call))
{
    r->errand.connection = r->connection;
    r->errand.node = r->node;
    if (r->user.len > 0)
        r->errand.user = r->user;
    api_submit(r, CALL_ERRAND, sizeof r->errand + r->body.len, answered);
}

/* True: it failed, and is answered. */
static bool answer_failed(struct api_request *r)
{
    if (r->call.err)
        problem_answer_one(r, NULL, r->call.err, r->call.err == ERR_NOT_FOUND ? "there is no such connection" : NULL);
    return r->call.err != 0;
}

/* ---- which there are ---- */

static void add_next(struct api_request *r, struct buf *out, uint64_t node, uint64_t last)
{
    const struct list_filter filters[] = { { "channel", r->errand.channel }, { "user", r->errand.user } };
    char cursor[CONNECTION_TEXT];
    size_t len = connection_print(cursor, node, last);
    buf_addf(out, "],\"next_cursor\":\"%.*s\"", (int)len, cursor);
    api_list_link(r, filters, sizeof filters / sizeof *filters, slice(cursor, len));
}

static void add_page(struct api_request *r, size_t *at)
{
    struct buf *out = api_answer_begin(r, 200, "application/json");
    struct slice text;
    const struct errand_part *part;
    uint64_t id = 0, last = 0, node = 0;
    bool more;
    size_t n = 0;
    buf_add_str(out, "{\"data\":[");
    while ((part = errand_list_next(&r->errand, at, &text, &id, &more)) && !(more = n == r->limit)) {
        if (n++ > 0)
            buf_add_char(out, ',');
        buf_add_slice(out, text);
        last = id;
        node = part->node;
    }
    if (more)
        add_next(r, out, node, last);
    else
        buf_add_str(out, "],\"next_cursor\":null");
    api_list_missing(out, &r->errand.missing);
    buf_add_str(out, "}\n");
}

static void listed(struct call *call)
{
    struct api_request *r = call->owner;
    size_t *at = call->err ? NULL : calloc(errand_n_parts(&r->errand) + 1, sizeof *at);
    if (!call->err && !at)
        call->err = ERR_MEMORY;
    if (!call->err)
        add_page(r, at);
    free(at);
    errand_answer_fini(&r->errand);
    if (!answer_failed(r))
        api_answer_end(r);
}

void api_list_connections(struct api_request *r)
{
    struct problem problem = { 0 };
    if (!api_list_begin(r))
        return;
    api_list_limit(r, &problem);
    struct slice channel = api_list_value(r, "channel", &problem), user = api_list_value(r, "user", &problem);
    struct slice cursor = api_list_value(r, "cursor", &problem);
    uint64_t after_node = 0, after = connection_parse(cursor, &after_node);
    int err = channel.len > 0 ? pattern_check(channel) : 0;
    if (err)
        problem_add(&problem, "channel", err, NULL);
    if (cursor.len > 0 && !after)
        problem_add(&problem, "cursor", ERR_BAD_POSITION, "not a cursor of this list");
    if (problem.n > 0) {
        problem_answer(r, &problem);
        return;
    }
    r->errand = (struct errand_call){ .kind = ERRAND_LIST, .channel = channel, .user = user, .after = after, .after_node = after_node,
                                    .limit = r->limit };
    submit(r, listed);
}

/* ---- one ---- */

static void shown(struct call *call)
{
    struct api_request *r = call->owner;
    if (!call->err) {
        struct buf *out = api_answer_begin(r, 200, "application/json");
        buf_add_slice(out, buf_slice(&errand_part_at(&r->errand, 0)->text));
        buf_add_char(out, '\n');
    }
    errand_answer_fini(&r->errand);
    if (!answer_failed(r))
        api_answer_end(r);
}

void api_show_connection(struct api_request *r)
{
    if (!is_of_somebody(r))
        return;
    r->errand = (struct errand_call){ .kind = ERRAND_SHOW };
    submit(r, shown);
}

/* ---- close ---- */

static void check_code(struct api_request *r, struct slice text, struct problem *problem)
{
    uint64_t code = 0;
    if (slice_u64(text, &code) && code >= CLOSE_CODE_MIN && code <= CLOSE_CODE_MAX)
        r->errand.close_code = (int)code;
    else
        problem_add(problem, "code", ERR_BAD_FIELD, "code is a number from 4000 to 4199");
}

/* From the body, or else from the query. */
static void read_parting(struct body_reader *body)
{
    struct api_request *r = body->request;
    struct slice code = api_body_find(body, "code"), reason = api_body_string(body, "reason", CLOSE_REASON_MAX, REASON_FORM);
    if (!code.at)
        code = api_list_value(r, "code", body->problem);
    if (code.len > 0)
        check_code(r, code, body->problem);
    if (!api_body_find(body, "reason").at) {
        reason = api_list_value(r, "reason", body->problem);
        if (reason.len > CLOSE_REASON_MAX || !utf8_valid(reason))
            problem_add(body->problem, "reason", ERR_BAD_FIELD, REASON_FORM);
    }
    r->errand.reason = reason;
}

static void add_count(struct buf *out, size_t n, const struct nodes_missing *missing)
{
    buf_addf(out, "{\"connections\":%zu", n);
    api_list_missing(out, missing);
    buf_add_str(out, "}\n");
}

static void closed(struct call *call)
{
    struct api_request *r = call->owner;
    size_t n = errand_done(&r->errand);
    struct nodes_missing missing = r->errand.missing;
    errand_answer_fini(&r->errand);
    if (answer_failed(r))
        return;
    if (r->connection)
        api_answer_begin(r, 204, NULL);
    else
        add_count(api_answer_begin(r, 200, "application/json"), n, &missing);
    api_answer_end(r);
}

void api_disconnect(struct api_request *r)
{
    static const char *const known[] = { "code", "reason", NULL };
    struct problem problem = { 0 };
    struct body_reader body;
    if (!is_of_somebody(r) || !api_body_begin(r, &problem, known, &body))
        return;
    r->errand = (struct errand_call){ .kind = ERRAND_CLOSE, .close_err = ERR_DISCONNECTED };
    read_parting(&body);
    if (problem.n > 0)
        problem_answer(r, &problem);
    else
        submit(r, closed);
}

/* ---- subscribe and unsubscribe ---- */

/* One list of names of a body. */
struct name_list {
    struct api_request *request;
    struct slice       *names;      /* room for `max` */
    size_t              n, max;
};

static int take_name(void *arg, struct slice value)
{
    struct name_list *list = arg;
    struct buf *scratch = &list->request->scratch;
    size_t before = scratch->len;
    if (list->n == list->max)
        return ERR_TOO_MANY_CHANNELS;
    int err = json_unquote(value, scratch);
    if (err)
        return err;
    list->names[list->n] = slice(scratch->at + before, scratch->len - before);
    return pattern_check(list->names[list->n++]);
}

static void read_names(struct name_list *list, const struct body_reader *body, const char *name)
{
    struct slice value = api_body_find(body, name);
    int err = value.at ? json_array_each(value, take_name, list) : 0;
    if (err)
        problem_add(body->problem, name, err, err == ERR_BAD_FIELD ? "an array of channel names and patterns" : NULL);
}

static void changed(struct call *call)
{
    struct api_request *r = call->owner;
    const struct errand_call *errand = &r->errand;
    free((void *)(uintptr_t)errand->add);
    if (!call->err) {
        struct buf *out = api_answer_begin(r, 200, "application/json");
        buf_addf(out, "{\"connections\":%zu,\"refused\":[", errand_done(errand));
        bool any = false;
        for (size_t i = 0; i < errand_n_parts(errand); i++) {
            struct slice refused = buf_slice(&errand_part_at(errand, i)->text);
            if (refused.len > 0 && any)
                buf_add_char(out, ',');
            buf_add_slice(out, refused);
            any |= refused.len > 0;
        }
        buf_addf(out, "],\"refused_count\":%zu", errand_refused(errand));
        api_list_missing(out, &errand->missing);
        buf_add_str(out, "}\n");
    }
    errand_answer_fini(&r->errand);
    if (!answer_failed(r))
        api_answer_end(r);
}

/* add, remove: both in one piece of memory, which is the errand's until it is answered. */
static void read_channels(const struct body_reader *body, struct slice *names)
{
    struct api_request *r = body->request;
    size_t most = r->api->config->limits_channels;
    struct name_list add = { r, names, 0, most }, remove = { r, names + most, 0, most };
    read_names(&add, body, "add");
    read_names(&remove, body, "remove");
    if (body->problem->n == 0 && add.n + remove.n == 0)
        problem_add(body->problem, NULL, ERR_BAD_FIELD, "name channels to add or to remove");
    r->errand = (struct errand_call){ .kind = ERRAND_CHANNELS, .add = names, .n_add = add.n, .remove = remove.names, .n_remove = remove.n };
}

void api_change_channels(struct api_request *r)
{
    static const char *const known[] = { "add", "remove", NULL };
    struct problem problem = { 0 };
    struct body_reader body;
    if (!is_of_somebody(r) || !api_body_begin(r, &problem, known, &body))
        return;
    struct slice *names = calloc(2 * r->api->config->limits_channels, sizeof *names);
    if (!names) {
        problem_answer_one(r, NULL, ERR_MEMORY, NULL);
        return;
    }
    read_channels(&body, names);
    if (problem.n > 0) {
        free(names);
        problem_answer(r, &problem);
    } else {
        submit(r, changed);
    }
}

/* ---- a new token ---- */

static const char TOKEN_FORM[] = "token is a string";

/* The answer to who has just shown good credentials of his own, about those in the body. */
static void refuse_token(struct api_request *r, int err)
{
    bool is_bad = err_status(err) == 401;
    problem_answer_one(r, is_bad ? "token" : NULL, is_bad ? ERR_BAD_FIELD : err, is_bad ? err_text(err) : NULL);
}

static void renewed(struct call *call)
{
    struct api_request *r = call->owner;
    struct principal *principal = r->errand.principal;
    int64_t expires_s = principal_expires_s(principal);
    errand_answer_fini(&r->errand);
    if (call->err) {
        principal_unref(principal);
        if (err_status(call->err) == 401)
            refuse_token(r, call->err);
        else
            answer_failed(r);
        return;
    }
    struct buf *out = api_answer_begin(r, 200, "application/json");
    struct slice user = principal_user(principal);
    buf_add_str(out, "{\"user\":");
    if (user.len > 0)
        buf_add_json(out, user);
    else
        buf_add_str(out, "null");
    buf_add_instant_member(out, "expires", expires_s);
    buf_add_str(out, "}\n");
    principal_unref(principal);
    api_answer_end(r);
}

/* 0: the errand is on its way. */
static int try_token(struct api_request *r)
{
    struct principal *principal;
    struct api *api = r->api;
    int err = authority_check(api->authority, api->config, buf_slice(&r->scratch), clock_wall_ms(api->clock) / 1000, &principal);
    if (err)
        return err;
    r->errand = (struct errand_call){ .kind = ERRAND_TOKEN, .principal = principal, .credential = buf_slice(&r->scratch) };
    submit(r, renewed);
    return 0;
}

/* The keys have been looked for, once: if that went well, they are what they are. */
static void keys_came(struct call *call)
{
    struct api_request *r = call->owner;
    int looked = call->err, err = try_token(r);
    if (err == ERR_KEYS_PENDING && looked != ERR_DRAINING)
        refuse_token(r, looked ? ERR_KEYS_PENDING : ERR_BAD_TOKEN);
    else if (err)
        refuse_token(r, err == ERR_KEYS_PENDING ? looked : err);
}

void api_renew_connection(struct api_request *r)
{
    static const char *const known[] = { "token", NULL };
    struct problem problem = { 0 };
    struct body_reader body;
    if (!is_of_somebody(r) || !api_body_begin(r, &problem, known, &body))
        return;
    if (!api_body_string(&body, "token", r->body.len, TOKEN_FORM).at && problem.n == 0)
        problem_add(&problem, "token", ERR_BAD_FIELD, TOKEN_FORM);
    if (problem.n > 0) {
        problem_answer(r, &problem);
        return;
    }
    int err = try_token(r);
    if (err == ERR_KEYS_PENDING)
        api_submit(r, CALL_KEYS, r->body.len, keys_came);
    else if (err)
        refuse_token(r, err);
}
