#!/usr/bin/env bash
#
# versions.sh - "make test-versions": runs "make test" with PostgreSQL 17 and 18,
# each on a minimal Debian of the release that has it, made in a temporary folder
# with a clone of what is committed.  Closes with a line for each version, and
# one with the sum of all:
#
#   N passed, N failed            (", N skipped" when some were)
#
# Needs root; see debian.sh.  It leaves nothing but the package debootstrap.  A
# version that cannot be had, or whose tests end without a result, has failed.
#
# The part "lint" is left out unless PARTS names it: what clang-tidy and cppcheck
# say depends on their own release and not on the server's, and their exceptions
# are written for one of them.  "make test" has it, and the fuzzers, which know
# nothing of a server and take their time: so is the part "fuzz".
#
# Environment: VERSIONS ("17 18"), MIRROR (this machine's), and what "make test"
# takes.

set -euo pipefail
# shellcheck source=test/tools/run/debian.sh
. "$(dirname "${BASH_SOURCE[0]}")/debian.sh"
# shellcheck source=test/tools/run/counts.sh
. "$(dirname "${BASH_SOURCE[0]}")/counts.sh"

VERSIONS=${VERSIONS:-17 18}
PARTS=${PARTS:-$(sed -n 's/^ALL_PARTS="\(.*\)"$/\1/p' "$ROOT/test/tools/run/test.sh" | sed 's/ lint / /; s/ fuzz / /')}
export PARTS

outside()
{
	local version suite log status
	local -a summary=()

	for version in $VERSIONS; do
		debian_of_postgres "$version" >/dev/null
	done
	debian_open
	for version in $VERSIONS; do
		suite=$(debian_of_postgres "$version")
		log=$DEBIAN_FOLDER/log-$version
		status=0
		printf '\n#### make test on %s, with PostgreSQL %s\n\n' "$suite" "$version"
		PG=$version debian_run "$log" "$suite" "$ROOT/test/tools/run/versions.sh" inside || status=$?
		counts_add "$log" "$status" "$version"
		summary+=("$(printf 'PostgreSQL %s (%s): %s' "$version" "$suite" "$ONE")")
		rm -rf --one-file-system "$DEBIAN_FOLDER/base" "$DEBIAN_FOLDER/try"
	done
	printf '\n'
	printf '%s\n' "${summary[@]}"
	printf '\n'
	counts_close
}

inside()
{
	local status=0

	debian_make_base
	debian_begin
	debian_make test || status=$?
	debian_check "make test"
	debian_end
	exit "$status"
}

if [ "${1:-}" = inside ]; then
	inside
else
	outside
fi
