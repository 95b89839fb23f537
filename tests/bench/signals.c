/* signals.c — members of rooms: pairs that send each other offers, as fast as it goes or at a pace, and rooms that all join at once.
 *
 * A member is a WebSocket with a user of its own, u000000, u000001, …; two that follow each other are a pair. An offer is a frame of 2 KB: a
 * browser's SDP, with a number in front by which the receiver knows that nothing is missing, twice or out of order, and how late it is. It is
 * masked once, at the beginning; digits are put in afterwards, so the generator's part is copying. To PeerJS the same goes as its own frames. */
#include "load.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

enum { USER_DIGITS = 6, CALL_DIGITS = 16, OFFER_BYTES = 4096, TAIL = 32, LOOK_BYTES = 200, SENT_AT_ONCE = 8 };

/* What Chromium says of audio, video and two candidates, shortened to 2 KB. */
#define LINE "\\r\\n"
static const char sdp[] =
    "v=0" LINE "o=- 4611731400430051336 2 IN IP4 127.0.0.1" LINE "s=-" LINE "t=0 0" LINE "a=group:BUNDLE 0 1" LINE "a=extmap-allow-mixed" LINE
    "a=msid-semantic: WMS 7c2f9a1e-51c3-4f0f-8a55-0f9d2f6b9b11" LINE "m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126" LINE "c=IN IP4 0.0.0.0" LINE
    "a=rtcp:9 IN IP4 0.0.0.0" LINE "a=candidate:1467250027 1 udp 2122260223 192.168.0.196 46243 typ host generation 0 network-id 1" LINE
    "a=candidate:435653019 1 tcp 1845501695 192.168.0.196 9 typ host tcptype active generation 0 network-id 1" LINE "a=ice-ufrag:Oyef7uvBlwafI3hT" LINE
    "a=ice-pwd:T0teqPLNQQOf+5W+ls+P2p16" LINE "a=ice-options:trickle" LINE
    "a=fingerprint:sha-256 49:66:12:17:0D:1C:91:AE:57:4C:C6:36:DD:D5:97:D2:7D:62:C9:9A:7F:B9:A3:F4:70:03:E7:43:91:73:23:5E" LINE "a=setup:actpass" LINE "a=mid:0" LINE
    "a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level" LINE "a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time" LINE
    "a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid" LINE "a=sendrecv" LINE "a=rtcp-mux" LINE "a=rtpmap:111 opus/48000/2" LINE "a=rtcp-fb:111 transport-cc" LINE
    "a=fmtp:111 minptime=10;useinbandfec=1" LINE "a=rtpmap:63 red/48000/2" LINE "a=fmtp:63 111/111" LINE "a=rtpmap:9 G722/8000" LINE "a=rtpmap:0 PCMU/8000" LINE
    "a=rtpmap:8 PCMA/8000" LINE "a=ssrc:3735928559 cname:7QfyDkBgRbHb0YXo" LINE "m=video 9 UDP/TLS/RTP/SAVPF 96 97" LINE "c=IN IP4 0.0.0.0" LINE "a=rtcp:9 IN IP4 0.0.0.0" LINE
    "a=ice-ufrag:Oyef7uvBlwafI3hT" LINE "a=ice-pwd:T0teqPLNQQOf+5W+ls+P2p16" LINE "a=setup:actpass" LINE "a=mid:1" LINE "a=sendrecv" LINE "a=rtcp-mux" LINE "a=rtcp-rsize" LINE
    "a=rtpmap:96 VP8/90000" LINE "a=rtcp-fb:96 goog-remb" LINE "a=rtcp-fb:96 transport-cc" LINE "a=rtcp-fb:96 ccm fir" LINE "a=rtcp-fb:96 nack" LINE "a=rtcp-fb:96 nack pli" LINE
    "a=rtpmap:97 rtx/90000" LINE "a=fmtp:97 apt=96" LINE "a=ssrc-group:FID 1122334455 5544332211" LINE "a=ssrc:1122334455 cname:7QfyDkBgRbHb0YXo" LINE
    "a=ssrc:1122334455 msid:7c2f9a1e-51c3-4f0f-8a55-0f9d2f6b9b11 3b9c1e5d-2f62-4c57-9d6a-91b1f6f1c0aa" LINE "a=ssrc:5544332211 cname:7QfyDkBgRbHb0YXo" LINE
    "a=ssrc:5544332211 msid:7c2f9a1e-51c3-4f0f-8a55-0f9d2f6b9b11 3b9c1e5d-2f62-4c57-9d6a-91b1f6f1c0aa" LINE;

