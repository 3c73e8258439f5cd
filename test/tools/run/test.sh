#!/usr/bin/env bash
#
# test.sh - "make test": runs all tests in a temporary folder, as an unprivileged
# user when called by root, and closes with the one line
#
#   N passed, N failed            (", N skipped" when some were)
#
# It fails when anything failed or nothing ran.  A part that crashes, exceeds
# its time or prints no test counts as failed; a part that leaves a process
# behind does so, too.
#
# It must not need a network beyond the package mirror, must not touch the
# installed PostgreSQL or any running server, and must leave nothing behind.
#
# Environment: PARTS, PROVE_TESTS, REGRESS_TESTS, ISOLATION_TESTS, PG, JOBS,
# FUZZ_SECONDS, KEEP; see "make help".  "make check" sets CACHE; see lib.sh.

set -euo pipefail
# shellcheck source=test/tools/run/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

ALL_PARTS="style build lint unit valgrind fuzz emulator regress isolation tap browser receiver bench sanitize"
PARTS=${PARTS:-$ALL_PARTS}
JOBS=${JOBS:-1}
FUZZ_SECONDS=${FUZZ_SECONDS:-5}

PASSED=0
FAILED=0
SKIPPED=0
SUMMARY=()
FAILURES=()
BUILT=

# ---------------------------------------------------------------------------
# Counting

# Adds a part's tests; the fourth argument says why it failed when no test does.
count()
{
	PASSED=$((PASSED + $1))
	FAILED=$((FAILED + $2))
	SKIPPED=$((SKIPPED + $3))
	SUMMARY+=("$(printf '%-10s %5d passed %5d failed %5d skipped   %s' "$PART" "$1" "$2" "$3" "${4:-}")")
	if [ "$2" != 0 ] && [ -n "${4:-}" ]; then
		FAILURES+=("$PART: $4")
	fi
}

# Takes the names of failed tests from standard input, to repeat them at the end,
# where a reader of a long log looks first.
failed_tests()
{
	local name

	while read -r name; do
		FAILURES+=("$PART: $name")
	done
}

# Runs a command of a part with a limit in seconds, showing its output.
limited()
{
	local limit=$1
	local status=0

	shift
	SHOW=1 stage_run "$STAGE/log/$PART" timeout -k 30 "$limit" "$@" || status=$?
	if [ "$status" = 124 ] || [ "$status" = 137 ]; then
		say "The part $PART did not end within $limit seconds."
	fi
	return "$status"
}

# Runs commands that print TAP.
tap_part()
{
	local limit=$1
	local counts=$STAGE/tmp/counts names=$STAGE/tmp/names
	local passed=0 failed=0 skipped=0
	local status=0 why=

	shift
	rm -f "$counts" "$names"
	limited "$limit" perl test/tools/run/tap.pl --counts "$counts" --names "$names" "$@" || status=$?
	if ! [ -s "$counts" ]; then
		count 0 1 0 "ended without a result"
		return
	fi
	read -r passed failed skipped <"$counts"
	if [ "$status" != 0 ] && [ "$failed" = 0 ]; then
		failed=1
		why="ended badly"
	fi
	count "$passed" "$failed" "$skipped" "$why"
	failed_tests <"$names"
}

# Counts the lines in which pg_regress reports tests, in the format of
# PostgreSQL 15 or the TAP of later ones.
regress_lines()
{
	case $1 in
		passed) grep -cE '^(test| {4}) .* \.\.\. ok +[0-9]+ ms|^ok [0-9]+ ' "$2" || true ;;
		failed) grep -cE '^(test| {4}) .* \.\.\. FAILED|^not ok [0-9]+ ' "$2" || true ;;
	esac
}

# The names of the tests in such lines that failed.
regress_failures()
{
	sed -nE 's/^(test| {4}) +([^ ]+) +\.\.\. FAILED.*/\2/p; s/^not ok [0-9]+ +[-+] ([^ ]+).*/\1/p' "$1"
}

# Runs regression or isolation tests by "make installcheck".
regress_part()
{
	local limit=$1 variable=$2 other=$3 names=$4 conf=$5
	local expected passed failed
	local status=0 why=

	expected=$(wc -w <<<"$names")
	if [ "$expected" = 0 ]; then
		count 0 1 0 "no tests found"
		return
	fi
	limited "$limit" env SERVER_CONF="$conf" test/tools/run/server.sh \
		make -s installcheck "$variable=$names" "$other=" || status=$?
	passed=$(regress_lines passed "$STAGE/log/$PART")
	failed=$(regress_lines failed "$STAGE/log/$PART")
	if [ $((passed + failed)) -lt "$expected" ]; then
		failed=$((expected - passed))
		why="some tests did not run"
	fi
	if [ "$status" != 0 ] && [ "$failed" = 0 ]; then
		failed=1
		why="ended badly"
	fi
	count "$passed" "$failed" 0 "$why"
	failed_tests < <(regress_failures "$STAGE/log/$PART")
	show_differences "$STAGE_SRC/regression.diffs"
}

show_differences()
{
	if [ -s "$1" ]; then
		say "The differences:"
		cat "$1"
		rm "$1"
	fi
}

