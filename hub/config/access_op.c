#include "hub/config/access_op.h"

const char *const access_op_names[ACCESS_OPS] = {
    [OP_SUBSCRIBE] = "subscribe", [OP_PUBLISH] = "publish", [OP_HISTORY] = "history", [OP_PRESENCE] = "presence",
    [OP_JOIN] = "join", [OP_ADMIN] = "admin",
};
