/* token_keys.h — the keys of the settings: the lines of [signers], and tokens.jwks when it is a file.
 *
 *   NAME = ALGORITHM file:PATH          what stands in the file: PEM, or a secret (HS…; one line end at its end does not count)
 *   NAME = ALGORITHM credential:NAME    the same of $CREDENTIALS_DIRECTORY/NAME (systemd's LoadCredential=)
 *   NAME = ALGORITHM secret:TEXT        the secret itself (HS…)
 *
 * They are read with every loading of the settings, so that a broken one is a mistake like any other: at the start nothing starts, on
 * SIGHUP the running settings and keys stay. Secrets never get into what is said about mistakes.
 *
 * Threading: any one thread. Limits: TOKEN_KEY_FILE_MAX bytes per file. */
#pragma once
#include "hub/base/buf.h"

struct config;
struct jwk_set;

enum { TOKEN_KEY_FILE_MAX = 256 * 1024 };

/* tokens.jwks is an address, not a file: whoever fetches it brings the keys. */
bool token_keys_are_remote(const struct config *config);
/* 0 and a set, perhaps empty; ERR_CONFIG and a line in *errors for each mistake. *notes gets a line for what is worth knowing, such as
 * a secret that everybody can read. */
int  token_keys_read(const struct config *config, struct buf *errors, struct buf *notes, struct jwk_set **ret_keys);
