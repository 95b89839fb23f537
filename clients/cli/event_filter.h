/* event_filter.h — which webhooks `carillon webhook listen` is to post: types as the hub calls them, or event names of messages, by name or by
 * pattern (`order.*`, `*` for all), in lists parted by commas.
 *
 * A message goes through by its type, message.published, or by the name that its publisher gave it: what an endpoint says with `events` and
 * `message_events` is one list here, because a developer thinks of `created`, whichever way it comes.
 *
 * Threading: pure functions. Limits: CLI_LIST_MAX options; names as name.h has them. */
#pragma once
#include "clients/cli/args.h"
#include "clients/cli/seen_event.h"

struct event_filter {
    const struct cli_list *lists;     /* none: all go through */
    bool wants_members;               /* from event_filter_check: a word of it stands for members who come and leave */
};

/* CLI_GO_ON; or it has been told what is wrong: no such name could be, or a stream of the hub never has it. */
int  event_filter_check(struct event_filter *filter, const struct cli_command *command);
bool event_filter_lets(const struct event_filter *filter, const struct seen_event *seen);
