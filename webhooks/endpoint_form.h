/* endpoint_form.h — an endpoint while it is being made: what a document says, and what was there before it.
 *
 * Texts are slices of the document, of the endpoint before, or of `scratch`, where escapes were undone. form_build() copies them all.
 *
 * Private to endpoint_form.c (documents) and endpoint_record.c (records). Lifetime: on the heap of one function. Threading: the hub's. */
#pragma once
#include "webhooks/endpoint.h"

struct endpoint_form {
    struct buf       scratch;
    struct slice     url, own_types[ENDPOINT_EVENTS], channels[ENDPOINT_CHANNELS], message_events[ENDPOINT_EVENTS], secrets[SECRETS_MAX];
    struct slice     headers, description, metadata, retry_text;
    size_t           n_own_types, n_channels, n_message_events, n_secrets;
    uint32_t         types, version;
    enum signature_scheme scheme;
    bool             paused, ordered;
    enum endpoint_disabled disabled;
    enum endpoint_after_last after_last;
    uint32_t         rate;
    uint16_t         concurrency;
    int64_t          old_until_s, disabled_s, failing_since_s, created_s, changed_s;
    char             made[SECRET_MADE];      /* a secret that was made for it */
};

struct endpoint_form *form_new(void);                              /* with what is usual; NULL: no memory */
struct endpoint_form *form_of(const struct endpoint *before);      /* the same, as it is; its slices point into it */
void                  form_free(struct endpoint_form *form);
struct endpoint      *form_build(uint64_t number, const struct endpoint_form *form);      /* NULL: no memory */
/* All members of the document go into the form; what is wrong is added. */
void                  form_read(struct endpoint_form *form, struct slice document, const struct endpoint_terms *terms, struct webhook_problems *problems);
void                  webhook_problem(struct webhook_problems *problems, const char *field, int err, const char *format, ...) __attribute__((format(printf, 4, 5)));

extern const char *const after_last_names[2];
extern const char *const disabled_names[4];
