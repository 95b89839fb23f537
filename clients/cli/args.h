/* args.h — a command line against a table of options.
 *
 * `--name value`, `--name=value` and `--flag` anywhere, also after operands; `--` ends options; a lone `-` and words
 * like `-5` are operands. The table is the help text too. Errors are told on standard error, one clear line each.
 * Lifetime: everything found points into argv. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum cli_arg_type {
    CLI_FLAG,       /* ret_value is a bool * */
    CLI_TEXT,       /* a const char ** */
    CLI_COUNT,      /* a uint64_t * */
    CLI_TIME,       /* an int64_t *, milliseconds: 250ms, 5s, 10m; a bare number is seconds */
    CLI_WORD,       /* an int *: which of the words of `form`, "auto|always|never" */
    CLI_LIST,       /* a struct cli_list *: each time it is given */
};

enum { CLI_LIST_MAX = 64 };
struct cli_list {
    const char *items[CLI_LIST_MAX];
    size_t      n;
};

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
    const char              *more;      /* what stands behind the options; or NULL */
    int                      min, max;  /* operands; max < 0: any number */
    const struct cli_option *options;
    bool                     colours;   /* what is told to people may have them */
};

enum { CLI_GO_ON = -1 };
/* CLI_GO_ON with the operands moved to argv[1 .. *ret_operands]; otherwise the enum cli_exit to leave with
 * (help was asked for and printed, or something was wrong and was told). */
int cli_args_parse(const struct cli_command *command, int argc, char **argv, int *ret_operands);

/* "carillon pub: …" and a line end on standard error. Control characters are shown as escapes: some of it was said by others. */
void cli_tell(const struct cli_command *command, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same as a warning: it stands out where there are colours. */
void cli_warn(const struct cli_command *command, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same, and how the command is used. CLI_MISUSED, to be returned. */
int  cli_misused(const struct cli_command *command, const char *format, ...) __attribute__((format(printf, 2, 3)));
