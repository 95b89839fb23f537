#include "webhooks/transfer.h"

#include "hub/base/err.h"
#include "hub/version.h"
#include "webhooks/sockets.h"

#include <stdio.h>
#include <stdlib.h>

enum { CA_KEPT_S = 300,            /* a file of certificates is read again after this time */
       CONNECTION_MAX_S = 600 };   /* a connection is not used longer, so that a name that has moved is looked up again */

/* ---- the answer comes ---- */

/* A count that is short ends the transfer. */
static size_t end_for(struct transfer *t, enum http_out_fault fault)
{
    t->ended_for = fault;
    return 0;
}

static size_t on_body(char *bytes, size_t size, size_t n, void *arg)
{
    struct transfer *t = arg;
    const struct http_out_rules *rules = t->request->rules;
    struct buf *answer = &t->request->answer;
    size_t len = size * n, room = rules->max_bytes - answer->len;
    if (len > room && !rules->keep_cut)
        return end_for(t, HTTP_OUT_TOO_LARGE);
    buf_add(answer, bytes, len < room ? len : room);
    if (len > room)
        return end_for(t, HTTP_OUT_TOO_LARGE);
    return answer->failed ? 0 : len;
}

/* HTTP/1.1 200 OK, HTTP/2 200 */
static int status_of(struct slice line)
{
    const char *blank = memchr(line.at, ' ', line.len);
    uint64_t status;
    return blank && line.at + line.len - blank >= 4 && slice_u64(slice(blank + 1, 3), &status) ? (int)status : 0;
}

static bool is_blank(struct slice line) { return line.len <= 2 && (line.len == 0 || *line.at == '\r' || *line.at == '\n'); }

static size_t on_header(char *bytes, size_t size, size_t n, void *arg)
{
    struct transfer *t = arg;
    struct slice line = slice(bytes, size * n);
    struct buf *head = &t->request->answer_head;
    t->head_bytes += line.len;
    if (t->head_bytes > HTTP_OUT_HEAD_BYTES)
        return end_for(t, HTTP_OUT_TOO_LARGE);
    if (t->has_head)
        return line.len;                           /* trailers */
    if (slice_begins(line, SLICE("HTTP/"))) {
        buf_reset(head);                           /* another head: the last one counts */
        t->status = status_of(line);
    }
    buf_add_slice(head, line);
    if (is_blank(line) && t->status >= 200) {
        t->has_head = true;
        t->on_head(t);
    }
    return head->failed ? 0 : line.len;
}

/* ---- where it goes ---- */

static curl_socket_t on_open(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct transfer *t = arg;
    const struct http_out_rules *rules = t->request->rules;
    const char *what = rules->judge && !rules->proxy ? rules->judge(rules->judge_arg, &address->addr) : NULL;
    (void)purpose;
    if (what) {
        t->blocked = what;
        return CURL_SOCKET_BAD;
    }
    t->n_opened++;
    return sockets_open(t->sockets, address);
}

/* ---- what all requests of a pool have in common ---- */

static void set_source(CURL *curl, const char *source)
{
    struct ip ip;
    if (!source)
        return;
    curl_easy_setopt(curl, CURLOPT_INTERFACE, source);
    if (ip_read(slice_of(source), &ip))      /* the other family has no way from there */
        curl_easy_setopt(curl, CURLOPT_IPRESOLVE, ip_is_v4(ip) ? (long)CURL_IPRESOLVE_V4 : (long)CURL_IPRESOLVE_V6);
}

static void set_ways(CURL *curl, const struct http_out_rules *rules)
{
    curl_easy_setopt(curl, CURLOPT_PROXY, rules->proxy ? rules->proxy : "");
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "");
    curl_easy_setopt(curl, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, rules->allow_http ? "https,http" : "https");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_MAXLIFETIME_CONN, (long)CONNECTION_MAX_S);
    curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(curl, CURLOPT_CA_CACHE_TIMEOUT, (long)CA_KEPT_S);
    set_source(curl, rules->source_address);
    if (rules->ca_file) {     /* that file alone: libcurl would go on trusting the system's folder beside it */
        curl_easy_setopt(curl, CURLOPT_CAINFO, rules->ca_file);
        curl_easy_setopt(curl, CURLOPT_CAPATH, NULL);
    }
}

static void set_limits(CURL *curl, const struct http_out_rules *rules)
{
    curl_easy_setopt(curl, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)rules->timeout_ms);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)(rules->connect_ms ? rules->connect_ms : rules->timeout_ms));
    if (!rules->keep_cut)
        curl_easy_setopt(curl, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)rules->max_bytes);
}

static void set_callbacks(struct transfer *t)
{
    CURL *curl = t->curl;
    curl_easy_setopt(curl, CURLOPT_PRIVATE, t);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, t->error);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, t);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, on_open);
    curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, t);
    curl_easy_setopt(curl, CURLOPT_CLOSESOCKETFUNCTION, sockets_close);
    curl_easy_setopt(curl, CURLOPT_CLOSESOCKETDATA, t->sockets);
}

