/* sub.c — `carillon sub`: prints the messages of channels as they come, over SSE, and comes back when the stream ends.
 *
 *   connect with the last position ─> 200: print, follow positions ─> stream ends ─> wait ─> connect …
 *
 * - The position is the parser's last id: heartbeats move it too, a block that was cut does not. So nothing is printed
 *   twice and nothing is missed without a gap being told.
 * - A stream that ended, a hub that is away, 429 and 5xx: wait as long as the hub asked (`retry:`, `hub.bye`), longer after
 *   each failure in a row up to 30 s, each wait spread by chance, so that many of us do not come back at once.
 * - A certificate that is not trusted from the beginning, any other refusal, and a bye that says not to come back (4100–4199):
 *   the words for it, and the end.
 * - A stream without a byte for SILENCE_S is dead, whatever TCP thinks: the hub's heartbeats are more frequent. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "clients/cli/args.h"
#include "clients/cli/cli.h"
#include "clients/cli/payload.h"
#include "clients/cli/request.h"
#include "clients/cli/sse_parser.h"
#include "hub/base/err.h"
#include "hub/base/json.h"

#define SILENCE_S         60L
#define DEFAULT_RETRY_MS  2000
#define MAX_WAIT_MS       30000
#define MAX_EVENT_BYTES   (16 * 1024 * 1024)    /* a message of 1 MiB in which every byte is escaped fits in */

enum verdict { GO_ON, COUNT_REACHED, OUTPUT_BROKEN, TOLD_TO_STAY_AWAY };   /* what on_event stops a stream with */

struct sub {
    const struct cli_command *command;
    struct cli_target  target;
    struct cli_request request;
    struct sse_parser  parser;
    struct buf         line;            /* one message as it is printed */
    bool               json;
    uint64_t           count, printed;  /* count 0: for ever */
    int                verdict;         /* enum verdict, or the parser's ERR_… */
    int64_t            bye_ms;          /* wait that a bye asked for, -1: none */
    unsigned           failures;        /* streams in a row that never became ready */
    bool               ready;           /* this stream has become ready */
    bool               was_ready;       /* some stream has: what is wrong now is no misuse */
    bool               away;            /* that it was lost has been told */
};

static const char help[] =
    "Prints the messages of the channels as they come, reconnects when the line breaks, and resumes where it was.\n"
    "What may have been missed is told on standard error. A message is its data and a line end; --json: one object a line.";

/* ---- events ---- */

static int print_message(struct sub *sub, const struct sse_event *event)
{
    buf_reset(&sub->line);
    if (sub->json)
        buf_add_slice(&sub->line, event->data);
    else if (payload_of_message(event->data, &sub->line))
        cli_tell(sub->command, "cannot read message %.*s", (int)event->id.len, event->id.at);
    for (size_t i = 0; sub->json && i < sub->line.len; i++)
        if (sub->line.at[i] == '\n')
            sub->line.at[i] = ' ';      /* between the tokens of a payload; inside strings JSON has none */
    buf_add_char(&sub->line, '\n');
    fwrite(sub->line.at, 1, sub->line.len, stdout);
    if (ferror(stdout))
        return OUTPUT_BROKEN;
    return ++sub->printed == sub->count ? COUNT_REACHED : GO_ON;
}

static int add_name(void *names, struct slice name)
{
    struct buf *out = names;
    buf_add_str(out, out->len ? ", " : " in ");
    json_unquote(name, out);
    return 0;
}

static void tell_gap(struct sub *sub, struct slice gap)
{
    struct buf reason = { 0 }, names = { 0 };
    struct json_object members;
    payload_add_text(&reason, gap, "reason");
    struct slice channels = json_object_parse(gap, &members) ? (struct slice){ 0 } : json_member_find(&members, "channels");
    if (channels.at)
        json_array_each(channels, add_name, &names);
    cli_tell(sub->command, "gap (%.*s)%.*s: %s", (int)reason.len, reason.at, names.failed ? 0 : (int)names.len, names.at,
             slice_is(buf_slice(&reason), SLICE("epoch"))       ? "the position is not of this hub's present history, messages may be missing"
             : slice_is(buf_slice(&reason), SLICE("conflated")) ? "this reader is slow, only the newest messages follow"
                                                                : "messages were dropped before they could be read");
    buf_fini(&reason);
    buf_fini(&names);
}

static int close_code_of(struct slice code)
{
    for (int err = ERR_BASE + 1; err < ERR_END; err++)
        if (slice_is(slice_of(err_code(err)), code))
            return err_close_code(err);
    return 0;
}

