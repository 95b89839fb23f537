/* seen_event.h — what a stream of the hub tells (PROTOCOL.md §3, §6), made into the event that a webhook of the hub would be about.
 *
 *   message                        message.published; its id is the one that the hub's own webhooks have for it
 *   member-joined, member-left     member.joined, member.left; they have no id in a stream, so it is one of this run's
 *
 * The payload's bytes are those of the stream: what its publisher sent, but for a CR between the tokens of JSON, which SSE cannot carry.
 *
 * Lifetime   read to fini. Threading: whoever owns it. Limits: linear in the object. */
#pragma once
#include "hub/hub_event.h"

struct seen_event {
    enum event_type type;
    struct msg     *msg;         /* with position and time; a reference */
};

/* Ids for what has none; zero-filled is the beginning. */
struct seen_ids { uint64_t epoch, last; };

/* `now_ms`: when what has no time of its own has happened. 0; ERR_BAD_JSON: no object of the hub's; ERR_MEMORY. */
int  seen_event_read(struct slice object, int64_t now_ms, struct seen_ids *ids, struct seen_event *ret_seen);
void seen_event_fini(struct seen_event *seen);
