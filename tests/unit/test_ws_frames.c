/* Bytes of a WebSocket client become pieces of messages and control frames; what RFC 6455 does not allow is wrong. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "transports/protocol/ws_frames.h"

#include <stdio.h>
#include <stdlib.h>

/* All that comes of `bytes`, given `at_once` of them at a time, as a text: data as it is, "." behind a message, "<ping>", "<close>" … with its payload, "!" when
 * it is wrong, "~N" when N bytes are left over at the end. */
static struct buf read_all(struct slice bytes, size_t at_once)
{
    static const char *const names[] = { [WS_PINGED] = "ping", [WS_PONGED] = "pong", [WS_CLOSED] = "close" };
    struct ws_frames frames = { 0 };
    struct ws_piece piece;
    struct buf said = { 0 }, there = { 0 };
    for (size_t given = 0; given < bytes.len;) {
        size_t n = bytes.len - given < at_once ? bytes.len - given : at_once;
        char *exact = malloc(there.len + n);      /* a sanitizer sees who reads on */
        assert_non_null(exact);
        memcpy(exact, buf_slice(&there).at, there.len);
        memcpy(exact + there.len, bytes.at + given, n);
        char *at = exact, *end = exact + there.len + n;
        enum ws_event event;
        given += n;
        while ((event = ws_frames_next(&frames, &at, end, &piece)) != WS_MORE && event != WS_WRONG) {
            if (event == WS_DATA)
                buf_add_slice(&said, piece.bytes);
            else
                buf_addf(&said, "<%s %.*s>", names[event], (int)piece.bytes.len, piece.bytes.at);
            if (event == WS_DATA && piece.last)
                buf_add_str(&said, piece.binary ? ".binary." : ".");
        }
        buf_reset(&there);
        if (event == WS_MORE)
            buf_add(&there, at, (size_t)(end - at));
        free(exact);
        assert_true(there.len < WS_FRAMES_LEFT);
        if (event == WS_WRONG) {
            buf_add_char(&said, '!');
            break;
        }
    }
    if (there.len > 0)
        buf_addf(&said, "~%zu", there.len);
    buf_fini(&there);
    return said;
}

/* However the bytes come. */
static void becomes(struct slice bytes, const char *wanted)
{
    for (size_t at_once = 1; at_once <= bytes.len; at_once++) {
        struct buf said = read_all(bytes, at_once);
        if (!slice_is(buf_slice(&said), slice_of(wanted)))
            fail_msg("%zu bytes at a time: \"%.*s\", and not \"%s\"", at_once, (int)said.len, buf_slice(&said).at, wanted);
        buf_fini(&said);
    }
}

static void add_frame(struct buf *out, unsigned first, struct slice payload)
{
    static const unsigned char key[4] = { 0x37, 0xfa, 0x21, 0x3d };
    buf_add_char(out, (char)first);
    if (payload.len < 126) {
        buf_add_char(out, (char)(0x80 | payload.len));
    } else {
        buf_add_char(out, (char)(0x80 | 126));
        buf_add_char(out, (char)(payload.len >> 8));
        buf_add_char(out, (char)payload.len);
    }
    buf_add(out, key, sizeof key);
    for (size_t i = 0; i < payload.len; i++)
        buf_add_char(out, (char)(payload.at[i] ^ key[i % 4]));
}

static void frames_become(const char *wanted, size_t n, const unsigned firsts[], const char *const payloads[])
{
    struct buf bytes = { 0 };
    for (size_t i = 0; i < n; i++)
        add_frame(&bytes, firsts[i], slice_of(payloads[i]));
    becomes(buf_slice(&bytes), wanted);
    buf_fini(&bytes);
}
#define FRAMES(wanted, firsts, ...) \
    frames_become(wanted, sizeof (const char *const[]){ __VA_ARGS__ } / sizeof(char *), (const unsigned[])firsts, (const char *const[]){ __VA_ARGS__ })
#define FIRSTS(...) { __VA_ARGS__ }

