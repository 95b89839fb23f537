#include "hub/trace.h"

#include <endian.h>
#include <stdio.h>

enum { FLAG_SAMPLED = 1, FLAG_RANDOM = 2, ID_BYTES = 16 };

/* ---- reading ---- */

/* Lowercase only (§3.2.1); false: it is not, or all of it is zero where that stands for nothing. */
static bool read_hex(const char *hex, size_t n, bool may_be_zero, char *ret_bytes)
{
    char any = 0;
    for (size_t i = 0; i < n; i++) {
        int high = hex_value(hex[2 * i]), low = hex_value(hex[2 * i + 1]);
        if (high < 0 || low < 0 || (hex[2 * i] >= 'A' && hex[2 * i] <= 'F') || (hex[2 * i + 1] >= 'A' && hex[2 * i + 1] <= 'F'))
            return false;
        ret_bytes[i] = (char)(high << 4 | low);
        any |= ret_bytes[i];
    }
    return any || may_be_zero;
}

bool trace_read(struct slice text, char ret_trace[TRACE_BYTES])
{
    enum { LEN = TRACEPARENT_TEXT - 1 };
    char version, trace[ID_BYTES], parent[8], flags;
    if (text.len < LEN || text.at[2] != '-' || text.at[35] != '-' || text.at[52] != '-' || !read_hex(text.at, 1, true, &version) ||
        !read_hex(text.at + 3, sizeof trace, false, trace) || !read_hex(text.at + 36, sizeof parent, false, parent) || !read_hex(text.at + 53, 1, true, &flags))
        return false;
    if (version == (char)0xff || (text.len > LEN && (version == 0 || text.at[LEN] != '-')))
        return false;
    memcpy(ret_trace, trace, sizeof trace);
    ret_trace[ID_BYTES] = (char)(flags & (FLAG_SAMPLED | FLAG_RANDOM));
    return true;
}

/* ---- making ---- */

/* The finalizer of SplitMix64: each bit of the result depends on each of the argument. (Steele, Lea, Flood 2014) */
static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static const uint64_t GOLDEN = UINT64_C(0x9e3779b97f4a7c15);

/* Sampled, because the hub keeps a record of each attempt, and a receiver that goes by this flag would keep none of its own otherwise. */
static void make(const struct msg *m, char ret_trace[TRACE_BYTES])
{
    uint64_t high = mix(m->epoch + GOLDEN), low = mix(mix(m->seq + GOLDEN) ^ m->epoch);
    high = htobe64(high ? high : 1);
    low = htobe64(low);
    memcpy(ret_trace, &high, sizeof high);
    memcpy(ret_trace + sizeof high, &low, sizeof low);
    ret_trace[ID_BYTES] = FLAG_SAMPLED;
}

void trace_of(const struct msg *m, char ret_trace[TRACE_BYTES])
{
    struct slice given = msg_trace(m);
    if (given.len == TRACE_BYTES)
        memcpy(ret_trace, given.at, TRACE_BYTES);
    else
        make(m, ret_trace);
}

uint64_t trace_next_span(uint64_t *spans)
{
    uint64_t span = mix(*spans += GOLDEN);
    return span ? span : trace_next_span(spans);
}

/* ---- writing ---- */

void trace_id_print(const char trace[TRACE_BYTES], char ret_hex[TRACE_ID_HEX + 1])
{
    for (int i = 0; i < ID_BYTES; i++)
        snprintf(ret_hex + 2 * i, 3, "%02x", (unsigned char)trace[i]);
}

void trace_print(const char trace[TRACE_BYTES], uint64_t span, char ret_text[TRACEPARENT_TEXT])
{
    char id[TRACE_ID_HEX + 1];
    trace_id_print(trace, id);
    snprintf(ret_text, TRACEPARENT_TEXT, "00-%s-%016llx-%02x", id, (unsigned long long)span, (unsigned char)trace[ID_BYTES]);
}
