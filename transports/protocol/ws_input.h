/* ws_input.h — one WebSocket message in the making: pieces and fragments become a whole text, bounded and checked.
 *
 * lws hands out pieces of at most its small receive buffer; fragments of one message follow each other (RFC 6455 §5.4).
 * Lifetime   embedded, zero-filled is empty. Memory is there only while a message is incomplete.
 * Limits     the message at most `max` bytes; a frame that announces more is refused at its first piece. */
#pragma once
#include "hub/base/buf.h"

struct ws_input {
    struct buf *message;         /* NULL: nothing is incomplete */
};

struct ws_piece {
    struct slice bytes;
    size_t       remaining;      /* of this frame, announced but not come yet */
    bool         last;           /* of the message */
    bool         binary;
};

/* 0: not complete yet. 1: *ret_text is a whole message (valid until ws_input_done). ERR_BINARY_FRAME, ERR_FRAME_TOO_LARGE,
 * ERR_BAD_UTF8, ERR_MEMORY. */
int  ws_input_add(struct ws_input *input, const struct ws_piece *piece, size_t max, struct slice *ret_text);
void ws_input_done(struct ws_input *input);      /* gives the memory back */
