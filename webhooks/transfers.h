/* transfers.h — requests under way: pools of libcurl transfers on a libevent loop.
 *
 *   transfers_add ─> its pool: waiting ─> running (rules->transfers at a time) ─> transfers_turn: what has ended is told to `done`
 *
 * A pool is one libcurl multi handle: connections, names that were looked up and certificates that were read are shared inside it
 * and with nobody else. It is made with its first request and goes when it has had none for HTTP_OUT_POOL_IDLE_MS.
 *
 * Nothing is finished inside a callback of libcurl: the loop's turn ends with transfers_turn, which looks for what has ended and
 * begins what waits, so that whatever a turn brought is handled together.
 *
 * Lifetime   transfers_new and transfers_free on the thread of the loop, or while there is none.
 * Threading  one thread.
 * Limits     http_out.h. A pool keeps as many idle connections as it may have transfers. Threads left behind by QUICK_EXIT end when
 *            their name server has given up (resolv.conf: 5 s a try), so there are as many as requests fail that way in such a time:
 *            the askers' pace bounds them. */
#pragma once
#include "hub/http_out.h"

struct event_base;
struct transfers;

/* `done` is told each request when it has ended, possibly from inside any of these functions; it must not call them. NULL: no memory. */
struct transfers *transfers_new(struct event_base *base, void (*done)(void *arg, struct http_out_request *request), void *arg);
void transfers_add(struct transfers *all, struct http_out_request *request);
void transfers_turn(struct transfers *all);                      /* at the end of each turn of the loop */
void transfers_drop_cancelled(struct transfers *all);            /* ends those whose `cancelled` is set */
void transfers_end_all(struct transfers *all, int err);          /* ends what is left with this error */
void transfers_free(struct transfers *all);                      /* NULL is fine; nothing is under way */
