/* cli_webhook.h — `carillon webhook verify`: is a webhook that was received signed as it should be, and if not, why.
 *
 * For whoever writes a receiver and sees "invalid signature": the head and the body as they came, the secret, and the usual mistakes
 * are tried (verify.h). Secrets come from files or CARILLON_WEBHOOK_SECRET: what stands on a command line is shown to everybody.
 *
 * Threading: the main thread. */
#pragma once

/* argv[0] is "webhook"; the exit status of commands.h. */
int cli_webhook(int argc, char **argv);
