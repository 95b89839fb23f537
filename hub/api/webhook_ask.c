#include "hub/api/webhook_ask.h"

#include "hub/api/problem.h"
#include "hub/base/err.h"

#include <stdio.h>
#include <stdlib.h>

struct asking {
    struct webhook_call call;      /* first */
    struct api_request *request;
    void              (*done)(struct api_request *request, struct webhook_call *ask);
};

struct webhook_call *webhook_ask_new(struct api_request *r, enum webhook_order order)
{
    struct asking *asking = calloc(1, sizeof *asking);
    if (!asking) {
        problem_answer_one(r, NULL, ERR_MEMORY, NULL);
        return NULL;
    }
    asking->request = r;
    asking->call.order = order;
    asking->call.id = r->webhook;
    asking->call.delivery = r->delivery;
    asking->call.replay = r->replay;
    return &asking->call;
}

void webhook_answer_not_found(struct api_request *r, const char *what)
{
    char detail[80];
    snprintf(detail, sizeof detail, "there is no such %s", what);
    problem_answer_one(r, NULL, ERR_NOT_FOUND, detail);
}

static const char *what_of(const struct webhook_call *call)
{
    return call->replay ? "replay" : call->delivery ? "delivery" : "webhook";
}

static void answer_failed(struct api_request *r, const struct webhook_call *call)
{
    struct problem problem = { 0 };
    for (size_t i = 0; i < call->problems.n; i++)
        problem_add(&problem, call->problems.found[i].field[0] ? call->problems.found[i].field : NULL, call->problems.found[i].err, call->problems.found[i].detail);
    if (problem.n > 0)
        problem_answer(r, &problem);
    else if (call->call.err == ERR_NOT_FOUND)
        webhook_answer_not_found(r, what_of(call));
    else
        problem_answer_one(r, NULL, call->call.err, call->call.err == ERR_STORE_FAILED ? "the store cannot write now; nothing has changed" : NULL);
}

static void answered(struct call *call)
{
    struct asking *asking = call->owner;
    if (call->err)
        answer_failed(asking->request, &asking->call);
    else
        asking->done(asking->request, &asking->call);
    if (asking->call.text.at)      /* a secret may be in it */
        explicit_bzero(asking->call.text.at, asking->call.text.len);
    buf_fini(&asking->call.text);
    free(asking);
}

void webhook_ask_submit(struct webhook_call *ask, void (*done)(struct api_request *r, struct webhook_call *ask))
{
    struct asking *asking = (struct asking *)ask;
    asking->done = done;
    ask->call.owner = asking;
    api_submit_apart(asking->request, &ask->call, CALL_WEBHOOK, sizeof *ask + ask->document.len, answered);
}

static void answer_text(struct api_request *r, int status, const struct webhook_call *ask)
{
    struct buf *out = api_answer_begin(r, status, "application/json");
    buf_add_slice(out, buf_slice(&ask->text));
    buf_add_char(out, '\n');
    api_answer_end(r);
}

void webhook_ask_answer(struct api_request *r, struct webhook_call *ask)       { answer_text(r, 200, ask); }
void webhook_ask_answer_later(struct api_request *r, struct webhook_call *ask) { answer_text(r, 202, ask); }
