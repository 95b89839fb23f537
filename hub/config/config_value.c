#define _GNU_SOURCE     /* memrchr, memmem */
#include "hub/config/config_value.h"

#include "hub/base/duration.h"
#include "hub/base/err.h"
#include "hub/base/ip.h"
#include "hub/base/name.h"
#include <arpa/inet.h>
#include <sys/un.h>

struct unit { const char *name; uint64_t factor; };

static const struct unit byte_units[] = {
    { "TiB", UINT64_C(1) << 40 }, { "GiB", UINT64_C(1) << 30 }, { "MiB", UINT64_C(1) << 20 }, { "KiB", UINT64_C(1) << 10 },
    { "", 1 }, { NULL, 0 }
};
static const struct unit time_units[] = {     /* only to print: duration.c reads */
    { "d", 86400000 }, { "h", 3600000 }, { "m", 60000 }, { "s", 1000 }, { "ms", 1 }, { NULL, 0 }
};
static const struct unit no_units[] = { { "", 1 }, { NULL, 0 } };

/* ---- numbers with units ---- */

static bool read_units(struct slice text, const struct unit *units, uint64_t *ret)
{
    size_t digits = 0;
    uint64_t number;
    while (digits < text.len && text.at[digits] >= '0' && text.at[digits] <= '9')
        digits++;
    struct slice unit = slice(text.at + digits, text.len - digits);
    if (!slice_u64(slice(text.at, digits), &number))
        return false;
    for (; units->name; units++)
        if (slice_is(unit, slice_of(units->name))) {
            if (number > INT64_MAX / units->factor)
                return false;
            *ret = number * units->factor;
            return true;
        }
    return false;
}

/* In the largest unit that leaves no rest. */
static void print_units(uint64_t value, const struct unit *units, struct buf *out)
{
    for (; units->name; units++)
        if (value % units->factor == 0 && (value || units->factor == 1)) {
            buf_addf(out, "%llu%s", (unsigned long long)(value / units->factor), units->name);
            return;
        }
}

static const struct unit *units_of(const struct config_key *key)
{
    return key->type == CONFIG_BYTES ? byte_units : key->type == CONFIG_DURATION ? time_units : no_units;
}

static bool read_amount(const struct config_key *key, struct slice text, uint64_t *ret)
{
    int64_t ms;
    if (key->type != CONFIG_DURATION)
        return read_units(text, units_of(key), ret);
    if (!duration_parse(text, &ms))
        return false;
    *ret = (uint64_t)ms;
    return true;
}

static const char *number_advice(const struct config_key *key)
{
    switch (key->type) {
    case CONFIG_BYTES:    return "is not a size: write 65536, 64KiB or 1MiB";
    case CONFIG_DURATION: return "is not a duration: write 250ms, 5s, 10m, 24h or 7d";
    default:              return "is not a number";
    }
}

static int read_number(struct config_snapshot *snapshot, const struct config_key *key, struct slice text, void *member,
                       struct buf *why)
{
    uint64_t value, bound;
    (void)snapshot;
    if (!read_amount(key, text, &value)) {
        buf_add_str(why, number_advice(key));
        return ERR_CONFIG;
    }
    if (read_amount(key, slice_of(key->min), &bound) && value < bound) {
        buf_addf(why, "is less than %s, the least it may be", key->min);
        return ERR_CONFIG;
    }
    if (read_amount(key, slice_of(key->max), &bound) && value > bound) {
        buf_addf(why, "is more than %s, the most it may be", key->max);
        return ERR_CONFIG;
    }
    if (key->type == CONFIG_DURATION)
        *(int64_t *)member = (int64_t)value;
    else
        *(size_t *)member = (size_t)value;
    return 0;
}

static void print_number(const struct config_key *key, const void *member, struct buf *out)
{
    uint64_t value = key->type == CONFIG_DURATION ? (uint64_t)*(const int64_t *)member : *(const size_t *)member;
    print_units(value, units_of(key), out);
}

