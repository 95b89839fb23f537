/* hub/config/redis_url.h. Input: a redis.url. It leads somewhere, within what the header says; or it has a reason why not. */
#include "hub/config/redis_url.h"
#include "tests/fuzz/fuzz.h"

static void look_at_place(const struct redis_url *url)
{
    must(url->unix_path ? url->n_hosts == 0 && !url->master : url->n_hosts > 0 && url->n_hosts <= REDIS_HOSTS_MAX, "%zu hosts", url->n_hosts);
    must(url->master || url->n_hosts <= 1, "%zu hosts without Sentinels", url->n_hosts);
    must(url->db <= REDIS_DB_MAX, "database %u", url->db);
    for (size_t i = 0; i < url->n_hosts; i++)
        must(url->hosts[i].name && *url->hosts[i].name && url->hosts[i].port > 0, "host %zu is none", i);
}

static void look_at_print(const struct redis_url *url)
{
    struct buf print = { 0 };
    redis_url_print(url, &print);
    must(print.len > 0 && !print.failed, "nothing is said of it");
    buf_fini(&print);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = piece_of(input(data, size));
    struct redis_url url;
    if (!redis_url_read(slice(text, size), &url)) {
        look_at_place(&url);
        look_at_print(&url);
        redis_url_fini(&url);
    }
    free(text);
    return 0;
}
