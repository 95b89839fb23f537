#include "clients/cli/args.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "clients/cli/cli.h"
#include "hub/base/buf.h"

void cli_tell(const struct cli_command *command, const char *format, ...)
{
    va_list args;
    fprintf(stderr, "carillon %s: ", command->name);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

static void print_help(const struct cli_command *command)
{
    printf("usage: carillon %s %s [options]\n\n%s\n\n", command->name, command->operands, command->help);
    for (const struct cli_option *o = command->options; o->name; o++) {
        char left[48];
        snprintf(left, sizeof left, "--%s %s", o->name, o->form ? o->form : "");
        printf("  %-24s %s\n", left, o->help);
    }
    printf("  %-24s %s\n", "--help", "this text");
}

static const struct cli_option *find_option(const struct cli_command *command, struct slice name)
{
    for (const struct cli_option *o = command->options; o->name; o++)
        if (slice_is(slice_of(o->name), name))
            return o;
    return NULL;
}

static int misused(const struct cli_command *command)
{
    fprintf(stderr, "usage: carillon %s %s [options]; carillon %s --help lists them\n", command->name, command->operands, command->name);
    return CLI_MISUSED;
}

/* Stores the value of one option. `next` is the word after it, or NULL; *ret_used_next says whether that was its value. */
static int take_option(const struct cli_command *command, const char *word, const char *next, bool *ret_used_next)
{
    const char *equals = strchr(word, '=');
    struct slice name = slice(word + 2, equals ? (size_t)(equals - word - 2) : strlen(word + 2));
    const struct cli_option *o = find_option(command, name);
    if (!o) {
        cli_tell(command, "there is no option --%.*s", (int)name.len, name.at);
        return misused(command);
    }
    if (o->type == CLI_FLAG) {
        if (equals) {
            cli_tell(command, "--%s takes no value", o->name);
            return CLI_MISUSED;
        }
        *(bool *)o->ret_value = true;
        return CLI_GO_ON;
    }
    const char *value = equals ? equals + 1 : next;
    if (!value) {
        cli_tell(command, "--%s needs a value: --%s %s", o->name, o->name, o->form);
        return CLI_MISUSED;
    }
    *ret_used_next = !equals;
    if (o->type == CLI_TEXT) {
        *(const char **)o->ret_value = value;
    } else if (!slice_u64(slice_of(value), o->ret_value)) {
        cli_tell(command, "--%s needs a number, not \"%s\"", o->name, value);
        return CLI_MISUSED;
    }
    return CLI_GO_ON;
}

int cli_args_parse(const struct cli_command *command, int argc, char **argv, int *ret_operands)
{
    int operands = 0;
    bool options = true;
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        if (options && !strcmp(word, "--")) {
            options = false;
        } else if (options && (!strcmp(word, "--help") || !strcmp(word, "-h"))) {
            print_help(command);
            return CLI_OK;
        } else if (options && !strncmp(word, "--", 2)) {
            bool used_next = false;
            int done = take_option(command, word, i + 1 < argc ? argv[i + 1] : NULL, &used_next);
            if (done != CLI_GO_ON)
                return done;
            i += used_next;
        } else {
            argv[++operands] = argv[i];
        }
    }
    if (operands < command->min || (command->max >= 0 && operands > command->max))
        return misused(command);
    *ret_operands = operands;
    return CLI_GO_ON;
}
