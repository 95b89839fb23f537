/* The exact bytes of every wire format. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "transports/wire/wire.h"

#include <stdlib.h>

/* Epoch 1 is printed "aaaaaaab". */
static struct msg *message(const char *channel, const char *event, enum msg_kind kind, struct slice data)
{
    struct msg *m = msg_new(&(struct msg_parts){ .channel = slice_of(channel), .event = slice_of(event), .kind = kind, .data = data });
    assert_non_null(m);
    m->epoch = 1;
    m->seq = 42;
    m->time_ms = 1700000000000;
    return m;
}

static void expect(enum wire_format format, struct msg *m, struct slice wanted)
{
    struct buf out = { 0 };
    buf_add_str(&out, "before");
    wire_add(&out, format, m);
    assert_false(out.failed);
    assert_int_equal(out.len, 6 + wanted.len);
    assert_memory_equal(out.at + 6, wanted.at, wanted.len);
    buf_fini(&out);
    msg_unref(m);
}

static void a_short_websocket_frame_has_its_length_in_seven_bits(void **state)
{
    (void)state;
    expect(WIRE_WS, message("n", "", MSG_JSON, SLICE("0.10")),
           SLICE("\x81\x54{\"type\":\"message\",\"channel\":\"n\",\"id\":\"aaaaaaab.42\",\"data\":0.10,\"time\":1700000000000}"));
}

static void a_replay_is_marked(void **state)
{
    (void)state;
    expect(WIRE_WS_REPLAY, message("n", "e", MSG_JSON, SLICE("[1 ,2]")),
           SLICE("\x81\x70{\"type\":\"message\",\"replay\":true,\"channel\":\"n\",\"id\":\"aaaaaaab.42\",\"event\":\"e\","
                 "\"data\":[1 ,2],\"time\":1700000000000}"));
}

/* The payload of the frame whose header is checked: the envelope for `n` bytes of data. */
static void check_length(size_t n, size_t header, unsigned char second)
{
    char *data = malloc(n);
    memset(data, '1', n);
    struct msg *m = message("n", "", MSG_JSON, slice(data, n));
    struct buf out = { 0 };
    wire_add(&out, WIRE_WS, m);
    const unsigned char *at = (const unsigned char *)out.at;
    uint64_t len = 0;
    assert_int_equal(at[0], 0x81);
    assert_int_equal(at[1], second);
    for (size_t i = 2; i < header; i++)
        len = len << 8 | at[i];
    if (header == 2)
        len = second;
    assert_int_equal(out.len, header + len);
    assert_memory_equal(out.at + header, "{\"type\":", 8);
    assert_memory_equal(out.at + out.len - 22, ",\"time\":1700000000000}", 22);
    buf_fini(&out);
    msg_unref(m);
    free(data);
}

static void lengths_take_seven_sixteen_or_sixty_four_bits(void **state)
{
    (void)state;
    const size_t around = 84 - 4;      /* the envelope without its data */
    check_length(125 - around, 2, 125);
    check_length(126 - around, 4, 126);
    check_length(65535 - around, 4, 126);
    check_length(65536 - around, 10, 127);
    check_length(1024 * 1024, 10, 127);
}

static void control_frames_have_their_opcode(void **state)
{
    (void)state;
    struct buf out = { 0 };
    wire_add_ws(&out, WS_PING, SLICE(""));
    wire_add_ws(&out, WS_CLOSE, SLICE("\x0f\xa0" "bye"));
    wire_add_ws(&out, WS_TEXT, SLICE("{}"));
    assert_int_equal(out.len, 2 + 7 + 4);
    assert_memory_equal(out.at, "\x89\x00\x88\x05\x0f\xa0" "bye\x81\x02{}", out.len);
    buf_fini(&out);
}