static int on_bye(struct sub *sub, struct slice bye)
{
    struct buf code = { 0 }, reason = { 0 };
    struct json_object members;
    uint64_t ms;
    struct slice retry = json_object_parse(bye, &members) ? (struct slice){ 0 } : json_member_find(&members, "retry_ms");
    sub->bye_ms = retry.at && slice_u64(retry, &ms) && ms <= INT32_MAX ? (int64_t)ms : -1;
    sub->away = true;
    payload_add_text(&code, bye, "code");
    payload_add_text(&reason, bye, "reason");
    cli_tell(sub->command, "%.*s: %.*s", (int)code.len, code.at, (int)reason.len, reason.at);
    int close_code = close_code_of(buf_slice(&code));
    buf_fini(&code);
    buf_fini(&reason);
    return close_code >= 4100 && close_code < 4200 ? TOLD_TO_STAY_AWAY : GO_ON;
}

static void tell_error(struct sub *sub, struct slice error)
{
    struct buf message = { 0 };
    payload_add_text(&message, error, "message");
    cli_tell(sub->command, "the hub says: %.*s", (int)message.len, message.at);
    buf_fini(&message);
}

static void on_ready(struct sub *sub)
{
    if (sub->away)
        cli_tell(sub->command, "connected again");
    sub->ready = sub->was_ready = true;
    sub->away = false;
}

static int on_control(struct sub *sub, const struct sse_event *event)
{
    if (slice_is(event->type, SLICE("hub.ready")))
        on_ready(sub);
    else if (slice_is(event->type, SLICE("hub.gap")))
        tell_gap(sub, event->data);
    else if (slice_is(event->type, SLICE("hub.error")))
        tell_error(sub, event->data);
    else if (slice_is(event->type, SLICE("hub.bye")))
        return on_bye(sub, event->data);
    return GO_ON;
}

static int on_event(void *arg, const struct sse_event *event)
{
    struct sub *sub = arg;
    return slice_begins(event->type, SLICE("hub.")) ? on_control(sub, event) : print_message(sub, event);
}

/* ---- one stream ---- */

static bool is_stream(const struct sub *sub)
{
    char *type = NULL;
    curl_easy_getinfo(sub->request.curl, CURLINFO_CONTENT_TYPE, &type);
    return cli_request_status(&sub->request) == 200 && type && slice_begins(slice_of(type), SLICE("text/event-stream"));
}

static size_t on_bytes(char *bytes, size_t size, size_t count, void *arg)
{
    struct sub *sub = arg;
    size_t n = size * count;
    if (!is_stream(sub)) {
        struct buf *body = &sub->request.body;     /* a refusal in words */
        buf_add(body, bytes, body->len + n > 65536 ? 0 : n);
        return n;
    }
    sub->verdict = sse_parser_feed(&sub->parser, bytes, n);
    if (fflush(stdout) && sub->verdict == GO_ON)
        sub->verdict = OUTPUT_BROKEN;
    return sub->verdict == GO_ON ? n : 0;
}

static int prepare(struct sub *sub)
{
    struct buf last = { 0 };
    int rc = 0;
    cli_request_clear_headers(&sub->request, &sub->target);
    cli_request_add_header(&sub->request, "Accept", "text/event-stream");
    if (sub->parser.last_id.len) {
        buf_add_slice(&last, buf_slice(&sub->parser.last_id));
        buf_add_char(&last, '\0');
        rc = last.failed ? ERR_MEMORY : cli_request_add_header(&sub->request, "Last-Event-ID", last.at);
    }
    buf_fini(&last);
    sse_parser_restart(&sub->parser);
    sub->verdict = GO_ON;
    sub->bye_ms = -1;
    sub->ready = false;
    return rc;
}

