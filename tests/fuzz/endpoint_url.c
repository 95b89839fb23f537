/* webhooks/endpoint_url.h: a URL that is good is what libcurl will connect to, and leads nowhere it may not. Input: the URL. */
#include "webhooks/endpoint_url.h"
#include "webhooks/guard.h"

#include "tests/fuzz/fuzz.h"

#include <curl/curl.h>
#include <netdb.h>
#include <sys/socket.h>

static void must_have_no(CURLU *parts, CURLUPart part, const char *what)
{
    char *value = NULL;
    must(curl_url_get(parts, part, &value, 0) != CURLUE_OK, "it has %s: %s", what, value);
    curl_free(value);
}

static void must_lead_to_the_open(const struct guard *guard, CURLU *parts)
{
    const struct addrinfo numeric = { .ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM };
    struct addrinfo *found = NULL;
    char *host = NULL, *bare;
    must(curl_url_get(parts, CURLUPART_HOST, &host, 0) == CURLUE_OK && *host, "no host");
    bare = *host == '[' ? strndup(host + 1, strlen(host) - 2) : strdup(host);
    if (getaddrinfo(bare, NULL, &numeric, &found) == 0) {
        must(!guard_judge(guard, found->ai_addr), "leads to %s: %s", guard_judge(guard, found->ai_addr), host);
        freeaddrinfo(found);
    }
    free(bare);
    curl_free(host);
}

static void must_be_what_it_seems(const struct guard *guard, struct slice url)
{
    char *copy = slice_copy(url), *scheme = NULL, *port = NULL;
    CURLU *parts = curl_url();
    must(curl_url_set(parts, CURLUPART_URL, copy, 0) == CURLUE_OK, "libcurl does not take %s", copy);
    must(curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK && !strcmp(scheme, "https"), "%s of %s", scheme, copy);
    must(curl_url_get(parts, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK && atoi(port) >= 1 && atoi(port) <= 65535, "port %s of %s", port, copy);
    must_have_no(parts, CURLUPART_USER, "a user");
    must_have_no(parts, CURLUPART_PASSWORD, "a password");
    must_have_no(parts, CURLUPART_FRAGMENT, "a fragment");
    must_have_no(parts, CURLUPART_ZONEID, "a zone");
    must_lead_to_the_open(guard, parts);
    curl_free(scheme);
    curl_free(port);
    curl_url_cleanup(parts);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice url = input(data, size);
    struct guard *guard = guard_new();
    char why[160] = "";
    const char *wrong = endpoint_url_check(url, guard, false, why), *with_http = endpoint_url_check(url, guard, true, why);
    if (wrong)
        must(*wrong, "no reason");
    else
        must_be_what_it_seems(guard, url);
    must(wrong || !with_http, "https is worse where http is allowed: %s", with_http);
    for (size_t i = 0; !with_http && i < url.len; i++)
        must(url.at[i] > ' ' && url.at[i] < 0x7f, "byte %d", url.at[i]);
    guard_free(guard);
    return 0;
}
