#include "hub/webhook_id.h"

#include "hub/position.h"

#include <stdio.h>

/* Digits as they are printed: of two texts for one number one is none. 0: they are not. */
static uint64_t read_hex(struct slice digits)
{
    uint64_t number = 0;
    if (digits.len == 0 || digits.len > 16)
        return 0;
    for (size_t i = 0; i < digits.len; i++) {
        int digit = hex_value(digits.at[i]);
        if (digit < 0 || (digits.at[i] >= 'A' && digits.at[i] <= 'F'))
            return 0;
        number = number << 4 | (uint64_t)digit;
    }
    return number >> 63 ? 0 : number;
}

static struct slice behind(struct slice id, const char *prefix)
{
    size_t len = strlen(prefix);
    return slice_begins(id, slice_of(prefix)) ? slice(id.at + len, id.len - len) : slice("", 0);
}

void webhook_id_print(uint64_t number, char ret_id[WEBHOOK_ID_TEXT])
{
    snprintf(ret_id, WEBHOOK_ID_TEXT, "wh_%016llx", (unsigned long long)number);
}

uint64_t webhook_id_read(struct slice id)
{
    struct slice digits = behind(id, "wh_");
    return digits.len == 16 ? read_hex(digits) : 0;
}

void delivery_id_print(uint64_t number, char ret_id[DELIVERY_ID_TEXT])
{
    snprintf(ret_id, DELIVERY_ID_TEXT, "dlv_%llx", (unsigned long long)number);
}

uint64_t delivery_id_read(struct slice id)
{
    struct slice digits = behind(id, "dlv_");
    return digits.len > 0 && *digits.at != '0' ? read_hex(digits) : 0;
}

uint64_t replay_id_read(struct slice id)
{
    uint64_t number = 0;
    return slice_u64(behind(id, "rp_"), &number) ? number : 0;
}

size_t event_id_print(uint64_t epoch, uint64_t number, char ret_id[EVENT_ID_TEXT])
{
    char position[POSITION_TEXT];
    size_t len = position_print(position, (struct position){ epoch, number });
    memcpy(ret_id, "evt_", 4);
    memcpy(ret_id + 4, position, len + 1);
    *strchr(ret_id, '.') = '_';
    return 4 + len;
}

uint64_t event_id_read(struct slice id, uint64_t *ret_epoch)
{
    char position[POSITION_TEXT];
    struct slice text = behind(id, "evt_");
    if (text.len == 0 || text.len >= sizeof position)
        return 0;
    memcpy(position, text.at, text.len);
    char *parting = memchr(position, '_', text.len);
    if (!parting)
        return 0;
    *parting = '.';
    struct position read = position_parse(slice(position, text.len));
    if (!read.epoch || !read.seq)
        return 0;
    *ret_epoch = read.epoch;
    return read.seq;
}
