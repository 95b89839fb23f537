/* http_intake.h — from bytes to requests: the incoming side of a connection to the API.
 *
 *   bytes ─> head ─> api_begin ─┬─> body ─> api_run                        the body is collected
 *                               └─> api_run, then each piece ─> api_feed   a stream (request->stream): never more than a piece is kept
 *
 * What is read but may not be taken yet waits in conn->held, and the socket is not read meanwhile.
 * Threading: API thread. */
#pragma once
#include "transports/http/http_conn.h"

bool http_intake_may_read(struct http_conn *conn);
void http_intake_take(struct http_conn *conn, struct slice bytes);      /* while conn->held is empty; may close */
void http_intake_take_held(struct http_conn *conn);
void http_intake_feed(struct http_conn *conn);                          /* a stream that is being read goes on, if it may */
bool http_intake_has_request(struct http_conn *conn);                   /* there is one to read a head into; else it was closed */
/* Answers the request that is being read (a stream: ends it), and reads nothing after it. */
void http_intake_refuse(struct http_conn *conn, int err, const char *detail);
void http_intake_refuse_head(struct http_conn *conn, int err);          /* what has come is no request */
void http_intake_start(struct http_request *request);                   /* its body is complete, and its turn has come */
void http_intake_leave_queue(struct http_conn *conn, struct http_request *request);
