#include "clients/cli/request.h"

#include <openssl/x509_vfy.h>
#include <stdio.h>
#include <stdlib.h>

#include "clients/cli/args.h"
#include "clients/cli/payload.h"
#include "hub/base/err.h"
#include "hub/base/json.h"

#define MAX_ANSWER_BYTES (1024 * 1024)

static size_t on_body(char *bytes, size_t size, size_t count, void *arg)
{
    struct cli_request *r = arg;
    size_t n = size * count;
    if (r->body.len + n > MAX_ANSWER_BYTES)
        return 0;
    buf_add(&r->body, bytes, n);
    return r->body.failed ? 0 : n;
}

/* A proxy of the environment is for the world outside: a hub on this machine is never asked through it. */
static bool is_loopback(CURLU *url)
{
    char *host = NULL;
    if (curl_url_get(url, CURLUPART_HOST, &host, 0))
        return false;
    bool yes = !strcmp(host, "localhost") || !strncmp(host, "127.", 4) || !strcmp(host, "[::1]");
    curl_free(host);
    return yes;
}

static int check_url(struct cli_request *r, const struct cli_target *target)
{
    CURLU *url = curl_url();
    if (!url)
        return ERR_MEMORY;
    int rc = curl_url_set(url, CURLUPART_URL, target->url, 0) ? ERR_BAD_REQUEST : 0;
    if (!rc && (target->unix_path || is_loopback(url)))
        curl_easy_setopt(r->curl, CURLOPT_PROXY, "");
    curl_url_cleanup(url);
    return rc;
}

void cli_request_clear_headers(struct cli_request *r, const struct cli_target *target)
{
    const char *key = target->key ? target->key : getenv("CARILLON_KEY");
    curl_slist_free_all(r->headers);
    r->headers = NULL;
    cli_request_add_header(r, "Expect", "");    /* a hub answers at once; waiting for 100 costs a round trip */
    if (key && *key)
        cli_request_add_header(r, "X-API-Key", key);
}

/* With --cacert that file alone counts: libcurl would go on trusting the machine's folder beside it. */
static void set_trust(struct cli_request *r, const struct cli_target *target)
{
    const char *cacert = target->cacert ? target->cacert : getenv("CARILLON_CACERT");
    if (!cacert || !*cacert)
        return;
    curl_easy_setopt(r->curl, CURLOPT_CAINFO, cacert);
    curl_easy_setopt(r->curl, CURLOPT_CAPATH, NULL);
}

