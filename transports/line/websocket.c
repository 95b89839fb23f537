#include "transports/line/websocket.h"

#include "hub/base/json.h"
#include "hub/base/log.h"
#include "hub/config/config.h"
#include "transports/edge/edge.h"
#include "transports/line/line.h"
#include "transports/protocol/ws.h"
#include "transports/wire/wire.h"

static struct edge *edge_of(const struct websocket *websocket) { return websocket->line->lines->edge; }

/* ---- messages ---- */

void websocket_on_piece(struct websocket *websocket, const struct ws_piece *piece)
{
    struct conn *conn = websocket->line->conn;
    struct slice text;
    if (!conn || conn->conn_state != CONN_OPEN)
        return;
    int got = ws_input_add(&websocket->input, piece, edge_of(websocket)->config->public_max_frame, &text);
    if (got < 0)
        conn_close(conn, got);
    else if (got > 0)
        ws_on_message(conn, text);
    if (got != 0)
        ws_input_done(&websocket->input);
}

void websocket_on_pong(struct websocket *websocket)
{
    if (websocket->line->conn)
        ws_on_pong(websocket->line->conn);
}

/* ---- the end ---- */

/* RFC 6455 §7.4: codes that may be on the wire. */
static bool may_be_sent(unsigned code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

static void send_close(struct websocket *websocket, struct slice payload)
{
    struct line *line = websocket->line;
    struct buf frame = { 0 };
    if (line->said_close || line->state != LINE_OPEN || line->kind->holds(line))
        return;
    line->said_close = true;
    wire_add_ws(&frame, WS_CLOSE, payload);
    if (!frame.failed && socket_write_bytes(&line->socket, frame.at, frame.len) < 0)
        log_debug("websocket", "the other side did not take the close frame");
    buf_fini(&frame);
}

/* What was said before the end leaves before it. */
static void say_all(struct websocket *websocket)
{
    struct line *line = websocket->line;
    if (line->conn && line->conn->conn_state == CONN_OPEN && line->state == LINE_OPEN)
        edge_send(edge_of(websocket));
}

/* The answer to a close: its code, 1002 if it is none, 1007 if its reason is no text (RFC 6455 §5.5.1, §8.1). */
static struct slice close_echo(struct slice payload)
{
    const unsigned char *p = (const unsigned char *)payload.at;
    if (payload.len == 0)
        return payload;
    if (payload.len < 2 || !may_be_sent((unsigned)(p[0] << 8 | p[1])))
        return SLICE("\x03\xea");
    return utf8_valid(slice(payload.at + 2, payload.len - 2)) ? slice(payload.at, 2) : SLICE("\x03\xef");
}

void websocket_on_close(struct websocket *websocket, struct slice payload)
{
    say_all(websocket);
    send_close(websocket, close_echo(payload));
}

void websocket_drop(struct websocket *websocket, bool says_why)
{
    say_all(websocket);
    if (websocket->line->conn && says_why)
        send_close(websocket, SLICE("\x03\xea"));
    line_lose_conn(websocket->line);
}
