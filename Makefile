# Labelwire: one file builds everything.  `make help` lists what a person types.
#
# Flavours live under build/<flavour>/ and do not disturb one another:
#   make                    build/dev: optimised, with symbols
#   make FLAVOUR=asan       build/asan: address and undefined-behaviour sanitizers

FLAVOUR ?= dev
B       := build/$(FLAVOUR)

CFLAGS_dev  := -O2 -D_FORTIFY_SOURCE=2
CFLAGS_asan := -O1 -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
LDFLAGS_dev  := -pie -Wl,-z,relro,-z,now
LDFLAGS_asan := -fsanitize=address,undefined
ifeq ($(CFLAGS_$(FLAVOUR)),)
$(error unknown FLAVOUR '$(FLAVOUR)': want dev or asan)
endif

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wformat=2 \
        -Wpointer-arith -Wcast-qual -Wwrite-strings -Wundef -Wswitch-enum -Werror
CPPFLAGS += -Icommon -Iservices -D_GNU_SOURCE
CFLAGS   += -std=gnu11 -g -fPIE -fstack-protector-strong -pthread $(WARN) $(CFLAGS_$(FLAVOUR))
LDFLAGS  += -pthread $(LDFLAGS_$(FLAVOUR))
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

$(LIB): $(COMMON_OBJS)
	@rm -f $@ && ar rcs $@ $^

$(B)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c $< -o $@

# Lua scripts become byte arrays; bytes, because quoting loses backslashes.
$(B)/gen/lua/%.c: common/blob/lua/%.lua
	@mkdir -p $(@D)
	@{ printf 'extern const char lua_$*[];\nconst char lua_$*[] = {\n'; \
	   od -An -v -tx1 $< | sed 's/ \(..\)/0x\1,/g'; echo '0};'; } > $@
$(B)/obj/lua/%.o: $(B)/gen/lua/%.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -c $< -o $@

define program
$(B)/bin/$(1): $(call objs_of,$(1)) $(LIB)
	@mkdir -p $$(@D)
	$$(CC) $$(LDFLAGS) $$^ $$(LDLIBS) $$(LIBS_$(1)) -o $$@
endef
$(foreach p,$(PROGRAMS),$(eval $(call program,$(p))))

# ---- tests: tests/unit/<layer or service>/<module>_test.c is a program of its own; a test of a
# service's module links the service's other files too.  tests/tools/*.c are small drivers that
# the Python tests call.
UNIT_TESTS := $(patsubst tests/unit/%.c,$(B)/unit/%,$(wildcard tests/unit/*/*_test.c))
TOOLS      := $(patsubst tests/tools/%.c,$(B)/tools/%,$(wildcard tests/tools/*.c))
service_objs = $(filter-out %/main.o,$(call objs,services/$(1)/*.c))

.SECONDEXPANSION:
$(B)/unit/%_test: $(B)/obj/tests/unit/%_test.o $$(call service_objs,$$(patsubst %/,%,$$(dir $$*))) $(LIB)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) $^ $(LDLIBS) -ljpeg -lpng -lcmocka -o $@
$(B)/tools/%: $(B)/obj/tests/tools/%.o $(LIB)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) $^ $(LDLIBS) -o $@

.PHONY: unit-tests tools
unit-tests: $(UNIT_TESTS)
tools: $(TOOLS)

clean: ## remove build/ (downloads in the cache folder stay)
	rm -rf build

-include $(shell find $(B)/obj -name '*.d' 2>/dev/null)
.SECONDARY:
