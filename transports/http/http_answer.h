/* http_answer.h — an answer as the bytes of HTTP/1.1. Threading: API thread. Failure is out->failed. */
#pragma once
#include "transports/http/http_conn.h"

void http_answer_add(struct buf *out, const struct http_request *request, const char *date_line);
