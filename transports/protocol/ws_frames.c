#include "transports/protocol/ws_frames.h"

enum { FIN = 0x80, RESERVED = 0x70, OPCODE = 0x0f, MASKED = 0x80, LENGTH = 0x7f, CONTROL_MAX = 125 };
enum { OP_MORE = 0, OP_TEXT = 1, OP_BINARY = 2, OP_CONTROL = 8, OP_CLOSE = 8, OP_PING = 9, OP_PONG = 10 };

/* RFC 6455 §5.2: FIN, three reserved bits and the opcode; then MASK and the length in 7 bits, or 126 and 16 bits, or 127 and 64 bits, big-endian;
 * then the key. */
struct head {
    size_t   size;      /* its own bytes */
    uint64_t len;       /* of the payload */
    int      opcode;
    bool     final;
    unsigned char mask[4];
};

/* ---- heads ---- */

/* What the first two bytes tell already. */
static bool is_allowed(const struct ws_frames *frames, unsigned char first, unsigned char second)
{
    int opcode = first & OPCODE;
    if (first & RESERVED)
        return false;
    if (opcode & OP_CONTROL)
        return opcode <= OP_PONG && first & FIN && (second & LENGTH) <= CONTROL_MAX;
    return opcode == OP_MORE ? frames->in_message : opcode <= OP_BINARY && !frames->in_message;
}

static enum ws_event read_head(const struct ws_frames *frames, const char *at, size_t n, struct head *ret_head)
{
    const unsigned char *p = (const unsigned char *)at;
    if (n < 2)
        return WS_MORE;
    if (!is_allowed(frames, p[0], p[1]))
        return WS_WRONG;
    size_t len = p[1] & LENGTH, wide = len < 126 ? 0 : len == 126 ? 2 : 8, key = p[1] & MASKED ? 4 : 0;
    if (n < 2 + wide + key)
        return WS_MORE;
    struct head head = { .size = 2 + wide + key, .len = wide ? 0 : len, .opcode = p[0] & OPCODE, .final = p[0] & FIN };
    for (size_t i = 0; i < wide; i++)
        head.len = head.len << 8 | p[2 + i];
    memcpy(head.mask, p + 2 + wide, key);
    *ret_head = head;
    return head.len >> 63 ? WS_WRONG : WS_DATA;
}

/* ---- payload ---- */

static void unmask(char *at, size_t n, const unsigned char mask[4])
{
    uint64_t key, eight;
    unsigned char twice[sizeof key];
    size_t i = 0;
    memcpy(twice, mask, 4);
    memcpy(twice + 4, mask, 4);
    memcpy(&key, twice, sizeof key);
    for (; i + sizeof eight <= n; i += sizeof eight) {
        memcpy(&eight, at + i, sizeof eight);
        eight ^= key;
        memcpy(at + i, &eight, sizeof eight);
    }
    for (; i < n; i++)
        at[i] = (char)(at[i] ^ mask[i % 4]);
}

static void turn_mask(unsigned char mask[4], size_t n)
{
    unsigned char turned[4];
    for (size_t i = 0; i < 4; i++)
        turned[i] = mask[(i + n) % 4];
    memcpy(mask, turned, 4);
}

static void take_payload(struct ws_frames *frames, char **at, const char *end, struct ws_piece *ret_piece)
{
    size_t there = (size_t)(end - *at), n = frames->left < there ? (size_t)frames->left : there;
    unmask(*at, n, frames->mask);
    turn_mask(frames->mask, n);
    frames->left -= n;
    frames->in_payload = frames->left > 0;
    *ret_piece = (struct ws_piece){ .bytes = slice(*at, n), .remaining = frames->left, .last = frames->final && frames->left == 0, .binary = frames->binary };
    *at += n;
}

static enum ws_event take_control(const struct head *head, char **at, const char *end, struct ws_piece *ret_piece)
{
    if ((size_t)(end - *at) < head->size + head->len)
        return WS_MORE;
    char *payload = *at + head->size;
    unmask(payload, (size_t)head->len, head->mask);
    *ret_piece = (struct ws_piece){ .bytes = slice(payload, (size_t)head->len), .last = true };
    *at = payload + head->len;
    return head->opcode == OP_PING ? WS_PINGED : head->opcode == OP_PONG ? WS_PONGED : WS_CLOSED;
}

static void begin_payload(struct ws_frames *frames, const struct head *head)
{
    frames->left = head->len;
    frames->final = head->final;
    frames->in_message = !head->final;
    if (head->opcode != OP_MORE)
        frames->binary = head->opcode == OP_BINARY;
    memcpy(frames->mask, head->mask, sizeof frames->mask);
}

enum ws_event ws_frames_next(struct ws_frames *frames, char **at, char *end, struct ws_piece *ret_piece)
{
    struct head head;
    if (frames->in_payload && *at == end)
        return WS_MORE;
    if (!frames->in_payload) {
        enum ws_event event = read_head(frames, *at, (size_t)(end - *at), &head);
        if (event != WS_DATA)
            return event;
        if (head.opcode & OP_CONTROL)
            return take_control(&head, at, end, ret_piece);
        begin_payload(frames, &head);
        *at += head.size;
    }
    take_payload(frames, at, end, ret_piece);
    return WS_DATA;
}
