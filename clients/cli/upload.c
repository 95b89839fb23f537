#include "clients/cli/upload.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "clients/cli/cli.h"
#include "clients/cli/interrupt.h"
#include "clients/cli/payload.h"
#include "clients/cli/result.h"
#include "hub/base/clock.h"
#include "hub/base/err.h"
#include "hub/base/json.h"

enum { FILL_BYTES = 256 * 1024, RESULT_BYTES = 1024 * 1024, SPEAK_MS = 5000, SILENCE_MS = 90000, NEWS_MS = 500, TOLD_MAX = 20 };

/* An item without its result. */
struct pending {
    struct link link;           /* in under_way or in again */
    uint64_t    number;         /* of its source */
    uint64_t    index;          /* in the present stream */
    unsigned    n_results;      /* that have come in it */
    unsigned    n_told;         /* of all streams; those of an item that is sent again begin anew */
    bool        many;           /* it may have several */
    size_t      len;
    char        text[];
};

static int64_t now_ms(void) { return clock_mono_ms(clock_real()); }
static int64_t now_ns(void) { return clock_mono_us() * 1000; }

/* ---- items ---- */

static void forget(struct upload *u, struct pending *p)
{
    link_remove(&p->link);
    u->n_pending--;
    u->bytes -= p->len;
    free(p);
}

/* A result of the last item that was sent is due. */
static bool is_waiting(const struct upload *u)
{
    return !link_alone(&u->under_way) && link_of(u->under_way.prev, struct pending, link)->n_results == 0;
}

static void put(struct upload *u, struct slice text)
{
    buf_add_slice(&u->out, text);
    u->broken |= u->out.failed;
    u->spoke_ms = now_ms();
}

static void send_item(struct upload *u, struct pending *p)
{
    if (!is_waiting(u))
        u->heard_ms = now_ms();
    p->index = u->next_index++;
    p->n_results = 0;
    list_add_last(&u->under_way, &p->link);
    put(u, slice(p->text, p->len));
}

