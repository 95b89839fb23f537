/* redis_questions.h — what only one node knows of webhooks: its hooks ask those of the others (hub_ask_hooks).
 *
 *   question   version 1 · what 1 · endpoint 8 · number 8
 *   reply      version 1 · text; who knows nothing says so with an empty one
 *
 * Who does not answer in time is left out.
 *
 * Lifetime   redis_questions_new after redis_asks_new, redis_questions_free after redis_asks_free: what is under way then is not answered.
 * Threading  the hub's. Limits: those of redis_ask.h. */
#pragma once
#include "hub/hook.h"
#include "redis/parts/redis_ask.h"

enum { REDIS_ASK_HOOK = 'H' };

struct redis_questions;

struct redis_questions *redis_questions_new(struct redis_asks *asks, struct hub *hub, void (*wake)(void *owner), void *owner);      /* NULL: no memory */
void redis_questions_free(struct redis_questions *questions);                      /* NULL is fine */
/* False: they cannot be asked; then it is not answered. */
bool redis_questions_ask(struct redis_questions *questions, struct hook_question *question);
