/* config_ice.c — STUN and TURN servers: their URLs are looked at, secrets are read where they stand. */
#include "hub/config/config_load.h"
#include "hub/config/secret.h"

#include <string.h>

enum { SECRETS_MAX = 8, SECRET_MAX = 4096 };

static void check_urls(struct config_loader *loader, int key, const struct words *urls, const char *plain, const char *tls)
{
    for (size_t i = 0; i < urls->count; i++) {
        struct slice url = slice_of(urls->at[i]);
        if ((!slice_begins(url, slice_of(plain)) || url.len == strlen(plain)) && (!slice_begins(url, slice_of(tls)) || url.len == strlen(tls)))
            loader_error(loader, loader->set[key].where, "%s: \"%.100s\" is not such a URL: it begins with %s or %s", config_keys[key].name, urls->at[i], plain, tls);
    }
}

static bool read_file(struct config_loader *loader, const char *path, struct slice *ret_secret)
{
    const char *where = loader->set[CONFIG_KEY_ice_secrets].where;
    struct buf text = { 0 };
    bool open = false;
    int error = secret_file_read(path, SECRET_MAX, &text, &open);
    struct slice line = secret_line(&text);
    if (error)
        loader_error(loader, where, "ice.secrets: %s cannot be read: %s", path, strerror(error));
    else if (line.len == 0)
        loader_error(loader, where, "ice.secrets: %s is empty", path);
    else
        *ret_secret = slice_of(snapshot_copy(loader->snapshot, line));
    if (!error && open)
        buf_addf(&loader->report->notes, "ice.secrets: everybody on this machine can read %s; chmod 640 would keep the secret\n", path);
    secret_forget(&text);
    return !error;
}

static bool read_secret(struct config_loader *loader, const char *text, struct slice *ret_secret)
{
    char path[4096];
    if (slice_begins(slice_of(text), SLICE("file:")))
        return read_file(loader, text + strlen("file:"), ret_secret);
    *ret_secret = slice_of(text);
    if (!slice_begins(slice_of(text), SLICE("credential:")))
        return true;
    const char *wrong = secret_credential_path(slice_of(text + strlen("credential:")), path, sizeof path);
    if (wrong)
        loader_error(loader, loader->set[CONFIG_KEY_ice_secrets].where, "ice.secrets: %s", wrong);
    return !wrong && read_file(loader, path, ret_secret);
}

static void read_secrets(struct config_loader *loader)
{
    struct config *config = &loader->snapshot->config;
    const struct words *secrets = &config->ice_secrets;
    struct slice *keys = snapshot_alloc(loader->snapshot, (secrets->count + 1) * sizeof *keys);
    if (secrets->count > SECRETS_MAX)
        loader_error(loader, loader->set[CONFIG_KEY_ice_secrets].where, "ice.secrets: more than %d", SECRETS_MAX);
    for (size_t i = 0; i < secrets->count && i < SECRETS_MAX; i++)
        if (read_secret(loader, secrets->at[i], &keys[i]))
            config->ice_key_count = i + 1;
    config->ice_keys = keys;
}

void config_ice_read(struct config_loader *loader)
{
    const struct config *config = &loader->snapshot->config;
    bool user = *config->ice_user, password = *config->ice_password;
    check_urls(loader, CONFIG_KEY_ice_stun, &config->ice_stun, "stun:", "stuns:");
    check_urls(loader, CONFIG_KEY_ice_turn, &config->ice_turn, "turn:", "turns:");
    if (user != password)
        loader_error(loader, loader->set[user ? CONFIG_KEY_ice_user : CONFIG_KEY_ice_password].where, "ice.user and ice.password belong together; %s is missing",
                     user ? "ice.password" : "ice.user");
    if (user && config->ice_secrets.count > 0)
        loader_error(loader, loader->set[CONFIG_KEY_ice_user].where, "ice.user is the same for everybody, ice.secrets gives each its own: leave one of them out");
    if (config->ice_turn.count > 0 && !user && config->ice_secrets.count == 0)
        buf_addf(&loader->report->notes, "ice.turn: TURN servers want credentials, and there are neither ice.secrets nor ice.user\n");
    read_secrets(loader);
}
