/* sub.c — `carillon sub`: prints the messages of channels and patterns as they come. The connection, and how it comes back, is
 * follow.h; what a message looks like is format.h. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clients/cli/args.h"
#include "clients/cli/cli.h"
#include "clients/cli/follow.h"
#include "clients/cli/format.h"
#include "clients/cli/interrupt.h"
#include "clients/cli/terminal.h"
#include "hub/base/clock.h"

struct sub {
    struct cli_command command;
    struct cli_target  target;
    struct follow      follow;
    struct format      format;
    struct output      output;
    uint64_t           count, printed;          /* count 0: for ever */
    int64_t            for_ms, idle_ms;         /* 0: for ever */
    int                colour;                  /* enum terminal_when */
    const char        *format_text, *since, *client, *user;
    bool               json, pretty, members;
};

static const char help[] =
    "Prints the messages of channels and patterns (orders.*, orders.**) as they come, reconnects when the line breaks, and resumes where\n"
    "it was. What may have been missed is told on standard error.";

static const char more_head[] =
    "Formats: on a terminal `text` (time, channel, [event], data), else `data`, the payload and a line end; `json` is the message object on\n"
    "one line. Or a template, with \\n \\t \\r \\0 \\\\ \\{ \\xHH, which ends a line only where it says so:\n";
static const char more_tail[] =
    "\nA terminal is shown control characters of messages as escapes (\\u001b); into a pipe or file everything goes as it is.\n\n"
    "  carillon sub news 'orders.*'                          follow, for people\n"
    "  carillon sub 'jobs.**' --since all --idle 1s          what is kept, then end\n"
    "  carillon sub news --format ndjson | jq .data          for programs\n"
    "  carillon sub news --format '{time}\\t{id}\\t{data}\\n' >>news.tsv\n\n"
    "Exit status: 0 as asked, or the reader of a pipe has gone; 1 the hub refused; 2 the command line makes no sense; 3 time was up before\n"
    "--count messages had come; 130 ctrl-C.";

/* ---- messages ---- */

static int on_event(void *arg, const struct sse_event *event)
{
    struct sub *sub = arg;
    bool is_message = !slice_begins(event->type, SLICE("hub."));
    if (format_add(&sub->format, event->data, clock_wall_ms(clock_real()), &sub->output.waiting))
        cli_warn(&sub->command, "cannot read message %.*s", (int)event->id.len, event->id.at);
    sub->printed += is_message;
    return is_message && sub->printed == sub->count ? CLI_OK : CLI_GO_ON;
}

/* ---- what was asked for ---- */

/* A preset or template; on a terminal for people, else for the next program. */
static int choose_format(struct sub *sub)
{
    struct buf wrong = { 0 };
    bool terminal = isatty(STDOUT_FILENO);
    const char *text = sub->format_text ? sub->format_text : sub->json ? "json" : terminal ? "text" : "data";
    int rc = format_parse(text, &sub->format, &wrong);
    int done = rc ? cli_misused(&sub->command, "--format: %.*s", (int)wrong.len, buf_slice(&wrong).at) : CLI_GO_ON;
    buf_fini(&wrong);
    sub->format.terminal = terminal;
    sub->format.colours = terminal_has_colours(STDOUT_FILENO, (enum terminal_when)sub->colour);
    sub->format.pretty = sub->pretty;
    sub->command.colours = terminal_has_colours(STDERR_FILENO, (enum terminal_when)sub->colour);
    return done;
}

static void add_path(struct sub *sub, char *const *channels, int n)
{
    struct cli_request *request = &sub->follow.request;
    cli_request_add_path(request, "/sse?format=envelope");
    for (int i = 0; i < n; i++)
        cli_request_add_parameter(request, "&channel=", channels[i]);
    cli_request_add_parameter(request, "&since=", sub->since);
    cli_request_add_parameter(request, "&client=", sub->client);
    cli_request_add_parameter(request, "&user=", sub->user);
    cli_request_add_parameter(request, "&presence=true", sub->members ? "" : NULL);
}

