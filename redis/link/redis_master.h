/* redis_master.h — asks Sentinels where the master is.
 *
 * One after the other, beginning with the one that knew it last; the first that names an address wins. Whether that server is a
 * master indeed its own greeting tells (redis_link.h): a Sentinel may be the one that was cut off. Who finds that it is none says
 * so with redis_master_doubt, and the next Sentinel is asked first.
 *
 *   redis_master_find ~~~ done(address) or done(NULL, why)      exactly once, never from inside redis_master_find; one that is
 *                                                               under way is forgotten when it is asked again
 *
 * Lifetime   redis_master_new … redis_master_free, which asks no more and calls nobody. The URL and what setup points to outlive it.
 * Threading  the thread of the loop. Limits: one socket; each Sentinel has REDIS_SENTINEL_MS. */
#pragma once
#include "redis/link/redis_dial.h"
#include "hub/config/redis_url.h"

enum { REDIS_SENTINEL_MS = 1000 };

struct redis_master;
struct redis_master_setup {
    struct event_base      *base;
    const struct redis_url *url;               /* with url->master */
    struct ssl_ctx_st      *tls;               /* NULL: in the clear */
    const char             *user, *password;   /* of the Sentinels; NULL: none */
};

/* name and port live until the next find, or the end. */
typedef void redis_found_fn(void *arg, const struct redis_host *master, const char *why);

struct redis_master *redis_master_new(const struct redis_master_setup *setup, redis_found_fn *done, void *arg);   /* NULL: no memory */
void redis_master_free(struct redis_master *master);      /* NULL is fine */
void redis_master_find(struct redis_master *master);
void redis_master_look(struct redis_master *master);      /* as find, but only of the Sentinel that knew it last: another may be cut off */
void redis_master_doubt(struct redis_master *master);     /* what was found last was none; not while it is finding */
