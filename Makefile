# Carillon: one Makefile, everything it makes is under build/.   make help lists the targets.
.DEFAULT_GOAL := all
SHELL := /bin/bash
B ?= build
CC ?= gcc
CLANG ?= clang
NODE ?= node

# ---- what the machine must have (Debian packages; make installs what is missing) ----
DEPS_BUILD := gcc libc6-dev pkg-config libwebsockets-dev libwebsockets-evlib-ev libev-dev libevent-dev libhttp-parser-dev \
              libcurl4-openssl-dev libssl-dev libsqlite3-dev libinih-dev uthash-dev
DEPS_TEST  := clang libcmocka-dev libjansson-dev chromium curl
DEPS_FUZZ  := clang libclang-rt-dev libjansson-dev
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
# $(1) = package names. Asks dpkg first, so that nothing is fetched when nothing is missing.
define need
	@missing=$$(for p in $(1); do dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || echo $$p; done); \
	if [ -n "$$missing" ]; then echo "installing:" $$missing; \
	  $(SUDO) apt-get update -qq && DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq --no-install-recommends $$missing >/dev/null; fi
endef

# ---- how it is compiled ----
WARN  := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wundef -Wvla -Werror
HARD  := -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fPIE
OPT   ?= -O2
CFLAGS  ?=
LDFLAGS ?=
ALL_CFLAGS  = -std=gnu11 -g $(OPT) $(WARN) $(HARD) -pthread -I. -MMD -MP $(CFLAGS)
ALL_LDFLAGS = -pthread -pie -Wl,-z,relro,-z,now $(LDFLAGS)
# libevent before libev: libev has functions of the same names (an emulation of libevent), and the first one is taken.
LIBS := -levent_core -levent_pthreads -levent_extra -lwebsockets -lev -lhttp_parser -lcurl -lssl -lcrypto -lsqlite3 -linih -lm

SRC  := $(sort $(wildcard hub/*.c hub/base/*.c transports/*.c webhooks/*.c signaling/*.c redis/*.c clients/cli/*.c))
CORE := $(filter-out hub/main.c,$(SRC))
OBJ  := $(SRC:%.c=$(B)/obj/%.o)
CORE_OBJ := $(CORE:%.c=$(B)/obj/%.o)
UNIT := $(patsubst tests/unit/%.c,$(B)/tests/%,$(sort $(wildcard tests/unit/test_*.c)))
SIM_SRC := $(sort $(wildcard tests/sim/*.c))
SIM  := $(if $(SIM_SRC),$(B)/tests/sim)

all: $(B)/carillon                          ## build build/carillon

deps:                                       ## install the Debian packages that building needs
	$(call need,$(DEPS_BUILD))
deps-test: deps                             ## install what the tests need on top (Debian packages, npm modules)
	$(call need,$(DEPS_TEST))
	@command -v $(NODE) >/dev/null && command -v npm >/dev/null || { $(SUDO) apt-get update -qq; \
	  DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq --no-install-recommends nodejs npm >/dev/null; }
	@if [ -f tests/package.json ]; then cd tests && { [ node_modules -nt package-lock.json ] || { npm ci --no-audit --no-fund --silent && touch node_modules; }; }; fi

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
# the page of --dev is compiled in
$(B)/obj/transports/page.o: transports/page/index.html
$(B)/tests/%: tests/unit/%.c $(B)/libcore.a
	@mkdir -p $(@D)
	$(call say,TEST,$<)
	$(Q)$(CC) $(ALL_CFLAGS) -Itests -o $@ $< $(B)/libcore.a $(ALL_LDFLAGS) $(LIBS) -lcmocka
# memory that runs out: preloaded into the hub by tests/e2e/memory.test.mjs, which finds it beside the binary
$(B)/tests/scarce.so: tests/shim/scarce.c
	@mkdir -p $(@D)
	$(call say,TEST,$@)
	$(Q)$(CC) -std=gnu11 -O2 $(WARN) -Wno-missing-prototypes -shared -fPIC -o $@ $<
$(B)/tests/sim: $(SIM_SRC) $(wildcard tests/sim/*.h) $(B)/libcore.a
	@mkdir -p $(@D)
	$(call say,TEST,$@)
	$(Q)$(CC) $(ALL_CFLAGS) -Itests -o $@ $(SIM_SRC) $(B)/libcore.a $(ALL_LDFLAGS) $(LIBS) -ljansson

run: deps                                   ## build and serve in --dev mode: public on :8000, API on :8001
	@$(MAKE) --no-print-directory all
	@exec $(B)/carillon serve --dev

test: deps-test                             ## everything: lint, unit, sim, fuzz corpus, e2e
	@$(MAKE) --no-print-directory all lint unit sim fuzz-corpus e2e
unit: $(UNIT)                               ## unit tests (cmocka)
	@set -e; for t in $(UNIT); do echo "== $$(basename $$t)"; $$t; done
SEEDS ?= 2000
sim: $(SIM)                                 ## simulated hub and edges, thousands of random schedules
	@if [ -n "$(SIM)" ]; then $(SIM) --seeds $(SEEDS); fi
e2e: all $(B)/tests/scarce.so               ## the real binary with real clients; make e2e T=pattern for some
	@cd tests && CARILLON=$(abspath $(B)/carillon) $(NODE) --test --test-reporter=spec --test-concurrency=2 $(if $(T),--test-name-pattern='$(T)') e2e/*.test.mjs
check:                                      ## one test: make check T=name (a unit test program, or a pattern for e2e)
	@if [ -f tests/unit/test_$(T).c ]; then $(MAKE) --no-print-directory $(B)/tests/test_$(T) && $(B)/tests/test_$(T); else $(MAKE) --no-print-directory e2e T='$(T)'; fi
lint:                                       ## layer rule, and the same sources with clang, warnings as errors
	@tests/lint/layers.sh
	@$(MAKE) --no-print-directory B=$(B)/clang CC=$(CLANG) OPT=-O0 HARD= $(CORE:%.c=$(B)/clang/obj/%.o) $(B)/clang/obj/hub/main.o >/dev/null
asan:                                       ## unit and sim with AddressSanitizer and UBSan
	@$(MAKE) --no-print-directory B=$(B)/asan OPT=-O1 HARD= CFLAGS="-fsanitize=address,undefined -fno-omit-frame-pointer -fno-sanitize-recover=undefined" LDFLAGS="-fsanitize=address,undefined" SEEDS=300 unit sim
tsan:                                       ## unit and sim with ThreadSanitizer
	@$(MAKE) --no-print-directory B=$(B)/tsan OPT=-O1 HARD= CFLAGS="-fsanitize=thread" LDFLAGS="-fsanitize=thread" SEEDS=100 unit sim
# ---- fuzz: everything built once more by clang, with libFuzzer, AddressSanitizer and UBSan, under build/fuzz ----
FUZZ := $(patsubst tests/fuzz/%.c,%,$(sort $(wildcard tests/fuzz/$(or $(T),*).c)))
FUZZ_SECONDS ?= 20
FUZZ_MAKE = @$(MAKE) --no-print-directory -j2 B=$(B)/fuzz CC=$(CLANG) OPT=-O1 HARD= LDFLAGS="-fsanitize=address,undefined" \
  CFLAGS="-fPIE -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer"
deps-fuzz: deps
	$(call need,$(DEPS_FUZZ))
fuzz: deps-fuzz                             ## libFuzzer on every parser, FUZZ_SECONDS=20 each; make fuzz T=json for one
	$(FUZZ_MAKE) -k $(FUZZ:%=fuzz-run-%)
fuzz-corpus: deps-fuzz                      ## what the fuzz targets have seen before, once more (seconds)
	$(FUZZ_MAKE) $(FUZZ:%=fuzz-replay-%)
# libFuzzer talks a lot: its words are shown when it has found something. What it reached is kept in build/fuzz/corpus for the next run.
FUZZ_ARGS = -timeout=10 -verbosity=0 -print_final_stats=1 -artifact_prefix=$(B)/found-$*-
fuzz-run-% fuzz-replay-%: $(B)/fuzz-%
	@mkdir -p $(B)/corpus/$*
	@$< $(FUZZ_ARGS) $(if $(findstring run,$@),-max_total_time=$(FUZZ_SECONDS) $(B)/corpus/$*,-runs=0) tests/fuzz/corpus/$* >$(B)/$*.log 2>&1 || { cat $(B)/$*.log; exit 1; }
	@sed -n 's/^stat::number_of_executed_units: */== fuzz $*: inputs run: /p' $(B)/$*.log
$(B)/fuzz-%: tests/fuzz/%.c tests/fuzz/fuzz.h $(B)/libcore.a
	@mkdir -p $(@D)
	$(call say,FUZZ,$<)
	$(Q)$(CC) $(ALL_CFLAGS) -fsanitize=fuzzer -o $@ $< $(B)/libcore.a $(ALL_LDFLAGS) $(LIBS) -ljansson
ARGS ?=
bench: all $(B)/bench/load $(B)/bench/baseline ## the hub beside raw baselines; make bench ARGS=--quick (not a test)
	@CARILLON=$(abspath $(B)/carillon) BENCH_BIN=$(abspath $(B)/bench) $(NODE) tests/bench/run.mjs $(ARGS)
$(B)/bench/%: tests/bench/%.c tests/bench/peer.c tests/bench/peer.h
	@mkdir -p $(@D)
	$(call say,CC  ,$<)
	$(Q)$(CC) -std=gnu11 -D_GNU_SOURCE -O2 $(WARN) -Wno-missing-prototypes -o $@ $< tests/bench/peer.c
install: all                                ## into $(DESTDIR)$(PREFIX)/bin
	install -D -m 755 $(B)/carillon $(DESTDIR)$(or $(PREFIX),/usr/local)/bin/carillon
clean:                                      ## remove build/
	rm -rf $(B)
help:                                       ## this list
	@sed -n 's/^\([a-z0-9-]*\):[^#]*## \(.*\)/  \1\t\2/p' Makefile | expand -t 14

.PHONY: all deps deps-test run test unit sim e2e check lint asan tsan fuzz fuzz-corpus deps-fuzz bench install clean help
.SECONDARY:
-include $(shell find $(B)/obj -name '*.d' 2>/dev/null)
