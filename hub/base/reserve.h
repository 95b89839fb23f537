/* reserve.h — memory for libraries that cannot be told that there is none.
 *
 * libev ends the process when it finds no memory, libevent (bufferevent_setwatermark) and libwebsockets (a WebSocket that
 * begins) follow a null pointer. They get their memory here: from malloc and, when that has none, from a piece that was
 * set aside at start. While half of it is used the hub takes no new connections (memory.h): the other half is for those it has.
 *
 * OpenSSL can be told no, but asks for a little with every record, which it gives back when the record has been read or has left: a
 * connection that does nothing but listen would pay. So it is served for connections that are established; a handshake, whose
 * memory would stay taken for as long as its connection lives, ends.
 *
 * Our own code uses it only where somebody would pay who did not ask (catchup.c); else who asks for memory that is not
 * there is told so, and pays.
 *
 * Lifetime   static, from reserve_setup() on, which main calls before any library is used; memory of before it may be freed too.
 * Threading  any thread; one lock, taken only when malloc has failed or a piece of the reserve comes back.
 * Limits     RESERVE_BYTES, untouched (so not resident) until needed. Beyond it: NULL. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

enum { RESERVE_BYTES = 4 * 1024 * 1024 };

void     reserve_setup(void);                 /* gives libevent and OpenSSL their allocators; libev and libwebsockets get it where they are set up */
void    *reserve_malloc(size_t n);
void    *reserve_realloc(void *p, size_t n);  /* n 0: frees, NULL (what libev and libwebsockets ask of an allocator) */
void     reserve_free(void *p);
void     reserve_for_tls(bool established);   /* whom this thread's next calls of OpenSSL are for */
size_t   reserve_used(void);                  /* bytes that have not come back; long-lived arrays of a library may stay for ever */
