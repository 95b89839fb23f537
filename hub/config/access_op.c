#include "hub/config/access_op.h"

const char *const access_op_names[ACCESS_OPS] = {
    [OP_SUBSCRIBE] = "subscribe", [OP_PUBLISH] = "publish", [OP_HISTORY] = "history", [OP_PRESENCE] = "presence",
    [OP_JOIN] = "join", [OP_KICK] = "kick", [OP_ADMIN] = "admin",
};

int access_op_find(struct slice name)
{
    for (int op = 0; op < ACCESS_OPS; op++)
        if (slice_is(name, slice_of(access_op_names[op])))
            return op;
    return -1;
}
