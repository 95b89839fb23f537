#include "transports/http/http_answer.h"

static const char always[] = "Cache-Control: no-store\r\n" CORS_ALWAYS, of_pages[] = CORS_PAGE;

static void add_status(struct buf *out, int status)
{
    if (status == 201) {     /* nearly all of them */
        buf_add(out, "HTTP/1.1 201 Created\r\n", 22);
        return;
    }
    buf_addf(out, "HTTP/1.1 %d %s\r\n", status, api_reason(status));
}

static void add_type(struct buf *out, const struct api_request *api)
{
    if (api->status == 204 || api->status == 304)
        return;
    if (api->content_type) {
        buf_add(out, "Content-Type: ", 14);
        buf_add_str(out, api->content_type);
        buf_add(out, "\r\n", 2);
    }
    if (api->stream.begun)
        return;
    buf_add(out, "Content-Length: ", 16);
    buf_add_u64(out, api->content_type ? api->answer.len : 0);
    buf_add(out, "\r\n", 2);
}

static void add_head(struct buf *out, const struct http_request *request, const char *date_line)
{
    const struct api_request *api = &request->api;
    add_status(out, api->status);
    buf_add_str(out, date_line);
    add_type(out, api);
    buf_add(out, "X-Request-Id: ", 14);
    buf_add_str(out, api->id);
    buf_add(out, "\r\n", 2);
    if (api->is_page)
        buf_add(out, of_pages, sizeof of_pages - 1);
    else
        buf_add(out, always, sizeof always - 1);
    if (!slice_is(api->method, SLICE("OPTIONS")))
        cors_add(out, &api->cors);
    buf_add_slice(out, buf_slice(&api->headers_out));
    if (api->stream.begun && !request->http10)
        buf_add_str(out, "Transfer-Encoding: chunked\r\n");
    if (request->last)
        buf_add(out, "Connection: close\r\n", 19);
    else if (request->http10)
        buf_add(out, "Connection: keep-alive\r\n", 24);
    buf_add(out, "\r\n", 2);
}

void http_answer_add(struct buf *out, const struct http_request *request, const char *date_line)
{
    const struct api_request *api = &request->api;
    add_head(out, request, date_line);
    if (api->content_type && !api->head_only)
        buf_add_slice(out, buf_slice(&api->answer));
}

void http_answer_begin(struct buf *out, const struct http_request *request, const char *date_line)
{
    add_head(out, request, date_line);
}

void http_answer_piece(struct buf *out, struct http_request *request)
{
    struct buf *answer = &request->api.answer;
    out->failed = out->failed || answer->failed;
    if (!request->http10 && answer->len > 0)
        buf_addf(out, "%zx\r\n", answer->len);
    buf_add_slice(out, buf_slice(answer));
    if (!request->http10 && answer->len > 0)
        buf_add(out, "\r\n", 2);
    if (!request->http10 && request->finished)
        buf_add(out, "0\r\n\r\n", 5);
    buf_reset(answer);
}
