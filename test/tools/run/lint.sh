#!/usr/bin/env bash
#
# lint.sh - the part "lint" of "make test": prints as TAP what clang-tidy and
# cppcheck say of src/.  A finding is a failure, and so is a tool that cannot run.
#
# For use inside the folder that stage.sh makes; it changes nothing there.  What is
# looked for stands in .clang-tidy and below; what is excepted, and why, beside it.

set -euo pipefail

WORK=$(mktemp -d "${TMPDIR:-/tmp}/lint.XXXXXX")
NUMBER=0
BAD=0

trap 'rm -rf "$WORK"' EXIT

# The server's headers are not ours to be judged.
SERVER=(-isystem "$("$PG_CONFIG" --includedir-server)")
mapfile -t LIBRARIES < <(pkg-config --cflags libcurl json-c | tr ' ' '\n' | sed '/^$/d')

# What clang-tidy says of one file goes to a file of its own; what it says besides,
# counts of what it left out, matters only when it could not run.
tidy()
{
	local file=$1 said=$2
	local -a flags=(-std=gnu11 -D_GNU_SOURCE '-DINQUD_VERSION="0"'
		'-DINQUD_SERVES="0"' -Isrc)

	case $file in
		src/client/*) flags+=("${LIBRARIES[@]}") ;;
		*) flags+=("${SERVER[@]}") ;;
	esac
	clang-tidy --quiet "$file" -- "${flags[@]}" >"$said" 2>"$said.err" || cat "$said.err" >>"$said"
}

report()
{
	NUMBER=$((NUMBER + 1))
	if [ -s "$2" ]; then
		BAD=1
		printf 'not ok %d - %s\n' "$NUMBER" "$1"
		sed 's/^/# /' "$2"
	else
		printf 'ok %d - %s\n' "$NUMBER" "$1"
	fi
}

# As many at a time as there are cores.
run_tidy()
{
	local file
	local running=0

	for file in src/*.c src/*/*.c; do
		if [ "$running" -ge "$(nproc)" ]; then
			wait -n
			running=$((running - 1))
		fi
		tidy "$file" "$WORK/${file//\//_}" &
		running=$((running + 1))
	done
	wait
	for file in src/*.c src/*/*.c; do
		report "clang-tidy has nothing to say of $file" "$WORK/${file//\//_}"
	done
}

# It reads no header of the server, so it is told which macros end a function.  The
# #error of a file that was included where it may not be is no finding.
run_cppcheck()
{
	local folder
	local -a macros=('-Dereport(level,...)=((level) >= ERROR ? abort() : (void) 0)'
		'-Delog(level,...)=((level) >= ERROR ? abort() : (void) 0)'
		-DERROR=21 '-Dpg_attribute_noreturn()=__attribute__((noreturn))'
		'-Dpg_noreturn=__attribute__((noreturn))')

	for folder in src/*/ src/module.c; do
		cppcheck -q --std=c11 --enable=warning,performance,portability --inline-suppr \
			--suppress=preprocessorErrorDirective -DPG_VERSION_NUM=150000 "${macros[@]}" \
			-Isrc "$folder" >"$WORK/cppcheck" 2>&1 || echo "cppcheck ended with $?" >>"$WORK/cppcheck"
		report "cppcheck has nothing to say of $folder" "$WORK/cppcheck"
	done
}

run_tidy
run_cppcheck
printf '1..%d\n' "$NUMBER"
exit "$BAD"
