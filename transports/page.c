#include "transports/page.h"

#include <string.h>

/* The assembler takes the file in as it is; the Makefile names it as what this object depends on. */
__asm__(".section .rodata\n"
        ".balign 16\n"
        "page_index:\n"
        ".incbin \"transports/page/index.html\"\n"
        "page_index_end:\n"
        ".byte 0\n"
        ".previous\n");

extern const char page_index[], page_index_end[];

/* A path of a socket may have anything in it. */
static void add_attribute(struct buf *out, const char *text)
{
    for (; *text; text++)
        if (strchr("&\"<>", *text))
            buf_addf(out, "&#%d;", *text);
        else
            buf_add_char(out, *text);
}

void page_add(struct buf *out, const char *api)
{
    static const char blank[] = "{api}";
    const char *at = strstr(page_index, blank);      /* the file ends with a zero */
    buf_add(out, page_index, (size_t)(at - page_index));
    add_attribute(out, api);
    at += strlen(blank);
    buf_add(out, at, (size_t)(page_index_end - at));
}
