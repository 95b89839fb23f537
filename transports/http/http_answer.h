/* http_answer.h — an answer as the bytes of HTTP/1.1. Threading: API thread. Failure is out->failed. */
#pragma once
#include "transports/http/http_conn.h"

void http_answer_add(struct buf *out, const struct http_request *request, const char *date_line);
/* Of a stream: its head, then what there is of its answer (which is taken from it), with the end when it is finished. Chunked; HTTP/1.0 ends with
 * the connection. */
void http_answer_begin(struct buf *out, const struct http_request *request, const char *date_line);
void http_answer_piece(struct buf *out, struct http_request *request);
