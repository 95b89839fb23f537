#include "hub/connection_id.h"

#include <stdio.h>

size_t connection_print(char out[CONNECTION_TEXT], uint64_t id)
{
    return (size_t)snprintf(out, CONNECTION_TEXT, "c%llx", (unsigned long long)id);
}

/* Only what connection_print writes: lower case, no zeros in front. */
uint64_t connection_parse(struct slice text)
{
    uint64_t id = 0;
    if (text.len < 2 || text.len > 17 || text.at[0] != 'c' || text.at[1] == '0')
        return 0;
    for (size_t i = 1; i < text.len; i++) {
        int digit = hex_value(text.at[i]);
        if (digit < 0 || (text.at[i] >= 'A' && text.at[i] <= 'F'))
            return 0;
        id = id << 4 | (uint64_t)digit;
    }
    return id;
}
