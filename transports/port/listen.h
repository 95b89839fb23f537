/* listen.h — sockets that listen, from an address of the config: TCP, [IPv6], unix:/path.
 *
 *   127.0.0.1:8001, [::1]:8001, name:8001   that address (all addresses a name has)
 *   :8000                                   all addresses, IPv6 and IPv4 on one socket where the kernel can
 *   unix:/path                              mode 0660; the file of a process that is no more is taken over, that of a living one never
 *
 * With --dev only loopback is allowed, :8000 means 127.0.0.1 and ::1, and ::1 is added to 127.0.0.1 where there is one, because
 * browsers try it first for "localhost". Port 0 picks one, the same for all sockets of the address.
 *
 * Lifetime   listen_open at start, listen_close at the end (removes the unix socket's file). Threading: one thread.
 * Limits     LISTEN_MAX sockets. TCP_NODELAY is set on them, and accepted sockets inherit it. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct address;

enum { LISTEN_MAX = 4, LISTEN_TEXT = 128 };

struct listener {
    int  fds[LISTEN_MAX];          /* non-blocking, close-on-exec, listening */
    int  n;
    char text[LISTEN_TEXT];        /* for the ready line: "127.0.0.1:8001", "unix:/path"; the real port */
    char path[LISTEN_TEXT];        /* file to be removed; "": none */
};

/* 0, or ERR_ADDRESS with one sentence for the operator in `why`. */
int  listen_open(const struct address *address, bool dev, struct listener *ret_listener, char *why, size_t why_size);
void listen_close(struct listener *listener);
