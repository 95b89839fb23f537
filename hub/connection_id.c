#include "hub/connection_id.h"

#include <stdio.h>

size_t connection_print(char out[CONNECTION_TEXT], uint64_t node, uint64_t id)
{
    if (node)
        return (size_t)snprintf(out, CONNECTION_TEXT, "c%llx-%llx", (unsigned long long)id, (unsigned long long)node);
    return (size_t)snprintf(out, CONNECTION_TEXT, "c%llx", (unsigned long long)id);
}

/* Only what is printed: 1 to 16 digits in lower case, no zeros in front. 0: it is something else. */
static uint64_t number(struct slice text)
{
    uint64_t n = 0;
    if (text.len < 1 || text.len > 16 || text.at[0] == '0')
        return 0;
    for (size_t i = 0; i < text.len; i++) {
        int digit = hex_value(text.at[i]);
        if (digit < 0 || (text.at[i] >= 'A' && text.at[i] <= 'F'))
            return 0;
        n = n << 4 | (uint64_t)digit;
    }
    return n;
}

uint64_t connection_parse(struct slice text, uint64_t *ret_node)
{
    if (text.len < 2 || text.at[0] != 'c')
        return 0;
    const char *dash = memchr(text.at, '-', text.len), *end = text.at + text.len;
    uint64_t id = number(slice(text.at + 1, (size_t)((dash ? dash : end) - text.at - 1)));
    uint64_t node = dash ? number(slice(dash + 1, (size_t)(end - dash - 1))) : 0;
    if (!id || (dash && !node))
        return 0;
    *ret_node = node;
    return id;
}
