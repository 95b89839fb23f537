/* pub.c — `carillon pub`: one message by a request of its own (any bytes), or many by one stream (upload.h); what the command line
 * says about them, and which of the two it is. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "clients/cli/args.h"
#include "clients/cli/cli.h"
#include "clients/cli/interrupt.h"
#include "clients/cli/payload.h"
#include "clients/cli/request.h"
#include "clients/cli/retry.h"
#include "clients/cli/terminal.h"
#include "clients/cli/upload.h"
#include "hub/base/clock.h"
#include "hub/base/err.h"
#include "hub/base/json.h"

#define MAX_INPUT_BYTES  (16 * 1024 * 1024)     /* far above what any hub takes: the hub names its own limit */
#define PATIENCE_MS      30000
#define ANSWER_MS        60000L                 /* longer than the hub itself waits for its store */

enum { KEY_ROOM = 48 };

struct pub {
    struct cli_command command;
    struct cli_target  target;
    struct item_terms  terms;
    struct retry       retry;
    struct pacer       pacer;
    const char        *if_position, *rate;
    int                colour;                  /* enum terminal_when */
    int                form;                    /* enum upload_form, in the order of --format */
    bool               json, text, lines, ndjson, quiet;
    uint64_t           repeat;
    int64_t            patience_ms;             /* -1: it was not said */
    struct buf         data;
    char               own_key[KEY_ROOM];
};

static const char help[] =
    "Publishes, and prints the ids of what was published. DATA is sent as it is; without DATA, or with -, standard input is the message; with\n"
    "--lines each of its lines is one; with --ndjson each line is an item of POST /v1/messages ({\"channel\":…,\"data\":…}).\n"
    "Valid UTF-8 is published as text, anything else as binary; --json publishes JSON values. A CHANNEL with an asterisk is a pattern: all\n"
    "channels that match it and exist.";

static const char more[] =
    "What is cut goes on where it was, and nothing is published twice: every message has an idempotency key (--retry 0: none).\n"
    "Without an --idempotency-key of your own it is random; with one, the same command again publishes only what is missing.\n\n"
    "  carillon pub news 'hello'                                     one message\n"
    "  carillon pub --json --event tick prices '{\"eur\":1.08}'        JSON, with an event name\n"
    "  tail -f app.log | carillon pub --lines logs                   a message for each line\n"
    "  carillon pub --ndjson <items.ndjson --format json             many, with the hub's answer to each\n"
    "  carillon pub --repeat 100 --rate 10/s load x                  ten a second\n"
    "  carillon sub a --format ndjson | carillon pub --ndjson --url http://other:8001      from one hub to another\n\n"
    "Exit status: 0 all was published; 1 something was not; 2 the command line makes no sense, nothing was sent; 130 ctrl-C.";

/* ---- the message ---- */

/* Standard input to its end. */
static int read_input(struct pub *pub)
{
    if (isatty(STDIN_FILENO))
        cli_tell(&pub->command, "type the message, then ctrl-D");
    for (;;) {
        char *room = buf_room(&pub->data, 65536);
        ssize_t n = room ? read(STDIN_FILENO, room, 65536) : 0;
        if (interrupt_signal())
            return CLI_SIGNAL + interrupt_signal();
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            cli_tell(&pub->command, "cannot read standard input: %s", strerror(errno));
            return CLI_FAILED;
        }
        if (!room || pub->data.len + (size_t)n > MAX_INPUT_BYTES) {
            cli_tell(&pub->command, "the message is larger than any hub takes");
            return CLI_FAILED;
        }
        if (n == 0)
            return CLI_GO_ON;
        buf_advance(&pub->data, (size_t)n);
    }
}

static int take_data(struct pub *pub, const char *operand)
{
    struct slice value;
    int done = CLI_GO_ON;
    if (operand && strcmp(operand, "-") != 0)
        buf_add_str(&pub->data, operand);
    else
        done = read_input(pub);
    if (done == CLI_GO_ON && pub->json && json_check(buf_slice(&pub->data), &value))
        return cli_misused(&pub->command, "DATA is not one JSON value; text in quotes is: '\"hello\"'");
    return done;
}

/* ---- one message ---- */

