/* notice.h — what the hub says of itself on a stream (PROTOCOL.md §5, Control events), as a sentence on standard error.
 * Threading: main thread. */
#pragma once
#include "clients/cli/args.h"
#include "hub/base/buf.h"

struct notice_bye {
    int64_t retry_ms;       /* -1: it did not say */
    bool    stay_away;      /* the same request would end the same way */
};

void notice_bye(const struct cli_command *command, struct slice bye, struct notice_bye *ret_bye);
/* Any other control event but hub.ready; what is not known is passed over. `type` is without "hub.". */
void notice_tell(const struct cli_command *command, struct slice type, struct slice data);
