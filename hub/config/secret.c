#include "hub/config/secret.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int secret_stream_read(FILE *in, size_t max, struct buf *ret_text)
{
    size_t n = 1;
    while (n && ret_text->len <= max) {
        char *room = buf_room(ret_text, 16 * 1024);
        n = room ? fread(room, 1, 16 * 1024, in) : 0;
        buf_advance(ret_text, n);
    }
    return ferror(in) ? errno : ret_text->failed ? ENOMEM : ret_text->len > max ? EFBIG : 0;
}

int secret_file_read(const char *path, size_t max, struct buf *ret_text, bool *ret_open)
{
    struct stat st;
    FILE *in = fopen(path, "re");
    if (!in)
        return errno;
    int err = fstat(fileno(in), &st) ? errno : secret_stream_read(in, max, ret_text);
    fclose(in);
    *ret_open = !err && (st.st_mode & S_IROTH);
    return err;
}

const char *secret_credential_path(struct slice name, char *ret_path, size_t size)
{
    const char *dir = getenv("CREDENTIALS_DIRECTORY");
    if (!dir)
        return "$CREDENTIALS_DIRECTORY is not set (systemd sets it for LoadCredential=)";
    if (memchr(name.at, '/', name.len))
        return "a credential's name has no slash";
    int n = snprintf(ret_path, size, "%s/%.*s", dir, (int)name.len, name.at);
    return n < 0 || (size_t)n >= size ? "the path of the credential is too long" : NULL;
}

struct slice secret_line(const struct buf *text)
{
    struct slice line = slice(text->at, text->len);
    if (line.len > 0 && line.at[line.len - 1] == '\n')
        line.len -= line.len > 1 && line.at[line.len - 2] == '\r' ? 2 : 1;
    return line;
}

void secret_forget(struct buf *text)
{
    if (text->at)
        OPENSSL_cleanse(text->at, text->cap);
    buf_fini(text);
}
