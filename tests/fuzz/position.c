/* hub/position.h: what is read prints back, what is printed is read. */
#include "hub/position.h"

#include "tests/fuzz/fuzz.h"

static void must_print_back(struct slice text, struct position p)
{
    struct buf printed = { 0 };
    size_t zeros = 9;
    while (zeros + 1 < text.len && text.at[zeros] == '0')
        zeros++;
    buf_add_position(&printed, p);
    must(printed.len < POSITION_TEXT, "%zu bytes", printed.len);
    must_be_same(slice(printed.at, 9), slice(text.at, 9), "epoch");
    must_be_same(slice(printed.at + 9, printed.len - 9), slice(text.at + zeros, text.len - zeros), "number");
    buf_fini(&printed);
}

static void must_read_back(struct position p)
{
    char text[POSITION_TEXT];
    size_t len = position_print(text, p);
    struct position again = position_parse(slice(text, len));
    must(len == strlen(text), "%zu is not its length", len);
    must(again.epoch == p.epoch && (again.seq == p.seq || !p.epoch), "%s is read as something else", text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = input(data, size);
    struct position p = position_parse(in), raw = { 0, 0 };
    must(p.epoch || !p.seq, "a number of no epoch");
    must(p.epoch >> 40 == 0, "an epoch of more than 40 bits");
    if (p.epoch)
        must_print_back(in, p);
    if (size >= 13) {
        memcpy(&raw.epoch, data, 5);
        memcpy(&raw.seq, data + 5, 8);
        must_read_back(raw);
    }
    return 0;
}