/* ---- from beginning to end ---- */

/* Who stops by hand may want to go on. */
static void tell_position(struct sub *sub)
{
    const struct buf *last = &sub->follow.parser.last_id;
    if (isatty(STDERR_FILENO) && last->len)
        cli_tell(&sub->command, "to go on from here: --since %.*s", (int)last->len, last->at);
}

static int run(struct sub *sub)
{
    int64_t now = clock_mono_ms(clock_real());
    sub->follow.on_event = on_event;
    sub->follow.arg = sub;
    sub->follow.output = &sub->output;
    sub->follow.idle_ms = sub->idle_ms;
    sub->follow.until_ms = sub->for_ms > 0 && sub->for_ms < INT64_MAX - now ? now + sub->for_ms : INT64_MAX;
    int done = follow_run(&sub->follow);
    if (done > CLI_SIGNAL)
        tell_position(sub);
    if (done != CLI_GO_ON)
        return done;
    return !sub->follow.was_ready ? CLI_FAILED : sub->printed < sub->count ? CLI_TOO_FEW : CLI_OK;
}

static int start(struct sub *sub, char *const *channels, int n)
{
    int done = choose_format(sub);
    if (done != CLI_GO_ON)
        return done;
    interrupt_setup();
    done = follow_init(&sub->follow, &sub->command, &sub->target);
    if (done == CLI_GO_ON) {
        add_path(sub, channels, n);
        done = run(sub);
    }
    follow_fini(&sub->follow);
    return done;
}

int cli_sub(int argc, char **argv)
{
    struct sub sub = { 0 };
    struct buf more = { 0 };
    cli_target_init(&sub.target, "public", "CARILLON_URL", "http://127.0.0.1:8000");
    const struct cli_option options[] = {
        { "since",   CLI_TEXT,  &sub.since,       "WHERE",    "begin after this id or position, or with: all, last, -20 (newest 20), 10m, 2026-11-21T10:08:00Z" },
        { "format",  CLI_TEXT,  &sub.format_text, "FORMAT",   "text, data, json, ndjson, or a template: '{time} {channel} {data}\\n'" },
        { "json",    CLI_FLAG,  &sub.json,        NULL,       "the same as --format json" },
        { "pretty",  CLI_FLAG,  &sub.pretty,      NULL,       "JSON over many lines" },
        { "count",   CLI_COUNT, &sub.count,       "N",        "end after N messages" },
        { "for",     CLI_TIME,  &sub.for_ms,      "TIME",     "end after this time (10s, 5m)" },
        { "idle",    CLI_TIME,  &sub.idle_ms,     "TIME",     "end when nothing has come for so long" },
        { "members", CLI_FLAG,  &sub.members,     NULL,       "also who comes and who leaves (presence)" },
        { "client",  CLI_TEXT,  &sub.client,      "ID",       "client id, which publishers can --exclude" },
        { "user",    CLI_TEXT,  &sub.user,        "ID",       "count as this user, where the hub runs with --dev" },
        { "color",   CLI_WORD,  &sub.colour,      "auto|always|never", "auto: on a terminal, unless NO_COLOR is set" },
        CLI_TARGET_OPTIONS(sub.target, "the hub's public listener; CARILLON_URL (http://127.0.0.1:8000)"),
        { 0 }
    };
    buf_add_str(&more, more_head);
    format_add_fields_help(&more);
    buf_add(&more, more_tail, sizeof more_tail);
    sub.command = (struct cli_command){ .name = "sub", .operands = "CHANNEL...", .help = help, .more = more.failed ? NULL : more.at, .min = 1, .max = -1, .options = options };
    int operands, done = cli_args_parse(&sub.command, argc, argv, &operands);
    if (done == CLI_GO_ON)
        done = start(&sub, argv + 1, operands);
    output_fini(&sub.output);
    format_fini(&sub.format);
    buf_fini(&more);
    return done;
}
