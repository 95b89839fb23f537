#include "hub/base/base64.h"

#include "hub/base/err.h"

#include <stdint.h>

static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

int base64_decode(char *text, size_t len, size_t *ret_len)
{
    size_t digits = len, out = 0;
    uint32_t bits = 0;
    int have = 0;
    while (digits > 0 && len - digits < 2 && text[digits - 1] == '=')
        digits--;
    if (len % 4)
        return ERR_BAD_FIELD;
    for (size_t i = 0; i < digits; i++) {
        int value = value_of(text[i]);
        if (value < 0)
            return ERR_BAD_FIELD;
        bits = bits << 6 | (uint32_t)value;
        have += 6;
        if (have >= 8) {
            have -= 8;
            text[out++] = (char)(bits >> have & 0xff);
        }
    }
    if (bits & ((1u << have) - 1))
        return ERR_BAD_FIELD;
    *ret_len = out;
    return 0;
}
