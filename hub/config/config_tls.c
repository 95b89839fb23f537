/* config_tls.c — tls.cert and tls.key as what OpenSSL makes of them: read with every snapshot, so that a SIGHUP takes over a
 * renewed certificate, and a broken one is a mistake in the configuration like any other. */
#include "hub/config/config_load.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <time.h>

enum { EXPIRES_SOON_DAYS = 7 };

/* ALPN (RFC 7301): HTTP/1.1 is all there is. A client that asks for something else only is told so. */
static int choose_protocol(SSL *ssl, const unsigned char **ret, unsigned char *ret_len, const unsigned char *offered, unsigned n, void *arg)
{
    static const unsigned char http11[] = "\x08http/1.1";
    unsigned char *chosen;
    (void)ssl, (void)arg;
    if (SSL_select_next_proto(&chosen, ret_len, http11, sizeof http11 - 1, offered, n) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *ret = chosen;
    return SSL_TLSEXT_ERR_OK;
}

/* A key with a passphrase would make OpenSSL ask at the terminal. */
int config_tls_no_passphrase(char *out, int size, int writes, void *arg)
{
    (void)out, (void)size, (void)writes, (void)arg;
    return 0;
}

void config_tls_mistake(struct config_loader *loader, int key, const char *path, const char *what)
{
    unsigned long error = ERR_peek_error();
    const char *reason = ERR_GET_LIB(error) == ERR_LIB_SYS ? strerror(ERR_GET_REASON(error)) : ERR_reason_error_string(error);
    loader_error(loader, loader->set[key].where, "%s: \"%.200s\" %s: %s", config_keys[key].name, path, what, reason ? reason : "unknown error");
    ERR_clear_error();
}

static const char *path_of(const struct config_loader *loader, int key)
{
    return *(const char *const *)((const char *)&loader->snapshot->config + config_keys[key].offset);
}

bool config_tls_certificate(struct config_loader *loader, SSL_CTX *context, int key)
{
    const char *path = path_of(loader, key);
    if (SSL_CTX_use_certificate_chain_file(context, path) == 1)
        return true;
    config_tls_mistake(loader, key, path, "is no certificate in PEM form that can be read");
    return false;
}

bool config_tls_private_key(struct config_loader *loader, SSL_CTX *context, int key)
{
    const char *path = path_of(loader, key);
    if (SSL_CTX_use_PrivateKey_file(context, path, SSL_FILETYPE_PEM) == 1 && SSL_CTX_check_private_key(context) == 1)
        return true;
    bool other = ERR_GET_LIB(ERR_peek_error()) == ERR_LIB_X509;
    config_tls_mistake(loader, key, path, other ? "does not belong to the certificate" : "is no private key in PEM form without passphrase that can be read");
    return false;
}

static void note_expiry(struct config_loader *loader, SSL_CTX *context)
{
    const ASN1_TIME *end = X509_get0_notAfter(SSL_CTX_get0_certificate(context));
    int days = 0, seconds = 0;
    if (!ASN1_TIME_diff(&days, &seconds, NULL, end))
        return;
    if (days < 0 || seconds < 0)
        buf_addf(&loader->report->notes, "tls.cert: the certificate has expired; clients will refuse it\n");
    else if (days < EXPIRES_SOON_DAYS)
        buf_addf(&loader->report->notes, "tls.cert: the certificate expires in %d days\n", days);
}

/* TLS 1.2 and up, no renegotiation, tickets instead of a cache of sessions; an idle connection gives its buffers back. */
static SSL_CTX *context_new(void)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    if (!context)
        return NULL;
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(context, 1);
    SSL_CTX_set_alpn_select_cb(context, choose_protocol, NULL);
    SSL_CTX_set_default_passwd_cb(context, config_tls_no_passphrase);
    return context;
}

void config_tls_read(struct config_loader *loader)
{
    struct config *config = &loader->snapshot->config;
    bool cert = *config->tls_cert, key = *config->tls_key;
    if (cert != key)
        loader_error(loader, loader->set[cert ? CONFIG_KEY_tls_cert : CONFIG_KEY_tls_key].where, "tls.cert and tls.key belong together; %s is missing",
                     cert ? "tls.key" : "tls.cert");
    if (!cert || !key)
        return;
    ERR_clear_error();
    config->tls = context_new();
    if (!config->tls)
        loader_error(loader, loader->set[CONFIG_KEY_tls_cert].where, "tls.cert: no memory");
    else if (config_tls_certificate(loader, config->tls, CONFIG_KEY_tls_cert) && config_tls_private_key(loader, config->tls, CONFIG_KEY_tls_key))
        note_expiry(loader, config->tls);
}

SSL_CTX *config_public_tls(const struct config *config) { return config->public_listen.is_unix ? NULL : config->tls; }
SSL_CTX *config_api_tls(const struct config *config)    { return config->api_listen.is_unix || !config->tls_api ? NULL : config->tls; }
