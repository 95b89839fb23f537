#include "clients/cli/follow.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "clients/cli/cli.h"
#include "clients/cli/interrupt.h"
#include "clients/cli/notice.h"
#include "hub/base/clock.h"
#include "hub/base/err.h"

#define SILENCE_S         60L
#define DEFAULT_RETRY_MS  2000
#define MAX_WAIT_MS       30000
#define MAX_EVENT_BYTES   (16 * 1024 * 1024)    /* a message of 1 MiB in which every byte is escaped fits in */
#define MAX_REFUSAL_BYTES 65536

static int64_t now_ms(void) { return clock_mono_ms(clock_real()); }

/* ---- events ---- */

static void note_output(struct follow *f, enum output_state state)
{
    if (state == OUTPUT_GOOD || f->done != CLI_GO_ON)
        return;
    if (state == OUTPUT_BROKEN)
        cli_tell(f->command, "cannot write: %s", strerror(errno));
    f->done = state == OUTPUT_BROKEN ? CLI_FAILED : state == OUTPUT_CLOSED ? CLI_OK : CLI_SIGNAL + interrupt_signal();
}

static void on_ready(struct follow *f)
{
    if (f->away)
        cli_tell(f->command, "connected again");
    f->ready = f->was_ready = true;
    f->away = false;
    f->event_ms = now_ms();
}

static void on_bye(struct follow *f, struct slice data)
{
    struct notice_bye bye;
    notice_bye(f->command, data, &bye);
    f->bye_ms = bye.retry_ms;
    f->away = true;
    f->stay_away = bye.stay_away;
}

static bool is_for_the_caller(struct slice type)
{
    return !slice_begins(type, SLICE("hub.")) || slice_is(type, SLICE("hub.member-joined")) || slice_is(type, SLICE("hub.member-left"));
}

static int on_event(void *arg, const struct sse_event *event)
{
    struct follow *f = arg;
    struct slice type = event->type;
    if (is_for_the_caller(type)) {
        f->done = f->on_event(f->arg, event);
        f->event_ms = now_ms();      /* whatever was done with it took its time */
        note_output(f, f->output->state);
    } else if (slice_is(type, SLICE("hub.ready"))) {
        on_ready(f);
    } else if (slice_is(type, SLICE("hub.bye"))) {
        on_bye(f, event->data);
    } else {
        notice_tell(f->command, slice(type.at + 4, type.len - 4), event->data);
    }
    return f->done == CLI_GO_ON && !f->stay_away ? 0 : ERR_GONE;      /* any: the parser stops */
}

/* ---- one stream ---- */

static bool is_stream(const struct follow *f)
{
    char *type = NULL;
    curl_easy_getinfo(f->request.curl, CURLINFO_CONTENT_TYPE, &type);
    return cli_request_status(&f->request) == 200 && type && slice_begins(slice_of(type), SLICE("text/event-stream"));
}

static size_t on_bytes(char *bytes, size_t size, size_t count, void *arg)
{
    struct follow *f = arg;
    size_t n = size * count;
    if (!is_stream(f)) {
        struct buf *body = &f->request.body;     /* a refusal in words */
        buf_add(body, bytes, body->len + n > MAX_REFUSAL_BYTES ? 0 : n);
        return n;
    }
    f->err = sse_parser_feed(&f->parser, bytes, n);
    note_output(f, output_flush(f->output));
    return f->err || f->done != CLI_GO_ON ? 0 : n;
}

static int prepare(struct follow *f)
{
    struct buf last = { 0 };
    int rc = cli_request_clear_headers(&f->request);
    if (!rc)
        rc = cli_request_add_header(&f->request, "Accept", "text/event-stream");
    if (!rc && f->parser.last_id.len) {
        buf_add_slice(&last, buf_slice(&f->parser.last_id));
        buf_add_char(&last, '\0');
        rc = last.failed ? ERR_MEMORY : cli_request_add_header(&f->request, "Last-Event-ID", last.at);
    }
    buf_fini(&last);
    sse_parser_restart(&f->parser);
    f->bye_ms = -1;
    f->err = 0;
    f->ready = false;
    return rc;
}

/* When to stop waiting for the stream; INT64_MAX: never. */
static int64_t deadline(const struct follow *f)
{
    int64_t idle = f->idle_ms > 0 && f->ready ? f->event_ms + f->idle_ms : INT64_MAX;
    return idle < f->until_ms ? idle : f->until_ms;
}

static bool is_over(struct follow *f)
{
    if (interrupt_signal() && f->done == CLI_GO_ON)
        f->done = CLI_SIGNAL + interrupt_signal();
    note_output(f, output_look(f->output));
    return f->done != CLI_GO_ON || now_ms() >= deadline(f);
}

