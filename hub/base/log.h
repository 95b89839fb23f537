/* log.h — one line per thing that happened, as text or JSON, on standard error.
 *
 * The object comes first, then what happened: log_info("conn c12", "closed code=%d reason=%s", ...). Core code does
 * not log above debug; edges of the system log once. Never a secret, never a token, never a payload.
 * A line is written with one write(), so lines of several threads do not mix. Lines over 2 KiB are cut.
 * Threading: any thread after log_setup(). */
#pragma once

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };
enum log_format { LOG_TEXT, LOG_JSON };

void log_setup(enum log_level level, enum log_format format);
void log_line(enum log_level level, const char *object, const char *format, ...) __attribute__((format(printf, 3, 4)));
int  log_enabled(enum log_level level);

#define log_error(object, ...) log_line(LOG_ERROR, object, __VA_ARGS__)
#define log_warn(object, ...)  log_line(LOG_WARN, object, __VA_ARGS__)
#define log_info(object, ...)  log_line(LOG_INFO, object, __VA_ARGS__)
#define log_debug(object, ...) (log_enabled(LOG_DEBUG) ? log_line(LOG_DEBUG, object, __VA_ARGS__) : (void)0)
