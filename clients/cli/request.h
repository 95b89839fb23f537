/* request.h — what every HTTP request of the command line tools has in common, on top of libcurl.
 *
 * Where the hub is, whom to trust, the key, the proxy (none for this machine, the environment's otherwise), time limits,
 * headers; and how a refusal is told. Lifetime: a request is embedded, init to fini, and may be performed many times; one
 * connection is reused. Limits: an answer that is collected stops at 1 MiB. */
#pragma once
#include <curl/curl.h>
#include <stdbool.h>

#include "hub/base/buf.h"

struct cli_command;

struct cli_target {
    const char *url;            /* of a listener, "http://127.0.0.1:8001"; a path in front of /v1 or /sse is fine */
    const char *unix_path;      /* NULL, or connect there instead of to the URL's host */
    const char *key;            /* NULL: CARILLON_KEY, or none */
    const char *cacert;         /* whom to trust behind https://, and nobody else; NULL: CARILLON_CACERT, or whom the machine trusts */
};

struct cli_request {
    CURL              *curl;
    struct curl_slist *headers;
    struct buf         url;                         /* begun with the target's, without a slash at its end */
    struct buf         body;                        /* of the answer, when nothing else takes it */
    char               error[CURL_ERROR_SIZE];      /* of the last transfer, "" when libcurl had no words for it */
    char               told[CURL_ERROR_SIZE + 160]; /* the same with what may help */
};

int  cli_request_init(struct cli_request *r, const struct cli_target *target);     /* 0, ERR_MEMORY, ERR_BAD_REQUEST: not a URL */
void cli_request_fini(struct cli_request *r);

void cli_request_add_url(struct cli_request *r, const char *literal);           /* as it is */
void cli_request_add_escaped(struct cli_request *r, const char *text);          /* percent-encoded, slashes too */
/* "Name: value"; a value cannot end the line: control characters are ERR_BAD_FIELD and nothing is added. */
int  cli_request_add_header(struct cli_request *r, const char *name, const char *value);
void cli_request_clear_headers(struct cli_request *r, const struct cli_target *target);    /* back to those of init */

CURLcode    cli_request_perform(struct cli_request *r);
long        cli_request_status(const struct cli_request *r);                    /* HTTP status of the last answer; 0: none */
const char *cli_request_error(struct cli_request *r, CURLcode code);            /* a sentence that ends with what may help, never NULL */
bool        cli_request_is_untrusted(CURLcode code);                            /* nothing that time alone will mend */

/* Tells on standard error what the hub refused: status, code and detail of its problem+json, and its errors if they are several. */
void cli_request_tell_problem(const struct cli_request *r, const struct cli_command *command);
