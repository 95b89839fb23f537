/* ws_frames.h — what a client sends over a WebSocket: bytes become pieces of messages, and control frames (RFC 6455 §5).
 *
 *   bytes ──ws_frames_next──> WS_DATA (ws_input.h makes messages of them), WS_PINGED, WS_PONGED, WS_CLOSED; WS_MORE, WS_WRONG
 *
 * The payload of a message is unmasked where it lies and handed on as far as it has come; heads and control frames are taken whole. So of what a
 * socket had to give, at most WS_FRAMES_LEFT bytes are left over for the next time.
 * What is wrong is what §5.2, §5.4 and §5.5 do not allow, but for one thing: frames that are not masked are taken, as the library takes them that
 * reads those of WebSockets over TLS.
 *
 * Lifetime   embedded, zero-filled is a new connection. Threading: pure.
 * Limits     none of its own: a piece says what its frame announces, at once. */
#pragma once
#include "transports/protocol/ws_input.h"

enum { WS_FRAMES_LEFT = 2 + 4 + 125 };

struct ws_frames {
    uint64_t      left;            /* of the payload of a message's frame, not come yet */
    unsigned char mask[4];         /* its first byte is that of the next byte of payload */
    bool          in_payload;      /* the rest of a frame follows; else the head of one */
    bool          in_message;      /* the frame before was not its message's last */
    bool          final, binary;   /* of the frame, of the message */
};

enum ws_event {
    WS_MORE,        /* nothing whole is there */
    WS_DATA,        /* *ret_piece, perhaps without bytes */
    WS_PINGED,      /* ret_piece->bytes is the payload, at most 125 bytes; so it is of the next two */
    WS_PONGED,
    WS_CLOSED,
    WS_WRONG,       /* nothing more is to be read */
};

/* The next thing between *at and `end`; *at moves behind what it took. Bytes of a piece lie there. */
enum ws_event ws_frames_next(struct ws_frames *frames, char **at, char *end, struct ws_piece *ret_piece);
