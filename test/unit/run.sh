#!/bin/sh
# Run test programs one after another, show their TAP, and close with one line.
# A program that dies or hangs counts as one failed check.  RUNNER goes before
# each.

passed=0
failed=0
for program in "$@"; do
	echo "# $(basename "$program")"
	output=$(timeout -k 5 "${PATIENCE:-120}" $RUNNER "$program" 2>&1)
	code=$?
	echo "$output"
	good=$(echo "$output" | grep -c '^ok ')
	bad=$(echo "$output" | grep -c '^not ok ')
	if ! echo "$output" | grep -q '^1\.\.[1-9]' || { [ $code -ne 0 ] && [ "$bad" -eq 0 ]; }; then
		echo "not ok - $(basename "$program") ended with $code"
		bad=$((bad + 1))
	fi
	passed=$((passed + good))
	failed=$((failed + bad))
done
echo "unit: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