/* ---- yes and no, one of several ---- */

/* Index of the word among a|b|c, or -1. */
static int choice_index(const char *values, struct slice text)
{
    int i = 0;
    for (const char *at = values;; i++) {
        size_t len = strcspn(at, "|");
        if (slice_is(slice(at, len), text))
            return i;
        if (!at[len])
            return -1;
        at += len + 1;
    }
}

static int read_bool(struct config_snapshot *snapshot, const struct config_key *key, struct slice text, void *member,
                     struct buf *why)
{
    int i = choice_index("false|true|no|yes|off|on|0|1", text);
    (void)snapshot;
    (void)key;
    if (i < 0) {
        buf_add_str(why, "is neither true nor false");
        return ERR_CONFIG;
    }
    *(bool *)member = i & 1;
    return 0;
}

static void print_bool(const struct config_key *key, const void *member, struct buf *out)
{
    (void)key;
    buf_add_str(out, *(const bool *)member ? "true" : "false");
}

static int read_enum(struct config_snapshot *snapshot, const struct config_key *key, struct slice text, void *member,
                     struct buf *why)
{
    int i = choice_index(key->values, text);
    (void)snapshot;
    if (i < 0) {
        buf_addf(why, "is not one of %s", key->values);
        return ERR_CONFIG;
    }
    *(unsigned *)member = (unsigned)i;
    return 0;
}

static void print_enum(const struct config_key *key, const void *member, struct buf *out)
{
    const char *at = key->values;
    for (unsigned i = *(const unsigned *)member; i > 0; i--)
        at += strcspn(at, "|") + 1;
    buf_add(out, at, strcspn(at, "|"));
}

/* ---- texts and paths ---- */

static int read_text(struct config_snapshot *snapshot, const struct config_key *key, struct slice text, void *member,
                     struct buf *why)
{
    if (key->type == CONFIG_PATH && text.len >= 4096) {
        buf_add_str(why, "is longer than a path can be");
        return ERR_CONFIG;
    }
    *(const char **)member = snapshot_copy(snapshot, text);
    return 0;
}

static void print_text(const struct config_key *key, const void *member, struct buf *out)
{
    (void)key;
    buf_add_str(out, *(const char *const *)member);
}

/* ---- addresses ---- */

static bool made_of(struct slice s, const char *letters)
{
    for (size_t i = 0; i < s.len; i++)
        if (!s.at[i] || !strchr(letters, s.at[i]))
            return false;
    return true;
}

#define DIGITS  "0123456789"
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

/* A host is a name, a number of four parts, or between brackets an IPv6 number; nothing is all addresses. */
static const char *host_fault(struct slice host, bool bracketed)
{
    char text[256];
    struct in6_addr number;
    if (host.len >= sizeof text)
        return "has a host name longer than 255 bytes";
    memcpy(text, host.at, host.len);
    text[host.len] = '\0';
    if (bracketed)
        return inet_pton(AF_INET6, text, &number) == 1 ? NULL : "has no IPv6 address between its brackets";
    if (memchr(host.at, ':', host.len))
        return "has several colons: write an IPv6 address as [::1]:8000";
    if (host.len && made_of(host, DIGITS ".") && inet_pton(AF_INET, text, &number) != 1)
        return "is not an IPv4 address";
    return made_of(host, LETTERS DIGITS ".-_") ? NULL : "has letters in its host that no host name has";
}

static int read_unix(struct config_snapshot *snapshot, struct slice text, struct address *member, struct buf *why)
{
    struct slice path = slice(text.at + 5, text.len - 5);
    size_t most = sizeof ((struct sockaddr_un *)NULL)->sun_path - 1;
    if (path.len == 0 || path.len > most) {
        if (path.len)
            buf_addf(why, "has a path longer than the %zu bytes of a socket", most);
        else
            buf_add_str(why, "has no path: write unix:/run/carillon.sock");
        return ERR_CONFIG;
    }
    *member = (struct address){ .text = snapshot_copy(snapshot, text), .host = snapshot_copy(snapshot, path), .is_unix = true };
    return 0;
}

