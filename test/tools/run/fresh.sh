#!/usr/bin/env bash
#
# fresh.sh - "make test-fresh": proves that "make demo" and "make test" need
# nothing but make, git and the sources.  For each of them it makes a minimal
# Debian in a temporary folder, clones what is committed into a folder there
# that only root can read, and runs the command inside.
#
# Needs root; see debian.sh.  It leaves nothing but the package debootstrap.
#
# Environment: GOALS ("demo test"), SUITE (this machine's), MIRROR (this
# machine's), and what "make test" takes.

set -euo pipefail
# shellcheck source=test/tools/run/debian.sh
. "$(dirname "${BASH_SOURCE[0]}")/debian.sh"

GOALS=${GOALS:-demo test}

outside()
{
	local suite=${SUITE:-$(own_suite)}

	[ -n "$suite" ] || fail "This machine does not say which Debian it is; set SUITE."
	debian_open
	export GOALS
	debian_run "$DEBIAN_FOLDER/log" "$suite" "$ROOT/test/tools/run/fresh.sh" inside
}

# One Debian for each goal.
inside()
{
	local goal

	debian_make_base
	for goal in $GOALS; do
		printf '\n#### make %s on a fresh %s\n\n' "$goal" "$DEBIAN_SUITE"
		debian_begin
		debian_make "$goal" || fail "make $goal failed on a fresh $DEBIAN_SUITE."
		debian_check "make $goal"
		debian_end
	done
	printf '\nOn a fresh %s these work: %s.\n' "$DEBIAN_SUITE" "$GOALS"
}

if [ "${1:-}" = inside ]; then
	inside
else
	outside
fi
