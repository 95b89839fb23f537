/* api_docs.c — the API described: /openapi.json for programs, /docs for people. Both are compiled in: hub/api/openapi/ makes the document
 * while the hub is built, hub/api/docs/index.html is the page, which asks the hub for it. */
#include "hub/api/api.h"
#include "hub/base/etag.h"

#include <openssl/evp.h>

/* The assembler takes the files in as they are; the Makefile names them as what this object depends on. */
__asm__(".section .rodata\n"
        ".balign 16\n"
        "api_document:\n"
        ".incbin \"openapi.json\"\n"
        "api_document_end:\n"
        ".byte 0\n"
        ".balign 16\n"
        "api_page:\n"
        ".incbin \"hub/api/docs/index.html\"\n"
        "api_page_end:\n"
        ".byte 0\n"
        ".previous\n");

extern const char api_document[], api_document_end[], api_page[], api_page_end[];

enum { SHA256_BYTES = 32, ETAG_BYTES = 12, ETAG_TEXT = 2 * ETAG_BYTES + 3 };

/* ---- who has it already ---- */

/* Of what it says, so hubs of one version have the same one. */
static bool etag_of(struct slice text, char ret_etag[ETAG_TEXT])
{
    unsigned char digest[SHA256_BYTES];
    if (EVP_Digest(text.at, text.len, digest, NULL, EVP_sha256(), NULL) != 1)
        return false;
    char *at = ret_etag;
    *at++ = '"';
    for (size_t i = 0; i < ETAG_BYTES; i++) {
        *at++ = "0123456789abcdef"[digest[i] >> 4];
        *at++ = "0123456789abcdef"[digest[i] & 15];
    }
    memcpy(at, "\"", 2);
    return true;
}

static void answer(struct api_request *r, const char *content_type, struct slice text)
{
    char etag[ETAG_TEXT];
    bool tagged = etag_of(text, etag), known = tagged && etag_is_named(api_header_find(r, "if-none-match"), slice_of(etag));
    struct buf *out = api_answer_begin(r, known ? 304 : 200, known ? NULL : content_type);
    r->is_page = true;
    api_answer_header(r, "Cache-Control", "no-cache");
    if (tagged)
        api_answer_header(r, "ETag", etag);
    if (!known)
        buf_add_slice(out, text);
    api_answer_end(r);
}

/* ---- what the page may load ---- */

/* 'sha256-…' of what stands between `begin` and `end`: this script, this style, and nothing that somebody may have got into the page. */
static void add_source(struct buf *out, const char *directive, const char *begin, const char *end)
{
    unsigned char digest[SHA256_BYTES];
    const char *from = strstr(api_page, begin) + strlen(begin), *to = strstr(from, end);
    buf_addf(out, "; %s ", directive);
    if (EVP_Digest(from, (size_t)(to - from), digest, NULL, EVP_sha256(), NULL) != 1) {
        buf_add_str(out, "'none'");
        return;
    }
    buf_add_str(out, "'sha256-");
    buf_add_base64(out, digest, sizeof digest);
    buf_add_char(out, '\'');
}

static void add_policy(struct buf *out)
{
    buf_add_str(out, "Content-Security-Policy: default-src 'none'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
    add_source(out, "script-src", "<script>", "</script>");
    add_source(out, "style-src", "<style>", "</style>");
    buf_add_str(out, "\r\n");
}

void api_docs(struct api_request *r)
{
    add_policy(&r->headers_out);
    answer(r, "text/html; charset=utf-8", slice(api_page, (size_t)(api_page_end - api_page)));
}

void api_openapi(struct api_request *r)
{
    buf_add_str(&r->headers_out, "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n");
    answer(r, "application/json", slice(api_document, (size_t)(api_document_end - api_document)));
}