static void tell_failed(struct upload *u, uint64_t number, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void tell_failed(struct upload *u, uint64_t number, const char *format, ...)
{
    char text[1024];
    va_list args;
    u->failed++;
    if (u->told == TOLD_MAX)
        cli_tell(u->command, "… and more; --format json has them all");
    if (u->told++ >= TOLD_MAX)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (u->single)
        cli_tell(u->command, "%s", text);
    else
        cli_tell(u->command, "%s %" PRIu64 ": %s", u->source->fd < 0 ? "message" : "line", number, text);
}

static void take_item(struct upload *u, struct slice item)
{
    struct buf text = { 0 };
    bool many = false;
    uint64_t number = u->source->number;
    int err = u->objects ? item_add_object(&text, &u->terms, item, number, &many) : item_add_payload(&text, &u->terms, item, number);
    struct pending *p = err ? NULL : malloc(sizeof *p + text.len);
    if (p) {
        *p = (struct pending){ .number = number, .many = many, .len = text.len };
        link_init(&p->link);
        memcpy(p->text, text.at, text.len);
        u->n_pending++;
        u->bytes += p->len;
        pacer_take(&u->pacer, now_ns());
        send_item(u, p);
    } else {
        tell_failed(u, number, "%s: %s", err_code(err ? err : ERR_MEMORY), err_text(err ? err : ERR_MEMORY));
    }
    buf_fini(&text);
}

static bool may_send(const struct upload *u) { return u->out.len - u->out_at < FILL_BYTES && now_ms() >= u->hold_ms; }

/* For one more; those that go again are among the pending already. */
static bool has_room(const struct upload *u) { return may_send(u) && u->n_pending < UPLOAD_ITEMS && u->bytes < UPLOAD_BYTES; }

static void take_from_source(struct upload *u)
{
    struct slice item;
    while (!u->source_ended && has_room(u) && pacer_wait_ns(&u->pacer, now_ns()) == 0) {
        enum source_found found = source_next(u->source, &item);
        if (found == SOURCE_WAIT)
            return;
        if (found == SOURCE_ITEM)
            take_item(u, item);
        else if (found == SOURCE_TOO_LONG)
            tell_failed(u, u->source->number, "the line is longer than any hub takes");
        else
            u->source_ended = true;
        if (found == SOURCE_BROKEN) {
            cli_tell(u->command, "cannot read standard input: %s", strerror(errno));
            u->broken = true;
        }
    }
}

/* What goes out next: first what must go again. */
static void fill(struct upload *u)
{
    while (!link_alone(&u->again) && may_send(u)) {
        struct pending *p = link_of(list_first(&u->again), struct pending, link);
        send_item(u, p);
    }
    if (link_alone(&u->again))
        take_from_source(u);
    if (u->source_ended && link_alone(&u->again))
        u->body_ended = true;
    else if (u->out.len == u->out_at && now_ms() - u->spoke_ms >= SPEAK_MS)
        put(u, SLICE("\n"));
}

static uint64_t number_of(struct link *link) { return link_of(link, struct pending, link)->number; }

/* To its place by number among those that go again. */
static void put_again(struct upload *u, struct pending *p)
{
    struct link *behind = &u->again;
    while (behind->prev != &u->again && number_of(behind->prev) > p->number)
        behind = behind->prev;
    list_add_last(behind, &p->link);
}

/* Everything without a result goes first in the next stream, in the order of its source: some of it has been sent, some not yet again. */
static void take_back(struct upload *u)
{
    struct link *place = u->again.next;
    while (!link_alone(&u->under_way)) {
        struct link *sent = u->under_way.next;
        while (place != &u->again && number_of(place) < number_of(sent))
            place = place->next;
        list_add_last(place, sent);
    }
    buf_reset(&u->out);
    u->out_at = 0;
}

/* ---- results ---- */

static void tell_refused(struct upload *u, const struct pending *p, const struct result *result)
{
    struct buf hint = { 0 };
    cli_request_add_hint(&u->request, buf_slice(&result->code), &hint);
    tell_failed(u, p->number, "%.*s: %.*s%.*s", (int)result->code.len, buf_slice(&result->code).at, (int)result->detail.len, buf_slice(&result->detail).at,
                (int)hint.len, buf_slice(&hint).at);
    buf_fini(&hint);
}

static void tell_result(struct upload *u, const struct pending *p, const struct result *result)
{
    bool good = result_is_good(result);
    u->published += good;
    u->replayed += good && result->replayed;
    if (u->form == UPLOAD_JSON)
        result_print(result, p->number, &u->output->waiting);
    else if (good && u->form == UPLOAD_IDS && result->id.len)
        buf_addf(&u->output->waiting, "%.*s\n", (int)result->id.len, result->id.at);
    if (!good)
        tell_refused(u, p, result);
    else if (result->pattern.len && u->form == UPLOAD_IDS)
        cli_tell(u->command, "%.*s: %" PRIu64 " channel%s", (int)result->pattern.len, result->pattern.at, result->channels, result->channels == 1 ? "" : "s");
}

/* The hub cannot take it now: later. An item of several channels may have come to some of them, and is not asked for again. */
static bool is_for_later(struct upload *u, const struct pending *p, const struct result *result)
{
    if (!result_is_passing(result) || p->many || result->pattern.len || interrupt_signal())
        return false;
    int64_t wait = retry_wait_ms(&u->retry, now_ms(), true, (int64_t)(result->retry_s > 86400 ? 86400 : result->retry_s) * 1000);
    if (wait < 0)
        return false;
    if (now_ms() + wait > u->hold_ms)
        u->hold_ms = now_ms() + wait;
    return true;
}

static void take_result(struct upload *u, struct pending *p, const struct result *result)
{
    bool later = is_for_later(u, p, result);
    if (!later && ++p->n_results > p->n_told) {
        tell_result(u, p, result);
        p->n_told = p->n_results;
    }
    if (result_is_good(result))
        retry_went_well(&u->retry);
    if (later) {
        put_again(u, p);
        u->body_ended = false;
    } else if (!p->many) {
        forget(u, p);
    }
}

/* The item that this result is of: those before it have all theirs. */
static struct pending *find_pending(struct upload *u, uint64_t index)
{
    struct link *first;
    while ((first = list_first(&u->under_way))) {
        struct pending *p = link_of(first, struct pending, link);
        if (p->index == index)
            return p;
        if (p->index > index || p->n_results == 0)
            return NULL;
        forget(u, p);
    }
    return NULL;
}

static bool is_worth_coming_back(struct slice code)
{
    for (int err = ERR_BASE + 1; err < ERR_END; err++)
        if (slice_is(slice_of(err_code(err)), code)) {
            int status = err_status(err);
            return err == ERR_GONE || status == 408 || status == 429 || status == 503;
        }
    return false;
}

/* {"summary":{…}}, and why the hub ended the stream if it was not the end of the body. */
static void take_summary(struct upload *u, struct slice text)
{
    struct buf code = { 0 }, detail = { 0 };
    u->summed_up = true;
    if (payload_add_text(&code, text, "code")) {
        payload_add_text(&detail, text, "detail");
        u->end_is_final = !is_worth_coming_back(buf_slice(&code));
        cli_warn(u->command, "the hub has ended the stream: %.*s: %.*s", (int)code.len, code.at, (int)detail.len, buf_slice(&detail).at);
        buf_fini(&detail);
        buf_fini(&code);
        return;
    }
    while (!link_alone(&u->under_way)) {
        struct pending *p = link_of(list_first(&u->under_way), struct pending, link);
        if (p->n_results == 0)
            break;
        forget(u, p);
    }
}

static bool is_summary(struct slice line)
{
    struct json_object members;
    return !json_object_parse(line, &members) && json_member_find(&members, "summary").at;
}

static void take_line(struct upload *u, struct slice line)
{
    struct result result = { 0 };
    struct pending *p = NULL;
    if (is_summary(line)) {
        take_summary(u, line);
        return;
    }
    if (result_read(line, &result) && (p = find_pending(u, result.index)))
        take_result(u, p, &result);
    result_fini(&result);
    if (!p) {
        cli_tell(u->command, "this is no result of a hub: %.*s", (int)(line.len > 200 ? 200 : line.len), line.at);
        u->broken = true;
    }
}

/* ---- the transfer ---- */

static size_t on_read(char *room, size_t size, size_t count, void *arg)
{
    struct upload *u = arg;
    size_t n = u->out.len - u->out_at, most = size * count;
    if (n == 0 && !u->body_ended) {
        u->paused = true;
        return CURL_READFUNC_PAUSE;
    }
    n = n < most ? n : most;
    memcpy(room, buf_slice(&u->out).at + u->out_at, n);
    u->out_at += n;
    if (u->out_at == u->out.len) {
        buf_reset(&u->out);
        u->out_at = 0;
    }
    return n;
}

static size_t on_results(char *bytes, size_t size, size_t count, void *arg)
{
    struct upload *u = arg;
    size_t n = size * count;
    struct slice piece = slice(bytes, n), line;
    if (cli_request_status(&u->request) != 200) {
        buf_add(&u->request.body, bytes, u->request.body.len + n > RESULT_BYTES ? 0 : n);
        return n;
    }
    for (enum line_found found; !u->broken && (found = line_reader_next(&u->results, &piece, RESULT_BYTES, &line)) != LINE_NONE;)
        if (found == LINE_WHOLE)
            take_line(u, line);
        else
            u->broken = true;
    u->heard_ms = now_ms();
    output_flush(u->output);
    return u->broken || u->output->state != OUTPUT_GOOD ? 0 : n;
}

/* How long the loop may wait when nothing comes. */
static int64_t turn_ms(const struct upload *u)
{
    int64_t now = now_ms(), wait = u->out.len > u->out_at ? SPEAK_MS : SPEAK_MS - (now - u->spoke_ms);
    int64_t pace = (pacer_wait_ns(&u->pacer, now_ns()) + 999999) / 1000000;
    if (!u->source_ended && pace > 0 && pace < wait)
        wait = pace;
    if (u->hold_ms > now && u->hold_ms - now < wait)
        wait = u->hold_ms - now;
    return wait < 0 ? 0 : wait;
}

static bool may_read_input(const struct upload *u)
{
    return !u->source_ended && link_alone(&u->again) && has_room(u) && pacer_wait_ns(&u->pacer, now_ns()) == 0 && source_wants_input(u->source);
}

/* ctrl-C: what has been sent is brought to its end. */
static void look_for_signal(struct upload *u)
{
    if (!interrupt_signal() || u->source_ended)
        return;
    source_stop(u->source);
    u->source_ended = true;
    u->retry.patience_ms = 0;
}

/* Something can be filled in at once, without waiting for anybody. */
static bool is_ready(const struct upload *u)
{
    return !u->source_ended && link_alone(&u->again) && has_room(u) && pacer_wait_ns(&u->pacer, now_ns()) == 0 && !source_wants_input(u->source);
}

/* Longer than a hub waits for its store, whatever TCP thinks of the line. */
static bool is_dead(const struct upload *u) { return is_waiting(u) && now_ms() - u->heard_ms > SILENCE_MS; }

static void begin_stream(struct upload *u)
{
    u->next_index = 0;
    u->summed_up = u->body_ended = u->paused = false;
    line_reader_fini(&u->results);
    u->spoke_ms = u->heard_ms = now_ms();
    cli_request_begin(&u->request);
}

/* One stream from connect to end; what has no result is to go again. False: there is no credential any more. */
static bool stream(struct upload *u)
{
    if (cli_request_clear_headers(&u->request) || cli_request_add_header(&u->request, "Content-Type", "application/x-ndjson") ||
        cli_request_add_header(&u->request, "Transfer-Encoding", "chunked"))
        return false;
    begin_stream(u);
    for (bool going = true; going && !u->broken && !u->summed_up && u->output->state == OUTPUT_GOOD && !is_dead(u);) {
        struct curl_waitfd in = { .fd = u->source->fd, .events = CURL_WAIT_POLLIN };
        look_for_signal(u);
        fill(u);
        if (u->paused && (u->out.len > u->out_at || u->body_ended)) {
            u->paused = false;
            curl_easy_pause(u->request.curl, CURLPAUSE_CONT);
        }
        going = cli_request_turn(&u->request, &in, may_read_input(u), is_ready(u) ? 0 : turn_ms(u));
    }
    if (u->summed_up)
        u->request.result = CURLE_OK;
    else if (is_dead(u))
        u->request.result = CURLE_OPERATION_TIMEDOUT;
    cli_request_end(&u->request);
    take_back(u);
    return true;
}

/* ---- from beginning to end ---- */

static bool is_done(const struct upload *u) { return u->source_ended && u->n_pending == 0; }

static void rest(int64_t ms)
{
    struct pollfd fd = { .fd = interrupt_fd(), .events = POLLIN };
    poll(&fd, 1, (int)ms);
}

/* A stream has ended with items left. CLI_GO_ON: another one. */
static int judge(struct upload *u)
{
    CURLcode code = u->request.result;
    long status = cli_request_status(&u->request);
    bool refused = code == CURLE_OK && !u->summed_up && status != 200;
    int64_t wait = -1;
    if (is_done(u))
        return CLI_OK;
    if (status == 200 && u->n_pending == 0)     /* it stood, perhaps for hours, and owes nothing */
        retry_went_well(&u->retry);
    if (!u->end_is_final && !(refused && status != 429 && status != 503) && !cli_request_is_untrusted(code) && !interrupt_signal())
        wait = retry_wait_ms(&u->retry, now_ms(), u->request.connected, refused ? cli_request_retry_after_ms(&u->request) : 0);
    if (refused)
        cli_request_tell_problem(&u->request, u->command);
    else if (!u->summed_up && (wait < 0 || wait >= NEWS_MS || !cli_request_is_away(code)))
        cli_warn(u->command, "%s", code == CURLE_OK ? "the stream ended too soon" : cli_request_error(&u->request, code));
    if (wait < 0)
        return CLI_FAILED;
    cli_request_next_url(&u->request);
    rest(u->hold_ms - now_ms() > wait ? u->hold_ms - now_ms() : wait);
    return CLI_GO_ON;
}

static void tell_summary(struct upload *u)
{
    struct buf text = { 0 };
    if (u->single || (u->form == UPLOAD_QUIET && u->failed == 0 && u->n_pending == 0))
        return;
    buf_addf(&text, "%" PRIu64 " published", u->published);
    if (u->replayed)
        buf_addf(&text, " (%" PRIu64 " of them before the line was cut, or by an earlier run)", u->replayed);
    if (u->failed)
        buf_addf(&text, ", %" PRIu64 " failed", u->failed);
    if (u->n_pending)
        buf_addf(&text, ", %zu without a result", u->n_pending);
    cli_tell(u->command, "%.*s", (int)text.len, buf_slice(&text).at);
    buf_fini(&text);
}

static int exit_of(const struct upload *u, int done)
{
    if (interrupt_signal())
        return CLI_SIGNAL + interrupt_signal();
    if (u->output->state == OUTPUT_BROKEN)
        cli_tell(u->command, "cannot write: %s", strerror(errno));
    return done != CLI_OK || u->broken || u->failed > 0 || u->n_pending > 0 ? CLI_FAILED : CLI_OK;
}

int upload_run(struct upload *u)
{
    int done = CLI_GO_ON;
    while (done == CLI_GO_ON) {
        if (!stream(u)) {
            cli_tell(u->command, "no memory, or no credential in its file any more");
            done = CLI_FAILED;
        } else if (u->broken || u->output->state != OUTPUT_GOOD) {
            done = CLI_FAILED;
        } else {
            done = judge(u);
        }
    }
    output_flush(u->output);
    tell_summary(u);
    return exit_of(u, done);
}

int upload_init(struct upload *u, const struct cli_command *command, const struct cli_target *target)
{
    *u = (struct upload){ .command = command };
    link_init(&u->under_way);
    link_init(&u->again);
    int done = cli_request_init(&u->request, target, command);
    if (done != CLI_GO_ON)
        return done;
    cli_request_add_path(&u->request, "/v1/messages");
    curl_easy_setopt(u->request.curl, CURLOPT_POST, 1L);
    curl_easy_setopt(u->request.curl, CURLOPT_READFUNCTION, on_read);
    curl_easy_setopt(u->request.curl, CURLOPT_READDATA, u);
    curl_easy_setopt(u->request.curl, CURLOPT_WRITEFUNCTION, on_results);
    curl_easy_setopt(u->request.curl, CURLOPT_WRITEDATA, u);
    return CLI_GO_ON;
}

void upload_fini(struct upload *u)
{
    cli_request_fini(&u->request);
    while (u->under_way.next && !link_alone(&u->under_way))
        forget(u, link_of(list_first(&u->under_way), struct pending, link));
    while (u->again.next && !link_alone(&u->again))
        forget(u, link_of(list_first(&u->again), struct pending, link));
    line_reader_fini(&u->results);
    buf_fini(&u->out);
}
