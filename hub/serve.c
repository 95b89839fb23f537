#include "hub/serve.h"

#include "hub/access/authority.h"
#include "hub/access_records.h"
#include "hub/access/token_keys.h"
#include "hub/base/audit.h"
#include "hub/base/clock.h"
#include "hub/base/err.h"
#include "hub/base/hash.h"
#include "hub/base/log.h"
#include "hub/config/config.h"
#include "hub/errand.h"
#include "hub/health.h"
#include "hub/hub.h"
#include "hub/memory.h"
#include "hub/records.h"
#include "hub/self.h"
#include "hub/spoke.h"
#include "hub/store.h"
#include "hub/tidy.h"

#include <event2/event.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

enum { SPOKES_MAX = 8, SIGNALS = 4, DRAIN_POLL_MS = 20, MEMORY_CHECK_S = 1, SWEEP_S = 10, FINISH_MS = 5000 };

struct serve {
    struct serving             serving;        /* first */
    struct self                self;
    struct store              *store;          /* NULL: memory only */
    struct store              *memory_store;   /* in place of that, when nothing is to outlive the process */
    const struct spoke *const *spokes;
    void                      *selves[SPOKES_MAX];
    size_t                     n_spokes, n_open;
    struct event              *mail, *due, *keys, *drain_poll, *memory, *signals[SIGNALS];
    int64_t                    keys_due_ms;    /* what `keys` is set to */
    int64_t                    drain_until_ms; /* 0: not draining */
    int64_t                    due_ms;         /* what `due` is armed for */
    int64_t                    sweep_s;        /* when what has expired is looked for again */
    bool                       started, failed;
    bool                       ending;         /* close_all has begun: nothing starts any more */
    bool                       draining_last;  /* the spokes that outlast the others drain too */
};

static int64_t now_ms(const struct serve *s) { return clock_mono_ms(s->serving.clock); }

static void arm(struct event *event, int64_t in_ms)
{
    struct timeval tv = { in_ms / 1000, in_ms % 1000 * 1000 };
    event_add(event, &tv);
}

static void arm_keys(struct serve *s)
{
    int64_t due = hub_keys_due_ms(s->serving.hub), now = now_ms(s);
    if (due == s->keys_due_ms)
        return;
    s->keys_due_ms = due;
    if (due == INT64_MAX)
        event_del(s->keys);
    else
        arm(s->keys, due > now ? due - now : 0);
}

static void arm_due(struct serve *s)
{
    int64_t due = hub_due_ms(s->serving.hub), now = now_ms(s);
    if (due == INT64_MAX) {
        event_del(s->due);
    } else if (!event_pending(s->due, EV_TIMEOUT, NULL) || due < s->due_ms) {
        s->due_ms = due;
        arm(s->due, due > now ? due - now : 0);
    }
}

static void tell_ready(struct serve *s)
{
    struct buf line = { 0 };
    buf_add_str(&line, "carillon ready");
    for (size_t i = 0; i < s->n_spokes; i++) {
        if (!s->spokes[i]->address)
            continue;
        buf_addf(&line, " %s=", s->spokes[i]->name);
        s->spokes[i]->address(s->selves[i], &line);
    }
    buf_addf(&line, " pid=%d\n", (int)getpid());
    if (!line.failed && write(STDOUT_FILENO, line.at, line.len) < 0)
        log_warn("hub", "nobody reads standard output");
    buf_fini(&line);
}

/* What somebody who has just started it for the first time can do now. */
static void tell_hints(const struct serve *s)
{
    struct buf text = { 0 };
    for (size_t i = 0; i < s->n_spokes; i++)
        if (s->spokes[i]->hint)
            s->spokes[i]->hint(s->selves[i], &text);
    if (!text.failed)
        fprintf(stderr, "\nTry it:\n%.*s\n", (int)text.len, text.at);
    buf_fini(&text);
}

