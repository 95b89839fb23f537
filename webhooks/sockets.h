/* sockets.h — the sockets and the timer of a libcurl multi handle on a libevent loop.
 *
 * libcurl says which sockets it wants watched and when it wants to be called (CURLMOPT_SOCKETFUNCTION, CURLMOPT_TIMERFUNCTION); it is
 * told what happened (curl_multi_socket_action). Inside its callbacks nothing of libcurl may be called, so what is due at once is
 * only noted, and done in sockets_turn at the end of the loop's turn: for all transfers that began in this turn together.
 *
 * libcurl stops watching a connection after each request and watches it again with the next. We open its sockets, so we also learn
 * when they are closed (CURLOPT_CLOSESOCKETFUNCTION), and leave them in epoll in between: a request on a connection that is there
 * costs no epoll_ctl. Should an idle one become readable (the server hangs up), it is taken out then; libcurl finds out itself
 * before it uses it again.
 *
 * Lifetime   sockets_new; set on each easy handle; sockets_free after its multi handle has been cleaned up.
 * Threading  that of the loop. */
#pragma once
#include <curl/curl.h>
#include <stdbool.h>

struct event_base;
struct sockets;

struct sockets *sockets_new(struct event_base *base, CURLM *multi);      /* NULL: no memory */
void            sockets_free(struct sockets *all);                       /* NULL is fine */
/* A socket for this address, watched as ours; CURL_SOCKET_BAD. */
curl_socket_t   sockets_open(struct sockets *all, const struct curl_sockaddr *address);
int             sockets_close(void *sockets, curl_socket_t fd);          /* the callback, with the sockets as its data */
/* Does what is due at once; true: something was. */
bool            sockets_turn(struct sockets *all);
