#include "tests/sim/webhooks/partner.h"

#include "hub/base/err.h"
#include "hub/base/instant.h"
#include "hub/webhook_id.h"
#include "tests/sim/webhooks/truth.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { FLYING_MOST = 1024 };
static const int64_t ASKED_MOST_MS = 60 * 60 * 1000;

struct flying {
    struct http_out_request *request;
    struct parcel           *parcel;
    int64_t                  due_ms;       /* mono */
    int                      status;       /* 0: `fault`; -1: it does not count */
    enum http_out_fault      fault;
    char                     head[64];     /* a further line of the answer's */
};

static struct flying flying[FLYING_MOST];
static size_t        n_flying;
static enum mood     moods[ENDPOINTS_EVER];

/* ---- what is said ---- */

static void say_date(struct flying *f, int64_t at_s)
{
    struct tm at;
    time_t t = at_s;
    strftime(f->head, sizeof f->head, "Retry-After: %a, %d %b %Y %H:%M:%S GMT\n", gmtime_r(&t, &at));
}

/* Seconds, a date, or what is neither. */
static void ask_for_time(struct flying *f)
{
    f->status = (int)one_of(429, 503);
    switch (dice(6)) {
    case 0: snprintf(f->head, sizeof f->head, "Retry-After: %ld\n", one_of(0, 1, 2, 7, 40, 300)); break;
    case 1: snprintf(f->head, sizeof f->head, "retry-after:%ld\n", one_of(1, 3, 3600, 7200, 99999999999)); break;
    case 2: say_date(f, sim.wall_ms / 1000 + one_of(-100, 2, 5, 60, 7200)); break;
    case 3: snprintf(f->head, sizeof f->head, "Retry-After: %s\n", chance(500) ? "soon" : "-5"); break;
    default: break;
    }
}

static void fail(struct flying *f)
{
    switch (dice(8)) {
    case 0: f->status = 0, f->fault = HTTP_OUT_TIMEOUT, f->due_ms = sim.mono_ms + PARTNER_LATEST_MS; break;
    case 1: f->status = 0, f->fault = HTTP_OUT_CONNECT; break;
    case 2: f->status = 0, f->fault = HTTP_OUT_HTTP; break;
    default: f->status = (int)one_of(500, 302, 404, 400, 199, 301, 502, 503); break;
    }
}

static void draw(struct flying *f, enum mood mood)
{
    f->due_ms = sim.mono_ms + (int64_t)dice(mood == SLOW ? PARTNER_LATEST_MS : 30);
    f->status = (int)one_of(200, 200, 201, 204, 299);
    bool fails = mood == BAD || (mood == FICKLE && chance(500)) || (mood != GOOD && chance(50));
    if (chance(5))
        f->status = -1;
    else if (mood == AWAY)
        f->status = 0, f->fault = HTTP_OUT_TIMEOUT, f->due_ms = sim.mono_ms + PARTNER_LATEST_MS;
    else if (mood == BUSY && chance(700))
        ask_for_time(f);
    else if (mood == QUITS && chance(400))
        f->status = 410;
    else if (fails)
        fail(f);
}

/* What of the answer counts; read anew, because it was said some time ago. */
static struct answer answer_of(const struct flying *f)
{
    struct answer answer = { f->status < 0 ? ANSWERED_VOID : f->status >= 200 && f->status < 300 ? ANSWERED_SUCCESS : ANSWERED_FAILURE, f->status > 0 ? f->status : 0, 0 };
    const char *value = strchr(f->head, ':');
    uint64_t seconds;
    int64_t at_s;
    if (!value || (f->status != 429 && f->status != 503))
        return answer;
    struct slice text = slice_trim(slice(value + 1, strcspn(value + 1, "\n")));
    if (slice_u64(text, &seconds))
        answer.asks_ms = seconds < 3600 ? (int64_t)seconds * 1000 : ASKED_MOST_MS;
    else if (instant_parse_http(text, sim.wall_ms / 1000, &at_s))
        answer.asks_ms = at_s * 1000 - sim.wall_ms;
    answer.asks_ms = answer.asks_ms < 0 ? 0 : answer.asks_ms > ASKED_MOST_MS ? ASKED_MOST_MS : answer.asks_ms;
    return answer;
}

/* ---- the port ---- */

static uint64_t event_of(const struct http_out_request *request)
{
    uint64_t epoch;
    struct slice id = http_head_find(request->headers, "webhook-id");
    sim_check(id.at, "a request without webhook-id");
    return event_id_read(slice_trim(id), &epoch);
}

static void send_it(struct http_out *out, struct http_out_request *request)
{
    (void)out;
    sim_check(n_flying < FLYING_MOST, "more requests than there may be");
    sim_check(!request->prepare(request), "a request cannot be made");
    int place = atoi(strrchr(request->url, '/') + 1);
    struct flying *f = &flying[n_flying++];
    *f = (struct flying){ .request = request };
    f->parcel = truth_begins(place, event_of(request), request->body);
    sim_check(truth_sending() <= sim.config.webhooks_concurrency, "%u attempts are under way", truth_sending());
    draw(f, moods[place]);
}

static void cancel(struct http_out *out, struct http_out_request *request) { (void)out, (void)request; }

struct http_out partner_port = { .send = send_it, .cancel = cancel };

static void mail(const struct flying *f)
{
    struct http_out_request *request = f->request;
    request->err = f->status < 0 ? ERR_MEMORY : f->status == 0 ? ERR_UNREACHABLE : 0;
    request->fault = f->status == 0 ? f->fault : HTTP_OUT_NONE;
    request->status = f->status > 0 ? f->status : 0;
    if (f->status > 0)
        buf_addf(&request->answer_head, "HTTP/1.1 %d X\n%s", f->status, f->head);
    request->letter.kind = LETTER_HTTP_OUT;
    post_put(&sim.http, &request->letter, 0);
    post_flush(&sim.http);
}

static struct flying *first(void)
{
    struct flying *found = NULL;
    for (size_t i = 0; i < n_flying; i++)
        if (!found || flying[i].due_ms < found->due_ms)
            found = &flying[i];
    return found;
}

static struct flying take(struct flying *f)
{
    struct flying taken = *f;
    memmove(f, f + 1, (size_t)(&flying[--n_flying] - f) * sizeof *f);
    return taken;
}

int64_t partner_due_ms(void) { return n_flying ? first()->due_ms : INT64_MAX; }

bool partner_step(void)
{
    if (partner_due_ms() > sim.mono_ms)
        return false;
    struct flying f = take(first());
    if (f.status == 0 && f.fault == HTTP_OUT_TIMEOUT)
        happened(timeouts);
    struct answer answer = answer_of(&f);
    if (answer.asks_ms > 0)
        happened(asked);
    truth_answers(f.parcel, answer);
    mail(&f);
    return true;
}

void partner_lose(void)
{
    while (n_flying > 0) {
        struct flying f = take(&flying[0]);
        f.status = -1;
        mail(&f);
    }
}

bool partner_idle(void)                         { return n_flying == 0; }
void partner_mood(int place, enum mood mood)    { moods[place] = mood; }

void partner_init(void)
{
    n_flying = 0;
    for (int i = 0; i < ENDPOINTS_EVER; i++)
        moods[i] = (enum mood)one_of(GOOD, GOOD, FICKLE, FICKLE, BAD, SLOW, AWAY, BUSY, QUITS);
}