/* An offer as a masked frame, with zeros where digits go. */
struct offer {
    char   frame[OFFER_BYTES];
    size_t len, to, call;            /* where the last digit of each is */
    char   tail[TAIL];               /* how it ends */
};

struct pairs {
    struct load  *load;
    struct offer  offer;
    struct half {
        uint64_t sent, got;          /* got: of what the other one sends */
        bool     may_send;           /* is in `ready` */
    } *halves;
    size_t       *ready, n_ready;    /* those who may have room in their window again */
    char         *together;          /* what leaves in one send() */
    uint64_t     *late_ns;           /* of each that has come; NULL: nobody asks */
    size_t        n_late, max_late;
};

/* ---- offers ---- */

static void make_offer(struct offer *offer, bool peerjs)
{
    char json[OFFER_BYTES - 14];
    static const char *const ways[] = { "{\"type\":\"offer\",\"to\":\"u000000\",\"call\":\"0000000000000000\",\"sdp\":\"%s\"}",
                                        "{\"type\":\"OFFER\",\"dst\":\"u000000\",\"payload\":{\"call\":\"0000000000000000\",\"sdp\":\"%s\"}}" };
    size_t len = (size_t)snprintf(json, sizeof json, ways[peerjs], sdp);
    offer->len = peer_frame(offer->frame, json, len);
    size_t head = offer->len - len;
    offer->to = head + (size_t)(strstr(json, "\"u0") - json) + 1 + USER_DIGITS;
    offer->call = head + (size_t)(strstr(json, "\"call\":\"") - json) + 7 + CALL_DIGITS;
    memcpy(offer->tail, json + len - TAIL, TAIL);
}

/* The frame is masked, by what need not be known: its zeros become digits as they would without. */
static void put_digits(char *last, uint64_t number, size_t digits)
{
    for (size_t i = 0; i < digits; i++, number /= 10)
        last[-(ptrdiff_t)i] = (char)(last[-(ptrdiff_t)i] ^ (int)(number % 10));
}

static size_t write_offer(const struct offer *offer, char *out, size_t to, uint64_t call)
{
    memcpy(out, offer->frame, offer->len);
    put_digits(out + offer->to, to, USER_DIGITS);
    put_digits(out + offer->call, call, CALL_DIGITS);
    return offer->len;
}

static uint64_t call_of(const struct offer *offer, const char *payload, size_t len)
{
    const char *call = memmem(payload, len < LOOK_BYTES ? len : LOOK_BYTES, "\"call\":\"", 8);
    if (!call || len < TAIL || memcmp(payload + len - TAIL, offer->tail, TAIL))
        die_saying("an offer came that nobody has sent");
    return strtoull(call + 8, NULL, 10);
}

static void mind(struct pairs *p, size_t i)
{
    if (!p->halves[i].may_send)
        p->ready[p->n_ready++] = i;
    p->halves[i].may_send = true;
}

static void on_offer(void *arg, struct peer *peer, const char *payload, size_t len)
{
    struct pairs *p = arg;
    size_t i = (size_t)(peer - p->load->subs);
    uint64_t call = call_of(&p->offer, payload, len);
    p->halves[i].got++;
    if (p->late_ns)
        p->late_ns[p->n_late++ % p->max_late] = now_ns() - call;
    else if (call != p->halves[i].got)
        die_saying("an offer is missing, came twice or out of order");
    mind(p, i ^ 1);
}

/* ---- members ---- */

