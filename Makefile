# Builds, installs and tests the extension inqud.
#
# make, make install, make installcheck and make clean are PGXS: they need
# PostgreSQL's server development files and use the installation that
# PG_CONFIG names.  The targets in SCRIPT_GOALS call scripts that bring along
# what they need, so they must work before those files are there: nothing of
# PGXS is read when only they are asked for.
#
# The version of the extension stands in inqud.control and nowhere else.

# "make bench W3" measures one line; the lines are no goals by themselves.
BENCH_LINES = W1 W2 W3 W4 W5 P1 P3 P4 P5 P6 P7 P8
SCRIPT_GOALS = help demo check test mutants test-fresh test-versions deb dist bench $(BENCH_LINES)

.PHONY: $(SCRIPT_GOALS)
.DEFAULT_GOAL := all

EXTENSION = inqud
MODULE_big = inqud
PGFILEDESC = "inqud - crypto payments for the orders in PostgreSQL"

# A VPATH build stands in another folder than the sources.
SOURCES := $(or $(VPATH),.)
sources = $(patsubst $(SOURCES)/%,%,$(sort $(wildcard $(addprefix $(SOURCES)/,$(1)))))

INQUD_VERSION := $(shell sed -n "s/^default_version *= *'\(.*\)'.*/\1/p" $(SOURCES)/inqud.control)

# The install script is joined from these, in this order: what a part's objects
# are made of comes before it.  They lie in sql/parts, since pg_regress would take
# sql/NAME.sql for the test of that name.
SQL_PARTS = head status tables types enqueue claim record webhook \
	on_status operate adopt remove create widget reports monitor trouble report_page \
	prune check_project backup rights

# Absolute in a VPATH build, or make would take the one that an archive brings along
# for this one, and the rules of PGXS then miss it.  Not elsewhere: make cuts a path
# at a blank, and would write and delete at its first half.
BESIDE := $(if $(VPATH),$(CURDIR)/)
DATA_built = $(BESIDE)sql/inqud--$(INQUD_VERSION).sql
DATA = $(call sources,sql/inqud--*--*.sql)

# The library serves its own version and those that upgrades begin with, so that
# it can be installed before a database is updated.
SERVED = $(sort $(INQUD_VERSION) $(subst --, ,$(patsubst sql/inqud--%.sql,%,$(DATA))))
OBJS = $(patsubst %.c,%.o,$(call sources,src/*.c src/*/*.c))