static void every_kind_of_line_end_begins_a_new_data_line(void **state)
{
    (void)state;
    expect(WIRE_SSE_BARE, message("n", "tick", MSG_TEXT, SLICE("a\nb\r\nc\rd")),
           SLICE("id: aaaaaaab.42\nevent: tick\ndata: a\ndata: b\ndata: c\ndata: d\n\n"));
    expect(WIRE_SSE_BARE, message("n", "", MSG_TEXT, SLICE("\n\r\r\n\nid: 7")),
           SLICE("id: aaaaaaab.42\ndata: \ndata: \ndata: \ndata: \ndata: id: 7\n\n"));
}

static void an_empty_payload_is_one_empty_data_line(void **state)
{
    (void)state;
    expect(WIRE_SSE_BARE, message("n", "", MSG_TEXT, SLICE("")), SLICE("id: aaaaaaab.42\ndata: \n\n"));
    expect(WIRE_SSE_BARE, message("n", "", MSG_BINARY, SLICE("")), SLICE("id: aaaaaaab.42\ndata: \n\n"));
}

static void a_bare_payload_keeps_its_spaces_and_binary_is_base64(void **state)
{
    (void)state;
    expect(WIRE_SSE_BARE, message("n", "", MSG_TEXT, SLICE("  x ")), SLICE("id: aaaaaaab.42\ndata:   x \n\n"));
    expect(WIRE_SSE_BARE, message("n", "", MSG_BINARY, SLICE("\x00\r\n\xff")), SLICE("id: aaaaaaab.42\ndata: AA0K/w==\n\n"));
    expect(WIRE_WS, message("n", "", MSG_BINARY, SLICE("\x00\xff")),
           SLICE("\x81\x6a{\"type\":\"message\",\"channel\":\"n\",\"id\":\"aaaaaaab.42\",\"encoding\":\"base64\",\"data\":\"AP8=\","
                 "\"time\":1700000000000}"));
}

static void the_sse_envelope_is_split_only_where_json_has_line_ends(void **state)
{
    (void)state;
    expect(WIRE_SSE, message("n", "e", MSG_TEXT, SLICE("a\nb")),
           SLICE("id: aaaaaaab.42\nevent: e\ndata: {\"type\":\"message\",\"channel\":\"n\",\"id\":\"aaaaaaab.42\",\"event\":\"e\","
                 "\"data\":\"a\\nb\",\"time\":1700000000000}\n\n"));
    expect(WIRE_SSE, message("n", "", MSG_JSON, SLICE("[1,\r\n2]")),
           SLICE("id: aaaaaaab.42\ndata: {\"type\":\"message\",\"channel\":\"n\",\"id\":\"aaaaaaab.42\",\"data\":[1,\n"
                 "data: 2],\"time\":1700000000000}\n\n"));
}

static void a_block_of_an_id_alone_has_no_data_line(void **state)
{
    (void)state;
    struct buf out = { 0 };
    wire_add_sse(&out, SLICE("aaaaaaab.7"), SLICE(""), slice(NULL, 0));
    wire_add_sse(&out, SLICE(""), SLICE("hub.bye"), SLICE("{}"));
    assert_int_equal(out.len, 16 + 25);
    assert_memory_equal(out.at, "id: aaaaaaab.7\n\nevent: hub.bye\ndata: {}\n\n", out.len);
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_short_websocket_frame_has_its_length_in_seven_bits),
        cmocka_unit_test(a_replay_is_marked),
        cmocka_unit_test(lengths_take_seven_sixteen_or_sixty_four_bits),
        cmocka_unit_test(control_frames_have_their_opcode),
        cmocka_unit_test(every_kind_of_line_end_begins_a_new_data_line),
        cmocka_unit_test(an_empty_payload_is_one_empty_data_line),
        cmocka_unit_test(a_bare_payload_keeps_its_spaces_and_binary_is_base64),
        cmocka_unit_test(the_sse_envelope_is_split_only_where_json_has_line_ends),
        cmocka_unit_test(a_block_of_an_id_alone_has_no_data_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
