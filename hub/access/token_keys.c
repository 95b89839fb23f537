#define _GNU_SOURCE      /* memmem */
#include "hub/access/token_keys.h"

#include "hub/access/jwk.h"
#include "hub/base/err.h"
#include "hub/config/config.h"
#include "hub/config/secret.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <sys/stat.h>

struct reading {
    struct jwk_set            *keys;
    const struct config_entry *entry;        /* the line in hand */
    const struct jwa          *algorithm;
    struct buf                *errors, *notes;
    bool                       failed;
};

static void mistake(struct reading *r, const char *what, struct slice more)
{
    buf_addf(r->errors, "%s: signers.%s: %s%.*s\n", r->entry->where, r->entry->name, what, (int)more.len, more.at);
    r->failed = true;
}

/* ---- [signers] ---- */

static void add_key(struct reading *r, struct slice content)
{
    struct buf why = { 0 };
    struct slice id = slice_of(r->entry->name);
    int err = jwa_is_secret(r->algorithm) ? jwk_set_add_secret(r->keys, id, r->algorithm, content, &why)
                                          : jwk_set_add_pem(r->keys, id, r->algorithm, content, &why);
    if (err)
        mistake(r, err == ERR_MEMORY ? "no memory" : "the key ", buf_slice(&why));
    buf_fini(&why);
}

/* A secret in the settings is as secret as their file, and one on the command line is none. */
static void look_at_place(struct reading *r)
{
    const char *where = r->entry->where, *colon = strrchr(where, ':');
    char *path = colon ? slice_copy(slice(where, (size_t)(colon - where))) : NULL;
    struct stat st;
    if (slice_begins(slice_of(where), SLICE("--")))
        buf_addf(r->notes, "signers.%s: everybody on this machine can read the command line; file:PATH keeps it secret\n", r->entry->name);
    else if (path && !stat(path, &st) && (st.st_mode & S_IROTH))
        buf_addf(r->notes, "signers.%s: everybody on this machine can read %s; chmod 640 would keep it secret\n", r->entry->name, path);
    free(path);
}

static void take_secret(struct reading *r, struct slice text)
{
    look_at_place(r);
    if (jwa_is_secret(r->algorithm))
        add_key(r, text);
    else
        mistake(r, "a secret is for HS256, HS384 and HS512; this algorithm has keys in PEM form: file:PATH", SLICE(""));
}

static void take_path(struct reading *r, const char *path)
{
    struct buf text = { 0 };
    bool open = false;
    int error = secret_file_read(path, TOKEN_KEY_FILE_MAX, &text, &open);
    if (error) {
        buf_addf(r->errors, "%s: signers.%s: %s cannot be read: %s\n", r->entry->where, r->entry->name, path, strerror(error));
        r->failed = true;
    } else {
        struct slice content = jwa_is_secret(r->algorithm) ? secret_line(&text) : buf_slice(&text);
        add_key(r, content);
        if (open && (jwa_is_secret(r->algorithm) || memmem(content.at, content.len, "PRIVATE KEY", 11)))
            buf_addf(r->notes, "signers.%s: everybody on this machine can read %s; chmod 640 would keep it secret\n", r->entry->name, path);
    }
    secret_forget(&text);
}

static void take_file(struct reading *r, struct slice path)
{
    char *name = slice_copy(path);
    if (name)
        take_path(r, name);
    else
        mistake(r, "no memory", SLICE(""));
    free(name);
}

static void take_credential(struct reading *r, struct slice name)
{
    char path[4096];
    const char *wrong = secret_credential_path(name, path, sizeof path);
    if (wrong)
        mistake(r, wrong, SLICE(""));
    else
        take_path(r, path);
}

static const struct source {
    struct slice prefix;
    void       (*take)(struct reading *r, struct slice rest);
} sources[] = { { SLICE("file:"), take_file }, { SLICE("credential:"), take_credential }, { SLICE("secret:"), take_secret } };

/* What follows the algorithm. It may be a secret that somebody forgot the prefix of, so it is never repeated. */
static void take_source(struct reading *r, struct slice text)
{
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++)
        if (slice_begins(text, sources[i].prefix)) {
            sources[i].take(r, slice(text.at + sources[i].prefix.len, text.len - sources[i].prefix.len));
            return;
        }
    mistake(r, "behind the algorithm stands file:PATH, credential:NAME or secret:TEXT", SLICE(""));
}

static void read_line(struct reading *r)
{
    const char *value = r->entry->value;
    struct slice name = slice(value, strcspn(value, " \t"));
    r->algorithm = jwa_find(name);
    if (r->algorithm) {
        take_source(r, slice_of(value + name.len + strspn(value + name.len, " \t")));
    } else {
        struct buf names = { 0 };
        jwa_add_names(&names);
        mistake(r, "a line is NAME = ALGORITHM file:PATH, and the algorithm is one of ", buf_slice(&names));
        buf_fini(&names);
    }
}

/* ---- tokens.jwks ---- */

bool token_keys_are_remote(const struct config *config) { return config_jwks_url(config) != NULL; }

static void read_jwks(struct reading *r, const char *path)
{
    struct buf text = { 0 }, why = { 0 };
    bool open;
    int error = secret_file_read(path, TOKEN_KEY_FILE_MAX, &text, &open);
    int err = error ? 0 : jwk_set_add_json(r->keys, buf_slice(&text), &why);
    if (error)
        buf_addf(r->errors, "tokens.jwks: %s cannot be read: %s\n", path, strerror(error));
    else if (err)
        buf_addf(r->errors, "tokens.jwks: %s %.*s\n", path, (int)why.len, buf_slice(&why).at);
    r->failed = r->failed || error || err;
    secret_forget(&text);
    buf_fini(&why);
}

int token_keys_read(const struct config *config, struct buf *errors, struct buf *notes, struct jwk_set **ret_keys)
{
    struct reading r = { .keys = jwk_set_new(), .errors = errors, .notes = notes };
    if (!r.keys) {
        buf_add_str(errors, "signers: no memory\n");
        return ERR_CONFIG;
    }
    for (size_t i = 0; i < config->entry_count; i++)
        if (!strcmp(config->entries[i].section, "signers")) {
            r.entry = &config->entries[i];
            read_line(&r);
        }
    if (*config->tokens_jwks && !token_keys_are_remote(config))
        read_jwks(&r, config->tokens_jwks);
    if (*config->tokens_jwks && config->tokens_audience.count == 0)
        buf_add_str(notes, "tokens.audience is empty: tokens that the identity provider of tokens.jwks made for other services are valid here too\n");
    if (r.failed) {
        jwk_set_unref(r.keys);
        return ERR_CONFIG;
    }
    *ret_keys = r.keys;
    return 0;
}
