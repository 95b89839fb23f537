#include "hub/position.h"

#include <stdlib.h>
#include <sys/random.h>

enum { EPOCH_LETTERS = 8, EPOCH_BITS = 40 };

static const char letters[] = "abcdefghijklmnopqrstuvwxyz234567";

uint64_t epoch_new(void)
{
    uint64_t epoch = 0;
    do {
        if (getrandom(&epoch, sizeof epoch, 0) != sizeof epoch)
            abort();      /* at start only: a hub that may repeat an epoch would lose messages silently */
        epoch &= ((uint64_t)1 << EPOCH_BITS) - 1;
    } while (epoch == 0);
    return epoch;
}

size_t position_print(char out[POSITION_TEXT], struct position p)
{
    char digits[20];
    size_t n = 0, at = 0;
    for (int shift = EPOCH_BITS - 5; shift >= 0; shift -= 5)
        out[at++] = letters[p.epoch >> shift & 31];
    out[at++] = '.';
    do
        digits[n++] = (char)('0' + p.seq % 10);
    while (p.seq /= 10);
    while (n > 0)
        out[at++] = digits[--n];
    out[at] = '\0';
    return at;
}

static bool letter_value(char c, uint64_t *ret)
{
    if (c >= 'a' && c <= 'z')
        *ret = (uint64_t)(c - 'a');
    else if (c >= '2' && c <= '7')
        *ret = (uint64_t)(c - '2' + 26);
    else
        return false;
    return true;
}

struct position position_parse(struct slice text)
{
    const struct position none = { 0, 0 };
    struct position p = { 0, 0 };
    uint64_t value;
    if (text.len < EPOCH_LETTERS + 2 || text.at[EPOCH_LETTERS] != '.')
        return none;
    for (size_t i = 0; i < EPOCH_LETTERS; i++) {
        if (!letter_value(text.at[i], &value))
            return none;
        p.epoch = p.epoch << 5 | value;
    }
    if (!slice_u64(slice(text.at + EPOCH_LETTERS + 1, text.len - EPOCH_LETTERS - 1), &p.seq))
        return none;
    return p.epoch ? p : none;
}

void buf_add_position(struct buf *b, struct position p)
{
    char text[POSITION_TEXT];
    buf_add(b, text, position_print(text, p));
}
