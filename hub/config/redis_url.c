#define _GNU_SOURCE     /* memrchr */
#include "hub/config/redis_url.h"

#include <stdlib.h>

static const struct scheme {
    const char *name;
    bool        tls, sentinel;
} schemes[] = {
    { "redis://", false, false },          { "rediss://", true, false },
    { "redis+sentinel://", false, true },  { "rediss+sentinel://", true, true },
};

static const char no_memory[] = "could not be read: no memory";

/* The part before the first `sep`, taken off `rest` together with it; all of it if there is none. */
static struct slice take_until(struct slice *rest, char sep)
{
    const char *at = memchr(rest->at, sep, rest->len);
    struct slice part = slice(rest->at, at ? (size_t)(at - rest->at) : rest->len);
    size_t gone = at ? part.len + 1 : part.len;
    *rest = slice(rest->at + gone, rest->len - gone);
    return part;
}

static const char *decode(struct slice text, char **ret)
{
    char *out = malloc(text.len + 1);
    size_t n = 0;
    if (!out)
        return no_memory;
    for (size_t i = 0; i < text.len; i++) {
        int high = i + 2 < text.len ? hex_value(text.at[i + 1]) : -1, low = i + 2 < text.len ? hex_value(text.at[i + 2]) : -1;
        bool encoded = text.at[i] == '%' && high >= 0 && low >= 0 && high + low > 0;
        if (text.at[i] == '%' && !encoded) {
            free(out);
            return "has a % in its user or password that is followed by no two hexadecimal digits";
        }
        out[n++] = encoded ? (char)(high * 16 + low) : text.at[i];
        i += encoded ? 2 : 0;
    }
    out[n] = '\0';
    *ret = out;
    return NULL;
}

static const char *read_credentials(struct slice text, struct redis_url *url)
{
    struct slice user = take_until(&text, ':');
    const char *wrong = user.len > 0 ? decode(user, &url->user) : NULL;
    if (!wrong && text.len > 0)
        wrong = decode(text, &url->password);
    return wrong ? wrong : url->user && !url->password ? "names a user without a password" : NULL;
}

static const char *read_db(struct slice text, unsigned *ret)
{
    uint64_t db;
    if (text.len == 0)
        return NULL;
    if (!slice_u64(text, &db) || db > REDIS_DB_MAX)
        return "has a database that is no number";
    *ret = (unsigned)db;
    return NULL;
}

static const char *read_host(struct slice text, uint16_t port, struct redis_host *ret)
{
    struct slice name, rest = text;
    if (text.len > 0 && text.at[0] == '[') {
        take_until(&rest, '[');
        name = take_until(&rest, ']');
        if (rest.len > 0 && rest.at[0] != ':')
            return "has something behind the brackets of an address";
        take_until(&rest, ':');
    } else {
        name = take_until(&rest, ':');
    }
    uint64_t number = port;
    if (name.len == 0 || memchr(name.at, ' ', name.len))
        return "names no host";
    if (rest.len > 0 && (!slice_u64(rest, &number) || number == 0 || number > UINT16_MAX))
        return "has a port that is none of 1 to 65535";
    if (!(ret->name = slice_copy(name)))
        return no_memory;
    ret->port = (uint16_t)number;
    return NULL;
}

static const char *read_hosts(struct slice text, bool sentinel, struct redis_url *url)
{
    if (!sentinel) {
        url->n_hosts = 1;
        return read_host(text, REDIS_PORT, &url->hosts[0]);
    }
    const char *wrong = NULL;
    do {
        if (url->n_hosts == REDIS_HOSTS_MAX)
            return "names more than 16 Sentinels";
        wrong = read_host(take_until(&text, ','), REDIS_SENTINEL_PORT, &url->hosts[url->n_hosts]);
        url->n_hosts += !wrong;
    } while (!wrong && text.len > 0);
    return wrong;
}

/* What stands behind scheme://. */
static const char *read_server(struct slice text, bool sentinel, struct redis_url *url)
{
    struct slice path = text, authority = take_until(&path, '/');
    const char *at = memrchr(authority.at, '@', authority.len);
    struct slice hosts = authority;
    const char *wrong = NULL;
    if (at) {
        size_t n = (size_t)(at - authority.at);
        wrong = read_credentials(slice(authority.at, n), url);
        hosts = slice(at + 1, authority.len - n - 1);
    }
    if (!wrong)
        wrong = read_hosts(hosts, sentinel, url);
    if (!wrong && sentinel) {
        struct slice master = take_until(&path, '/');
        if (master.len == 0)
            return "does not name the master: redis+sentinel://host,host/master";
        if (!(url->master = slice_copy(master)))
            return no_memory;
    }
    return wrong ? wrong : read_db(path, &url->db);
}

static const char *read_unix(struct slice text, struct redis_url *url)
{
    struct slice query = text, path = take_until(&query, '?');
    if (path.len == 0 || path.at[0] != '/')
        return "names no socket: unix:/path";
    if (query.len > 0 && !slice_begins(query, SLICE("db=")))
        return "has a question mark without db=";
    if (!(url->unix_path = slice_copy(path)))
        return no_memory;
    return query.len > 0 ? read_db(slice(query.at + 3, query.len - 3), &url->db) : NULL;
}

static bool has_control(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.at[i] < ' ' || text.at[i] == 0x7f)
            return true;
    return false;
}

static const char *read_any(struct slice text, struct redis_url *url)
{
    if (has_control(text))
        return "has a control character";      /* a name would end at a NUL */
    if (slice_begins(text, SLICE("unix:")))
        return read_unix(slice(text.at + 5, text.len - 5), url);
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        struct slice name = slice_of(schemes[i].name);
        if (slice_begins(text, name)) {
            url->tls = schemes[i].tls;
            return read_server(slice(text.at + name.len, text.len - name.len), schemes[i].sentinel, url);
        }
    }
    return "begins with none of redis://, rediss://, redis+sentinel://, rediss+sentinel:// and unix:";
}

const char *redis_url_read(struct slice text, struct redis_url *ret)
{
    struct redis_url url = { .tls = false };
    const char *wrong = read_any(text, &url);
    if (wrong) {
        redis_url_fini(&url);
        return wrong;
    }
    *ret = url;
    return NULL;
}

void redis_url_fini(struct redis_url *url)
{
    for (size_t i = 0; i < url->n_hosts; i++)
        free(url->hosts[i].name);
    free(url->unix_path);
    free(url->master);
    free(url->user);
    free(url->password);
    *url = (struct redis_url){ .tls = false };
}

void redis_url_print(const struct redis_url *url, struct buf *out)
{
    if (url->unix_path)
        buf_addf(out, "unix:%s", url->unix_path);
    for (size_t i = 0; i < url->n_hosts; i++) {
        bool v6 = strchr(url->hosts[i].name, ':');
        buf_addf(out, "%s%s%s%s:%u", i > 0 ? "," : "", v6 ? "[" : "", url->hosts[i].name, v6 ? "]" : "", url->hosts[i].port);
    }
    if (url->master)
        buf_addf(out, "/%s", url->master);
    if (url->db)
        buf_addf(out, " db %u", url->db);
}
