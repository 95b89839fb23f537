/* api_revocations.c — tokens are taken back, and let in again: POST /v1/tokens/revoke, and the list of what is revoked. */
#include "hub/access/authority.h"
#include "hub/api/api.h"
#include "hub/api/api_body.h"
#include "hub/api/api_list.h"
#include "hub/api/problem.h"
#include "hub/base/clock.h"
#include "hub/base/err.h"
#include "hub/base/instant.h"
#include "hub/config/config.h"

#include <stdlib.h>

enum { CLOCKS_DIFFER_S = 60 };      /* how far ahead of ours a caller's clock may be */

static struct revocations *table_of(const struct api_request *r) { return authority_revocations(r->api->authority); }

/* ---- what a revocation looks like ---- */

static void add_string(struct buf *out, const char *name, struct slice value)
{
    buf_addf(out, ",\"%s\":", name);
    buf_add_json(out, value);
}

/* Without its closing brace. */
static void add_revocation(struct buf *out, const struct revocation *revocation)
{
    buf_addf(out, "{\"id\":\"%s\"", revocation->item.id);
    if (revocation->kind == REVOKES_TOKEN)
        add_string(out, "jti", revocation->subject);
    if (revocation->kind == REVOKES_USER)
        add_string(out, "user", revocation->subject);
    if (revocation->kind != REVOKES_TOKEN)
        buf_add_instant_member(out, "issued_before", revocation->before_s);
    if (revocation->reason.len > 0)
        add_string(out, "reason", revocation->reason);
    buf_add_instant_member(out, "created", revocation->created_s);
    buf_add_instant_member(out, "expires", revocation->until_s);
}

static void answer_failed(struct api_request *r)
{
    const char *detail = r->call.err == ERR_NOT_FOUND      ? "there is no such revocation"
                         : r->call.err == ERR_STORE_FAILED ? "the store cannot write now; nothing has changed"
                                                           : NULL;
    problem_answer_one(r, NULL, r->call.err, detail);
}

static void submit(struct api_request *r, struct slice id, void (*answered)(struct call *call))
{
    r->record = (struct record_call){ .kind = RECORD_REVOCATION, .key = id, .ask = &r->revocation_ask };
    api_submit(r, CALL_RECORD, sizeof r->record + r->body.len, answered);
}

/* ---- revoke ---- */

static void answer_revoked(struct api_request *r)
{
    struct revocation *now;
    int err = r->revocation_ask.told.failed
                  ? ERR_MEMORY
                  : revocation_read(slice_of(r->revocation_ask.add->item.id), buf_slice(&r->revocation_ask.told), &now);
    if (err) {      /* it is in force; only the answer has found no memory */
        problem_answer_one(r, NULL, ERR_MEMORY, NULL);
        return;
    }
    struct buf *out = api_answer_begin(r, 201, "application/json");
    add_revocation(out, now);
    buf_addf(out, ",\"durable\":%s}\n", r->record.durable ? "true" : "false");
    free(now);
    api_answer_end(r);
}

static void revoked(struct call *call)
{
    struct api_request *r = call->owner;
    struct revocation *asked = r->revocation_ask.add;
    struct buf told = r->revocation_ask.told;
    r->item = slice_of(asked->item.id);
    if (call->err)
        answer_failed(r);
    else
        answer_revoked(r);
    buf_fini(&told);
    free(asked);
}

/* Who is meant: exactly one of the ways to say it. */
static void read_subject(struct body_reader *body, int64_t now, struct revocation *form)
{
    static const char text[] = "a string of 1 to 200 bytes";
    struct slice jti = api_body_string(body, "jti", REVOCATION_NAME_MAX, text), user = api_body_string(body, "user", REVOCATION_NAME_MAX, text);
    bool before = api_body_moment(body, "issued_before", &form->before_s);
    bool has_jti = api_body_find(body, "jti").at, has_user = api_body_find(body, "user").at, has_before = api_body_find(body, "issued_before").at;
    if (has_jti ? has_user || has_before : !has_user && !has_before)
        problem_add(body->problem, NULL, ERR_BAD_FIELD, "say which tokens: jti, or user, or issued_before; user and issued_before may stand together");
    if (before && form->before_s > now + CLOCKS_DIFFER_S)
        problem_add(body->problem, "issued_before", ERR_BAD_FIELD, "this moment is still to come: tokens that do not exist yet cannot be revoked");
    form->kind = has_jti ? REVOKES_TOKEN : has_user ? REVOKES_USER : REVOKES_ALL;
    form->subject = has_jti ? jti : has_user ? user : SLICE("");
    if (has_user && !has_before)
        form->before_s = now + 1;      /* up to this second */
}

