#include "hub/http_out.h"

static const char *const fault_names[HTTP_OUT_FAULTS] = {
    [HTTP_OUT_NONE] = "", [HTTP_OUT_DNS] = "dns", [HTTP_OUT_CONNECT] = "connect", [HTTP_OUT_TLS] = "tls", [HTTP_OUT_TIMEOUT] = "timeout",
    [HTTP_OUT_TOO_LARGE] = "too_large", [HTTP_OUT_BLOCKED] = "blocked_address", [HTTP_OUT_HTTP] = "http",
};

const char *http_out_fault_name(enum http_out_fault fault) { return fault_names[fault]; }

static struct slice trim(struct slice s)
{
    while (s.len > 0 && (*s.at == ' ' || *s.at == '\t'))
        s = slice(s.at + 1, s.len - 1);
    while (s.len > 0 && strchr(" \t\r\n", s.at[s.len - 1]))
        s.len--;
    return s;
}

struct slice http_head_find(struct slice head, const char *name)
{
    struct slice left = head, wanted = slice_of(name);
    for (const char *end; left.len > 0 && (end = memchr(left.at, '\n', left.len));) {
        struct slice line = slice(left.at, (size_t)(end - left.at));
        const char *colon = memchr(line.at, ':', line.len);
        left = slice(end + 1, left.len - line.len - 1);
        if (colon && slice_is_nocase(slice(line.at, (size_t)(colon - line.at)), wanted))
            return trim(slice(colon + 1, (size_t)(end - colon - 1)));
    }
    return slice(NULL, 0);
}

struct slice http_out_header(const struct http_out_request *request, const char *name)
{
    return http_head_find(buf_slice(&request->answer_head), name);
}

void http_out_answer_fini(struct http_out_request *request)
{
    buf_fini(&request->answer_head);
    buf_fini(&request->answer);
}
