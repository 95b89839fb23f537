#include "clients/cli/forward.h"

#include <poll.h>
#include <stdio.h>

#include "clients/cli/cli.h"
#include "clients/cli/interrupt.h"
#include "clients/cli/request.h"
#include "hub/base/clock.h"
#include "hub/version.h"

/* Before each attempt. */
static const int64_t delays_ms[FORWARD_ATTEMPTS] = { 0, 1000, 5000 }, ASKED_MAX_MS = 60 * 60 * 1000;

static int64_t now_ms(void) { return clock_mono_ms(clock_real()); }

/* ---- life ---- */

static size_t on_answer(char *bytes, size_t size, size_t count, void *arg)
{
    struct forward *f = arg;
    (void)bytes;
    f->answer_bytes += size * count;
    return f->answer_bytes > FORWARD_ANSWER_BYTES ? 0 : size * count;
}

static void set_options(struct forward *f, bool loopback)
{
    curl_easy_setopt(f->curl, CURLOPT_URL, f->url);
    curl_easy_setopt(f->curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(f->curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(f->curl, CURLOPT_TIMEOUT_MS, (long)f->timeout_ms);
    curl_easy_setopt(f->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(f->curl, CURLOPT_ERRORBUFFER, f->error);
    curl_easy_setopt(f->curl, CURLOPT_WRITEFUNCTION, on_answer);
    curl_easy_setopt(f->curl, CURLOPT_WRITEDATA, f);
    if (loopback)
        curl_easy_setopt(f->curl, CURLOPT_PROXY, "");
}

int forward_init(struct forward *f)
{
    bool loopback;
    if (!cli_url_check(slice_of(f->url), &loopback))
        return cli_misused(f->command, "--forward-to is not a URL: \"%s\"; it begins with http:// or https://", f->url);
    f->curl = curl_easy_init();
    f->multi = curl_multi_init();
    if (!f->curl || !f->multi) {
        cli_tell(f->command, "no memory");
        return CLI_FAILED;
    }
    f->spans = (uint64_t)clock_mono_us();
    set_options(f, loopback);
    return CLI_GO_ON;
}

void forward_fini(struct forward *f)
{
    curl_easy_cleanup(f->curl);
    curl_multi_cleanup(f->multi);
    buf_fini(&f->lines);
}

/* ---- an attempt ---- */

static bool add_header(struct curl_slist **headers, char *line)
{
    struct curl_slist *longer = curl_slist_append(*headers, line);
    if (longer)
        *headers = longer;
    return longer;
}

/* In the order in which the hub sends them. NULL: no memory. */
static struct curl_slist *make_headers(struct forward *f, const struct signing *signing, const char trace[TRACE_BYTES])
{
    struct curl_slist *headers = NULL;
    char text[TRACEPARENT_TEXT];
    trace_print(trace, trace_next_span(&f->spans), text);
    buf_reset(&f->lines);
    buf_addf(&f->lines, "Expect:\nContent-Type: application/json\nUser-Agent: carillon/" CARILLON_VERSION "\ntraceparent: %s\n", text);
    bool good = signer_add_headers(f->signer, signing, &f->lines);
    for (char *line = f->lines.at, *end; good && line < f->lines.at + f->lines.len; line = end + 1) {
        end = memchr(line, '\n', (size_t)(f->lines.at + f->lines.len - line));
        *end = '\0';
        good = add_header(&headers, line);
    }
    if (good)
        return headers;
    curl_slist_free_all(headers);
    return NULL;
}

/* Until it has ended or a signal has come. */
static CURLcode perform(struct forward *f)
{
    CURLcode code = CURLE_ABORTED_BY_CALLBACK;
    int running = 1, left;
    if (curl_multi_add_handle(f->multi, f->curl))
        return CURLE_OUT_OF_MEMORY;
    while (running && !interrupt_signal() && !curl_multi_perform(f->multi, &running)) {
        struct curl_waitfd signals = { .fd = interrupt_fd(), .events = CURL_WAIT_POLLIN };
        if (running)
            curl_multi_poll(f->multi, &signals, 1, (int)f->timeout_ms, NULL);
    }
    for (const CURLMsg *m; (m = curl_multi_info_read(f->multi, &left));)
        if (m->msg == CURLMSG_DONE)
            code = m->data.result;
    curl_multi_remove_handle(f->multi, f->curl);
    return code;
}

/* Of 429 and 503: libcurl reads seconds and dates. */
static void note_asked(struct forward *f, long status)
{
    curl_off_t asked_s = 0;
    if ((status == 429 || status == 503) && !curl_easy_getinfo(f->curl, CURLINFO_RETRY_AFTER, &asked_s) && asked_s > 0)
        f->asked_until_ms = now_ms() + (asked_s < ASKED_MAX_MS / 1000 ? asked_s * 1000 : ASKED_MAX_MS);
}

static void attempt(struct forward *f, struct signing *signing, const char trace[TRACE_BYTES], struct forwarded *ret)
{
    long status = 0;
    int64_t begun_ms = now_ms();
    signing->time_s = clock_wall_ms(clock_real()) / 1000;
    struct curl_slist *headers = make_headers(f, signing, trace);
    f->error[0] = '\0';
    f->answer_bytes = 0;
    curl_easy_setopt(f->curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(f->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)signing->body.len);
    curl_easy_setopt(f->curl, CURLOPT_POSTFIELDS, signing->body.at);
    CURLcode code = headers ? perform(f) : CURLE_OUT_OF_MEMORY;
    if (headers)
        curl_easy_getinfo(f->curl, CURLINFO_RESPONSE_CODE, &status);
    note_asked(f, status);
    curl_easy_setopt(f->curl, CURLOPT_HTTPHEADER, NULL);
    curl_slist_free_all(headers);
    ret->status = status >= 200 ? (int)status : 0;       /* 100 Continue is no answer yet */
    ret->why = f->error[0] ? f->error : curl_easy_strerror(code);
    ret->ms = now_ms() - begun_ms;
    ret->attempts++;
}

/* ---- three of them ---- */

/* Before the next attempt. */
static int64_t wait_ms(const struct forward *f, const struct forwarded *was)
{
    int64_t asked_ms = f->asked_until_ms - now_ms(), delay_ms = delays_ms[was->attempts];
    return asked_ms > delay_ms ? asked_ms : delay_ms;
}

static void tell_attempt(const struct forward *f, const struct signing *signing, const struct forwarded *was)
{
    double wait_s = (double)wait_ms(f, was) / 1000;
    if (was->status)
        cli_warn(f->command, "%.*s: the answer was %d; again in %.0f s", (int)signing->id.len, signing->id.at, was->status, wait_s);
    else
        cli_warn(f->command, "%.*s: %s; again in %.0f s", (int)signing->id.len, signing->id.at, was->why, wait_s);
}

static void rest(int64_t ms)
{
    struct pollfd signals = { .fd = interrupt_fd(), .events = POLLIN };
    for (int64_t until = now_ms() + ms, left; !interrupt_signal() && (left = until - now_ms()) > 0;)
        poll(&signals, 1, (int)left);
}

enum forward_end forward_send(struct forward *f, struct signing *signing, const char trace[TRACE_BYTES], struct forwarded *ret)
{
    *ret = (struct forwarded){ 0 };
    for (;;) {
        rest(wait_ms(f, ret));
        if (interrupt_signal())
            return FORWARD_INTERRUPTED;
        attempt(f, signing, trace, ret);
        if (ret->status >= 200 && ret->status < 300)
            return FORWARD_DELIVERED;
        if (interrupt_signal())
            return FORWARD_INTERRUPTED;
        if (ret->attempts == f->attempts)
            return FORWARD_FAILED;
        tell_attempt(f, signing, ret);
    }
}
