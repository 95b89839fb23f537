/* cli_key.c — `carillon key new`: a fresh API key, shown once, and the line of [keys] that admits it. */
#include "hub/commands.h"
#include "hub/config/api_key.h"

#include <stdio.h>

struct request {
    const char *name;
    struct buf  scopes;       /* each with a space before it */
    struct buf  wrong;        /* why not; empty: nothing is wrong */
};

static void add_scope(struct request *request, const char *scope)
{
    struct buf why = { 0 };
    if (api_key_scope_check(slice_of(scope), &why))
        buf_addf(&request->wrong, "\"%.100s\" %.*s", scope, (int)why.len, buf_slice(&why).at);
    else
        buf_addf(&request->scopes, " %s", scope);
    buf_fini(&why);
}

static void set_name(struct request *request, const char *name)
{
    if (!api_key_name_check(slice_of(name)))
        buf_addf(&request->wrong, "\"%.100s\" is not a name: 1 to 64 of A-Z a-z 0-9 . _ -", name);
    request->name = name;
}

/* One option at argv[i], as --name VALUE or --name=VALUE; returns the index of its last word. */
static int take_option(struct request *request, int argc, char **argv, int i)
{
    static const struct {
        const char *name;
        void      (*take)(struct request *request, const char *value);
    } options[] = { { "--name", set_name }, { "--scope", add_scope } };

    for (size_t k = 0; k < sizeof options / sizeof options[0]; k++) {
        size_t len = strlen(options[k].name);
        if (strncmp(argv[i], options[k].name, len) || (argv[i][len] && argv[i][len] != '='))
            continue;
        if (argv[i][len])
            options[k].take(request, argv[i] + len + 1);
        else if (i + 1 < argc)
            options[k].take(request, argv[++i]);
        else
            buf_addf(&request->wrong, "a value must follow %s", options[k].name);
        return i;
    }
    buf_addf(&request->wrong, "what is %.100s?", argv[i]);
    return i;
}

static int print_key(const struct request *request)
{
    char key[API_KEY_TEXT];
    uint8_t digest[32];
    struct buf line = { 0 };

    if (api_key_make(key) || api_key_digest(slice_of(key), digest)) {
        fprintf(stderr, "carillon key: the kernel gives no random numbers, or no memory\n");
        return COMMAND_FAILED;
    }
    api_key_add_digest(&line, digest);
    printf("%s\n\n"
           "This is the key. It is shown only now: give it to whoever needs it.\n"
           "The hub gets its fingerprint, by this line in the file of settings:\n\n"
           "[keys]\n%s = %.*s%.*s\n",
           key, request->name, (int)line.len, buf_slice(&line).at, (int)request->scopes.len, buf_slice(&request->scopes).at);
    buf_fini(&line);
    explicit_bzero(key, sizeof key);
    return COMMAND_OK;
}

int cmd_key(int argc, char **argv)
{
    struct request request = { .name = "backend" };
    int status;
    if (argc < 2 || strcmp(argv[1], "new"))
        return command_misused("key", "there is one thing to do with keys: carillon key new");
    for (int i = 2; i < argc && !request.wrong.len; i++)
        i = take_option(&request, argc, argv, i);
    if (request.wrong.len)
        status = command_misused("key", "%.*s", (int)request.wrong.len, request.wrong.at);
    else
        status = print_key(&request);
    buf_fini(&request.scopes);
    buf_fini(&request.wrong);
    return status;
}
