/* trace.h — which trace an event belongs to, for those who follow requests from one program to the next (W3C Trace Context).
 *
 *   publish with a traceparent ──trace_read──> 17 bytes in the message ─┐
 *   publish without one ───────────────────────────────────────────────┴─trace_of─> traceparent of each attempt to deliver, its parent its own
 *
 * The trace is the publisher's, when his request named one: it goes with the message, through the store too. Otherwise it is made of the
 * event's position, so that all attempts, after a restart and on any hub, name the same one and nothing has to be kept.
 *
 *   traceparent  00-<trace id, 32 hex>-<parent id, 16 hex>-<flags, 2 hex>      neither id is all zeros (Trace Context §3.2)
 *   kept         trace id 16 · flags 1                                         the parent id is of no use behind the hub
 *
 * `tracestate` is not carried: what is in it belongs to the tools of the publisher, and partners are others.
 * Threading: pure functions. */
#pragma once
#include "hub/msg.h"

enum { TRACE_BYTES = 17, TRACE_ID_HEX = 32, TRACEPARENT_TEXT = 56 };

/* False: the header names none. Of a later version than 00 what that version knows is read. */
bool trace_read(struct slice traceparent, char ret_trace[TRACE_BYTES]);
/* Of a message that has its number. */
void trace_of(const struct msg *m, char ret_trace[TRACE_BYTES]);
void trace_id_print(const char trace[TRACE_BYTES], char ret_hex[TRACE_ID_HEX + 1]);
/* `span` is the id of this request; 0 is none. */
void trace_print(const char trace[TRACE_BYTES], uint64_t span, char ret_text[TRACEPARENT_TEXT]);
/* The next of a sequence of spans that looks like chance; never 0. */
uint64_t trace_next_span(uint64_t *spans);
