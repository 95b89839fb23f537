#include "hub/config/api_key.h"

#include "hub/base/err.h"
#include "hub/base/name.h"
#include "hub/base/nearest.h"
#include "hub/config/access_op.h"
#include <openssl/sha.h>
#include <stdio.h>
#include <sys/random.h>

static void print_hex(const uint8_t *bytes, size_t count, char *ret_text)
{
    for (size_t i = 0; i < count; i++)
        snprintf(ret_text + 2 * i, 3, "%02x", bytes[i]);
}

int api_key_make(char ret_key[API_KEY_TEXT])
{
    uint8_t bytes[API_KEY_BYTES];
    if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes)
        return ERR_INTERNAL;
    memcpy(ret_key, "ck_", 3);
    print_hex(bytes, sizeof bytes, ret_key + 3);
    explicit_bzero(bytes, sizeof bytes);
    return 0;
}

int api_key_digest(struct slice key, uint8_t ret_sha256[32])
{
    return SHA256((const unsigned char *)key.at, key.len, ret_sha256) ? 0 : ERR_MEMORY;
}

void api_key_add_digest(struct buf *out, const uint8_t sha256[32])
{
    char hex[65];
    print_hex(sha256, 32, hex);
    buf_addf(out, "sha256:%s", hex);
}

int api_key_read_digest(struct slice value, uint8_t ret_sha256[32], struct slice *ret_rest)
{
    const struct slice prefix = SLICE("sha256:");
    uint8_t digest[32];
    if (value.len < prefix.len + 64 || !slice_begins(value, prefix))
        return ERR_CONFIG;
    const char *hex = value.at + prefix.len;
    for (size_t i = 0; i < 32; i++) {
        int high = hex_value(hex[2 * i]), low = hex_value(hex[2 * i + 1]);
        if (high < 0 || low < 0)
            return ERR_CONFIG;
        digest[i] = (uint8_t)(high << 4 | low);
    }
    struct slice rest = slice(hex + 64, value.len - prefix.len - 64);
    if (rest.len && rest.at[0] != ' ' && rest.at[0] != '\t' && rest.at[0] != ',')
        return ERR_CONFIG;
    memcpy(ret_sha256, digest, sizeof digest);
    *ret_rest = rest;
    return 0;
}

static void tell_operations(struct slice name, struct buf *why)
{
    char word[65];
    snprintf(word, sizeof word, "%.*s", (int)(name.len < 64 ? name.len : 64), name.at);
    const char *meant = nearest(word, access_op_names, ACCESS_OPS);
    buf_add_str(why, "is not a scope: write OPERATION, OPERATION:PATTERN or *");
    if (meant)
        buf_addf(why, "; did you mean %s?", meant);
    else
        buf_add_str(why, "; operations are subscribe, publish, history, presence, join, kick and admin");
}

int api_key_scope_check(struct slice scope, struct buf *why)
{
    if (slice_is(scope, SLICE("*")))
        return 0;
    const char *colon = scope.len ? memchr(scope.at, ':', scope.len) : NULL;
    struct slice name = slice(scope.at, colon ? (size_t)(colon - scope.at) : scope.len);
    int op = access_op_find(name);
    if (op < 0) {
        tell_operations(name, why);
        return ERR_CONFIG;
    }
    if (!colon)
        return 0;
    if (op == OP_ADMIN) {
        buf_add_str(why, "has a pattern, but admin is for the whole hub");
        return ERR_CONFIG;
    }
    if (pattern_check(slice(colon + 1, (size_t)(scope.at + scope.len - colon - 1)))) {
        buf_add_str(why, "has no pattern behind its colon: segments parted by dots, * for one segment, ** at the end for one or more");
        return ERR_CONFIG;
    }
    return 0;
}

bool api_key_name_check(struct slice name)
{
    for (size_t i = 0; i < name.len; i++)
        if (!((name.at[i] | 0x20) >= 'a' && (name.at[i] | 0x20) <= 'z') && !(name.at[i] >= '0' && name.at[i] <= '9') &&
            (!name.at[i] || !strchr("._-", name.at[i])))
            return false;
    return name.len >= 1 && name.len <= 64;
}
