#include "clients/cli/payload.h"

#define JSMN_STATIC
#define JSMN_STRICT
#define JSMN_PARENT_LINKS       /* closing a bracket costs the same at any depth */
#include <jansson.h>
#include <jsmn.h>
#include <openssl/evp.h>
#include <stdlib.h>

#include "hub/base/err.h"

/* All tokens of `text`, to be freed; the first is the whole. 0, ERR_BAD_JSON, ERR_MEMORY. */
static int tokenize(struct slice text, jsmntok_t **ret_tokens, int *ret_count)
{
    jsmn_parser parser;
    jsmn_init(&parser);
    int count = jsmn_parse(&parser, text.at, text.len, NULL, 0);
    if (count <= 0)
        return ERR_BAD_JSON;
    jsmntok_t *tokens = calloc((size_t)count, sizeof *tokens);
    if (!tokens)
        return ERR_MEMORY;
    jsmn_init(&parser);
    if (jsmn_parse(&parser, text.at, text.len, tokens, (unsigned)count) != count) {
        free(tokens);
        return ERR_BAD_JSON;
    }
    *ret_tokens = tokens;
    *ret_count = count;
    return 0;
}

static struct slice token_text(struct slice text, const jsmntok_t *token)
{
    int quote = token->type == JSMN_STRING;
    return slice(text.at + token->start - quote, (size_t)(token->end - token->start + 2 * quote));
}

/* The value of the object's own member `quoted_name`, or NULL. */
static const jsmntok_t *find_member(struct slice text, const jsmntok_t *tokens, int count, struct slice quoted_name)
{
    for (int i = 1; i + 1 < count; i++)
        if (tokens[i].parent == 0 && slice_is(token_text(text, &tokens[i]), quoted_name))
            return &tokens[i + 1];
    return NULL;
}

static int add_base64_decoded(struct buf *b, const char *text, size_t len)
{
    char *room = buf_room(b, len / 4 * 3 + 3);
    if (!room)
        return ERR_MEMORY;
    int n = len % 4 ? -1 : EVP_DecodeBlock((unsigned char *)room, (const unsigned char *)text, (int)len);
    if (n < 0)
        return ERR_BAD_JSON;
    size_t padding = (len && text[len - 1] == '=') + (len > 1 && text[len - 2] == '=');
    buf_advance(b, (size_t)n - padding);
    return 0;
}

static int add_string(struct buf *b, struct slice quoted, bool base64)
{
    json_t *string = json_loadb(quoted.at, quoted.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    if (!json_is_string(string)) {
        json_decref(string);
        return ERR_BAD_JSON;
    }
    const char *text = json_string_value(string);
    size_t len = json_string_length(string);
    int rc = 0;
    if (base64)
        rc = add_base64_decoded(b, text, len);
    else
        buf_add(b, text, len);
    json_decref(string);
    return rc ? rc : b->failed ? ERR_MEMORY : 0;
}

int payload_of_message(struct slice object, struct buf *ret_payload)
{
    jsmntok_t *tokens;
    int count, rc = tokenize(object, &tokens, &count);
    if (rc)
        return rc;
    const jsmntok_t *data = tokens[0].type == JSMN_OBJECT ? find_member(object, tokens, count, SLICE("\"data\"")) : NULL;
    if (!data)
        rc = ERR_BAD_JSON;
    else if (data->type == JSMN_STRING)
        rc = add_string(ret_payload, token_text(object, data), find_member(object, tokens, count, SLICE("\"encoding\"")));
    else
        buf_add_slice(ret_payload, token_text(object, data));
    free(tokens);
    return rc ? rc : ret_payload->failed ? ERR_MEMORY : 0;
}

int payload_check_json(struct slice text)
{
    struct buf array = { 0 };
    buf_add_char(&array, '[');      /* strict jsmn wants a value to be inside of something */
    buf_add_slice(&array, text);
    buf_add_char(&array, ']');
    jsmntok_t *tokens;
    int count, rc = array.failed ? ERR_MEMORY : tokenize(buf_slice(&array), &tokens, &count);
    if (!rc) {
        bool one = tokens[0].size == 1 && (size_t)tokens[0].end == array.len;
        free(tokens);
        rc = one ? 0 : ERR_BAD_JSON;
    }
    buf_fini(&array);
    return rc;
}
