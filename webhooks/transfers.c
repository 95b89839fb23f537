#include "webhooks/transfers.h"

#include "hub/base/err.h"
#include "hub/base/list.h"
#include "hub/version.h"

#include <curl/curl.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>

enum { CA_KEPT_S = 300 };      /* a file of certificates is read again after this time */

struct transfer {
    struct link              link;       /* in transfers->running or transfers->queue */
    struct transfers        *all;
    struct http_out_request *request;
    bool                     begun;      /* it counts in all->n_running; its handle may be missing even so, for lack of memory */
    CURL                    *curl;
    struct curl_slist       *headers;
    size_t                   head_bytes; /* seen so far, of all heads: 100 Continue has one too */
    bool                     too_large;  /* ended by us */
    char                     error[CURL_ERROR_SIZE];
};

struct transfers {
    struct event_base *base;
    struct event      *timer;
    CURLM             *multi;
    void             (*done)(void *arg, struct http_out_request *request);
    void              *arg;
    struct link        running, queue;
    size_t             n_running;
};

/* A socket that libcurl wants watched. */
struct watched {
    struct transfers *all;
    struct event     *event;
};

/* ---- the answer comes ---- */

/* A count that is short ends the transfer. */
static size_t keep(struct transfer *t, struct buf *b, struct slice bytes, bool fits)
{
    t->too_large = !fits;
    if (fits)
        buf_add_slice(b, bytes);
    return fits && !b->failed ? bytes.len : 0;
}

static size_t on_body(char *bytes, size_t size, size_t n, void *arg)
{
    struct transfer *t = arg;
    struct buf *answer = &t->request->answer;
    return keep(t, answer, slice(bytes, size * n), size * n <= t->request->max_bytes - answer->len);
}

static size_t on_header(char *bytes, size_t size, size_t n, void *arg)
{
    struct transfer *t = arg;
    struct slice line = slice(bytes, size * n);
    t->head_bytes += line.len;
    if (slice_begins(line, SLICE("HTTP/")))
        buf_reset(&t->request->answer_head);       /* another head: the last one counts */
    return keep(t, &t->request->answer_head, line, t->head_bytes <= HTTP_OUT_HEAD_BYTES);
}

/* ---- how a request is put to libcurl ---- */

static bool add_header_lines(struct transfer *t)
{
    struct slice left = t->request->headers;
    for (const char *end; left.len > 0 && (end = memchr(left.at, '\n', left.len));) {
        char *line = slice_copy(slice(left.at, (size_t)(end - left.at)));
        struct curl_slist *longer = line ? curl_slist_append(t->headers, line) : NULL;
        free(line);
        if (!longer)
            return false;
        t->headers = longer;
        left = slice(end + 1, left.len - (size_t)(end + 1 - left.at));
    }
    struct curl_slist *longer = curl_slist_append(t->headers, "Expect:");     /* no waiting for 100 Continue */
    t->headers = longer ? longer : t->headers;
    return longer;
}

static void set_guards(CURL *curl, const struct http_out_request *request)
{
    curl_easy_setopt(curl, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, request->allow_http ? "https,http" : "https");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)request->timeout_ms);
    curl_easy_setopt(curl, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)request->max_bytes);
    curl_easy_setopt(curl, CURLOPT_CA_CACHE_TIMEOUT, (long)CA_KEPT_S);
    if (request->ca_file) {     /* that file alone: libcurl would go on trusting the system's folder beside it */
        curl_easy_setopt(curl, CURLOPT_CAINFO, request->ca_file);
        curl_easy_setopt(curl, CURLOPT_CAPATH, NULL);
    }
}

static bool set_up(struct transfer *t)
{
    struct http_out_request *request = t->request;
    CURL *curl = t->curl = curl_easy_init();
    if (!curl || !add_header_lines(t))
        return false;
    set_guards(curl, request);
    curl_easy_setopt(curl, CURLOPT_PRIVATE, t);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, t->error);
    curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "carillon/" CARILLON_VERSION);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, t->headers);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, t);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, t);
    if (request->method == HTTP_OUT_POST) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.len);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request->body.at ? request->body.at : "");
    }
    return curl_easy_setopt(curl, CURLOPT_URL, request->url) == CURLE_OK;
}

/* ---- beginning and ending ---- */

static void arm(struct transfers *all, long in_ms)
{
    struct timeval tv = { in_ms / 1000, in_ms % 1000 * 1000 };
    event_add(all->timer, &tv);
}

/* Frees the transfer and tells of its request. */
static void finish(struct transfer *t, int err, const char *why)
{
    struct transfers *all = t->all;
    struct http_out_request *request = t->request;
    request->err = err;
    snprintf(request->why, sizeof request->why, "%s", why);
    if (err)
        http_out_answer_fini(request);
    link_remove(&t->link);
    all->n_running -= t->begun;
    if (t->curl) {
        curl_multi_remove_handle(all->multi, t->curl);
        curl_easy_cleanup(t->curl);
    }
    curl_slist_free_all(t->headers);
    free(t);
    all->done(all->arg, request);
}

static void finish_with(struct transfer *t, CURLcode code)
{
    struct http_out_request *request = t->request;
    long status = 0;
    curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
    request->status = (int)status;
    if (code == CURLE_OK && status > 0)
        finish(t, 0, "");
    else if (code == CURLE_OUT_OF_MEMORY || request->answer.failed || request->answer_head.failed)
        finish(t, ERR_MEMORY, err_text(ERR_MEMORY));
    else if (t->too_large || code == CURLE_FILESIZE_EXCEEDED)
        finish(t, ERR_UNREACHABLE, "its answer is too large");
    else
        finish(t, ERR_UNREACHABLE, t->error[0] ? t->error : curl_easy_strerror(code));
}

