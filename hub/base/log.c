#include "hub/base/log.h"

#include "hub/base/buf.h"
#include "hub/base/clock.h"
#include "hub/base/instant.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

enum { LINE_BYTES = 2048 };

static atomic_int max_level = LOG_INFO;      /* a reload changes them while other threads log */
static atomic_int style = LOG_TEXT;
static const char *const names[] = { "error", "warn", "info", "debug" };

void log_setup(enum log_level level, enum log_format format)
{
    max_level = level;
    style = format;
}

int log_enabled(enum log_level level) { return (int)level <= atomic_load_explicit(&max_level, memory_order_relaxed); }

/* A line end inside a message would forge a second line. */
static void flatten(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20)
            *text = ' ';
}

void log_line(enum log_level level, const char *object, const char *format, ...)
{
    char text[LINE_BYTES];
    va_list args;
    if (!log_enabled(level))
        return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    flatten(text);

    struct buf line = { 0 };
    if (style == LOG_JSON) {
        buf_add_str(&line, "{\"time\":\"");
        buf_add_instant_ms(&line, clock_wall_ms(clock_real()));
        buf_addf(&line, "\",\"level\":\"%s\",\"object\":", names[level]);
        buf_add_json(&line, slice_of(object));
        buf_add_str(&line, ",\"message\":");
        buf_add_json(&line, slice_of(text));
        buf_add_str(&line, "}\n");
    } else {
        buf_add_instant_ms(&line, clock_wall_ms(clock_real()));
        buf_addf(&line, " %-5s %s: %s\n", names[level], object, text);
    }
    if (!line.failed && write(STDERR_FILENO, line.at, line.len) < 0)
        line.failed = true;      /* standard error is gone: nobody to tell */
    buf_fini(&line);
}
