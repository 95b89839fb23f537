#include "hub/commands.h"

#include "hub/access/jwk.h"
#include "hub/access/token_keys.h"
#include "hub/base/name.h"
#include "hub/base/nearest.h"
#include "hub/config/config.h"
#include "hub/version.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { COMMANDS_MAX = 32 };

static const struct command *commands;      /* main's table, while commands_run runs */

static const struct command *find(const char *name)
{
    for (const struct command *c = commands; c && c->name; c++)
        if (!strcmp(c->name, name))
            return c;
    return NULL;
}

static void print_usage(FILE *out)
{
    fprintf(out, "carillon " CARILLON_VERSION " — a real-time messaging hub: publish once, every listener hears it\n\n");
    for (const struct command *c = commands; c && c->name; c++)
        fprintf(out, "  carillon %s %s\n      %s\n", c->name, c->usage, c->what);
    fprintf(out, "\nExit status: 0 done, 1 wrong or failed, 2 the command line makes no sense.\n");
}

int command_usage(const char *name)
{
    const struct command *command = find(name);
    if (command)
        printf("usage: carillon %s %s\n%s\n", command->name, command->usage, command->what);
    return COMMAND_OK;
}

int command_misused(const char *name, const char *format, ...)
{
    const struct command *command = find(name);
    va_list args;
    fprintf(stderr, "carillon %s: ", name);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, command ? "\nusage: carillon %s %s\n" : "\n", name, command ? command->usage : "");
    return COMMAND_MISUSED;
}

static int unknown_command(const char *word)
{
    const char *names[COMMANDS_MAX];
    size_t count = 0;
    for (const struct command *c = commands; c->name && count < COMMANDS_MAX; c++)
        names[count++] = c->name;
    const char *meant = nearest(word, names, count);
    fprintf(stderr, "carillon: \"%.80s\" is not a subcommand; ", word);
    fprintf(stderr, meant ? "did you mean carillon %s?\n" : "carillon --help shows them\n", meant);
    return COMMAND_MISUSED;
}

bool command_asks_for_help(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h"))
            return true;
    return false;
}

int commands_run(const struct command *table, int argc, char **argv)
{
    commands = table;
    if (argc < 2) {
        print_usage(stderr);
        return COMMAND_MISUSED;
    }
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
        return cmd_help(argc - 1, argv + 1);
    if (!strcmp(argv[1], "--version")) {
        puts("carillon " CARILLON_VERSION);
        return COMMAND_OK;
    }
    const struct command *command = find(argv[1]);
    if (!command)
        return unknown_command(argv[1]);
    if (!command->own_help && command_asks_for_help(argc - 1, argv + 1))
        return command_usage(command->name);
    return command->run(argc - 1, argv + 1);
}

/* ---- help ---- */

static int help_of_command(const struct command *command)
{
    char ask[] = "--help", name[32];
    snprintf(name, sizeof name, "%s", command->name);
    if (command->own_help)
        return command->run(2, (char *[]){ name, ask, NULL });
    return command_usage(command->name);
}

int cmd_help(int argc, char **argv)
{
    const char *meant = NULL;
    if (argc < 2) {
        print_usage(stdout);
        putchar('\n');
        config_help(stdout);
        return COMMAND_OK;
    }
    if (argc > 2)
        return command_misused("help", "one topic at a time");
    const struct command *command = find(argv[1]);
    if (command && strcmp(command->name, "help"))
        return help_of_command(command);
    if (!config_help_topic(stdout, argv[1], &meant))
        return COMMAND_OK;
    fprintf(stderr, "carillon help: there is no setting, section or subcommand \"%.80s\"; ", argv[1]);
    fprintf(stderr, meant ? "did you mean %s?\n" : "carillon --help shows all there are\n", meant);
    return COMMAND_FAILED;
}

/* ---- check-config ---- */

/* The keys that the settings name are part of them. */
static int check_keys(const struct config *config, struct config_report *report)
{
    struct buf notes = { 0 };
    struct jwk_set *keys = NULL;
    int err = token_keys_read(config, &report->errors, &notes, &keys);
    for (size_t i = 0; i < report->errors.len; i++)
        report->error_count += report->errors.at[i] == '\n';
    fprintf(stderr, "%.*s", (int)notes.len, buf_slice(&notes).at);
    buf_fini(&notes);
    jwk_set_unref(keys);
    return err;
}

/* FILE [--channel NAME], in any order. NULL, or what is wrong with that. */
static const char *check_config_asked(int argc, char **argv, const char **ret_file, const char **ret_channel)
{
    for (int i = 1; i < argc; i++) {
        bool spaced = !strcmp(argv[i], "--channel"), joined = !strncmp(argv[i], "--channel=", 10);
        if (spaced && i + 1 == argc)
            return "--channel NAME: which channel?";
        if (spaced || joined)
            *ret_channel = joined ? argv[i] + 10 : argv[++i];
        else if (argv[i][0] == '-' || *ret_file)
            return "one file, and no flag but --channel NAME";
        else
            *ret_file = argv[i];
    }
    if (*ret_channel && channel_name_check(slice_of(*ret_channel)))
        return "--channel: a channel name is 1 to 200 bytes of printable ASCII without space, \", \\ and *";
    return *ret_file ? NULL : "which file?";
}

static void print_rule(const struct config *config, const char *channel)
{
    struct buf text = { 0 };
    config_rule_explain(config, slice_of(channel), &text);
    printf("%.*s", (int)text.len, buf_slice(&text).at);
    buf_fini(&text);
}

int cmd_check_config(int argc, char **argv)
{
    struct config_report report = { 0 };
    const struct config *config = NULL;
    const char *file = NULL, *channel = NULL;
    const char *misused = check_config_asked(argc, argv, &file, &channel);
    if (misused)
        return command_misused("check-config", "%s", misused);
    int err = config_load_file(file, &report, &config);
    fprintf(stderr, "%.*s", (int)report.notes.len, buf_slice(&report.notes).at);
    if (!err)
        err = check_keys(config, &report);
    if (err)
        fprintf(stderr, "%.*s%zu mistake%s\n", (int)report.errors.len, buf_slice(&report.errors).at, report.error_count,
                report.error_count == 1 ? "" : "s");
    else if (channel)
        print_rule(config, channel);
    else
        puts("ok");
    config_unref(config);
    config_report_fini(&report);
    return err ? COMMAND_FAILED : COMMAND_OK;
}
