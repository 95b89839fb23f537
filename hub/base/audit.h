/* audit.h — who did what to the hub, when, from where, and what came of it: one JSON object per line, for those who must be able to
 * say so later.
 *
 *   {"time":"2026-11-21T10:08:00.123Z","who":"key backend","address":"192.0.2.7","action":"POST /v1/tokens/revoke","target":"rv_4f…",
 *    "result":"ok","request_id":"req-…"}
 *
 * Every administrative request that would change something has a line, also one that was refused; so has each reload of the settings.
 * Wrong credentials, on both ports, are counted per address and told once a minute. What was sent is not in it: no secret can be.
 *
 * The file is opened for appending, readable by its owner only, and each line is one write(2), so several processes and logrotate
 * do it no harm; SIGHUP opens it again. A line that cannot be written is told in the log; what it is about goes on.
 *
 * Threading  audit_open: the hub thread; everything else: any thread.
 * Limits     AUDIT_ADDRESSES are counted apart in a minute, the others together. */
#pragma once
#include "hub/base/buf.h"
#include "hub/base/ip.h"

enum { AUDIT_ADDRESSES = 64 };

struct audit_event {
    struct slice who, address, action, target, result, request_id;      /* empty ones are left out */
};

/* From now on to this file, or to "stderr"; "": nowhere. 0, or errno, and it goes where it went before. */
int  audit_open(const char *path);
void audit_write(const struct audit_event *event);
/* Wrong credentials came from there. */
void audit_refused_login(struct ip address);
/* Tells what was counted, once a minute at most. Hub thread; with `now` at once. */
void audit_tick(int64_t mono_ms, bool now);
