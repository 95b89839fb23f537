/* hub/access/jwt.h, token.h, grants.h, token_text.h: whatever a token says. Input: the header's JSON, a line end, the claims' JSON; they
 * are signed here with a key of ours, so that everything behind the signature is reached. The same bytes unsigned are no valid token. */
#include "hub/access/base64url.h"
#include "hub/access/grants.h"
#include "hub/access/jwk.h"
#include "hub/access/jwt.h"
#include "hub/access/token.h"
#include "hub/access/token_text.h"
#include "hub/base/err.h"
#include "hub/base/name.h"
#include "hub/config/config.h"
#include "tests/fuzz/fuzz.h"

#define SECRET "0123456789abcdef0123456789abcdef"
#define WORDS(...) { (const char *const[]){ __VA_ARGS__ }, sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(const char *) }
enum { INPUT_MAX = 20000 };
static const int64_t now_ms = INT64_C(1700000000000);

static const struct config_role roles[] = {
    { .name = "editor", .grants = { [OP_PUBLISH] = WORDS("chat.**", "drafts.{user}.x") } },
    { .name = "ops", .grants = { [OP_ADMIN] = WORDS("**") } },
};

static const char *const role_claims[] = { "role", "scope", "realm_access.roles", "a.b.c.d" };
static struct config config;
static struct jwk_set *keys;

static void set_up(void)
{
    struct buf why = { 0 };
    config = *config_defaults();
    config.roles = roles;
    config.role_count = sizeof roles / sizeof *roles;
    config.tokens_role_claims = (struct words){ role_claims, sizeof role_claims / sizeof *role_claims };
    keys = jwk_set_new();
    must(!jwk_set_add_secret(keys, SLICE("k"), jwa_find(SLICE("HS256")), SLICE(SECRET), &why), "no key");
}

static void make(struct slice header, struct slice claims, struct buf *token)
{
    struct buf signature = { 0 };
    base64url_add(token, header);
    buf_add_char(token, '.');
    base64url_add(token, claims);
    must(!jwa_sign(&keys->keys[0].key, buf_slice(token), &signature), "not signed");
    buf_add_char(token, '.');
    base64url_add(token, buf_slice(&signature));
    buf_fini(&signature);
}

/* Every grant is a pattern and grants itself. */
static void check_grants(const struct token *token)
{
    struct slice pattern;
    size_t n = 0;
    for (int list = 0; list < GRANT_LISTS; list++)
        for (size_t at = 0; grants_next(token->grants, list, &at, &pattern); n++) {
            must(!pattern_check(pattern), "no pattern: %.*s", (int)pattern.len, pattern.at);
            must(grants_cover(token->grants, list == GRANT_CHANNELS ? OP_SUBSCRIBE : (enum access_op)list, pattern), "does not cover itself");
        }
    must(n <= GRANTS_MAX, "%zu grants", n);
}

static void check_words(const struct buf *text)
{
    struct slice said = buf_slice(text);
    for (size_t i = 0; i < said.len; i++) {
        bool cut = (unsigned char)said.at[i] >= 0x80 && i + 2 < said.len && !memcmp(said.at + i, "…", 3);     /* what is left out is said so */
        must(cut || said.at[i] == '\n' || (said.at[i] >= 0x20 && said.at[i] < 0x7f), "byte %02x is shown", (unsigned char)said.at[i]);
        i += cut ? 2 : 0;
    }
}

static int check(struct slice text)
{
    struct jwt_rules rules = token_rules(&config, now_ms);
    struct jwt jwt;
    struct token *token = NULL;
    struct buf why = { 0 }, words = { 0 };
    int err = jwt_fault_error(jwt_check(keys, &rules, text, &jwt));
    if (!err)
        err = token_read(&config, &jwt, &why, NULL, &token);
    must(!err || err == ERR_BAD_TOKEN || err == ERR_TOKEN_EXPIRED, "error %d", err);
    if (!err) {
        must(token->expires_s * 1000 > now_ms, "it has expired");
        check_grants(token);
    }
    must(token_explain(keys, &config, text, now_ms, &words) == err || err == ERR_TOKEN_EXPIRED, "explained otherwise than judged");
    check_words(&words);
    token_free(token);
    jwt_fini(&jwt);
    buf_fini(&why);
    buf_fini(&words);
    return err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = input(data, size);
    const char *end = memchr(in.at, '\n', in.len);
    struct buf token = { 0 };
    if (!keys)
        set_up();
    if (size > INPUT_MAX)
        return 0;
    must(check(in), "what nobody signed is valid");
    if (end) {
        make(slice(in.at, (size_t)(end - in.at)), slice(end + 1, in.len - (size_t)(end - in.at) - 1), &token);
        check(buf_slice(&token));
        token.at[token.len / 2] ^= 1;
        must(check(buf_slice(&token)), "what was changed is valid");
    }
    buf_fini(&token);
    return 0;
}
