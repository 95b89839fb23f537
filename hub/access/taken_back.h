/* taken_back.h — whom to tell when credentials that were good are not any more: a key was removed, a token revoked.
 *
 * The tables of the authority call it on the hub thread, after they have changed: from then on nobody is let in with such
 * credentials, and who was let in before is looked for. In this order nobody slips through between.
 * Lifetime: set before the threads start. */
#pragma once

struct taken_back {
    void (*tell)(void *arg);      /* NULL: nobody */
    void  *arg;
};

static inline void taken_back_tell(const struct taken_back *whom)
{
    if (whom->tell)
        whom->tell(whom->arg);
}
