#include "hub/access/token.h"

#include "hub/access/grants.h"
#include "hub/access/jwt.h"
#include "hub/base/err.h"
#include "hub/base/name.h"
#include "hub/base/nearest.h"
#include "hub/config/config.h"

#include <jansson.h>
#include <stdlib.h>

struct reading {
    const struct config  *config;
    const json_t         *claims, *ours;       /* ours: the claim carillon, or NULL */
    struct grants_builder grants;
    struct slice          user, jti, tier;     /* in the claims */
    char                 *info;                /* malloc'ed; NULL: none */
    size_t                roles;               /* names of roles looked at */
    bool                  no_memory;
    struct buf           *why, *notes;
};

static struct slice text_of(const json_t *value)
{
    return json_is_string(value) ? slice(json_string_value(value), json_string_length(value)) : slice("", 0);
}

/* ---- names ---- */

/* A claim that is a name of somebody or something. True also when it is not there. */
static bool take_name(struct reading *r, const json_t *object, const char *claim, size_t most, struct slice *ret_name)
{
    const json_t *value = json_object_get(object, claim);
    struct slice name = text_of(value);
    if (value && (name.len == 0 || name.len > most || name_has_control(name))) {
        buf_addf(r->why, "`%s` is a string of 1 to %zu bytes without control characters", claim, most);
        return false;
    }
    *ret_name = name;
    return true;
}

/* ---- grants ---- */

static const char *list_name(int list) { return list == GRANT_CHANNELS ? "channels" : access_op_names[list]; }

/* `from` says whose it is: "carillon", "role editor". */
static bool grant(struct reading *r, const char *from, int list, struct slice pattern)
{
    switch (grants_add(&r->grants, list, pattern)) {
    case GRANT_FINE:
        return true;
    case GRANT_VOID:
        if (r->notes)
            buf_addf(r->notes, "%s: %s %.*s is void: {user} cannot be put in (no `sub`, one that fits no channel name, or one with a dot where "
                     "{user} is not the last thing)\n", from, list_name(list), (int)pattern.len, pattern.at);
        return true;
    case GRANT_NO_PATTERN:
        buf_addf(r->why, "`%s.%s` has an item that is no %s", from, list_name(list), list == GRANT_CHANNELS ? "channel name or pattern" : "pattern");
        return false;
    case GRANT_TOO_MANY:
        buf_addf(r->why, "the token grants more than %d patterns, roles included", GRANTS_MAX);
        return false;
    }
    return false;
}

static bool take_list(struct reading *r, int list)
{
    const json_t *items = json_object_get(r->ours, list_name(list));
    size_t n = json_array_size(items);
    bool good = !items || json_is_array(items);
    for (size_t i = 0; i < n && good; i++)
        good = json_is_string(json_array_get(items, i));
    if (!good) {
        buf_addf(r->why, "`carillon.%s` is an array of strings", list_name(list));
        return false;
    }
    if (list == GRANT_CHANNELS && n > TOKEN_CHANNELS_MAX) {
        buf_addf(r->why, "`carillon.channels` has more than %d channels", TOKEN_CHANNELS_MAX);
        return false;
    }
    for (size_t i = 0; i < n && good; i++) {
        struct slice item = text_of(json_array_get(items, i));
        good = grant(r, "carillon", list, item) && (list != GRANT_CHANNELS || grant(r, "carillon", OP_SUBSCRIBE, item));
    }
    return good;
}

/* user.{user}, where that is a channel, needs no grant. */
static void grant_own_channel(struct reading *r)
{
    struct buf name = { 0 };
    buf_add_str(&name, USER_CHANNEL_PREFIX);
    buf_add_slice(&name, r->user);
    if (r->user.len > 0 && !name.failed && channel_name_check(buf_slice(&name)) == 0)
        grants_add(&r->grants, OP_SUBSCRIBE, SLICE(USER_CHANNEL_PREFIX "{user}"));
    r->no_memory = r->no_memory || name.failed;
    buf_fini(&name);
}

/* Names that mean nothing here are most often a slip. */
static void note_unknown(struct reading *r)
{
    static const char *const others[] = { "channels", "info", "limits" };
    const char *known[GRANT_LISTS + 2], *name;
    const json_t *value;
    for (int i = 0; i < ACCESS_OPS; i++)
        known[i] = access_op_names[i];
    memcpy(known + ACCESS_OPS, others, sizeof others);
    size_t n = ACCESS_OPS + sizeof others / sizeof *others;
    json_object_foreach((json_t *)(uintptr_t)r->ours, name, value) {
        const char *meant = nearest(name, known, n);
        if (!meant || strcmp(meant, name))
            buf_addf(r->notes, "carillon: %.80s means nothing here%s%s%s\n", name, meant ? "; did you mean " : "", meant ? meant : "", meant ? "?" : "");
    }
}

static bool take_ours(struct reading *r)
{
    const json_t *info = json_object_get(r->ours, "info");
    if (r->ours && !json_is_object(r->ours)) {
        buf_add_str(r->why, "`carillon` is an object");
        return false;
    }
    for (int list = 0; list < GRANT_LISTS; list++)
        if (!take_list(r, list))
            return false;
    if (info && !(r->info = json_dumps(info, JSON_COMPACT | JSON_ENCODE_ANY)))
        r->no_memory = true;
    if (r->info && strlen(r->info) > r->config->presence_max_info) {
        buf_addf(r->why, "`carillon.info` has more than %zu bytes (presence.max_info)", (size_t)r->config->presence_max_info);
        return false;
    }
    if (r->notes && r->ours)
        note_unknown(r);
    return take_name(r, r->ours, "limits", TOKEN_TIER_MAX, &r->tier);
}