/* Until when: as said, or as long as tokens can live, or as the settings say. */
static void read_until(struct body_reader *body, const struct config *config, int64_t now, struct revocation *form)
{
    int64_t life_ms = config->tokens_max_life_ms ? config->tokens_max_life_ms + config->tokens_leeway_ms : config->tokens_revoked_for_ms;
    form->until_s = now + life_ms / 1000 + 1;
    if (api_body_moment(body, "expires", &form->until_s) && form->until_s <= now)
        problem_add(body->problem, "expires", ERR_BAD_FIELD, "the tokens would have expired already");
}

void api_revoke_tokens(struct api_request *r)
{
    static const char *const known[] = { "jti", "user", "issued_before", "reason", "expires", NULL };
    struct problem problem = { 0 };
    struct body_reader body;
    int64_t now = clock_wall_ms(r->api->clock) / 1000;
    struct revocation form = { .created_s = now, .reason = SLICE("") };
    if (!api_body_begin(r, &problem, known, &body))
        return;
    read_subject(&body, now, &form);
    struct slice reason = api_body_string(&body, "reason", REVOCATION_REASON_MAX, "a string of 1 to 200 bytes");
    if (reason.at)
        form.reason = reason;
    read_until(&body, r->api->config, now, &form);
    if (problem.n > 0) {
        problem_answer(r, &problem);
        return;
    }
    r->revocation_ask = (struct revocation_ask){ .add = revocation_new(&form), .most = r->api->config->limits_revocations };
    if (r->revocation_ask.add)
        submit(r, slice_of(r->revocation_ask.add->item.id), revoked);
    else
        problem_answer_one(r, NULL, ERR_MEMORY, NULL);
}

/* ---- let in again ---- */

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

void api_remove_revocation(struct api_request *r)
{
    r->revocation_ask = (struct revocation_ask){ .add = NULL };
    submit(r, r->item, removed);
}

/* ---- show, list ---- */

static void show(void *arg, const struct revocation *revocation)
{
    struct buf *out = api_answer_begin(arg, 200, "application/json");
    add_revocation(out, revocation);
    buf_add_str(out, "}\n");
}

void api_show_revocation(struct api_request *r)
{
    if (revocations_show(table_of(r), r->item, show, r))
        api_answer_end(r);
    else
        problem_answer_one(r, NULL, ERR_NOT_FOUND, "there is no such revocation");
}

struct page {
    struct buf *out;
    char        last[ROLL_ID_MAX + 1];
};

static void add_to_page(void *arg, const struct revocation *revocation)
{
    struct page *page = arg;
    if (page->last[0])
        buf_add_char(page->out, ',');
    add_revocation(page->out, revocation);
    buf_add_char(page->out, '}');
    memcpy(page->last, revocation->item.id, sizeof page->last);
}

void api_list_revocations(struct api_request *r)
{
    struct problem problem = { 0 };
    if (!api_list_begin(r))
        return;
    api_list_limit(r, &problem);
    struct slice cursor = api_list_value(r, "cursor", &problem);
    if (problem.n > 0) {
        problem_answer(r, &problem);
        return;
    }
    struct page page = { .out = api_answer_begin(r, 200, "application/json") };
    buf_add_str(page.out, "{\"data\":[");
    if (revocations_page(table_of(r), cursor, r->limit, add_to_page, &page)) {
        buf_addf(page.out, "],\"next_cursor\":\"%s\"}\n", page.last);
        api_list_link(r, NULL, 0, slice_of(page.last));
    } else {
        buf_add_str(page.out, "],\"next_cursor\":null}\n");
    }
    api_answer_end(r);
}
