/* posts.c — webhooks by libcurl alone: the same requests as the hub's, signed in the same way, from one multi handle on epoll with easy
 * handles that are used again, as fast as they are answered. No queue, no store, no thread: what is left is what any sender must do.
 *
 *   posts PORT IN_FLIGHT COUNT [BYTES]      prints {"per_s":…,"cpu_us":…}: of all its CPU time, for each
 *
 * rows_webhooks.mjs compares what it sends with what the hub does. */
#include "hub/version.h"

#include <curl/curl.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>

enum { EVENTS = 256, BODY = 2048, KEY = 24, LINES = 7 };

struct post {
    CURL             *curl;
    struct curl_slist headers[LINES];
    char              id[64], lines[5][128];
    char              body[BODY];
};

static struct {
    int      epoll;
    long     timeout_ms;         /* libcurl's; -1: none */
    CURLM   *multi;
    char     url[64], payload[1024];
    uint64_t begun, ended, count;
} all = { .timeout_ms = -1 };

static const unsigned char key[KEY] = "a key of twenty-four byt";

_Noreturn static void die(const char *what)
{
    fprintf(stderr, "posts: %s\n", what);
    exit(1);
}

/* ---- a request ---- */

static size_t make_body(struct post *post)
{
    char at[32];
    struct timespec now;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    strftime(at, sizeof at, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(post->id, sizeof post->id, "evt_k3q7x2ab_%lu", all.begun);
    return (size_t)snprintf(post->body, sizeof post->body,
        "{\"id\":\"%s\",\"type\":\"message.published\",\"event\":\"message.published\",\"timestamp\":\"%s.%03ldZ\",\"channel\":\"hooks\",\"message\":"
        "{\"id\":\"k3q7x2ab.%lu\"},\"data\":\"N=%lu;%s\"}", post->id, at, now.tv_nsec / 1000000, all.begun, all.begun, all.payload);
}

static void sign(const struct post *post, size_t len, long time_s, char base64[64])
{
    unsigned char mac[EVP_MAX_MD_SIZE];
    char          text[BODY + 100];
    unsigned      n = 0;
    int           head = snprintf(text, sizeof text, "%s.%ld.", post->id, time_s);
    memcpy(text + head, post->body, len);
    HMAC(EVP_sha256(), key, KEY, (const unsigned char *)text, (size_t)head + len, mac, &n);
    EVP_EncodeBlock((unsigned char *)base64, mac, (int)n);
}

static void set_headers(struct post *post, size_t len)
{
    static char type[] = "Content-Type: application/json", no_waiting[] = "Expect:";
    char signature[64];
    long time_s = (long)time(NULL);
    char *const lines[LINES] = { type, post->lines[0], post->lines[1], post->lines[2], post->lines[3], post->lines[4], no_waiting };
    sign(post, len, time_s, signature);
    snprintf(post->lines[0], sizeof post->lines[0], "User-Agent: carillon/" CARILLON_VERSION);
    snprintf(post->lines[1], sizeof post->lines[1], "webhook-id: %s", post->id);
    snprintf(post->lines[2], sizeof post->lines[2], "webhook-timestamp: %ld", time_s);
    snprintf(post->lines[3], sizeof post->lines[3], "webhook-signature: v1,%s", signature);
    snprintf(post->lines[4], sizeof post->lines[4], "traceparent: 00-%016lx%016lx-%016lx-01", all.begun * 0x9e3779b97f4a7c15, all.begun, all.begun);
    for (int i = 0; i < LINES; i++)
        post->headers[i] = (struct curl_slist){ lines[i], i + 1 < LINES ? &post->headers[i + 1] : NULL };
    curl_easy_setopt(post->curl, CURLOPT_HTTPHEADER, post->headers);
}

static void begin(struct post *post)
{
    size_t len = make_body(post);
    all.begun++;
    set_headers(post, len);
    curl_easy_setopt(post->curl, CURLOPT_URL, all.url);
    curl_easy_setopt(post->curl, CURLOPT_POSTFIELDSIZE, (long)len);
    curl_easy_setopt(post->curl, CURLOPT_POSTFIELDS, post->body);
    if (curl_multi_add_handle(all.multi, post->curl) != CURLM_OK)
        die("curl_multi_add_handle");
}

static size_t drop(char *bytes, size_t size, size_t n, void *arg)
{
    (void)bytes, (void)arg;
    return size * n;
}

static void open_post(struct post *post)
{
    CURL *curl = post->curl = curl_easy_init();
    if (!curl)
        die("curl_easy_init");
    curl_easy_setopt(curl, CURLOPT_PRIVATE, post);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, drop);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, 10000L);
    curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
}

