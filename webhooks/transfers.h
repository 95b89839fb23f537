/* transfers.h — libcurl's transfers on a libevent loop: the only file that knows libcurl here.
 *
 * libcurl says which sockets it wants watched and when it wants to be called (CURLMOPT_SOCKETFUNCTION, CURLMOPT_TIMERFUNCTION); we
 * tell it what happened (curl_multi_socket_action), and look for what has ended only after that call is over: inside its callbacks
 * nothing of libcurl may be called. What must be so, and why:
 *
 *   CURLOPT_QUICK_EXIT   a transfer that ends while getaddrinfo still waits for its name server leaves that thread behind; without
 *                        it the loop would stand still until the name server has answered: 5 s and more
 *   CURLOPT_NOSIGNAL     no alarm() and no SIGPIPE handling behind our back: other threads are at work
 *   CURLOPT_PROXY ""     the environment has no say in where requests go
 *   a timer of 0 ms      is set, not run: curl_multi_socket_action may not be called inside its own callback
 *
 * Lifetime   transfers_new and transfers_free on the thread of the loop, or while there is none.
 * Threading  one thread.
 * Limits     http_out.h. Threads left behind by QUICK_EXIT end when their name server has given up (resolv.conf: 5 s a try), so there
 *            are as many as requests fail that way in such a time: the askers' pace bounds them. */
#pragma once
#include "hub/http_out.h"

struct event_base;
struct transfers;

/* `done` is told each request when it has ended, possibly from inside any of these functions; it must not call them. NULL: no memory. */
struct transfers *transfers_new(struct event_base *base, void (*done)(void *arg, struct http_out_request *request), void *arg);
void transfers_add(struct transfers *all, struct http_out_request *request);
void transfers_drop_cancelled(struct transfers *all);            /* ends those whose `cancelled` is set */
void transfers_end_all(struct transfers *all, int err);          /* ends what is left with this error */
void transfers_free(struct transfers *all);                      /* NULL is fine; nothing is under way */
