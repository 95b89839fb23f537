#include "hub/config/config.h"

#include "hub/base/err.h"
#include "hub/config/config_load.h"
#include "hub/config/config_value.h"
#include <pthread.h>
#include <stdlib.h>

void config_report_fini(struct config_report *report)
{
    buf_fini(&report->errors);
    buf_fini(&report->notes);
    report->error_count = 0;
}

const struct config *config_ref(const struct config *config)
{
    atomic_fetch_add_explicit(&snapshot_of(config)->holds, 1, memory_order_relaxed);
    return config;
}

void config_unref(const struct config *config)
{
    while (config && atomic_fetch_sub_explicit(&snapshot_of(config)->holds, 1, memory_order_acq_rel) == 1) {
        const struct config *older = snapshot_of(config)->older;
        snapshot_free(snapshot_of(config));
        config = older;
    }
}

/* ---- --dev: everything is open, so nobody but this machine may come in ---- */

static bool is_loopback(const struct address *address)
{
    const char *host = address->host;
    bool is_127 = !strncmp(host, "127.", 4) && host[strspn(host, "0123456789.")] == '\0';     /* not the name 127.example.com */
    return address->is_unix || is_127 || !strcmp(host, "localhost") || !strcmp(host, "::1");
}

static void keep_at_home(struct config_loader *loader, int key, struct address *address)
{
    char text[32];
    if (!address->is_unix && !*address->host) {
        snprintf(text, sizeof text, "127.0.0.1:%u", (unsigned)address->port);
        address->text = snapshot_copy(loader->snapshot, slice_of(text));
        address->host = "127.0.0.1";
    } else if (!is_loopback(address)) {
        loader_error(loader, loader->set[key].where, "%s is %s, but --dev opens everything to everybody and therefore stays on "
                     "loopback: leave the address out, or use 127.0.0.1", config_keys[key].name, address->text);
    }
}

static void apply_dev(struct config_loader *loader)
{
    struct config *config = &loader->snapshot->config;
    const struct words all = snapshot_words(loader->snapshot, SLICE("**"));
    keep_at_home(loader, CONFIG_KEY_public_listen, &config->public_listen);
    keep_at_home(loader, CONFIG_KEY_api_listen, &config->api_listen);
    if (loader->set[CONFIG_KEY_presence_members].from == FROM_DEFAULTS)
        config->presence_members = true;
    config->access_subscribe = config->access_publish = config->access_history = config->access_presence = config->access_join = all;
}

/* ---- loading ---- */

static int settle(struct config_loader *loader, const struct config **ret_config)
{
    config_entries_read(loader);
    config_tls_read(loader);
    config_jwks_check(loader);
    config_redis_read(loader);
    config_together_check(loader);
    if (loader->snapshot->config.dev)
        apply_dev(loader);
    config_rules_read(loader);
    config_room_rules_read(loader);
    config_ice_read(loader);
    if (loader->report->error_count) {
        snapshot_free(loader->snapshot);
        return ERR_CONFIG;
    }
    *ret_config = &loader->snapshot->config;
    return 0;
}

static void read_file(struct config_loader *loader, const char *path)
{
    loader->source = FROM_FILE;
    config_file_read(loader, path);
}

int config_load(int argc, char *const *argv, struct config_report *report, const struct config **ret_config)
{
    struct config_snapshot *snapshot = snapshot_new();
    struct config_loader loader;
    const char *path = config_file_named(argc, argv);

    snapshot->argc = argc;
    snapshot->argv = argv;
    loader_init(&loader, snapshot, report);
    if (path)
        read_file(&loader, path);
    loader.source = FROM_ENVIRONMENT;
    config_environment_read(&loader);
    loader.source = FROM_FLAGS;
    config_flags_read(&loader, argc, argv);
    return settle(&loader, ret_config);
}

int config_load_file(const char *path, struct config_report *report, const struct config **ret_config)
{
    struct config_loader loader;
    loader_init(&loader, snapshot_new(), report);
    read_file(&loader, path);
    return settle(&loader, ret_config);
}

static const struct config *defaults;

static void make_defaults(void)
{
    struct config_report report = { 0 };
    struct config_loader loader;
    loader_init(&loader, snapshot_new(), &report);
    if (settle(&loader, &defaults)) {
        fprintf(stderr, "%.*s", (int)report.errors.len, buf_slice(&report.errors).at);     /* a row of config.def contradicts itself */
        abort();
    }
    config_report_fini(&report);
}

const struct config *config_defaults(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_defaults);
    return defaults;
}

/* ---- reloading ---- */

static void keep_running_value(struct config_snapshot *fresh, const struct config_key *key, const struct config *old,
                               struct buf *notes)
{
    struct buf now = { 0 }, next = { 0 }, why = { 0 };
    config_value_print(old, key, &now);
    config_value_print(&fresh->config, key, &next);
    if (!slice_is(buf_slice(&now), buf_slice(&next))) {
        buf_addf(notes, "%s = %.*s takes a restart; it stays %.*s until then\n", key->name, (int)next.len, buf_slice(&next).at,
                 (int)now.len, buf_slice(&now).at);
        buf_add_char(&now, '\0');
        config_value_read(fresh, key, buf_slice(&now).at, false, &why);
    }
    buf_fini(&now);
    buf_fini(&next);
    buf_fini(&why);
}

int config_reload(const struct config *old, struct config_report *report, const struct config **ret_config)
{
    const struct config_snapshot *before = snapshot_of(old);
    const struct config *fresh;
    int err = config_load(before->argc, before->argv, report, &fresh);
    if (err)
        return err;
    for (size_t i = 0; i < CONFIG_KEYS; i++)
        if (config_keys[i].rule == CONFIG_RESTART)
            keep_running_value(snapshot_of(fresh), &config_keys[i], old, &report->notes);
    snapshot_of(fresh)->older = config_ref(old);
    *ret_config = fresh;
    return 0;
}