static void messages_come_as_they_were_sent_however_their_bytes_come(void **state)
{
    (void)state;
    FRAMES("one.two and more..", FIRSTS(0x81, 0x81, 0x81), "one", "two and more", "");
    FRAMES("binary.binary.text.", FIRSTS(0x82, 0x81), "binary", "text");
}

static void fragments_are_one_message_with_control_frames_between_them(void **state)
{
    (void)state;
    FRAMES("one <ping a>two <pong b>three.next.", FIRSTS(0x01, 0x89, 0x00, 0x8a, 0x80, 0x81), "one ", "a", "two ", "b", "three", "next");
    FRAMES("<ping ><close bye>.", FIRSTS(0x89, 0x88, 0x81), "", "bye", "");
}

static void long_payloads_are_unmasked_where_they_were_cut(void **state)
{
    (void)state;
    struct buf payload = { 0 }, bytes = { 0 }, wanted = { 0 };
    for (int i = 0; i < 70; i++)
        buf_addf(&payload, "%d ", i);
    add_frame(&bytes, 0x81, buf_slice(&payload));
    buf_add_slice(&wanted, buf_slice(&payload));
    buf_add(&wanted, ".", sizeof ".");
    becomes(buf_slice(&bytes), wanted.at);
    buf_fini(&payload);
    buf_fini(&bytes);
    buf_fini(&wanted);
}

static void lengths_in_more_bytes_than_needed_and_frames_without_a_mask_are_taken(void **state)
{
    (void)state;
    becomes(SLICE("\x81\x02hi\x81\x7e\0\x02hi\x81\x7f\0\0\0\0\0\0\0\x02hi"), "hi.hi.hi.");
}

static void what_the_rfc_does_not_allow_is_wrong_and_nothing_more_is_read(void **state)
{
    (void)state;
    for (unsigned first = 0; first < 256; first++) {
        unsigned opcode = first & 15;
        bool good = !(first & 0x70) && (opcode == 1 || opcode == 2 || (first & 0x80 && opcode >= 8 && opcode <= 10));
        struct ws_frames frames = { 0 };
        struct ws_piece piece;
        char bytes[] = { (char)first, 0 }, *at = bytes;
        assert_int_equal(ws_frames_next(&frames, &at, bytes + 2, &piece) == WS_WRONG, !good);
    }
    FRAMES("one!", FIRSTS(0x01, 0x81), "one", "two");          /* another message in the midst of one */
    FRAMES("one.!", FIRSTS(0x81, 0x80), "one", "more");         /* more of none */
    becomes(SLICE("\x89\x7e\0\x7ex"), "!");                     /* a ping of more than 125 bytes */
    becomes(SLICE("\x81\xff\x80\0\0\0\0\0\0\0xxxx"), "!");      /* a length of 2^63 */
}

static void a_frame_says_what_it_announces_before_its_first_byte(void **state)
{
    (void)state;
    struct ws_frames frames = { 0 };
    struct ws_piece piece;
    char bytes[] = "\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xffkeys", *at = bytes, *end = bytes + sizeof bytes - 1;
    assert_int_equal(ws_frames_next(&frames, &at, end, &piece), WS_DATA);
    assert_ptr_equal(at, end);
    assert_int_equal(piece.bytes.len, 0);
    assert_true(piece.remaining == INT64_MAX && !piece.last);
    assert_int_equal(ws_frames_next(&frames, &at, end, &piece), WS_MORE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_come_as_they_were_sent_however_their_bytes_come),
        cmocka_unit_test(fragments_are_one_message_with_control_frames_between_them),
        cmocka_unit_test(long_payloads_are_unmasked_where_they_were_cut),
        cmocka_unit_test(lengths_in_more_bytes_than_needed_and_frames_without_a_mask_are_taken),
        cmocka_unit_test(what_the_rfc_does_not_allow_is_wrong_and_nothing_more_is_read),
        cmocka_unit_test(a_frame_says_what_it_announces_before_its_first_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
