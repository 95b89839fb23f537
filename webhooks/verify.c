#include "webhooks/verify.h"

#include "hub/base/err.h"
#include "hub/http_out.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>

enum { MACS_MAX = 8 };      /* signatures of one header that are looked at */

/* What the headers say. */
struct claim {
    const struct signature_form *form;
    struct signing signing;
    unsigned char  macs[MACS_MAX][SIGNATURE_BYTES];
    size_t         n_macs;
};

/* ---- reading the headers ---- */

static bool read_mac(const struct signature_form *form, struct slice text, unsigned char ret_mac[SIGNATURE_BYTES])
{
    unsigned char decoded[64];
    if (form->encoding == ENCODING_BASE64) {
        bool good = text.len == 44 && EVP_DecodeBlock(decoded, (const unsigned char *)text.at, 44) == 33;
        if (good)
            memcpy(ret_mac, decoded, SIGNATURE_BYTES);
        return good;
    }
    if (text.len != 2 * (size_t)SIGNATURE_BYTES)
        return false;
    for (size_t i = 0; i < SIGNATURE_BYTES; i++) {
        int high = hex_value(text.at[2 * i]), low = hex_value(text.at[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        ret_mac[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}

/* One entry of the value: the time, a signature, or something of another version, which is passed over. */
static void read_entry(struct claim *claim, struct slice entry)
{
    struct slice prefix = slice_of(claim->form->prefix), t = SLICE("t=");
    uint64_t time_s;
    if (claim->form->time_first && slice_begins(entry, t) && slice_u64(slice(entry.at + t.len, entry.len - t.len), &time_s))
        claim->signing.time_s = (int64_t)time_s;
    else if (claim->n_macs < MACS_MAX && slice_begins(entry, prefix) &&
             read_mac(claim->form, slice(entry.at + prefix.len, entry.len - prefix.len), claim->macs[claim->n_macs]))
        claim->n_macs++;
}

static void read_signatures(struct claim *claim, struct slice value)
{
    const char *parting = claim->form->parting;
    while (value.len > 0) {
        const char *end = parting ? memchr(value.at, *parting, value.len) : NULL;
        struct slice entry = slice(value.at, end ? (size_t)(end - value.at) : value.len);
        read_entry(claim, slice_trim(entry));
        value = slice(value.at + entry.len + !!end, value.len - entry.len - !!end);
    }
}

static enum verdict missing(const struct verifying *with, const char *name, struct buf *why)
{
    enum signature_scheme other = signature_scheme_of(with->head);
    buf_addf(why, "there is no header %s", name);
    if (other != SIGNATURE_SCHEMES && other != with->scheme)
        buf_addf(why, "; these are the headers of the scheme %s", signature_forms[other].name);
    return VERDICT_NO_HEADER;
}

static bool signs(const struct signature_form *form, char part) { return strchr(form->signs, part); }

static enum verdict read_claim(const struct verifying *with, struct claim *claim, struct buf *why)
{
    const struct signature_form *form = claim->form;
    struct slice value = http_head_find(with->head, form->signature), time = slice(NULL, 0);
    char previous[64];
    uint64_t time_s;
    if (!value.at)
        return missing(with, form->signature, why);
    read_signatures(claim, value);
    snprintf(previous, sizeof previous, "%s-Previous", form->signature);
    read_signatures(claim, http_head_find(with->head, previous));
    if (claim->n_macs == 0) {
        buf_addf(why, "%s has no signature of the scheme %s: it would be %s and %s", form->signature, form->name, *form->prefix ? form->prefix : "nothing before it",
                 form->encoding == ENCODING_HEX ? "64 hexadecimal digits" : "44 letters of base64");
        return VERDICT_BAD_HEADER;
    }
    if (signs(form, 'i') && !(claim->signing.id = http_head_find(with->head, form->id)).at)
        return missing(with, form->id, why);
    if (form->timestamp && signs(form, 't') && !(time = http_head_find(with->head, form->timestamp)).at)
        return missing(with, form->timestamp, why);
    if (time.at && slice_u64(time, &time_s))
        claim->signing.time_s = (int64_t)time_s;
    if (signs(form, 't') && claim->signing.time_s < 0) {
        buf_addf(why, "%s has no time in it: whole seconds since 1970", form->timestamp ? form->timestamp : form->signature);
        return VERDICT_BAD_HEADER;
    }
    return VERDICT_GOOD;
}

enum signature_scheme signature_scheme_of(struct slice head)
{
    for (int i = 0; i < SIGNATURE_SCHEMES; i++) {
        struct claim claim = { .form = &signature_forms[i] };
        read_signatures(&claim, http_head_find(head, claim.form->signature));
        if (claim.n_macs > 0)
            return (enum signature_scheme)i;
    }
    return SIGNATURE_SCHEMES;
}

/* ---- comparing ---- */

static bool fits_key(const struct claim *claim, struct slice key, struct slice body)
{
    struct signing signing = claim->signing;
    unsigned char mac[SIGNATURE_BYTES];
    signing.body = body;
    if (!signature_of(claim->form, key, &signing, mac))
        return false;
    for (size_t i = 0; i < claim->n_macs; i++)
        if (!CRYPTO_memcmp(mac, claim->macs[i], SIGNATURE_BYTES))
            return true;
    return false;
}

static bool fits(const struct claim *claim, enum signature_key form, struct slice secret, struct slice body)
{
    unsigned char key[SECRET_MAX];
    size_t len;
    bool good = secret_key(form, secret, key, &len) && fits_key(claim, slice((const char *)key, len), body);
    OPENSSL_cleanse(key, sizeof key);
    return good;
}

/* ---- mistakes with the secret ---- */

static bool try_secret(const struct claim *claim, struct slice secret, struct slice body, const char **ret_what)
{
    struct slice prefix = SLICE("whsec_"), bare = slice_begins(secret, prefix) ? slice(secret.at + prefix.len, secret.len - prefix.len) : secret, trimmed = secret;
    char with_prefix[SECRET_MAX + 16];
    struct slice long_form = slice(with_prefix, (size_t)snprintf(with_prefix, sizeof with_prefix, "whsec_%.*s", (int)(bare.len > SECRET_MAX ? SECRET_MAX : bare.len), bare.at));
    while (trimmed.len > 0 && strchr(" \t\r\n", trimmed.at[trimmed.len - 1]))
        trimmed.len--;
    const struct { enum signature_key form; struct slice secret; const char *what; } tries[] = {
        { claim->form->key, trimmed, "without the white space at its end" },
        { KEY_WHOLE, secret, "taken as it is written, whsec_ and all: nothing of it is decoded" },
        { KEY_WHOLE, bare, "taken as it is written, without whsec_" },
        { KEY_DECODED, long_form, "decoded from base64 (what is behind whsec_)" },
    };
    bool found = false;
    for (size_t i = 0; i < sizeof tries / sizeof *tries && !found; i++) {
        found = fits(claim, tries[i].form, tries[i].secret, body);
        *ret_what = tries[i].what;
    }
    OPENSSL_cleanse(with_prefix, sizeof with_prefix);
    return found;
}

/* ---- mistakes with the body ---- */

static void without_end(struct slice body, struct buf *out)
{
    while (body.len > 0 && strchr("\r\n", body.at[body.len - 1]))
        body.len--;
    buf_add_slice(out, body);
}
static void with_newline(struct slice body, struct buf *out)
{
    buf_add_slice(out, body);
    buf_add_char(out, '\n');
}
static void without_returns(struct slice body, struct buf *out)
{
    for (size_t i = 0; i < body.len; i++)
        if (body.at[i] != '\r' || i + 1 == body.len || body.at[i + 1] != '\n')
            buf_add_char(out, body.at[i]);
}
static void without_mark(struct slice body, struct buf *out)
{
    struct slice mark = SLICE("\xef\xbb\xbf");
    buf_add_slice(out, slice_begins(body, mark) ? slice(body.at + mark.len, body.len - mark.len) : body);
}
static void compact(struct slice body, struct buf *out)
{
    bool inside = false;
    for (size_t i = 0; i < body.len; i++) {
        char c = body.at[i];
        if (inside && c == '\\' && i + 1 < body.len)
            buf_add_char(out, body.at[i++]), c = body.at[i];
        else if (c == '"')
            inside = !inside;
        if (inside || !strchr(" \t\r\n", c))
            buf_add_char(out, c);
    }
}

static const struct { void (*make)(struct slice body, struct buf *out); const char *what; } bodies[] = {
    { without_end, "without the newline at its end, which was added to it here" },
    { with_newline, "with a newline at its end, which is missing here" },
    { without_returns, "with LF as the end of lines, where it is CR LF here" },
    { without_mark, "without the byte order mark before it" },
    { compact, "without white space between its JSON: it was read and written again here, so take the bytes as they came" },
};

static bool try_bodies(const struct claim *claim, const struct verifying *with, const char **ret_what)
{
    bool found = false;
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies && !found; i++) {
        struct buf made = { 0 };
        bodies[i].make(with->body, &made);
        for (size_t k = 0; k < with->n_secrets && !made.failed && !found; k++)
            found = fits(claim, claim->form->key, with->secrets[k], buf_slice(&made));
        buf_fini(&made);
        *ret_what = bodies[i].what;
    }
    return found;
}

/* ---- the verdict ---- */

static enum verdict judge_time(const struct claim *claim, const struct verifying *with, enum verdict good, struct buf *why)
{
    int64_t late_s = with->now_s - claim->signing.time_s;
    if (!signs(claim->form, 't') || (late_s <= with->tolerance_s && -late_s <= with->tolerance_s)) {
        buf_add_str(why, good == VERDICT_GOOD ? "the signature is good" : "the signature is good, by the second secret");
        return good;
    }
    buf_addf(why, "the signature is good, but its time is %lld s %s: more than %lld s is a replay, or one of the two clocks is wrong",
             (long long)(late_s < 0 ? -late_s : late_s), late_s < 0 ? "ahead of now" : "ago", (long long)with->tolerance_s);
    return VERDICT_CLOCK;
}

static enum verdict find_mistake(const struct claim *claim, const struct verifying *with, struct buf *why)
{
    const char *what;
    for (size_t i = 0; i < with->n_secrets; i++)
        if (try_secret(claim, with->secrets[i], with->body, &what)) {
            buf_addf(why, "the secret is right, but in another form: it is %s", what);
            return VERDICT_SECRET;
        }
    if (try_bodies(claim, with, &what)) {
        buf_addf(why, "the body is not the one that was signed: it fits %s", what);
        return VERDICT_BODY;
    }
    const char *wrong = with->n_secrets > 0 ? secret_check(with->scheme, with->secrets[0]) : "is not there";
    if (wrong) {
        buf_addf(why, "the secret %s", wrong);
        return VERDICT_SECRET;
    }
    buf_addf(why, "the signature does not fit: the secret is another one, or the body%s%s changed on its way",
             signs(claim->form, 'i') ? ", the id" : "", signs(claim->form, 't') ? ", the time" : "");
    return VERDICT_DIFFERENT;
}

enum verdict signature_verify(const struct verifying *with, struct buf *ret_why)
{
    struct claim claim = { .form = &signature_forms[with->scheme], .signing = { .time_s = -1 } };
    enum verdict verdict = read_claim(with, &claim, ret_why);
    if (verdict != VERDICT_GOOD)
        return verdict;
    for (size_t i = 0; i < with->n_secrets; i++)
        if (fits(&claim, claim.form->key, with->secrets[i], with->body))
            return judge_time(&claim, with, i == 0 ? VERDICT_GOOD : VERDICT_GOOD_OLD, ret_why);
    return find_mistake(&claim, with, ret_why);
}
