/* token_text.h — a token in words: `carillon token check`.
 *
 * Says what the header and each claim mean here, which key signed it, what is granted and what has no effect, and at the end whether
 * the hub would take it, or why not. Also of a token that is refused, as far as it can be read; what nobody signed is said to be so.
 * Text from the token is ASCII with escapes, so that it does nothing to a terminal. The token itself is not repeated.
 *
 * Threading: pure function of its arguments. */
#pragma once
#include "hub/base/buf.h"

struct config;
struct jwk_set;

/* 0: it is valid. Otherwise the error that authority_check would give. */
int token_explain(const struct jwk_set *keys, const struct config *config, struct slice text, int64_t now_ms, struct buf *out);
