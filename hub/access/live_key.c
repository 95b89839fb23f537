#include "hub/access/live_key.h"

#include "hub/base/err.h"
#include "hub/base/json.h"
#include "hub/config/api_key.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

/* ---- life ---- */

static size_t bytes_of(const struct key_form *form)
{
    size_t bytes = form->n_scopes * sizeof(char *) + form->name.len + 1 + form->tier.len;
    for (size_t i = 0; i < form->n_scopes; i++)
        bytes += form->scopes[i].len + 1;
    return bytes;
}

/* Copies behind what was copied before, terminated. */
static const char *put(char **at, struct slice s)
{
    char *start = *at;
    memcpy(start, s.at, s.len);
    start[s.len] = '\0';
    *at += s.len + 1;
    return start;
}

static void put_id(struct roll_item *item, struct slice id)
{
    memcpy(item->id, id.at, id.len);
    item->id[id.len] = '\0';
}

/* The array of scopes stands first, where it is aligned. */
static void put_texts(struct live_key *key, const struct key_form *form)
{
    const char **scopes = (const char **)(void *)key->bytes;
    char *at = key->bytes + form->n_scopes * sizeof *scopes;
    for (size_t i = 0; i < form->n_scopes; i++)
        scopes[i] = put(&at, form->scopes[i]);
    key->key.scopes = (struct words){ scopes, form->n_scopes };
    key->key.name = put(&at, form->name);
    memcpy(at, form->tier.at, form->tier.len);
    key->tier = slice(at, form->tier.len);
}

struct live_key *live_key_new(const struct key_form *form)
{
    _Static_assert(offsetof(struct live_key, bytes) % sizeof(char *) == 0, "pointers stand there");
    struct live_key *key = calloc(1, sizeof *key + bytes_of(form));
    if (!key)
        return NULL;
    atomic_init(&key->refs, 1);
    put_id(&key->item, form->id);
    put_texts(key, form);
    memcpy(key->key.sha256, form->sha256, sizeof key->key.sha256);
    memcpy(key->hint, form->hint.at, form->hint.len);
    key->created_s = form->created_s;
    key->expires_s = form->expires_s;
    key->generation = form->generation;
    if (form->old_sha256)
        memcpy(key->old_sha256, form->old_sha256, sizeof key->old_sha256);
    key->old_until_s = form->old_until_s;
    atomic_init(&key->used_s, form->used_s);
    key->stored_s = form->used_s;
    return key;
}

struct live_key *live_key_ref(struct live_key *key)
{
    atomic_fetch_add_explicit(&key->refs, 1, memory_order_relaxed);
    return key;
}

void live_key_unref(struct live_key *key)
{
    if (key && atomic_fetch_sub_explicit(&key->refs, 1, memory_order_acq_rel) == 1)
        free(key);
}

void live_key_form(const struct live_key *key, struct slice *scopes, struct key_form *ret_form)
{
    for (size_t i = 0; i < key->key.scopes.count; i++)
        scopes[i] = slice_of(key->key.scopes.at[i]);
    *ret_form = (struct key_form){
        .id = slice_of(key->item.id), .name = slice_of(key->key.name), .tier = key->tier, .scopes = scopes,
        .n_scopes = key->key.scopes.count, .created_s = key->created_s, .expires_s = key->expires_s, .generation = key->generation,
        .hint = slice_of(key->hint), .sha256 = key->key.sha256, .old_sha256 = key->old_until_s ? key->old_sha256 : NULL,
        .old_until_s = key->old_until_s, .used_s = atomic_load_explicit(&key->used_s, memory_order_relaxed),
    };
}

/* ---- record ---- */

static void add_string(struct buf *out, const char *before, struct slice s)
{
    buf_add_str(out, before);
    buf_add_json(out, s);
}

static void add_digest(struct buf *out, const char *before, const uint8_t sha256[32])
{
    buf_add_str(out, before);
    for (int i = 0; i < 32; i++)
        buf_addf(out, "%02x", sha256[i]);
    buf_add_char(out, '"');
}

void live_key_print(const struct live_key *key, struct buf *out)
{
    add_string(out, "{\"name\":", slice_of(key->key.name));
    for (size_t i = 0; i < key->key.scopes.count; i++)
        add_string(out, i == 0 ? ",\"scopes\":[" : ",", slice_of(key->key.scopes.at[i]));
    buf_add_char(out, ']');
    if (key->tier.len > 0)
        add_string(out, ",\"tier\":", key->tier);
    buf_addf(out, ",\"created\":%lld", (long long)key->created_s);
    if (key->expires_s != INT64_MAX)
        buf_addf(out, ",\"expires\":%lld", (long long)key->expires_s);
    add_digest(out, ",\"sha256\":\"", key->key.sha256);
    add_string(out, ",\"hint\":", slice_of(key->hint));
    buf_addf(out, ",\"generation\":%u", key->generation);
    if (key->old_until_s) {
        add_digest(out, ",\"old\":{\"sha256\":\"", key->old_sha256);
        buf_addf(out, ",\"until\":%lld}", (long long)key->old_until_s);
    }
    int64_t used_s = atomic_load_explicit(&key->used_s, memory_order_relaxed);
    if (used_s)
        buf_addf(out, ",\"used\":%lld", (long long)used_s);
    buf_add_char(out, '}');
}

