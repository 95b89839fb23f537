#include "hub/rooms/ice.h"

#include "hub/base/query.h"
#include "hub/config/config.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

void ice_username(struct buf *out, struct slice user, int64_t ends_s)
{
    buf_addf(out, "%lld", (long long)ends_s);
    if (user.len > 0)
        buf_add_char(out, ':');
    percent_encode((struct slice){ user.at, user.len < ICE_USER_BYTES ? user.len : ICE_USER_BYTES }, out);
}

void ice_credential(struct buf *out, struct slice secret, struct slice username)
{
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    if (HMAC(EVP_sha1(), secret.at, (int)secret.len, (const unsigned char *)username.at, username.len, mac, &len))
        buf_add_base64(out, mac, len);
    else
        out->failed = true;
}

static void add_urls(struct buf *out, const struct words *urls)
{
    buf_add_str(out, "{\"urls\":[");
    for (size_t i = 0; i < urls->count; i++) {
        if (i > 0)
            buf_add_char(out, ',');
        buf_add_json(out, slice_of(urls->at[i]));
    }
    buf_add_char(out, ']');
}

static void add_credentials(struct buf *out, struct slice username, struct slice credential)
{
    buf_add_str(out, ",\"username\":");
    buf_add_json(out, username);
    buf_add_str(out, ",\"credential\":");
    buf_add_json(out, credential);
}

/* Each may be the first. */
static void begin_server(struct buf *out, size_t *n, const struct words *urls)
{
    if ((*n)++ > 0)
        buf_add_char(out, ',');
    add_urls(out, urls);
}

static void add_timed(struct buf *out, size_t *n, const struct config *config, struct slice username)
{
    for (size_t i = 0; i < config->ice_key_count; i++) {
        struct buf credential = { 0 };
        ice_credential(&credential, config->ice_keys[i], username);
        begin_server(out, n, &config->ice_turn);
        add_credentials(out, username, buf_slice(&credential));
        buf_add_char(out, '}');
        out->failed |= credential.failed;
        buf_fini(&credential);
    }
}

static void add_static(struct buf *out, size_t *n, const struct config *config)
{
    begin_server(out, n, &config->ice_turn);
    if (*config->ice_user)
        add_credentials(out, slice_of(config->ice_user), slice_of(config->ice_password));
    buf_add_char(out, '}');
}

int64_t ice_print(struct buf *out, const struct config *config, struct slice user, int64_t wall_ms, int64_t ttl_ms)
{
    bool timed = config->ice_turn.count > 0 && config->ice_key_count > 0;
    struct buf username = { 0 };
    size_t n = 0;
    ttl_ms = ttl_ms > 0 ? ttl_ms : config->ice_ttl_ms;
    int64_t ends_s = (wall_ms + ttl_ms) / 1000;
    buf_add_str(out, ",\"ice_servers\":[");
    if (config->ice_stun.count > 0) {
        begin_server(out, &n, &config->ice_stun);
        buf_add_char(out, '}');
    }
    if (timed) {
        ice_username(&username, user, ends_s);
        add_timed(out, &n, config, buf_slice(&username));
    } else if (config->ice_turn.count > 0) {
        add_static(out, &n, config);
    }
    buf_add_char(out, ']');
    if (timed)
        buf_addf(out, ",\"ice_expires_ms\":%lld", (long long)(ends_s * 1000 - wall_ms));
    out->failed |= username.failed;
    buf_fini(&username);
    return timed ? ends_s * 1000 - wall_ms : INT64_MAX;
}

void ice_print_rtc(struct buf *out, const struct config *config)
{
    static const char *const policies[] = { [ICE_ALL] = "all", [ICE_RELAY] = "relay" };
    static const char *const bundles[] = { [ICE_BALANCED] = "balanced", [ICE_MAX_COMPAT] = "max-compat", [ICE_MAX_BUNDLE] = "max-bundle" };
    buf_addf(out, ",\"rtc_config\":{\"iceTransportPolicy\":\"%s\",\"bundlePolicy\":\"%s\"}", policies[config->ice_policy], bundles[config->ice_bundle]);
}
