/* members.c — presence (presence.h) on this hub: what edges report, what they are told, who asks for the list. */
#include "hub/access/access.h"
#include "hub/config/config.h"
#include "hub/core.h"
#include "hub/member_text.h"
#include "hub/metrics.h"

#include <stdlib.h>

/* Who is told of members, or leaves them, is subscribed, so the channel is known and has its rule at hand. */
static const struct channel_rule *rule_of(const struct hub *hub, struct slice channel, uint64_t hash)
{
    const struct channel *ch = channel_find(&hub->channels, channel, hash);
    return ch ? ch->rule : config_channel_rule(hub->config, channel);
}

static int64_t grace_ms(void *self, struct slice channel, uint64_t hash)
{
    const struct channel_rule *rule = rule_of(self, channel, hash);
    return rule->presence ? rule->presence_grace_ms : 0;
}

/* In order with everything else that goes to this edge. Without room, or memory, the edge is told of a loss, as with messages. */
static void tell(void *self, uint8_t peer, const struct presence_change *change)
{
    struct hub *hub = self;
    struct peer *to = &hub->peers[peer];
    const struct channel_rule *rule = rule_of(hub, change->channel, change->hash);
    if (to->lost || to->left || !rule->presence || !rule->presence_events)
        return;
    struct member_letter *letter = post_has_room(&to->post) ? malloc(sizeof *letter + change->channel.len) : NULL;
    if (!letter) {
        watch_tell_loss(hub, peer);
        return;
    }
    *letter = (struct member_letter){ .letter.kind = LETTER_MEMBER, .principal = principal_ref(change->principal), .hash = change->hash,
                                      .joined = change->joined, .channel_len = (uint8_t)change->channel.len };
    memcpy(letter->channel, change->channel.at, change->channel.len);
    post_put(&to->post, &letter->letter, sizeof *letter + change->channel.len);
}

static void asked(void *self, struct slice channel, uint64_t hash, bool asked)
{
    struct hub *hub = self;
    if (hub->engine)
        hub->engine->follow_members(hub->engine, channel, hash, asked);
}

static void unsaid(void *self)
{
    struct hub *hub = self;
    if (hub->engine)
        hub->engine->say_members(hub->engine);
}

static void changed(void *self, const struct presence_change *change)
{
    struct hub *hub = self;
    enum event_type type = change->joined ? EVENT_MEMBER_JOINED : EVENT_MEMBER_LEFT;
    struct buf data = { 0 };
    if (hub->engine || !hub->hook || !hub->hook->wants(hub->hook, type) || !rule_of(hub, change->channel, change->hash)->presence)
        return;
    member_text_event(&data, change->principal);
    if (!data.failed)
        hub_tell(hub, type, change->channel, buf_slice(&data), NULL, 0);
    buf_fini(&data);
}

const struct presence_port members_port = { grace_ms, tell, changed, asked, unsaid };

void join_run(struct hub *hub, struct letter *letter)
{
    letter_done(letter);
    presence_join(&hub->presence, link_of(letter, struct attendance, join), hub_now_ms(hub), hub_wall_ms(hub));
}

void leave_channel_run(struct hub *hub, struct letter *letter)
{
    letter_done(letter);
    presence_leave(&hub->presence, link_of(letter, struct attendance, leave), hub_now_ms(hub));
}

void members_run(struct hub *hub, struct members_call *call)
{
    bool known = rule_of(hub, call->channel, call->hash)->presence;
    if (known && hub->engine)
        hub->engine->members(hub->engine, call);
    else
        hub_answer(hub, &call->call, known ? presence_list(&hub->presence, call) : ERR_PRESENCE_OFF);
}

/* ---- what an engine outside asks and tells ---- */

struct member *engine_unsaid_member(struct hub *hub, struct member_saying *ret_saying, struct member_saying_rule *ret_rule)
{
    struct member *member = presence_unsaid(&hub->presence, ret_saying);
    if (!member)
        return NULL;
    const struct channel_rule *rule = rule_of(hub, ret_saying->channel, ret_saying->hash);
    *ret_rule = (struct member_saying_rule){ rule->presence ? rule->presence_grace_ms : 0, rule->presence && rule->presence_events, rule->presence };
    return member;
}

void engine_member_said(struct hub *hub, struct member *member, bool done)              { presence_said(&hub->presence, member, done); }
void engine_say_members_again(struct hub *hub)                                           { presence_say_again(&hub->presence); }
void engine_member(struct hub *hub, const struct presence_change *change)               { presence_tell(&hub->presence, change); }