/* Once the hub may give numbers, the doors open. */
static void start_when_ready(struct serve *s)
{
    if (s->started || s->ending || !hub_can_publish(s->serving.hub))
        return;
    s->started = true;
    for (size_t i = 0; i < s->n_spokes; i++) {
        int err = s->spokes[i]->start(s->selves[i]);
        if (err) {
            log_error(s->spokes[i]->name, "cannot start: %s", err_text(err));
            s->failed = true;
            event_base_loopbreak(s->serving.base);
            return;
        }
    }
    health_set(HEALTH_HUB, NULL);
    tell_ready(s);
    if (s->serving.config->dev && s->serving.config->log_format == LOG_TEXT && log_enabled(LOG_INFO))
        tell_hints(s);
}

static void turn(struct serve *s)
{
    hub_turn(s->serving.hub);
    start_when_ready(s);
    arm_due(s);
    arm_keys(s);
}

static void turn_for_spoke(struct serving *serving) { turn((struct serve *)(void *)serving); }

static void address_of_spoke(const struct serving *serving, const char *name, struct buf *out)
{
    const struct serve *s = (const struct serve *)(const void *)serving;
    for (size_t i = 0; i < s->n_open; i++)
        if (s->spokes[i]->address && !strcmp(s->spokes[i]->name, name))
            s->spokes[i]->address(s->selves[i], out);
}

static void on_mail(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    turn(arg);
}

static void on_due(evutil_socket_t fd, short what, void *arg)
{
    struct serve *s = arg;
    (void)fd, (void)what;
    hub_tick(s->serving.hub);
    turn(s);
}

static void on_keys(evutil_socket_t fd, short what, void *arg)
{
    struct serve *s = arg;
    (void)fd, (void)what;
    s->keys_due_ms = INT64_MAX;
    hub_keys_tick(s->serving.hub);
    turn(s);
}

/* Keys expire, revocations have done their work. */
static void sweep_access(struct serve *s)
{
    int64_t now_s = clock_wall_ms(s->serving.clock) / 1000;
    if (now_s < s->sweep_s || s->drain_until_ms)
        return;
    s->sweep_s = now_s + SWEEP_S;
    if (hub_sweep_access(s->serving.hub, s->serving.authority, now_s) > 0) {
        s->sweep_s = now_s;      /* there may be more */
        turn(s);
    }
}

static void on_memory_check(evutil_socket_t fd, short what, void *arg)
{
    struct serve *s = arg;
    (void)fd, (void)what;
    memory_check(s->serving.config);
    sweep_access(s);
    if (hub_wants_recheck(s->serving.hub))
        turn(s);      /* nothing else may wake the hub: whose credentials were taken back does not stay for that */
    audit_tick(now_ms(s), false);
}

static bool all_done(const struct serve *s, bool outlasting)
{
    for (size_t i = 0; i < s->n_open; i++)
        if (s->spokes[i]->outlasts == outlasting && !s->spokes[i]->done(s->selves[i]))
            return false;
    return true;
}

static void drain_spokes(struct serve *s, bool outlasting)
{
    for (size_t i = 0; i < s->n_open; i++)
        if (s->spokes[i]->outlasts == outlasting)
            s->spokes[i]->drain(s->selves[i]);
}

static void on_drain_poll(evutil_socket_t fd, short what, void *arg)
{
    struct serve *s = arg;
    (void)fd, (void)what;
    turn(s);
    if (!s->draining_last && all_done(s, false)) {
        s->draining_last = true;
        drain_spokes(s, true);
    }
    if ((s->draining_last && all_done(s, true)) || now_ms(s) >= s->drain_until_ms)
        event_base_loopbreak(s->serving.base);
}

static void begin_drain(struct serve *s)
{
    log_info("hub", "draining, at most %lld ms", (long long)s->serving.config->drain_timeout_ms);
    health_set(HEALTH_DRAIN, "the hub is going away");
    s->drain_until_ms = now_ms(s) + s->serving.config->drain_timeout_ms;
    drain_spokes(s, false);
    hub_drain(s->serving.hub);
    turn(s);
    struct timeval tv = { 0, DRAIN_POLL_MS * 1000 };
    event_add(s->drain_poll, &tv);
}