# The names of the tests whose files match, without folder and ending.
test_names()
{
	local file

	for file in "$STAGE_SRC/$1"/*"$2"; do
		if [ -e "$file" ]; then
			basename "$file" "$2"
		fi
	done | sort | tr '\n' ' '
}

# ---------------------------------------------------------------------------
# The parts

part_style()
{
	tap_part 300 --prefix perl test/tools/style/layers.pl test/tools/style/text.pl \
		test/tools/style/sql.pl test/tools/style/shell.pl test/tools/style/meta.pl
}

# The build in the folder is the one that every later part uses, so it comes
# first; the second compiler and "make clean" work on a copy.
part_build()
{
	tap_part 900 test/tools/run/build.sh
}

part_lint()
{
	tap_part 900 test/tools/run/lint.sh
}

# With sanitizers.
part_unit()
{
	tap_part 900 "make -s -C test/unit -j$(nproc) all && make -s -C test/unit check"
}

# The same without sanitizers, under valgrind.
part_valgrind()
{
	tap_part 900 "make -s -C test/unit valgrind"
}

part_fuzz()
{
	tap_part 900 "make -s -C test/fuzz check SECONDS_EACH=$FUZZ_SECONDS"
}

part_emulator()
{
	tap_part 600 "python3 test/emulator/selftest.py"
}

part_regress()
{
	regress_part 900 REGRESS ISOLATION \
		"${REGRESS_TESTS:-$(test_names test/sql .sql)}" test/sql/server.conf
}

part_isolation()
{
	regress_part 1200 ISOLATION REGRESS \
		"${ISOLATION_TESTS:-$(test_names test/specs .spec)}" test/specs/server.conf
}

# The surroundings are those that PGXS gives to TAP tests.
part_tap()
{
	local -a tests=()
	local dir=$STAGE/tap
	local name

	mkdir -p "$dir/tmp_check/log"
	if [ -n "$STAGE_USER" ]; then
		chown -R "$STAGE_USER" "$dir"
	fi
	if [ -n "${PROVE_TESTS:-}" ]; then
		read -r -a tests <<<"$PROVE_TESTS"
	else
		for name in $(test_names test/t .pl); do
			tests+=("test/t/$name.pl")
		done
	fi
	if [ ${#tests[@]} = 0 ]; then
		count 0 1 0 "no tests found"
		return
	fi
	tap_part 3600 --failures "$STAGE/tmp/failures" --jobs "$JOBS" \
		--prefix "TESTDIR=$dir TESTDATADIR=$dir/tmp_check TESTLOGDIR=$dir/tmp_check/log \
			top_builddir=$dir PGPORT=65432 perl -I ." "${tests[@]}"
	show_tap_logs "$dir/tmp_check/log"
}

# The payment widget and the report page in Chromium.
part_browser()
{
	tap_part 900 "test/tools/run/server.sh /usr/bin/python3 test/browser/widget.py" \
		"test/tools/run/server.sh /usr/bin/python3 test/browser/report.py"
}

# The webhook receiver, and the handlers for other hosts.
part_receiver()
{
	tap_part 600 "test/tools/run/server.sh /usr/bin/python3 test/examples/receiver/try.py"
}

# Each line of the benchmark with a few rows, to see that it runs.
part_bench()
{
	tap_part 900 "python3 test/bench/bench.py --smoke"
}

# The tests in SQL once more, with a library that ends the server's process when it
# runs into undefined behaviour.  The next part gets the usual one again.
part_sanitize()
{
	BUILT=
	if ! SANITIZE=undefined stage_build; then
		cat "$STAGE/log/build"
		count 0 1 0 "not run: the build failed"
	else
		part_regress
		part_isolation
	fi
}

# What each failed TAP test and its servers logged, the end of it.
show_tap_logs()
{
	local dir=$1
	local test file name

	[ -e "$STAGE/tmp/failures" ] || return 0
	while read -r test; do
		name=$(basename "$test" .pl)
		for file in "$dir/regress_log_$name" "$dir/$name"_*.log; do
			if [ -s "$file" ]; then
				printf '\n-- the last lines of %s\n' "${file##*/}"
				tail -n 60 "$file"
			fi
		done
	done <"$STAGE/tmp/failures"
}

needs_build()
{
	case $1 in
		regress | isolation | tap | browser | receiver | bench) return 0 ;;
		*) return 1 ;;
	esac
}

ensure_built()
{
	if [ -z "$BUILT" ]; then
		BUILT=yes
		if ! stage_build; then
			BUILT=failed
			cat "$STAGE/log/build"
		fi
	fi
	[ "$BUILT" = yes ]
}

run_part()
{
	PART=$1
	printf '\n== %s\n' "$PART"
	if needs_build "$PART" && ! ensure_built; then
		count 0 1 0 "not run: the build failed"
		return
	fi
	"part_$PART"
	if ! stage_sweep 50; then
		say "The part $PART left processes behind; they were ended."
		count 0 1 0 "left processes behind"
	fi
}

main()
{
	local part

	for part in $PARTS; do
		case " $ALL_PARTS " in
			*" $part "*) ;;
			*) fail "There is no part \"$part\"; the parts are: $ALL_PARTS." ;;
		esac
	done
	# shellcheck disable=SC2086
	"$ROOT/test/tools/run/packages.sh" $PARTS
	stage_open
	say "Testing inqud with PostgreSQL $PG_RELEASE."
	for part in $PARTS; do
		run_part "$part"
	done
	stage_keep_cache
	printf '\n'
	[ ${#FAILURES[@]} = 0 ] || printf 'FAILED %s\n' "${FAILURES[@]}"
	printf '%s\n' "${SUMMARY[@]}"
	printf '\n%d passed, %d failed' "$PASSED" "$FAILED"
	[ "$SKIPPED" = 0 ] || printf ', %d skipped' "$SKIPPED"
	printf '\n'
	[ "$FAILED" = 0 ] && [ "$PASSED" -gt 0 ]
}

main </dev/null
