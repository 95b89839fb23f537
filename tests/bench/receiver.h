/* receiver.h — whoever webhooks are sent to, at the other end of the benchmark: takes requests, answers, counts, and says how late they came.
 *
 * It looks at no more of a request than it needs: where its body ends (Content-Length), whether its path is /hang (never answered), and in
 * the body N=<number>; (each must come once) and T=<CLOCK_MONOTONIC, ns>; (when it was sent off).
 * Lifetime: one for the process, nothing is freed. Threading: one thread. Limits: RECEIVER_REQUEST bytes of a request. */
#pragma once
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

enum { RECEIVER_REQUEST = 16384 };

struct receiver {
    int       epoll, fd;             /* `epoll` is readable when there is something to do */
    uint16_t  port;                  /* of 127.0.0.1; nobody takes connections there before receiver_listen() */
    uint64_t  received, hanging;     /* requests answered; and those that never are */
    uint64_t  first_ns;              /* when the first one came */
    char     *first;                 /* the first one, as it came */
    size_t    first_len;
    uint8_t  *numbers;               /* a bit for each that has come */
    uint64_t  n_numbers, twice;      /* room for so many; such that came again */
    uint64_t *late_ns;               /* of each with a time; receiver_forget_times() */
    size_t    n_late, cap_late;
};

void receiver_open(struct receiver *r);
void receiver_listen(struct receiver *r);
void receiver_turn(struct receiver *r);              /* all there is to read now */
void receiver_forget_times(struct receiver *r);
/* Sorts them: the share `at` (0.5, 0.99) was not later than this, in ms. */
double receiver_late_ms(struct receiver *r, double at);
