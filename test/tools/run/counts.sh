# shellcheck shell=bash disable=SC2034
#
# counts.sh - adding up the closing lines "N passed, N failed[, N skipped]" of
# several runs of tests.
#
# Sourced, never run.  A run that ended without such a line, or badly although
# the line speaks of no failure, adds one failure.
#
#   SUM_PASSED, SUM_FAILED, SUM_SKIPPED  what the runs came to so far
#   ONE                                  the closing line of the last one
#   FAILURES                             what failed in all of them, one each

SUM_PASSED=0
SUM_FAILED=0
SUM_SKIPPED=0
ONE=
FAILURES=()

# "N passed, N failed", and the skipped ones when there are any.
counts_line()
{
	printf '%d passed, %d failed' "$1" "$2"
	[ "$3" = 0 ] || printf ', %d skipped' "$3"
}

# Adds the run that wrote a log and ended with a status.  The third argument names
# it where what failed in it is repeated.
counts_add()
{
	local log=$1 status=$2 what=$3
	local line said passed=0 failed=0 skipped=0
	local form='^([0-9]+) passed, ([0-9]+) failed(, ([0-9]+) skipped)?$'

	# after the line comes at most what make and a check of the surroundings say
	said=$(tail -n 10 "$log" | grep -E "$form" | tail -n 1 || true)
	if [[ $said =~ $form ]]; then
		passed=${BASH_REMATCH[1]}
		failed=${BASH_REMATCH[2]}
		skipped=${BASH_REMATCH[4]:-0}
		if [ "$status" != 0 ] && [ "$failed" = 0 ]; then
			failed=1
		fi
		ONE=$(counts_line "$passed" "$failed" "$skipped")
	else
		failed=1
		ONE="$(counts_line 0 1 0) (it ended without a closing line)"
	fi
	while read -r line; do
		FAILURES+=("FAILED in $what: ${line#FAILED }")
	done < <(grep '^FAILED in ' "$log" || grep '^FAILED ' "$log")
	SUM_PASSED=$((SUM_PASSED + passed))
	SUM_FAILED=$((SUM_FAILED + failed))
	SUM_SKIPPED=$((SUM_SKIPPED + skipped))
}

# Prints what failed and the sum; false when something failed or nothing ran.
counts_close()
{
	[ ${#FAILURES[@]} = 0 ] || printf '%s\n' "${FAILURES[@]}" ''
	counts_line "$SUM_PASSED" "$SUM_FAILED" "$SUM_SKIPPED"
	printf '\n'
	[ "$SUM_FAILED" = 0 ] && [ "$SUM_PASSED" -gt 0 ]
}
