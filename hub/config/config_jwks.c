/* config_jwks.c — tokens.jwks as a URL: whether it is one, and whether it may be asked. */
#include "hub/config/config_load.h"

#include <ctype.h>

static bool is_url(const char *text)
{
    return slice_begins(slice_of(text), SLICE("https://")) || slice_begins(slice_of(text), SLICE("http://"));
}

const char *config_jwks_url(const struct config *config)
{
    return is_url(config->tokens_jwks) ? config->tokens_jwks : NULL;
}

/* RFC 3986 §3.2: what is between the slashes, without the user in front and the port behind. */
static struct slice host_of(const char *url)
{
    const char *at = strstr(url, "//") + 2;
    struct slice host = slice(at, strcspn(at, "/?#"));
    for (const char *sign; (sign = memchr(host.at, '@', host.len));)
        host = slice(sign + 1, host.len - (size_t)(sign + 1 - host.at));
    const char *end = host.len && *host.at == '[' ? memchr(host.at, ']', host.len) : NULL;
    const char *colon = memchr(host.at, ':', host.len);
    if (end)
        host.len = (size_t)(end + 1 - host.at);
    else if (colon)
        host.len = (size_t)(colon - host.at);
    return host;
}

/* Names are compared as they are written: what they resolve to is not asked here. */
static bool is_this_machine(struct slice host)
{
    bool is_127 = slice_begins(host, SLICE("127."));
    for (size_t i = 0; i < host.len && is_127; i++)
        is_127 = isdigit((unsigned char)host.at[i]) || host.at[i] == '.';      /* not the name 127.example.com */
    return is_127 || slice_is_nocase(host, SLICE("localhost")) || slice_is(host, SLICE("[::1]"));
}

static bool has_strange(const char *url)
{
    for (; *url; url++)
        if ((unsigned char)*url <= ' ' || (unsigned char)*url >= 0x7f)
            return true;
    return false;
}

/* The URL itself may hold a secret, so it is not repeated. */
void config_jwks_check(struct config_loader *loader)
{
    const struct config *config = &loader->snapshot->config;
    const char *url = config_jwks_url(config), *where = loader->set[CONFIG_KEY_tokens_jwks].where;
    if (!url && strstr(config->tokens_jwks, "://"))
        loader_error(loader, where, "tokens.jwks is a file, or a URL that begins with https://");
    if (!url)
        return;
    struct slice host = host_of(url);
    if (host.len == 0 || has_strange(url))
        loader_error(loader, where, "tokens.jwks is a URL without a host, or with characters that must be percent-encoded");
    else if (url[4] == ':' && !config->tokens_jwks_http && !is_this_machine(host))
        loader_error(loader, where, "tokens.jwks is an http:// URL of another machine: whoever can change what travels there can then sign "
                     "tokens; use https://, or say tokens.jwks_http = yes if that network is trusted");
}
