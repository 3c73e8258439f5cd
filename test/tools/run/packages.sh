#!/usr/bin/env bash
#
# packages.sh [PART ...] - installs what building and testing need and this
# machine does not have, by name, with apt: as root or through sudo.  What only
# one part of the tests needs is installed when that part is named.
#
# Installs missing packages only and changes nothing else: in particular it
# keeps Debian from creating and starting a database cluster of its own when
# the server comes in.  Where all is there it does nothing at all.

set -euo pipefail
# shellcheck source=test/tools/run/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

CLUSTER_CONF=/etc/postgresql-common/createcluster.conf

WANTED=" $* "
MISSING=()

# Notes a package as missing unless the command after it succeeds.
need()
{
	local package=$1

	shift
	"$@" >/dev/null 2>&1 || MISSING+=("$package")
}

# The same for a package that not every machine can have: where another Node.js
# than Debian's is installed, its modules do not come in, and what needs them
# is skipped by the tests.
welcome()
{
	local package=$1

	shift
	"$@" >/dev/null 2>&1 || ! apt-get -s -q install "$package" >/dev/null 2>&1 ||
		MISSING+=("$package")
}

wanted()
{
	[[ $WANTED == *" $1 "* ]]
}

# Can clang build a fuzzer?  Its runtime is a package of its own.
links_fuzzer()
{
	printf 'int LLVMFuzzerTestOneInput(const char *d, unsigned long n) { return 0; }' |
		clang -fsanitize=fuzzer,address -x c -o /dev/null -
}

list_missing()
{
	MISSING=()
	# What makes a Debian in a folder needs nothing else on this machine.
	if [ "$WANTED" = " debian " ]; then
		need debootstrap command -v debootstrap
		need git command -v git
		return
	fi
	need gcc command -v gcc
	need libc6-dev test -e /usr/include/stdio.h
	need make command -v make
	need pkg-config command -v pkg-config
	need libcurl4-openssl-dev pkg-config --exists libcurl
	need libjson-c-dev pkg-config --exists json-c
	need perl perl -MTAP::Harness -e 1
	need libipc-run-perl perl -MIPC::Run -e 1
	need python3 command -v python3
	need openssl command -v openssl
	need ca-certificates test -e /etc/ssl/certs/ca-certificates.crt
	if wanted lint; then
		need clang-tidy command -v clang-tidy
		need cppcheck command -v cppcheck
	fi
	if wanted valgrind; then
		need valgrind command -v valgrind
	fi
	# It only saves time, so nobody is asked for a password.
	if wanted cache && { command -v ccache >/dev/null || can_install </dev/null; }; then
		welcome ccache command -v ccache
	fi
	if wanted style; then
		welcome shellcheck command -v shellcheck
	fi
	if wanted fuzz; then
		need clang command -v clang
		need libclang-rt-dev links_fuzzer
	fi
	if wanted browser; then
		need chromium command -v chromium
	fi
	if wanted receiver; then
		need php-cli command -v php
		need php-pgsql php -r 'exit(function_exists("pg_connect") ? 0 : 1);'
		need nginx-light test -x /usr/sbin/nginx
		welcome node-pg env NODE_PATH=/usr/share/nodejs node -e 'require("pg")'
	fi
	if wanted bench; then
		need libpq-dev pkg-config --exists libpq
		need nginx-light test -x /usr/sbin/nginx
		need libnginx-mod-http-echo test -e /usr/lib/nginx/modules/ngx_http_echo_module.so
		need wrk command -v wrk
	fi
	if wanted receiver || wanted tap; then
		need python3-psycopg /usr/bin/python3 -c 'import psycopg'
	fi
	if find_release; then
		need "postgresql-$PG_RELEASE" has_server "$PG_RELEASE"
		need "postgresql-server-dev-$PG_RELEASE" has_server_dev "$PG_RELEASE"
	else
		MISSING+=(postgresql postgresql-server-dev)
	fi
}

as_root()
{
	if [ "$(id -u)" = 0 ]; then
		env DEBIAN_FRONTEND=noninteractive "$@"
	else
		sudo DEBIAN_FRONTEND=noninteractive "$@"
	fi
}

can_install()
{
	command -v apt-get >/dev/null || return 1
	[ "$(id -u)" = 0 ] && return 0
	command -v sudo >/dev/null || return 1
	if [ -t 0 ]; then
		sudo -v
	else
		sudo -n true 2>/dev/null
	fi
}

# The release that this Debian calls its own.
pick_release()
{
	local n

	n=$(apt-cache depends --important postgresql |
		sed -n 's/.*Depends: postgresql-\([0-9]*\)$/\1/p' | head -n 1)
	PG=$n
	[ -n "$n" ] || fail "apt offers no package postgresql."
	find_release
	export PG
}

# What apt says is of interest only when it fails.
install()
{
	local said status=0

	said=$(as_root apt-get -y -q --no-install-recommends -o DPkg::Lock::Timeout=300 \
		-o Dpkg::Use-Pty=0 install "$@" 2>&1) || status=$?
	if [ "$status" != 0 ]; then
		printf '%s\n' "$said" >&2
	fi
	return "$status"
}

# Debian's server package creates a cluster "main", which from then on starts
# with the machine.  Nobody asked for that here.
install_without_cluster()
{
	local status=0

	install postgresql-common
	if ! [ -e "$CLUSTER_CONF" ] || [ -e "$CLUSTER_CONF.inqud" ]; then
		install "$@"
		return
	fi
	as_root cp -p "$CLUSTER_CONF" "$CLUSTER_CONF.inqud"
	trap 'as_root mv "$CLUSTER_CONF.inqud" "$CLUSTER_CONF"' EXIT
	as_root sh -c "echo 'create_main_cluster = false' >>'$CLUSTER_CONF'"
	install "$@" || status=$?
	trap - EXIT
	as_root mv "$CLUSTER_CONF.inqud" "$CLUSTER_CONF"
	return "$status"
}

main()
{
	list_missing
	[ ${#MISSING[@]} -gt 0 ] || return 0
	can_install ||
		fail "These packages are missing: ${MISSING[*]}. Installing them takes apt and root (or sudo), which are not at hand; please install them and try again."
	say "Looking for packages ..."
	as_root apt-get -qq update || say "Some package lists could not be refreshed; going on."
	if [ "$WANTED" != " debian " ] && [ -z "$PG_RELEASE" ]; then
		pick_release
		list_missing
	fi
	say "Installing ${MISSING[*]} ..."
	if [ "$WANTED" = " debian " ] || has_server "$PG_RELEASE"; then
		install "${MISSING[@]}"
	else
		install_without_cluster "${MISSING[@]}"
	fi
	list_missing
	[ ${#MISSING[@]} = 0 ] ||
		fail "These packages were installed and still something of them is missing: ${MISSING[*]}."
}

main
