/* args.h — a command line against a table of options.
 *
 * `--name value`, `--name=value` and `--flag` anywhere, also after operands; `--` ends options; a lone `-` and words
 * like `-5` are operands. The table is the help text too. Errors are told on standard error, one clear line each.
 * Lifetime: everything found points into argv. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum cli_arg_type { CLI_FLAG, CLI_TEXT, CLI_COUNT };    /* ret_ is a bool *, a const char **, an uint64_t * */

struct cli_option {
    const char       *name;     /* without the dashes; NULL ends the table */
    enum cli_arg_type type;
    void             *ret_value;
    const char       *form;     /* how help writes the value, NULL for a flag */
    const char       *help;
};

struct cli_command {
    const char              *name;      /* "pub" */
    const char              *operands;  /* "CHANNEL [DATA|-]" */
    const char              *help;      /* what it does, a few lines */
    int                      min, max;  /* operands; max < 0: any number */
    const struct cli_option *options;
};

enum { CLI_GO_ON = -1 };
/* CLI_GO_ON with the operands moved to argv[1 .. *ret_operands]; otherwise the enum cli_exit to leave with
 * (help was asked for and printed, or something was wrong and was told). */
int cli_args_parse(const struct cli_command *command, int argc, char **argv, int *ret_operands);

/* "carillon pub: …" and a line end on standard error. */
void cli_tell(const struct cli_command *command, const char *format, ...) __attribute__((format(printf, 2, 3)));
