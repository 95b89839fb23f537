#define _GNU_SOURCE      /* dup3 */
#include "hub/base/audit.h"

#include "hub/base/clock.h"
#include "hub/base/instant.h"
#include "hub/base/json.h"
#include "hub/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const int64_t MINUTE_MS = 60 * 1000;

/* One number for good, behind which files change: another thread may be about to write to it. */
static atomic_int  audit_fd = -1;
static atomic_bool is_on, is_failing;

int audit_open(const char *path)
{
    bool on = path[0] != '\0', to_stderr = !strcmp(path, "stderr");
    int fd = to_stderr ? STDERR_FILENO : open(on ? path : "/dev/null", O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);
    if (fd < 0)
        return errno;
    int kept = atomic_load(&audit_fd), moved = kept < 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 3) : dup3(fd, kept, O_CLOEXEC), error = errno;
    if (!to_stderr)
        close(fd);
    if (moved < 0)
        return error;
    atomic_store(&audit_fd, moved);
    atomic_store(&is_on, on);
    return 0;
}

/* ---- lines ---- */

static void begin_line(struct buf *line)
{
    buf_add_str(line, "{\"time\":\"");
    buf_add_instant_ms(line, clock_wall_ms(clock_real()));
    buf_add_char(line, '"');
}

/* A name in a path may be any bytes. */
static void add_text(struct buf *line, const char *name, struct slice text)
{
    if (text.len == 0)
        return;
    buf_addf(line, ",\"%s\":", name);
    buf_add_json(line, utf8_valid(text) ? text : SLICE("(not UTF-8)"));
}

static void write_line(struct buf *line)
{
    buf_add_str(line, "}\n");
    bool failed = line->failed || write(atomic_load(&audit_fd), line->at, line->len) != (ssize_t)line->len;
    if (failed && !atomic_exchange(&is_failing, true))
        log_error("audit", "cannot be written: %s", line->failed ? strerror(ENOMEM) : strerror(errno));
    else if (!failed && atomic_exchange(&is_failing, false))
        log_info("audit", "is written again; what was not is lost");
    buf_fini(line);
}

void audit_write(const struct audit_event *event)
{
    struct buf line = { 0 };
    if (!atomic_load_explicit(&is_on, memory_order_relaxed))
        return;
    begin_line(&line);
    add_text(&line, "who", event->who);
    add_text(&line, "address", event->address);
    add_text(&line, "action", event->action);
    add_text(&line, "target", event->target);
    add_text(&line, "result", event->result);
    add_text(&line, "request_id", event->request_id);
    write_line(&line);
}

/* ---- credentials that were not let in ---- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct counted { struct ip address; uint64_t times; } counted[AUDIT_ADDRESSES];
static size_t   n_counted;
static uint64_t others;      /* times, of addresses that found no room */
static int64_t  told_ms;

void audit_refused_login(struct ip address)
{
    if (!atomic_load_explicit(&is_on, memory_order_relaxed))
        return;
    struct ip customer = ip_customer(address);
    pthread_mutex_lock(&lock);
    size_t i = 0;
    while (i < n_counted && !ip_is(counted[i].address, customer))
        i++;
    if (i < AUDIT_ADDRESSES) {
        counted[i] = (struct counted){ customer, i < n_counted ? counted[i].times + 1 : 1 };
        n_counted += i == n_counted;
    } else {
        others++;
    }
    pthread_mutex_unlock(&lock);
}

static void tell_refused(struct slice address, uint64_t times)
{
    struct buf line = { 0 };
    begin_line(&line);
    add_text(&line, "address", address);
    buf_addf(&line, ",\"action\":\"login\",\"result\":\"unauthenticated\",\"times\":%llu", (unsigned long long)times);
    write_line(&line);
}

void audit_tick(int64_t mono_ms, bool now)
{
    struct counted taken[AUDIT_ADDRESSES];
    if (!now && mono_ms < told_ms + MINUTE_MS)
        return;
    told_ms = mono_ms;
    pthread_mutex_lock(&lock);
    size_t n = n_counted;
    uint64_t rest = others;
    memcpy(taken, counted, n * sizeof *taken);
    n_counted = 0;
    others = 0;
    pthread_mutex_unlock(&lock);
    for (size_t i = 0; i < n; i++) {
        char text[IP_TEXT];
        tell_refused(slice(text, ip_print(taken[i].address, text)), taken[i].times);
    }
    if (rest > 0)
        tell_refused(SLICE("others"), rest);
}
