/* own_certificate.h — a key and a certificate that vouches for itself, made anew for a test, and written as PEM files. */
#pragma once
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>

struct own_certificate {
    EVP_PKEY *key;
    X509     *certificate;
};

/* Valid from an hour ago until `seconds` from now. */
static inline struct own_certificate own_certificate_new(long seconds)
{
    struct own_certificate own = { EVP_EC_gen("P-256"), X509_new() };
    X509_NAME *name = X509_get_subject_name(own.certificate);
    X509_set_version(own.certificate, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(own.certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(own.certificate), -3600);
    X509_gmtime_adj(X509_getm_notAfter(own.certificate), seconds);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"localhost", -1, -1, 0);
    X509_set_issuer_name(own.certificate, name);
    X509_set_pubkey(own.certificate, own.key);
    X509_sign(own.certificate, own.key, EVP_sha256());
    return own;
}

static inline void own_certificate_free(struct own_certificate *own)
{
    EVP_PKEY_free(own->key);
    X509_free(own->certificate);
}

static inline void own_certificate_write(const struct own_certificate *own, const char *cert_path, const char *key_path)
{
    FILE *cert = fopen(cert_path, "w"), *key = fopen(key_path, "w");
    PEM_write_X509(cert, own->certificate);
    PEM_write_PrivateKey(key, own->key, NULL, NULL, 0, NULL, NULL);
    fclose(cert);
    fclose(key);
}
