#include "hub/access/base64url.h"

#include "hub/base/err.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void base64url_add(struct buf *out, struct slice bytes)
{
    uint32_t bits = 0;
    int have = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        bits = bits << 8 | (unsigned char)bytes.at[i];
        for (have += 8; have >= 6; have -= 6)
            buf_add_char(out, alphabet[bits >> (have - 6) & 63]);
    }
    if (have > 0)
        buf_add_char(out, alphabet[bits << (6 - have) & 63]);
}

static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

int base64url_decode(struct slice text, struct buf *out)
{
    size_t before = out->len;
    uint32_t bits = 0;
    int have = 0, value = 0;
    for (size_t i = 0; i < text.len && value >= 0; i++) {
        value = value_of(text.at[i]);
        bits = bits << 6 | (uint32_t)(value & 63);
        have += 6;
        if (have >= 8) {
            have -= 8;
            buf_add_char(out, (char)(bits >> have & 0xff));
        }
    }
    if (value >= 0 && text.len % 4 != 1 && (bits & ((1u << have) - 1)) == 0)
        return 0;
    out->len = before;
    return ERR_BAD_FIELD;
}