# The install script owns sql/, so the regression tests live under test/;
# their expected output is found in the top-level expected/ by every release.
REGRESS = $(patsubst test/sql/%.sql,%,$(call sources,test/sql/*.sql))
REGRESS_OPTS = --inputdir=$(SOURCES)/test
ISOLATION = $(patsubst test/specs/%.spec,%,$(call sources,test/specs/*.spec))
ISOLATION_OPTS = --inputdir=$(SOURCES)/test --outputdir=.

EXTRA_CLEAN = results output_iso tmp_check tmp_check_iso log \
	regression.diffs regression.out build/check

ifneq (,$(filter-out $(SCRIPT_GOALS),$(or $(MAKECMDGOALS),all)))

# ---------------------------------------------------------------------------
# What the build needs, each with a sentence when it is missing

PG_CONFIG ?= pg_config
PKG_CONFIG ?= pkg-config
CURL_CONFIG ?= curl-config
MIN_PG = 15
MIN_CURL = 7.87.0
MIN_JSONC = 0.16

PGXS := $(shell $(PG_CONFIG) --pgxs 2>/dev/null)
ifeq (,$(PGXS))
$(error inqud cannot be built: "$(PG_CONFIG)" was not found or does not run. Install PostgreSQL's server development files (on Debian: postgresql-server-dev-N) or set PG_CONFIG)
endif
ifeq (,$(wildcard $(PGXS)))
$(error inqud cannot be built: "$(PGXS)" is missing. Install PostgreSQL's server development files (on Debian: postgresql-server-dev-N) or set PG_CONFIG)
endif

PG_MAJOR := $(shell $(PG_CONFIG) --version | sed 's/^[^0-9]*\([0-9]*\).*/\1/')
ifneq (yes,$(shell test '$(PG_MAJOR)' -ge $(MIN_PG) 2>/dev/null && echo yes))
$(error inqud needs PostgreSQL $(MIN_PG) or later, but "$(PG_CONFIG)" says "$(shell $(PG_CONFIG) --version)")
endif

# Cleaning and looking at things must work without the libraries.
ifneq (,$(filter-out $(SCRIPT_GOALS) clean distclean maintainer-clean uninstall installcheck,$(or $(MAKECMDGOALS),all)))

ifeq (yes,$(shell $(PKG_CONFIG) --exists 'libcurl >= $(MIN_CURL)' 2>/dev/null && echo yes))
CURL_CPPFLAGS := $(shell $(PKG_CONFIG) --cflags libcurl)
CURL_LIBS := $(shell $(PKG_CONFIG) --libs libcurl)
else ifeq (yes,$(shell $(CURL_CONFIG) --checkfor $(MIN_CURL) >/dev/null 2>&1 && echo yes))
CURL_CPPFLAGS := $(shell $(CURL_CONFIG) --cflags)
CURL_LIBS := $(shell $(CURL_CONFIG) --libs)
else
$(error inqud needs libcurl $(MIN_CURL) or later with its development files (on Debian: libcurl4-openssl-dev), and neither $(PKG_CONFIG) nor $(CURL_CONFIG) finds it)
endif

ifeq (yes,$(shell $(PKG_CONFIG) --exists 'json-c >= $(MIN_JSONC)' 2>/dev/null && echo yes))
JSONC_CPPFLAGS := $(shell $(PKG_CONFIG) --cflags json-c)
JSONC_LIBS := $(shell $(PKG_CONFIG) --libs json-c)
else
$(error inqud needs json-c $(MIN_JSONC) or later with its development files (on Debian: libjson-c-dev and pkg-config), and $(PKG_CONFIG) does not find it)
endif

endif

# ---------------------------------------------------------------------------
# Flags

# Naming the server's headers as system headers keeps warnings to our code.
PG_CPPFLAGS = -I$(srcdir)/src -isystem $(includedir_server) \
	-DINQUD_VERSION='"$(INQUD_VERSION)"' -DINQUD_SERVES='"$(SERVED)"' \
	$(CURL_CPPFLAGS) $(JSONC_CPPFLAGS)
# Callbacks have the parameters that others prescribe, used or not; what an
# initializer leaves out is zero, and tables rely on it.
PG_CFLAGS = -Wall -Wextra -Wno-unused-parameter -Wno-missing-field-initializers \
	-Wshadow -Wstrict-prototypes -Wold-style-definition -Wformat=2 -Wundef -Wvla -Walloca \
	-Wduplicated-cond -Wlogical-op -Wdouble-promotion
SHLIB_LINK = $(CURL_LIBS) $(JSONC_LIBS)

ifdef WERROR
PG_CFLAGS += -Werror
endif

# What runs into undefined behaviour ends the process, with a word in the server's
# log.  PostgreSQL is compiled with -fwrapv, so overflow of signed numbers is defined
# and not looked for.  The address sanitizer would have to be in the server, too.
ifeq (undefined,$(SANITIZE))
PG_CFLAGS += -fsanitize=undefined -fno-sanitize-recover=all
SHLIB_LINK += -lubsan
endif

# The server's flags were written for gcc; clang should not stumble over them.
ifneq (,$(findstring clang,$(CC)))
PG_CFLAGS += -Wno-unknown-warning-option -Wno-ignored-optimization-argument
endif

# A server built with LLVM wants bitcode beside the library.  Where that clang
# is not installed the extension does without.
PGXS_GLOBAL := $(dir $(PGXS))../Makefile.global
BITCODE_TOOLS := $(shell sed -n -e 's/^CLANG *= *//p' \
	-e 's,^LLVM_BINPATH *= *\(.*\),\1/llvm-lto,p' $(PGXS_GLOBAL))
ifneq ($(words $(BITCODE_TOOLS)),$(words $(foreach t,$(BITCODE_TOOLS),$(shell command -v $(t)))))
override with_llvm = no
endif

include $(PGXS)

# The client's functions are not to be visible to other libraries in a process that loads
# many libraries.
$(filter src/client/%,$(OBJS)): override CFLAGS += -fvisibility=hidden

$(OBJS) $(OBJS:.o=.bc): $(call sources,src/*/*.h) inqud.control Makefile $(DATA)

# A VPATH build begins without folders.
FOLDERS := $(addprefix $(BESIDE),$(sort $(dir $(OBJS))))

$(OBJS) $(OBJS:.o=.bc): | $(FOLDERS)

$(FOLDERS):
	@mkdir -p $@

$(DATA_built): $(SQL_PARTS:%=sql/parts/%.sql) inqud.control Makefile
	@mkdir -p $(@D)
	cat $(filter %.sql,$^) >$@.part
	mv $@.part $@

endif

# ---------------------------------------------------------------------------
# Targets that need nothing beforehand

help:
	@echo 'make                build the extension (PG_CONFIG=…, WERROR=1)'
	@echo 'make install        install it into the PostgreSQL that PG_CONFIG names'
	@echo 'make installcheck   regression and isolation tests against a running server'
	@echo 'make clean          remove what was built'
	@echo 'make demo           a small shop on a throw-away server, from nothing'
	@echo 'make check          what to run after changing a line: style, unit, regress, isolation and'
	@echo '                    one TAP test, two at a time, in about a minute once things are built'
	@echo 'make test           all tests, from nothing; closes with "N passed, N failed"'
	@echo '                    PARTS="unit regress"  only these parts, of:'
	@echo '                      style build lint unit valgrind fuzz emulator regress isolation tap browser receiver bench sanitize'
	@echo '                    PROVE_TESTS="test/t/x.pl"  only these TAP tests'
	@echo '                    PG=15     PostgreSQL release to use'
	@echo '                    JOBS=2    TAP tests at the same time'
	@echo '                    KEEP=1    keep the temporary folder'
	@echo 'make mutants        slips in the code, one at a time: which test notices; "N passed, N failed"'
	@echo '                    MUTANTS="claim-order"  only these, of test/tools/mutants/*.txt'
	@echo 'make test-fresh     make demo and make test on a fresh Debian in a folder (root)'
	@echo '                    GOALS="test"  only these; SUITE=bookworm'
	@echo 'make test-versions  make test without lint and fuzz on PostgreSQL 17 and 18, each on a Debian in a folder (root)'
	@echo '                    VERSIONS="18"  only these; and what make test takes'
	@echo 'make dist           inqud-VERSION.zip and .tar.gz of what is committed; OUT=build'
	@echo 'make deb            Debian packages for PostgreSQL 15, 17 and 18, built and tried (root)'
	@echo '                    VERSIONS="15"  only these; OUT=build'
	@echo 'make bench          how quick it is, beside its contenders; half an hour'
	@echo 'make bench W3       one line of it, of W1 to W5 and P1 to P8; see test/bench/README.md'
	@echo '                    QUICK=1   with a tenth of the rows'

demo:
	@test/tools/run/demo.sh

# PGXS has a target of this name, which says that it does nothing.
ifneq (,$(filter check,$(MAKECMDGOALS)))
check:
	@test/tools/run/check.sh
endif

test:
	@test/tools/run/test.sh

mutants:
	@test/tools/mutants/run.sh $(MUTANTS)

test-fresh:
	@test/tools/run/fresh.sh

test-versions:
	@test/tools/run/versions.sh

dist:
	@OUT='$(OUT)' test/tools/run/dist.sh

deb:
	@OUT='$(OUT)' test/tools/run/deb.sh

bench:
	@test/tools/run/bench.sh $(if $(QUICK),--quick) $(filter $(BENCH_LINES),$(MAKECMDGOALS))

$(BENCH_LINES):
	@$(if $(filter bench,$(MAKECMDGOALS)),:,echo 'Use: make bench $@' >&2; false)
