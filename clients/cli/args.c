#include "clients/cli/args.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clients/cli/cli.h"
#include "clients/cli/terminal.h"
#include "hub/base/duration.h"
#include "hub/base/nearest.h"

enum { OPTIONS_MAX = 48, HELP_COLUMN = 28 };

/* ---- what is said to people ---- */

static void tell(const struct cli_command *command, const char *colour, const char *format, va_list args)
{
    struct buf line = { 0 };
    char text[4096];
    vsnprintf(text, sizeof text, format, args);
    buf_add_str(&line, colour);
    buf_addf(&line, "carillon %s: ", command->name);
    terminal_add(&line, slice_of(text));
    buf_add_str(&line, *colour ? COLOUR_OFF "\n" : "\n");
    fwrite(line.at, 1, line.len, stderr);       /* one write: lines of several commands on one terminal stay whole */
    buf_fini(&line);
}

void cli_tell(const struct cli_command *command, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    tell(command, command->colours ? COLOUR_DIM : "", format, args);
    va_end(args);
}

void cli_warn(const struct cli_command *command, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    tell(command, command->colours ? COLOUR_WARNING : "", format, args);
    va_end(args);
}

static int print_usage(const struct cli_command *command)
{
    fprintf(stderr, "usage: carillon %s %s [options]; carillon %s --help lists them\n", command->name, command->operands, command->name);
    return CLI_MISUSED;
}

int cli_misused(const struct cli_command *command, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    tell(command, "", format, args);
    va_end(args);
    return print_usage(command);
}

static void print_option(const char *name, const char *form, const char *help)
{
    char left[64];
    int n = snprintf(left, sizeof left, "--%s%s%s", name, form ? " " : "", form ? form : "");
    printf("  %-*s", HELP_COLUMN, left);
    if (n >= HELP_COLUMN)
        printf("\n  %-*s", HELP_COLUMN, "");
    puts(help);
}

static void print_help(const struct cli_command *command)
{
    printf("usage: carillon %s %s [options]\n\n%s\n\n", command->name, command->operands, command->help);
    for (const struct cli_option *o = command->options; o->name; o++)
        print_option(o->name, o->form, o->help);
    print_option("help", NULL, "this text");
    if (command->more)
        printf("\n%s\n", command->more);
}

/* ---- values ---- */

/* Which of "auto|always|never" it is; -1: none. */
static int find_word(const char *words, struct slice value)
{
    for (int n = 0;; n++) {
        size_t len = strcspn(words, "|");
        if (slice_is(slice(words, len), value))
            return n;
        if (!words[len])
            return -1;
        words += len + 1;
    }
}

static const char *add_item(struct cli_list *list, const char *value)
{
    if (list->n == CLI_LIST_MAX)
        return "no more than 64 values";
    list->items[list->n++] = value;
    return NULL;
}

/* NULL, or what the option needs instead. */
static const char *take_value(const struct cli_option *o, const char *value)
{
    int word;
    switch (o->type) {
    case CLI_TEXT:
        *(const char **)o->ret_value = value;
        return NULL;
    case CLI_COUNT:
        return slice_u64(slice_of(value), o->ret_value) ? NULL : "a number";
    case CLI_TIME:
        return duration_parse(slice_of(value), o->ret_value) ? NULL : "a time such as 250ms, 5s or 10m";
    case CLI_WORD:
        word = find_word(o->form, slice_of(value));
        if (word >= 0)
            *(int *)o->ret_value = word;
        return word >= 0 ? NULL : o->form;
    case CLI_LIST:
        return add_item(o->ret_value, value);
    default:
        return "no value";
    }
}

static const struct cli_option *find_option(const struct cli_command *command, struct slice name)
{
    for (const struct cli_option *o = command->options; o->name; o++)
        if (slice_is(slice_of(o->name), name))
            return o;
    return NULL;
}

static int unknown_option(const struct cli_command *command, struct slice name)
{
    const char *names[OPTIONS_MAX] = { "help" };
    size_t count = 1;
    char word[64];
    for (const struct cli_option *o = command->options; o->name && count < OPTIONS_MAX; o++)
        names[count++] = o->name;
    snprintf(word, sizeof word, "%.*s", (int)name.len, name.at);
    const char *meant = nearest(word, names, count);
    if (!meant)
        return cli_misused(command, "there is no option --%s", word);
    cli_misused(command, "there is no option --%s; did you mean --%s?", word, meant);
    return CLI_MISUSED;
}

/* Stores the value of one option. `next` is the word after it, or NULL; *ret_used_next says whether that was its value. */
static int take_option(const struct cli_command *command, const char *word, const char *next, bool *ret_used_next)
{
    const char *equals = strchr(word, '=');
    struct slice name = slice(word + 2, equals ? (size_t)(equals - word - 2) : strlen(word + 2));
    const struct cli_option *o = find_option(command, name);
    if (!o)
        return unknown_option(command, name);
    if (o->type == CLI_FLAG && equals)
        return cli_misused(command, "--%s takes no value", o->name);
    if (o->type == CLI_FLAG) {
        *(bool *)o->ret_value = true;
        return CLI_GO_ON;
    }
    const char *value = equals ? equals + 1 : next;
    if (!value)
        return cli_misused(command, "--%s needs a value: --%s %s", o->name, o->name, o->form);
    *ret_used_next = !equals;
    const char *needs = take_value(o, value);
    return needs ? cli_misused(command, "--%s needs %s, not \"%s\"", o->name, needs, value) : CLI_GO_ON;
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
    if (operands < command->min)
        return cli_misused(command, operands ? "there is something missing behind %s" : "%s is missing", operands ? argv[operands] : command->operands);
    if (command->max >= 0 && operands > command->max)
        return cli_misused(command, "\"%s\" is one word too many: what has blanks needs quotes", argv[command->max + 1]);
    *ret_operands = operands;
    return CLI_GO_ON;
}
