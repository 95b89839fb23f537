/* secret.h — what is too secret for the settings, and stands in a file that they name: file:PATH or credential:NAME.
 *
 * A credential is the file NAME in $CREDENTIALS_DIRECTORY, where systemd puts it (LoadCredential=, LoadCredentialEncrypted=).
 *
 * Lifetime   what was read is the caller's, who ends it with secret_forget. Threading: any thread, at start and reload.
 * Limits     `max` bytes; a longer file is EFBIG. */
#pragma once
#include "hub/base/buf.h"

#include <stdio.h>

/* All of a stream. 0 or errno. */
int          secret_stream_read(FILE *in, size_t max, struct buf *ret_text);
/* 0 or errno; *ret_open: others than its owner and group can read the file. */
int          secret_file_read(const char *path, size_t max, struct buf *ret_text, bool *ret_open);
/* NULL, or what is wrong with the name of a credential. */
const char  *secret_credential_path(struct slice name, char *ret_path, size_t size);
/* Its text as somebody typed it into an editor: without the newline at the end. */
struct slice secret_line(const struct buf *text);
void         secret_forget(struct buf *text);
