/* listen.c — `carillon webhook listen`: webhooks on a developer's own machine. It follows the hub as `carillon sub` does (follow.h), makes
 * of each message the webhook that the hub would send (seen_event.h, hub/event_body.h, hub/signature.h), and posts it (forward.h).
 *
 * One goes after the other, in the order of the hub. While one waits for its next attempt nothing is read: the hub keeps what comes, not
 * this process, and a stream that is cut for it goes on behind the last event that was given out. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clients/cli/args.h"
#include "clients/cli/cli.h"
#include "clients/cli/event_filter.h"
#include "clients/cli/follow.h"
#include "clients/cli/forward.h"
#include "clients/cli/interrupt.h"
#include "clients/cli/place.h"
#include "clients/cli/seen_event.h"
#include "clients/cli/terminal.h"
#include "hub/base/clock.h"
#include "hub/base/err.h"
#include "hub/config/secret.h"
#include "hub/event_body.h"
#include "hub/webhook_id.h"

struct listen {
    struct cli_command  command;
    struct cli_target   target;
    struct follow       follow;
    struct forward      forward;
    struct output       output;
    struct cli_list     channels, events;
    struct event_filter filter;
    enum signature_scheme scheme;
    struct buf          secret;
    struct seen_ids     ids;
    struct buf          body;                   /* of the webhook that is being sent */
    struct buf          last;                   /* position of the last event that was dealt with */
    struct buf          place;                  /* of the run before, terminated */
    uint64_t            delivered, failed, repeated;
    uint64_t            count, attempts;        /* count 0: for ever */
    int64_t             idle_ms, timeout_ms;
    const char         *url, *secret_text, *scheme_text, *since, *state;
    int                 colour;                 /* enum terminal_when */
    bool                members, terminal, colours;
};

static const char help[] =
    "Posts each message of a hub to a server on your own machine, as the webhook that the hub would send: same body, same id, signed in the\n"
    "same way. It follows channels by SSE, comes back when the line breaks, and resumes where it was. One line for each webhook: time, type,\n"
    "channel, id, status, how long it took.";

static const char more_head[] =
    "A server that is away or answers anything but 2xx is tried again after 1 s and after 5 s; then the next one goes on. After a 429 or 503\n"
    "with Retry-After nothing is posted before that.\n\n"
    "Webhooks are message.published, and with --members member.joined and member.left of the channels that are named. The hub's other events\n"
    "(channel.*, room.*, webhook.*, your own of POST /v1/events) are not in its streams: only endpoints that are registered have those.\n\n"
    "Signatures, by the name of their scheme; `carillon webhook verify` says what is wrong with one:\n";
static const char more_tail[] =
    "\n  carillon webhook listen --forward-to http://localhost:3000/hook --state .listen\n"
    "  carillon webhook listen --forward-to http://localhost:3000/hook --channel 'orders.**' --events created,paid --since 10m\n"
    "  carillon webhook listen --forward-to http://localhost:3000/hook --since all --idle 1s     all that is kept, then end\n\n"
    "Exit status: 0 as asked, or the reader of a pipe has gone; 1 the hub refused, or a webhook was given up; 2 the command line makes no\n"
    "sense; 130 ctrl-C.";

/* ---- a line for each ---- */

/* NULL: in no colour. */
static void add_coloured(struct listen *listen, const char *colour, struct slice text)
{
    struct buf *out = &listen->output.waiting;
    bool coloured = colour && listen->colours;
    buf_add_str(out, coloured ? colour : "");
    if (listen->terminal)
        terminal_add(out, text);
    else
        buf_add_slice(out, text);
    buf_add_str(out, coloured ? COLOUR_OFF : "");
}

static void add_clock(struct listen *listen)
{
    struct buf clock = { 0 };
    terminal_add_clock(&clock, clock_wall_ms(clock_real()));
    add_coloured(listen, COLOUR_DIM, buf_slice(&clock));
    buf_fini(&clock);
}

static void add_outcome(struct listen *listen, enum forward_end end, const struct forwarded *was)
{
    struct buf text = { 0 };
    if (was->status)
        buf_addf(&text, "%d", was->status);
    else
        buf_add_char(&text, '-');
    add_coloured(listen, end == FORWARD_DELIVERED ? COLOUR_GOOD : COLOUR_BAD, buf_slice(&text));
    buf_reset(&text);
    buf_addf(&text, " %lld ms", (long long)was->ms);
    if (end == FORWARD_FAILED)
        buf_addf(&text, ", given up after %u attempt%s%s%s", was->attempts, was->attempts == 1 ? "" : "s", was->status ? "" : ": ", was->status ? "" : was->why);
    else if (was->attempts > 1)
        buf_addf(&text, ", attempt %u", was->attempts);
    add_coloured(listen, NULL, buf_slice(&text));
    buf_fini(&text);
}