/* {"data": DATA, "event": EVENT, …}: DATA keeps its bytes on the way into the body; it has been checked to be one value. */
static int wrap_json(struct pub *pub)
{
    const struct { const char *name, *value; } members[] = { { "event", pub->terms.event }, { "exclude", pub->terms.exclude }, { "ttl", pub->terms.ttl } };
    struct buf body = { 0 };
    buf_add_str(&body, "{\"data\":");
    buf_add_slice(&body, buf_slice(&pub->data));
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        if (members[i].value) {
            buf_addf(&body, ",\"%s\":", members[i].name);
            buf_add_json(&body, slice_of(members[i].value));
        }
    buf_add_char(&body, '}');
    buf_fini(&pub->data);
    pub->data = body;
    return body.failed ? ERR_MEMORY : 0;
}

static void add_query(struct pub *pub, struct cli_request *r)
{
    const struct { const char *before, *value; } parameters[] = {
        { "event=", pub->terms.event }, { "&exclude=", pub->terms.exclude }, { "&ttl=", pub->terms.ttl },
    };
    cli_request_add_path(r, "?");
    for (size_t i = 0; i < sizeof parameters / sizeof *parameters; i++)
        if (parameters[i].value) {
            cli_request_add_path(r, parameters[i].before);
            cli_request_add_escaped(r, parameters[i].value);
        }
}

static const char *type_of(const struct pub *pub)
{
    if (pub->json)
        return "application/json";
    return pub->text || utf8_valid(buf_slice(&pub->data)) ? "text/plain; charset=utf-8" : "application/octet-stream";
}

static int add_headers(struct pub *pub, struct cli_request *r)
{
    int rc = cli_request_clear_headers(r);
    if (!rc)
        rc = cli_request_add_header(r, "Content-Type", type_of(pub));
    if (!rc && pub->terms.key)
        rc = cli_request_add_header(r, "Idempotency-Key", pub->terms.key);
    if (!rc && pub->if_position)
        rc = cli_request_add_header(r, "If-Position", pub->if_position);
    return rc;
}

static void print_answer(const struct pub *pub, const struct cli_request *r)
{
    struct buf id = { 0 };
    if (pub->form == UPLOAD_JSON)
        printf("%.*s", (int)r->body.len, buf_slice(&r->body).at);
    else if (pub->form == UPLOAD_IDS && payload_add_text(&id, buf_slice(&r->body), "id"))
        printf("%.*s\n", (int)id.len, id.at);
    else if (pub->form == UPLOAD_IDS)
        cli_tell(&pub->command, "published, but the answer has no id");
    buf_fini(&id);
}

/* One attempt has failed. CLI_GO_ON: another one. */
static int judge_attempt(struct pub *pub, struct cli_request *r, CURLcode code)
{
    long status = cli_request_status(r);
    bool passing = code != CURLE_OK ? !cli_request_is_untrusted(code) : status == 429 || status == 503 || (status == 409 && pub->terms.key);
    if (interrupt_signal())
        return CLI_SIGNAL + interrupt_signal();
    int64_t now = clock_mono_ms(clock_real());
    int64_t wait = passing ? retry_wait_ms(&pub->retry, now, r->connected, code == CURLE_OK ? cli_request_retry_after_ms(r) : 0) : -1;
    if (code == CURLE_OK)
        cli_request_tell_problem(r, &pub->command);
    else
        cli_tell(&pub->command, "%s", cli_request_error(r, code));
    if (wait < 0)
        return CLI_FAILED;
    cli_tell(&pub->command, "again in %.1f s", (double)wait / 1000);
    poll(&(struct pollfd){ .fd = interrupt_fd(), .events = POLLIN }, 1, (int)wait);
    cli_request_next_url(r);
    return interrupt_signal() ? CLI_SIGNAL + interrupt_signal() : CLI_GO_ON;
}

static int attempt(struct pub *pub, struct cli_request *r)
{
    if (add_headers(pub, r))
        return cli_misused(&pub->command, "a header with control characters, or no credential in its file any more");
    CURLcode code = cli_request_perform(r);
    if (code != CURLE_OK || cli_request_status(r) != 201)
        return judge_attempt(pub, r, code);
    print_answer(pub, r);
    return CLI_OK;
}

