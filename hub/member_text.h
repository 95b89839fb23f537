/* member_text.h — members as JSON, the same for the API and for WebSockets. Threading: pure functions. */
#pragma once
#include "hub/base/buf.h"
#include "hub/call.h"

/* "user":…,"info":… : who it is. No info is null. */
void member_text_who(struct buf *out, const struct principal *principal);
/* The same in braces: data of member.joined and member.left. */
void member_text_event(struct buf *out, const struct principal *principal);
/* "data":[…],"count":N,"next_cursor":… of an answer. */
void member_text_page(struct buf *out, const struct members_call *call);
/* The cursor of the next page; empty: this was the last. */
struct slice member_text_cursor(const struct members_call *call);
