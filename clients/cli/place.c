#include "clients/cli/place.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "clients/cli/cli.h"
#include "hub/position.h"

int place_read(const struct cli_command *command, const char *path, struct buf *ret_position)
{
    char line[POSITION_TEXT + 2] = "";
    FILE *file = fopen(path, "re");
    if (!file)
        return errno == ENOENT ? CLI_GO_ON : cli_misused(command, "--state %s: %s", path, strerror(errno));
    size_t len = fread(line, 1, sizeof line - 1, file);
    fclose(file);
    struct slice position = slice_trim(slice(line, len));
    if (len > 0 && line[len - 1] == '\n')
        position = slice_trim(slice(line, len - 1));
    if (!position_parse(position).epoch)
        return cli_misused(command, "--state %s: there is no position in it, such as a run before leaves; begin anew by removing it", path);
    buf_add_slice(ret_position, position);
    return CLI_GO_ON;
}

static bool write_file(const char *path, struct slice position)
{
    FILE *file = fopen(path, "we");
    bool done = file && fprintf(file, "%.*s\n", (int)position.len, position.at) > 0;
    return (!file || fclose(file) == 0) && done;
}

int place_write(const struct cli_command *command, const char *path, struct slice position)
{
    struct buf beside = { 0 };
    buf_addf(&beside, "%s.new", path);
    buf_add_char(&beside, '\0');
    bool done = !beside.failed && write_file(beside.at, position) && rename(beside.at, path) == 0;
    if (!done)
        cli_tell(command, "--state %s cannot be written: %s", path, strerror(errno));
    buf_fini(&beside);
    return done ? CLI_GO_ON : CLI_FAILED;
}
