#!/usr/bin/env bash
#
# check.sh - "make check": the tests to run after changing a line.  It runs test.sh
# twice at the same time, with those parts that find most faults for their time,
# and closes with the sum of both, as "make test" does:
#
#   N passed, N failed            (", N skipped" when some were)
#
# It decides nothing that test.sh does not, and must not need more than two minutes
# on two cores once things are built.  What was compiled is kept in build/check by
# ccache, which looks at what goes into an object and not at its time, so nothing
# stale is tested.  Without ccache everything is compiled each time.
#
# Environment: PG, KEEP; see "make help".

set -euo pipefail
# shellcheck source=test/tools/run/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=test/tools/run/counts.sh
. "$(dirname "${BASH_SOURCE[0]}")/counts.sh"

HERE=$ROOT/test/tools/run
KEPT=$ROOT/build/check
WORK=
CHILDREN=()

# What takes a processor's time beside what mostly waits for a server.
LANES=("style unit" "regress isolation tap")
export PROVE_TESTS=test/t/001_walk.pl JOBS=1

close()
{
	local status=$?

	trap '' HUP INT TERM
	end_children
	if [ -n "$WORK" ]; then
		rm -rf "$WORK"
	fi
	exit "$status"
}

# Starts test.sh with the parts of a lane; each has a folder of its own.
start()
{
	local lane=$1

	: >"$WORK/log$lane"
	CACHE=$KEPT/$lane PARTS=${LANES[lane]} "$HERE/test.sh" </dev/null >"$WORK/log$lane" 2>&1 &
	CHILDREN[lane]=$!
}

# Shows what a lane says until it ends, and counts it.
finish()
{
	local lane=$1
	local child=${CHILDREN[lane]}
	local status=0
	local shower

	printf '\n#### %s\n\n' "${LANES[lane]}"
	tail -n +1 -s 0.2 -f --pid="$child" "$WORK/log$lane" &
	shower=$!
	wait "$child" || status=$?
	wait "$shower" || true
	counts_add "$WORK/log$lane" "$status" "${LANES[lane]}"
	SUMMARY+=("${LANES[lane]}: $ONE")
}

close_on_exit close
WORK=$(mktemp -d "${TMPDIR:-/tmp}/inqud-check.XXXXXX")
SUMMARY=()
# once for both: two cannot install at the same time
"$HERE/packages.sh" cache "${LANES[@]}"
for lane in "${!LANES[@]}"; do
	start "$lane"
done
for lane in "${!LANES[@]}"; do
	finish "$lane"
done
printf '\n'
printf '%s\n' "${SUMMARY[@]}" ''
printf 'in %d seconds\n\n' "$SECONDS"
counts_close