static void log_lines(enum log_level level, struct slice lines)
{
    for (const char *end; lines.len && (end = memchr(lines.at, '\n', lines.len));) {
        log_line(level, "config", "%.*s", (int)(end - lines.at), lines.at);
        lines = slice(end + 1, lines.len - (size_t)(end + 1 - lines.at));
    }
}

/* The keys of [signers] and of a file of tokens.jwks. */
static int take_token_keys(struct serve *s, const struct config *config)
{
    struct buf errors = { 0 }, notes = { 0 };
    struct jwk_set *keys;
    int err = token_keys_read(config, &errors, &notes, &keys);
    if (!err)
        err = authority_set_keys(s->serving.authority, KEYS_OF_SETTINGS, keys);
    log_lines(LOG_ERROR, buf_slice(&errors));
    log_lines(LOG_WARN, buf_slice(&notes));
    buf_fini(&errors);
    buf_fini(&notes);
    return err;
}

static void take_config(struct serve *s, const struct config *config)
{
    const struct config *old = s->serving.config;
    s->serving.config = config;
    principal_unref(principal_anonymous(config));
    log_setup(config->log_level, config->log_format);
    hub_reconfigure(s->serving.hub, config);
    hub_recheck(s->serving.hub);      /* a key may have been taken out */
    for (size_t i = 0; i < s->n_open; i++)
        if (s->spokes[i]->reload)
            s->spokes[i]->reload(s->selves[i], config);
    config_unref(old);
    log_info("config", "reloaded");
    turn(s);
}

static void open_audit(const struct serve *s)
{
    const char *path = s->serving.config->log_audit;
    int error = audit_open(path);
    if (error)
        log_error("audit", "%s cannot be opened: %s", path, strerror(error));
}

static void audit_reload(int err)
{
    audit_write(&(struct audit_event){ .who = SLICE("signal"), .action = SLICE("reload"), .result = slice_of(err ? err_code(err) : "ok") });
}

static void reload(struct serve *s)
{
    struct config_report report = { 0 };
    const struct config *config = NULL;
    int err = config_reload(s->serving.config, &report, &config);
    log_lines(LOG_ERROR, buf_slice(&report.errors));
    if (!err)
        err = take_token_keys(s, config);
    if (err) {
        log_error("config", "not reloaded, the running settings stay");
        config_unref(config);
    } else {
        take_config(s, config);
        log_lines(LOG_WARN, buf_slice(&report.notes));
    }
    open_audit(s);
    audit_reload(err);
    config_report_fini(&report);
}

static void on_signal(evutil_socket_t number, short what, void *arg)
{
    struct serve *s = arg;
    (void)what;
    if (number == SIGPIPE)
        return;
    if (number == SIGHUP)
        reload(s);
    else if (s->drain_until_ms || !s->started)
        event_base_loopbreak(s->serving.base);     /* asked twice: do not wait any longer */
    else
        begin_drain(s);
}

static void on_taken_back(void *hub) { hub_recheck(hub); }

/* What a newer version has left in the store is its own. */
static int restore_record(void *arg, struct slice kind, struct slice key, struct slice value)
{
    int err = hub_restore_record(arg, kind, key, value);
    if (err == ERR_NOT_FOUND)
        log_warn("store", "a record of kind %.*s is not for this version, and is left alone", (int)kind.len, kind.at);
    else if (err)
        log_error("store", "record %.*s %.*s cannot be read", (int)kind.len, kind.at, (int)key.len, key.at);
    return err == ERR_NOT_FOUND ? 0 : err;
}

static int restore_row(void *arg, struct msg *m)
{
    return hub_restore(arg, m);
}

static int restore_purge(void *arg, struct slice channel, uint64_t upto) { return hub_restore_purge(arg, channel, upto); }

static int restore_key(void *arg, const struct idempotency_record *record)
{
    return hub_restore_key(arg, record);
}

static int tell_why(const char *object, int err, const char *why)
{
    log_error(object, "%s", why && *why ? why : err_text(err));
    return err;
}