static void aim(struct pub *pub, struct cli_request *r)
{
    cli_request_add_path(r, pub->terms.user ? "/v1/users/" : "/v1/channels/");
    cli_request_add_escaped(r, pub->terms.user ? pub->terms.user : pub->terms.channel);
    cli_request_add_path(r, "/messages");
    if (!pub->json)
        add_query(pub, r);
    curl_easy_setopt(r->curl, CURLOPT_POSTFIELDS, buf_slice(&pub->data).at);
    curl_easy_setopt(r->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)pub->data.len);
    curl_easy_setopt(r->curl, CURLOPT_TIMEOUT_MS, ANSWER_MS);
}

static int publish_one(struct pub *pub)
{
    struct cli_request r;
    int done = cli_request_init(&r, &pub->target, &pub->command);
    if (done != CLI_GO_ON)
        return done;
    if (pub->json && wrap_json(pub)) {
        cli_tell(&pub->command, "no memory");
        done = CLI_FAILED;
    }
    aim(pub, &r);
    while (done == CLI_GO_ON)
        done = attempt(pub, &r);
    cli_request_fini(&r);
    return done;
}

/* ---- many ---- */

static int publish_many(struct pub *pub)
{
    struct upload upload;
    struct source source;
    struct output output = { 0 };
    int done = upload_init(&upload, &pub->command, &pub->target);
    if (done != CLI_GO_ON)
        return done;
    if (pub->lines || pub->ndjson)
        source_lines(&source, STDIN_FILENO, pub->ndjson);
    else
        source_repeat(&source, buf_slice(&pub->data), pub->repeat);
    upload.source = &source;
    upload.objects = pub->ndjson;
    upload.single = source.fd < 0 && pub->repeat == 1;
    upload.terms = pub->terms;
    upload.pacer = pub->pacer;
    upload.retry = pub->retry;
    upload.form = (enum upload_form)pub->form;
    upload.output = &output;
    done = upload_run(&upload);
    upload_fini(&upload);
    source_fini(&source);
    output_fini(&output);
    return done;
}

/* ---- what was asked for ---- */

