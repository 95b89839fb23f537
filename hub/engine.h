/* engine.h — port: an engine outside this process, which several hubs share. It gives numbers, keeps history, and brings what is published
 * on any node to each that wants it (redis/). A hub without one is its own engine: memory and a store.
 *
 *   calls ──> the core: what is this node's (who is told, how many those are) ──> engine ──> engine_answer ──> whoever asked
 *                                                       what any node published: engine_message ──> edges that watch
 *
 * The rules of resume are the same (EXACT.md); those of 17–21 the engine keeps. Answers and messages come in the order in which they hold:
 * what an answer says to be complete up to a number has been brought before.
 *
 * Lifetime   hub_use_engine before the first turn; the engine is freed after the threads have ended and before the hub is, and answers
 *            what is under way then.
 * Threading  the hub's; the engine calls from the loop's callbacks, or from inside what it was asked. A turn has to follow (spoke.h),
 *            which sends what came of it. */
#pragma once
#include "hub/call.h"
#include "hub/deliveries.h"

struct channel_rule;
struct config;
struct hub;
struct record_call;
struct member;
struct presence_change;
struct principal;
struct member_saying;
struct hook_question;

struct engine {
    /* As CALL_PUBLISH says, and ERR_REDIS_AWAY, ERR_REDIS_REFUSED (nothing was published), ERR_OUTCOME_UNKNOWN. `subscribers` is set;
     * `rule`, the channel's, is borrowed for the call. */
    void (*publish)(struct engine *engine, struct publish_call *call, const struct channel_rule *rule);
    /* As CALL_FETCH says; while the engine is away a patient one waits, another is ERR_REDIS_AWAY. */
    void (*fetch)(struct engine *engine, struct fetch_call *call);
    /* As CALL_WATCH says, of a channel or a pattern: answered when it is so, however long that takes. Counted: once more than
     * unsubscribed, messages are brought. One that is answered with an error does not count. */
    void (*subscribe)(struct engine *engine, struct watch_call *call);
    void (*unsubscribe)(struct engine *engine, struct slice name);
    void (*purge)(struct engine *engine, struct purge_call *call);
    /* Keeps a record as change->value says, or removes it (change->remove), for all nodes: answered with engine_recorded, perhaps at once.
     * Another node was first: engine_record_undo, engine_record says what it is now, engine_record_redo. */
    void (*record)(struct engine *engine, struct record_call *change);
    /* Of all nodes this is the one that removes records which have expired. */
    bool (*sweeps)(const struct engine *engine);
    void (*reconfigure)(struct engine *engine, const struct config *config);
    /* Members (presence.h): engine_unsaid_member has some. */
    void (*say_members)(struct engine *engine);
    /* From now on who comes to this channel, or leaves it, on any hub is told with engine_member; or no more. */
    void (*follow_members)(struct engine *engine, struct slice channel, uint64_t hash, bool on);
    /* As CALL_MEMBERS says, of all hubs, and ERR_REDIS_AWAY. What engine_member has told before is in the answer. */
    void (*members)(struct engine *engine, struct members_call *call);
    /* Events and deliveries (hook.h), for all nodes. As CALL_EVENT says, of call->event; `outbox` 0, or the change that it comes of: who is first
     * makes it, the others are answered ERR_NOT_FOUND. */
    void (*tell)(struct engine *engine, struct publish_call *call, uint64_t outbox);
    /* As hook.h says of hub_settle and the like. The event of a publish is kept by publish(), with the message or not at all. */
    void (*settle)(struct engine *engine, struct settle_call *call);      /* ERR_REDIS_AWAY, … : it may have happened */
    void (*read)(struct engine *engine, struct delivery_read *read);
    void (*trim)(struct engine *engine, struct trim_call *call);
    int64_t (*queue_wall_ms)(const struct engine *engine);
    bool (*knows_endpoints)(const struct engine *engine);      /* all were read: until then nobody can say who wants what */
    bool (*may_send)(const struct engine *engine);      /* what is assigned to this node is for certain no other's at this moment */
    void (*endpoint_came)(struct engine *engine);
    void (*endpoint_went)(struct engine *engine, uint64_t endpoint);
    void (*swept)(struct engine *engine, uint64_t endpoint);
    void (*occupied)(struct engine *engine, struct slice channel, bool is_occupied);
    bool (*ask_hooks)(struct engine *engine, struct hook_question *question);
    /* The hub ends: who waits, or would from now on, is answered ERR_DRAINING. */
    void (*give_up)(struct engine *engine);
};

