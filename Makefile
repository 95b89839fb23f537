# Carillon: one Makefile, everything it makes is under build/.   make help lists the targets.
.DEFAULT_GOAL := all
SHELL := /bin/bash
B ?= build
CC ?= gcc
CLANG ?= clang
NODE ?= node

# ---- what the machine must have (Debian packages; make installs what is missing) ----
DEPS_BUILD := gcc libc6-dev pkg-config libwebsockets-dev libwebsockets-evlib-ev libev-dev libevent-dev libhttp-parser-dev \
              libcurl4-openssl-dev libssl-dev libsqlite3-dev libhiredis-dev libinih-dev libjansson-dev uthash-dev
DEPS_TEST  := clang clang-tidy libcmocka-dev chromium curl openssl slowhttptest redis-server redis-sentinel redis-tools iproute2 nginx haproxy systemd python3-yaml python3 php-cli coturn
DEPS_CLUSTER := redis-server nginx
DEPS_BENCH := openssl redis-server redis-tools
DEPS_FUZZ  := clang libclang-rt-dev
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
# $(1) = package names. Asks dpkg first, so that nothing is fetched when nothing is missing.
define need
	@missing=$$(for p in $(1); do dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || echo $$p; done); \
	if [ -n "$$missing" ]; then echo "installing:" $$missing; \
	  $(SUDO) apt-get update -qq && DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq --no-install-recommends $$missing >/dev/null; fi
endef

# what the tests, and the benchmark's PeerJS, need from npm
define need_modules
	@cd tests && { [ node_modules -nt package-lock.json ] || { npm ci --no-audit --no-fund --silent && touch node_modules; }; }
endef

# a node that is not Debian's does as well
define need_node
	@command -v $(NODE) >/dev/null && command -v npm >/dev/null || { $(SUDO) apt-get update -qq; \
	  DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq --no-install-recommends nodejs npm >/dev/null; }
endef

# for an example; so is a Go
define need_go
	@command -v go >/dev/null || { $(SUDO) apt-get update -qq; DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq --no-install-recommends golang-go >/dev/null; }
endef

# ---- how it is compiled ----
WARN  := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wundef -Wvla -Werror
# Hardening, for what is released; tests/lint/hardened.sh reads the binary and says whether it is in there. The C library
# says which level of FORTIFY it has for this compiler; -fcf-protection exists where the processor does (x86).
FORTIFY := $(if $(shell $(CC) -O2 -D_FORTIFY_SOURCE=3 -include features.h -E -dM -x c /dev/null 2>/dev/null | grep 'FORTIFY_LEVEL 3'),3,2)
HARD  := -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=$(FORTIFY) -fstack-protector-strong -fstack-clash-protection \
         $(if $(filter x86_64-% i%86-%,$(shell $(CC) -dumpmachine)),-fcf-protection=full)
# No NDEBUG in any build: an assertion here is a rule of the protocol or of a state machine (never an allocation, never what
# a client sent), the few there are cost nothing measurable, and a hub that goes on after one has failed would deliver wrongly in
# silence. One that ends is started again and resumes everything it has acknowledged.
OPT   ?= -O2
CFLAGS  ?=
LDFLAGS ?=
ALL_CFLAGS  = -std=gnu11 -g $(OPT) $(WARN) $(HARD) -fPIE -pthread -I. -MMD -MP $(CFLAGS)
ALL_LDFLAGS = -pthread -pie -Wl,-z,relro,-z,now,-z,noexecstack $(LDFLAGS)
# libevent before libev: libev has functions of the same names (an emulation of libevent), and the first one is taken.
LIBS := -levent_core -levent_pthreads -levent_extra -levent_openssl -lwebsockets -lev -lhttp_parser -lcurl -lssl -lcrypto -lsqlite3 -lhiredis -linih -ljansson -lm

