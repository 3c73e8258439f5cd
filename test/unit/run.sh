#!/usr/bin/env bash
#
# run.sh PROGRAM ... - runs test programs one after another and prints their
# TAP as one: lines numbered through, one plan, and a line that says how it
# went.  A program that dies, hangs or prints no plan counts as one failed
# check.  RUNNER goes before each.

set -euo pipefail

number=0
failed=0

# One result line.
report()
{
	number=$((number + 1))
	printf '%s %d - %s\n' "$1" "$number" "$2"
	[ "$1" = ok ] || failed=$((failed + 1))
}

# A program's lines, its own numbers and plan taken away.
renumber()
{
	local program=$1 line

	while IFS= read -r line; do
		case $line in
			'ok '*) report ok "$program: ${line#ok * - }" ;;
			'not ok '*) report 'not ok' "$program: ${line#not ok * - }" ;;
			1..*) ;;
			*) printf '# %s\n' "$line" ;;
		esac
	done
}

for path in "$@"; do
	program=$(basename "$path")
	before=$failed
	code=0
	# RUNNER is a command and its arguments
	# shellcheck disable=SC2086
	output=$(timeout -k 5 "${PATIENCE:-120}" ${RUNNER:-} "$path" 2>&1) || code=$?
	renumber "$program" <<<"$output"
	if ! grep -q '^1\.\.[1-9]' <<<"$output"; then
		report 'not ok' "$program ended with $code before its plan"
	elif [ "$code" -ne 0 ] && [ "$failed" = "$before" ]; then
		report 'not ok' "$program ended with $code"
	fi
done
printf '1..%d\n' "$number"
printf '# unit: %d passed, %d failed\n' "$((number - failed))" "$failed"
[ "$failed" -eq 0 ]
