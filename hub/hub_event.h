/* hub_event.h — what happened, for endpoints (webhooks) to be told: a type, a message, and for which endpoints it is.
 *
 * An event of type message.published is the message itself. Any other is a message that nobody subscribes to: its data is a JSON object, its
 * channel the one that it is about, or none; of the application's own types its event name is the type. All have a number of the one
 * sequence that messages have (publish.c), so an event is known by its position, and what happened first has the lower number.
 *
 *   hook: for whom? ─> event ─number─> kept, in the commit of its message ─> hook: on its way
 *
 * One for each endpoint it is for is a *delivery* (deliveries.h), known by the event's number and its place among the targets.
 *
 * Lifetime   one owner: hub_event_new() in publish.c, then the hook's from hook->accepted on; hub_event_free. It has a reference of its message.
 * Threading  the hub's; the store's thread reads it while its group is under way.
 * Limits     EVENT_TARGETS endpoints. Data: what the publisher may, 1 MiB at most. */
#pragma once
#include "hub/msg.h"

enum event_type {
#define EVENT_TYPE(name, text, has_channel, what) EVENT_##name,
#include "hub/event_types.def"
#undef EVENT_TYPE
    EVENT_TYPES
};

enum { EVENT_TARGETS = 256 };

struct event_target {
    uint64_t endpoint;         /* its number (endpoint.h), not 0 */
    uint64_t lane;             /* of those of one lane one goes after the other; 0: it waits for none */
    bool     is_over;          /* too many wait for this endpoint: a dead letter at once */
};

struct hub_event {
    uint8_t             type;  /* enum event_type */
    uint16_t            n_targets;
    struct msg         *msg;
    struct event_target targets[];
};

/* Takes a reference of the message. NULL: no memory. */
struct hub_event *hub_event_new(enum event_type type, struct msg *m, const struct event_target *targets, size_t n);
void          hub_event_free(struct hub_event *event);      /* NULL is fine */

/* As it is written down: what the hub learns to tell later comes before OWN, whose place in files stays. */
enum { EVENT_OWN_WRITTEN = 255 };
static inline uint8_t event_type_write(enum event_type type) { return type == EVENT_OWN ? EVENT_OWN_WRITTEN : (uint8_t)type; }
static inline uint8_t event_type_read(uint64_t written)      { return written < EVENT_OWN ? (uint8_t)written : EVENT_OWN; }

const char  *event_type_text(enum event_type type);                           /* "message.published"; OWN: "" */
const char  *event_type_meaning(enum event_type type);
bool         event_type_has_channel(enum event_type type);
struct slice event_type_of(enum event_type type, const struct msg *m);         /* as told, the application's own too */
/* The type with this name; EVENT_OWN: none of the hub's has it. */
enum event_type event_type_find(struct slice name);
/* 0 or ERR_BAD_EVENT: what the application may call its own: an event name (name.h) that is none of the hub's, nor begins as theirs do. */
int          event_type_check(struct slice name);

/* A delivery's number: of its event, and which of the targets. */
static inline uint64_t delivery_number(uint64_t event, size_t target) { return event << 8 | target; }
static inline uint64_t delivery_event(uint64_t delivery)              { return delivery >> 8; }