static void open_members(struct load *l, size_t n)
{
    l->subs = calloc(n, sizeof *l->subs);
    for (size_t i = 0; i < n; i++) {
        char path[100] = "/ws";
        if (l->o.peerjs)
            snprintf(path, sizeof path, "/peerjs?key=peerjs&id=u%06zu&token=t%zu", i, i);
        if (peer_open(&l->subs[i], PEER_MEMBER, &l->sub_to, path))
            die("connect");
        load_watch(l, &l->subs[i]);
        while (l->subscribed + FEW <= i)
            load_must_pump(l, "a member was not welcomed");
    }
    while (l->subscribed < n)
        load_must_pump(l, "not all members were welcomed");
}

static void join(struct load *l, size_t i, size_t each)
{
    char json[200], frame[214];
    int n = snprintf(json, sizeof json, "{\"type\":\"join\",\"room\":\"r%06zu\",\"user_id\":\"u%06zu\",\"info\":{\"name\":\"Member %zu\"}}", i / each, i, i);
    load_send_all(l, &l->subs[i], frame, peer_frame(frame, json, (size_t)n));
}

/* All of them, `each` to a room, at most `at_once` of them not yet in it. */
static void join_all(struct load *l, size_t n, size_t each, size_t at_once)
{
    uint64_t before = l->joined;
    for (size_t i = 0; i < n; i++) {
        join(l, i, each);
        while (l->joined - before + at_once <= i)
            load_must_pump(l, "a member is not in its room");
    }
    while (l->joined - before < n)
        load_must_pump(l, "not all members are in their rooms");
}

/* ---- relayed ---- */

static void open_pairs(struct pairs *p, struct load *l)
{
    size_t members = 2 * l->o.n;
    *p = (struct pairs){ .load = l, .halves = calloc(members, sizeof *p->halves), .ready = calloc(members, sizeof *p->ready) };
    make_offer(&p->offer, l->o.peerjs);
    p->together = malloc(l->o.window * p->offer.len);
    open_members(l, members);
    if (!l->o.peerjs)
        join_all(l, members, 2, FEW);
    l->on_data = on_offer;
    l->on_data_arg = p;
}

/* All that this one may have under way now, of `left`; how many. */
static uint64_t send_allowed(struct pairs *p, size_t i, uint64_t left)
{
    struct half *own = &p->halves[i], *other = &p->halves[i ^ 1];
    size_t len = 0;
    uint64_t n = 0;
    own->may_send = false;
    for (; n < left && own->sent < other->got + p->load->o.window; n++)
        len += write_offer(&p->offer, p->together + len, i ^ 1, ++own->sent);
    load_send_all(p->load, &p->load->subs[i], p->together, len);
    return n;
}

/* `messages` of them; all have come. */
static void relay(struct pairs *p, uint64_t messages)
{
    struct load *l = p->load;
    uint64_t before = l->received, sent = 0;
    for (size_t i = 0; i < 2 * l->o.n; i++)
        mind(p, i);
    while (l->received - before < messages) {
        while (sent < messages && p->n_ready > 0)
            sent += send_allowed(p, p->ready[--p->n_ready], messages - sent);
        load_must_pump(l, "offers are missing");
    }
}

static unsigned long segments_in(const struct load *l)
{
    unsigned long sum = 0;
    for (size_t i = 0; i < 2 * l->o.n; i++)
        sum += sock_segments_in(&l->subs[i].sock);
    return sum;
}

int mode_relay(struct load *l)
{
    struct pairs p;
    open_pairs(&p, l);
    relay(&p, l->o.messages / 10 + 1);
    unsigned long segments = segments_in(l);
    struct measured began = measure_begin(l);
    relay(&p, l->o.messages);
    struct measured took = measure_end(l, began);
    double n = (double)l->o.messages;
    printf("{\"per_s\":%.0f,\"cpu_us\":%.3f,\"frames_per_send\":%.2f,\"frame_bytes\":%zu}\n", n * 1e9 / (double)took.ns, (double)took.cpu_ns / 1e3 / n,
           n / (double)(segments_in(l) - segments), p.offer.len);
    return 0;
}