/* ---- libcurl on epoll ---- */

static int on_socket(CURL *curl, curl_socket_t fd, int what, void *arg, void *known)
{
    struct epoll_event event = { .events = (what & CURL_POLL_IN ? EPOLLIN : 0U) | (what & CURL_POLL_OUT ? EPOLLOUT : 0U), .data.fd = fd };
    (void)curl, (void)arg;
    if (what == CURL_POLL_REMOVE)
        return epoll_ctl(all.epoll, EPOLL_CTL_DEL, fd, &event);
    if (!known)
        curl_multi_assign(all.multi, fd, &all);
    return epoll_ctl(all.epoll, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event);
}

static int on_timer(CURLM *multi, long timeout_ms, void *arg)
{
    (void)multi, (void)arg;
    all.timeout_ms = timeout_ms;
    return 0;
}

static void take_ended(void)
{
    CURLMsg *message;
    for (int left; (message = curl_multi_info_read(all.multi, &left));) {
        struct post *post = NULL;
        long status = 0;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &post);
        curl_easy_getinfo(message->easy_handle, CURLINFO_RESPONSE_CODE, &status);
        if (message->data.result || status != 200)
            die(message->data.result ? curl_easy_strerror(message->data.result) : "an answer is not 200");
        curl_multi_remove_handle(all.multi, post->curl);
        all.ended++;
        if (all.begun < all.count)
            begin(post);
    }
}

static void turn(void)
{
    struct epoll_event events[EVENTS];
    int running, n = epoll_wait(all.epoll, events, EVENTS, all.timeout_ms < 0 ? 10000 : (int)all.timeout_ms);
    if (n == 0 && all.timeout_ms < 0)
        die("answers are missing");
    if (n == 0 || all.timeout_ms == 0)
        curl_multi_socket_action(all.multi, CURL_SOCKET_TIMEOUT, 0, &running);
    for (int i = 0; i < n; i++)
        curl_multi_socket_action(all.multi, events[i].data.fd, (events[i].events & ~(unsigned)EPOLLOUT ? CURL_CSELECT_IN : 0) |
                                 (events[i].events & EPOLLOUT ? CURL_CSELECT_OUT : 0), &running);
    take_ended();
}

static double seconds(struct timeval t) { return (double)t.tv_sec + (double)t.tv_usec / 1e6; }

int main(int argc, char **argv)
{
    struct timespec began, over;
    struct rusage used;
    if (argc < 4)
        return 2;
    snprintf(all.url, sizeof all.url, "http://127.0.0.1:%d/fast", atoi(argv[1]));
    size_t in_flight = strtoull(argv[2], NULL, 10), bytes = argc > 4 ? strtoull(argv[4], NULL, 10) : 128;
    all.count = strtoull(argv[3], NULL, 10);
    memset(all.payload, 'x', bytes < sizeof all.payload - 1 ? bytes : sizeof all.payload - 1);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    all.epoll = epoll_create1(EPOLL_CLOEXEC);
    all.multi = curl_multi_init();
    curl_multi_setopt(all.multi, CURLMOPT_MAXCONNECTS, (long)in_flight);
    curl_multi_setopt(all.multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(all.multi, CURLMOPT_TIMERFUNCTION, on_timer);
    struct post *posts = calloc(in_flight, sizeof *posts);
    if (!posts)
        die("no memory");
    clock_gettime(CLOCK_MONOTONIC, &began);
    for (size_t i = 0; i < in_flight && all.begun < all.count; i++) {
        open_post(&posts[i]);
        begin(&posts[i]);
    }
    while (all.ended < all.count)
        turn();
    clock_gettime(CLOCK_MONOTONIC, &over);
    getrusage(RUSAGE_SELF, &used);
    double took = (double)(over.tv_sec - began.tv_sec) + (double)(over.tv_nsec - began.tv_nsec) / 1e9, n = (double)all.count;
    printf("{\"per_s\":%.0f,\"cpu_us\":%.3f}\n", n / took, (seconds(used.ru_utime) + seconds(used.ru_stime)) * 1e6 / n);
    return 0;
}
