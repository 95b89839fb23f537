#include "transports/files/files.h"

#include "hub/base/err.h"
#include "hub/base/etag.h"

#include <openssl/sha.h>

#define FILE_FOR_ALL "Cross-Origin-Resource-Policy: cross-origin\r\nContent-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n"

/* The assembler takes a file in as it is; the Makefile names it as what this object depends on. */
#define FILE(name, path, source, ...) \
    __asm__(".section .rodata\n" \
            ".balign 16\n" \
            "file_" #name ":\n" \
            ".incbin \"" source "\"\n" \
            "file_" #name "_end:\n" \
            ".byte 0\n" \
            ".previous\n"); \
    extern const char file_##name[], file_##name##_end[];
#include "transports/files/files.def"
#undef FILE

static const struct source {
    struct slice type, headers;
    bool         dev_only;
    const char  *begin, *end;
} sources[] = {
#define FILE(name, path, source, type, dev_only, any_page, headers) \
    [FILE_##name] = { SLICE(type), SLICE(headers), dev_only, file_##name, file_##name##_end },
#include "transports/files/files.def"
#undef FILE
};

/* A path of a socket may have anything in it. */
static void add_attribute(struct buf *out, const char *text)
{
    for (; *text; text++)
        if (strchr("&\"<>", *text))
            buf_addf(out, "&#%d;", *text);
        else
            buf_add_char(out, *text);
}

static void fill_page(struct buf *out, const char *api)
{
    static const char blank[] = "{api}";
    const char *at = strstr(file_page, blank);      /* the file ends with a zero */
    buf_add(out, file_page, (size_t)(at - file_page));
    add_attribute(out, api);
    at += strlen(blank);
    buf_add(out, at, (size_t)(file_page_end - at));
}

static void make_etag(struct file *file)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char hash[SHA256_DIGEST_LENGTH];
    SHA256((const unsigned char *)file->bytes.at, file->bytes.len, hash);
    file->etag[0] = file->etag[FILE_ETAG - 1] = '"';
    for (size_t i = 0; i < FILE_ETAG - 2; i++)
        file->etag[1 + i] = digits[i % 2 ? hash[i / 2] & 15 : hash[i / 2] >> 4];
}

int files_init(struct files *files, const char *api)
{
    *files = (struct files){ 0 };
    fill_page(&files->page, api);
    if (files->page.failed)
        return ERR_MEMORY;
    for (size_t i = 0; i < N_FILES; i++) {
        const struct source *source = &sources[i];
        struct slice bytes = i == FILE_page ? buf_slice(&files->page) : slice(source->begin, (size_t)(source->end - source->begin));
        files->of[i] = (struct file){ source->type, source->headers, source->dev_only, bytes, "" };
        make_etag(&files->of[i]);
    }
    return 0;
}

void files_fini(struct files *files) { buf_fini(&files->page); }

bool file_is_named(const struct file *file, struct slice if_none_match)
{
    return etag_is_named(if_none_match, slice(file->etag, FILE_ETAG));
}
