/* transports/protocol/ws_frames.h: however bytes are cut, they are the same messages and control frames, or wrong at the same place. Input: what a client
 * sends behind its handshake. */
#include "transports/protocol/ws_frames.h"

#include "tests/fuzz/fuzz.h"

struct reading {
    struct ws_frames frames;
    struct buf       left, said;      /* said: each thing that came, as text */
    bool             wrong;
};

static void say(struct reading *reading, enum ws_event event, const struct ws_piece *piece)
{
    static const char *const names[] = { [WS_DATA] = "", [WS_PINGED] = "\nping ", [WS_PONGED] = "\npong ", [WS_CLOSED] = "\nclose " };
    must(event == WS_DATA || piece->bytes.len <= 125, "a control frame of %zu bytes", piece->bytes.len);
    must(!piece->last || piece->remaining == 0, "the last of a message, and %zu follow", piece->remaining);
    buf_add_str(&reading->said, names[event]);
    buf_add_slice(&reading->said, piece->bytes);
    if (piece->last)
        buf_add_str(&reading->said, piece->binary ? "\nbinary\n" : "\n");
}

static void read_piece(struct reading *reading, struct slice bytes)
{
    struct ws_piece piece;
    enum ws_event event = WS_DATA;
    buf_add_slice(&reading->left, bytes);
    struct slice all = buf_slice(&reading->left);
    char *copy = piece_of(all), *at = copy, *end = copy + all.len;
    while (event != WS_MORE && event != WS_WRONG) {
        const char *before = at;
        event = ws_frames_next(&reading->frames, &at, end, &piece);
        must(at >= before && at <= end, "it went too far");
        if (event == WS_MORE || event == WS_WRONG)
            break;
        must(at > before, "nothing was taken");
        say(reading, event, &piece);
    }
    reading->wrong = event == WS_WRONG;
    must(reading->wrong || end - at < WS_FRAMES_LEFT, "%zd bytes are left over", end - at);
    buf_reset(&reading->left);
    buf_add(&reading->left, at, (size_t)(end - at));
    free(copy);
}

static struct reading read_in(struct slice in, enum cutting cutting, struct chance *chance)
{
    struct reading reading = { 0 };
    for (size_t n; in.len > 0 && !reading.wrong; in = slice(in.at + n, in.len - n)) {
        n = cut(cutting, chance, in.len);
        read_piece(&reading, slice(in.at, n));
    }
    return reading;
}

static void done(struct reading *reading)
{
    buf_fini(&reading->left);
    buf_fini(&reading->said);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = input(data, size);
    struct chance chance = chance_of(in);
    struct reading whole = read_in(in, WHOLE, &chance);
    for (int round = 0; round < 4; round++) {
        struct reading other = read_in(in, round % 2 ? BYTEWISE : BY_CHANCE, &chance);
        must(other.wrong == whole.wrong, "wrong in one way only");
        must_be_same(buf_slice(&other.said), buf_slice(&whole.said), "what it says");
        done(&other);
    }
    done(&whole);
    return 0;
}