struct transfer *transfer_new(const struct http_out_rules *rules, struct sockets *sockets)
{
    struct transfer *t = calloc(1, sizeof *t);
    if (!t || !(t->curl = curl_easy_init()) || curl_easy_setopt(t->curl, CURLOPT_USERAGENT, "carillon/" CARILLON_VERSION) != CURLE_OK) {
        transfer_free(t);
        return NULL;
    }
    t->sockets = sockets;
    link_init(&t->link);
    link_init(&t->reading);
    set_callbacks(t);
    set_limits(t->curl, rules);
    set_ways(t->curl, rules);
    return t;
}

void transfer_free(struct transfer *t)
{
    if (!t)
        return;
    if (t->curl)
        curl_easy_cleanup(t->curl);
    buf_fini(&t->lines);
    free(t);
}

/* ---- a request ---- */

/* The lines become strings in one piece of memory, and a list of libcurl's that points into it. */
static int set_headers(struct transfer *t)
{
    static char no_waiting[] = "Expect:";      /* for 100 Continue */
    struct buf *lines = &t->lines;
    size_t n = 0;
    buf_reset(lines);
    buf_add_slice(lines, t->request->headers);
    if (lines->failed)
        return ERR_MEMORY;
    for (char *line = lines->at, *end; lines->len > 0 && (end = memchr(line, '\n', (size_t)(lines->at + lines->len - line))); line = end + 1) {
        *end = '\0';
        if (n == HTTP_OUT_LINES)
            return ERR_BAD_REQUEST;
        t->headers[n] = (struct curl_slist){ line, &t->headers[n + 1] };
        n++;
    }
    t->headers[n] = (struct curl_slist){ no_waiting, NULL };
    return 0;
}

/* HTTP/2 only over TLS, where the handshake tells. There a request waits for a connection that is being opened rather than to open
 * one more (CURLOPT_PIPEWAIT); without TLS it would wait for the answer of the other request. */