/* What is read comes from a file that anybody may have written: every member is checked. */
struct reading {
    struct buf      text;                        /* unquoted strings; has room for all from the beginning, so slices of it stay */
    struct slice    scopes[KEY_SCOPES_MAX];
    uint8_t         sha256[32], old_sha256[32];
    struct key_form form;
    bool            wrong;
};

static struct slice read_string(struct reading *reading, struct slice value)
{
    size_t before = reading->text.len;
    if (!value.at || json_unquote(value, &reading->text))
        reading->wrong = true;
    return slice(reading->text.at + before, reading->text.len - before);
}

static int64_t read_number(struct reading *reading, const struct json_object *object, const char *name, int64_t absent)
{
    struct slice value = json_member_find(object, name);
    uint64_t n = 0;
    if (!value.at)
        return absent;
    if (!slice_u64(value, &n) || n > INT64_MAX)
        reading->wrong = true;
    return (int64_t)n;
}

static void read_digest(struct reading *reading, struct slice value, uint8_t ret_sha256[32])
{
    struct slice hex = read_string(reading, value);
    for (size_t i = 0; i < 32; i++) {
        int high = hex.len == 64 ? hex_value(hex.at[2 * i]) : -1, low = hex.len == 64 ? hex_value(hex.at[2 * i + 1]) : -1;
        if (high < 0 || low < 0) {
            reading->wrong = true;
            return;
        }
        ret_sha256[i] = (uint8_t)(high << 4 | low);
    }
}

static int read_scope(void *arg, struct slice value)
{
    struct reading *reading = arg;
    struct buf why = { 0 };
    struct slice scope = read_string(reading, value);
    if (reading->form.n_scopes == KEY_SCOPES_MAX || reading->wrong || api_key_scope_check(scope, &why))
        reading->wrong = true;
    else
        reading->scopes[reading->form.n_scopes++] = scope;
    buf_fini(&why);
    return reading->wrong ? ERR_STORE_OPEN : 0;
}

static void read_old(struct reading *reading, struct slice value)
{
    struct json_object old;
    if (!value.at)
        return;
    if (json_object_parse(value, &old)) {
        reading->wrong = true;
        return;
    }
    read_digest(reading, json_member_find(&old, "sha256"), reading->old_sha256);
    reading->form.old_sha256 = reading->old_sha256;
    reading->form.old_until_s = read_number(reading, &old, "until", 0);
    reading->wrong |= reading->form.old_until_s == 0;
}

static void read_members(struct reading *reading, const struct json_object *object)
{
    struct key_form *form = &reading->form;
    struct slice tier = json_member_find(object, "tier");
    form->name = read_string(reading, json_member_find(object, "name"));
    form->scopes = reading->scopes;
    if (json_array_each(json_member_find(object, "scopes"), read_scope, reading))
        reading->wrong = true;
    if (tier.at)
        form->tier = read_string(reading, tier);
    form->created_s = read_number(reading, object, "created", 0);
    form->expires_s = read_number(reading, object, "expires", INT64_MAX);
    read_digest(reading, json_member_find(object, "sha256"), reading->sha256);
    form->sha256 = reading->sha256;
    form->hint = read_string(reading, json_member_find(object, "hint"));
    form->generation = (uint32_t)read_number(reading, object, "generation", 0);
    read_old(reading, json_member_find(object, "old"));
    form->used_s = read_number(reading, object, "used", 0);
    reading->wrong |= !api_key_name_check(form->name) || form->n_scopes == 0 || form->hint.len >= KEY_HINT_TEXT || form->generation == 0;
}

int live_key_read(struct slice id, struct slice record, struct live_key **ret_key)
{
    struct json_object object;
    struct reading reading = { .form = { .id = id, .tier = SLICE("") } };
    if (id.len == 0 || id.len > ROLL_ID_MAX || record.len > KEY_RECORD_MAX || json_object_parse(record, &object))
        return ERR_STORE_OPEN;
    if (!buf_room(&reading.text, record.len))
        return ERR_MEMORY;
    read_members(&reading, &object);
    struct live_key *key = reading.wrong ? NULL : live_key_new(&reading.form);
    buf_fini(&reading.text);
    if (key)
        *ret_key = key;
    return key ? 0 : reading.wrong ? ERR_STORE_OPEN : ERR_MEMORY;
}

int key_id_make(int64_t now_ms, char ret_id[KEY_ID_TEXT])
{
    uint8_t bytes[6];
    if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes)
        return ERR_INTERNAL;
    snprintf(ret_id, KEY_ID_TEXT, "key_%012llx%02x%02x%02x%02x%02x%02x", (unsigned long long)now_ms & 0xffffffffffff, bytes[0], bytes[1],
             bytes[2], bytes[3], bytes[4], bytes[5]);
    return 0;
}