/* What the stream ended with: CLI_GO_ON: come back. */
static int judge(struct follow *f, CURLcode code)
{
    long status = cli_request_status(&f->request);
    if (f->done != CLI_GO_ON || f->stay_away)
        return f->done != CLI_GO_ON ? f->done : CLI_FAILED;
    if (f->err) {
        cli_tell(f->command, "%s", err_text(f->err));
        return CLI_FAILED;
    }
    if (code == CURLE_OK && !is_stream(f)) {
        cli_request_tell_problem(&f->request, f->command);
        f->bye_ms = cli_request_retry_after_ms(&f->request) ? cli_request_retry_after_ms(&f->request) : -1;
        return status == 429 || status >= 500 ? CLI_GO_ON : CLI_FAILED;
    }
    bool for_good = cli_request_is_untrusted(code) && !f->was_ready;
    if (for_good || !f->away || f->request.at > 0)
        cli_warn(f->command, "%s", code == CURLE_OK ? "the stream ended" : cli_request_error(&f->request, code));
    return for_good ? CLI_FAILED : CLI_GO_ON;
}

/* From connect to end. *ret_over: time is up. */
static int stream(struct follow *f, bool *ret_over)
{
    struct curl_waitfd out = { .fd = STDOUT_FILENO };       /* its reader may go */
    if (prepare(f)) {
        cli_tell(f->command, "no memory, a position with control characters, or no credential in its file any more");
        return CLI_FAILED;
    }
    cli_request_begin(&f->request);
    while (cli_request_turn(&f->request, &out, 1, deadline(f) - now_ms()))
        if ((*ret_over = is_over(f))) {
            cli_request_end(&f->request);
            return f->done;
        }
    f->failures = f->ready ? 0 : f->failures + 1;
    return judge(f, f->request.result);
}

/* ---- coming back ---- */

static uint32_t any_number(void)
{
    uint32_t n = 0;
    if (getrandom(&n, sizeof n, 0) != sizeof n)
        n = (uint32_t)time(NULL);
    return n;
}

/* What the hub tells it has spread already. */
static int64_t wait_ms(const struct follow *f)
{
    if (f->bye_ms >= 0)
        return f->bye_ms;
    if (f->parser.retry_ms >= 0 && f->failures <= 1)
        return f->parser.retry_ms;
    int64_t base = f->parser.retry_ms >= 0 ? f->parser.retry_ms : DEFAULT_RETRY_MS;
    for (unsigned i = 1; i < f->failures && base < MAX_WAIT_MS; i++)
        base *= 2;
    if (base > MAX_WAIT_MS && f->failures > 1)
        base = MAX_WAIT_MS;
    return base / 2 + (int64_t)(any_number() % (uint64_t)(base + 1));      /* half to one and a half of it */
}

/* True: that was all. Who has not been anywhere yet need not wait before the next of several hubs; others keep away as long as they were told. */
static bool rest(struct follow *f)
{
    bool at_once = cli_request_next_url(&f->request) && f->parser.retry_ms < 0 && f->bye_ms < 0;
    int64_t ms = at_once ? 0 : wait_ms(f), until = now_ms() + ms;
    if (!at_once && (!f->away || f->failures))
        cli_tell(f->command, "again in %.1f s", (double)ms / 1000);
    f->away = true;
    for (int64_t left; !is_over(f) && (left = (until < f->until_ms ? until : f->until_ms) - now_ms()) > 0;) {
        struct pollfd fds[] = { { .fd = interrupt_fd(), .events = POLLIN }, { .fd = STDOUT_FILENO } };
        poll(fds, 2, left > MAX_WAIT_MS ? MAX_WAIT_MS : (int)left);
    }
    return is_over(f);
}

int follow_run(struct follow *f)
{
    int done;
    bool over = false;
    curl_easy_setopt(f->request.curl, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(f->request.curl, CURLOPT_WRITEDATA, f);
    curl_easy_setopt(f->request.curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(f->request.curl, CURLOPT_LOW_SPEED_TIME, SILENCE_S);
    while ((done = stream(f, &over)) == CLI_GO_ON && !over) {
        f->ready = false;
        over = rest(f);
    }
    return f->done != CLI_GO_ON ? f->done : done;
}

int follow_init(struct follow *f, const struct cli_command *command, const struct cli_target *target)
{
    *f = (struct follow){ .command = command, .until_ms = INT64_MAX, .done = CLI_GO_ON, .bye_ms = -1 };
    sse_parser_init(&f->parser, MAX_EVENT_BYTES, on_event, f);
    return cli_request_init(&f->request, target, command);
}

void follow_fini(struct follow *f)
{
    cli_request_fini(&f->request);
    sse_parser_fini(&f->parser);
}
