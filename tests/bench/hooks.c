/* hooks.c — webhooks from both ends: publishes, and receives what the hub makes of it. Led by lines on standard input, each answered by
 * one line of JSON; the first line it prints is {"port":N}, where it receives:
 *
 *   listen                        connections are taken from now on
 *   publish CHANNEL N WINDOW      N messages with at most WINDOW not yet received: the rate, what it cost the hub
 *   flood CHANNEL SECONDS WINDOW  the same for a time
 *   fill CHANNEL N                N messages that nobody waits for
 *   pace CHANNEL N RATE           N messages at RATE a second: how late each was received
 *   await N                       until N in all have been received
 *   seen                          what has come so far
 *
 * A number that comes twice, or a publish that is refused, ends it with a sentence on standard error. */
#include "load.h"
#include "receiver.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATIENCE_MS = 60000, FEW_AT_ONCE = 64, FILL_UNDER_WAY = 8000 };

struct hooks {
    struct load    *load;
    struct receiver receiver;
    uint64_t        sent;              /* numbers given to messages so far */
    const char     *channel;
};

/* ---- both ends at once ---- */

static bool pump(struct hooks *h, int ms)
{
    struct pollfd both[] = { { .fd = h->receiver.epoll, .events = POLLIN }, { .fd = h->load->epoll, .events = POLLIN } };
    int n = poll(both, 2, ms);
    if (both[0].revents)
        receiver_turn(&h->receiver);
    if (both[1].revents)
        load_pump(h->load, 0);
    if (h->load->pubs && h->load->pubs[0].refused > 0)
        die_saying("a publish was refused");
    if (h->receiver.twice > 0)
        die_saying("a webhook came twice");
    return n > 0;
}

static void must_pump(struct hooks *h, const char *what)
{
    if (!pump(h, PATIENCE_MS))
        die_saying(what);
}

static void publish(struct hooks *h, uint64_t n, bool timed)
{
    struct peer *pub = &h->load->pubs[0];
    char text[80];
    for (uint64_t i = 0; i < n; i++, h->sent++) {
        int len = snprintf(text, sizeof text, "N=%lu;", h->sent);
        if (timed)
            snprintf(text + len, sizeof text - (size_t)len, "T=%lu;", now_ns());
        load_add_publish(h->load, pub, h->channel, text);
    }
    if (n > 0)
        load_send_together(h->load, pub);
}

static uint64_t least(uint64_t a, uint64_t b) { return a < b ? a : b; }

/* All that `window` lets through, of `left`, unless it is only a few: those go with the next. */
static uint64_t allowed(uint64_t left, uint64_t under_way, uint64_t window)
{
    uint64_t n = least(left, window > under_way ? window - under_way : 0);
    return n >= least(left, least(FEW_AT_ONCE, window)) ? n : 0;
}

/* ---- what is asked ---- */

static void print_rate(const struct hooks *h, uint64_t n, struct measured took)
{
    printf("{\"per_s\":%.0f,\"seconds\":%.3f,\"cpu_us\":%.3f,\"received\":%lu}\n", (double)n * 1e9 / (double)took.ns, (double)took.ns / 1e9,
           (double)took.cpu_ns / 1e3 / (double)n, h->receiver.received);
}

static void publish_n(struct hooks *h, uint64_t n, uint64_t window)
{
    uint64_t before = h->receiver.received, begun = h->sent;
    struct measured began = measure_begin(h->load);
    while (h->receiver.received - before < n) {
        publish(h, allowed(n - (h->sent - begun), h->sent - begun - (h->receiver.received - before), window), false);
        must_pump(h, "webhooks are missing");
    }
    print_rate(h, n, measure_end(h->load, began));
}

static void flood(struct hooks *h, uint64_t seconds, uint64_t window)
{
    uint64_t before = h->receiver.received, begun = h->sent, until_ns = now_ns() + seconds * 1000000000u;
    struct measured began = measure_begin(h->load);
    while (now_ns() < until_ns) {
        publish(h, allowed(UINT64_MAX, h->sent - begun - (h->receiver.received - before), window), false);
        must_pump(h, "webhooks are missing");
    }
    print_rate(h, h->receiver.received - before, measure_end(h->load, began));
    while (h->receiver.received - before < h->sent - begun)
        must_pump(h, "webhooks are missing");
}

