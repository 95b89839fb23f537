/* transports/protocol/ws_input.h: however a message is cut into frames and frames into pieces, it is the same message or the same
 * error. Input: two bytes, the limit; the message. */
#include "transports/protocol/ws_input.h"

#include "hub/base/err.h"
#include "hub/base/json.h"
#include "tests/fuzz/fuzz.h"

static int add_piece(struct ws_input *message, struct ws_piece piece, size_t max, struct slice in)
{
    struct slice text;
    char *copy = piece_of(piece.bytes);
    piece.bytes.at = copy;
    int rc = ws_input_add(message, &piece, max, &text);
    must(rc <= 0 || piece.last, "complete before its end");
    if (rc > 0)
        must_be_same(text, in, "the message");
    free(copy);
    return rc;
}

/* Frames of a message may be empty, and so may the piece that is all of one. */
static int add_frames(struct slice in, size_t max, enum cutting cutting, struct chance *chance)
{
    struct ws_input message = { 0 };
    struct slice rest = in;
    int rc = 0;
    bool last = false;
    while (!rc && !last) {
        size_t frame = cutting == WHOLE ? rest.len : draw(chance, rest.len + 1);
        last = frame == rest.len && (cutting == WHOLE || draw(chance, 4));
        for (size_t left = frame, n; !rc && (left > 0 || frame == 0); left -= n) {
            n = left ? cut(cutting, chance, left) : 0;
            rc = add_piece(&message, (struct ws_piece){ slice(rest.at, n), left - n, last && n == left, false }, max, in);
            rest = slice(rest.at + n, rest.len - n);
            if (frame == 0)
                break;
        }
    }
    ws_input_done(&message);
    must(!message.message, "memory is left");
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    size_t max = (size_t)data[0] << 8 | data[1];
    struct slice in = input(data + 2, size - 2);
    struct chance chance = chance_of(in);
    int wanted = in.len > max ? ERR_FRAME_TOO_LARGE : utf8_valid(in) ? 1 : ERR_BAD_UTF8;
    for (int round = 0; round < 8; round++) {
        int rc = add_frames(in, max, (enum cutting)(round % CUTTINGS), &chance);
        must(rc == wanted, "%d in this way, %d by its bytes", rc, wanted);
    }
    return 0;
}
