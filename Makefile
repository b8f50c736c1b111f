# Labelwire: one file builds everything.  `make help` lists what a person types.
#
# Flavours live under build/<flavour>/ and do not disturb one another:
#   make                    build/dev: optimised, with symbols
#   make FLAVOUR=asan       build/asan: address and undefined-behaviour sanitizers, failpoints
#   make FLAVOUR=chaos      build/chaos: as dev, with failpoints (common/base/failpoint.h)
#   make FLAVOUR=clang      build/clang: the second compiler
#   make V=1                show the commands

FLAVOUR ?= dev
B       := build/$(FLAVOUR)
Q       := $(if $(V),,@)

ifeq ($(FLAVOUR),clang)
CC := clang-19
endif
CFLAGS_dev   := -O2 -D_FORTIFY_SOURCE=2
CFLAGS_clang := $(CFLAGS_dev)
CFLAGS_chaos := $(CFLAGS_dev) -DLW_FAILPOINTS
CFLAGS_asan := -O1 -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer \
               -DLW_FAILPOINTS
LDFLAGS_dev   := -pie -Wl,-z,relro,-z,now
LDFLAGS_clang := $(LDFLAGS_dev)
LDFLAGS_chaos := $(LDFLAGS_dev)
LDFLAGS_asan := -fsanitize=address,undefined
ifeq ($(CFLAGS_$(FLAVOUR)),)
$(error unknown FLAVOUR '$(FLAVOUR)': want dev, asan, chaos or clang)
endif

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wformat=2 \
        -Wpointer-arith -Wcast-qual -Wwrite-strings -Wundef -Wswitch-enum -Werror
CPPFLAGS += -Icommon -Iservices -D_GNU_SOURCE
CFLAGS   += -std=gnu11 -g -fPIE -fstack-protector-strong -pthread $(WARN) $(CFLAGS_$(FLAVOUR))
LDFLAGS  += -pthread $(LDFLAGS_$(FLAVOUR))
# TLS in httpd: civetweb loads libssl.so and libcrypto.so by name; ours, in lib/ beside bin/, stand
# in their place and make Debian's build of it content (common/net/shim).
LDFLAGS  += -Wl,--disable-new-dtags,-rpath,'$$ORIGIN/../lib:$$ORIGIN/../../lib'
SHIMS    := $(B)/lib/libssl.so $(B)/lib/libcrypto.so
LDLIBS   := -lcivetweb -lcurl -lrdkafka -lhiredis -lcrypto -lm

SERVICES := api-gateway upload-watcher recognizer callback-dispatcher rekognition-local
PROGRAMS := $(SERVICES) labelwire
BINS     := $(PROGRAMS:%=$(B)/bin/%)

