#include "hub/access/token_text.h"

#include "hub/access/grants.h"
#include "hub/access/jwk.h"
#include "hub/access/jwt.h"
#include "hub/access/token.h"
#include "hub/base/err.h"
#include "hub/config/config.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <time.h>

enum { NAME_COLUMN = 20, VALUE_SHOWN = 400 };

/* ---- one line each ---- */

/* Text of the token or of a key, harmless to a terminal. */
static void add_plain(struct buf *out, struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        buf_add_char(out, text.at[i] >= 0x20 && text.at[i] < 0x7f ? text.at[i] : '?');
}

static void add_key(struct buf *out, const struct jwk *key)
{
    add_plain(out, *key->id ? slice_of(key->id) : SLICE("without kid"));
    buf_addf(out, " (%s)", jwa_name(key->key.algorithm));
}

static void add_value(struct buf *out, const json_t *value)
{
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
    size_t len = text ? strlen(text) : 0;
    add_plain(out, slice(text, len > VALUE_SHOWN ? VALUE_SHOWN : len));     /* DEL is not escaped */
    if (len > VALUE_SHOWN)
        buf_add_str(out, "…");
    free(text);
}

static void add_time(struct buf *out, const json_t *value, int64_t now_ms)
{
    static const struct { int64_t seconds; const char *name; } units[] = { { 172800, "days" }, { 7200, "hours" }, { 120, "minutes" }, { 0, "seconds" } };
    double seconds = json_number_value(value);
    char text[40];
    struct tm tm;
    add_value(out, value);
    if (!json_is_number(value) || seconds < 0 || seconds > 1e12)
        return;
    time_t at = (time_t)seconds;
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&at, &tm));
    int64_t away = (int64_t)at - now_ms / 1000, far = away < 0 ? -away : away;
    size_t unit = 0;
    while (far < units[unit].seconds)
        unit++;
    int64_t length = units[unit].seconds ? units[unit].seconds / 2 : 1;
    buf_addf(out, "  %s, %s%" PRId64 " %s%s", text, away < 0 ? "" : "in ", far / length, units[unit].name, away < 0 ? " ago" : "");
}

static const struct claim {
    const char *name, *what;
    bool        is_time;
} known_claims[] = {
    { "sub", "the user", false },
    { "jti", "its own name: to revoke it", false },
    { "iss", "who made it; tokens.issuer", false },
    { "aud", "whom it is for; tokens.audience", false },
    { "exp", "when it ends", true },
    { "nbf", "when it begins", true },
    { "iat", "when it was made", true },
    { "carillon", "what it grants; see below", false },
};

static const struct claim *find_claim(const char *name)
{
    for (size_t i = 0; i < sizeof known_claims / sizeof *known_claims; i++)
        if (!strcmp(known_claims[i].name, name))
            return &known_claims[i];
    return NULL;
}

static bool names_roles(const struct config *config, const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < config->tokens_role_claims.count; i++) {
        const char *claim = config->tokens_role_claims.at[i];
        if (!strncmp(claim, name, len) && (claim[len] == '\0' || claim[len] == '.'))
            return true;
    }
    return false;
}

static void add_name(struct buf *out, const char *name)
{
    json_t *text = json_string(name);
    size_t begin = out->len;
    add_value(out, text);      /* escaped as a value is, without its quotes */
    json_decref(text);
    if (!out->failed && out->len >= begin + 2) {
        memmove(out->at + begin, out->at + begin + 1, out->len - begin - 2);
        out->len -= 2;
    }
    while (!out->failed && out->len - begin < NAME_COLUMN)
        buf_add_char(out, ' ');
}

static void add_claims(struct buf *out, const struct config *config, json_t *claims, int64_t now_ms)
{
    const char *name;
    json_t *value;
    json_object_foreach(claims, name, value) {
        const struct claim *claim = find_claim(name);
        buf_add_str(out, "  ");
        add_name(out, name);
        if (claim && claim->is_time)
            add_time(out, value, now_ms);
        else
            add_value(out, value);
        buf_addf(out, "  (%s)\n", claim ? claim->what : names_roles(config, name) ? "names of roles; tokens.role_claims" : "nothing to the hub");
    }
}

