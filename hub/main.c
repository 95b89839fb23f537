/* main.c — the composition root: which subcommands there are, and which spokes a serving hub has. */
#include "clients/cli/cli.h"
#include "hub/base/log.h"
#include "hub/base/reserve.h"
#include "hub/commands.h"
#include "hub/config/config.h"
#include "hub/serve.h"
#include "hub/spoke.h"
#include "redis/redis_spoke.h"
#include "signaling/signaling.h"
#include "transports/http/api_port.h"
#include "transports/public.h"
#include "webhooks/cli_webhook.h"
#include "webhooks/http_port.h"
#include "webhooks/webhooks.h"

#include <stdio.h>
#include <string.h>

static const struct spoke *const spokes[] = { &redis_spoke, &http_out_spoke, &webhooks_spoke, &signaling_spoke, &public_spoke, &api_spoke };

static void log_notes(struct slice notes)
{
    for (const char *end; notes.len && (end = memchr(notes.at, '\n', notes.len));) {
        log_warn("config", "%.*s", (int)(end - notes.at), notes.at);
        notes = slice(end + 1, notes.len - (size_t)(end + 1 - notes.at));
    }
}

static void announce(const struct config *config, const struct config_report *report)
{
    log_setup(config->log_level, config->log_format);
    log_notes(buf_slice(&report->notes));
    if (config->dev)
        log_warn("hub", "--dev: everything is open to everybody on this machine; not for production");
}

static int cmd_serve(int argc, char **argv)
{
    struct config_report report = { 0 };
    const struct config *config = NULL;
    if (command_asks_for_help(argc, argv)) {
        command_usage("serve");
        putchar('\n');
        config_help(stdout);
        return COMMAND_OK;
    }
    reserve_setup();
    if (config_load(argc - 1, argv + 1, &report, &config)) {
        fprintf(stderr, "%.*s", (int)report.errors.len, buf_slice(&report.errors).at);
        config_report_fini(&report);
        return COMMAND_FAILED;
    }
    announce(config, &report);
    config_report_fini(&report);
    int status = serve_run(config, spokes, sizeof spokes / sizeof spokes[0]);
    config_unref(config);
    return status;
}

/* Two tools for whoever writes a receiver: one is a client, the other needs no hub. */
static int cmd_webhook(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], "listen"))
        return cli_listen(argc - 1, argv + 1);
    if (command_asks_for_help(argc, argv))
        return command_usage("webhook");
    return cli_webhook(argc, argv);
}

static const struct command commands[] = {
    { "serve", "[--dev] [--config FILE] [--SECTION.KEY=VALUE ...]", "runs the hub in the foreground; --dev opens everything, on this machine only",
      cmd_serve, true },
    { "pub", "CHANNEL [DATA|-] [--lines | --ndjson] ...", "publishes one message or many, prints their ids; carillon pub --help", cli_pub, true },
    { "sub", "CHANNEL... [--since WHERE] [--format FORMAT] ...", "prints messages of channels and patterns as they come; reconnects and resumes; carillon sub --help", cli_sub, true },
    { "check-config", "FILE [--channel NAME]", "tells everything that is wrong with a file of settings, or which rule a channel has and why", cmd_check_config, false },
    { "key", "new [--name NAME] [--scope SCOPE ...]",
      "makes an API key and its line for [keys]; SCOPE is OPERATION, OPERATION:PATTERN or *, such as publish:chat.**; none: everything", cmd_key, false },
    { "token", "new|check [--config FILE | --key FILE [--alg ALGORITHM] [--kid ID]] ...",
      "new [--signer NAME] [--sub USER] [--exp 1h] [--subscribe|publish|history|presence|join|admin PATTERN ...] [--channels CHANNEL ...] [--limits TIER] [--info JSON] "
      "[--jti ID] [--claim NAME=JSON ...] prints a signed token; check [-|@FILE|TOKEN] says what one means, and whether the hub would take it (status 1: no)", cmd_token, false },
    { "webhook", "listen --forward-to URL [--channel NAME|PATTERN ...] ... | verify --secret FILE [--secret OLD] [--headers FILE] [--header LINE ...] [--body FILE] "
      "[--scheme NAME] [--tolerance 5m] [--now TIME]",
      "listen posts a hub's messages to a server on your own machine as the webhooks that the hub would send; carillon webhook listen --help; verify says whether a webhook that was received is signed as it should be, and if not, why: clock, secret, body changed, header missing (status 1: no); "
      "the body comes from standard input without --body, the secret from CARILLON_WEBHOOK_SECRET without --secret; headers are lines or a JSON object", cmd_webhook, true },
    { "help", "[KEY|SECTION|SUBCOMMAND]", "says what there is to know about one of them, or shows all", cmd_help, false },
    { NULL, NULL, NULL, NULL, false },
};

int main(int argc, char **argv)
{
    return commands_run(commands, argc, argv);
}
