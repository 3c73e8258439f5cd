#!/usr/bin/env bash
#
# dist.sh - "make dist": writes what is committed, with the META.json that PGXN
# asks for and the install script that the Makefile joins, into inqud-VERSION.zip
# and inqud-VERSION.tar.gz.  The same commit gives the same bytes.  Then it unpacks
# the one, and builds and installs it into a temporary folder, to see that nothing
# is missing.
#
# It changes nothing but the two files.
#
# Environment: OUT, the folder to write to (build).

set -euo pipefail
# shellcheck source=test/tools/run/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

OUT=${OUT:-$ROOT/build}
REPOSITORY=(git -c "safe.directory=*" -C "$ROOT")

VERSION=$("${REPOSITORY[@]}" show HEAD:inqud.control | sed -n "s/^default_version *= *'\(.*\)'.*/\1/p")
NAME=inqud-$VERSION

WORK=$(mktemp -d "${TMPDIR:-/tmp}/inqud-dist.XXXXXX")
WORK=$(cd "$WORK" && pwd -P)
SCRIPT=$WORK/plain/sql/inqud--$VERSION.sql
trap 'rm -rf "$WORK"' EXIT
trap 'exit 143' HUP INT TERM

# PGXN's versions have three numbers.
semver()
{
	case $VERSION in
		*.*.*) printf '%s' "$VERSION" ;;
		*) printf '%s.0' "$VERSION" ;;
	esac
}

# A file that is added goes where the last prefix before it says; the rest goes
# where the last of all says.
archive()
{
	"${REPOSITORY[@]}" archive --prefix="$NAME/sql/" --add-file="$SCRIPT" \
		--prefix="$NAME/" --add-file="$WORK/META.json" "$@" HEAD
}

# Joins the install script in a plain archive of what is committed.
make_script()
{
	mkdir "$WORK/plain"
	"${REPOSITORY[@]}" archive HEAD | tar -x -C "$WORK/plain" -f -
	make -s -C "$WORK/plain" "$SCRIPT"
	chmod 0644 "$SCRIPT"
}

write_into()
{
	archive --format=zip >"$1/$NAME.zip"
	archive --format=tar | gzip -9n >"$1/$NAME.tar.gz"
}

# What was written is complete, and would be written again.
verify()
{
	mkdir "$WORK/again" "$WORK/root"
	write_into "$WORK/again"
	cmp "$WORK/again/$NAME.zip" "$OUT/$NAME.zip"
	cmp "$WORK/again/$NAME.tar.gz" "$OUT/$NAME.tar.gz"
	tar -x -C "$WORK" -f "$OUT/$NAME.tar.gz"
	python3 -m zipfile -e "$OUT/$NAME.zip" "$WORK/zip"
	diff -r "$WORK/$NAME" "$WORK/zip/$NAME"
	perl "$WORK/$NAME/test/tools/style/meta.pl" "$WORK/$NAME/META.json" >"$WORK/log" || {
		cat "$WORK/log"
		fail "META.json is not what PGXN asks for."
	}
	make -s -C "$WORK/$NAME" -j"$(nproc)" >/dev/null
	make -s -C "$WORK/$NAME" install DESTDIR="$WORK/root" >/dev/null
	[ -n "$(find "$WORK/root" -name inqud.so)" ] || fail "The archive does not install."
	cmp "$SCRIPT" "$(find "$WORK/root" -name "${SCRIPT##*/}")" || fail "The archive does not install its script."
}

[ -n "$VERSION" ] || fail "Nothing is committed, or inqud.control names no version."
# What the tests need beyond the build is not needed here.
make -s -n -C "$ROOT" >/dev/null 2>&1 || "$ROOT/test/tools/run/packages.sh"
"${REPOSITORY[@]}" show HEAD:test/tools/dist/META.json |
	sed -e "s/@SEMVER@/$(semver)/" -e "s/@VERSION@/$VERSION/" >"$WORK/META.json"
chmod 0644 "$WORK/META.json"
make_script
mkdir -p "$OUT"
write_into "$OUT"
verify
printf '%s\n' "$OUT/$NAME.zip" "$OUT/$NAME.tar.gz"