static int read_address(struct config_snapshot *snapshot, const struct config_key *key, struct slice text, void *member,
                        struct buf *why)
{
    uint64_t port;
    (void)key;
    if (slice_begins(text, SLICE("unix:")))
        return read_unix(snapshot, text, member, why);
    const char *colon = memrchr(text.at, ':', text.len);
    if (!colon || !slice_u64(slice(colon + 1, (size_t)(text.at + text.len - colon - 1)), &port) || port > UINT16_MAX) {
        buf_add_str(why, "is not an address: write host:port, [v6]:port, :port (all addresses) or unix:/path, with a port of 0 to 65535");
        return ERR_CONFIG;
    }
    struct slice host = slice(text.at, (size_t)(colon - text.at));
    bool bracketed = host.len >= 2 && host.at[0] == '[' && host.at[host.len - 1] == ']';
    if (bracketed)
        host = slice(host.at + 1, host.len - 2);
    if (slice_is(host, SLICE("*")))
        host = SLICE("");
    const char *fault = host_fault(host, bracketed);
    if (fault) {
        buf_add_str(why, fault);
        return ERR_CONFIG;
    }
    *(struct address *)member = (struct address){
        .text = snapshot_copy(snapshot, text), .host = snapshot_copy(snapshot, host), .port = (uint16_t)port
    };
    return 0;
}

static void print_address(const struct config_key *key, const void *member, struct buf *out)
{
    (void)key;
    buf_add_str(out, ((const struct address *)member)->text);
}

/* ---- lists ---- */

/* RFC 6454 §6.2 without what browsers never send: scheme://host[:port], the host may begin with "*." */
static const char *origin_fault(struct slice origin)
{
    if (slice_is(origin, SLICE("*")) || slice_is(origin, SLICE("null")))
        return NULL;
    const char *at = memmem(origin.at, origin.len, "://", 3);
    if (!at || at == origin.at || !made_of(slice(origin.at, (size_t)(at - origin.at)), LETTERS DIGITS "+-."))
        return "is not an origin: write https://example.com or https://*.example.com";
    struct slice host = slice(at + 3, (size_t)(origin.at + origin.len - at - 3));
    if (memchr(host.at, '/', host.len))
        return "has a path: an origin ends with its host or port";
    if (slice_begins(host, SLICE("*.")))
        host = slice(host.at + 2, host.len - 2);
    return host.len && made_of(host, LETTERS DIGITS ".-_:[]") ? NULL : "is not an origin: write https://example.com or https://*.example.com";
}

static const char *item_fault(enum config_list of, struct slice item)
{
    struct network network;
    switch (of) {
    case CONFIG_PATTERNS:
        return pattern_check(item) ? "is not a pattern: segments parted by dots, * for one segment, ** at the end for one or more" : NULL;
    case CONFIG_ORIGINS:
        return origin_fault(item);
    case CONFIG_NETWORKS:
        return slice_is(item, SLICE("unix")) ? NULL : network_read(item, &network);
    default:
        return NULL;
    }
}

static int read_list(struct config_snapshot *snapshot, const struct config_key *key, struct slice text, void *member,
                     struct buf *why)
{
    struct words words = snapshot_words(snapshot, text);
    for (size_t i = 0; i < words.count; i++) {
        const char *fault = item_fault(key->of, slice_of(words.at[i]));
        if (fault) {
            if (words.count > 1)
                buf_addf(why, "is wrong: \"%s\" ", words.at[i]);
            buf_add_str(why, fault);
            return ERR_CONFIG;
        }
    }
    *(struct words *)member = words;
    return 0;
}

static void print_list(const struct config_key *key, const void *member, struct buf *out)
{
    const struct words *words = member;
    (void)key;
    for (size_t i = 0; i < words->count; i++)
        buf_addf(out, "%s%s", i ? " " : "", words->at[i]);
}

