/* config_redis.c — redis.url in its parts, and the TLS it asks for. */
#include "hub/config/config_load.h"
#include "hub/config/redis_url.h"
#include "hub/config/secret.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <string.h>

enum { PREFIX_MAX = 64, NODE_MAX = 64, URL_FILE_MAX = 16 * 1024 };

/* The URL may hold a password, so it is not repeated. */
static bool parse_url(struct config_loader *loader, struct slice text)
{
    struct redis_url *url = snapshot_alloc(loader->snapshot, sizeof *url);
    const char *wrong = redis_url_read(text, url);
    if (wrong)
        loader_error(loader, loader->set[CONFIG_KEY_redis_url].where, "redis.url %s", wrong);
    else
        loader->snapshot->config.redis = url;
    return !wrong;
}

static bool read_url_file(struct config_loader *loader, const char *path)
{
    const char *where = loader->set[CONFIG_KEY_redis_url].where;
    struct buf text = { 0 };
    bool open = false, taken = false;
    int error = secret_file_read(path, URL_FILE_MAX, &text, &open);
    if (error)
        loader_error(loader, where, "redis.url: %s cannot be read: %s", path, strerror(error));
    else
        taken = parse_url(loader, secret_line(&text));
    if (taken && open && loader->snapshot->config.redis->password)
        buf_addf(&loader->report->notes, "redis.url: everybody on this machine can read %s; chmod 640 would keep the password secret\n", path);
    secret_forget(&text);
    return taken;
}

static bool read_url(struct config_loader *loader)
{
    const char *text = loader->snapshot->config.redis_url;
    char path[4096];
    if (slice_begins(slice_of(text), SLICE("file:")))
        return read_url_file(loader, text + strlen("file:"));
    if (!slice_begins(slice_of(text), SLICE("credential:")))
        return parse_url(loader, slice_of(text));
    const char *wrong = secret_credential_path(slice_of(text + strlen("credential:")), path, sizeof path);
    if (wrong)
        loader_error(loader, loader->set[CONFIG_KEY_redis_url].where, "redis.url: %s", wrong);
    return !wrong && read_url_file(loader, path);
}

/* What does not matter is rather a mistake than a comfort that is none. */
static void check_unused(struct config_loader *loader, bool tls)
{
    static const int keys[] = { CONFIG_KEY_redis_ca, CONFIG_KEY_redis_cert, CONFIG_KEY_redis_key };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (!tls && loader->set[keys[i]].from != FROM_DEFAULTS)
            loader_error(loader, loader->set[keys[i]].where, "%s is for a redis.url that begins with rediss", config_keys[keys[i]].name);
    if (loader->set[CONFIG_KEY_store_dir].from != FROM_DEFAULTS && *loader->snapshot->config.store_dir)
        buf_addf(&loader->report->notes, "store.dir is not used: Redis keeps everything (redis.url)\n");
}

static bool trust(struct config_loader *loader, SSL_CTX *context)
{
    const char *path = loader->snapshot->config.redis_ca;
    if (*path ? SSL_CTX_load_verify_locations(context, path, NULL) : SSL_CTX_set_default_verify_paths(context))
        return true;
    config_tls_mistake(loader, CONFIG_KEY_redis_ca, path, "has no certificates in PEM form that can be read");
    return false;
}

static void read_tls(struct config_loader *loader)
{
    struct config *config = &loader->snapshot->config;
    bool cert = *config->redis_cert, key = *config->redis_key;
    if (cert != key) {
        loader_error(loader, loader->set[cert ? CONFIG_KEY_redis_cert : CONFIG_KEY_redis_key].where,
                     "redis.cert and redis.key belong together; %s is missing", cert ? "redis.key" : "redis.cert");
        return;
    }
    ERR_clear_error();
    SSL_CTX *context = config->redis_tls = SSL_CTX_new(TLS_client_method());
    if (!context) {
        loader_error(loader, loader->set[CONFIG_KEY_redis_url].where, "redis.url: no memory");
        return;
    }
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_default_passwd_cb(context, config_tls_no_passphrase);
    if (trust(loader, context) && cert && config_tls_certificate(loader, context, CONFIG_KEY_redis_cert))
        config_tls_private_key(loader, context, CONFIG_KEY_redis_key);
}

void config_redis_read(struct config_loader *loader)
{
    const struct config *config = &loader->snapshot->config;
    size_t prefix = strlen(config->redis_prefix);
    if (prefix == 0 || prefix > PREFIX_MAX || strpbrk(config->redis_prefix, "{} \n"))
        loader_error(loader, loader->set[CONFIG_KEY_redis_prefix].where, "redis.prefix is 1 to %d bytes without space, { and }", PREFIX_MAX);
    if (strlen(config->redis_node) > NODE_MAX)
        loader_error(loader, loader->set[CONFIG_KEY_redis_node].where, "redis.node is at most %d bytes", NODE_MAX);
    if (!*config->redis_url || !read_url(loader))
        return;
    check_unused(loader, config->redis->tls);
    if (config->redis->tls)
        read_tls(loader);
}
