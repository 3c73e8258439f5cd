#!/usr/bin/env bash
#
# deb.sh - "make deb": builds the Debian packages postgresql-N-inqud for
# PostgreSQL 15, 17 and 18, each on a minimal Debian of the release that has it,
# from the archive of "make dist" and the files in test/tools/dist/debian.  Then it
# installs each on another minimal Debian, tries it there and takes it away.
#
# Needs root; see debian.sh.  The packages are written to OUT, and nothing else
# is left but the package debootstrap.  Closes with a line for each version and
# the sum "N passed, N failed".
#
# Environment: VERSIONS ("15 17 18"), OUT (build), MIRROR (this machine's).

set -euo pipefail
# shellcheck source=test/tools/run/debian.sh
. "$(dirname "${BASH_SOURCE[0]}")/debian.sh"
# shellcheck source=test/tools/run/counts.sh
. "$(dirname "${BASH_SOURCE[0]}")/counts.sh"

VERSIONS=${VERSIONS:-15 17 18}
OUT=${OUT:-$ROOT/build}
PASSED=0
FAILED=0

outside()
{
	local version suite log status
	local -a summary=()

	for version in $VERSIONS; do
		debian_of_postgres "$version" >/dev/null
	done
	debian_open
	mkdir -p "$OUT"
	for version in $VERSIONS; do
		suite=$(debian_of_postgres "$version")
		log=$DEBIAN_FOLDER/log-$version
		status=0
		printf '\n#### A package for PostgreSQL %s on %s\n\n' "$version" "$suite"
		PG=$version OUT=$OUT debian_run "$log" "$suite" "$ROOT/test/tools/run/deb.sh" inside || status=$?
		counts_add "$log" "$status" "$version"
		summary+=("$(printf 'PostgreSQL %s (%s): %s' "$version" "$suite" "$ONE")")
		rm -rf --one-file-system "$DEBIAN_FOLDER/base" "$DEBIAN_FOLDER/try"
	done
	printf '\n'
	printf '%s\n' "${summary[@]}" ''
	counts_close
}

# Reports one check: a description and the command that decides it.
check()
{
	local what=$1

	shift
	if "$@" >"$DEBIAN_FOLDER/said" 2>&1; then
		PASSED=$((PASSED + 1))
		printf 'ok - %s\n' "$what"
	else
		FAILED=$((FAILED + 1))
		printf 'not ok - %s\nFAILED %s\n' "$what" "$what"
		tail -n 60 "$DEBIAN_FOLDER/said" | sed 's/^/# /'
	fi
}

in_try()
{
	debian_in "$DEBIAN_FOLDER/try" "$@"
}

inside()
{
	local packages=$DEBIAN_FOLDER/packages
	local steps=$DEBIAN_CLONE/test/tools/dist

	debian_make_base
	printf '#!/bin/sh\nexit 101\n' >"$DEBIAN_FOLDER/base/usr/sbin/policy-rc.d"
	chmod 0755 "$DEBIAN_FOLDER/base/usr/sbin/policy-rc.d"
	mkdir "$packages"

	debian_begin
	check 'what the build needs can be installed' in_try "$steps/build.sh" needs
	check 'make dist: the archive is complete, and the same twice' in_try "$steps/build.sh" dist
	check 'the packages are built' in_try "$steps/build.sh" packages
	check 'lintian has nothing to say' in_try "$steps/build.sh" lintian
	cp "$DEBIAN_FOLDER/try/root/packages/"*.deb "$packages" || true
	debian_end

	debian_begin
	mkdir "$DEBIAN_FOLDER/try/root/packages"
	cp "$packages/"*.deb "$DEBIAN_FOLDER/try/root/packages" || true
	check 'a package installs on a clean machine' in_try "$steps/try.sh" install "$PG"
	check 'the extension works, the worker included' in_try "$steps/try.sh" use "$PG"
	check 'and goes away without a trace' in_try "$steps/try.sh" remove "$PG"
	debian_end

	if [ "$FAILED" = 0 ]; then
		cp "$packages/"*.deb "$OUT"
	fi
	printf '%d passed, %d failed\n' "$PASSED" "$FAILED"
	[ "$FAILED" = 0 ]
}

if [ "${1:-}" = inside ]; then
	inside
else
	outside
fi