static void begin_queued(struct transfers *all)
{
    struct link *first;
    while (all->n_running < HTTP_OUT_TRANSFERS && (first = list_first(&all->queue))) {
        struct transfer *t = link_of(first, struct transfer, link);
        list_add_last(&all->running, &t->link);
        t->begun = true;
        all->n_running++;
        if (!set_up(t) || curl_multi_add_handle(all->multi, t->curl) != CURLM_OK)
            finish(t, ERR_MEMORY, err_text(ERR_MEMORY));
    }
}

/* After every call that may have moved transfers. */
static void look_for_ended(struct transfers *all)
{
    CURLMsg *message;
    for (int left; (message = curl_multi_info_read(all->multi, &left));) {
        struct transfer *t = NULL;
        CURLcode code = message->data.result;
        if (message->msg == CURLMSG_DONE && curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &t) == CURLE_OK && t)
            finish_with(t, code);
    }
    begin_queued(all);
}

/* ---- the loop ---- */

static void on_ready(evutil_socket_t fd, short what, void *arg)
{
    struct watched *w = arg;
    struct transfers *all = w->all;       /* the socket may be forgotten meanwhile */
    int running;
    curl_multi_socket_action(all->multi, fd, (what & EV_READ ? CURL_CSELECT_IN : 0) | (what & EV_WRITE ? CURL_CSELECT_OUT : 0), &running);
    look_for_ended(all);
}

static void on_time(evutil_socket_t fd, short what, void *arg)
{
    struct transfers *all = arg;
    int running;
    (void)fd, (void)what;
    curl_multi_socket_action(all->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    look_for_ended(all);
}

static int set_timer(CURLM *multi, long in_ms, void *arg)
{
    struct transfers *all = arg;
    (void)multi;
    if (in_ms < 0)
        event_del(all->timer);
    else
        arm(all, in_ms);
    return 0;
}

static void forget(struct transfers *all, curl_socket_t fd, struct watched *w)
{
    if (!w)
        return;
    curl_multi_assign(all->multi, fd, NULL);
    event_free(w->event);
    free(w);
}

static int set_watched(CURL *curl, curl_socket_t fd, int what, void *arg, void *known)
{
    struct transfers *all = arg;
    struct watched *w = known;
    short events = (short)(EV_PERSIST | (what & CURL_POLL_IN ? EV_READ : 0) | (what & CURL_POLL_OUT ? EV_WRITE : 0));
    (void)curl;
    if (what == CURL_POLL_REMOVE) {
        forget(all, fd, w);
        return 0;
    }
    if (!w && (w = calloc(1, sizeof *w))) {
        w->all = all;
        if (!(w->event = event_new(all->base, fd, events, on_ready, w)) || curl_multi_assign(all->multi, fd, w) != CURLM_OK) {
            if (w->event)
                event_free(w->event);
            free(w);
            return -1;
        }
    } else if (w) {
        event_del(w->event);
        event_assign(w->event, all->base, fd, events, on_ready, w);
    }
    return w && !event_add(w->event, NULL) ? 0 : -1;      /* -1: libcurl ends all transfers, which is what no memory costs here */
}

/* ---- what others see ---- */

void transfers_add(struct transfers *all, struct http_out_request *request)
{
    struct transfer *t = calloc(1, sizeof *t);
    if (!t) {
        request->err = ERR_MEMORY;
        all->done(all->arg, request);
        return;
    }
    t->all = all;
    t->request = request;
    link_init(&t->link);
    list_add_last(&all->queue, &t->link);
    begin_queued(all);
}

static void end_some(struct link *list, int err, bool only_cancelled)
{
    list_each(item, following, list) {
        struct transfer *t = link_of(item, struct transfer, link);
        if (!only_cancelled || atomic_load(&t->request->cancelled))
            finish(t, err, err_text(err));
    }
}

void transfers_drop_cancelled(struct transfers *all)
{
    end_some(&all->queue, ERR_GONE, true);
    end_some(&all->running, ERR_GONE, true);
    begin_queued(all);
}

void transfers_end_all(struct transfers *all, int err)
{
    end_some(&all->queue, err, false);
    end_some(&all->running, err, false);
}

struct transfers *transfers_new(struct event_base *base, void (*done)(void *arg, struct http_out_request *request), void *arg)
{
    struct transfers *all = calloc(1, sizeof *all);
    if (!all)
        return NULL;
    *all = (struct transfers){ .base = base, .done = done, .arg = arg };
    link_init(&all->running);
    link_init(&all->queue);
    all->timer = evtimer_new(base, on_time, all);
    all->multi = curl_multi_init();
    if (!all->timer || !all->multi) {
        transfers_free(all);
        return NULL;
    }
    curl_multi_setopt(all->multi, CURLMOPT_SOCKETFUNCTION, set_watched);
    curl_multi_setopt(all->multi, CURLMOPT_SOCKETDATA, all);
    curl_multi_setopt(all->multi, CURLMOPT_TIMERFUNCTION, set_timer);
    curl_multi_setopt(all->multi, CURLMOPT_TIMERDATA, all);
    return all;
}

void transfers_free(struct transfers *all)
{
    if (!all)
        return;
    curl_multi_cleanup(all->multi);
    if (all->timer)
        event_free(all->timer);
    free(all);
}
