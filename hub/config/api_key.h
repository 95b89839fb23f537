/* api_key.h — API keys as text: how one is made, how its line in the config is written, which scopes there are.
 *
 *   key    ck_ and 64 hexadecimal digits: 32 random bytes; shown once, when it is made
 *   line   NAME = sha256:HEX [SCOPE...]: the SHA-256 of the key's text, so that a stolen config opens nothing
 *   scope  OPERATION, OPERATION:PATTERN or *; OPERATION as in access.h; a line without scopes may do everything
 *
 * A key has 256 random bits, so a plain hash is enough: nothing can be guessed, and salt would make every lookup slow.
 * Who holds a key and what a scope grants is access.c's. Threading: pure functions. */
#pragma once
#include "hub/base/buf.h"

enum { API_KEY_BYTES = 32, API_KEY_TEXT = 3 + 2 * API_KEY_BYTES + 1 };

int  api_key_make(char ret_key[API_KEY_TEXT]);                  /* 0; ERR_INTERNAL: the kernel has no randomness */
/* 0 or ERR_MEMORY: OpenSSL allocates for it, and leaves the digest as it was when it cannot. */
int  api_key_digest(struct slice key, uint8_t ret_sha256[32]);
void api_key_add_digest(struct buf *out, const uint8_t sha256[32]);   /* sha256:HEX */
/* `sha256:HEX` at the beginning of a line's value; *ret_rest is what follows. 0 or ERR_CONFIG. */
int  api_key_read_digest(struct slice value, uint8_t ret_sha256[32], struct slice *ret_rest);
/* 0, or ERR_CONFIG with the end of a sentence in *why that begins with the scope. */
int  api_key_scope_check(struct slice scope, struct buf *why);
/* A name as it may stand in [keys]: 1–64 of A-Z a-z 0-9 . _ - */
bool api_key_name_check(struct slice name);
