#include "webhooks/cli_webhook.h"

#include "hub/base/clock.h"
#include "hub/base/duration.h"
#include "hub/base/instant.h"
#include "hub/base/json.h"
#include "hub/commands.h"
#include "hub/config/secret.h"
#include "hub/http_out.h"
#include "webhooks/verify.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { BODY_MAX = 4 * 1024 * 1024, HEADERS_MAX = 64 * 1024 };

struct request {
    const char *body_file, *headers_file, *scheme, *tolerance, *now;      /* NULL: not said */
    struct buf  secrets[SECRETS_MAX];      /* what their files hold */
    size_t      n_secrets;
    struct buf  head;                      /* header lines */
    struct buf  body;
    struct buf  wrong;                     /* why not; empty: nothing is wrong */
};

/* ---- the command line ---- */

static void add_secret(struct request *request, const char *path)
{
    struct buf text = { 0 };
    bool open;
    int error = request->n_secrets < SECRETS_MAX ? secret_file_read(path, HEADERS_MAX, &text, &open) : E2BIG;
    if (error)
        buf_addf(&request->wrong, "--secret %.200s: %s", path, error == E2BIG ? "there are two at most, the new one and the old one" : strerror(error));
    else
        request->secrets[request->n_secrets++] = text;
}

static void add_header(struct request *request, const char *line)
{
    buf_add_str(&request->head, line);
    buf_add_char(&request->head, '\n');
}

static const struct option {
    const char *name;
    size_t      offset;                                       /* of the text it sets */
    void      (*take)(struct request *request, const char *value);      /* or what it does */
} options[] = {
    { "secret", 0, add_secret }, { "header", 0, add_header },
    { "headers", offsetof(struct request, headers_file), NULL }, { "body", offsetof(struct request, body_file), NULL },
    { "scheme", offsetof(struct request, scheme), NULL }, { "tolerance", offsetof(struct request, tolerance), NULL }, { "now", offsetof(struct request, now), NULL },
};

static bool set_option(struct request *request, struct slice name, const char *value)
{
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        if (!slice_is(name, slice_of(options[i].name)))
            continue;
        if (options[i].take)
            options[i].take(request, value);
        else
            *(const char **)(void *)((char *)request + options[i].offset) = value;
        return true;
    }
    return false;
}

/* --name VALUE or --name=VALUE. */
static void take_words(struct request *request, int argc, char **argv)
{
    for (int i = 2; i < argc && request->wrong.len == 0; i++) {
        const char *word = strncmp(argv[i], "--", 2) ? NULL : argv[i] + 2, *equals = word ? strchr(word, '=') : NULL;
        struct slice name = slice(word, equals ? (size_t)(equals - word) : word ? strlen(word) : 0);
        const char *value = equals ? equals + 1 : word && i + 1 < argc ? argv[++i] : NULL;
        if (!word)
            buf_addf(&request->wrong, "what is %.100s?", argv[i]);
        else if (!value)
            buf_addf(&request->wrong, "a value must follow --%.100s", word);
        else if (!set_option(request, name, value))
            buf_addf(&request->wrong, "what is --%.*s?", (int)(name.len < 100 ? name.len : 100), name.at);
    }
}

/* ---- files ---- */

static int read_all(FILE *in, size_t max, struct buf *ret_text)
{
    size_t n = 1;
    while (n && ret_text->len <= max) {
        char *room = buf_room(ret_text, 16 * 1024);
        n = room ? fread(room, 1, 16 * 1024, in) : 0;
        buf_advance(ret_text, n);
    }
    return ferror(in) ? errno : ret_text->failed ? ENOMEM : ret_text->len > max ? EFBIG : 0;
}

/* "-" and NULL are standard input. */
static void read_file(struct request *request, const char *path, size_t max, struct buf *ret_text)
{
    bool is_stdin = !path || !strcmp(path, "-");
    FILE *in = is_stdin ? stdin : fopen(path, "re");
    int error = in ? read_all(in, max, ret_text) : errno;
    if (in && !is_stdin)
        fclose(in);
    if (error)
        buf_addf(&request->wrong, "%.200s: %s", is_stdin ? "standard input" : path, strerror(error));
}

/* As tools print them: with CR, with the > of curl -v before them, with a request line, which is nobody's name. */
static void add_lines(struct request *request, struct slice text)
{
    while (text.len > 0) {
        const char *end = memchr(text.at, '\n', text.len);
        struct slice line = slice(text.at, end ? (size_t)(end - text.at) : text.len);
        text = slice(text.at + line.len + !!end, text.len - line.len - !!end);
        while (line.len > 0 && strchr("> <\t", *line.at))
            line = slice(line.at + 1, line.len - 1);
        while (line.len > 0 && line.at[line.len - 1] == '\r')
            line.len--;
        buf_add_slice(&request->head, line);
        buf_add_char(&request->head, '\n');
    }
}

/* {"webhook-id":"…", …}, as frameworks print them. */
static void add_members(struct request *request, struct slice text)
{
    struct json_object object;
    if (json_object_parse(text, &object)) {
        buf_addf(&request->wrong, "%.200s begins like JSON, but is no object of at most %d headers", request->headers_file, JSON_MEMBERS_MAX);
        return;
    }
    for (size_t i = 0; i < object.n; i++) {
        struct buf value = { 0 };
        if (!json_unquote(object.members[i].value, &value) && !memchr(buf_slice(&value).at, '\n', value.len)) {
            buf_add_slice(&request->head, object.members[i].name);
            buf_addf(&request->head, ": %.*s\n", (int)value.len, buf_slice(&value).at);
        }
        buf_fini(&value);
    }
}

static void read_headers(struct request *request)
{
    struct buf text = { 0 };
    if (!request->headers_file)
        return;
    read_file(request, request->headers_file, HEADERS_MAX, &text);
    struct slice all = slice_trim(buf_slice(&text));
    if (all.len > 0 && *all.at == '{')
        add_members(request, all);
    else
        add_lines(request, all);
    buf_fini(&text);
}

/* ---- what is asked ---- */

static void take_secret_of_environment(struct request *request)
{
    const char *secret = getenv("CARILLON_WEBHOOK_SECRET");
    if (request->n_secrets == 0 && secret)
        buf_add_str(&request->secrets[request->n_secrets++], secret);
    if (request->n_secrets == 0)
        buf_add_str(&request->wrong, "the secret is missing: --secret FILE, or CARILLON_WEBHOOK_SECRET");
}

static void take_scheme(struct request *request, struct verifying *with)
{
    with->scheme = signature_scheme_of(buf_slice(&request->head));
    if (request->scheme && !signature_scheme_find(slice_of(request->scheme), &with->scheme)) {
        buf_addf(&request->wrong, "--scheme %.40s is none; there are", request->scheme);
        for (int i = 0; i < SIGNATURE_SCHEMES; i++)
            buf_addf(&request->wrong, " %s", signature_forms[i].name);
    } else if (with->scheme == SIGNATURE_SCHEMES) {
        with->scheme = SIGNATURE_STANDARD;
    }
}

static void take_times(struct request *request, struct verifying *with)
{
    uint64_t now_s;
    int64_t tolerance_ms = 300 * 1000;
    with->now_s = clock_wall_ms(clock_real()) / 1000;
    if (request->tolerance && !duration_parse(slice_of(request->tolerance), &tolerance_ms))
        buf_addf(&request->wrong, "--tolerance %.40s is no time such as 5m", request->tolerance);
    if (request->now && slice_u64(slice_of(request->now), &now_s))
        with->now_s = (int64_t)now_s;
    else if (request->now && !instant_parse(slice_of(request->now), &with->now_s))
        buf_addf(&request->wrong, "--now %.40s is neither seconds since 1970 nor a time such as 2026-11-21T10:08:00Z", request->now);
    with->tolerance_s = tolerance_ms / 1000;
}

static void gather(struct request *request, int argc, char **argv, struct verifying *with)
{
    take_words(request, argc, argv);
    if (request->wrong.len == 0)
        take_secret_of_environment(request);
    if (request->wrong.len == 0 && request->headers_file && !strcmp(request->headers_file, "-") && (!request->body_file || !strcmp(request->body_file, "-")))
        buf_add_str(&request->wrong, "headers and body cannot both be standard input");
    if (request->wrong.len == 0)
        read_headers(request);
    if (request->wrong.len == 0)
        read_file(request, request->body_file, BODY_MAX, &request->body);
    take_scheme(request, with);
    take_times(request, with);
    for (size_t i = 0; i < request->n_secrets; i++)
        with->secrets[i] = secret_line(&request->secrets[i]);
    with->n_secrets = request->n_secrets;
    with->head = buf_slice(&request->head);
    with->body = buf_slice(&request->body);
}

static const char *const verdict_names[] = {
    [VERDICT_GOOD] = "good", [VERDICT_GOOD_OLD] = "good", [VERDICT_NO_HEADER] = "header missing", [VERDICT_BAD_HEADER] = "bad header",
    [VERDICT_CLOCK] = "clock", [VERDICT_SECRET] = "secret", [VERDICT_BODY] = "body changed", [VERDICT_DIFFERENT] = "different",
};

static int say(const struct verifying *with)
{
    struct buf why = { 0 };
    enum verdict verdict = signature_verify(with, &why);
    printf("%s (%s): %.*s\n", verdict_names[verdict], signature_forms[with->scheme].name, (int)why.len, buf_slice(&why).at);
    buf_fini(&why);
    return verdict == VERDICT_GOOD || verdict == VERDICT_GOOD_OLD ? COMMAND_OK : COMMAND_FAILED;
}

static void request_fini(struct request *request)
{
    for (size_t i = 0; i < request->n_secrets; i++)
        secret_forget(&request->secrets[i]);
    buf_fini(&request->head);
    buf_fini(&request->body);
    buf_fini(&request->wrong);
}

int cli_webhook(int argc, char **argv)
{
    struct request request = { 0 };
    struct verifying with = { .scheme = SIGNATURE_STANDARD };
    if (argc < 2 || strcmp(argv[1], "verify") != 0)
        return command_misused("webhook", argc < 2 ? "listen or verify?" : "what is %.100s?", argc < 2 ? "" : argv[1]);
    gather(&request, argc, argv, &with);
    int status = request.wrong.len > 0 ? command_misused("webhook", "%.*s", (int)request.wrong.len, request.wrong.at) : say(&with);
    request_fini(&request);
    return status;
}
