/* mimic.h — what the hub would write, byte for byte but for its epoch, so that hub and baseline send the same.
 *
 * No JSON is escaped and nothing is checked: the generator sends only what needs neither. run.mjs compares the bytes of both servers
 * before it measures, so a change of the hub's wire form is seen as a difference, not as a better or worse figure.
 * Every function writes to `out`, which must have MIMIC_BYTES more than the payload, and returns the length. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MIMIC_BYTES = 1024 };

struct text {
    const char *at;
    size_t      len;
};

struct mimic_message {
    uint64_t    number, time_ms;
    struct text channel, data;
};

size_t mimic_message_ws(char *out, const struct mimic_message *message);
size_t mimic_message_sse(char *out, const struct mimic_message *message);

/* Everything a connection gets before its first message: the response head, welcome and subscribed, or retry and hub.ready.
 * No channel: only what a connection without subscriptions gets (WebSocket). */
size_t mimic_begin_ws(char *out, struct text channel, uint64_t number);
size_t mimic_begin_sse(char *out, struct text channel, uint64_t number);

/* The answer to a publish: the HTTP response 201, or the ok frame with the command's ref. */
size_t mimic_created(char *out, const struct mimic_message *message, size_t subscribers);
size_t mimic_ok(char *out, const struct mimic_message *message, struct text ref, size_t subscribers);