/* ---- at a pace ---- */

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Reads what there is; until then, if there is nothing. It sleeps meanwhile: who never did would be put aside for it, --realtime or not. */
static void read_until(struct load *l, uint64_t ns)
{
    struct pollfd any = { .fd = l->epoll, .events = POLLIN };
    uint64_t now = now_ns(), left = ns > now ? ns - now : 0;
    struct timespec timeout = { .tv_sec = (time_t)(left / 1000000000u), .tv_nsec = (long)(left % 1000000000u) };
    if (ppoll(&any, 1, &timeout, NULL) > 0)
        load_pump(l, 0);
}

/* Offers are sent when they are due, whatever has come: their number is that moment, also where the generator was late itself. */
static void pace(struct pairs *p, uint64_t messages)
{
    struct load *l = p->load;
    uint64_t began = now_ns(), before = l->received, sent = 0, due = 0;
    prctl(PR_SET_TIMERSLACK, 1);
    while (l->received - before < messages) {
        for (; sent < messages && (due = began + sent * 1000000000u / l->o.rate) <= now_ns(); sent++) {
            size_t from = (size_t)(sent % (2 * l->o.n));
            load_send_all(l, &l->subs[from], p->together, write_offer(&p->offer, p->together, from ^ 1, due));
            if (sent % SENT_AT_ONCE == 0)
                load_pump(l, 0);      /* also where many are due: who is sent to reads */
        }
        p->n_ready = 0;
        if (sent == messages)
            load_must_pump(l, "offers are missing");
        else
            read_until(l, due);
    }
}

int mode_relay_late(struct load *l)
{
    struct pairs p;
    open_pairs(&p, l);
    p.max_late = l->o.messages;
    p.late_ns = malloc(p.max_late * sizeof *p.late_ns);
    pace(&p, l->o.messages / 10 + 1);
    p.n_late = 0;
    struct measured began = measure_begin(l);
    pace(&p, l->o.messages);
    struct measured took = measure_end(l, began);
    qsort(p.late_ns, p.n_late, sizeof *p.late_ns, by_value);
    printf("{\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"max_ms\":%.3f,\"cpu_us\":%.3f}\n", (double)p.late_ns[p.n_late / 2] / 1e6, (double)p.late_ns[p.n_late * 99 / 100] / 1e6,
           (double)p.late_ns[p.n_late - 1] / 1e6, (double)took.cpu_ns / 1e3 / (double)p.n_late);
    return 0;
}

/* ---- rooms, led by lines on standard input ---- */

/* "join": few at once, "storm": all at once. Answered when all are in their rooms and have been told of all who came after them. */
static void obey(struct load *l, const char *line)
{
    bool storm = !strcmp(line, "storm\n");
    uint64_t n = l->o.n, each = l->o.channels, rest = n % each, told = n / each * (each * (each - 1) / 2) + rest * (rest - 1) / 2 * (rest > 0);
    if (!storm && strcmp(line, "join\n"))
        die_saying("this is not understood");
    struct measured began = measure_begin(l);
    join_all(l, n, each, storm ? n : FEW);
    double joined_s = (double)measure_end(l, began).ns / 1e9;
    while (l->told < told)
        load_must_pump(l, "not all were told of those who came");
    struct measured took = measure_end(l, began);
    printf("{\"joined_s\":%.4f,\"told_s\":%.4f,\"cpu_s\":%.4f,\"told\":%lu}\n", joined_s, (double)took.ns / 1e9, (double)took.cpu_ns / 1e9, l->told);
    fflush(stdout);
}

int mode_rooms(struct load *l)
{
    struct pollfd both[] = { { .fd = STDIN_FILENO, .events = POLLIN }, { .fd = l->epoll, .events = POLLIN } };
    char line[16];
    open_members(l, l->o.n);
    printf("{\"ready\":%lu}\n", l->o.n);
    fflush(stdout);
    for (;;) {
        poll(both, 2, -1);
        if (both[1].revents)
            load_pump(l, 0);
        if (!both[0].revents)
            continue;
        ssize_t n = read(STDIN_FILENO, line, sizeof line - 1);
        if (n <= 0)
            return 0;
        line[n] = '\0';
        obey(l, line);
    }
}