/* ---- the parts ---- */

static void add_keys(struct buf *out, const struct jwk_set *keys)
{
    if (keys->n == 0)
        buf_add_str(out, "keys here: none; [signers] and tokens.jwks bring them");
    for (size_t i = 0; i < keys->n; i++) {
        buf_add_str(out, i ? ", " : "keys here: ");
        add_key(out, &keys->keys[i]);
    }
    buf_add_char(out, '\n');
}

static void add_grants(struct buf *out, const struct token *token)
{
    for (int list = 0; list < GRANT_LISTS; list++) {
        struct slice pattern;
        const char *name = list == GRANT_CHANNELS ? "subscribed at once" : access_op_names[list];
        size_t at = 0, begin = at;
        for (; grants_next(token->grants, list, &at, &pattern); begin = at) {
            if (begin == 0)
                buf_addf(out, "  %-*s", NAME_COLUMN, name);
            else
                buf_add_char(out, ' ');
            buf_add_slice(out, pattern);
        }
        if (at > 0)
            buf_add_char(out, '\n');
    }
    if (token->tier.len > 0) {
        buf_addf(out, "  %-*s", NAME_COLUMN, "limits");
        add_plain(out, token->tier);
        buf_add_char(out, '\n');
    }
}

static int explain_holder(struct buf *out, const struct config *config, const struct jwt *jwt)
{
    struct token *token;
    struct buf why = { 0 }, notes = { 0 };
    int err = token_read(config, jwt, &why, &notes, &token);
    if (!err) {
        buf_add_str(out, "grants, beside what [access] opens to everybody\n");
        add_grants(out, token);
        token_free(token);
    }
    for (struct slice rest = buf_slice(&notes); rest.len > 0;) {
        size_t len = (size_t)((const char *)memchr(rest.at, '\n', rest.len) - rest.at);
        buf_add_str(out, "no effect: ");
        add_plain(out, slice(rest.at, len));
        buf_add_char(out, '\n');
        rest = slice(rest.at + len + 1, rest.len - len - 1);
    }
    if (err == ERR_BAD_TOKEN)
        buf_addf(out, "refused: %.*s\n", (int)why.len, buf_slice(&why).at);
    buf_fini(&why);
    buf_fini(&notes);
    return err;
}

static void explain_signature(struct buf *out, const struct jwk_set *keys, const struct jwt *jwt, bool signed_by_it)
{
    buf_add_str(out, "header\n  ");
    add_value(out, jwt->header);
    buf_add_char(out, '\n');
    if (!signed_by_it) {
        add_keys(out, keys);
        return;
    }
    buf_add_str(out, "signed by the key ");
    add_key(out, jwt->key);
    buf_add_char(out, '\n');
}

int token_explain(const struct jwk_set *keys, const struct config *config, struct slice text, int64_t now_ms, struct buf *out)
{
    struct jwt_rules rules = token_rules(config, now_ms);
    struct jwt jwt;
    enum jwt_fault fault = jwt_check(keys, &rules, text, &jwt);
    bool signed_by_it = jwt.claims != NULL;
    json_t *claims = signed_by_it ? json_incref(jwt.claims) : jwt_read_unchecked(text);
    int err = 0;
    if (jwt.header)
        explain_signature(out, keys, &jwt, signed_by_it);
    if (claims) {
        buf_addf(out, "claims%s\n", signed_by_it ? "" : ", which anybody may have written");
        add_claims(out, config, claims, now_ms);
    }
    if (signed_by_it)
        err = explain_holder(out, config, &jwt);
    if (fault)
        buf_addf(out, "refused: %s\n", jwt_fault_text(fault));
    else if (!err)
        buf_add_str(out, "valid\n");
    json_decref(claims);
    jwt_fini(&jwt);
    return fault ? jwt_fault_error(fault) : err;
}
