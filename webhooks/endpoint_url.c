#include "webhooks/endpoint_url.h"

#include "webhooks/guard.h"

#include <curl/curl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

/* What no URL has in it (RFC 3986 §2), or not here. Other languages' hosts are written in punycode, other bytes as %XX. */
static const char *judge_bytes(struct slice url)
{
    if (url.len == 0)
        return "is empty";
    if (url.len > ENDPOINT_URL_MAX)
        return "is longer than 2048 bytes";
    for (size_t i = 0; i < url.len; i++) {
        unsigned char c = (unsigned char)url.at[i];
        if (c < 0x20 || c == 0x7f)
            return "has a control character in it";
        if (c == ' ' || c > 0x7f || strchr("\"<>\\^`{|}", c))
            return "has a character in it that URLs write as %XX (in a host: punycode)";
        if (c == '#')
            return "has a fragment: what is behind # is never sent";
    }
    return NULL;
}

static const char *judge_scheme(struct slice url, bool allow_http)
{
    struct slice https = SLICE("https://"), http = SLICE("http://");
    if (url.len >= https.len && slice_is_nocase(slice(url.at, https.len), https))
        return NULL;
    if (url.len < http.len || !slice_is_nocase(slice(url.at, http.len), http))
        return allow_http ? "does not begin with https:// or http://" : "does not begin with https://";
    return allow_http ? NULL : "is not https:// (webhooks.allow_http allows http://)";
}

/* The host and port as they are written: `at` is behind the scheme's slashes. */
static const char *judge_authority(struct slice url)
{
    const char *at = strstr(url.at, "://") + 3;
    struct slice authority = slice(at, strcspn(at, "/?"));
    const char *bracket = memchr(authority.at, ']', authority.len);
    struct slice behind = bracket ? slice(bracket, (size_t)(authority.at + authority.len - bracket)) : authority;
    const char *colon = memchr(behind.at, ':', behind.len);
    uint64_t port;
    if (memchr(authority.at, '@', authority.len))
        return "has a user name or a password in it: give the receiver a header instead";
    if (authority.len == 0 || *authority.at == ':')
        return "has no host";
    if (*authority.at == '[' && !bracket)
        return "has a [ without its ] in its host";
    if (memchr(authority.at, '%', authority.len))
        return "has a % in its host";
    if (colon && (!slice_u64(slice(colon + 1, (size_t)(behind.at + behind.len - colon - 1)), &port) || port < 1 || port > 65535))
        return "has no port from 1 to 65535 behind its colon";
    return NULL;
}

/* A host that is an address, in any of its forms, is told at once; brackets of IPv6 are gone. */
static const char *judge_address(const char *host, const struct guard *guard, char why[160])
{
    const struct addrinfo numeric = { .ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM };
    struct addrinfo *found = NULL;
    const char *what = NULL;
    if (getaddrinfo(host, NULL, &numeric, &found) == 0 && found)
        what = guard_judge(guard, found->ai_addr);
    if (found)
        freeaddrinfo(found);
    if (!what)
        return NULL;
    snprintf(why, 160, "leads to %s, which webhooks may not go to (webhooks.allow_networks)", what);
    return why;
}

static const char *judge_parsed(CURLU *parts, const struct guard *guard, char why[160])
{
    char *host = NULL, bare[ENDPOINT_URL_MAX + 1];
    if (curl_url_get(parts, CURLUPART_HOST, &host, 0) != CURLUE_OK || !*host) {
        curl_free(host);
        return "has no host";
    }
    size_t brackets = *host == '[';
    snprintf(bare, sizeof bare, "%.*s", (int)(strlen(host) - 2 * brackets), host + brackets);
    curl_free(host);
    if (strlen(bare) > 253)
        return "has a host longer than 253 bytes";
    return judge_address(bare, guard, why);
}

const char *endpoint_url_check(struct slice url, const struct guard *guard, bool allow_http, char why[160])
{
    const char *wrong = judge_bytes(url);
    char *copy = wrong ? NULL : slice_copy(url);
    CURLU *parts = copy ? curl_url() : NULL;
    if (!wrong && !parts)
        wrong = "cannot be looked at: no memory";
    if (!wrong && !(wrong = judge_scheme(url, allow_http)) && !(wrong = judge_authority(slice_of(copy)))) {
        CURLUcode code = curl_url_set(parts, CURLUPART_URL, copy, CURLU_DISALLOW_USER);
        if (code == CURLUE_OK)
            wrong = judge_parsed(parts, guard, why);
        else
            snprintf(why, 160, "is not a URL (%s)", curl_url_strerror(code)), wrong = why;
    }
    curl_url_cleanup(parts);
    free(copy);
    return wrong;
}
