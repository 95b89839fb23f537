#include "transports/page.h"

/* The assembler takes the file in as it is; the Makefile names it as what this object depends on. */
__asm__(".section .rodata\n"
        ".balign 16\n"
        "page_index:\n"
        ".incbin \"transports/page/index.html\"\n"
        "page_index_end:\n"
        ".byte 0\n"
        ".previous\n");

extern const char page_index[], page_index_end[];

struct slice page_html(void) { return slice(page_index, (size_t)(page_index_end - page_index)); }
