/* ws_auth.h — the frame `auth` of PROTOCOL.md, "Credentials that end". Threading: edge thread. */
#pragma once
#include "hub/base/buf.h"

struct conn;

/* Answers, now or when the token's key has come. `token` may begin with "Bearer ". */
void ws_auth(struct conn *conn, struct slice ref, struct slice token);
