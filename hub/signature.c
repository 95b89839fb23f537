#include "hub/signature.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#define TIME_NO_TIME    false
#define TIME_TIME_FIRST true
const struct signature_form signature_forms[SIGNATURE_SCHEMES] = {
#define SCHEME(name, text, signature, id, timestamp, event, time, prefix, parting, encoding, signs, key, what) \
    { text, signature, id, timestamp, event, TIME_##time, prefix, parting, ENCODING_##encoding, signs, KEY_##key, what },
#include "hub/signature.def"
#undef SCHEME
};

bool signature_scheme_find(struct slice name, enum signature_scheme *ret_scheme)
{
    for (int i = 0; i < SIGNATURE_SCHEMES; i++)
        if (slice_is(name, slice_of(signature_forms[i].name))) {
            *ret_scheme = (enum signature_scheme)i;
            return true;
        }
    return false;
}

/* ---- secrets ---- */

/* Standard Webhooks: 24 to 64 bytes. */
enum { DECODED_MIN = 24, DECODED_MAX = 64, MADE_BYTES = 32 };
static const char whsec[] = "whsec_";

/* RFC 4648 §4 with its padding, and nothing else: EVP_DecodeBlock alone would take white space around it too. */
static bool decode_base64(struct slice text, unsigned char *out, size_t *ret_len)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t letters = 0, padding;
    while (letters < text.len && text.at[letters] && strchr(alphabet, text.at[letters]))
        letters++;
    padding = text.len - letters;
    if (text.len == 0 || text.len % 4 || padding > 2 || memcmp(text.at + letters, "==", padding) != 0)
        return false;
    int n = EVP_DecodeBlock(out, (const unsigned char *)text.at, (int)text.len);
    *ret_len = n > 0 ? (size_t)n - padding : 0;
    return n > 0;
}

static const char *check_decoded(struct slice secret)
{
    unsigned char key[SECRET_MAX];
    size_t len;
    if (!slice_begins(secret, slice_of(whsec)))
        return "does not begin with whsec_, as Standard Webhooks want it";
    bool good = decode_base64(slice(secret.at + strlen(whsec), secret.len - strlen(whsec)), key, &len);
    OPENSSL_cleanse(key, sizeof key);
    if (!good)
        return "is no base64 behind whsec_ (A-Z a-z 0-9 + /, padded with =)";
    if (len < DECODED_MIN || len > DECODED_MAX)
        return "stands for less than 24 or more than 64 bytes: whsec_ and base64 of 24 to 64 random ones";
    return NULL;
}

const char *secret_check(enum signature_scheme scheme, struct slice secret)
{
    if (secret.len > SECRET_MAX)
        return "is longer than 256 bytes";
    for (size_t i = 0; i < secret.len; i++)
        if (secret.at[i] < ' ' || secret.at[i] > '~')
            return "has a byte in it that is no printable ASCII";
    if (signature_forms[scheme].key == KEY_DECODED)
        return check_decoded(secret);
    if (secret.len < SECRET_MIN)
        return "is shorter than 16 bytes";
    return slice_trim(secret).len == secret.len ? NULL : "has white space around it";
}

bool secret_make(char ret_secret[SECRET_MADE])
{
    unsigned char bytes[MADE_BYTES];
    if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes)
        return false;
    memcpy(ret_secret, whsec, strlen(whsec));
    EVP_EncodeBlock((unsigned char *)ret_secret + strlen(whsec), bytes, sizeof bytes);
    OPENSSL_cleanse(bytes, sizeof bytes);
    return true;
}

bool secret_key(enum signature_key form, struct slice secret, unsigned char ret_key[SECRET_MAX], size_t *ret_len)
{
    struct slice prefix = slice_of(whsec);
    if (secret.len > SECRET_MAX)
        return false;
    if (form == KEY_DECODED)
        return slice_begins(secret, prefix) && decode_base64(slice(secret.at + prefix.len, secret.len - prefix.len), ret_key, ret_len);
    memcpy(ret_key, secret.at, secret.len);
    *ret_len = secret.len;
    return true;
}

/* ---- the HMAC ---- */

/* Of what the form signs, with a context that has its key. */
static bool mac_of(EVP_MAC_CTX *mac, const struct signature_form *form, const struct signing *signing, unsigned char ret_mac[SIGNATURE_BYTES])
{
    char time[24];
    struct slice time_text = slice(time, (size_t)snprintf(time, sizeof time, "%lld", (long long)signing->time_s));
    bool good = EVP_MAC_init(mac, NULL, 0, NULL);
    for (const char *part = form->signs; *part && good; part++) {
        struct slice bytes = *part == 'i' ? signing->id : *part == 't' ? time_text : *part == 'b' ? signing->body : slice(part, 1);
        good = EVP_MAC_update(mac, (const unsigned char *)bytes.at, bytes.len);
    }
    size_t len;
    return good && EVP_MAC_final(mac, ret_mac, &len, SIGNATURE_BYTES) && len == SIGNATURE_BYTES;
}

