#include "transports/request/outset.h"

#include "hub/access/access.h"
#include "hub/access/grants.h"
#include "hub/access/token.h"
#include "hub/base/err.h"
#include "transports/request/stream_request.h"

#include <stdlib.h>

static void add(struct outset *outset, struct slice name)
{
    for (size_t i = 0; i < outset->n; i++)
        if (slice_is(outset->names[i], name))
            return;
    outset->names[outset->n++] = name;
}

static void add_tokens(struct outset *outset, const struct token *token)
{
    struct slice name;
    size_t at = 0;
    while (token && grants_next(token->grants, GRANT_CHANNELS, &at, &name))
        add(outset, name);
}

static void add_own(struct outset *outset, struct slice user)
{
    static const struct slice prefix = SLICE(USER_CHANNEL_PREFIX);
    if (user.len == 0 || user.len > sizeof outset->own - prefix.len)
        return;
    memcpy(outset->own, prefix.at, prefix.len);
    memcpy(outset->own + prefix.len, user.at, user.len);
    struct slice name = slice(outset->own, prefix.len + user.len);
    if (channel_name_check(name) == 0)
        add(outset, name);
}

/* Once all but the user's own channel are known. */
static int find_format(struct outset *outset, struct slice format)
{
    if (format.len == 0)
        outset->bare = outset->n == 1 && !name_is_pattern(outset->names[0]);
    else if (slice_is(format, SLICE("bare")))
        outset->bare = true;
    else if (!slice_is(format, SLICE("envelope")))
        return ERR_BAD_FIELD;
    return 0;
}

int outset_init(struct outset *outset, const struct stream_request *request, const struct principal *principal, bool is_stream)
{
    *outset = (struct outset){ .names = malloc((request->n_channels + TOKEN_CHANNELS_MAX + 1) * sizeof *outset->names) };
    if (!outset->names)
        return ERR_MEMORY;
    for (size_t i = 0; i < request->n_channels; i++)
        outset->names[outset->n++] = request->channels[i];      /* each is there once */
    add_tokens(outset, principal_token(principal));
    int err = is_stream ? find_format(outset, request->format) : 0;
    if (err)
        outset_fini(outset);
    else if (!outset->bare)
        add_own(outset, principal_user(principal));
    return err;
}

int outset_of_principal(struct outset *outset, const struct principal *principal)
{
    return outset_init(outset, &(struct stream_request){ 0 }, principal, false);
}

void outset_fini(struct outset *outset)
{
    free(outset->names);
    outset->names = NULL;
    outset->n = 0;
}