/* ---- roles ---- */

static const struct config_role *find_role(const struct config *config, struct slice name)
{
    for (size_t i = 0; i < config->role_count; i++)
        if (slice_is(name, slice_of(config->roles[i].name)))
            return &config->roles[i];
    return NULL;
}

static bool take_role(struct reading *r, struct slice name)
{
    char from[96];
    const struct config_role *role = r->roles < TOKEN_ROLES_MAX ? find_role(r->config, name) : NULL;
    bool good = true;
    if (r->roles++ >= TOKEN_ROLES_MAX) {
        buf_addf(r->why, "the token names more than %d roles (tokens.role_claims)", TOKEN_ROLES_MAX);
        return false;
    }
    if (!role && r->notes && !memchr(name.at, '\n', name.len))
        buf_addf(r->notes, "role %.*s: there is no [role \"%.*s\"] in the settings\n", (int)name.len, name.at, (int)name.len, name.at);
    snprintf(from, sizeof from, "role %.80s", role ? role->name : "");
    for (int op = 0; role && op < ACCESS_OPS; op++)
        for (size_t i = 0; i < role->grants[op].count && good; i++)
            good = grant(r, from, op, slice_of(role->grants[op].at[i]));
    return good;
}

/* The words of a text, parted by spaces (RFC 8693 §4.2: scope). */
static bool take_role_words(struct reading *r, struct slice text)
{
    bool good = true;
    while (text.len > 0 && good) {
        const char *space = memchr(text.at, ' ', text.len);
        size_t len = space ? (size_t)(space - text.at) : text.len;
        good = len == 0 || take_role(r, slice(text.at, len));
        text = slice(text.at + len + (space != NULL), text.len - len - (space != NULL));
    }
    return good;
}

/* The claim of that name; else its first part up to a dot is an object's name. */
static const json_t *find_claim(const json_t *object, struct slice name)
{
    const json_t *claim = json_object_getn(object, name.at, name.len);
    const char *dot = claim ? NULL : memchr(name.at, '.', name.len);
    if (!dot)
        return claim;
    return find_claim(json_object_getn(object, name.at, (size_t)(dot - name.at)), slice(dot + 1, name.len - (size_t)(dot + 1 - name.at)));
}

static bool take_roles(struct reading *r)
{
    bool good = true;
    for (size_t i = 0; i < r->config->tokens_role_claims.count && good; i++) {
        const json_t *claim = find_claim(r->claims, slice_of(r->config->tokens_role_claims.at[i]));
        good = take_role_words(r, text_of(claim));
        for (size_t k = 0; k < json_array_size(claim) && good; k++) {
            struct slice name = text_of(json_array_get(claim, k));
            good = name.len == 0 || take_role(r, name);
        }
    }
    return good;
}

/* ---- the token ---- */

static struct slice put(char **at, struct slice text)
{
    struct slice copy = slice(*at, text.len);
    memcpy(*at, text.at, text.len);
    *at += text.len;
    return copy;
}

static int64_t seconds_or_never(int64_t ms, int64_t more_ms) { return ms == INT64_MAX ? INT64_MAX : (ms + more_ms) / 1000; }

static struct token *token_of(struct reading *r, const struct jwt *jwt)
{
    struct slice info = r->info ? slice_of(r->info) : SLICE("");
    struct grants *grants = grants_take(&r->grants);
    struct token *token = grants && !r->no_memory ? malloc(sizeof *token + r->user.len + r->jti.len + r->tier.len + info.len) : NULL;
    if (!token) {
        free(grants);
        return NULL;
    }
    char *at = token->bytes;
    *token = (struct token){ .grants = grants, .issued_s = jwt->issued_ms / 1000,
                             .expires_s = seconds_or_never(jwt->expires_ms, r->config->tokens_leeway_ms) };
    token->user = put(&at, r->user);
    token->jti = put(&at, r->jti);
    token->tier = put(&at, r->tier);
    token->info = put(&at, info);
    return token;
}

int token_read(const struct config *config, const struct jwt *jwt, struct buf *why, struct buf *notes, struct token **ret_token)
{
    struct reading r = { .config = config, .claims = jwt->claims, .ours = json_object_get(jwt->claims, "carillon"), .why = why, .notes = notes };
    struct token *token = NULL;
    bool good = take_name(&r, jwt->claims, "sub", TOKEN_NAME_MAX, &r.user) && take_name(&r, jwt->claims, "jti", TOKEN_NAME_MAX, &r.jti);
    if (good) {
        r.grants.user = r.user;
        grant_own_channel(&r);
        good = take_ours(&r) && take_roles(&r);
    }
    if (good)
        token = token_of(&r, jwt);
    grants_builder_fini(&r.grants);
    free(r.info);
    if (!good)
        return ERR_BAD_TOKEN;
    if (!token)
        return ERR_MEMORY;
    *ret_token = token;
    return 0;
}

void token_free(struct token *token)
{
    if (!token)
        return;
    free(token->grants);
    free(token);
}

struct jwt_rules token_rules(const struct config *config, int64_t now_ms)
{
    return (struct jwt_rules){
        .issuer = slice_of(config->tokens_issuer), .audiences = config->tokens_audience.at, .n_audiences = config->tokens_audience.count,
        .required = config->tokens_require.at, .n_required = config->tokens_require.count, .leeway_ms = config->tokens_leeway_ms,
        .max_life_ms = config->tokens_max_life_ms, .max_bytes = config->tokens_max_bytes, .now_ms = now_ms,
    };
}
