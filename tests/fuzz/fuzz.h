/* fuzz.h — what the targets of this folder share.
 *
 * A target is one file: LLVMFuzzerTestOneInput gets bytes, hands them to one module, and says with must() what is true
 * whatever they were. libFuzzer keeps the input of the first must() that fails, or of what AddressSanitizer or UBSan found.
 * Inputs are the bytes of the thing itself (a request, a file, a frame), so that a corpus can be read and written by hand;
 * where a target needs chance besides, it is drawn from the input: the same input always runs the same way.
 *
 * Threading: one. Lifetime: each input begins and ends with nothing; leaks are found by LeakSanitizer. */
#pragma once
#include "hub/base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define must(truth, ...) ((truth) ? (void)0 : must_failed(__FILE__, __LINE__, #truth, __VA_ARGS__))

__attribute__((noreturn, format(printf, 4, 5)))
static inline void must_failed(const char *file, int line, const char *truth, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "%s:%d: %s\n", file, line, truth);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    abort();
}

static inline struct slice input(const uint8_t *data, size_t size) { return slice(size ? (const char *)data : "", size); }

static inline void must_be_same(struct slice a, struct slice b, const char *what)
{
    must(slice_is(a, b), "%s: \"%.*s\" and \"%.*s\"", what, (int)a.len, a.at, (int)b.len, b.at);
}

/* ---- chance drawn from the input ---- */

struct chance { uint64_t state; };

static inline struct chance chance_of(struct slice in)
{
    struct chance chance = { UINT64_C(0xcbf29ce484222325) };     /* FNV-1a */
    for (size_t i = 0; i < in.len; i++)
        chance.state = (chance.state ^ (unsigned char)in.at[i]) * UINT64_C(0x100000001b3);
    return chance;
}

/* 0 … below-1 */
static inline size_t draw(struct chance *chance, size_t below)
{
    chance->state = chance->state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (size_t)(chance->state >> 33) % below;
}

/* ---- one stream of bytes, in pieces ---- */

enum cutting { WHOLE, BYTEWISE, BY_CHANCE, CUTTINGS };

/* Length of the next piece of `left` bytes, 1 … left. */
static inline size_t cut(enum cutting cutting, struct chance *chance, size_t left)
{
    if (cutting == WHOLE || left < 2)
        return left;
    return cutting == BYTEWISE ? 1 : 1 + draw(chance, draw(chance, 2) && left > 8 ? 8 : left);
}

/* A piece in memory of its own, so that AddressSanitizer sees whoever reads beyond it or keeps it. The caller frees it. */
static inline char *piece_of(struct slice in)
{
    char *copy = malloc(in.len ? in.len : 1);
    must(copy, "no memory");
    memcpy(copy, in.at, in.len);
    return copy;
}
