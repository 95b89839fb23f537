#include "redis/parts/redis_questions.h"

#include "redis/bus/redis_pack.h"

#include <stdlib.h>

enum { VERSION = 1 };

struct redis_questions {
    struct redis_answerer answerer;      /* first */
    struct redis_asks    *asks;
    struct hub           *hub;
    void                (*wake)(void *owner);
    void                 *owner;
    struct link           open;          /* struct asking */
};

struct asking {
    struct redis_ask        ask;         /* first */
    struct link             link;
    struct redis_questions *questions;
    struct hook_question   *question;
    struct buf              answers;
};

static void asking_free(struct asking *asking)
{
    link_remove(&asking->link);
    buf_fini(&asking->answers);
    free(asking);
}

/* ---- asking ---- */

static void on_reply(struct redis_ask *ask, uint64_t node, struct slice body)
{
    struct asking *asking = (struct asking *)ask;
    (void)node;
    if (take_u8(&body) != VERSION || body.len == 0)
        return;
    if (asking->answers.len > 0)
        buf_add_char(&asking->answers, ',');
    buf_add_slice(&asking->answers, body);
}

static void on_done(struct redis_ask *ask)
{
    struct asking *asking = (struct asking *)ask;
    struct redis_questions *questions = asking->questions;
    asking->question->answered(asking->question, asking->answers.failed ? SLICE("") : buf_slice(&asking->answers));
    asking_free(asking);
    questions->wake(questions->owner);
}

bool redis_questions_ask(struct redis_questions *questions, struct hook_question *question)
{
    struct asking *asking = calloc(1, sizeof *asking);
    struct buf body = { 0 };
    if (!asking)
        return false;
    link_init(&asking->link);
    asking->questions = questions;
    asking->question = question;
    buf_add_char(&body, VERSION);
    buf_add_char(&body, (char)question->what);
    pack_u64(&body, question->endpoint);
    pack_u64(&body, question->number);
    asking->ask = (struct redis_ask){ .kind = REDIS_ASK_HOOK, .others = true, .body = buf_slice(&body), .reply = on_reply, .done = on_done };
    bool is_asked = !body.failed && !redis_ask(questions->asks, &asking->ask);
    buf_fini(&body);
    if (is_asked)
        list_add_last(&questions->open, &asking->link);
    else
        asking_free(asking);
    return is_asked;
}

/* ---- asked ---- */

static void on_question(struct redis_answerer *self, struct redis_asker asker, struct slice body)
{
    struct redis_questions *questions = (struct redis_questions *)self;
    struct hook *hook = hub_hook(questions->hub);
    struct hook_question question = { 0 };
    struct buf reply = { 0 };
    uint8_t version = take_u8(&body);
    question.what = take_u8(&body);
    question.endpoint = take_u64(&body);
    question.number = take_u64(&body);
    if (version != VERSION || !body.at || !hook)
        return;      /* missing in the other's answer */
    buf_add_char(&reply, VERSION);
    hook->asked(hook, &question, &reply);
    if (!reply.failed)
        redis_answer(questions->asks, asker, buf_slice(&reply));
    buf_fini(&reply);
    questions->wake(questions->owner);
}

/* ---- life ---- */

struct redis_questions *redis_questions_new(struct redis_asks *asks, struct hub *hub, void (*wake)(void *owner), void *owner)
{
    struct redis_questions *questions = asks ? calloc(1, sizeof *questions) : NULL;
    if (!questions)
        return NULL;
    *questions = (struct redis_questions){ { .kind = REDIS_ASK_HOOK, .answer = on_question }, .asks = asks, .hub = hub, .wake = wake, .owner = owner };
    link_init(&questions->open);
    redis_asks_add(asks, &questions->answerer);
    return questions;
}

void redis_questions_free(struct redis_questions *questions)
{
    if (!questions)
        return;
    for (struct link *first; (first = list_first(&questions->open));)
        asking_free(link_of(first, struct asking, link));
    free(questions);
}
