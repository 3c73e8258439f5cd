#!/usr/bin/env bash
#
# run.sh - run each fuzz target for SECONDS_EACH seconds, beginning with its seeds; one
# TAP line for each.  New inputs go to BUILD, never to the seeds.

set -euo pipefail

number=0
failed=0
for target in "$@"; do
	number=$((number + 1))
	corpus=$BUILD/corpus_$target
	log=$BUILD/fuzz_$target.log
	mkdir -p "$corpus"
	if "$BUILD/fuzz_$target" -max_total_time="$SECONDS_EACH" -seed="${SEED:-1}" -timeout=30 -rss_limit_mb=1024 \
		-max_len=8192 -print_final_stats=1 -artifact_prefix="$BUILD/" \
		"$corpus" "seeds/$target" >"$log" 2>&1; then
		runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
		echo "ok $number - fuzz $target: $runs runs"
	else
		failed=$((failed + 1))
		echo "not ok $number - fuzz $target"
		tail -n 40 "$log" | sed 's/^/# /'
		echo "# again: test/fuzz/$BUILD/fuzz_$target FILE"
	fi
done
echo "1..$number"
[ "$failed" -eq 0 ]
