/* access_op.h — what may be granted: the operations, and their names in scopes of keys. Who has which is access.h's. */
#pragma once
#include "hub/base/buf.h"

enum access_op { OP_SUBSCRIBE, OP_PUBLISH, OP_HISTORY, OP_PRESENCE, OP_JOIN, OP_KICK, OP_ADMIN, ACCESS_OPS };
extern const char *const access_op_names[ACCESS_OPS];     /* "subscribe", … */
int access_op_find(struct slice name);                    /* enum access_op, or -1 */
