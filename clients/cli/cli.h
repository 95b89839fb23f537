/* cli.h — the subcommands of `carillon` that are clients: pub, sub and webhook listen.
 *
 * They speak to a hub by HTTP as PROTOCOL.md says and know nothing of its insides, so what they can do anybody can.
 * argv[0] is the subcommand's name, as in a program of its own. Results go to standard output, everything that is said
 * to people to standard error. Where the hub is and who asks can stand in the environment: CARILLON_URL (sub, webhook listen), CARILLON_API_URL (pub),
 * CARILLON_KEY, CARILLON_TOKEN, CARILLON_CACERT.
 * Threading: the main thread, before or without a hub in this process. */
#pragma once

enum cli_exit {
    CLI_OK      = 0,
    CLI_FAILED  = 1,    /* the hub refused, or could not be reached */
    CLI_MISUSED = 2,    /* the command line makes no sense; nothing was sent */
    CLI_TOO_FEW = 3,    /* sub: time was up before --count messages had come */
    CLI_SIGNAL  = 128   /* and the number of the signal that ended it, as shells say it: 130 for ctrl-C */
};

int cli_pub(int argc, char **argv);     /* publishes one message or many, prints their ids; an enum cli_exit */
int cli_sub(int argc, char **argv);     /* prints the messages of channels as they come, over reconnects; an enum cli_exit */
int cli_listen(int argc, char **argv);  /* webhook listen: posts them to a server of this machine as the hub's webhooks; an enum cli_exit */