/* One stream from connect to end. CLI_GO_ON: come back; else the end of the program. */
static int stream(struct sub *sub)
{
    if (prepare(sub)) {
        cli_tell(sub->command, "no memory, or a position with control characters");
        return CLI_FAILED;
    }
    CURLcode code = cli_request_perform(&sub->request);
    long status = cli_request_status(&sub->request);
    sub->failures = sub->ready ? 0 : sub->failures + 1;
    switch (sub->verdict) {
    case GO_ON:             break;
    case COUNT_REACHED:     return CLI_OK;
    case OUTPUT_BROKEN:     cli_tell(sub->command, "cannot write: %s", strerror(errno)); return CLI_FAILED;
    case TOLD_TO_STAY_AWAY: return CLI_FAILED;
    default:                cli_tell(sub->command, "%s", err_text(sub->verdict)); return CLI_FAILED;
    }
    if (code == CURLE_OK && !is_stream(sub)) {
        cli_request_tell_problem(&sub->request, sub->command);
        return status == 429 || status >= 500 ? CLI_GO_ON : CLI_FAILED;
    }
    bool for_good = cli_request_is_untrusted(code) && !sub->was_ready;
    if (for_good || !sub->away)
        cli_tell(sub->command, "%s", code == CURLE_OK ? "the stream ended" : cli_request_error(&sub->request, code));
    return for_good ? CLI_FAILED : CLI_GO_ON;
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
static int64_t wait_ms(const struct sub *sub)
{
    if (sub->bye_ms >= 0)
        return sub->bye_ms;
    if (sub->parser.retry_ms >= 0 && sub->failures <= 1)
        return sub->parser.retry_ms;
    int64_t base = sub->parser.retry_ms >= 0 ? sub->parser.retry_ms : DEFAULT_RETRY_MS;
    for (unsigned i = 1; i < sub->failures && base < MAX_WAIT_MS; i++)
        base *= 2;
    if (base > MAX_WAIT_MS && sub->failures > 1)
        base = MAX_WAIT_MS;
    return base / 2 + (int64_t)(any_number() % (uint64_t)(base + 1));      /* half to one and a half of it */
}

static void rest(struct sub *sub)
{
    int64_t ms = wait_ms(sub);
    struct timespec left = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };
    if (!sub->away || sub->failures)
        cli_tell(sub->command, "again in %.1f s", (double)ms / 1000);
    sub->away = true;
    while (nanosleep(&left, &left) && errno == EINTR)
        ;
}

static int follow(struct sub *sub, char *const *channels, int n)
{
    int rc = cli_request_init(&sub->request, &sub->target);
    if (rc) {
        cli_tell(sub->command, rc == ERR_BAD_REQUEST ? "--url is not a URL: %s" : "no memory for %s", sub->target.url);
        return rc == ERR_BAD_REQUEST ? CLI_MISUSED : CLI_FAILED;
    }
    cli_request_add_url(&sub->request, "/sse?format=envelope");
    for (int i = 0; i < n; i++) {
        cli_request_add_url(&sub->request, "&channel=");
        cli_request_add_escaped(&sub->request, channels[i]);
    }
    curl_easy_setopt(sub->request.curl, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(sub->request.curl, CURLOPT_WRITEDATA, sub);
    curl_easy_setopt(sub->request.curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(sub->request.curl, CURLOPT_LOW_SPEED_TIME, SILENCE_S);
    int done;
    while ((done = stream(sub)) == CLI_GO_ON)
        rest(sub);
    cli_request_fini(&sub->request);
    return done;
}

int cli_sub(int argc, char **argv)
{
    struct sub sub = { .target.url = "http://127.0.0.1:8000" };
    const char *since = NULL;
    const struct cli_option options[] = {
        { "url",    CLI_TEXT,  &sub.target.url,       "URL",      "the hub's public listener (http://127.0.0.1:8000)" },
        { "unix",   CLI_TEXT,  &sub.target.unix_path, "PATH",     "connect to this unix socket instead" },
        { "key",    CLI_TEXT,  &sub.target.key,       "KEY",      "API key; CARILLON_KEY in the environment does the same unseen" },
        { "cacert", CLI_TEXT,  &sub.target.cacert,    "FILE",     "trust only whom this file names (PEM), for https://; or CARILLON_CACERT" },
        { "since",  CLI_TEXT,  &since,                "POSITION", "begin after this position: an id of a message, as --json or pub prints it" },
        { "json",   CLI_FLAG,  &sub.json,             NULL,       "print each message as one JSON object: channel, id, event, data, time" },
        { "count",  CLI_COUNT, &sub.count,            "N",        "end after N messages" },
        { 0 }
    };
    const struct cli_command command = { "sub", "CHANNEL...", help, 1, -1, options };
    int operands, done = cli_args_parse(&command, argc, argv, &operands);
    if (done != CLI_GO_ON)
        return done;
    sub.command = &command;
    sse_parser_init(&sub.parser, MAX_EVENT_BYTES, on_event, &sub);
    if (since)
        buf_add_str(&sub.parser.last_id, since);
    done = follow(&sub, argv + 1, operands);
    sse_parser_fini(&sub.parser);
    buf_fini(&sub.line);
    return done;
}