static void fill(struct hooks *h, uint64_t n, uint64_t ignored)
{
    uint64_t before = h->load->answered, begun = h->sent;
    struct measured began = measure_begin(h->load);
    (void)ignored;
    while (h->load->answered - before < n) {
        publish(h, allowed(n - (h->sent - begun), h->sent - begun - (h->load->answered - before), FILL_UNDER_WAY), false);
        must_pump(h, "answers are missing");
    }
    print_rate(h, n, measure_end(h->load, began));
}

static void pace(struct hooks *h, uint64_t n, uint64_t rate)
{
    uint64_t before = h->receiver.received, begun = h->sent;
    struct measured began = measure_begin(h->load);
    receiver_forget_times(&h->receiver);
    while (h->receiver.received - before < n) {
        uint64_t due = least(n, (now_ns() - began.ns) * rate / 1000000000u), sent = h->sent - begun;
        publish(h, due > sent ? due - sent : 0, true);
        if (sent == n)
            must_pump(h, "webhooks are missing");
        else
            pump(h, 1);
    }
    struct measured took = measure_end(h->load, began);
    printf("{\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"max_ms\":%.3f,\"cpu_us\":%.3f}\n", receiver_late_ms(&h->receiver, 0.5),
           receiver_late_ms(&h->receiver, 0.99), receiver_late_ms(&h->receiver, 1), (double)took.cpu_ns / 1e3 / (double)n);
}

static void await(struct hooks *h, uint64_t n)
{
    while (h->receiver.received < n)
        must_pump(h, "webhooks are missing");
}

static void print_seen(const struct hooks *h)
{
    printf("{\"received\":%lu,\"hanging\":%lu,\"first_ns\":%lu,\"first\":\"", h->receiver.received, h->receiver.hanging, h->receiver.first_ns);
    for (size_t i = 0; i < h->receiver.first_len; i++)
        printf("%02x", (unsigned char)h->receiver.first[i]);
    printf("\"}\n");
}

/* ---- being led ---- */

static const struct {
    const char *name;
    void      (*run)(struct hooks *h, uint64_t n, uint64_t more);
} publishing[] = { { "publish", publish_n }, { "flood", flood }, { "fill", fill }, { "pace", pace } };

static void obey(struct hooks *h, const char *line)
{
    char name[16] = "", channel[100] = "";
    unsigned long n = 0, more = 0;
    for (size_t i = 0; i < sizeof publishing / sizeof *publishing; i++)
        if (sscanf(line, "%15s %99s %lu %lu", name, channel, &n, &more) >= 3 && !strcmp(name, publishing[i].name)) {
            h->channel = channel;
            publishing[i].run(h, n, more);
            return;
        }
    if (!strcmp(line, "listen\n"))
        receiver_listen(&h->receiver);
    else if (sscanf(line, "await %lu", &n) == 1)
        await(h, n);
    else if (strcmp(line, "seen\n"))
        die_saying("this is not understood");
    print_seen(h);
}

/* A line has come whole when it comes: it is a pipe, and whoever leads waits for each answer. */
static bool next_line(struct hooks *h, char *line, size_t size)
{
    struct pollfd all[] = { { .fd = STDIN_FILENO, .events = POLLIN }, { .fd = h->receiver.epoll, .events = POLLIN }, { .fd = h->load->epoll, .events = POLLIN } };
    do {
        poll(all, 3, -1);
        if (all[1].revents || all[2].revents)
            pump(h, 0);
    } while (!all[0].revents);
    ssize_t n = read(STDIN_FILENO, line, size - 1);
    line[n > 0 ? n : 0] = '\0';
    return n > 0;
}

int mode_hooks(struct load *l)
{
    struct hooks h = { .load = l };
    char line[200];
    receiver_open(&h.receiver);
    l->o.by = "lines";
    if (l->o.pub)
        load_open_pubs(l, 1);
    printf("{\"port\":%u}\n", h.receiver.port);
    for (fflush(stdout); next_line(&h, line, sizeof line); fflush(stdout))
        obey(&h, line);
    return 0;
}
