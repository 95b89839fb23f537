/* attend.h — tells the hub which subscriptions of this edge count as members (hub/presence.h) and which want to be told of others,
 * and tells those what the hub says.
 *
 * A subscription has an attendance when its connection has a user and the channel's rule has presence, or when it asks. That to a
 * pattern has none: who looks at many channels from above is a member of none of them. It is
 * replaced, the new one before the old, when the connection gets other credentials or the settings change: the member stays.
 *
 * What is told: `member-joined` and `member-left` to subscriptions that ask and have begun (`subscribed` or `ready` has been said),
 * in the order of the hub, which is that of the answers to `presence` too. Nobody is told of his own user: while he is
 * told of others he is there, and what came before he was is not of interest. When some of it
 * was lost on the way to this edge, `members-changed` says: ask for the list again.
 *
 * Threading  the edge's thread. Limits: one attendance per subscription. */
#pragma once
#include <stdbool.h>

struct edge;
struct member_letter;
struct sub;

/* Reports the subscription as it is now. ERR_MEMORY: nothing has changed. */
int  attend(struct sub *sub, bool asks);
bool attend_asks(const struct sub *sub);
void attend_end(struct sub *sub);                       /* before it is freed */
void attend_all_again(struct edge *edge);               /* other settings */
void attend_tell(struct edge *edge, const struct member_letter *letter);
void attend_tell_lost(struct edge *edge);