static int open_store(struct serve *s, struct hub_start *ret_start)
{
    const struct config *config = s->serving.config;
    const char *why = NULL;
    *ret_start = (struct hub_start){ .epoch = epoch_new(), .next = 1, .reserved = 1 };
    if (!config->store_dir[0] || config->redis)
        return 0;
    int err = store_open(config, &s->store, ret_start, &why);
    return err ? tell_why("store", err, why) : 0;
}

static int open_memory(struct serve *s)
{
    s->memory_store = store_memory_open(hub_mailbox(s->serving.hub));
    if (!s->memory_store)
        return tell_why("store", ERR_MEMORY, NULL);
    hub_use_memory(s->serving.hub, s->memory_store);
    return 0;
}

static int open_hub(struct serve *s)
{
    struct hub_start start;
    int err = open_store(s, &start);
    if (err)
        return err;
    s->serving.hub = hub_new(s->serving.config, s->serving.clock, s->store, start);
    if (!s->serving.hub)
        return tell_why("hub", ERR_MEMORY, NULL);
    self_init(&s->self, &s->serving);
    s->serving.self = &s->self;
    hub_use_self(s->serving.hub, &s->self);
    hub_add_access(s->serving.hub, s->serving.authority);
    authority_on_taken_back(s->serving.authority, (struct taken_back){ on_taken_back, s->serving.hub });
    return s->store || s->serving.config->redis ? 0 : open_memory(s);
}

/* When the spokes are open: some of what is kept is theirs. */
static int load_store(struct serve *s)
{
    if (!s->store)
        return 0;
    int err = store_load(s->store, restore_row, s->serving.hub);
    if (!err)
        err = store_load_purges(s->store, restore_purge, s->serving.hub);
    if (!err)
        err = store_load_keys(s->store, restore_key, s->serving.hub);
    if (!err)
        err = store_load_records(s->store, restore_record, s->serving.hub);
    if (!err)
        err = store_start(s->store, hub_mailbox(s->serving.hub));
    return err ? tell_why("store", err, NULL) : 0;
}

static int open_authority(struct serve *s)
{
    s->serving.authority = authority_new();
    if (!s->serving.authority)
        return tell_why("access", ERR_MEMORY, NULL);
    int err = take_token_keys(s, s->serving.config);
    return err ? tell_why("access", err, "the keys of tokens cannot be read") : 0;
}

static int open_spokes(struct serve *s)
{
    for (; s->n_open < s->n_spokes; s->n_open++) {
        const struct spoke *spoke = s->spokes[s->n_open];
        int err = spoke->open(&s->serving, &s->selves[s->n_open]);
        if (err)
            return tell_why(spoke->name, err, s->serving.why);
    }
    int err = hub_fetch_keys(s->serving.hub, s->serving.http_out, s->serving.authority);
    return err ? tell_why("tokens", err, NULL) : 0;
}

static int open_loop(struct serve *s)
{
    static const int numbers[] = { SIGTERM, SIGINT, SIGHUP, SIGPIPE };
    struct event_base *base = s->serving.base = event_base_new();
    if (!base)
        return tell_why("hub", ERR_MEMORY, NULL);
    s->due = event_new(base, -1, 0, on_due, s);
    s->keys = event_new(base, -1, 0, on_keys, s);
    s->keys_due_ms = INT64_MAX;
    s->drain_poll = event_new(base, -1, EV_PERSIST, on_drain_poll, s);
    s->memory = event_new(base, -1, EV_PERSIST, on_memory_check, s);
    for (size_t i = 0; i < SIGNALS; i++)
        if ((s->signals[i] = evsignal_new(base, numbers[i], on_signal, s)))
            event_add(s->signals[i], NULL);
    return 0;
}

static void watch_mail(struct serve *s)
{
    s->mail = event_new(s->serving.base, hub_mailbox(s->serving.hub)->fd, EV_READ | EV_PERSIST, on_mail, s);
    event_add(s->mail, NULL);
    memory_check(s->serving.config);
    event_add(s->memory, &(struct timeval){ MEMORY_CHECK_S, 0 });
    turn(s);         /* asks for the first numbers; without a store the doors open now */
}