static void set_version(struct transfer *t)
{
    struct slice url = slice_of(t->request->url), https = SLICE("https:");
    bool http2 = t->request->rules->http2 && url.len > https.len && slice_is_nocase(slice(url.at, https.len), https);
    curl_easy_setopt(t->curl, CURLOPT_HTTP_VERSION, http2 ? (long)CURL_HTTP_VERSION_2TLS : (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(t->curl, CURLOPT_PIPEWAIT, (long)http2);
}

static int set_request(struct transfer *t)
{
    const struct http_out_request *request = t->request;
    int err = set_headers(t);
    if (err)
        return err;
    set_version(t);
    curl_easy_setopt(t->curl, CURLOPT_HTTPHEADER, t->headers);
    if (request->method == HTTP_OUT_POST) {
        curl_easy_setopt(t->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.len);
        curl_easy_setopt(t->curl, CURLOPT_POSTFIELDS, request->body.at ? request->body.at : "");
    } else {
        curl_easy_setopt(t->curl, CURLOPT_HTTPGET, 1L);
    }
    return curl_easy_setopt(t->curl, CURLOPT_URL, request->url) == CURLE_OK ? 0 : ERR_MEMORY;
}

static void forget_answer(struct transfer *t, bool again)
{
    t->head_bytes = 0;
    t->status = 0;
    t->has_head = false;
    t->ended_for = HTTP_OUT_NONE;
    t->blocked = NULL;
    t->n_opened = 0;
    t->again = again;
    t->error[0] = '\0';
    curl_easy_setopt(t->curl, CURLOPT_FRESH_CONNECT, (long)again);
}

int transfer_begin(struct transfer *t, struct http_out_request *request)
{
    int err = request->prepare ? request->prepare(request) : 0;
    t->request = request;
    forget_answer(t, false);
    return err ? err : set_request(t);
}

bool transfer_found_dead(const struct transfer *t)
{
    return t->request->fault == HTTP_OUT_HTTP && t->request->reused && t->head_bytes == 0 && !t->again;
}

void transfer_again(struct transfer *t)
{
    t->request->err = 0;
    t->request->fault = HTTP_OUT_NONE;
    t->request->why[0] = '\0';
    forget_answer(t, true);
}

/* ---- what became of it ---- */

/* Whatever is not here is the fault of what was said over the connection: HTTP_OUT_HTTP. */
static const struct { CURLcode code; enum http_out_fault fault; } faults[] = {
    { CURLE_COULDNT_RESOLVE_HOST, HTTP_OUT_DNS }, { CURLE_COULDNT_RESOLVE_PROXY, HTTP_OUT_DNS },
    { CURLE_COULDNT_CONNECT, HTTP_OUT_CONNECT }, { CURLE_INTERFACE_FAILED, HTTP_OUT_CONNECT }, { CURLE_PROXY, HTTP_OUT_CONNECT },
    { CURLE_SSL_CONNECT_ERROR, HTTP_OUT_TLS }, { CURLE_PEER_FAILED_VERIFICATION, HTTP_OUT_TLS }, { CURLE_SSL_CERTPROBLEM, HTTP_OUT_TLS },
    { CURLE_SSL_CIPHER, HTTP_OUT_TLS }, { CURLE_SSL_CACERT_BADFILE, HTTP_OUT_TLS }, { CURLE_SSL_ISSUER_ERROR, HTTP_OUT_TLS },
    { CURLE_SSL_ENGINE_INITFAILED, HTTP_OUT_TLS }, { CURLE_USE_SSL_FAILED, HTTP_OUT_TLS }, { CURLE_SSL_CRL_BADFILE, HTTP_OUT_TLS },
    { CURLE_OPERATION_TIMEDOUT, HTTP_OUT_TIMEOUT }, { CURLE_FILESIZE_EXCEEDED, HTTP_OUT_TOO_LARGE },
};

static enum http_out_fault fault_of(const struct transfer *t, CURLcode code)
{
    long connect_status = 0;
    curl_easy_getinfo(t->curl, CURLINFO_HTTP_CONNECTCODE, &connect_status);
    if (t->ended_for)
        return t->ended_for;
    if (t->blocked && t->n_opened == 0 && (code == CURLE_COULDNT_CONNECT || code == CURLE_OPERATION_TIMEDOUT))
        return HTTP_OUT_BLOCKED;
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        if (faults[i].code == code)
            return faults[i].fault;
    return connect_status / 100 > 2 ? HTTP_OUT_CONNECT : HTTP_OUT_HTTP;      /* the proxy does not let it through */
}

static uint32_t took_us(CURL *curl, CURLINFO until, curl_off_t *since)
{
    curl_off_t at = 0;
    if (curl_easy_getinfo(curl, until, &at) != CURLE_OK || at <= *since)
        return 0;
    uint32_t us = (uint32_t)(at - *since);
    *since = at;
    return us;
}

static void measure(const struct transfer *t)
{
    struct http_out_request *request = t->request;
    curl_off_t since = 0, all = 0, sent = 0;
    long opened = 0;
    curl_easy_getinfo(t->curl, CURLINFO_NUM_CONNECTS, &opened);
    curl_easy_getinfo(t->curl, CURLINFO_PRETRANSFER_TIME_T, &sent);
    request->reused = sent > 0 && opened == 0;
    request->timing.dns_us = took_us(t->curl, CURLINFO_NAMELOOKUP_TIME_T, &since);
    request->timing.connect_us = took_us(t->curl, CURLINFO_CONNECT_TIME_T, &since);
    request->timing.tls_us = took_us(t->curl, CURLINFO_APPCONNECT_TIME_T, &since);
    request->timing.first_byte_us = took_us(t->curl, CURLINFO_STARTTRANSFER_TIME_T, &since);
    request->timing.total_us = took_us(t->curl, CURLINFO_TOTAL_TIME_T, &all);
    char *address = NULL;
    if (curl_easy_getinfo(t->curl, CURLINFO_PRIMARY_IP, &address) != CURLE_OK || !address || !ip_read(slice_of(address), &request->address))
        request->address = (struct ip){ 0 };
}

static void explain(const struct transfer *t, CURLcode code)
{
    struct http_out_request *request = t->request;
    if (request->fault == HTTP_OUT_TOO_LARGE)
        snprintf(request->why, sizeof request->why, "its answer is too large");
    else if (request->fault == HTTP_OUT_BLOCKED)
        snprintf(request->why, sizeof request->why, "it leads to %s", t->blocked);
    else if (t->ended_for == HTTP_OUT_TIMEOUT)
        snprintf(request->why, sizeof request->why, "its answer's body timed out");
    else
        snprintf(request->why, sizeof request->why, "%.199s", t->error[0] ? t->error : curl_easy_strerror(code));
}

void transfer_end(struct transfer *t, CURLcode code)
{
    struct http_out_request *request = t->request;
    measure(t);
    request->status = t->has_head ? t->status : 0;
    if (code == CURLE_OK && t->has_head)
        return;
    if (code == CURLE_OUT_OF_MEMORY || request->answer.failed || request->answer_head.failed) {
        request->err = ERR_MEMORY;
        return;
    }
    request->fault = fault_of(t, code);
    request->err = t->has_head && request->rules->keep_cut ? 0 : ERR_UNREACHABLE;
    explain(t, code);
}

void transfer_end_reading(struct transfer *t)
{
    t->ended_for = HTTP_OUT_TIMEOUT;
    transfer_end(t, CURLE_OPERATION_TIMEDOUT);
}
