/* transfer.h — one request on its way: a libcurl easy handle, what it is told, and what became of it.
 *
 * A transfer is made once and used for many requests, one after the other: what all requests of its pool have in common is set when
 * it is made (transfer_new), so that a request costs its URL, its header lines and its body, and no allocation of ours.
 *
 *   transfer_begin(request) ─> libcurl: transfer_opens_socket, head, body ─> transfer_end(code): status, fault, timing in the request
 *
 * What must be set, and why:
 *   CURLOPT_QUICK_EXIT   a transfer that ends while getaddrinfo still waits for its name server leaves that thread behind; without
 *                        it the loop would stand still until the name server has answered: 5 s and more
 *   CURLOPT_NOSIGNAL     no alarm() and no SIGPIPE handling behind our back: other threads are at work
 *   CURLOPT_PROXY        "" when there is none: the environment has no say in where requests go
 *   CURLOPT_OPENSOCKETFUNCTION   where the address is judged that is really connected to
 *
 * Lifetime   owned by its pool. The request belongs to its asker, and is looked at only between begin and end.
 * Threading  that of the loop. */
#pragma once
#include "hub/base/list.h"
#include "hub/http_out.h"

#include <curl/curl.h>

struct sockets;

struct transfer {
    struct link              link;           /* the pool's: running, or idle */
    struct link              reading;        /* the pool's: its head has come, its body has until rest_until_ms */
    int64_t                  rest_until_ms;
    CURL                    *curl;
    struct http_out_request *request;        /* NULL: idle */
    void                   (*on_head)(struct transfer *transfer);      /* the head has come, the body begins */
    void                    *pool;           /* on_head's */
    struct sockets          *sockets;
    struct buf               lines;          /* header lines, each with a NUL for its '\n' */
    struct curl_slist        headers[HTTP_OUT_LINES + 1];      /* into `lines`; libcurl only reads them */
    size_t                   head_bytes;     /* seen so far, of all heads: 100 Continue has one too */
    int                      status;         /* of the head that came last; 0: none */
    bool                     has_head;       /* a final one, whole */
    enum http_out_fault      ended_for;      /* we ended it */
    const char              *blocked;        /* what the last address was that is not to be connected to */
    unsigned                 n_opened;       /* addresses that were tried */
    bool                     again;          /* it is the second time for this request */
    char                     error[CURL_ERROR_SIZE];
};

/* NULL: no memory. */
struct transfer *transfer_new(const struct http_out_rules *rules, struct sockets *sockets);
void             transfer_free(struct transfer *transfer);                            /* it is in no multi handle; NULL is fine */
/* Its curl is then to be added to the multi handle. 0; ERR_MEMORY, ERR_BAD_REQUEST, what prepare said. */
int              transfer_begin(struct transfer *transfer, struct http_out_request *request);
/* libcurl has ended it with `code`; err and all that belongs to it are in the request then. */
void             transfer_end(struct transfer *transfer, CURLcode code);
/* A kept connection was dead when the request came to it, which says nothing about the server: ended, and worth a second time over a
 * new one. (libcurl does that itself, but only five times in the life of an easy handle.) Never true twice for one request. */
bool             transfer_found_dead(const struct transfer *transfer);
void             transfer_again(struct transfer *transfer);      /* its curl is then to be added to the multi handle again */
/* The time for its body is over. */
void             transfer_end_reading(struct transfer *transfer);
