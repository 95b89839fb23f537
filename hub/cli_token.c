/* cli_token.c — `carillon token new` signs a token, `carillon token check` says what one means and whether the hub would take it.
 *
 * Keys are those of the settings, or one file (--key). Tokens and secrets come from files and standard input: what stands on a command
 * line is shown to everybody on the machine. */
#include "hub/access/jwk.h"
#include "hub/access/jwt.h"
#include "hub/access/token_keys.h"
#include "hub/access/token_text.h"
#include "hub/base/clock.h"
#include "hub/base/duration.h"
#include "hub/base/err.h"
#include "hub/base/json.h"
#include "hub/base/name.h"
#include "hub/commands.h"
#include "hub/config/config.h"
#include "hub/config/secret.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/random.h>

enum { TOKEN_INPUT_MAX = 1024 * 1024, LISTS = ACCESS_OPS + 1, JTI_BYTES = 12 };
static const struct slice usual_life = SLICE("1h");

struct request {
    const char *config_file, *signer, *key_file, *algorithm, *kid, *sub, *jti, *limits, *info;
    const char *exp;                /* NULL: not said */
    struct buf  lists[LISTS];       /* items of JSON arrays, by operation; the last: channels */
    struct buf  claims;             /* further members: ,"name":value */
    const char *token;              /* what `check` shall look at: -, @FILE or a token; NULL: - */
    struct buf  wrong;              /* why not; empty: nothing is wrong */
};

static const char *list_name(int list) { return list == ACCESS_OPS ? "channels" : access_op_names[list]; }

/* ---- the command line ---- */

static void add_item(struct request *request, int list, const char *item)
{
    struct buf *out = &request->lists[list];
    if (pattern_check(slice_of(item)))
        buf_addf(&request->wrong, "--%s: \"%.100s\" is no %s", list_name(list), item, list == ACCESS_OPS ? "channel name or pattern" : "pattern");
    if (out->len > 0)
        buf_add_char(out, ',');
    buf_add_json(out, slice_of(item));
}

/* NAME=JSON; what is no JSON is a text. */
static void add_claim(struct request *request, const char *text)
{
    static const char *const ours[] = { "sub", "exp", "iat", "jti", "carillon" };
    const char *equals = strchr(text, '=');
    struct slice name = slice(text, equals ? (size_t)(equals - text) : 0), value = slice_of(equals ? equals + 1 : ""), whole;
    if (name.len == 0)
        buf_addf(&request->wrong, "--claim is written NAME=JSON");
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        if (slice_is(name, slice_of(ours[i])))
            buf_addf(&request->wrong, "--claim: `%s` has options of its own", ours[i]);
    buf_add_char(&request->claims, ',');
    buf_add_json(&request->claims, name);
    buf_add_char(&request->claims, ':');
    if (json_check(value, &whole) == 0)
        buf_add_slice(&request->claims, whole);
    else
        buf_add_json(&request->claims, value);
}

static const struct option {
    const char *name;
    size_t      offset;             /* of the member it sets */
} options[] = {
    { "config", offsetof(struct request, config_file) }, { "signer", offsetof(struct request, signer) }, { "key", offsetof(struct request, key_file) },
    { "alg", offsetof(struct request, algorithm) }, { "kid", offsetof(struct request, kid) }, { "sub", offsetof(struct request, sub) },
    { "exp", offsetof(struct request, exp) }, { "jti", offsetof(struct request, jti) }, { "limits", offsetof(struct request, limits) },
    { "info", offsetof(struct request, info) },
};

static bool set_option(struct request *request, struct slice name, const char *value)
{
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        if (slice_is(name, slice_of(options[i].name))) {
            *(const char **)(void *)((char *)request + options[i].offset) = value;
            return true;
        }
    for (int list = 0; list < LISTS; list++)
        if (slice_is(name, slice_of(list_name(list)))) {
            add_item(request, list, value);
            return true;
        }
    if (slice_is(name, SLICE("claim")))
        add_claim(request, value);
    return slice_is(name, SLICE("claim"));
}

/* One option at argv[i], as --name VALUE or --name=VALUE; returns the index of its last word. */
static int take_option(struct request *request, int argc, char **argv, int i)
{
    const char *word = argv[i] + 2, *equals = strchr(word, '=');
    struct slice name = slice(word, equals ? (size_t)(equals - word) : strlen(word));
    const char *value = equals ? equals + 1 : i + 1 < argc ? argv[++i] : NULL;
    if (!value)
        buf_addf(&request->wrong, "a value must follow --%.100s", word);
    else if (!set_option(request, name, value))
        buf_addf(&request->wrong, "what is --%.*s?", (int)(name.len < 100 ? name.len : 100), name.at);
    return i;
}

static void take_words(struct request *request, int argc, char **argv, bool takes_token)
{
    for (int i = 2; i < argc && request->wrong.len == 0; i++) {
        if (!strncmp(argv[i], "--", 2))
            i = take_option(request, argc, argv, i);
        else if (takes_token && !request->token)
            request->token = argv[i];
        else
            buf_addf(&request->wrong, takes_token ? "one token at a time" : "what is %.100s?", argv[i]);
    }
}

/* ---- files and settings ---- */

static int read_path(const char *path, struct buf *ret_text)
{
    bool open;      /* is for whoever serves with it to mind */
    return secret_file_read(path, TOKEN_INPUT_MAX, ret_text, &open);
}

static int tell(int err, const char *what, const char *why)
{
    fprintf(stderr, "carillon token: %s%s%s\n", what, *why ? ": " : "", why);
    return err;
}

static int load_settings(const struct request *request, const struct config **ret_config)
{
    static char flag[] = "--config";
    char *argv[] = { flag, (char *)(uintptr_t)request->config_file, NULL };
    struct config_report report = { 0 };
    int err = config_load(request->config_file ? 2 : 0, argv, &report, ret_config);
    fprintf(stderr, "%.*s", (int)report.errors.len, buf_slice(&report.errors).at);
    config_report_fini(&report);
    return err;
}

static int read_keys_of_settings(const struct config *config, struct jwk_set **ret_keys)
{
    struct buf errors = { 0 }, notes = { 0 };
    int err = token_keys_read(config, &errors, &notes, ret_keys);
    fprintf(stderr, "%.*s%.*s", (int)errors.len, buf_slice(&errors).at, (int)notes.len, buf_slice(&notes).at);
    if (!err && token_keys_are_remote(config))
        fprintf(stderr, "the keys of tokens.jwks are not fetched here\n");
    buf_fini(&errors);
    buf_fini(&notes);
    return err;
}

static void tell_algorithms(const char *wrong, struct buf *why)
{
    buf_addf(why, "--alg %.20s is no algorithm; there are ", wrong);
    jwa_add_names(why);
}

/* One file: a JWK or JWK set, a secret (--alg HS…), or PEM. */
static int read_key_file(const struct request *request, struct jwk_set **ret_keys)
{
    const struct jwa *algorithm = request->algorithm ? jwa_find(slice_of(request->algorithm)) : NULL;
    struct slice kid = slice_of(request->kid ? request->kid : "");
    struct jwk_set *keys = jwk_set_new();
    struct buf text = { 0 }, why = { 0 };
    int error = read_path(request->key_file, &text), err = keys ? 0 : ERR_MEMORY;
    struct slice content = buf_slice(&text);
    if (error)
        buf_add_str(&why, strerror(error));
    else if (request->algorithm && !algorithm)
        tell_algorithms(request->algorithm, &why);
    else if (!err && content.len > 0 && *content.at == '{')
        err = jwk_set_add_json(keys, content, &why);
    else if (!err && algorithm && jwa_is_secret(algorithm))
        err = jwk_set_add_secret(keys, kid, algorithm, slice(content.at, content.len - (content.len > 0 && content.at[content.len - 1] == '\n')), &why);
    else if (!err)
        err = jwk_set_add_pem(keys, kid, algorithm, content, &why);
    if (err || why.len > 0) {
        buf_add_char(&why, '\0');
        err = tell(ERR_CONFIG, request->key_file, why.failed ? "" : why.at);
        jwk_set_unref(keys);
    } else {
        *ret_keys = keys;
    }
    if (text.at)
        explicit_bzero(text.at, text.len);
    buf_fini(&text);
    buf_fini(&why);
    return err;
}

static int load(const struct request *request, const struct config **ret_config, struct jwk_set **ret_keys)
{
    int err = load_settings(request, ret_config);
    if (!err)
        err = request->key_file ? read_key_file(request, ret_keys) : read_keys_of_settings(*ret_config, ret_keys);
    return err;
}

/* ---- new ---- */

static void add_text_member(struct buf *out, const char *name, const char *value)
{
    if (!value)
        return;
    buf_addf(out, "%s\"%s\":", out->len > 1 ? "," : "", name);
    buf_add_json(out, slice_of(value));
}

static void add_ours(const struct request *request, struct buf *out)
{
    struct buf ours = { 0 };
    buf_add_char(&ours, '{');
    for (int list = 0; list < LISTS; list++)
        if (request->lists[list].len > 0)
            buf_addf(&ours, "%s\"%s\":[%.*s]", ours.len > 1 ? "," : "", list_name(list), (int)request->lists[list].len, request->lists[list].at);
    if (request->info)
        buf_addf(&ours, "%s\"info\":%s", ours.len > 1 ? "," : "", request->info);
    add_text_member(&ours, "limits", request->limits);
    buf_add_char(&ours, '}');
    if (ours.len > 2) {
        buf_add_str(out, ",\"carillon\":");
        buf_add_slice(out, buf_slice(&ours));
    }
    buf_fini(&ours);
}

static void make_jti(char out[2 * JTI_BYTES + 1])
{
    unsigned char bytes[JTI_BYTES];
    out[0] = '\0';
    if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes)
        return;
    for (size_t i = 0; i < JTI_BYTES; i++)
        snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

static void make_claims(const struct request *request, const struct config *config, int64_t life_ms, struct buf *out)
{
    int64_t now_s = clock_wall_ms(clock_real()) / 1000;
    char jti[2 * JTI_BYTES + 1];
    make_jti(jti);
    buf_add_char(out, '{');
    add_text_member(out, "sub", request->sub);
    buf_addf(out, "%s\"iat\":%" PRId64 ",\"exp\":%" PRId64, out->len > 1 ? "," : "", now_s, now_s + life_ms / 1000);
    add_text_member(out, "jti", request->jti ? request->jti : jti);
    if (*config->tokens_issuer)
        add_text_member(out, "iss", config->tokens_issuer);
    if (config->tokens_audience.count > 0)
        add_text_member(out, "aud", config->tokens_audience.at[0]);
    add_ours(request, out);
    buf_add_slice(out, buf_slice(&request->claims));
    buf_add_char(out, '}');
}

static const struct jwk *choose_key(const struct request *request, const struct jwk_set *keys)
{
    const struct jwk *found = NULL;
    for (size_t i = 0; i < keys->n; i++)
        if (!request->signer || !strcmp(keys->keys[i].id, request->signer)) {
            if (found) {
                tell(0, "there are several keys; --signer NAME says which", "");
                return NULL;
            }
            found = &keys->keys[i];
        }
    if (!found)
        tell(0, request->signer ? "no line of [signers] has this name" : "there is no key: --config FILE with [signers], or --key FILE", request->signer ? request->signer : "");
    return found;
}

static int print_token(const struct request *request, const struct config *config, const struct jwk_set *keys, int64_t life_ms)
{
    const struct jwk *key = choose_key(request, keys);
    struct buf claims = { 0 }, token = { 0 };
    if (!key)
        return COMMAND_FAILED;
    make_claims(request, config, life_ms, &claims);
    int err = claims.failed ? ERR_MEMORY : jwt_make(key, buf_slice(&claims), &token);
    if (!err)
        printf("%.*s\n", (int)token.len, token.at);
    else
        tell(err, *key->id ? key->id : "the key", err == ERR_INTERNAL ? "cannot sign: only its public half is here" : err_text(err));
    buf_fini(&claims);
    buf_fini(&token);
    return err ? COMMAND_FAILED : COMMAND_OK;
}

static int token_new(struct request *request)
{
    const struct config *config = NULL;
    struct jwk_set *keys = NULL;
    struct slice info;
    int64_t life_ms;
    if (!duration_parse(request->exp ? slice_of(request->exp) : usual_life, &life_ms) || life_ms < 1000)
        return command_misused("token", "--exp is a duration: 30s, 10m, 24h, 7d");
    if (request->info && json_check(slice_of(request->info), &info))
        return command_misused("token", "--info is JSON");
    int status = load(request, &config, &keys) ? COMMAND_FAILED : print_token(request, config, keys, life_ms);
    jwk_set_unref(keys);
    config_unref(config);
    return status;
}

/* ---- check ---- */

static int read_token(const char *from, struct buf *ret_text)
{
    int error = 0;
    if (!from || !strcmp(from, "-"))
        error = secret_stream_read(stdin, TOKEN_INPUT_MAX, ret_text);
    else if (*from == '@')
        error = read_path(from + 1, ret_text);
    else
        buf_add_str(ret_text, from);
    return error ? tell(ERR_CONFIG, from && *from == '@' ? from + 1 : "standard input", strerror(error)) : 0;
}

/* Without white space around it, and without a leading "Bearer ". */
static struct slice token_of(const struct buf *text)
{
    struct slice token = buf_slice(text);
    while (token.len > 0 && strchr(" \t\r\n", token.at[token.len - 1]))
        token.len--;
    while (token.len > 0 && strchr(" \t\r\n", *token.at))
        token = slice(token.at + 1, token.len - 1);
    return slice_begins(token, SLICE("Bearer ")) ? slice(token.at + 7, token.len - 7) : token;
}

static int token_check(struct request *request)
{
    const struct config *config = NULL;
    struct jwk_set *keys = NULL;
    struct buf text = { 0 }, out = { 0 };
    int err = load(request, &config, &keys);
    if (!err)
        err = read_token(request->token, &text);
    if (!err) {
        err = token_explain(keys, config, token_of(&text), clock_wall_ms(clock_real()), &out);
        printf("%.*s", (int)out.len, buf_slice(&out).at);
    }
    buf_fini(&text);
    buf_fini(&out);
    jwk_set_unref(keys);
    config_unref(config);
    return err ? COMMAND_FAILED : COMMAND_OK;
}

int cmd_token(int argc, char **argv)
{
    bool check = argc > 1 && !strcmp(argv[1], "check");
    struct request request = { 0 };
    if (!check && (argc < 2 || strcmp(argv[1], "new")))
        return command_misused("token", "there are two things to do with tokens: carillon token new, carillon token check");
    take_words(&request, argc, argv, check);
    int status = request.wrong.len > 0 ? command_misused("token", "%.*s", (int)request.wrong.len, request.wrong.at)
                 : check ? token_check(&request) : token_new(&request);
    for (int list = 0; list < LISTS; list++)
        buf_fini(&request.lists[list]);
    buf_fini(&request.claims);
    buf_fini(&request.wrong);
    return status;
}