# ---- objects: common/ is one archive, each folder of services/ one program (cli is labelwire)
objs = $(patsubst %.c,$(B)/obj/%.o,$(wildcard $(1)))
LUA         := $(wildcard common/blob/lua/*.lua)
COMMON_OBJS := $(call objs,common/*/*.c) $(LUA:common/blob/lua/%.lua=$(B)/obj/lua/%.o)
LIB         := $(B)/liblabelwire.a
dir_of       = services/$(if $(filter labelwire,$(1)),cli,$(1))
objs_of      = $(call objs,$(call dir_of,$(1))/*.c)
LIBS_rekognition-local := -ljpeg -lpng


.PHONY: all help clean
all: $(BINS) ## build all programs

help: ## this list
	@sed -n 's/^\([a-z][a-z -]*\):.*## /  make \1 : /p' $(MAKEFILE_LIST)

$(B)/lib/%.so: common/net/shim/openssl11.c
	@mkdir -p $(@D)
	$(Q)$(CC) -shared -fPIC -O2 $< -Wl,-soname,$*.so -Wl,--no-as-needed -lssl -lcrypto -o $@

$(LIB): $(COMMON_OBJS) | $(SHIMS)
	@rm -f $@ && ar rcs $@ $^

$(B)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c $< -o $@

# Lua scripts become byte arrays; bytes, because quoting loses backslashes.
$(B)/gen/lua/%.c: common/blob/lua/%.lua
	@mkdir -p $(@D)
	@{ printf 'extern const char lua_$*[];\nconst char lua_$*[] = {\n'; \
	   od -An -v -tx1 $< | sed 's/ \(..\)/0x\1,/g'; echo '0};'; } > $@
$(B)/obj/lua/%.o: $(B)/gen/lua/%.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -c $< -o $@

define program
$(B)/bin/$(1): $(call objs_of,$(1)) $(LIB)
	@mkdir -p $$(@D)
	@echo "  $$@"
	$$(Q)$$(CC) $$(LDFLAGS) $$^ $$(LDLIBS) $$(LIBS_$(1)) -o $$@
endef
$(foreach p,$(PROGRAMS),$(eval $(call program,$(p))))

# ---- tests: tests/unit/<layer or service>/<module>_test.c is a program of its own; a test of a
# service's module links the service's other files too.  tests/tools/*.c are small drivers that
# the Python tests call.
UNIT_TESTS := $(patsubst tests/unit/%.c,$(B)/unit/%,$(wildcard tests/unit/*/*_test.c))
INTEGRATION_TESTS := $(patsubst tests/%.c,$(B)/%,$(wildcard tests/integration/*_test.c))
TOOLS      := $(patsubst tests/tools/%.c,$(B)/tools/%,$(wildcard tests/tools/*.c))
service_objs = $(filter-out %/main.o,$(call objs,services/$(1)/*.c))

.SECONDEXPANSION:
$(B)/unit/%_test: $(B)/obj/tests/unit/%_test.o $$(call service_objs,$$(subst /,,$$(dir $$*))) $(LIB)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) $^ $(LDLIBS) -ljpeg -lpng -lcmocka -o $@
$(B)/integration/%_test: $(B)/obj/tests/integration/%_test.o $(B)/obj/tests/integration/redis_server.o $(LIB)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) $(filter %.o,$^) $(LIB) $(LDLIBS) -lcmocka -o $@
$(B)/integration/relay_test $(B)/integration/timers_test: $(call service_objs,upload-watcher)
$(B)/tools/%: $(B)/obj/tests/tools/%.o $(LIB)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) $^ $(LDLIBS) -o $@

# tests/bench/*.c: what the benchmarks compare with; bare of our code
$(B)/bench/%: tests/bench/%.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) $< $(LDLIBS) -o $@

.PHONY: tests
tests: $(BINS) $(UNIT_TESTS) $(INTEGRATION_TESTS) $(TOOLS)

# ---- what a person types
STACK := python3 deploy/local/stack.py
.PHONY: demo up down status logs test lint docs bench chaos soak install
install:
	@deploy/local/install.sh
demo: install ## install what is missing, build, start the stack, label a picture
	@$(STACK) fetch & fetch=$$!; $(MAKE) --no-print-directory -j2 all && wait $$fetch
	@$(STACK) demo
up: install ## start the stack on this machine
	@$(STACK) fetch & fetch=$$!; $(MAKE) --no-print-directory -j2 all && wait $$fetch
	@$(STACK) up
down: ## stop it; its data stays
	@$(STACK) down
status: ## what is running
	@$(STACK) status
logs: ## what the services say; SERVICE=name for one
	@$(STACK) logs $(SERVICE)
test: ## everything that CI runs
	@deploy/local/install.sh --test
	@python3 tests/run.py
lint: ## the checks of source text and compilers only
	@python3 tests/run.py lint
bench: all $(B)/bench/hello ## CPU per request against a bare server, in one run
	@deploy/local/install.sh --test
	@python3 tests/bench/gateway.py --bin $(B)/bin
chaos: ## die at every failpoint, then 200 random schedules of faults; SEEDS=n, SEED=first
	@deploy/local/install.sh --test
	@$(MAKE) --no-print-directory -j2 FLAVOUR=chaos all
	@python3 tests/chaos/chaos.py failpoints
	@python3 tests/chaos/chaos.py random --seeds $(or $(SEEDS),$(if $(SEED),1,200)) --first $(or $(SEED),1)
soak: ## steady load, a fault every 20 seconds; MIN=minutes
	@deploy/local/install.sh --test
	@$(MAKE) --no-print-directory -j2 FLAVOUR=chaos all
	@python3 tests/chaos/chaos.py soak --minutes $(or $(MIN),30)
docs: all ## write deploy/CONFIG.md and deploy/env.example from the programs' tables
	@tests/lint/docs.sh write
clean: ## stop the stack and remove build/; downloads in the cache folder stay
	@[ ! -e build/stack/run ] || $(STACK) down
	rm -rf build

-include $(shell find $(B)/obj -name '*.d' 2>/dev/null)
.SECONDARY:
