/* partner.h — the receivers behind the port http_out.h: what each says to a request, and when, is drawn when the request comes.
 *
 * Threading: the simulation's. */
#pragma once
#include "hub/http_out.h"

enum { PARTNER_LATEST_MS = 10000 };        /* as webhooks.timeout */

enum mood { GOOD, FICKLE, BAD, SLOW, AWAY, BUSY, QUITS, MOODS };

extern struct http_out partner_port;

void    partner_init(void);
void    partner_mood(int place, enum mood mood);
int64_t partner_due_ms(void);              /* mono: when the next answer comes; INT64_MAX: none will */
bool    partner_step(void);                /* the first answer that is due is in the hub's mail; false: none is */
void    partner_lose(void);                /* the hub was killed: nobody hears them */
bool    partner_idle(void);
