/* request.h — what every HTTP request of the command line tools has in common, on top of libcurl.
 *
 * Where the hub is, whom to trust, the credentials, the proxy (none for this machine, the environment's otherwise), time limits,
 * headers; and how a refusal is told. A request can be performed as a whole, or begun and moved on turn by turn beside other things
 * that are waited for; ctrl-C (interrupt.h) ends each wait.
 * Lifetime: a request is embedded, init to fini, and may be performed many times; one connection is reused.
 * Limits: an answer that is collected stops at 1 MiB. */
#pragma once
#include <curl/curl.h>
#include <stdbool.h>

#include "clients/cli/args.h"
#include "hub/base/buf.h"

/* Which hub, and who asks. Begin with cli_target_init: the environment; options come after it. */
struct cli_target {
    const char *url;            /* of a listener, "http://127.0.0.1:8001"; a path in front of /v1 or /sse is fine; several, with commas: hubs that are one */
    const char *unix_path;      /* NULL, or connect there instead of to the URL's host */
    const char *key, *token;    /* NULL, or the credential; "@FILE": what is in that file, read again for each connection */
    const char *cacert;         /* whom to trust behind https://, and nobody else; NULL: whom the machine trusts */
    const char *listener;       /* for people: "public" or "API" */
    const char *variable;       /* for people: what in the environment names url */
};

#define CLI_TARGET_OPTIONS(target, url_help)                                                                                          \
    { "url",    CLI_TEXT, &(target).url,       "URL[,URL...]", url_help },                                                             \
    { "unix",   CLI_TEXT, &(target).unix_path, "PATH",       "connect to this unix socket instead" },                                 \
    { "key",    CLI_TEXT, &(target).key,       "KEY|@FILE",  "API key; CARILLON_KEY in the environment does the same unseen" },       \
    { "token",  CLI_TEXT, &(target).token,     "TOKEN|@FILE", "a user's token (JWT) instead; CARILLON_TOKEN" },                       \
    { "cacert", CLI_TEXT, &(target).cacert,    "FILE",       "trust only whom this file names (PEM), for https://; CARILLON_CACERT" }

void cli_target_init(struct cli_target *target, const char *listener, const char *variable, const char *usual_url);

/* An http:// or https:// URL? *ret_loopback: of this machine, so that no proxy of the environment is to be asked for it. */
bool cli_url_check(struct slice text, bool *ret_loopback);

struct cli_request {
    const struct cli_target *target;
    CURLM             *multi;
    CURL              *curl;
    struct curl_slist *headers;
    struct buf         path;                        /* with its query, behind the URL's own */
    size_t             at;                          /* which of the target's URLs */
    struct buf         body;                        /* of the answer, when nothing else takes it */
    bool               under_way;
    bool               connected;                   /* this transfer reached a server, or one before it did */
    CURLcode           result;                      /* of the last transfer */
    char               error[CURL_ERROR_SIZE];      /* of the last transfer, "" when libcurl had no words for it */
    char               told[CURL_ERROR_SIZE + 512]; /* the same with where and what may help */
};

/* CLI_GO_ON; or what was wrong with the target has been told, and how to leave. */
int  cli_request_init(struct cli_request *r, const struct cli_target *target, const struct cli_command *command);
void cli_request_fini(struct cli_request *r);
/* The next connection goes to another of several hubs. False: they have all been tried, it is the first one again. */
bool cli_request_next_url(struct cli_request *r);

void cli_request_add_path(struct cli_request *r, const char *literal);          /* as it is */
void cli_request_add_escaped(struct cli_request *r, const char *text);          /* percent-encoded, slashes too */
/* Both, unless `value` is NULL. */
void cli_request_add_parameter(struct cli_request *r, const char *before, const char *value);
/* "Name: value"; a value cannot end the line: control characters are ERR_BAD_FIELD and nothing is added. */
int  cli_request_add_header(struct cli_request *r, const char *name, const char *value);
/* Back to those that every request has. 0, ERR_MEMORY, ERR_BAD_FIELD: the file of the credential cannot be read, or is none. */
int  cli_request_clear_headers(struct cli_request *r);

CURLcode    cli_request_perform(struct cli_request *r);                         /* CURLE_ABORTED_BY_CALLBACK: a signal came */
/* Turn by turn: begin; then turns until one returns false, which is the end of the transfer (`result`). A turn waits for bytes either way, for
 * one of `others`, a signal, or `wait_ms`, and then moves on what there is: what a callback has changed is to be looked at after each. */
void        cli_request_begin(struct cli_request *r);
bool        cli_request_turn(struct cli_request *r, struct curl_waitfd *others, unsigned n_others, int64_t wait_ms);
void        cli_request_end(struct cli_request *r);                             /* whatever is under way */

long        cli_request_status(const struct cli_request *r);                    /* HTTP status of the last answer; 0: none */
int64_t     cli_request_retry_after_ms(const struct cli_request *r);            /* 0: the answer did not say */
const char *cli_request_error(struct cli_request *r, CURLcode code);            /* a sentence that ends with what may help, never NULL */
bool        cli_request_is_untrusted(CURLcode code);                            /* nothing that time alone will mend */
bool        cli_request_is_away(CURLcode code);                                 /* nobody was reached, nothing has been sent */

/* Appends what may help against a refusal that somebody at a terminal meets sooner or later; nothing, if that is not known. */
void cli_request_add_hint(const struct cli_request *r, struct slice code, struct buf *out);
/* Tells on standard error what the hub refused: status, code and detail of its problem+json, and its errors if they are several. */
void cli_request_tell_problem(const struct cli_request *r, const struct cli_command *command);
