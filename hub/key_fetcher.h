/* key_fetcher.h — where the keys of tokens come from when tokens.jwks is a URL: fetched ahead of need, looked for once more when a
 * token names a key that nobody knows, and kept while their server is away.
 *
 *   at start, at a reload,              ┌── fetched ──> the authority's keys change as one; next fetch after tokens.refresh
 *   after tokens.refresh, or  ──fetch──>┤              (or sooner, as Cache-Control: max-age says)
 *   asked for by CALL_KEYS              └── failed ───> the old keys stay, at most tokens.stale; tried again after 1, 2, 4 … 60 s
 *
 * Who meets a token whose key is unknown (ERR_KEYS_PENDING) sends CALL_KEYS and checks the token again when that is answered. So a
 * token of a key that was made a moment ago is let in, and nobody has to wait on the path that everybody takes. However many ask,
 * and whatever they name, there is one fetch at a time, and one in tokens.refetch for their sake:
 *
 *   the answer is 0                  a fetch began after you asked, and worked: what is unknown now is unknown
 *                 ERR_KEYS_PENDING   look again, and if the key is still unknown and you can wait, ask again: a fetch has ended that
 *                                    had begun before you asked, or that failed
 *
 * A document without a usable key is a failure like any other. Secrets in it (kty oct) are not taken: whoever can read the
 * document could sign with them.
 *
 * Lifetime   key_fetcher_new before the threads start; freed after http_out's thread has ended: its request is answered then.
 * Threading  hub thread.
 * Limits     KEY_FETCHER_BYTES for the document, KEY_FETCHER_FETCH_MS for a fetch; calls that wait are bounded by who sends them. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct authority;
struct call;
struct clock;
struct config;
struct http_out;
struct key_fetcher;

enum { KEY_FETCHER_BYTES = 256 * 1024, KEY_FETCHER_FETCH_MS = 5000 };

/* What it works with; all of it outlives it. */
struct key_fetcher_setup {
    const struct config *config;
    const struct clock  *clock;
    struct http_out     *http_out;
    struct authority    *authority;
    void               (*answer)(void *arg, struct call *call, int err);
    void                *arg;
};

struct key_fetcher *key_fetcher_new(const struct key_fetcher_setup *setup);      /* NULL: no memory */
void key_fetcher_free(struct key_fetcher *s);                              /* NULL is fine. Calls that wait are answered to nobody */
/* New settings: the address may be another one, and whoever reloads wants to see the keys of now. */
void key_fetcher_reconfigure(struct key_fetcher *s, const struct config *config);
void key_fetcher_stop(struct key_fetcher *s);      /* the hub goes away: who waits is told so, and nothing is fetched any more */
/* CALL_KEYS; answered at once when no fetch can help. */
void key_fetcher_ask(struct key_fetcher *s, struct call *call);
/* Milliseconds on the mono clock when key_fetcher_tick wants to run; INT64_MAX: nothing is due. */
int64_t key_fetcher_due_ms(const struct key_fetcher *s);
void    key_fetcher_tick(struct key_fetcher *s);
