#include "transports/protocol/ws_input.h"

#include "hub/base/err.h"
#include "hub/base/json.h"

#include <stdlib.h>

enum { AT_ONCE_MAX = 16 * 1024 };

void ws_input_done(struct ws_input *input)
{
    if (!input->message)
        return;
    buf_fini(input->message);
    free(input->message);
    input->message = NULL;
}

/* Room for what the frame announces at once, unless it announces much. */
static int keep_piece(struct ws_input *input, const struct ws_piece *piece)
{
    if (!input->message && !(input->message = calloc(1, sizeof *input->message)))
        return ERR_MEMORY;
    buf_room(input->message, piece->bytes.len + (piece->remaining < AT_ONCE_MAX ? piece->remaining : 0));
    buf_add_slice(input->message, piece->bytes);
    return input->message->failed ? ERR_MEMORY : 0;
}

int ws_input_add(struct ws_input *input, const struct ws_piece *piece, size_t max, struct slice *ret_text)
{
    struct slice text = piece->bytes;
    size_t have = input->message ? input->message->len : 0;
    if (piece->binary)
        return ERR_BINARY_FRAME;
    if (text.len > max || have > max - text.len || piece->remaining > max - text.len - have)
        return ERR_FRAME_TOO_LARGE;
    if (have > 0 || !piece->last) {
        int err = keep_piece(input, piece);
        if (err)
            return err;
        text = buf_slice(input->message);
    }
    if (!piece->last)
        return 0;
    if (!utf8_valid(text))
        return ERR_BAD_UTF8;
    *ret_text = text;
    return 1;
}
