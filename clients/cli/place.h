/* place.h — how far a command has come, in a file, so that the next run goes on behind it.
 *
 * It is a position and a line end, put there as a whole (another file that takes its name): whoever is killed at any moment finds the one of
 * before or the new one. It is written when what stands there is done, so that something may be done twice and nothing is left out.
 *
 * Lifetime   place_read, then place_write as often as one likes. Threading: whoever owns it. Limits: a line. */
#pragma once
#include "clients/cli/args.h"
#include "hub/base/buf.h"

/* The position in the file; nothing is added when there is no such file yet. CLI_GO_ON; or it has been told that it is something else. */
int place_read(const struct cli_command *command, const char *path, struct buf *ret_position);
/* CLI_GO_ON; or it has been told that it cannot be written. */
int place_write(const struct cli_command *command, const char *path, struct slice position);