SRC  := $(sort $(wildcard hub/*.c hub/*/*.c transports/*.c transports/*/*.c webhooks/*.c signaling/*.c redis/*.c redis/*/*.c clients/cli/*.c))
CORE := $(filter-out hub/main.c,$(SRC))
OBJ  := $(SRC:%.c=$(B)/obj/%.o)
CORE_OBJ := $(CORE:%.c=$(B)/obj/%.o)
UNIT := $(patsubst tests/unit/%.c,$(B)/tests/%,$(sort $(wildcard tests/unit/test_*.c)))
SIM_SRC := $(sort $(wildcard tests/sim/*.c))
SIM  := $(if $(SIM_SRC),$(B)/tests/sim)
SIM_REDIS_SRC := $(sort $(wildcard tests/sim/redis/*.c))
SIM_WEBHOOKS_SRC := $(sort $(wildcard tests/sim/webhooks/*.c))

all: $(B)/carillon                          ## build build/carillon

deps:                                       ## install the Debian packages that building needs
	$(call need,$(DEPS_BUILD))
deps-test: deps                             ## install what the tests need on top (Debian packages, npm modules)
	$(call need,$(DEPS_TEST))
	$(need_node)
	$(need_go)
	$(need_modules)

# Where the Makefile itself runs several at a time.
JOBS ?= $(or $(shell nproc 2>/dev/null),2)

# One short line per file; make V=1 shows the commands.
Q := $(if $(V),,@)
say = $(if $(V),,@echo "  $(1)  $(2)")

$(B)/carillon: $(OBJ)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $(OBJ) $(LIBS)
$(B)/libcore.a: $(CORE_OBJ)
	@rm -f $@; ar rcs $@ $(CORE_OBJ)
$(B)/obj/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call say,CC  ,$<)
	$(Q)$(CC) $(ALL_CFLAGS) -c -o $@ $<
# files that are served are compiled in (transports/files/files.def)
$(B)/obj/transports/files/files.o: transports/files/index.html $(wildcard clients/js/*.js clients/js/*.ts)
# so is the description of the API, which a program of its own makes of the routes, the errors and the files beside it
OPENAPI_SRC := $(sort $(wildcard hub/api/openapi/*.c)) hub/config/access_op.c
OPENAPI_JSON := $(wildcard hub/api/openapi/*.json hub/api/openapi/operations/*.json)
$(B)/make-openapi: $(OPENAPI_SRC) $(wildcard hub/api/openapi/*.h) hub/api/api.h hub/api/api_routes.def hub/base/err.def hub/version.h
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) -std=gnu11 -O1 $(WARN) -I. -o $@ $(OPENAPI_SRC) -ljansson
$(B)/openapi.json: $(B)/make-openapi $(OPENAPI_JSON)
	$(call say,MAKE,$@)
	$(Q)$< hub/api/openapi $@
$(B)/obj/hub/api/api_docs.o: $(B)/openapi.json hub/api/docs/index.html
$(B)/obj/hub/api/api_docs.o: private ALL_CFLAGS += -Wa,-I$(B)
# so are the scripts for Redis
$(B)/obj/redis/bus/redis_scripts.o: $(wildcard redis/lua/*.lua)
# A test's own lines run once: compiling them is what costs. -Og has the warnings that need the optimizer, for a quarter of -O2's time.
$(B)/tests/%: tests/unit/%.c $(B)/libcore.a $(wildcard tests/unit/*.h)
	@mkdir -p $(@D)
	$(call say,TEST,$<)
	$(Q)$(CC) $(ALL_CFLAGS) -Og -Itests -o $@ $< $(B)/libcore.a $(ALL_LDFLAGS) $(LIBS) -lcmocka
# memory that runs out: preloaded into the hub by tests/e2e/memory.test.mjs, which finds it beside the binary
# and a clock that jumps, or stands: preloaded into redis-server by tests/chaos and tests/unit/test_redis_rooms
$(B)/tests/test_redis_rooms: | $(B)/tests/clock.so
$(B)/tests/scarce.so $(B)/tests/clock.so: $(B)/tests/%.so: tests/shim/%.c
	@mkdir -p $(@D)
	$(call say,TEST,$@)
	$(Q)$(CC) -std=gnu11 -O2 $(WARN) -Wno-missing-prototypes -shared -fPIC -o $@ $<
$(B)/tests/sim: $(SIM_SRC) $(wildcard tests/sim/*.h) $(B)/libcore.a
	@mkdir -p $(@D)
	$(call say,TEST,$@)
	$(Q)$(CC) $(ALL_CFLAGS) -Itests -o $@ $(SIM_SRC) $(B)/libcore.a $(ALL_LDFLAGS) $(LIBS)
# timers.c is in place of functions of libevent
$(B)/tests/sim-webhooks: $(SIM_WEBHOOKS_SRC) $(wildcard tests/sim/*.h tests/sim/webhooks/*.h tests/sim/webhooks/*.def) $(B)/libcore.a
	@mkdir -p $(@D)
	$(call say,TEST,$@)
	$(Q)$(CC) $(ALL_CFLAGS) -Itests -o $@ $(SIM_WEBHOOKS_SRC) $(B)/libcore.a $(ALL_LDFLAGS) $(LIBS)
$(B)/tests/sim-redis: $(SIM_REDIS_SRC) $(wildcard tests/sim/*.h tests/sim/redis/*.h tests/sim/redis/*.def) $(B)/libcore.a
	@mkdir -p $(@D)
	$(call say,TEST,$@)
	$(Q)$(CC) $(ALL_CFLAGS) -Itests -o $@ $(SIM_REDIS_SRC) $(B)/libcore.a $(ALL_LDFLAGS) $(LIBS) -lcmocka

run: deps                                   ## build and serve in --dev mode: public on :8000, API on :8001
	@$(MAKE) --no-print-directory -s all
	@exec $(B)/carillon serve --dev

# PORT, API_PORT, REDIS_PORT (0: any free one), HUBS, DIR; Debian starts a service of each package that is newly installed
cluster: deps                               ## three hubs as one, with Redis and nginx, on this machine: PORT=8000 API_PORT=8001 HUBS=3
	$(call need,$(DEPS_CLUSTER))
	@$(MAKE) --no-print-directory -s all
	@DIR='$(or $(DIR),$(B)/cluster)' exec deploy/cluster.sh $(B)/carillon

demo: deps                                  ## the examples at work: chat, dashboard, jobs, notifications; PORT=8000 API_PORT=8001 PAGES_PORT=8080
	@command -v $(NODE) >/dev/null || { $(SUDO) apt-get update -qq; DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq --no-install-recommends nodejs >/dev/null; }
	@$(MAKE) --no-print-directory all
	@exec $(NODE) clients/examples/demo.mjs $(B)/carillon

test: deps-test                             ## everything: lint, unit, sim, fuzz corpus, e2e (plain, on Redis, over TLS), attacks, chaos-short, deploy/
	@$(MAKE) --no-print-directory -j$(JOBS) all $(TESTED)
	@$(MAKE) --no-print-directory lint unit sim sim-redis fuzz-corpus e2e e2e-redis-some e2e-tls-some attacks chaos-short deployed
# what is to be built before, as many at a time as there are cores
TESTED = $(UNIT) $(SIM) $(B)/tests/sim-redis $(B)/tests/scarce.so $(B)/tests/clock.so
unit: $(UNIT)                               ## unit tests (cmocka), four programs at a time: some wait for a Redis more than they work
	@printf '%s\n' $(UNIT) | xargs -P 4 -I{} sh -c '{} >{}.log 2>&1 && echo "== $$(basename {})" || { cat {}.log; echo "== $$(basename {}) FAILED"; exit 1; }'
SEEDS ?= 2000
FROM  ?= 1
sim: $(SIM) $(B)/tests/sim-webhooks         ## simulated hub and edges, and webhooks (a fifth as many), thousands of random schedules: SEEDS=2000 FROM=1
	@if [ -n "$(SIM)" ]; then $(SIM) --seeds $(SEEDS) --from $(FROM); fi
	@$(B)/tests/sim-webhooks --seeds $$(( ($(SEEDS) + 4) / 5 )) --from $(FROM)
# a server of its own; most of its time it waits for links that come back
REDIS_SEEDS ?= 40
sim-redis: $(B)/tests/sim-redis             ## several hubs on a real Redis, under faults: REDIS_SEEDS=40 FROM=1
	@$< --seeds $(REDIS_SEEDS) --from $(FROM)
node_tests = @cd tests && CARILLON=$(abspath $(B)/carillon) $(NODE) --test --test-reporter=spec --test-concurrency=$(or $(AT_ONCE),6) $(if $(T),--test-name-pattern='$(T)')
e2e: all $(B)/tests/scarce.so               ## the real binary with real clients; make e2e T=pattern for some
	$(node_tests) e2e/*.test.mjs
e2e-redis: all $(B)/tests/scarce.so         ## the same with Redis as the engine of each hub
	@export E2E_REDIS=1; $(node_tests:@%=%) e2e/*.test.mjs
# those that tests/e2e/runs.mjs names for make test: redis, tls
some = files=$$($(NODE) tests/e2e/runs.mjs $(1)) || exit 1;
e2e-redis-some: all $(B)/tests/scarce.so
	@export E2E_REDIS=1; $(call some,redis) $(node_tests:@%=%) $$files
# $(1) = test files. A certificate for this run; Node's own clients and curl are told to trust it, the others by tests/e2e/lib/line.mjs.
define over_tls
	@rm -rf $(B)/$@ && $(NODE) tests/e2e/lib/certificate.mjs $(B)/$@
	@$(eval CA := $(abspath $(B)/$@/ca.pem))export E2E_TLS=$(dir $(CA)) NODE_EXTRA_CA_CERTS=$(CA) CURL_CA_BUNDLE=$(CA); $(2) $(node_tests:@%=%) $(1)
endef
e2e-tls: all $(B)/tests/scarce.so           ## the same with TLS on both ports
	$(call over_tls,e2e/*.test.mjs)
e2e-tls-some: all $(B)/tests/scarce.so
	$(call over_tls,$$files,$(call some,tls))
chaos: all $(B)/tests/clock.so              ## hubs, Redis and the lines between them fail under load: ROUNDS=50 of each kind, T=kind, SEED=n
	$(chaos)
chaos-short: all $(B)/tests/clock.so                            ## one round of some kinds
	$(chaos) --short
chaos = @CARILLON=$(abspath $(B)/carillon) $(if $(T),T='$(T)') $(if $(ROUNDS),ROUNDS=$(ROUNDS)) $(if $(SEED),SEED=$(SEED)) $(NODE) tests/chaos/chaos.mjs
attacks: all                                ## what must not harm it: the tables of tests/attacks, over raw sockets
	$(node_tests) attacks/*.test.mjs
attacks-tls: all                            ## the tables that are single exchanges, over TLS
	$(call over_tls,$(patsubst %,attacks/%.test.mjs,http websocket payloads batches credentials tokens))
deployed: all                               ## what is in deploy/: make cluster; nginx, HAProxy, Redis and systemd with these settings (they wait more than they work)
	$(node_tests) deploy/*.test.mjs
check:                                      ## one test: make check T=name (a unit test program, or a pattern for e2e)
	@if [ -f tests/unit/test_$(T).c ]; then $(MAKE) --no-print-directory $(B)/tests/test_$(T) && $(B)/tests/test_$(T); else $(MAKE) --no-print-directory e2e T='$(T)'; fi
lint: all                                   ## layers, circles, long functions, hardening; clang and clang-tidy
	@tests/lint/layers.sh
	@tests/lint/circles.sh
	@tests/lint/functions.sh
	@tests/lint/hardened.sh $(B)/carillon
	@$(MAKE) --no-print-directory -k -j$(JOBS) $(LINTED:%.c=$(B)/tidy/%.ok) >/dev/null
LINTED := $(SRC) $(filter hub/api/openapi/%,$(OPENAPI_SRC)) $(SIM_SRC) $(sort $(wildcard tests/fuzz/*.c))
# Each source is read by clang-tidy, with clang's own warnings, when it, a header or .clang-tidy has changed. It writes no object file:
# the fuzz targets are what clang compiles. TIDY_NODES bounds how far the analyzer follows the paths of one function: with 40,000 one function of
# seven is not followed to its end, as with 75,000, but in two thirds of the time; make soak goes on three times as far as that.
TIDY_NODES ?= 40000
TIDY_CFLAGS = -std=gnu11 $(filter-out -Werror,$(WARN)) -Itests/lint/analyzer -I. -Itests -Xclang -analyzer-config -Xclang max-nodes=$(TIDY_NODES)
$(B)/tidy/%.ok: %.c .clang-tidy
	@mkdir -p $(@D)
	$(call say,TIDY,$<)
	$(Q)$(CLANG) -std=gnu11 -I. -Itests -MM -MP -MT $@ -MF $(@:.ok=.d) $<
	$(Q)$(CLANG)-tidy --quiet $< -- $(TIDY_CFLAGS) >$@.log 2>&1 || { cat $@.log >&2; exit 1; }
	@mv $@.log $@
# ---- sanitizers: everything built once more, under build/asan and build/tsan ----
# Every process writes what it finds into build/asan/reports, so a fault counts also in a hub that a test kills, or a subcommand nobody
# looks at. What a sanitizer says about libraries, and why that is not ours, is in tests/sanitizers/*.supp.
asan: deps-test                             ## AddressSanitizer, UBSan, leaks: unit, sim, e2e (TLS too), attacks
	$(call sanitize,asan,AddressSanitizer,-fsanitize=address$(,)undefined -fno-omit-frame-pointer -fno-sanitize-recover=undefined,300,unit sim e2e e2e-tls-some attacks)
tsan: deps-test                             ## ThreadSanitizer: unit, sim, e2e (TLS too), attacks
	$(call sanitize,tsan,ThreadSanitizer,-fsanitize=thread,100,unit sim e2e e2e-tls-some attacks)
, := ,
# gcc 12's ThreadSanitizer knows addresses of up to 28 random bits, kernels have more since: without randomness where that is allowed.
FIXED_ADDRESSES = $(if $(shell setarch -R true 2>/dev/null && echo yes),setarch -R)
SUPPRESSIONS = $(CURDIR)/tests/sanitizers
# $(1) = folder under build, $(2) = the sanitizer's name, $(3) = flags of compiler and linker, $(4) = seeds of sim, $(5) = targets
define sanitize
	@rm -rf $(B)/$(1)/reports; mkdir -p $(B)/$(1)/reports; said="log_path=$(abspath $(B)/$(1))/reports/report"; \
	ASAN_OPTIONS="$$said:detect_stack_use_after_return=1:check_initialization_order=1:strict_string_checks=1" \
	UBSAN_OPTIONS="$$said:print_stacktrace=1" LSAN_OPTIONS="suppressions=$(SUPPRESSIONS)/leaks.supp:print_suppressions=0" \
	TSAN_OPTIONS="$$said:suppressions=$(SUPPRESSIONS)/threads.supp:second_deadlock_stack=1" SANITIZER=$(2) \
	$(FIXED_ADDRESSES) $(MAKE) --no-print-directory -k B=$(B)/$(1) OPT=-O1 HARD= CFLAGS="$(3)" LDFLAGS="$(3)" SEEDS=$(4) $(5); failed=$$?; \
	if [ -n "$$(ls $(B)/$(1)/reports)" ]; then cat $(B)/$(1)/reports/*; echo "$(1): reports in $(B)/$(1)/reports"; failed=1; fi; exit $$failed
endef
# ---- fuzz: everything built once more by clang, with libFuzzer, AddressSanitizer and UBSan, under build/fuzz ----
FUZZ := $(patsubst tests/fuzz/%.c,%,$(sort $(wildcard tests/fuzz/$(or $(T),*).c)))
FUZZ_SECONDS ?= 20
FUZZ_MAKE = @$(MAKE) --no-print-directory -j$(JOBS) B=$(B)/fuzz CC=$(CLANG) OPT=-O1 HARD= LDFLAGS="-fsanitize=address,undefined" \
  CFLAGS="-fPIE -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer"
deps-fuzz: deps
	$(call need,$(DEPS_FUZZ))
fuzz: deps-fuzz                             ## libFuzzer on every parser, FUZZ_SECONDS=20 each; make fuzz T=json for one
	$(FUZZ_MAKE) -k $(FUZZ:%=fuzz-run-%)
# a few inputs each: building is all that takes time, and without the optimizer half as much
fuzz-corpus: deps-fuzz                      ## what the fuzz targets have seen before, once more (seconds)
	$(subst B=$(B)/fuzz ,B=$(B)/fuzz-corpus ,$(subst OPT=-O1,OPT=-O0,$(FUZZ_MAKE))) $(FUZZ:%=fuzz-replay-%)
# libFuzzer talks a lot: its words are shown when it has found something. What it reached is kept in build/fuzz/corpus for the next run.
FUZZ_ARGS = -timeout=10 -verbosity=0 -print_final_stats=1 -artifact_prefix=$(B)/found-$*-
fuzz-run-% fuzz-replay-%: $(B)/fuzz-%
	@mkdir -p $(B)/corpus/$*
	@$< $(FUZZ_ARGS) $(if $(findstring run,$@),-max_total_time=$(FUZZ_SECONDS) $(B)/corpus/$*,-runs=0) tests/fuzz/corpus/$* >$(B)/$*.log 2>&1 || { cat $(B)/$*.log; exit 1; }
	@sed -n 's/^stat::number_of_executed_units: */== fuzz $*: inputs run: /p' $(B)/$*.log
$(B)/fuzz-%: tests/fuzz/%.c tests/fuzz/fuzz.h $(B)/libcore.a
	@mkdir -p $(@D)
	$(call say,FUZZ,$<)
	$(Q)$(CC) $(ALL_CFLAGS) -fsanitize=fuzzer -o $@ $< $(B)/libcore.a $(ALL_LDFLAGS) $(LIBS)
# ---- soak: the tests that draw by chance, for longer and with other chances each time; everything runs to its end, then it is told what failed ----
# On two cores the default takes about an hour and a half: half an hour of fuzzing (two targets at a time: an hour in all), the attacks.
SOAK_MINUTES ?= 60
soak_share = $(shell echo $$(( ($(1) * $(SOAK_MINUTES) + 59) / 60 )))
soak: deps-test deps-fuzz                   ## long: random seeds, kill -9, attacks, fuzzing; SOAK_MINUTES=60 of it, the rest likewise
	@$(MAKE) --no-print-directory all
	@$(MAKE) --no-print-directory -k soak-sim soak-redis soak-tls soak-kills soak-js soak-calls soak-openapi soak-attacks soak-lint soak-fuzz
soak-sim: $(SIM) $(B)/tests/sim-webhooks
	@$(MAKE) --no-print-directory sim SEEDS=$(call soak_share,200000) FROM=$$(date +%s%N | cut -c1-15)
soak-redis: $(B)/tests/sim-redis
	@$(MAKE) --no-print-directory sim-redis REDIS_SEEDS=$(call soak_share,4000) FROM=$$(date +%s%N | cut -c1-15)
	@$(MAKE) --no-print-directory e2e-redis
soak-tls:
	@$(MAKE) --no-print-directory e2e-tls
soak-kills:
	@KILLS=$(call soak_share,300) $(MAKE) --no-print-directory e2e T='kill -9'
# a hub for every 20,000: what they leave behind makes later ones slower and alike
soak-openapi:
	@for i in $$(seq $(call soak_share,50)); do SEED=$$(date +%N | sed 's/^0*//') REQUESTS=20000 $(MAKE) --no-print-directory e2e T='by chance' >$(B)/openapi.log 2>&1 || { cat $(B)/openapi.log; exit 1; }; done; echo "== requests by chance: $(call soak_share,1000000)"
soak-calls:
	@CALL_ROUNDS=$(call soak_share,100) $(MAKE) --no-print-directory e2e T='calls by chance'
soak-js:
	@export JS_ROUNDS=$(call soak_share,100); $(MAKE) --no-print-directory e2e T='nothing missing, nothing twice' && $(MAKE) --no-print-directory deployed T='carillon.js behind'
soak-attacks:
	@SEED=$$(date +%s) ROUNDS=$(call soak_share,3000) $(MAKE) --no-print-directory attacks T=mangled
	@$(MAKE) --no-print-directory attacks-tls
	@for i in $$(seq $(call soak_share,15)); do $(MAKE) --no-print-directory attacks >$(B)/attacks.log 2>&1 || { cat $(B)/attacks.log; exit 1; }; echo "== attacks, round $$i"; done
soak-lint:
	@$(MAKE) --no-print-directory lint B=$(B)/thorough TIDY_NODES=225000
soak-fuzz:
	@$(MAKE) --no-print-directory fuzz FUZZ_SECONDS=$$(( 60 * $(SOAK_MINUTES) / $(words $(FUZZ)) ))
ARGS ?=
bench: deps                                 ## the hub beside raw baselines; make bench ARGS=--quick (not a test)
	$(call need,$(DEPS_BENCH))
	$(need_node)
	$(need_modules)
	@$(MAKE) --no-print-directory all $(B)/bench/load $(B)/bench/baseline $(B)/bench/relay $(B)/bench/checks $(B)/bench/storm $(B)/bench/redis $(B)/bench/posts
	@CARILLON=$(abspath $(B)/carillon) BENCH_BIN=$(abspath $(B)/bench) $(NODE) tests/bench/run.mjs $(ARGS)
$(B)/bench/load: $(patsubst %,$(B)/bench/obj/%.o,load peer publishers subscribers holders members signals hooks receiver sock)
$(B)/bench/baseline: $(patsubst %,$(B)/bench/obj/%.o,baseline mimic sock)
$(B)/bench/relay: $(patsubst %,$(B)/bench/obj/%.o,relay mimic sock)
# the hub's own code, as it is built
$(B)/bench/checks $(B)/bench/redis $(B)/bench/posts: $(B)/bench/%: tests/bench/%.c $(B)/libcore.a
	@mkdir -p $(@D)
	$(call say,BENCH,$@)
	$(Q)$(CC) $(ALL_CFLAGS) -o $@ $< $(B)/libcore.a $(ALL_LDFLAGS) $(LIBS)
# the parser of `carillon sub`
$(B)/bench/storm: tests/bench/storm.c $(B)/bench/obj/sock.o $(B)/libcore.a
	@mkdir -p $(@D)
	$(call say,BENCH,$@)
	$(Q)$(CC) $(ALL_CFLAGS) -o $@ $< $(B)/bench/obj/sock.o $(B)/libcore.a $(ALL_LDFLAGS) $(LIBS)
$(B)/bench/load $(B)/bench/baseline $(B)/bench/relay:
	$(call say,LINK,$@)
	$(Q)$(CC) -o $@ $^ -lssl -lcrypto
$(B)/bench/obj/%.o: tests/bench/%.c $(wildcard tests/bench/*.h)
	@mkdir -p $(@D)
	$(call say,CC  ,$<)
	$(Q)$(CC) -std=gnu11 -D_GNU_SOURCE -O2 $(WARN) -c -o $@ $<
install: all                                ## into $(DESTDIR)$(PREFIX)/bin; the JavaScript client into share/carillon
	install -D -m 755 $(B)/carillon $(DESTDIR)$(or $(PREFIX),/usr/local)/bin/carillon
	install -D -m 644 -t $(DESTDIR)$(or $(PREFIX),/usr/local)/share/carillon $(wildcard clients/js/*.js clients/js/*.ts)
clean:                                      ## remove build/
	rm -rf $(B)
help:                                       ## this list
	@sed -n 's/^\([a-z0-9-]*\):[^#]*## \(.*\)/  \1\t\2/p' Makefile | expand -t 14

.PHONY: all deps deps-test run cluster demo test unit sim e2e e2e-redis e2e-redis-some e2e-tls e2e-tls-some sim-redis soak-redis attacks attacks-tls deployed check lint asan tsan fuzz fuzz-corpus deps-fuzz soak soak-sim soak-tls \
        soak-kills soak-js soak-calls soak-openapi soak-attacks soak-lint soak-fuzz bench install clean help
.SECONDARY:
-include $(shell find $(B)/obj $(B)/tidy -name '*.d' 2>/dev/null)
