#include "hub/access/revocation.h"

#include "hub/base/err.h"
#include "hub/base/hash.h"
#include "hub/base/json.h"

#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const subject_names[] = { [REVOKES_TOKEN] = "jti", [REVOKES_USER] = "user", [REVOKES_ALL] = "all" };

int revocation_id(enum revocation_kind kind, struct slice subject, char ret_id[REVOCATION_ID_TEXT])
{
    uint8_t digest[SHA256_DIGEST_LENGTH];
    char text[8 + REVOCATION_NAME_MAX];
    size_t len = strlen(subject_names[kind]) + 1;
    memcpy(text, subject_names[kind], len);
    memcpy(text + len, subject.at, subject.len);
    if (!SHA256((const unsigned char *)text, len + subject.len, digest))
        return ERR_MEMORY;
    memcpy(ret_id, "rv_", 4);
    for (size_t i = 0; i < 16; i++)
        snprintf(ret_id + 3 + 2 * i, 3, "%02x", digest[i]);
    return 0;
}

uint64_t revocation_hash(enum revocation_kind kind, struct slice subject) { return hash_bytes(subject) + (uint64_t)kind; }

struct revocation *revocation_new(const struct revocation *form)
{
    struct revocation *r = calloc(1, sizeof *r + form->subject.len + form->reason.len);
    if (!r)
        return NULL;
    r->kind = form->kind;
    r->before_s = form->before_s;
    r->created_s = form->created_s;
    r->until_s = form->until_s;
    r->subject = slice(r->bytes, form->subject.len);
    r->reason = slice(r->bytes + form->subject.len, form->reason.len);
    memcpy(r->bytes, form->subject.at, form->subject.len);
    memcpy(r->bytes + form->subject.len, form->reason.at, form->reason.len);
    if (!revocation_id(r->kind, r->subject, r->item.id))
        return r;
    free(r);
    return NULL;
}

static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

struct revocation *revocation_merge(const struct revocation *earlier, const struct revocation *later)
{
    struct revocation form = *later;
    form.before_s = larger(earlier->before_s, later->before_s);
    form.until_s = larger(earlier->until_s, later->until_s);
    return revocation_new(&form);
}

/* ---- record ---- */

static void add_number(struct buf *out, const char *name, int64_t n)
{
    buf_addf(out, "%s\"%s\":%lld", out->len > 0 && out->at[out->len - 1] != '{' ? "," : "", name, (long long)n);
}

void revocation_print(const struct revocation *r, struct buf *out)
{
    buf_add_char(out, '{');
    if (r->kind != REVOKES_ALL) {
        buf_addf(out, "\"%s\":", subject_names[r->kind]);
        buf_add_json(out, r->subject);
    }
    if (r->kind != REVOKES_TOKEN)
        add_number(out, "before", r->before_s);
    add_number(out, "created", r->created_s);
    add_number(out, "until", r->until_s);
    if (r->reason.len > 0) {
        buf_add_str(out, ",\"reason\":");
        buf_add_json(out, r->reason);
    }
    buf_add_char(out, '}');
}

static bool read_number(const struct json_object *object, const char *name, int64_t *ret)
{
    uint64_t n;
    struct slice value = json_member_find(object, name);
    if (!value.at || !slice_u64(value, &n) || n > INT64_MAX)
        return false;
    *ret = (int64_t)n;
    return true;
}

/* A string that may be missing, unquoted into `text`, which has room. */
static bool read_string(const struct json_object *object, const char *name, size_t most, struct buf *text, struct slice *ret)
{
    struct slice value = json_member_find(object, name);
    size_t before = text->len;
    if (!value.at)
        return true;
    if (json_unquote(value, text) || text->len - before > most)
        return false;
    *ret = slice(text->at + before, text->len - before);
    return true;
}

static bool read_members(const struct json_object *object, struct buf *text, struct revocation *form)
{
    struct slice jti = { 0 }, user = { 0 };
    if (!read_string(object, "jti", REVOCATION_NAME_MAX, text, &jti) || !read_string(object, "user", REVOCATION_NAME_MAX, text, &user) ||
        !read_string(object, "reason", REVOCATION_REASON_MAX, text, &form->reason) || !read_number(object, "created", &form->created_s) ||
        !read_number(object, "until", &form->until_s) || (jti.at && user.at))
        return false;
    form->kind = jti.at ? REVOKES_TOKEN : user.at ? REVOKES_USER : REVOKES_ALL;
    form->subject = jti.at ? jti : user.at ? user : SLICE("");
    return form->kind == REVOKES_TOKEN || read_number(object, "before", &form->before_s);
}

int revocation_read(struct slice id, struct slice record, struct revocation **ret_revocation)
{
    struct json_object object;
    struct revocation form = { .reason = SLICE("") };
    struct buf text = { 0 };
    if (json_object_parse(record, &object))
        return ERR_STORE_OPEN;
    if (!buf_room(&text, record.len))
        return ERR_MEMORY;
    bool good = read_members(&object, &text, &form);
    struct revocation *r = good ? revocation_new(&form) : NULL;
    buf_fini(&text);
    if (r && !slice_is(id, slice_of(r->item.id))) {
        free(r);
        return ERR_STORE_OPEN;
    }
    if (r)
        *ret_revocation = r;
    return r ? 0 : good ? ERR_MEMORY : ERR_STORE_OPEN;
}
