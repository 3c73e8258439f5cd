#!/usr/bin/env bash
#
# build.sh needs|dist|packages|lintian - the steps in which "make deb" builds
# packages, as root on a Debian that is there for nothing else.
#
# Works in the folder "packages" of the home folder.

set -euo pipefail

SOURCES=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
WORK=$HOME/packages
VERSION=$(sed -n "s/^default_version *= *'\(.*\)'.*/\1/p" "$SOURCES/inqud.control")

install()
{
	apt-get -y -q --no-install-recommends -o Dpkg::Use-Pty=0 "$@"
}

# The archive's contents with the folder debian/, which knows the version and
# the day of what was committed.
make_source()
{
	local to=$WORK/inqud-$VERSION

	rm -rf "$to"
	tar -x -C "$WORK" -f "$WORK/inqud_$VERSION.orig.tar.gz"
	cp -r "$to/test/tools/dist/debian" "$to/debian"
	cat >"$to/debian/changelog" <<-CHANGES
	inqud ($VERSION-1) UNRELEASED; urgency=medium

	  * Built from the sources of version $VERSION.

	 -- The inqud developers <inqud@example.org>  $(git -C "$SOURCES" show -s --format=%cD HEAD)
	CHANGES
	(cd "$to" && pg_buildext updatecontrol)
}

needs()
{
	install install build-essential fakeroot lintian debhelper python3 postgresql-server-dev-all
	mkdir -p "$WORK"
	install install libcurl4-openssl-dev libjson-c-dev pkgconf
}

dist()
{
	make -C "$SOURCES" dist OUT="$WORK"
	mv "$WORK/inqud-$VERSION.tar.gz" "$WORK/inqud_$VERSION.orig.tar.gz"
}

packages()
{
	make_source
	cd "$WORK/inqud-$VERSION"
	dpkg-checkbuilddeps
	dpkg-buildpackage -us -uc
}

# Two things concern uploads to Debian only: which bug asked for the package, and
# the policy's version, which no lintian of several releases agrees on.
check_packages()
{
	lintian --allow-root --suppress-tags initial-upload-closes-no-bugs,newer-standards-version,out-of-date-standards-version \
		--fail-on error,warning "$WORK"/*.changes
}

case ${1:-} in
	needs) needs ;;
	dist) dist ;;
	packages) packages ;;
	lintian) check_packages ;;
	*) exit 2 ;;
esac
