/* base64.h — bytes out of base64 as it stands in JSON: RFC 4648 §4, with padding, and nothing else: no white space, no line ends, no
 * stray bits at the end, so that no two texts are the same bytes. (buf_add_base64 writes it; tokens have another one, base64url.h.)
 * Threading: pure functions. */
#pragma once
#include <stddef.h>

/* Decodes in place, because the bytes need less room than their text. 0 and *ret_len, or ERR_BAD_FIELD: then the text is spoilt. */
int base64_decode(char *text, size_t len, size_t *ret_len);
