#!/usr/bin/env bash
#
# run.sh [NAME ...] - "make mutants": makes each slip of the lists here, or only those
# that are named, in a temporary copy of the sources, and says which test
# notices it.  It closes with "N passed, N failed", where passed is noticed.
#
# It must not change the sources themselves; see mutants.py for what is done to
# the copy.

set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# The scripts that stage and build lie beside this folder, or one further up.
RUN=$HERE/../run
[ -e "$RUN/lib.sh" ] || RUN=$HERE/../../run
# shellcheck source=/dev/null
. "$RUN/lib.sh"

"$RUN/packages.sh" build regress isolation tap
stage_open
status=0
SHOW=1 stage_run "$STAGE/log/mutants" python3 -B test/tools/mutants/mutants.py \
	"$(realpath --relative-to="$ROOT" "$RUN")" "$@" || status=$?
exit "$status"