static void add_line(struct listen *listen, const struct signing *signing, struct slice channel, enum forward_end end, const struct forwarded *was)
{
    struct buf *out = &listen->output.waiting;
    add_clock(listen);
    buf_add_char(out, ' ');
    add_coloured(listen, COLOUR_BOLD, signing->event);
    buf_add_char(out, ' ');
    add_coloured(listen, terminal_colour_of(channel), channel);
    buf_add_char(out, ' ');
    add_coloured(listen, NULL, signing->id);
    buf_add_char(out, ' ');
    add_outcome(listen, end, was);
    buf_add_char(out, '\n');
}

/* ---- webhooks ---- */

static void count(struct listen *listen, enum forward_end end, const struct forwarded *was)
{
    listen->delivered += end == FORWARD_DELIVERED;
    listen->failed += end == FORWARD_FAILED;
    listen->repeated += was->attempts - 1;
}

static int send_event(struct listen *listen, const struct seen_event *seen)
{
    char id[EVENT_ID_TEXT], trace[TRACE_BYTES];
    struct forwarded was;
    buf_reset(&listen->body);
    event_body_add(&listen->body, seen->type, seen->msg);
    if (listen->body.failed) {
        cli_tell(&listen->command, "no memory");
        return CLI_FAILED;
    }
    struct signing signing = {
        .id = slice(id, event_id_print(seen->msg->epoch, seen->msg->seq, id)), .event = event_type_of(seen->type, seen->msg), .body = buf_slice(&listen->body),
    };
    trace_of(seen->msg, trace);
    enum forward_end end = forward_send(&listen->forward, &signing, trace, &was);
    count(listen, end, &was);
    if (end == FORWARD_INTERRUPTED)
        return CLI_SIGNAL + interrupt_signal();
    add_line(listen, &signing, msg_channel(seen->msg), end, &was);
    output_flush(&listen->output);      /* follow.c looks at what it says */
    return listen->delivered + listen->failed == listen->count ? CLI_OK : CLI_GO_ON;
}

/* What stands there is done. */
static int note_place(struct listen *listen, struct slice id, int done)
{
    buf_reset(&listen->last);
    buf_add_slice(&listen->last, id);
    int written = listen->state ? place_write(&listen->command, listen->state, id) : CLI_GO_ON;
    return written == CLI_GO_ON ? done : written;
}

static int on_event(void *arg, const struct sse_event *event)
{
    struct listen *listen = arg;
    struct seen_event seen;
    int done = CLI_GO_ON, err = seen_event_read(event->data, clock_wall_ms(clock_real()), &listen->ids, &seen);
    if (err) {
        cli_warn(&listen->command, "cannot read message %.*s: %s", (int)event->id.len, event->id.at, err_text(err));
    } else {
        done = event_filter_lets(&listen->filter, &seen) ? send_event(listen, &seen) : CLI_GO_ON;
        seen_event_fini(&seen);
    }
    return done == CLI_GO_ON || done == CLI_OK ? note_place(listen, event->id, done) : done;
}

/* ---- how they are signed ---- */

static int choose_scheme(struct listen *listen)
{
    struct buf names = { 0 };
    if (!listen->scheme_text || signature_scheme_find(slice_of(listen->scheme_text), &listen->scheme))
        return CLI_GO_ON;
    for (int i = 0; i < SIGNATURE_SCHEMES; i++)
        buf_addf(&names, " %s", signature_forms[i].name);
    int done = cli_misused(&listen->command, "--signature %s is none; there are%.*s", listen->scheme_text, (int)names.len, buf_slice(&names).at);
    buf_fini(&names);
    return done;
}

/* Of the command line, a file that it names, the environment; or one that is made now. False: it cannot be read, which has been told. */
static bool take_secret(struct listen *listen, bool *ret_made)
{
    const char *text = listen->secret_text ? listen->secret_text : getenv("CARILLON_WEBHOOK_SECRET");
    char made[SECRET_MADE] = "";
    bool open;
    *ret_made = !text || !*text;
    if (*ret_made && !secret_make(made)) {
        cli_tell(&listen->command, "the kernel has no random numbers");
        return false;
    }
    if (!*ret_made && *text == '@') {
        int error = secret_file_read(text + 1, SECRET_MAX + 2, &listen->secret, &open);
        if (error)
            cli_misused(&listen->command, "--secret %s: %s", text, strerror(error));
        listen->secret.len = secret_line(&listen->secret).len;
        return !error;
    }
    buf_add_str(&listen->secret, *ret_made ? made : text);
    return true;
}

static int take_signer(struct listen *listen)
{
    bool made;
    int done = choose_scheme(listen);
    if (done != CLI_GO_ON)
        return done;
    if (!take_secret(listen, &made))
        return CLI_MISUSED;
    struct slice secret = buf_slice(&listen->secret);
    const char *wrong = secret_check(listen->scheme, secret);
    if (wrong)
        return cli_misused(&listen->command, "the secret %s", wrong);
    listen->forward.signer = signer_new(listen->scheme, &secret, 1);
    if (!listen->forward.signer) {
        cli_tell(&listen->command, "no memory");
        return CLI_FAILED;
    }
    cli_tell(&listen->command, "to %s, signed as %s", listen->url, signature_forms[listen->scheme].name);
    if (made)
        cli_tell(&listen->command, "the secret, made for this run (CARILLON_WEBHOOK_SECRET would be one for all): %.*s", (int)secret.len, secret.at);
    return CLI_GO_ON;
}

/* ---- from beginning to end ---- */

static void add_path(struct listen *listen)
{
    struct cli_request *request = &listen->follow.request;
    cli_request_add_path(request, "/sse?format=envelope");
    for (size_t i = 0; i < listen->channels.n; i++)
        cli_request_add_parameter(request, "&channel=", listen->channels.items[i]);
    cli_request_add_parameter(request, "&channel=", listen->channels.n ? NULL : "**");
    cli_request_add_parameter(request, "&since=", listen->since);
    cli_request_add_parameter(request, "&presence=true", listen->members ? "" : NULL);
}

static void sum_up(const struct listen *listen)
{
    cli_tell(&listen->command, "%llu delivered, %llu given up, %llu tried again", (unsigned long long)listen->delivered, (unsigned long long)listen->failed,
             (unsigned long long)listen->repeated);
    if (listen->last.len)
        cli_tell(&listen->command, "to go on from here: --since %.*s", (int)listen->last.len, listen->last.at);
}

static int run(struct listen *listen)
{
    listen->follow.on_event = on_event;
    listen->follow.arg = listen;
    listen->follow.output = &listen->output;
    listen->follow.idle_ms = listen->idle_ms;
    int done = follow_run(&listen->follow);
    if (!listen->follow.was_ready)
        return done == CLI_GO_ON ? CLI_FAILED : done;
    sum_up(listen);
    return done > CLI_SIGNAL ? done : done > CLI_OK || listen->failed ? CLI_FAILED : CLI_OK;
}

/* What makes no sense together. */
static int check(struct listen *listen)
{
    if (!listen->url)
        return cli_misused(&listen->command, "--forward-to is missing: where your server is, http://localhost:3000/hook");
    if (listen->attempts < 1 || listen->attempts > FORWARD_ATTEMPTS)
        return cli_misused(&listen->command, "--attempts is 1 to %d", FORWARD_ATTEMPTS);
    if (listen->timeout_ms < 1 || listen->timeout_ms > INT32_MAX)
        return cli_misused(&listen->command, "--timeout is 1ms to %dh", INT32_MAX / 3600000);
    listen->filter.lists = &listen->events;
    int done = event_filter_check(&listen->filter, &listen->command);
    if (done != CLI_GO_ON)
        return done;
    listen->members |= listen->filter.wants_members;
    if (listen->members && !listen->channels.n)
        return cli_misused(&listen->command, "%s needs --channel: who comes and goes is told of channels by their names", listen->filter.wants_members ? "--events member.*" : "--members");
    listen->forward.command = &listen->command;
    listen->forward.url = listen->url;
    listen->forward.attempts = (unsigned)listen->attempts;
    listen->forward.timeout_ms = listen->timeout_ms;
    return CLI_GO_ON;
}

/* Where the run before has ended counts more than what the command line says for the first one. */
static int take_place(struct listen *listen)
{
    int done = listen->state ? place_read(&listen->command, listen->state, &listen->place) : CLI_GO_ON;
    if (done != CLI_GO_ON || listen->place.len == 0)
        return done;
    buf_add_char(&listen->place, '\0');
    listen->since = listen->place.at;
    cli_tell(&listen->command, "goes on behind %s (%s)", listen->since, listen->state);
    return CLI_GO_ON;
}

static int start(struct listen *listen)
{
    listen->terminal = isatty(STDOUT_FILENO);
    listen->colours = terminal_has_colours(STDOUT_FILENO, (enum terminal_when)listen->colour);
    listen->command.colours = terminal_has_colours(STDERR_FILENO, (enum terminal_when)listen->colour);
    int done = check(listen);
    interrupt_setup();
    if (done == CLI_GO_ON)
        done = forward_init(&listen->forward);
    if (done == CLI_GO_ON)
        done = follow_init(&listen->follow, &listen->command, &listen->target);
    if (done == CLI_GO_ON)
        done = take_place(listen);
    if (done == CLI_GO_ON)
        done = take_signer(listen);
    if (done == CLI_GO_ON) {
        add_path(listen);
        done = run(listen);
    }
    follow_fini(&listen->follow);
    forward_fini(&listen->forward);
    signer_free(listen->forward.signer);
    return done;
}

static void add_more(struct buf *more)
{
    buf_add_str(more, more_head);
    for (int i = 0; i < SIGNATURE_SCHEMES; i++)
        buf_addf(more, "  %-17s %s\n", signature_forms[i].name, signature_forms[i].what);
    buf_add(more, more_tail, sizeof more_tail);
}

int cli_listen(int argc, char **argv)
{
    struct listen listen = { .scheme = SIGNATURE_STANDARD, .attempts = FORWARD_ATTEMPTS, .timeout_ms = 10000 };
    struct buf more = { 0 };
    cli_target_init(&listen.target, "public", "CARILLON_URL", "http://127.0.0.1:8000");
    const struct cli_option options[] = {
        { "forward-to", CLI_TEXT,  &listen.url,         "URL",          "where your server takes webhooks" },
        { "channel",    CLI_LIST,  &listen.channels,    "NAME|PATTERN", "as often as you like: orders.eu, orders.*, orders.**; without it all (**)" },
        { "events",     CLI_LIST,  &listen.events,      "NAME|PATTERN", "only these, parted by commas: types, or event names of messages: created, order.*, member.joined" },
        { "since",      CLI_TEXT,  &listen.since,       "WHERE",        "begin after this id or position, or with: all, last, -20 (newest 20), 10m, 2026-11-21T10:08:00Z" },
        { "state",      CLI_TEXT,  &listen.state,       "FILE",         "keep there how far it has come, and go on there the next time; --since is for the first" },
        { "secret",     CLI_TEXT,  &listen.secret_text, "SECRET|@FILE", "whsec_…, to sign with; CARILLON_WEBHOOK_SECRET; without it one is made, and told" },
        { "signature",  CLI_TEXT,  &listen.scheme_text, "SCHEME",       "how they are signed (standard)" },
        { "members",    CLI_FLAG,  &listen.members,     NULL,           "also who comes and who leaves (presence)" },
        { "attempts",   CLI_COUNT, &listen.attempts,    "N",            "how often a webhook is tried (3)" },
        { "timeout",    CLI_TIME,  &listen.timeout_ms,  "TIME",         "how long your server may take (10s); longer for a debugger" },
        { "count",      CLI_COUNT, &listen.count,       "N",            "end after N webhooks" },
        { "idle",       CLI_TIME,  &listen.idle_ms,     "TIME",         "end when nothing has come for so long" },
        { "color",      CLI_WORD,  &listen.colour,      "auto|always|never", "auto: on a terminal, unless NO_COLOR is set" },
        CLI_TARGET_OPTIONS(listen.target, "the hub's public listener; CARILLON_URL (http://127.0.0.1:8000)"),
        { 0 }
    };
    add_more(&more);
    listen.command = (struct cli_command){ .name = "webhook listen", .operands = "--forward-to URL", .help = help, .more = more.failed ? NULL : more.at, .options = options };
    int operands, done = cli_args_parse(&listen.command, argc, argv, &operands);
    if (done == CLI_GO_ON)
        done = start(&listen);
    struct buf *all[] = { &listen.body, &listen.last, &listen.place, &more };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        buf_fini(all[i]);
    secret_forget(&listen.secret);
    output_fini(&listen.output);
    return done;
}
