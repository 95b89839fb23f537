#include "clients/cli/request.h"

#include <openssl/x509_vfy.h>
#include <stdio.h>
#include <stdlib.h>

#include "clients/cli/cli.h"
#include "clients/cli/interrupt.h"
#include "clients/cli/payload.h"
#include "hub/base/err.h"
#include "hub/base/json.h"

enum { MAX_ANSWER_BYTES = 1024 * 1024, MAX_SECRET_BYTES = 64 * 1024, MAX_OTHERS = 4, MAX_TURN_MS = 60000 };

/* ---- where ---- */

static const char *from_environment(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

/* A credential of the command line counts before any of the environment. */
void cli_target_init(struct cli_target *target, const char *listener, const char *variable, const char *usual_url)
{
    const char *url = from_environment(variable);
    *target = (struct cli_target){ .url = url ? url : usual_url, .cacert = from_environment("CARILLON_CACERT"), .listener = listener, .variable = variable };
}

/* The nth of several URLs, without blanks and slashes at its end; empty: there are no more. */
static struct slice url_at(const struct cli_target *target, size_t n)
{
    const char *at = target->url;
    for (; n > 0 && *at; n--) {
        at += strcspn(at, ",");
        at += *at == ',';
    }
    struct slice url = slice_trim(slice(at, strcspn(at, ",")));
    while (url.len && url.at[url.len - 1] == '/')
        url.len--;
    return url;
}

bool cli_request_next_url(struct cli_request *r)
{
    if (url_at(r->target, ++r->at).len == 0)
        r->at = 0;
    return r->at > 0;
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

bool cli_url_check(struct slice text, bool *ret_loopback)
{
    CURLU *url = curl_url();
    char *copy = slice_copy(text);
    bool good = url && copy && !curl_url_set(url, CURLUPART_URL, copy, 0) && (slice_begins(text, SLICE("http://")) || slice_begins(text, SLICE("https://")));
    *ret_loopback = good && is_loopback(url);
    curl_url_cleanup(url);
    free(copy);
    return good;
}

static bool is_url(struct cli_request *r, struct slice text)
{
    bool loopback, good = cli_url_check(text, &loopback);
    if (good && (r->target->unix_path || loopback))
        curl_easy_setopt(r->curl, CURLOPT_PROXY, "");
    return good;
}

/* ---- headers ---- */

static int add_line(struct cli_request *r, struct slice line)
{
    char *copy = slice_copy(line);
    struct curl_slist *longer = copy ? curl_slist_append(r->headers, copy) : NULL;
    free(copy);
    if (!longer)
        return ERR_MEMORY;
    r->headers = longer;
    return 0;
}

static bool fits_a_line(struct slice value)
{
    for (size_t i = 0; i < value.len; i++)
        if ((unsigned char)value.at[i] < 0x20 || value.at[i] == 0x7f)
            return false;
    return true;
}

static int add_header(struct cli_request *r, const char *name, const char *before, struct slice value)
{
    struct buf line = { 0 };
    if (!fits_a_line(value))
        return ERR_BAD_FIELD;
    buf_addf(&line, value.len ? "%s: %s" : "%s:%s", name, before);
    buf_add_slice(&line, value);
    int rc = line.failed ? ERR_MEMORY : add_line(r, buf_slice(&line));
    buf_fini(&line);
    return rc;
}

int cli_request_add_header(struct cli_request *r, const char *name, const char *value) { return add_header(r, name, "", slice_of(value)); }

static int read_file(const char *path, struct buf *ret_text)
{
    FILE *file = fopen(path, "re");
    char *room = file ? buf_room(ret_text, MAX_SECRET_BYTES) : NULL;
    if (room)
        buf_advance(ret_text, fread(room, 1, MAX_SECRET_BYTES, file));
    int rc = room && !ferror(file) ? 0 : ERR_BAD_FIELD;
    if (file)
        fclose(file);
    return rc;
}

/* "@FILE", so that what others may not see need not stand in a command line; written anew, it counts from the next connection on. */
static int add_credential(struct cli_request *r, const char *name, const char *before, const char *value)
{
    struct buf text = { 0 };
    int rc = 0;
    if (value[0] == '@')
        rc = read_file(value + 1, &text);
    else
        buf_add_str(&text, value);
    struct slice secret = buf_slice(&text);
    while (secret.len && strchr(" \t\r\n", secret.at[secret.len - 1]))
        secret.len--;
    if (!rc)
        rc = secret.len ? add_header(r, name, before, secret) : ERR_BAD_FIELD;
    buf_fini(&text);
    return rc;
}

int cli_request_clear_headers(struct cli_request *r)
{
    const char *token = r->target->token, *key = r->target->key;
    if (!token && !key && !(token = from_environment("CARILLON_TOKEN")))
        key = from_environment("CARILLON_KEY");
    curl_slist_free_all(r->headers);
    r->headers = NULL;
    int rc = add_line(r, SLICE("Expect:"));     /* a hub answers at once; waiting for 100 costs a round trip */
    if (!rc && token)
        rc = add_credential(r, "Authorization", "Bearer ", token);
    else if (!rc && key)
        rc = add_credential(r, "X-API-Key", "", key);
    return rc;
}

/* ---- life ---- */

static size_t on_body(char *bytes, size_t size, size_t count, void *arg)
{
    struct cli_request *r = arg;
    size_t n = size * count;
    if (r->body.len + n > MAX_ANSWER_BYTES)
        return 0;
    buf_add(&r->body, bytes, n);
    return r->body.failed ? 0 : n;
}

/* With --cacert that file alone counts: libcurl would go on trusting the machine's folder beside it. */
static void set_trust(struct cli_request *r)
{
    if (!r->target->cacert)
        return;
    curl_easy_setopt(r->curl, CURLOPT_CAINFO, r->target->cacert);
    curl_easy_setopt(r->curl, CURLOPT_CAPATH, NULL);
}

static void set_options(struct cli_request *r)
{
    curl_easy_setopt(r->curl, CURLOPT_ERRORBUFFER, r->error);
    curl_easy_setopt(r->curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(r->curl, CURLOPT_WRITEDATA, r);
    curl_easy_setopt(r->curl, CURLOPT_USERAGENT, "carillon-cli");
    curl_easy_setopt(r->curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(r->curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(r->curl, CURLOPT_CONNECTTIMEOUT_MS, 10000L);
    curl_easy_setopt(r->curl, CURLOPT_NOSIGNAL, 1L);
    if (r->target->unix_path)
        curl_easy_setopt(r->curl, CURLOPT_UNIX_SOCKET_PATH, r->target->unix_path);
    set_trust(r);
}

/* What of the target cannot be, told. */
static int check_target(struct cli_request *r, const struct cli_command *command)
{
    struct slice url = url_at(r->target, 0);
    for (size_t i = 0; i == 0 || url.len; url = url_at(r->target, ++i))
        if (!is_url(r, url))
            return cli_misused(command, "--url is not a URL: \"%.*s\"; it begins with http:// or https://", (int)url.len, url.at);
    const char *from = r->target->token ? r->target->token : r->target->key;
    if (cli_request_clear_headers(r) != ERR_BAD_FIELD)
        return CLI_GO_ON;
    if (from && from[0] == '@')
        return cli_misused(command, "there is no credential to be read in the file %s", from + 1);
    return cli_misused(command, "the credential has characters that none can have, or is empty");
}

int cli_request_init(struct cli_request *r, const struct cli_target *target, const struct cli_command *command)
{
    *r = (struct cli_request){ .target = target, .curl = curl_easy_init(), .multi = curl_multi_init() };
    if (!r->curl || !r->multi) {
        cli_tell(command, "no memory");
        cli_request_fini(r);
        return CLI_FAILED;
    }
    set_options(r);
    int done = check_target(r, command);
    if (done != CLI_GO_ON)
        cli_request_fini(r);
    return done;
}

void cli_request_fini(struct cli_request *r)
{
    cli_request_end(r);
    curl_easy_cleanup(r->curl);
    curl_multi_cleanup(r->multi);
    curl_slist_free_all(r->headers);
    buf_fini(&r->path);
    buf_fini(&r->body);
    *r = (struct cli_request){ 0 };
}

void cli_request_add_path(struct cli_request *r, const char *literal) { buf_add_str(&r->path, literal); }

void cli_request_add_escaped(struct cli_request *r, const char *text)
{
    char *escaped = *text ? curl_easy_escape(r->curl, text, 0) : NULL;
    if (escaped)
        buf_add_str(&r->path, escaped);
    else if (*text)
        r->path.failed = true;
    curl_free(escaped);
}

void cli_request_add_parameter(struct cli_request *r, const char *before, const char *value)
{
    if (!value)
        return;
    cli_request_add_path(r, before);
    cli_request_add_escaped(r, value);
}

/* ---- there and back ---- */

void cli_request_begin(struct cli_request *r)
{
    struct buf url = { 0 };
    buf_add_slice(&url, url_at(r->target, r->at));
    buf_add_slice(&url, buf_slice(&r->path));
    buf_add_char(&url, '\0');
    buf_reset(&r->body);
    r->error[0] = '\0';
    r->result = CURLE_OUT_OF_MEMORY;
    r->under_way = !url.failed && !r->path.failed && !curl_easy_setopt(r->curl, CURLOPT_URL, url.at) &&
                   !curl_easy_setopt(r->curl, CURLOPT_HTTPHEADER, r->headers) && !curl_multi_add_handle(r->multi, r->curl);
    buf_fini(&url);
}

void cli_request_end(struct cli_request *r)
{
    long sent = 0;
    if (!r->under_way)
        return;
    curl_easy_getinfo(r->curl, CURLINFO_REQUEST_SIZE, &sent);
    r->connected = r->connected || sent > 0;
    curl_multi_remove_handle(r->multi, r->curl);
    r->under_way = false;
}

static void note_result(struct cli_request *r)
{
    int left;
    for (const CURLMsg *m; (m = curl_multi_info_read(r->multi, &left));)
        if (m->msg == CURLMSG_DONE)
            r->result = m->data.result;
    cli_request_end(r);
}

bool cli_request_turn(struct cli_request *r, struct curl_waitfd *others, unsigned n_others, int64_t wait_ms)
{
    struct curl_waitfd fds[MAX_OTHERS + 1];
    unsigned n = 0;
    int running = 0;
    if (!r->under_way)
        return false;
    for (unsigned i = 0; i < n_others && i < MAX_OTHERS; i++)
        fds[n++] = others[i];
    if (interrupt_fd() >= 0 && !interrupt_signal())
        fds[n++] = (struct curl_waitfd){ .fd = interrupt_fd(), .events = CURL_WAIT_POLLIN };
    curl_multi_poll(r->multi, fds, n, (int)(wait_ms < 0 ? 0 : wait_ms > MAX_TURN_MS ? MAX_TURN_MS : wait_ms), NULL);
    if (curl_multi_perform(r->multi, &running))
        cli_request_end(r);
    else if (!running)
        note_result(r);
    return r->under_way;
}

CURLcode cli_request_perform(struct cli_request *r)
{
    cli_request_begin(r);
    while (cli_request_turn(r, NULL, 0, MAX_TURN_MS))
        if (interrupt_signal()) {
            cli_request_end(r);
            r->result = CURLE_ABORTED_BY_CALLBACK;
        }
    return r->result;
}

long cli_request_status(const struct cli_request *r)
{
    long status = 0;
    curl_easy_getinfo(r->curl, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

int64_t cli_request_retry_after_ms(const struct cli_request *r)
{
    curl_off_t seconds = 0;
    curl_easy_getinfo(r->curl, CURLINFO_RETRY_AFTER, &seconds);
    return seconds > 0 && seconds < 86400 ? (int64_t)seconds * 1000 : 0;
}

/* ---- what went wrong ---- */

bool cli_request_is_untrusted(CURLcode code) { return code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE; }

bool cli_request_is_away(CURLcode code)
{
    return code == CURLE_COULDNT_CONNECT || code == CURLE_COULDNT_RESOLVE_HOST || code == CURLE_COULDNT_RESOLVE_PROXY;
}

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
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_WEIRD_SERVER_REPLY:       return "; what listens there does not speak HTTP";
    default:                             return "";
    }
}

const char *cli_request_error(struct cli_request *r, CURLcode code)
{
    struct slice where = r->target->unix_path ? slice_of(r->target->unix_path) : url_at(r->target, r->at);
    const char *words = r->error[0] ? r->error : curl_easy_strerror(code);
    int n = snprintf(r->told, sizeof r->told, "%.*s: %s%s", (int)where.len, where.at, words, advice(r, code));
    if (cli_request_is_away(code) && n > 0 && (size_t)n < sizeof r->told)
        snprintf(r->told + n, sizeof r->told - (size_t)n, "; is a hub running there (carillon serve)? --url and %s say where its %s listener is",
                 r->target->variable, r->target->listener);
    return r->told;
}

/* One line of a refusal: the members' texts, with ": " between them. */
static void tell_members(const struct cli_command *command, struct slice object, const char *before, const char *const members[], const char *after)
{
    struct buf line = { 0 };
    buf_add_str(&line, before);
    for (size_t i = 0; members[i]; i++) {
        buf_add_str(&line, i ? ": " : "");
        if (!payload_add_text(&line, object, members[i]))
            buf_add_char(&line, '?');
    }
    buf_add_str(&line, after);
    cli_tell(command, "%.*s", line.failed ? 0 : (int)line.len, line.at);
    buf_fini(&line);
}

static int tell_error(void *command, struct slice error)
{
    tell_members(command, error, "  ", (const char *const[]){ "field", "code", "detail", NULL }, "");
    return 0;
}

static int count(void *n, struct slice error)
{
    (void)error;
    ++*(size_t *)n;
    return 0;
}

static bool has_credential(const struct cli_request *r)
{
    for (const struct curl_slist *line = r->headers; line; line = line->next)
        if (!strncmp(line->data, "X-API-Key:", 10) || !strncmp(line->data, "Authorization:", 14))
            return true;
    return false;
}

void cli_request_add_hint(const struct cli_request *r, struct slice code, struct buf *out)
{
    if (slice_is(code, SLICE("not_found")) || slice_is(code, SLICE("method_not_allowed")) || slice_is(code, SLICE("no_body_here")))
        buf_addf(out, "; is this the hub's %s listener? --url and %s say where it is", r->target->listener, r->target->variable);
    else if (slice_is(code, SLICE("unauthenticated")) && !has_credential(r))
        buf_add_str(out, "; --key or --token (CARILLON_KEY, CARILLON_TOKEN) say who asks");
    else if (slice_is(code, SLICE("forbidden")) && !has_credential(r))
        buf_add_str(out, "; nobody said who asks: --key or --token (CARILLON_KEY, CARILLON_TOKEN)");
}

void cli_request_tell_problem(const struct cli_request *r, const struct cli_command *command)
{
    long status = cli_request_status(r);
    struct json_object problem;
    struct slice url = url_at(r->target, r->at);
    struct buf code = { 0 }, hint = { 0 };
    size_t n_errors = 0;
    char begin[24];
    if (json_object_parse(buf_slice(&r->body), &problem) || !payload_add_text(&code, buf_slice(&r->body), "code")) {
        cli_tell(command, "the answer was %ld, and not in the hub's words: is %.*s a hub?", status, (int)url.len, url.at);
        buf_fini(&code);
        return;
    }
    cli_request_add_hint(r, buf_slice(&code), &hint);
    buf_add_char(&hint, '\0');
    snprintf(begin, sizeof begin, "%ld ", status);
    tell_members(command, buf_slice(&r->body), begin, (const char *const[]){ "code", "detail", NULL }, hint.failed ? "" : hint.at);
    struct slice errors = json_member_find(&problem, "errors");
    if (errors.at && !json_array_each(errors, count, &n_errors) && n_errors > 1)     /* a single one has been told */
        json_array_each(errors, tell_error, (void *)command);
    buf_fini(&code);
    buf_fini(&hint);
}