/* Of this run, so that whatever is sent again counts once. */
static void make_key(struct pub *pub)
{
    unsigned char random[16];
    size_t len = 0;
    if (pub->terms.key || pub->retry.patience_ms == 0 || getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return;
    for (size_t i = 0; i < sizeof random; i++)
        len += (size_t)snprintf(pub->own_key + len, KEY_ROOM - len, "%02x", random[i]);
    pub->terms.key = pub->own_key;
}

static const char *what_excludes(const struct pub *pub, bool many)
{
    bool from_input = pub->lines || pub->ndjson;
    const struct { bool wrong; const char *why; } rules[] = {
        { pub->json && pub->text,                   "--json and --text exclude one another" },
        { pub->lines && pub->ndjson,                "--lines and --ndjson exclude one another" },
        { pub->ndjson && (pub->json || pub->text),  "items of --ndjson say themselves what they are (\"encoding\")" },
        { from_input && pub->repeat != 1,           "--repeat is for one message, not for lines" },
        { pub->if_position && many,                 "--if-position is for one message to one channel; items of --ndjson can have \"if_position\"" },
        { pub->rate && !many,                       "--rate is for many messages: --lines, --ndjson or --repeat" },
        { pub->quiet && pub->form == UPLOAD_JSON,   "--quiet and --format exclude one another" },
    };
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (rules[i].wrong)
            return rules[i].why;
    return NULL;
}

/* Which words are CHANNEL and DATA. */
static int take_operands(struct pub *pub, char **words, int n, const char **ret_data)
{
    bool from_input = pub->lines || pub->ndjson, with_channel = !pub->terms.user && (n > 0 || !pub->ndjson);
    if (with_channel && n == 0)
        return cli_misused(&pub->command, "which channel?");
    if (with_channel)
        pub->terms.channel = words[0];
    *ret_data = n > with_channel ? words[with_channel] : NULL;
    if (n > with_channel + 1)
        return cli_misused(&pub->command, "\"%s\" is one word too many: what has blanks needs quotes, and with --user there is no CHANNEL", words[n - 1]);
    if (from_input && *ret_data && strcmp(*ret_data, "-") != 0)
        return cli_misused(&pub->command, "with --lines and --ndjson messages come from standard input, not from \"%s\"", *ret_data);
    return CLI_GO_ON;
}

static int prepare(struct pub *pub, bool many)
{
    const char *wrong = what_excludes(pub, many);
    if (wrong)
        return cli_misused(&pub->command, "%s", wrong);
    if (pub->rate && !pacer_parse(slice_of(pub->rate), &pub->pacer))
        return cli_misused(&pub->command, "--rate is a number, 100, or 100/s, 30/m, 1/250ms; at most a million a second");
    pub->terms.kind = pub->json ? ITEM_JSON : pub->text ? ITEM_TEXT : ITEM_ANY;
    pub->retry = (struct retry){ .patience_ms = pub->patience_ms < 0 ? PATIENCE_MS : pub->patience_ms, .from_start = pub->patience_ms > 0 };
    pub->form = pub->quiet ? UPLOAD_QUIET : pub->form;
    pub->command.colours = terminal_has_colours(STDERR_FILENO, (enum terminal_when)pub->colour);
    make_key(pub);
    return CLI_GO_ON;
}

static int start(struct pub *pub, char **words, int n)
{
    const char *operand = NULL;
    int done = take_operands(pub, words, n, &operand);
    bool from_input = pub->lines || pub->ndjson;
    bool many = from_input || pub->repeat != 1 || (pub->terms.channel && item_is_pattern(pub->terms.channel));
    if (done == CLI_GO_ON)
        done = prepare(pub, many);
    if (done != CLI_GO_ON)
        return done;
    interrupt_setup();
    if (!from_input)
        done = take_data(pub, operand);
    return done != CLI_GO_ON ? done : many ? publish_many(pub) : publish_one(pub);
}

int cli_pub(int argc, char **argv)
{
    struct pub pub = { .repeat = 1, .patience_ms = -1 };
    cli_target_init(&pub.target, "API", "CARILLON_API_URL", "http://127.0.0.1:8001");
    const struct cli_option options[] = {
        { "event",   CLI_TEXT,  &pub.terms.event,   "NAME",     "event name" },
        { "ttl",     CLI_TEXT,  &pub.terms.ttl,     "TIME",     "not kept for longer than this (10s, 5m)" },
        { "exclude", CLI_TEXT,  &pub.terms.exclude, "CLIENT",   "client id that does not get it" },
        { "user",    CLI_TEXT,  &pub.terms.user,    "ID",       "to all connections of this user; then there is no CHANNEL" },
        { "json",    CLI_FLAG,  &pub.json,          NULL,       "DATA, or each line, is a JSON value" },
        { "text",    CLI_FLAG,  &pub.text,          NULL,       "it is text, whatever it looks like" },
        { "lines",   CLI_FLAG,  &pub.lines,         NULL,       "each line of standard input is a message" },
        { "ndjson",  CLI_FLAG,  &pub.ndjson,        NULL,       "each line is an item; CHANNEL, if given, is for those that name none" },
        { "repeat",  CLI_COUNT, &pub.repeat,        "N",        "the same message N times; 0: until ctrl-C" },
        { "rate",    CLI_TEXT,  &pub.rate,          "N[/TIME]", "at most so many a second: 100, 100/s, 30/m, 1/250ms" },
        { "if-position", CLI_TEXT, &pub.if_position, "ID|none", "only if this is the channel's newest message" },
        { "idempotency-key", CLI_TEXT, &pub.terms.key, "KEY",   "of the message; of many KEY-1, KEY-2, …" },
        { "retry",   CLI_TIME,  &pub.patience_ms,   "TIME",     "how long to try again (30s for what had begun; given, also for a hub that is away)" },
        { "format",  CLI_WORD,  &pub.form,          "id|json",  "json: the hub's answer to each" },
        { "quiet",   CLI_FLAG,  &pub.quiet,         NULL,       "no ids, no summary" },
        { "color",   CLI_WORD,  &pub.colour,        "auto|always|never", "of what is said on standard error" },
        CLI_TARGET_OPTIONS(pub.target, "the hub's API listener; CARILLON_API_URL (http://127.0.0.1:8001)"),
        { 0 }
    };
    pub.command = (struct cli_command){ .name = "pub", .operands = "CHANNEL [DATA|-]", .help = help, .more = more, .min = 0, .max = -1, .options = options };
    int operands, done = cli_args_parse(&pub.command, argc, argv, &operands);
    if (done == CLI_GO_ON)
        done = start(&pub, argv + 1, operands);
    buf_fini(&pub.data);
    return done;
}
