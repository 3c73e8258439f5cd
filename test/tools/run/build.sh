#!/usr/bin/env bash
#
# build.sh - the part "build" of "make test": prints as TAP whether the extension
# builds without a warning, with gcc and with clang where there is one, whether
# it installs, whether "make clean" takes everything away again, and whether it
# builds in a folder beside the sources.
#
# For use inside the folder that stage.sh makes, on whose PostgreSQL it installs.
# It builds in copies of the sources and changes nothing in them.

set -euo pipefail

VERSION=$(sed -n "s/^default_version *= *'\(.*\)'.*/\1/p" inqud.control)
COPY=$(mktemp -d "${TMPDIR:-/tmp}/build.XXXXXX")
NUMBER=0
BAD=0

trap 'rm -rf "$COPY"' EXIT

# Reports one check: a description and the command that decides it.
check()
{
	local what=$1
	local result=ok

	shift
	NUMBER=$((NUMBER + 1))
	if ! "$@" >"$COPY/log" 2>&1; then
		result='not ok'
		BAD=1
	fi
	printf '%s %d - %s\n' "$result" "$NUMBER" "$what"
	if [ "$result" != ok ]; then
		sed 's/^/# /' "$COPY/log"
	fi
}

skip()
{
	NUMBER=$((NUMBER + 1))
	printf 'ok %d - %s # SKIP %s\n' "$NUMBER" "$1" "$2"
}

fresh_copy()
{
	rm -rf "${COPY:?}/$1"
	mkdir "$COPY/$1"
	tar -c --exclude='*.o' --exclude='*.bc' --exclude='*.so' -f - . | tar -x -C "$COPY/$1" -f -
	make -s -C "$COPY/$1" clean
}

list()
{
	(cd "$1" && find . -type f | sort)
}

build_in()
{
	local where=$COPY/$1

	shift
	make -s -C "$where" -j"$(nproc)" WERROR=1 "$@"
}

cleans_up()
{
	make -C "$COPY/gcc" clean
	list "$COPY/gcc" >"$COPY/after"
	diff "$COPY/before" "$COPY/after"
}

# What was just built is all there, so a missing object file is a failure there.
calls_go_down()
{
	(cd "$COPY/gcc" && perl test/tools/style/symbols.pl)
}

# What a build beside the sources installs is what a build among them does.
builds_beside()
{
	local where=$COPY/beside

	mkdir "$where" &&
		make -s -C "$where" -f "$COPY/gcc/Makefile" VPATH="$COPY/gcc" with_llvm=no \
			-j"$(nproc)" COPT=-O0 DESTDIR="$where/root" install &&
		list "$where/root" | sed 's|.*/||' | sort >"$COPY/installed" &&
		printf '%s\n' inqud.control inqud.so "inqud--$VERSION.sql" | sort | diff - "$COPY/installed"
}

find_clang()
{
	local makefile tool

	makefile=$(dirname "$("$PG_CONFIG" --pgxs)")/../Makefile.global
	for tool in clang $(sed -n 's/^CLANG *= *//p' "$makefile"); do
		if command -v "$tool"; then
			return 0
		fi
	done
	return 1
}

main()
{
	local clang

	fresh_copy gcc
	list "$COPY/gcc" >"$COPY/before"
	check 'gcc compiles everything without a warning' build_in gcc CC=gcc
	check 'make install installs it' build_in gcc CC=gcc install
	check 'calls go down from wing to wing, and never round' calls_go_down
	check 'make clean takes away what was built' cleans_up
	check 'it builds in a folder beside the sources' builds_beside
	if clang=$(find_clang); then
		fresh_copy clang
		check 'clang compiles everything without a warning' \
			build_in clang CC="$clang" with_llvm=no
	else
		skip 'clang compiles everything without a warning' 'there is no clang'
	fi
	printf '1..%d\n' "$NUMBER"
	return "$BAD"
}

main
