/* commands.h — the subcommands of `carillon`: one table row each, and the way from a command line to a row.
 *
 * The table stands in main.c, which alone may name clients/; what the hub itself brings is here.
 * Exit status, of all of them: 0 done; 1 the thing asked for is wrong or failed; 2 the command line makes no sense.
 * Threading: the main thread, before any other is started. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

enum { COMMAND_OK = 0, COMMAND_FAILED = 1, COMMAND_MISUSED = 2 };

struct command {
    const char *name;
    const char *usage;                      /* what follows "carillon NAME" */
    const char *what;                       /* one line for the list */
    int       (*run)(int argc, char **argv);/* argv[0] is the subcommand's name; the exit status */
    bool        own_help;                   /* run() answers --help itself; otherwise usage and `what` are printed for it */
};

/* Runs what argv asks for. `table` ends with a row without a name and must outlive the call: help shows it. */
int commands_run(const struct command *table, int argc, char **argv);
/* Usage and what it does, on standard output. COMMAND_OK, to be returned. */
int command_usage(const char *name);
bool command_asks_for_help(int argc, char **argv);
/* "carillon serve: TEXT" and how it is used, on standard error. COMMAND_MISUSED, to be returned. */
int command_misused(const char *name, const char *format, ...) __attribute__((format(printf, 2, 3)));

int cmd_check_config(int argc, char **argv);
int cmd_key(int argc, char **argv);         /* cli_key.c */
int cmd_token(int argc, char **argv);       /* cli_token.c */
int cmd_help(int argc, char **argv);        /* also `carillon --help` */