/* From now on the hub asks it. */
void hub_use_engine(struct hub *hub, struct engine *engine);

/* ---- what the engine tells ---- */

/* Everything up to `head` has been brought, or told as behind. With another epoch than before, everybody has been told to be behind. */
void engine_live(struct hub *hub, struct position head);
/* Likewise, in the same epoch: there were others, of channels that nobody here watches. */
void engine_head(struct hub *hub, struct position head);
/* A message of a channel or pattern that is subscribed to, in order of number; borrowed. */
void engine_message(struct hub *hub, struct msg *m);
/* Readers of this channel (empty: all readers) may have missed something: they fetch, each from its own position. */
void engine_behind(struct hub *hub, struct slice channel);
/* Some node has removed messages, or may have: what edges keep of answers may have them. */
void engine_purged(struct hub *hub);
void engine_answer(struct hub *hub, struct call *call, int err);
/* A change that some node has noted is to become an event, if any endpoint wants it: told with engine->tell and this number, in any case. `who`
 * is of members: their user and info. `given` is of rooms (`channel` is the room): JSON. */
enum noted_change { NOTED_JOINED = 'j', NOTED_LEFT = 'l', NOTED_OCCUPIED = 'o', NOTED_VACATED = 'v', NOTED_ROOM_STARTED = 'S', NOTED_ROOM_JOINED = 'J',
                    NOTED_ROOM_LEFT = 'L', NOTED_ROOM_ENDED = 'E' };
void engine_noted(struct hub *hub, uint64_t outbox, enum noted_change change, struct slice channel, struct principal *who, struct slice given);
/* The letters of those that any endpoint wants; ends with 0. */
enum { NOTED_CHANGES = 8 };
void engine_wanted_changes(const struct hub *hub, char ret_letters[NOTED_CHANGES + 1]);

/* 0: all nodes have it so, or will in a moment. ERR_REDIS_AWAY, ERR_REDIS_REFUSED, ERR_BUSY, …: nothing has changed; ERR_OUTCOME_UNKNOWN:
 * engine_record will tell what has come of it. */
void engine_recorded(struct hub *hub, struct record_call *change, int err);
void engine_record_undo(struct hub *hub, struct record_call *change);
void engine_record_redo(struct hub *hub, struct record_call *change);
/* This is so now, by another node; value empty: it is gone. Not while a change of the same record is under way here, but for between undo
 * and redo. ERR_NOT_FOUND: such a kind is not known; ERR_STORE_OPEN: no such value was ever written; ERR_MEMORY: tell it again. */
int  engine_record(struct hub *hub, struct slice kind, struct slice key, struct slice value);
/* The value of a record, as this node knows it; false: it does not. */
bool engine_record_print(struct hub *hub, struct slice kind, struct slice key, struct buf *out);
/* How a member of this hub stands, to be made known to the others; NULL: all is said. Each is answered with engine_member_said, once. */
struct member_saying_rule {
    int64_t grace_ms;
    bool    tells;                    /* who asks is told of it */
    bool    notes;                    /* webhooks may be told of it */
};
struct member *engine_unsaid_member(struct hub *hub, struct member_saying *ret_saying, struct member_saying_rule *ret_rule);
void engine_member_said(struct hub *hub, struct member *member, bool done);
void engine_say_members_again(struct hub *hub);      /* nothing that was said before is known any more */
/* Joined and left of a user alternate in each channel that is followed. */
void engine_member(struct hub *hub, const struct presence_change *change);