int cli_request_init(struct cli_request *r, const struct cli_target *target)
{
    *r = (struct cli_request){ .curl = curl_easy_init() };
    if (!r->curl)
        return ERR_MEMORY;
    int rc = check_url(r, target);
    if (rc) {
        cli_request_fini(r);
        return rc;
    }
    size_t len = strlen(target->url);
    while (len && target->url[len - 1] == '/')
        len--;
    buf_add(&r->url, target->url, len);
    cli_request_clear_headers(r, target);
    set_trust(r, target);
    curl_easy_setopt(r->curl, CURLOPT_ERRORBUFFER, r->error);
    curl_easy_setopt(r->curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(r->curl, CURLOPT_WRITEDATA, r);
    curl_easy_setopt(r->curl, CURLOPT_USERAGENT, "carillon-cli");
    curl_easy_setopt(r->curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(r->curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(r->curl, CURLOPT_CONNECTTIMEOUT_MS, 10000L);
    curl_easy_setopt(r->curl, CURLOPT_NOSIGNAL, 1L);
    if (target->unix_path)
        curl_easy_setopt(r->curl, CURLOPT_UNIX_SOCKET_PATH, target->unix_path);
    return 0;
}

void cli_request_fini(struct cli_request *r)
{
    curl_easy_cleanup(r->curl);
    curl_slist_free_all(r->headers);
    buf_fini(&r->url);
    buf_fini(&r->body);
    *r = (struct cli_request){ 0 };
}

void cli_request_add_url(struct cli_request *r, const char *literal) { buf_add_str(&r->url, literal); }

void cli_request_add_escaped(struct cli_request *r, const char *text)
{
    char *escaped = *text ? curl_easy_escape(r->curl, text, 0) : NULL;
    if (escaped)
        buf_add_str(&r->url, escaped);
    else if (*text)
        r->url.failed = true;
    curl_free(escaped);
}

int cli_request_add_header(struct cli_request *r, const char *name, const char *value)
{
    struct buf line = { 0 };
    for (const char *c = value; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            return ERR_BAD_FIELD;
    buf_addf(&line, *value ? "%s: %s" : "%s:", name, value);
    buf_add_char(&line, '\0');
    struct curl_slist *longer = line.failed ? NULL : curl_slist_append(r->headers, line.at);
    buf_fini(&line);
    if (!longer)
        return ERR_MEMORY;
    r->headers = longer;
    return 0;
}

CURLcode cli_request_perform(struct cli_request *r)
{
    struct buf url = { 0 };
    buf_add_slice(&url, buf_slice(&r->url));
    buf_add_char(&url, '\0');
    if (url.failed || r->url.failed)
        return CURLE_OUT_OF_MEMORY;
    buf_reset(&r->body);
    r->error[0] = '\0';
    curl_easy_setopt(r->curl, CURLOPT_URL, url.at);
    curl_easy_setopt(r->curl, CURLOPT_HTTPHEADER, r->headers);
    CURLcode code = curl_easy_perform(r->curl);
    buf_fini(&url);
    return code;
}

long cli_request_status(const struct cli_request *r)
{
    long status = 0;
    curl_easy_getinfo(r->curl, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

bool cli_request_is_untrusted(CURLcode code) { return code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE; }

/* A certificate may also be of another host, or have expired: then nobody who vouches for it would help. */
static bool is_unknown_authority(const struct cli_request *r)
{
    long result = X509_V_OK;
    curl_easy_getinfo(r->curl, CURLINFO_SSL_VERIFYRESULT, &result);
    return result == X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT || result == X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN ||
           result == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY || result == X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE;
}

static const char *advice(const struct cli_request *r, CURLcode code)
{
    switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION: return is_unknown_authority(r) ? "; --cacert FILE (or CARILLON_CACERT) names whom to trust" : "";
    case CURLE_SSL_CACERT_BADFILE:       return "; --cacert and CARILLON_CACERT name a file of certificates in PEM form";
    case CURLE_SSL_CONNECT_ERROR:        return "; does the hub speak TLS there? without it the URL begins with http://";
    default:                             return "";
    }
}

const char *cli_request_error(struct cli_request *r, CURLcode code)
{
    snprintf(r->told, sizeof r->told, "%s%s", r->error[0] ? r->error : curl_easy_strerror(code), advice(r, code));
    return r->told;
}

/* One line of a refusal: the members' texts, with ": " between them. */
static void tell_members(const struct cli_command *command, struct slice object, const char *before, const char *const members[])
{
    struct buf line = { 0 };
    buf_add_str(&line, before);
    for (size_t i = 0; members[i]; i++) {
        buf_add_str(&line, i ? ": " : "");
        if (!payload_add_text(&line, object, members[i]))
            buf_add_char(&line, '?');
    }
    cli_tell(command, "%.*s", line.failed ? 0 : (int)line.len, line.at);
    buf_fini(&line);
}

static int tell_error(void *command, struct slice error)
{
    tell_members(command, error, "  ", (const char *const[]){ "field", "code", "detail", NULL });
    return 0;
}

static int count(void *n, struct slice error)
{
    (void)error;
    ++*(size_t *)n;
    return 0;
}

void cli_request_tell_problem(const struct cli_request *r, const struct cli_command *command)
{
    long status = cli_request_status(r);
    struct json_object problem;
    struct slice errors;
    size_t n_errors = 0;
    char begin[24];
    if (json_object_parse(buf_slice(&r->body), &problem) || !json_member_find(&problem, "code").at) {
        cli_tell(command, "the answer was %ld, and not in the hub's words: is %.*s a hub?", status, (int)r->url.len, r->url.at);
        return;
    }
    snprintf(begin, sizeof begin, "%ld ", status);
    tell_members(command, buf_slice(&r->body), begin, (const char *const[]){ "code", "detail", NULL });
    errors = json_member_find(&problem, "errors");
    if (errors.at && !json_array_each(errors, count, &n_errors) && n_errors > 1)     /* a single one has been told */
        json_array_each(errors, tell_error, (void *)command);
}