static EVP_MAC_CTX *mac_with_key(EVP_MAC *hmac, const unsigned char *key, size_t len)
{
    OSSL_PARAM digest[] = { OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char[]){ "SHA256" }, 0), OSSL_PARAM_construct_end() };
    EVP_MAC_CTX *mac = EVP_MAC_CTX_new(hmac);
    if (mac && EVP_MAC_init(mac, key, len, digest))
        return mac;
    EVP_MAC_CTX_free(mac);
    return NULL;
}

bool signature_of(const struct signature_form *form, struct slice key, const struct signing *signing, unsigned char ret_mac[SIGNATURE_BYTES])
{
    EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *mac = hmac ? mac_with_key(hmac, (const unsigned char *)key.at, key.len) : NULL;
    bool good = mac && mac_of(mac, form, signing, ret_mac);
    EVP_MAC_CTX_free(mac);
    EVP_MAC_free(hmac);
    return good;
}

/* ---- signers ---- */

struct signer {
    const struct signature_form *form;
    EVP_MAC_CTX *macs[SECRETS_MAX];      /* with their keys */
    size_t       n;
};

static EVP_MAC_CTX *mac_of_secret(EVP_MAC *hmac, enum signature_key form, struct slice secret)
{
    unsigned char key[SECRET_MAX];
    size_t len;
    EVP_MAC_CTX *mac = secret_key(form, secret, key, &len) ? mac_with_key(hmac, key, len) : NULL;
    OPENSSL_cleanse(key, sizeof key);
    return mac;
}

struct signer *signer_new(enum signature_scheme scheme, const struct slice *secrets, size_t n)
{
    struct signer *signer = calloc(1, sizeof *signer);
    EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    bool good = signer && hmac && n >= 1 && n <= SECRETS_MAX;
    if (signer)
        signer->form = &signature_forms[scheme];
    for (size_t i = 0; good && i < n; i++) {
        good = !secret_check(scheme, secrets[i]) && (signer->macs[i] = mac_of_secret(hmac, signer->form->key, secrets[i]));
        signer->n += good;
    }
    EVP_MAC_free(hmac);
    if (good)
        return signer;
    signer_free(signer);
    return NULL;
}

void signer_free(struct signer *signer)
{
    for (size_t i = 0; signer && i < signer->n; i++)
        EVP_MAC_CTX_free(signer->macs[i]);       /* wipes its key */
    free(signer);
}

static void add_line(struct buf *lines, const char *name, struct slice value)
{
    if (!name)
        return;
    buf_add_str(lines, name);
    buf_add(lines, ": ", 2);
    buf_add_slice(lines, value);
    buf_add_char(lines, '\n');
}

static void add_mac(struct buf *lines, const struct signature_form *form, const unsigned char mac[SIGNATURE_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    char hex[2 * SIGNATURE_BYTES];
    buf_add_str(lines, form->prefix);
    if (form->encoding == ENCODING_BASE64) {
        buf_add_base64(lines, mac, SIGNATURE_BYTES);
        return;
    }
    for (size_t i = 0; i < SIGNATURE_BYTES; i++) {
        hex[2 * i] = digits[mac[i] >> 4];
        hex[2 * i + 1] = digits[mac[i] & 15];
    }
    buf_add(lines, hex, sizeof hex);
}

static bool add_signatures(struct signer *signer, const struct signing *signing, struct slice time, struct buf *lines)
{
    const struct signature_form *form = signer->form;
    unsigned char mac[SIGNATURE_BYTES];
    for (size_t i = 0; i < signer->n; i++) {
        if (!mac_of(signer->macs[i], form, signing, mac))
            return false;
        if (i > 0 && form->parting) {
            buf_add_str(lines, form->parting);
        } else {
            buf_add_str(lines, i > 0 ? "\n" : "");
            buf_add_str(lines, form->signature);
            buf_add_str(lines, i > 0 ? "-Previous: " : ": ");
            if (form->time_first) {
                buf_add(lines, "t=", 2);
                buf_add_slice(lines, time);
                buf_add_char(lines, ',');
            }
        }
        add_mac(lines, form, mac);
    }
    buf_add_char(lines, '\n');
    return true;
}

bool signer_add_headers(struct signer *signer, const struct signing *signing, struct buf *lines)
{
    const struct signature_form *form = signer->form;
    char time[24];
    struct slice time_text = slice(time, (size_t)snprintf(time, sizeof time, "%lld", (long long)signing->time_s));
    add_line(lines, form->id, signing->id);
    add_line(lines, form->timestamp, time_text);
    add_line(lines, form->event, signing->event);
    return add_signatures(signer, signing, time_text, lines) && !lines->failed;
}
