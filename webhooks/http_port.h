/* http_port.h — the spoke behind hub/http_out.h: a thread of its own for requests to other servers.
 *
 *   open: serving->http_out is there ─> start: the thread ─> … ─> stop: what is under way is answered with ERR_DRAINING
 *
 * The thread is nicer than all others (nice 5): webhooks at full rate do not make subscribers wait for a core.
 *
 * It is listed before the spokes that ask it, so it stops after them. It never has anything to drain: who asks decides what has
 * to be waited for.
 *
 * Threading  as spoke.h says. */
#pragma once
#include "hub/spoke.h"

extern const struct spoke http_out_spoke;
