/* cors.h — what browsers are told about an answer: whose page may read it (CORS, the Fetch standard), and how it is to be treated.
 *
 * Both ports judge every request once, when its head is complete, and put the same lines on its answer:
 *
 *   head ─> cors_judge ─ORIGIN_FOREIGN─> 403 bad_origin, without one line of CORS
 *               └─> cors_cookie_counts: may a cookie of this request stand for credentials?
 *               └─> answer ─> CORS_ALWAYS, cors_add; to OPTIONS cors_add_preflight
 *
 * A page that is let in by `*` is told `*`, one that is listed by name is told its own origin. Only the latter may use cookies,
 * and only in credentials mode (cors_credentials); `*` with credentials is a mistake in the configuration.
 *
 * A WebSocket and a stream carry the visitor's cookies whatever CORS says, so cookies are not left to the browser: who answers a
 * request takes a token from a cookie only where cors_cookie_counts.
 *
 * Lifetime   struct cors is one request's: its slices point into the head, its lists into the config.
 * Threading  pure functions. */
#pragma once
#include "hub/access/origin.h"

struct config;

/* On every answer of both ports that is no page (DESIGN §4): it is what its type says, is framed by nobody and
 * embedded by no other site; and it depends on Origin, if only because a foreign one is refused. */
#define CORS_ALWAYS CORS_PAGE "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n"
/* On a page too, which says by itself what it may load. */
#define CORS_PAGE \
    "X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\nCross-Origin-Resource-Policy: same-origin\r\nVary: Origin\r\n"

/* What a port decided: its keys of the config. */
struct cors_port {
    const struct words *origins;
    bool                local;         /* pages of this machine are listed (--dev): whoever builds one has it on a port of its own */
    bool                credentials;
    int64_t             max_age_ms;
    const char         *exposed;       /* headers of its answers that a page may read beside the few it always may */
};
struct cors_port cors_port_public(const struct config *config);
struct cors_port cors_port_api(const struct config *config);

struct cors {
    struct cors_port port;
    enum origin_kind kind;
    struct slice     origin;           /* as sent */
};

struct cors cors_judge(struct cors_port port, struct slice origin, struct slice host, bool tls);
/* `fetch_site`: Sec-Fetch-Site, which tells of pages elsewhere also where browsers send no Origin (images, links). */
bool        cors_cookie_counts(const struct cors *cors, struct slice fetch_site);
/* Header lines for the answer to a page elsewhere that is let in; none for anybody else. */
void        cors_add(struct buf *out, const struct cors *cors);
/* The same for the answer to OPTIONS: `methods` and `headers` as lists with commas. */
void        cors_add_preflight(struct buf *out, const struct cors *cors, struct slice methods, struct slice headers);
