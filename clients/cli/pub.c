/* pub.c — `carillon pub`: one message to one channel, its id on standard output. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clients/cli/args.h"
#include "clients/cli/cli.h"
#include "clients/cli/payload.h"
#include "clients/cli/request.h"
#include "hub/base/err.h"
#include "hub/base/json.h"

#define MAX_INPUT_BYTES (16 * 1024 * 1024)      /* far above what any hub takes: the hub names its own limit */

struct pub {
    struct cli_target target;
    const char       *event;
    bool              json, text;
    const char       *channel;
    struct buf        data;
};

static const char help[] =
    "Publishes one message and prints its id. DATA is sent as it is; without DATA, or with -, standard input is.\n"
    "Valid UTF-8 is published as text, anything else as binary; --json publishes a JSON value.";

static int read_input(const struct cli_command *command, struct buf *ret_data)
{
    if (isatty(STDIN_FILENO))
        cli_tell(command, "type the message, then ctrl-D");
    for (;;) {
        char *room = buf_room(ret_data, 65536);
        ssize_t n = room ? read(STDIN_FILENO, room, 65536) : 0;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            cli_tell(command, "cannot read standard input: %s", strerror(errno));
            return CLI_FAILED;
        }
        if (!room || ret_data->len + (size_t)n > MAX_INPUT_BYTES) {
            cli_tell(command, "the message is larger than any hub takes");
            return CLI_FAILED;
        }
        if (n == 0)
            return CLI_GO_ON;
        buf_advance(ret_data, (size_t)n);
    }
}

/* {"data": DATA, "event": EVENT}: DATA keeps its bytes on the way into the body. It is checked here, so that it is one
 * value and cannot end the member it stands in. */
static int wrap_json(struct pub *pub)
{
    struct buf body = { 0 };
    struct slice value;
    int rc = json_check(buf_slice(&pub->data), &value);
    if (rc)
        return rc;
    buf_add_str(&body, "{\"data\":");
    buf_add_slice(&body, value);
    if (pub->event) {
        buf_add_str(&body, ",\"event\":");
        buf_add_json(&body, slice_of(pub->event));
    }
    buf_add_char(&body, '}');
    buf_fini(&pub->data);
    pub->data = body;
    return body.failed ? ERR_MEMORY : 0;
}

static void print_id(const struct cli_command *command, const struct cli_request *r)
{
    struct buf id = { 0 };
    payload_add_text(&id, buf_slice(&r->body), "id");
    if (id.len)
        printf("%.*s\n", (int)id.len, id.at);
    else
        cli_tell(command, "published, but the answer has no id");
    buf_fini(&id);
}

static const char *type_of(const struct pub *pub)
{
    if (pub->json)
        return "application/json";
    return pub->text || utf8_valid(buf_slice(&pub->data)) ? "text/plain; charset=utf-8" : "application/octet-stream";
}

static int publish(const struct cli_command *command, struct pub *pub)
{
    struct cli_request r;
    int rc = cli_request_init(&r, &pub->target);
    if (rc) {
        cli_tell(command, rc == ERR_BAD_REQUEST ? "--url is not a URL: %s" : "no memory for %s", pub->target.url);
        return rc == ERR_BAD_REQUEST ? CLI_MISUSED : CLI_FAILED;
    }
    cli_request_add_url(&r, "/v1/channels/");
    cli_request_add_escaped(&r, pub->channel);
    cli_request_add_url(&r, "/messages");
    if (pub->event && !pub->json) {
        cli_request_add_url(&r, "?event=");
        cli_request_add_escaped(&r, pub->event);
    }
    cli_request_add_header(&r, "Content-Type", type_of(pub));
    curl_easy_setopt(r.curl, CURLOPT_POSTFIELDS, pub->data.at ? pub->data.at : "");
    curl_easy_setopt(r.curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)pub->data.len);
    curl_easy_setopt(r.curl, CURLOPT_TIMEOUT_MS, 60000L);       /* longer than the hub itself waits for its store */

    CURLcode code = cli_request_perform(&r);
    bool published = code == CURLE_OK && cli_request_status(&r) == 201;
    if (published)
        print_id(command, &r);
    else if (code != CURLE_OK)
        cli_tell(command, "%s: %s", pub->target.unix_path ? pub->target.unix_path : pub->target.url, cli_request_error(&r, code));
    else
        cli_request_tell_problem(&r, command);
    cli_request_fini(&r);
    return published ? CLI_OK : CLI_FAILED;
}

int cli_pub(int argc, char **argv)
{
    struct pub pub = { .target.url = "http://127.0.0.1:8001" };
    const struct cli_option options[] = {
        { "url",    CLI_TEXT, &pub.target.url,       "URL",  "the hub's API listener (http://127.0.0.1:8001)" },
        { "unix",   CLI_TEXT, &pub.target.unix_path, "PATH", "connect to this unix socket instead" },
        { "key",    CLI_TEXT, &pub.target.key,       "KEY",  "API key; CARILLON_KEY in the environment does the same unseen" },
        { "cacert", CLI_TEXT, &pub.target.cacert,    "FILE", "trust only whom this file names (PEM), for https://; or CARILLON_CACERT" },
        { "event",  CLI_TEXT, &pub.event,            "NAME", "event name of the message" },
        { "json",   CLI_FLAG, &pub.json,             NULL,   "DATA is a JSON value" },
        { "text",   CLI_FLAG, &pub.text,             NULL,   "DATA is text, whatever it looks like" },
        { 0 }
    };
    const struct cli_command command = { "pub", "CHANNEL [DATA|-]", help, 1, 2, options };
    int operands, done = cli_args_parse(&command, argc, argv, &operands);
    if (done != CLI_GO_ON)
        return done;
    if (pub.json && pub.text) {
        cli_tell(&command, "--json and --text exclude one another");
        return CLI_MISUSED;
    }
    pub.channel = argv[1];
    if (operands == 2 && strcmp(argv[2], "-"))
        buf_add_str(&pub.data, argv[2]);
    else
        done = read_input(&command, &pub.data);
    if (done == CLI_GO_ON && pub.json && wrap_json(&pub)) {
        cli_tell(&command, "DATA is not one JSON value");
        done = CLI_MISUSED;
    }
    if (done == CLI_GO_ON)
        done = publish(&command, &pub);
    buf_fini(&pub.data);
    return done;
}
