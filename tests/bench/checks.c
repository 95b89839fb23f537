/* checks.c — what it costs to check a token: `checks ALGORITHM N` prints the CPU time of one authority_check, and how many that
 * makes per second of a core. The hub's own code on one thread, as an edge calls it; the token is one of a user with a few grants. */
#include "hub/access/authority.h"
#include "hub/access/jwk.h"
#include "hub/access/jwt.h"
#include "hub/config/config.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static const char claims[] = "{\"sub\":\"ann\",\"jti\":\"0123456789abcdef\",\"iss\":\"https://id.example.com/\",\"aud\":\"hub\",\"iat\":1700000000,\"exp\":1700003600,"
                             "\"carillon\":{\"subscribe\":[\"news.**\",\"chat.*\",\"room.{user}.**\"],\"publish\":[\"chat.*\"],\"history\":[\"chat.*\"]}}";
enum { NOW_S = 1700000010 };

static void die(const char *what)
{
    fprintf(stderr, "checks: %s\n", what);
    exit(1);
}

static EVP_PKEY *new_pair(const char *name)
{
    if (*name == 'R' || *name == 'P')
        return EVP_RSA_gen(2048);
    return *name == 'E' && name[1] == 'd' ? EVP_PKEY_Q_keygen(NULL, NULL, "ED25519") : EVP_EC_gen(strcmp(name, "ES384") ? "P-256" : "P-384");
}

static struct jwk_set *new_keys(const char *name)
{
    static const char secret[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    const struct jwa *algorithm = jwa_find(slice_of(name));
    struct jwk_set *keys = jwk_set_new();
    struct buf why = { 0 };
    const char *reason = NULL;
    if (!algorithm || !keys)
        die("no such algorithm");
    if (jwa_is_secret(algorithm)) {
        if (jwk_set_add_secret(keys, SLICE("k"), algorithm, slice_of(secret), &why))
            die("no key");
        return keys;
    }
    EVP_PKEY *pair = new_pair(name);
    if (!pair || jwa_key_pkey(algorithm, pair, &keys->keys[0].key, &reason) || !(keys->keys[0].id = slice_copy(SLICE("k"))))
        die("no key pair");
    keys->n = 1;
    EVP_PKEY_free(pair);
    return keys;
}

static double cpu_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void check(struct authority *authority, struct slice token)
{
    struct principal *principal;
    if (authority_check(authority, config_defaults(), token, NOW_S, &principal))
        die("the token is refused");
    principal_unref(principal);
}

int main(int argc, char **argv)
{
    long n = argc == 3 ? atol(argv[2]) : 0;
    if (n < 1)
        die("usage: checks ALGORITHM N");
    struct authority *authority = authority_new();
    struct jwk_set *keys = new_keys(argv[1]);
    struct buf token = { 0 };
    if (!authority || jwt_make(&keys->keys[0], slice_of(claims), &token) || authority_set_keys(authority, KEYS_OF_SETTINGS, keys))
        die("no token");
    for (long i = 0; i < n / 10; i++)
        check(authority, buf_slice(&token));
    double began = cpu_us();
    for (long i = 0; i < n; i++)
        check(authority, buf_slice(&token));
    double each = (cpu_us() - began) / (double)n;
    printf("{\"check_us\":%.3f,\"checks_per_s\":%.0f}\n", each, 1e6 / each);
    return 0;
}