/* What was handed to the store is committed before the end; a store that cannot write answers that it failed. */
static void finish_groups(struct serve *s)
{
    struct pollfd mail = { hub_mailbox(s->serving.hub)->fd, POLLIN, 0 };
    hub_turn(s->serving.hub);
    while (!hub_idle(s->serving.hub) && poll(&mail, 1, FINISH_MS) > 0)
        hub_turn(s->serving.hub);
    if (!hub_idle(s->serving.hub))
        log_warn("store", "the disk has not answered for %d s: publishes under way end without an answer", FINISH_MS / 1000);
}

/* A process that cannot end would be killed by somebody sooner or later, with the same outcome and without a word. */
static void close_store(struct serve *s)
{
    if (store_close_within(s->store, STORE_PATIENCE_MS))
        return;
    log_error("store", "the disk has not answered for %d s: what was acknowledged is with the kernel, not all of it on the disk; this stop is not clean",
              STORE_PATIENCE_MS / 1000);
    audit_tick(0, true);
    _exit(EXIT_FAILURE);
}

static void close_all(struct serve *s)
{
    s->ending = true;
    for (size_t i = s->n_open; i-- > 0;)
        s->spokes[i]->stop(s->selves[i]);
    if (s->serving.hub && s->mail)
        finish_groups(s);
    close_store(s);
    for (size_t i = s->n_open; i-- > 0;)
        s->spokes[i]->free(s->selves[i]);
    struct event *events[] = { s->mail, s->due, s->keys, s->drain_poll, s->memory };
    for (size_t i = 0; i < sizeof events / sizeof *events; i++)
        if (events[i])
            event_free(events[i]);
    for (size_t i = 0; i < SIGNALS; i++)
        if (s->signals[i])
            event_free(s->signals[i]);
    if (s->serving.base) {
        event_base_loop(s->serving.base, EVLOOP_NONBLOCK);      /* nothing of ours is left: a connection that libevent still has something to say of */
        event_base_free(s->serving.base);
    }
    hub_free(s->serving.hub);
    store_memory_close(s->memory_store);
    authority_free(s->serving.authority);
}

/* libwebsockets keeps 16 bytes per possible descriptor and edge, so the limit is brought down to what is configured. */
static void limit_files(const struct config *config)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files))
        return;
    files.rlim_cur = files.rlim_max < config->limits_files ? files.rlim_max : config->limits_files;
    setrlimit(RLIMIT_NOFILE, &files);
}

/* Who wants to know what was done must not learn later that nothing was written. */
static int begin_audit(const struct config *config)
{
    int error = audit_open(config->log_audit);
    if (error)
        log_error("audit", "%s cannot be opened: %s", config->log_audit, strerror(error));
    return error ? ERR_CONFIG : 0;
}

int serve_run(const struct config *config, const struct spoke *const *spokes, size_t n_spokes)
{
    struct serve s = { .serving = { .config = config_ref(config), .clock = clock_real(), .turn = turn_for_spoke, .address = address_of_spoke }, .spokes = spokes, .n_spokes = n_spokes };
    principal_unref(principal_anonymous(config));      /* made while there is memory: connections only share it */
    hash_setup();
    log_setup(config->log_level, config->log_format);
    limit_files(config);
    health_set(HEALTH_HUB, "starting");
    int err = begin_audit(config);
    if (!err)
        err = tidy_start();
    if (!err)
        err = open_authority(&s);
    if (!err)
        err = open_loop(&s);
    if (!err)
        err = open_hub(&s);
    if (!err)
        err = open_spokes(&s);
    if (!err)
        err = load_store(&s);
    if (!err) {
        watch_mail(&s);
        event_base_dispatch(s.serving.base);
    }
    close_all(&s);
    audit_tick(0, true);
    tidy_stop();
    config_unref(s.serving.config);
    return err || s.failed ? 1 : 0;
}
