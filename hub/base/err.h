/* err.h — one list of errors, with what each is called, its HTTP status and its close code.
 *
 * Functions return 0 or one of these (they are negative). err.def is the list; PROTOCOL.md explains each to users.
 * Threading: constants only, any thread. */
#pragma once

enum err {
    ERR_BASE = -4096,
#define ERR(name, code, status, close, text) ERR_##name,
#include "hub/base/err.def"
#undef ERR
    ERR_END
};

const char *err_code(int err);         /* "bad_channel": stable, for programs; "ok" for 0 */
const char *err_text(int err);         /* one sentence for people */
int         err_status(int err);       /* HTTP status; 200 for 0 */
int         err_close_code(int err);   /* WebSocket close code; 0: this error does not end a connection */