/* ---- rates ---- */

static int read_rate(struct config_snapshot *snapshot, const struct config_key *key, struct slice text, void *member, struct buf *why)
{
    const char *fault = rate_read(text, member);
    (void)snapshot, (void)key;
    if (fault)
        buf_add_str(why, fault);
    return fault ? ERR_CONFIG : 0;
}

static void print_rate(const struct config_key *key, const void *member, struct buf *out)
{
    (void)key;
    rate_print(member, out);
}

/* ---- one row per TYPE ---- */

static const struct {
    const char *name, *form;
    int  (*read)(struct config_snapshot *snapshot, const struct config_key *key, struct slice text, void *member, struct buf *why);
    void (*print)(const struct config_key *key, const void *member, struct buf *out);
} types[] = {
    [CONFIG_COUNT]    = { "number",   "digits",                                                  read_number,  print_number },
    [CONFIG_BYTES]    = { "size",     "1048576, 64KiB, 1MiB, 2GiB",                              read_number,  print_number },
    [CONFIG_DURATION] = { "duration", "250ms, 5s, 10m, 24h, 7d; a bare number is seconds",       read_number,  print_number },
    [CONFIG_BOOL]     = { "yes/no",   "true or false, yes or no, on or off, 1 or 0",             read_bool,    print_bool },
    [CONFIG_TEXT]     = { "text",     "any",                                                     read_text,    print_text },
    [CONFIG_PATH]     = { "path",     "absolute, or from the folder where carillon was started", read_text,    print_text },
    [CONFIG_ADDRESS]  = { "address",  "host:port, [v6]:port, :port (all addresses), unix:/path", read_address, print_address },
    [CONFIG_ENUM]     = { "choice",   NULL,                                                      read_enum,    print_enum },
    [CONFIG_RATE]     = { "rate",     "100/1s, 60/1m burst 200 (as many at once), off",          read_rate,    print_rate },
    [CONFIG_LIST]     = { "list",     "words parted by spaces or commas; a repeated key adds",   read_list,    print_list },
};

const char *config_type_name(const struct config_key *key) { return types[key->type].name; }
const char *config_type_form(const struct config_key *key) { return key->values ? key->values : types[key->type].form; }

static struct slice trimmed(const char *text)
{
    struct slice s = slice_of(text + strspn(text, " \t"));
    while (s.len && (s.at[s.len - 1] == ' ' || s.at[s.len - 1] == '\t'))
        s.len--;
    return s;
}

static bool has_control(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (((unsigned char)s.at[i] < 0x20 && s.at[i] != '\t') || s.at[i] == 0x7F)
            return true;
    return false;
}

int config_value_read_into(struct config_snapshot *snapshot, const struct config_key *key, const char *text, void *member, struct buf *why)
{
    struct slice value = trimmed(text);
    if (has_control(value)) {
        buf_add_str(why, "has control characters");
        return ERR_CONFIG;
    }
    return types[key->type].read(snapshot, key, value, member, why);
}

int config_value_read(struct config_snapshot *snapshot, const struct config_key *key, const char *text, bool append, struct buf *why)
{
    void *member = (char *)&snapshot->config + key->offset;
    struct buf both = { 0 };
    if (append && key->type == CONFIG_LIST) {
        print_list(key, member, &both);
        buf_addf(&both, " %s", text);
        buf_add_char(&both, '\0');
        text = buf_slice(&both).at;
    }
    int err = config_value_read_into(snapshot, key, text, member, why);
    buf_fini(&both);
    return err;
}

void config_value_print_from(const struct config_key *key, const void *member, struct buf *out)
{
    types[key->type].print(key, member, out);
}

void config_value_print(const struct config *config, const struct config_key *key, struct buf *out)
{
    types[key->type].print(key, (const char *)config + key->offset, out);
}
