/* http_head.h — the head of a request on the API: collected, checked, taken apart.
 *
 * Bytes are collected line by line until the empty one; then http_parser reads the whole head at once, so every name and value
 * is one slice of it. What the parser lets through and a proxy might read differently is refused here, because a disagreement
 * about where a request ends is how one is smuggled (RFC 9112 §11.2):
 *   bare LF, bare CR, obs-fold · names that are no tokens, also space before the colon · HTTP/0.9, HTTP/2.0 · no Host or two, a
 *   Host that is none · a target with bytes outside 0x21–0x7E or with # · CONNECT, TRACE · two Content-Length, an empty one, one
 *   that is not digits only · Content-Length beside Transfer-Encoding, any Transfer-Encoding but exactly `chunked`, one in HTTP/1.0
 *
 * Lifetime   embedded in a request; http_head_reset before each use, http_head_fini at the end. Slices live until either.
 * Threading  API thread. Limits: limits.header_bytes for all of it, HTTP_HEADERS_MAX lines. */
#pragma once
#include "hub/access/forwarded.h"
#include "hub/api/api.h"

enum { HTTP_HEADERS_MAX = 100 };
enum http_expect { EXPECT_NOTHING, EXPECT_CONTINUE, EXPECT_OTHER };

struct http_head {
    struct buf        bytes;             /* the head so far */
    size_t            line;              /* where its last, incomplete line begins */
    /* valid when http_head_feed has said HTTP_HEAD_DONE */
    struct slice      method, target;
    struct api_header headers[HTTP_HEADERS_MAX];
    size_t            n_headers;
    uint64_t          content_length;    /* 0 when chunked */
    bool              chunked, keep_alive, http10;
    enum http_expect  expect;
};

enum { HTTP_HEAD_MORE, HTTP_HEAD_DONE };

void http_head_reset(struct http_head *head);
void http_head_fini(struct http_head *head);
/* Takes bytes up to the end of the head, *ret_used of them. HTTP_HEAD_MORE, HTTP_HEAD_DONE, or ERR_HEAD_TOO_LARGE,
 * ERR_BAD_REQUEST, ERR_LENGTH_CONFLICT, ERR_NOT_IMPLEMENTED, ERR_MEMORY: nothing behind it can be trusted then. */
int  http_head_feed(struct http_head *head, struct slice bytes, size_t max, size_t *ret_used);
/* Whose request it is, when `peer` is a proxy that is trusted; else `peer`. Of a whole head. */
struct ip http_head_client(const struct http_head *head, const struct proxies *proxies, struct ip peer);
/* Nothing of a request has come yet, or what may become one of the empty lines before it. */
static inline bool http_head_empty(const struct http_head *head) { return head->bytes.len == 0 || (head->bytes.len == 1 && *head->bytes.at == '\r'); }
