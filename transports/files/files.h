/* files.h — the files that the public port gives to whoever asks: the page of --dev, the JavaScript client and its types.
 * They are compiled in, so a hub and the client it serves are of one version; files.def is the table of them.
 *
 * Every file has a strong ETag made of its bytes: the same on all hubs of one version, so a browser that comes back to another
 * one still has it.
 * Lifetime   files_init before edges start, files_fini after they have ended; until then nothing of it changes.
 * Threading  any thread may read. */
#pragma once
#include "hub/base/buf.h"

enum file_name {
#define FILE(name, ...) FILE_##name,
#include "transports/files/files.def"
#undef FILE
    N_FILES
};

enum { FILE_ETAG = 2 + 32 };       /* 16 bytes of SHA-256 in hexadecimal, in quotes */

struct file {
    struct slice type, headers;    /* Content-Type; header lines of its own */
    bool         dev_only;
    struct slice bytes;
    char         etag[FILE_ETAG];
};

struct files {
    struct file of[N_FILES];
    struct buf  page;              /* the one that is not served as it is written: it tells a shell where the API is */
};

/* `api`: where the API is (serving.api). 0 or ERR_MEMORY; then too it takes files_fini. */
int  files_init(struct files *files, const char *api);
void files_fini(struct files *files);
/* Whether an If-None-Match names this version, alone or in a list, strong or weak (RFC 9110 §13.1.2). */
bool file_is_named(const struct file *file, struct slice if_none_match);
