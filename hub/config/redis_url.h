/* redis_url.h — redis.url in its parts.
 *
 *   redis://[[user]:password@]host[:port][/db]              rediss:// likewise, over TLS
 *   unix:/path/of/socket[?db=N]
 *   redis+sentinel://[[user]:password@]host[:port],…/master[/db]      rediss+sentinel:// likewise, over TLS
 *
 * host is a name, an IPv4 address or an IPv6 address in brackets. user and password are percent-encoded (RFC 3986 §2.1) and are
 * those of the Redis server; what Sentinels want to be told stands elsewhere (redis.sentinel_user, redis.sentinel_password).
 *
 * Lifetime   redis_url_read … redis_url_fini. Threading: pure functions.
 * Limits     REDIS_HOSTS_MAX Sentinels. */
#pragma once
#include "hub/base/buf.h"

enum { REDIS_HOSTS_MAX = 16, REDIS_PORT = 6379, REDIS_SENTINEL_PORT = 26379, REDIS_DB_MAX = 1 << 20 };

struct redis_host {
    char    *name;           /* as getaddrinfo takes it: without brackets */
    uint16_t port;
};

struct redis_url {
    bool              tls;
    char             *unix_path;     /* NULL: hosts it is */
    struct redis_host hosts[REDIS_HOSTS_MAX];
    size_t            n_hosts;       /* 1 without Sentinel; 0 with unix_path */
    char             *master;        /* hosts are Sentinels, who know where the server of this name is; NULL: they are not */
    char             *user;          /* NULL: none */
    char             *password;      /* NULL: none */
    unsigned          db;
};

/* NULL, or the end of a sentence about what is wrong; then *ret is as it was. */
const char *redis_url_read(struct slice text, struct redis_url *ret);
void        redis_url_fini(struct redis_url *url);       /* also of an empty one */
/* Where it leads, without secrets: for logs and reasons. */
void        redis_url_print(const struct redis_url *url, struct buf *out);
